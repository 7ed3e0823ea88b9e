"""Perfect-log engines of several members on a network, without driver and core.

The rule of this file: it does what a driver does for an engine and nothing more: persists take a
moment, messages wait for what they promise, snapshots travel whole. Payloads are what a test likes.
"""

from collections.abc import Sequence
from functools import partial

from attrs import define, field

from net import replicator as raft
from net.replicator import Entry
from sim.ledger import Ledger
from sim.models import LogImage
from sim.network import Network
from sim.perfect import PerfectEngine
from sim.world import World

SYNC_US = 500


@define
class EngineMember:
    """One member: engine, log, what it applied and was told."""

    world: "EngineWorld"
    id: int
    log: LogImage = field(factory=LogImage)
    applied: list[bytes] = field(factory=list[bytes])
    applied_index: int = 0
    ready: list[tuple[int, int]] = field(factory=list[tuple[int, int]])
    lost: list[int] = field(factory=list[int])
    resolved: list[raft.Outcome] = field(factory=list[raft.Outcome])
    roles: list[raft.Role] = field(factory=list[raft.Role])
    engine: PerfectEngine | None = None
    life: int = 0
    sync_us: int = SYNC_US
    _persisted: int = 0
    _gated: list[tuple[int, int, bytes]] = field(factory=list[tuple[int, int, bytes]])

    def start(self) -> None:
        self.life += 1
        self._persisted = 0
        self._gated = []
        hard = self.log.hard
        state = raft.HardState(*hard) if isinstance(hard, tuple) else raft.HardState(0, 0, 0)
        bounds = raft.LogBounds(state, self.log.last_index, 0, self.applied_index)
        self.engine = PerfectEngine(
            self.id,
            self.world.ledger,
            bounds,
            base=(self.log.base_index, self.log.base_term),
            entries=self.log.entries,
            message_bytes=200,
            lossy=self.world.network.datagrams,
        )
        self.world.ledger.engines[self.id] = self.engine
        self.world.network.attach(self.id - 1, self)

    def crash(self) -> None:
        """End it; what was not persisted is gone."""
        self.life += 1
        self.engine = None
        self.world.ledger.engines.pop(self.id)
        self.world.network.detach(self.id - 1)

    def step(self, *inputs: raft.RaftInput) -> None:
        """Step the engine and do what it asks for."""
        if self.engine is None:
            return
        out = self.engine.step(self.world.world.now_us // 1000, inputs)
        for persist in out.persist:
            self._persist(persist)
        for peer, data, after in out.send:
            if after <= self._persisted:
                self._send(peer, data)
            else:
                self._gated.append((after, peer, data))
        for entry in out.apply:
            assert entry.index == self.applied_index + 1
            self.applied_index += 1
            self.applied.append(entry.payload)
        self.ready += out.read_ready
        self.lost += out.read_lost
        self.resolved += out.resolved
        if out.role is not None:
            self.roles.append(out.role)
        for peer, _ in out.send_snapshot:
            state = (self.applied_index, self.engine.term, tuple(self.applied))
            self.world.network.send(self.id - 1, peer - 1, state, size=100, what="snapshot")
        if out.install is not None:
            index, term = out.install
            self.log = LogImage(index, term)
            self.applied_index = index
            self.applied = list(self.world.staged[self.id])
            self.step(raft.SnapshotInstalled(index))
        if out.next_deadline_ms is not None:
            self.world.world.at(out.next_deadline_ms * 1000, partial(self._tick, self.life))

    def _tick(self, life: int) -> None:
        if life == self.life:
            self.step(raft.Tick())

    def _persist(self, persist: raft.Persist) -> None:
        life = self.life

        def done() -> None:
            if life != self.life:
                return
            if persist.truncate_from is not None:
                self.log.truncate_from(persist.truncate_from)
            self.log.entries += persist.append
            if not persist.sequence:
                return
            self._persisted = persist.sequence
            ready = [each for each in self._gated if each[0] <= self._persisted]
            self._gated = [each for each in self._gated if each[0] > self._persisted]
            for _, peer, data in ready:
                self._send(peer, data)
            self.step(raft.Persisted(persist.sequence))

        self.world.world.after_us(self.sync_us, done)

    def _send(self, peer: int, data: bytes) -> None:
        self.world.network.send(self.id - 1, peer - 1, data, size=len(data), what="test")

    # The network's port.

    def link_up(self, peer: int) -> None:
        self.step(raft.LinkUp(peer + 1))

    def link_down(self, peer: int) -> None:
        self.step(raft.LinkDown(peer + 1))

    def arrived(self, peer: int, data: object) -> None:
        if isinstance(data, bytes):
            self.step(raft.Receive(peer + 1, data))
            return
        assert isinstance(data, tuple)
        index, term, applied = data
        self.world.staged[self.id] = applied
        self.step(raft.SnapshotReceived(peer + 1, index, term))


class EngineWorld:
    """So many members, started; `settle` lets them elect and catch up."""

    def __init__(self, size: int = 3, *, datagrams: bool = False, seed: int = 1) -> None:
        self.world = World(seed)
        self.network = Network(self.world, size, datagrams=datagrams)
        self.staged: dict[int, Sequence[bytes]] = {}
        self.ledger = Ledger(
            self.world,
            tuple(range(1, size + 1)),
            can_talk=lambda a, b: self.network.is_free(a - 1, b - 1),
            wake=lambda member: self.members[member].step(raft.Tick()),
        )
        self.members = {number: EngineMember(self, number) for number in range(1, size + 1)}
        for member in self.members.values():
            member.start()
        self.ledger.begin()
        self._token = 0

    def run(self, ms: int) -> None:
        """Let time pass."""
        self.world.run_until(self.world.now_us + ms * 1000)

    def settle(self) -> "EngineWorld":
        """Let somebody be elected."""
        self.run(4000)
        assert self.ledger.leader()
        return self

    @property
    def leader(self) -> EngineMember:
        """Who leads."""
        return self.members[self.ledger.leader()]

    @property
    def followers(self) -> list[EngineMember]:
        """The others, by id."""
        return [each for each in self.members.values() if each is not self.leader]

    def propose(self, member: EngineMember, payload: bytes) -> int:
        """Propose on a member; return the token."""
        self._token += 1
        member.step(raft.Propose(self._token, payload))
        return self._token

    def cut_off(self, member: EngineMember, *, on: bool) -> None:
        """Isolate a member, or let it back."""
        for other in self.members:
            if other != member.id:
                self.network.hold(member.id - 1, other - 1, on=on)
                self.network.hold(other - 1, member.id - 1, on=on)

    def logs(self) -> list[list[bytes]]:
        """What each member applied, without leaders' first packs."""
        return [[p for p in each.applied if p] for each in self.members.values()]


def entry(index: int, term: int, payload: bytes) -> Entry:
    """One entry."""
    return Entry(index, term, payload)
