"""The driver: the order *propose, persist, send, apply, answer*, and nothing else. No trio.

Production's reactor and the simulator's heap are two thin callers of `turn`. It owns node,
engine, journal and store buffer; files reach it through their ports, time as an argument,
threads as `Job`s that the caller runs and reports back.

INV-REPLY-AFTER-PERSIST: an answer to a command leaves only after its pack is durable, because
the engine hands a pack out for applying only after `Persisted`.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from attrs import define, field, frozen

from core.codec import CodecError, ProposalId, Proposed, decode_pack, encode_pack
from core.effects import Effect, Notify, Propose, ReadIndex, Reply
from core.ids import Index, MemberId, Term
from core.inputs import Committed, Deposed, Elected, Input, ReadReady, Refused, Ticked
from core.limits import PACK_BYTES_MAX, PACK_COMMANDS_MAX
from core.machine import Applied
from core.node import Node
from core.operations import (
    AlarmSet,
    Compact,
    DeleteRange,
    LeaseExpire,
    LeaseGrant,
    LeaseRevoke,
    Noop,
    Put,
    Txn,
)
from net import replicator as raft
from net.disk import DiskFull
from net.flush import Pace, StoreBuffer
from net.journal import PACK as PACK_FRAME
from net.journal import Frame, HardState, Journal, StoreSwitch
from net.metrics import Metrics
from net.replicator import Replicator
from net.store.store import Store
from net.tally import count_facts

DEFAULT_PACE = Pace()
TICK_MS = 50
"""How often time alone makes a turn: lease deadlines are this sharp."""


@frozen
class Synced:
    """The journal is durable up to the batch of this number."""

    batch: int


@frozen
class JobDone:
    """A job ended; its result, which is the error where the disk was full."""

    kind: str
    result: object


DriverInput = Input | Synced | JobDone


@frozen
class Job:
    """Blocking work for a helper thread, one of each kind at a time."""

    kind: str
    run: Callable[[], object]


class _Own(NamedTuple):
    """A pack that this member made, and the commands it was made from."""

    pack: bytes
    commands: list[Proposed]
    token: int


@define
class Io:
    """What one turn wants done outside."""

    replies: list[Reply] = field(factory=list[Reply])
    notices: list[Notify] = field(factory=list[Notify])
    jobs: list[Job] = field(factory=list[Job])
    sync: int = 0
    """If not 0: call `journal.sync` in the sync thread, then give `Synced` of this number."""
    busy: bool = False
    """More bounded work waits: take another turn soon."""
    next_deadline_ms: int = 0


APPLY_NAMES: Mapping[type, str] = {
    Put: "Put",
    Txn: "Txn",
    DeleteRange: "DeleteRange",
    Compact: "Compaction",
    LeaseGrant: "LeaseGrant",
    LeaseRevoke: "LeaseRevoke",
    LeaseExpire: "LeaseRevoke",
    AlarmSet: "Alarm",
    Noop: "Noop",
}
"""etcd's names of what is applied, for etcd_server_apply_duration_seconds."""


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
        self.buffer = StoreBuffer(node.state, pace)
        self.verify_packs = False
        """Decode even this member's own packs, and compare: for tests and simulation."""
        self.disk_full = False
        """Since journal or store found no room; the shell clears it once the reserve is whole."""
        self.clock_us: Callable[[], int] = lambda: 0
        """A clock for histograms alone: what it says decides nothing."""
        self.on_disk_full: Callable[[], None] = lambda: None
        """Gives up the reserve, so that the next batch (the alarm, deletes) finds room."""
        self._pace = pace
        self._batch: list[Propose] = []
        self._raft_inputs: list[raft.RaftInput] = [raft.Tick()]
        self._own: dict[int, _Own] = {}
        """Packs this member made, by identity: applying them needs no decoding."""
        self._tokens: dict[int, int] = {}
        """Which of them each token of a proposal names."""
        self._token = 0
        self._unsynced: deque[tuple[int, int, Callable[[], None] | None]] = deque()
        """(batch number, the engine's sequence or 0, what waits for it) in order."""
        self._appended = 0
        self._syncing = False
        self._checkpointing = False
        self._emptying = False
        self._preparing = False
        self._last_checkpoint_ms = 0
        self._last_tick_ms = -TICK_MS
        self._io = Io()
        self._hold_flushes = False
        self._untold_full = False
        """Journal or store found no room, and the core has not been told."""

    def turn(self, now_ms: int, inputs: Sequence[DriverInput]) -> Io:
        """Take everything that happened since the last turn, in order; do all that follows."""
        io = self._io = Io()
        node = self.node
        self.metrics.turns_total += 1
        node_inputs: list[Input] = []
        for given in inputs:
            if isinstance(given, Synced):
                self._synced(given.batch)
            elif isinstance(given, JobDone):
                self._job_done(given)
            else:
                node_inputs.append(given)
        self._step_engine(now_ms)
        if self._untold_full:
            self._untold_full = False
            self._perform(node.step(Refused((), disk_full=True)), now_ms)
        for each in node_inputs:
            self._perform(node.step(each), now_ms)
        self._perform(node.begin_reads(), now_ms)
        if now_ms - self._last_tick_ms >= TICK_MS:
            # Keepalives that were waiting are heard before any lease falls due.
            self._step_engine(now_ms)
            self._last_tick_ms = now_ms
            self._raft_inputs.append(raft.Tick())
            self._perform(node.step(Ticked(now_ms)), now_ms)
        self._propose_batch()
        self._step_engine(now_ms)
        if node.has_work():
            self._perform(node.work(), now_ms)
        self._keep_house(now_ms)
        if self._unsynced and not self._syncing:
            self._syncing = True
            io.sync = self._appended
        io.busy = node.has_work() or bool(self._raft_inputs)
        io.next_deadline_ms = self._next_deadline(now_ms)
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

    def _perform(self, effects: Sequence[Effect], now_ms: int) -> None:
        io = self._io
        for effect in effects:
            if isinstance(effect, Reply):
                io.replies.append(effect)
            elif isinstance(effect, Applied):
                if effect.changes or effect.facts:
                    self.buffer.add(effect, now_ms)
                    if effect.facts:
                        count_facts(self.metrics, effect.facts)
            elif isinstance(effect, Propose):
                self._batch.append(effect)
            elif isinstance(effect, Notify):
                io.notices.append(effect)
            elif isinstance(effect, ReadIndex):
                self._raft_inputs.append(raft.ReadIndex(effect.round))
            else:  # Erase
                self.metrics.compaction_keys_total += len(effect.numbers)
                self.buffer.erase(
                    effect.numbers,
                    scrubbed=effect.scrubbed_revision,
                    done=effect.done,
                    now_ms=now_ms,
                )

    # Packs on their way to the log.

    def _propose_batch(self) -> None:
        """Hand the waiting commands to the engine, unless a sync is under way: then they gather."""
        if not self._batch or self._syncing:
            return
        batch = self._batch
        self.metrics.batch_commands.observe(len(batch))
        while batch:
            size = 0
            count = 0
            for effect in batch[:PACK_COMMANDS_MAX]:
                size += len(effect.payload)
                if size > PACK_BYTES_MAX and count:
                    break
                count += 1
            chosen = batch[:count]
            batch = batch[count:]
            self._token += 1
            pack = encode_pack([effect.payload for effect in chosen])
            origin = self.node.config.origin
            self._own[id(pack)] = _Own(
                pack,
                [Proposed(ProposalId(origin, each.sequence), each.command) for each in chosen],
                self._token,
            )
            self._tokens[self._token] = id(pack)
            self._raft_inputs.append(raft.Propose(self._token, pack))
        self._batch = []

    def _step_engine(self, now_ms: int) -> None:
        """Step the engine until it has nothing more to say at this moment."""
        while self._raft_inputs:
            inputs = self._raft_inputs
            self._raft_inputs = []
            out = self.engine.step(now_ms, inputs)
            assert not out.send, "INV-LOCAL-ENGINE-ALONE"
            refused = False
            for persist in out.persist:
                refused = self._persist(persist, refused) or refused
            for outcome in out.resolved:
                self._refused(outcome, now_ms)
            if out.role is not None:
                lead: Input = Deposed(out.role.term)
                if out.role.is_leader:
                    lead = Elected(out.role.term)
                self._perform(self.node.step(lead), now_ms)
            for entry in out.apply:
                self._apply(entry, now_ms)
            for token, index in out.read_ready:
                self._perform(self.node.step(ReadReady(token, index)), now_ms)

    def _persist(self, persist: raft.Persist, refused: bool) -> bool:
        """Append one batch; whether it was refused, as is all that follows a refused one."""
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
        if not frames:
            return refused
        if refused or not self._append(frames):
            self._raft_inputs.append(raft.PersistRefused(persist.sequence))
            return True
        self._unsynced.append((self._appended, persist.sequence, None))
        self.metrics.wal_write_bytes += sum(len(frame.payload) + 32 for frame in frames)
        return False

    def append_switch(self, generation: int, index: int, then: Callable[[], None]) -> bool:
        """Write the frame that makes another store generation the valid one; False: disk full.

        `then` runs in the turn that learns the frame is durable.
        """
        if not self._append([StoreSwitch(generation, Index(index)).frame()]):
            return False
        self._unsynced.append((self._appended, 0, then))
        return True

    def _append(self, frames: list[Frame]) -> bool:
        """Write one batch; False when the disk is full."""
        try:
            began_us = self.clock_us()
            self.journal.append(frames)
            self.metrics.wal_write_us.observe(self.clock_us() - began_us)
        except DiskFull:
            self._note_full()
            return False
        self._appended += 1
        return True

    def _note_full(self) -> None:
        """Have the core told, by the next turn, before clients use up what the reserve gives."""
        self._untold_full = True
        if not self.disk_full:
            self.disk_full = True
            self.journal.spare_room(True)
            self.on_disk_full()

    def _synced(self, batch: int) -> None:
        self._syncing = False
        while self._unsynced and self._unsynced[0][0] <= batch:
            _, sequence, then = self._unsynced.popleft()
            if sequence:
                self._raft_inputs.append(raft.Persisted(sequence))
            if then is not None:
                then()

    def _refused(self, outcome: raft.Outcome, now_ms: int) -> None:
        own = self._own.pop(self._tokens.pop(outcome.token, 0), None)
        sequences = [] if own is None else [proposed.id.sequence for proposed in own.commands]
        self.metrics.proposals_failed_total += len(sequences)
        if sequences:
            self._perform(self.node.step(Refused(sequences, self.disk_full)), now_ms)

    def _apply(self, entry: raft.Entry, now_ms: int) -> None:
        own = self._own.pop(id(entry.payload), None)
        commands: Sequence[Proposed]
        if own is not None and own.pack is entry.payload:
            del self._tokens[own.token]
            commands = own.commands
            if self.verify_packs:
                assert decode_entry(entry) == commands, "INV-CODEC-EXACT"
        else:
            commands = decode_entry(entry)
        began_us = self.clock_us()
        effects = self.node.step(Committed(entry.index, entry.term, commands))
        if commands:
            # What one command took is not worth two looks at the clock: the pack's mean is.
            each_us = (self.clock_us() - began_us) // len(commands)
            observe = self.metrics.observe_apply
            for proposed in commands:
                observe(APPLY_NAMES[type(proposed.command)], each_us, ok=True)
        self._perform(effects, now_ms)

    # Housekeeping, in slices.

    def _keep_house(self, now_ms: int) -> None:
        if self._hold_flushes or self._emptying:
            self.buffer.wait()
        elif self.buffer.is_due(now_ms):
            self._flush_some(now_ms)
            self._after_flush()
        self.journal.spare_room(self.disk_full)
        if self.journal.wants_preparation and not self._preparing:
            self._preparing = True
            self._io.jobs.append(Job("prepare", self.journal.prepare_next))

    def _flush_some(self, now_ms: int) -> None:
        try:
            self.buffer.flush_some(self.store, now_ms)
        except DiskFull:
            self._note_full()

    def _after_flush(self) -> None:
        """Let the thread move what is in the WAL, at last with nothing written beside it.

        All moved, SQLite begins the WAL anew at the next write. Emptying it here instead held a
        turn for 30 ms of CPU and 130 ms of waiting.
        """
        if self._checkpointing or self.store.unmoved_bytes() <= self._pace.checkpoint_bytes:
            return
        self._checkpointing = True
        self._emptying = self.store.wal_used_bytes() > self._pace.truncate_bytes
        self._io.jobs.append(Job("checkpoint", self.store.checkpoint))

    def _job_done(self, done: JobDone) -> None:
        if done.kind == "checkpoint":
            self._checkpointing = False
            self._emptying = False
            if isinstance(done.result, DiskFull):
                self._note_full()
                return
            assert isinstance(done.result, int), "INV-JOB-RESULT"
            self._drop_log(done.result)
        elif done.kind == "prepare":
            self._preparing = False

    def _drop_log(self, durable_index: int) -> None:
        """The store holds everything up to here for good: the journal need not."""
        self._raft_inputs.append(raft.SnapshotTaken(durable_index, 0))

    def _next_deadline(self, now_ms: int) -> int:
        deadline = self._last_tick_ms + TICK_MS
        due = self.buffer.due_at_ms()
        if due is not None and not (self._hold_flushes or self._emptying):
            deadline = min(deadline, due)
        return max(deadline, now_ms)


def decode_entry(entry: raft.Entry) -> Sequence[Proposed]:
    """Return an entry's commands. Bytes that the codec refuses end the member."""
    try:
        return decode_pack(entry.payload)
    except CodecError as error:
        raise CodecError(f"log index {entry.index}: {error}") from error
