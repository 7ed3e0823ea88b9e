"""The engine on a machine of the small world: the port, a log that syncs at once, whole snapshots.

Rule of this file: what a driver does for an engine, and nothing more. A persist is durable before
the step's messages leave. A snapshot goes in chunks over the same link, as a transport of ours has
them: numbered, gathered whole, given up with the connection.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import NamedTuple

from net import replicator as raft
from net.changes import change_of, framed, pack_of
from net.raft.engine import Make, RaftEngine
from net.raft.replica import RaftConfig, Timing
from net.raft.wire import Ack, Append, AskVote, Canvass, decode
from net.replicator import Change, ChangeKind, Entry
from sim.models import LogImage
from tests.bugs.pysyncobj.world import Glance, World

CHUNK_BYTES = 65_536
TIMING = Timing(heartbeat_ms=50, election_ms=400)


class State(NamedTuple):
    """A state machine's state at an index."""

    index: int = 0
    term: int = 0
    names: tuple[str, ...] = ()
    weight: int = 0
    members: tuple[int, ...] = ()


class Chunk(NamedTuple):
    """A part of a snapshot under way."""

    number: int
    count: int
    state: State


class EngineMachine:
    """One member that runs the engine behind its port."""

    def __init__(self, world: World, number: int, members: Sequence[int], make: Make) -> None:
        self.world = world
        self._make = make
        self.number = number
        self.members = tuple(members)
        self.is_up = False
        self.log = LogImage()
        self.kept = State(members=self.members)
        """The state as the store holds it durably."""
        self._tokens = 0
        self._asked: dict[int, str] = {}
        self._joining: dict[int, int] = {}

    def start(self) -> None:
        hard = self.log.hard or raft.HardState(0, 0, 0)
        last = self.log.last_index
        state = self.kept
        bounds = raft.LogBounds(
            raft.HardState(*hard),
            last,
            self.log.term_at(last) or 0,
            state.index,
            dict.fromkeys(state.members, True),
        )
        self.is_up = True
        self.state = state
        self._persisted = 0
        self._gathered: list[Chunk] = []
        self._staged: State | None = None
        self._asked = {}
        self.engine = RaftEngine(
            RaftConfig(self.number, TIMING, kept_entries=0, hurries=False),
            bounds,
            base=(self.log.base_index, self.log.base_term),
            entries=self.log.entries,
            chance=Random(self.number),
            make=self._make,
        )
        self._step(raft.Tick())

    def stop(self) -> None:
        self.is_up = False

    def link(self, peer: int, *, up: bool) -> None:
        self._gathered = []
        self._step(raft.LinkUp(peer) if up else raft.LinkDown(peer))

    def arrived(self, peer: int, message: object) -> None:
        if isinstance(message, Chunk):
            self._chunk(peer, message)
        elif isinstance(message, bool):
            self._step(raft.SnapshotSent(peer, message))
        else:
            self._step(raft.Receive(peer, message))

    def _chunk(self, peer: int, chunk: Chunk) -> None:
        self._gathered.append(chunk)
        if chunk.number + 1 < chunk.count:
            return
        whole = [each.number for each in self._gathered] == list(range(chunk.count))
        self._gathered = []
        self.world.post(self.number, peer, whole)
        if whole:
            self._staged = chunk.state
            self._step(raft.SnapshotReceived(peer, chunk.state.index, chunk.state.term))

    def tick(self) -> None:
        self._step(raft.Tick())

    def _step(self, *inputs: raft.RaftInput) -> None:
        waiting: list[raft.RaftInput] = list(inputs)
        while waiting and self.is_up:
            out = self.engine.step(int(self.world.now_s * 1000), waiting)
            waiting = self._carry_out(out)

    def _carry_out(self, out: raft.RaftOutput) -> list[raft.RaftInput]:
        follow: list[raft.RaftInput] = []
        for persist in out.persist:
            self._persist(persist)
            if persist.sequence:
                self._persisted = persist.sequence
                follow.append(raft.Persisted(persist.sequence))
        if out.role is not None and out.role.is_leader:
            self.world.judge.led(self.number, out.role.term)
        for peer, data, after in out.send:
            assert after <= self._persisted
            self.world.post(self.number, peer, data)
        for entry in out.apply:
            self._apply(entry)
        for outcome in out.resolved:
            if self._joining.pop(outcome.token, 0) == 0:
                self.world.judge.failed.append(self._asked.pop(outcome.token))
        for peer, index in out.send_snapshot:
            self._send_snapshot(peer, index)
        if out.install is not None:
            follow.append(self._install(out.install))
        return follow

    def _persist(self, persist: raft.Persist) -> None:
        log = self.log
        if persist.hard_state is not None:
            log.hard = persist.hard_state
        if persist.truncate_from is not None:
            log.truncate_from(persist.truncate_from)
        for entry in persist.append:
            assert entry.index == log.last_index + 1, "INV-JOURNAL-CONTIGUOUS"
            log.entries.append(entry)
        if persist.drop_to is not None:
            log.drop_to(persist.drop_to)

    def _apply(self, entry: Entry) -> None:
        assert entry.index == self.state.index + 1, "INV-APPLY-ONCE"
        name = pack_of(entry.payload).decode().strip()
        if (change := change_of(entry.payload)) is not None:
            for token, peer in list(self._joining.items()):
                if peer == change.member:
                    del self._joining[token]
                    self.world.judge.joined.append(str(peer))
        names = (*self.state.names, name) if name else self.state.names
        self.state = self.state._replace(index=entry.index, term=entry.term, names=names)
        if name:
            self.world.judge.applied(self.number, entry.index, name)
        for token, asked in list(self._asked.items()):
            if asked == name:
                del self._asked[token]
                self.world.judge.acknowledged.append(name)

    def _send_snapshot(self, peer: int, index: int) -> None:
        assert self.state.index >= index
        state = self.state._replace(members=tuple(self.engine.members))
        count = state.weight // CHUNK_BYTES + 1
        for number in range(count):
            self.world.post(self.number, peer, Chunk(number, count, state))

    def _install(self, wanted: tuple[int, int]) -> raft.RaftInput:
        state = self._staged
        assert state is not None
        assert (state.index, state.term) == wanted
        log = self.log
        log.entries.clear()
        log.base_index, log.base_term = wanted
        self.kept = self.state = state
        return raft.SnapshotInstalled(state.index, dict.fromkeys(state.members, True))

    def knows(self, peer: int) -> bool:
        return peer in self.engine.members or peer in self.members

    def put(self, name: str, size: int) -> None:
        self._tokens += 1
        self._asked[self._tokens] = name
        self._step(raft.Propose(self._tokens, name.encode().ljust(size)))

    def join(self, peer: int) -> None:
        self._tokens += 1
        change = Change(ChangeKind.ADD_VOTER, peer)
        self._joining[self._tokens] = peer
        self._step(raft.ChangeMember(self._tokens, framed(change, b""), change))

    def compact(self) -> None:
        self.kept = self.state._replace(members=tuple(self.engine.members))
        self._step(raft.SnapshotTaken(self.state.index, self.state.term))

    def weigh(self, size: int) -> None:
        self.state = self.state._replace(weight=size)

    def remember_disk(self) -> None:
        """Nothing to do: a log of ours is durable as soon as it promises anything."""

    def lose_power(self) -> None:
        self.stop()

    def campaign_in(self, seconds: float) -> None:
        elections = self.engine._elections
        elections.due_ms = int((self.world.now_s + seconds) * 1000)
        if not seconds:
            # Nobody is held to a leader that the schedule has cut off.
            for machine in self.world.machines.values():
                if isinstance(machine, EngineMachine) and machine.is_up:
                    machine.engine._elections.forget_leader()

    def glance(self, message: object) -> Glance:
        if isinstance(message, Chunk):
            return Glance("snapshot")
        if isinstance(message, bool):
            return Glance("other")
        found = decode(message)
        match found:
            case Append():
                return Glance("append", len(found.entries), found.previous)
            case AskVote() | Canvass():
                return Glance("vote")
            case Ack():
                return Glance("ack")
            case _:
                return Glance("other")

    @property
    def leads(self) -> bool:
        return self.is_up and self.engine.role.is_leader

    @property
    def names(self) -> Sequence[str]:
        return self.state.names

    @property
    def last_index(self) -> int:
        return self.log.last_index

    @property
    def commit_index(self) -> int:
        return self.engine.commit_index


@contextmanager
def engine_world(count: int = 3, *, make: Make, members: Sequence[int] = ()) -> Iterator[World]:
    """Yield a world of machines that run the engine, all started unless members says which."""
    world = World()
    first = members or range(1, count + 1)
    for number in range(1, count + 1):
        theirs = first if number in first else ()
        world.machines[number] = EngineMachine(world, number, theirs, make)
    world.start(*first)
    yield world
