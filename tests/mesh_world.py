"""Meshes of members in one process: connections are bytes carried by hand, time is a number.

The rule of this file: what the reactor does to a codec, and nothing else, is done here. A member's
certificate is what its `PeerInfo` says.
"""

from collections.abc import Callable, Mapping, Set
from random import Random

from attrs import define, evolve, field

from net.application import Codec
from net.listen import PeerInfo, Role
from net.peers.connection import PeerConnection
from net.peers.hello import Contact
from net.peers.mesh import Dialled, Mesh, Self
from net.telemetry import Logger, Sink

CLUSTER = 0xC1


def contact(member: int) -> Contact:
    """A member as the log has it."""
    return Contact(member, f"m{member}", (f"https://10.0.0.{member}:2380",))


def shown(member: int) -> PeerInfo:
    """What a member's certificate says, at the other end."""
    host = f"10.0.0.{member}"
    return PeerInfo(f"{host}:4711", Role.PEER, "", is_secure=True, names=(host,))


@define(eq=False)
class Wire:
    """A connection: two codecs; what one has is fed to the other."""

    near: Codec
    far: Codec
    is_cut: bool = False
    breaks_after: int | None = None
    """So many bytes go over it, and what follows is lost with it."""
    over: set[int] = field(factory=set[int])

    def carry(self, now_ms: int) -> bool:
        """Carry what both ends have to say; whether they said anything."""
        moved = False
        if self.breaks_after is not None and self.breaks_after <= 0:
            self.break_off()
        for end, (source, target) in enumerate(((self.near, self.far), (self.far, self.near))):
            if end in self.over:
                continue
            data = source.take(1 << 20)
            if data and not self.is_cut:
                target.feed(data, now_ms)
                moved = True
                if self.breaks_after is not None:
                    self.breaks_after -= len(data)
            if source.closing and not data:
                self.over.add(end)
                if not self.is_cut:
                    self.over.add(1 - end)
                    target.eof()
                moved = True
        return moved

    @property
    def owners(self) -> list[object]:
        """The meshes of both ends."""
        return [end.host for end in (self.near, self.far) if isinstance(end, PeerConnection)]

    def break_off(self) -> None:
        """Both ends learn that it is gone."""
        if len(self.over) < 2:
            self.over = {0, 1}
            self.near.eof()
            self.far.eof()

    def tick(self, now_ms: int) -> None:
        """Let deadlines pass."""
        for end, codec in enumerate((self.near, self.far)):
            if end not in self.over and 0 < codec.next_deadline_ms <= now_ms:
                codec.tick(now_ms)


@define(eq=False)
class OpenWire:
    """`net.peers.mesh.Dialled`."""

    info: PeerInfo
    far: Codec
    world: "MeshWorld"

    def adopt(self, codec: Codec) -> None:
        """See Dialled."""
        wire = Wire(codec, self.far, breaks_after=self.world.breaks_after)
        self.world.wires.append(wire)

    def abandon(self) -> None:
        """See Dialled."""
        self.far.eof()


@define(eq=False)
class Telephone:
    """`net.peers.mesh.Dialler`: rings at the other mesh, if that one listens."""

    world: "MeshWorld"
    me: int
    info: PeerInfo
    calls: list[tuple[int, Callable[[Dialled | str], None]]] = field(
        factory=list[tuple[int, Callable[[Dialled | str], None]]]
    )
    dialled: int = 0

    def start(self, wake: Callable[[], None]) -> None:
        """See Dialler."""

    def dial(self, contact: Contact, done: Callable[[Dialled | str], None]) -> None:
        """See Dialler."""
        self.dialled += 1
        self.calls.append((contact.id, done))

    def deliver(self) -> None:
        """See Dialler."""
        calls, self.calls = self.calls, []
        for target, done in calls:
            done(self.world.reach(self, target))

    def close(self) -> None:
        """See Dialler."""


@define(eq=False)
class Members:
    """`net.peers.mesh.Roster` that a test writes."""

    contacts: Mapping[int, Contact]
    known: Set[int]
    removed: Set[int] = frozenset()


