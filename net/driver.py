"""The driver: the order *propose, persist, send, apply, answer*, and nothing else. No trio.

Production's reactor and the simulator's heap are two thin callers of `turn`. It owns node,
engine, journal and store buffer; files reach it through their ports, time as an argument,
threads as `Job`s that the caller runs and reports back.

INV-REPLY-AFTER-PERSIST: an answer to a command leaves only after its pack is durable, because
the engine hands a pack out for applying only after `Persisted`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

from core import inputs as core_inputs
from core.codec import Proposed
from core.effects import (
    AskLeader,
    Effect,
    EndStream,
    Erase,
    Notify,
    Propose,
    ProposeChange,
    ReadIndex,
    Reply,
)
from core.ids import Index, MemberId, Term
from core.inputs import Committed, Input, ReadReady, Ticked
from core.machine import Applied
from core.members import configuration, fits
from core.node import Node
from core.tuples import new
from net import replicator as raft
from net.backlog import Backlog
from net.changes import change_of
from net.checkpoints import Checkpoints
from net.correspondence import Correspondence, progress_of
from net.deadlines import Deadlines
from net.disk import DiskFull
from net.faultpoint import faultpoint
from net.flush import Pace, StoreBuffer
from net.journal import PACK as PACK_FRAME
from net.journal import Frame, HardState, Journal, SnapshotMark, StoreSwitch
from net.metrics import Metrics
from net.packs import Packs
from net.received import Received
from net.replicator import Replicator
from net.store.store import Store
from net.tally import Scrubs, count_applied, count_facts, count_reads
from net.turns import (
    RAFT,
    LeadershipTo,
    PeerDown,
    PeerMessage,
    PeerUp,
    SnapshotArrived,
    SnapshotGone,
    Staged,
)
from net.turns import DriverInput as DriverInput
from net.turns import Io as Io
from net.turns import Job as Job
from net.turns import JobDone as JobDone
from net.turns import Synced as Synced
from net.unsynced import Unsynced

DEFAULT_PACE = Pace()


class Driver:
    """One member's order of events."""

    def __init__(
        self,
        node: Node,
        engine: Replicator,
        journal: Journal,
        store: Store,
        metrics: Metrics,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        self.node = node
        self.engine = engine
        self.journal = journal
        self.store = store
        self.metrics = metrics
        self._scrubs = Scrubs(metrics)
        self.buffer = StoreBuffer(node.state, pace)
        self.disk_full = False
        """Since journal or store found no room; the shell clears it once the reserve is whole."""
        self.clock_us: Callable[[], int] = int
        """A clock for histograms alone: what it says (first 0) decides nothing."""
        self.on_disk_full: Callable[[], None] = lambda: None
        """Gives up the reserve, so that the next batch (the alarm, deletes) finds room."""
        self._pace = pace
        self.packs = Packs(node.config.origin, node.config.request_timeout_ms)
        self._raft_inputs: list[raft.RaftInput] = [raft.Tick()]
        self._reads: list[raft.ReadIndex] = []
        self._unsynced = Unsynced()
        self._backlog = Backlog(pace)
        self._checkpoints = Checkpoints(pace)
        self._preparing = False
        self._deadlines = Deadlines(pace.idle_ms)
        self._store_due_ms: int | None = None
        self._has_stepped = self._had_work = True
        """Whether the node took anything in this turn, and had more to do after the last one."""
        self._letters = Correspondence()
        self._received = Received()
        self._shell: Mapping[type, Callable[..., None]] = {
            Synced: self._sync_done,
            JobDone: self._job_done,
            PeerMessage: self._hear,
            PeerUp: self._link,
            PeerDown: self._link,
            SnapshotArrived: self._snapshot_arrived,
            SnapshotGone: self._tell_engine,
            LeadershipTo: self._tell_engine,
        }
        self._io, self._hold_flushes = Io(), False
        self._untold_full = False
        """Journal or store found no room, and the core has not been told."""

    def turn(self, now_ms: int, inputs: Sequence[DriverInput]) -> Io:
        """Take everything that happened since the last turn, in order; do all that follows."""
        io = self._io = Io()
        node = self.node
        self.metrics.turns_total += 1
        node.advance(now_ms)
        node_inputs: list[Input] = []
        shell = self._shell
        for given in inputs:
            take = shell.get(type(given))
            if take is None:
                node_inputs.append(given)  # type: ignore[arg-type]  # all others are the core's
            else:
                take(given)
        if self._backlog.begin_turn():
            self._apply_some(now_ms)
        if now_ms >= self._deadlines.soon_at_ms:
            self._raft_inputs.append(raft.Tick())
        if self._raft_inputs:
            self._step_engine(now_ms)
        if self._untold_full:
            self._untold_full = False
            self._perform(node.step(core_inputs.Refused((), disk_full=True)), now_ms)
        if node_inputs:
            self._perform(chain.from_iterable(map(node.step, node_inputs)), now_ms)
        if self._has_stepped and (reads := node.begin_reads()):
            self._perform(reads, now_ms)
        if now_ms >= self._deadlines.tick_at_ms:
            self._tick(now_ms)
        if self._reads or (packs := self.packs).waiting or packs.changes or packs.held:
            self._propose_batch(now_ms)
        if self._raft_inputs:
            self._step_engine(now_ms)
        self._had_work = (self._has_stepped or self._had_work) and node.has_work()
        if self._had_work:
            began_us = self.clock_us()
            effects = node.work()
            self._scrubs.worked(effects, began_us, self.clock_us())
            self._perform(effects, now_ms)
            self._had_work = node.has_work()
        self._keep_house(now_ms)
        if self._unsynced.waiting and not self._unsynced.is_syncing:
            self._unsynced.ask(io, is_awaited=self._awaits_disk())
        if self._letters.asked:
            self._letters.tell(io)
        io.busy = self._had_work or bool(self._raft_inputs or self._backlog.waiting)
        node_due, self._has_stepped = node.next_due_ms if self._has_stepped else None, False
        due_ms = self._deadlines.next_ms(node_due, self._store_due_ms)
        io.next_deadline_ms = due_ms if due_ms > now_ms else now_ms
        return io

    def replay(self, committed: Committed) -> None:
        """Apply a pack that an earlier run made durable; nobody waits for its answers."""
        self._io = Io()
        self._perform(self.node.step(committed), 0)
        if self.buffer.is_due(0):
            self.flush_now(0)

    def flush_now(self, now_ms: int) -> bool:
        """Write what is gathered to the store; False if it has to wait: nothing is lost by that.

        It waits for room on the disk, or for another process that holds the file.
        """
        try:
            return self.buffer.flush(self.store, now_ms)
        except DiskFull:
            self._note_full()
            return False

    def hold_flushes(self, hold: bool) -> None:
        """Keep the store still while it is copied to its next generation."""
        self._hold_flushes = hold

    def _perform(self, effects: Iterable[Effect], now_ms: int) -> None:
        io = self._io
        self._has_stepped = True
        for effect in effects:
            if type(effect) is Reply:
                io.replies.append(effect)
            elif type(effect) is Applied:
                if effect.changes or effect.facts:
                    self.buffer.add(effect, now_ms)
                    if effect.facts:
                        count_facts(self.metrics, effect.facts)
            elif type(effect) is Propose:
                self.packs.waiting.append(effect)
            elif type(effect) is ProposeChange:
                self.packs.changes.append(effect)
            elif isinstance(effect, Notify):
                io.notices.append(effect)
            elif isinstance(effect, ReadIndex):
                self._reads.append(raft.ReadIndex(effect.round))
            elif isinstance(effect, AskLeader):
                self._letters.ask(io, effect)
            elif isinstance(effect, EndStream):
                io.ended.append((effect.stream, effect.failure))
            else:
                assert isinstance(effect, Erase), "INV-EFFECT-KIND"
                self.metrics.compaction_keys_total += len(effect.numbers)
                freed, done = effect.scrubbed_revision, effect.done
                self.buffer.erase(effect.numbers, scrubbed=freed, done=done, now_ms=now_ms)

    def _tick(self, now_ms: int) -> None:
        # Keepalives that were waiting are heard before any lease falls due.
        self._step_engine(now_ms)
        self._deadlines.ticked(now_ms)
        self._raft_inputs.append(raft.Tick())
        if (progressed := progress_of(self.engine, self.journal.last_index)) is not None:
            self._perform(self.node.step(progressed), now_ms)
        self._perform(self.node.step(Ticked(now_ms)), now_ms)
        if self._received.wanted is not None:
            self._install(self._received.wanted)

    def _propose_batch(self, now_ms: int) -> None:
        """Hand reads and commands on: the latter once no sync is under way, all to a leader."""
        packs = self.packs
        if late := packs.late(now_ms):
            self._perform(self.node.step(core_inputs.Refused(late, disk_full=False)), now_ms)
        if packs.patience_ms and not self.engine.role.leader:
            packs.hold(now_ms)
            return
        packs.release(now_ms)
        self._raft_inputs += self._reads
        self._reads.clear()
        if self._unsynced.is_syncing or not (packs.waiting or packs.changes):
            return
        self.metrics.batch_commands.observe(len(packs.waiting) + len(packs.changes))
        self._raft_inputs += packs.make()
        self._raft_inputs += packs.make_changes()

    def _step_engine(self, now_ms: int) -> None:
        """Step the engine until it has nothing more to say at this moment."""
        io, letters = self._io, self._letters
        while self._raft_inputs:
            inputs = self._raft_inputs
            self._raft_inputs = []
            out = self.engine.step(now_ms, inputs)
            (
                persists, sends, applies, read_ready, resolved, role, deadline_ms, read_lost,
                snapshots, install, transferred, soon_ms,
            ) = out  # fmt: skip
            refused = 0
            for persist in persists:
                if not self._persist(persist, refused):
                    refused = refused or persist.sequence
            for peer, data, after in sends:
                if not refused or after < refused:
                    letters.send(io, new(PeerMessage, (peer, RAFT, data)), after)
            if install is not None:
                self._install(install)
            for outcome in resolved:
                self._resolved(outcome, now_ms)
            if role is not None:
                lead: Input = core_inputs.Deposed(role.term, role.leader)
                if role.is_leader:
                    lead = core_inputs.Elected(role.term)
                late = core_inputs.Refused(self.packs.outdated(), disk_full=False)
                self._perform(chain(self.node.step(late), self.node.step(lead)), now_ms)
            if applies:
                self._backlog.add(applies)
            if self._backlog.waiting and not (letters.is_holding and self._unsynced.waiting):
                self._apply_some(now_ms)
            for token, index in read_ready:
                began_us = self.clock_us()
                effects = self.node.step(ReadReady(token, index))
                count_reads(self.metrics, effects, self.clock_us() - began_us)
                self._perform(effects, now_ms)
            for token in read_lost:
                self._perform(self.node.step(core_inputs.ReadLost(token)), now_ms)
            if snapshots or transferred:
                io.snapshots += snapshots
                io.transferred += transferred
            self._deadlines.heed(deadline_ms, soon_ms)
            if self._received.staged:
                self._received.judged()

    def _persist(self, persist: raft.Persist, refused: int) -> bool:
        """Append one batch, or refuse it, as is all that follows a refused one."""
        frames: list[Frame] = []
        if persist.hard_state is not None:
            term, vote, commit = persist.hard_state
            frames.append(HardState(Term(term), MemberId(vote), Index(commit)).frame())
        if persist.truncate_from is not None:
            self.journal.truncate_from(Index(persist.truncate_from))
        frames += [
            Frame(PACK_FRAME, Term(entry.term), Index(entry.index), entry.payload)
            for entry in persist.append
        ]
        if persist.drop_to is not None:
            self.journal.drop_to(Index(persist.drop_to))
        if not persist.sequence:
            return True
        was_full = self.disk_full
        if refused or not self._append(frames):
            durable = self.store.durable_applied() if was_full else 0
            self._raft_inputs.append(raft.PersistRefused(persist.sequence, durable))
            self._letters.withdraw(persist.sequence)
            return False
        size_bytes = sum(len(frame.payload) + 32 for frame in frames)
        self.metrics.wal_write_bytes += size_bytes
        self._unsynced.add(persist.sequence, size_bytes=size_bytes)
        return True

    def append_switch(self, generation: int, index: int, then: Callable[[], None]) -> bool:
        """Write the frame that makes another store generation the valid one; False: disk full.

        `then` runs in the turn that learns the frame is durable.
        """
        if not self._append([StoreSwitch(generation, Index(index)).frame()]):
            return False
        self._unsynced.add(0, then)
        return True

    def _append(self, frames: list[Frame]) -> bool:
        """Write one batch; False when the disk is full."""
        try:
            began_us = self.clock_us()
            faultpoint("persist.before")
            self.journal.append(frames)
            faultpoint("persist.after")
            self.metrics.wal_write_us.observe(self.clock_us() - began_us)
        except DiskFull:
            self._note_full()
            return False
        self._unsynced.appended += 1
        return True

    def _note_full(self) -> None:
        """Have the core told, by the next turn, before clients use up what the reserve gives."""
        self._untold_full = True
        if not self.disk_full:
            self.disk_full = True
            self.journal.spare_room(True)
            self.on_disk_full()

    def _sync_done(self, given: Synced) -> None:
        for sequence, then in self._unsynced.done(given.batch):
            if sequence:
                self._letters.persisted(self._io, sequence)
                self._raft_inputs.append(new(raft.Persisted, (sequence,)))
            if then is not None:
                then()

    def _awaits_disk(self) -> bool:
        """Whether something follows here once all is durable, before others say anything."""
        return self._letters.is_holding or sum(self.engine.members.values()) <= 1

    def _resolved(self, outcome: raft.Outcome, now_ms: int) -> None:
        may_wait = outcome.refused and not self.disk_full
        if may_wait and self.packs.take_back(outcome.token, now_ms):
            return
        sequences = self.packs.give_up(outcome.token)
        self.metrics.proposals_failed_total += len(sequences)
        if sequences:
            refused = core_inputs.Refused(sequences, self.disk_full)
            fate = refused if outcome.refused else core_inputs.Lost(sequences)
            self._perform(self.node.step(fate), now_ms)

    def release(self, batch: int) -> list[PeerMessage]:
        """Return what may leave once the journal is durable up to a batch; `Synced` comes next."""
        return self._letters.released(self._unsynced.sequence_of(batch))

    def _apply_some(self, now_ms: int) -> None:
        for entry, commands in self._backlog.slice(self.packs):
            self._apply(entry, commands, now_ms)

    def _apply(self, entry: raft.Entry, commands: Sequence[Proposed], now_ms: int) -> None:
        began_us = self.clock_us()
        effects = self.node.step(new(Committed, (entry.index, entry.term, commands)))
        count_applied(self.metrics, commands, self.clock_us() - began_us)
        self._perform(effects, now_ms)
        if (change := change_of(entry.payload)) is not None:
            assert fits(self.node.state.members, change), "INV-CHANGE-FITS"
        faultpoint("apply.after")

    # Other members.

    def _link(self, given: PeerUp | PeerDown) -> None:
        peer, up = given.peer, isinstance(given, PeerUp)
        self._raft_inputs.append(raft.LinkUp(peer) if up else raft.LinkDown(peer))
        self._perform(self.node.step(core_inputs.Linked(peer, up)), self.node.now_ms)

    def _hear(self, given: PeerMessage) -> None:
        peer, channel, data = given
        if channel == RAFT:
            self._raft_inputs.append(new(raft.Receive, (peer, data)))
        elif (heard := self._letters.heard(given)) is not None:
            self._perform(self.node.step(heard), self.node.now_ms)

    def _tell_engine(self, given: SnapshotGone | LeadershipTo) -> None:
        is_sent = isinstance(given, SnapshotGone)
        self._raft_inputs.append(raft.SnapshotSent(*given) if is_sent else raft.Transfer(*given))

    # Snapshots of other members.

    def _snapshot_arrived(self, given: SnapshotArrived) -> None:
        staged = given.staged
        self._received.add(staged)
        self._raft_inputs.append(raft.SnapshotReceived(given.peer, staged.index, staged.term))

    def _install(self, wanted: tuple[int, int]) -> None:
        """Write that the received store is the valid one, and that the log begins behind it."""
        staged = self._received.want(wanted)
        index, term = Index(staged.index), Term(staged.term)
        mark = SnapshotMark(index, term, b"").frame()
        switch = StoreSwitch(staged.generation, index).frame()
        if self._append([mark, switch]):
            self._unsynced.add(0, lambda: self._switch_to(staged))
            self._received.take(staged)

    def _switch_to(self, staged: Staged) -> None:
        """The frames are durable: from here on the received state is this member's."""
        faultpoint("install.before")
        # Somebody may wait for the answers.
        while self._backlog.begin_turn():
            self._apply_some(self.node.now_ms)
        self.store, state, dead = staged.take_over(self.store)
        self.buffer = StoreBuffer(state, self._pace)
        if dead:
            now_ms = self.node.now_ms
            self.buffer.erase(dead, scrubbed=state.compact_revision, done=True, now_ms=now_ms)
        self._perform(self.node.step(core_inputs.Installed(state)), 0)
        members = configuration(state.members) or None
        self._raft_inputs.append(raft.SnapshotInstalled(staged.index, members))
        faultpoint("install.after")

    # Housekeeping, in slices.

    def _keep_house(self, now_ms: int) -> None:
        self._store_due_ms = None
        if self._hold_flushes or self._checkpoints.is_emptying:
            self.buffer.wait(now_ms)
        elif (due := self.buffer.due_at_ms()) is not None:
            self._store_due_ms = due if now_ms < due else self._flush_some(now_ms)
        self.journal.spare_room(self.disk_full)
        if self.journal.wants_preparation and not self._preparing:
            self._preparing = True
            self._io.jobs.append(Job("prepare", self.journal.prepare_next))

    def _flush_some(self, now_ms: int) -> int | None:
        try:
            self.buffer.flush_some(self.store, now_ms)
        except DiskFull:
            self._note_full()
        if (checkpoint := self._checkpoints.begin(self.store)) is not None:
            self._io.jobs.append(checkpoint)
        return None if self._checkpoints.is_emptying else self.buffer.due_at_ms()

    def _job_done(self, done: JobDone) -> None:
        if done.kind == "checkpoint":
            self._checkpoints.end()
            if isinstance(done.result, DiskFull):
                self._note_full()
                return
            assert isinstance(done.result, int), "INV-JOB-RESULT"
            # The store holds everything up to here for good: the journal need not.
            self._raft_inputs.append(raft.SnapshotTaken(done.result, 0))
        elif done.kind == "prepare":
            self._preparing = False