@define(eq=False)
class Node:
    """One member: its mesh, and everything it was told."""

    mesh: Mesh
    roster: Members
    phone: Telephone
    lines: list[str]
    told: list[tuple[str, int, int, bytes]] = field(factory=list[tuple[str, int, int, bytes]])
    listens: bool = True
    round_trips_us: list[int] = field(factory=list[int])

    def link_up(self, peer: int) -> None:
        """See Arrivals."""
        self.told.append(("up", peer, 0, b""))

    def link_down(self, peer: int) -> None:
        """See Arrivals."""
        self.told.append(("down", peer, 0, b""))

    def arrived(self, peer: int, channel: int, body: bytes) -> None:
        """See Arrivals."""
        self.told.append(("came", peer, channel, body))

    def measured(self, peer: int, round_trip_us: int) -> None:
        """See Arrivals."""
        self.round_trips_us.append(round_trip_us)

    def removed(self, by: int) -> None:
        """See Arrivals."""
        self.told.append(("removed", by, 0, b""))

    @property
    def linked(self) -> set[int]:
        """The peers with whom a link stands, as it was told."""
        peers: set[int] = set()
        for what, peer, _, _ in self.told:
            if what == "up":
                peers.add(peer)
            elif what == "down":
                peers.discard(peer)
        return peers

    @property
    def heard(self) -> list[tuple[int, int, bytes]]:
        """What came, in order."""
        return [(peer, channel, body) for what, peer, channel, body in self.told if what == "came"]


class MeshWorld:
    """Members 1 to n, all of whom know each other."""

    def __init__(self, size: int, *, seed: int = 0) -> None:
        self.now_ms: int = 1_000
        self.wires: list[Wire] = []
        self.breaks_after: int | None = None
        """See Wire: of those that are made from now on."""
        self.nodes: dict[int, Node] = {}
        self.chance = Random(seed)
        for member in range(1, size + 1):
            self.begin(member, range(1, size + 1))

    def begin(self, member: int, known: range, *, cluster: int = CLUSTER) -> Node:
        """Start a member, or a new life of one."""
        lines: list[str] = []
        log = Logger(Sink(lines.append, lambda: self.now_ms * 1_000_000))
        roster = Members({each: contact(each) for each in known}, set(known))
        phone = Telephone(self, member, shown(member))
        me = Self(cluster, member, self.chance.getrandbits(64))
        mesh = Mesh(me, roster, phone, log, self.chance.getrandbits, lambda: self.now_ms * 1000)
        node = self.nodes[member] = Node(mesh, roster, phone, lines)
        mesh.open(node, lambda: None, [])
        return node

    def reach(self, caller: Telephone, target: int) -> Dialled | str:
        """Ring at a member."""
        node = self.nodes.get(target)
        if node is None or not node.listens or not self.nodes[caller.me].listens:
            return "connection refused"
        far = node.mesh.accepted(caller.info, self.now_ms)
        there = evolve(shown(target), address=f"10.0.0.{target}:2380")
        return OpenWire(there, far, self)

    def stranger(self, target: int, info: PeerInfo, data: bytes) -> tuple[Codec, bytes]:
        """Connect to a member from nowhere; return its end, and what it answers."""
        codec = self.nodes[target].mesh.accepted(info, self.now_ms)
        codec.feed(data, self.now_ms)
        return codec, codec.take(1 << 20)

    def run(self, ms: int, *, step_ms: int = 10) -> None:
        """Let time pass, everything carried at once."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms += step_ms
            for node in self.nodes.values():
                node.mesh.tick(self.now_ms)
            for wire in self.wires:
                wire.tick(self.now_ms)
            while any([wire.carry(self.now_ms) for wire in self.wires]):
                pass
            self.wires = [wire for wire in self.wires if len(wire.over) < 2]

    def kill(self, member: int) -> None:
        """End a member's life; its connections break."""
        mesh = self.nodes.pop(member).mesh
        for wire in self.wires:
            if mesh in wire.owners:
                wire.break_off()

    def lose_power(self, member: int) -> None:
        """End a member's life; nobody is told."""
        mesh = self.nodes.pop(member).mesh
        for wire in self.wires:
            if mesh in wire.owners:
                wire.is_cut = True
                wire.over.add(wire.owners.index(mesh))
