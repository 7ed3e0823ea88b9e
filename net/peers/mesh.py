"""The connections to all other members: who is dialled when, who is let in, which one counts.

    one connection for each pair, and both ends may dial
    the member with the higher id is the better dialler: the other one waits `YIELD_MS` before it
    dials, and `FIRST_MS` at its start
    if two stand, the better dialler's counts, else the newer; one of an earlier life never counts

Rule: sans-IO: sockets are dialled and adopted by ports. Whoever is let in was named as a member by
the log, speaks for it by certificate, and means this member of this cluster; everybody else is
told why and costs one log line in a while. A link is up while one connection counts; what came on
a connection that counts no more is not handed on.
"""

from collections.abc import Callable, Mapping, Set
from typing import Protocol

from attrs import define, field, frozen

from net.application import Codec
from net.listen import PeerInfo
from net.peers.backoff import Backoff
from net.peers.connection import PeerConnection
from net.peers.hello import Contact, Hello, Refusal
from net.peers.identity import speaks_for
from net.peers.limits import (
    FAREWELL_MS,
    FIRST_MS,
    FRAME_BYTES_MAX,
    HALF_OPEN_MAX,
    LINK_LINE_MS,
    LINK_LINES_MAX,
    RETRY_MS_MAX,
    ROSTER_MS,
    STEADY_MS,
    STRANGER_LOG_MS,
    YIELD_MS,
)
from net.peers.links import Arrivals
from net.telemetry import Logger

_ALREADY = "there is a connection already"
"""Why one of two connections of a pair ends: no news to anybody."""


class Dialler(Protocol):
    """Opens connections: in threads, or in a test."""

    def start(self, wake: Callable[[], None]) -> None:
        """Begin; `wake` makes the owner call `deliver` soon."""
        ...

    def dial(self, contact: Contact, done: Callable[["Dialled | str"], None]) -> None:
        """Try the member's URLs; `done` is called by `deliver`."""
        ...

    def deliver(self) -> None:
        """Call `done` of every attempt that has ended, with what failed or what stands."""
        ...

    def close(self) -> None:
        """Give up every attempt."""
        ...


class Dialled(Protocol):
    """A connection that this end opened, TLS being through."""

    @property
    def info(self) -> PeerInfo:
        """Who is at the other end."""
        ...

    def adopt(self, codec: Codec) -> None:
        """Have it served from now on."""
        ...

    def abandon(self) -> None:
        """Close it unused."""
        ...


class Roster(Protocol):
    """Who the members are, as this member knows."""

    @property
    def contacts(self) -> Mapping[int, Contact]:
        """Every member that was applied, this one included."""
        ...

    @property
    def known(self) -> Set[int]:
        """Ids of members, of those as well that the log names and nobody has applied."""
        ...

    @property
    def removed(self) -> Set[int]:
        """Ids that were members and never are again."""
        ...


@frozen
class Self:
    """Who this member is, for one life."""

    cluster_id: int
    member_id: int
    life: int
    is_pinned: bool = False
    """Whether all members share one certificate, which proves the cluster alone."""
    frame_bytes_max: int = FRAME_BYTES_MAX


@define(eq=False)
class _Peer:
    """What is going on with one other member."""

    backoff: Backoff
    due_ms: int
    is_dialling: bool = False
    connection: PeerConnection | None = None
    opened_ms: int = 0
    leaves_ms: int = 0
    """Until when one that is a member no more may hear so over the link; 0 for a member."""
    told: str = ""
    """The last failure that was logged: the same one again is not news."""
    lines: int = LINK_LINES_MAX
    lines_ms: int = 0

    def may_log(self, now_ms: int) -> bool:
        """Whether one more line may tell of this link: one that flaps does not fill a disk."""
        earned = (now_ms - self.lines_ms) // LINK_LINE_MS
        self.lines = min(LINK_LINES_MAX, self.lines + earned)
        self.lines_ms += earned * LINK_LINE_MS
        self.lines -= self.lines > 0
        return self.lines > 0


@define(eq=False)
class Mesh:
    """`net.peers.links.Links` over real connections. One owner: the reactor's task."""

    me: Self
    roster: Roster
    dialler: Dialler
    log: Logger
    bits: Callable[[int], int]
    clock_us: Callable[[], int] = lambda: 0
    """A clock for the time of a round trip alone."""
    _dirty: list[Codec] = field(factory=list[Codec], init=False)
    _arrivals: Arrivals = field(init=False)
    _peers: dict[int, _Peer] = field(factory=dict[int, _Peer], init=False)
    _strangers: dict[PeerConnection, None] = field(factory=dict[PeerConnection, None], init=False)
    _now_ms: int = field(default=0, init=False)
    _look_ms: int = field(default=0, init=False)
    _is_closed: bool = field(default=False, init=False)

    # Links.

    def open(self, arrivals: Arrivals, wake: Callable[[], None], dirty: list[Codec]) -> None:
        """See Links."""
        self._arrivals = arrivals
        self._dirty = dirty
        self.dialler.start(wake)

    def tick(self, now_ms: int) -> int | None:
        """See Links."""
        self._now_ms = now_ms
        if self._is_closed:
            return None
        self.dialler.deliver()
        if now_ms >= self._look_ms:
            self._look_ms = now_ms + ROSTER_MS
            self._follow_roster()
        due_ms = self._look_ms
        for member, peer in self._peers.items():
            if peer.connection is not None or peer.is_dialling:
                continue
            contact = self.roster.contacts.get(member)
            if contact is None or not contact.urls:
                continue
            if now_ms >= peer.due_ms:
                self._dial(peer, contact)
            elif peer.due_ms < due_ms:
                due_ms = peer.due_ms
        return due_ms

    def send(self, peer: int, channel: int, body: bytes) -> bool:
        """See Links."""
        known = self._peers.get(peer)
        if known is None or known.connection is None:
            return False
        self._dirty.append(known.connection)
        return known.connection.send(channel, body)

    def end(self, peer: int, reason: str) -> None:
        """See Links."""
        known = self._peers.get(peer)
        if known is not None and known.connection is not None:
            self._dirty.append(known.connection)
            known.connection.close(reason)

    def accepted(self, info: PeerInfo, now_ms: int) -> Codec:
        """See Links."""
        self._now_ms = now_ms
        connection = self._connection(info, None)
        if len(self._strangers) >= HALF_OPEN_MAX or self._is_closed:
            connection.close("too many connections have not said who they are")
        else:
            self._strangers[connection] = None
        return connection

    def close(self) -> None:
        """See Links."""
        self._is_closed = True
        self.dialler.close()
        for peer in self._peers.values():
            if peer.connection is not None:
                peer.connection.close("this member stops")

    # Host.

    def judge(self, connection: PeerConnection, hello: Hello) -> Hello | tuple[Refusal, str]:
        """See Host."""
        refused = self._refusal(connection, hello) or self._rivalry(connection, hello)
        if refused is not None:
            return refused
        return self._greeting(hello.sender)

    def opened(self, connection: PeerConnection) -> None:
        """See Host."""
        self._strangers.pop(connection, None)
        member = connection.peer
        peer = self._peers.get(member) or self._begin(member)
        if connection.is_dialled:
            peer.is_dialling = False
        before, peer.connection = peer.connection, connection
        if before is not None:
            self._dirty.append(before)
            before.close("another connection took its place")
            self._arrivals.link_down(member)
        peer.opened_ms = self._now_ms
        peer.told = ""
        if peer.may_log(self._now_ms):
            self.log.info(
                "connected to a member",
                member=f"{member:x}",
                remote_addr=connection.info.address,
                dialled=connection.is_dialled,
                tls=connection.info.is_secure,
            )
        self._arrivals.link_up(member)

    def heard(self, connection: PeerConnection, channel: int, body: bytes) -> None:
        """See Host."""
        member = connection.peer
        if self._peers[member].connection is connection:
            self._arrivals.arrived(member, channel, body)

    def measured(self, connection: PeerConnection, round_trip_us: int) -> None:
        """See Host."""
        self._arrivals.measured(connection.peer, round_trip_us)

    def ended(self, connection: PeerConnection) -> None:
        """See Host."""
        self._strangers.pop(connection, None)
        if not connection.is_open:
            self._failed(connection)
            return
        member = connection.peer
        peer = self._peers.get(member)
        if peer is None or peer.connection is not connection:
            return
        peer.connection = None
        if self._now_ms - peer.opened_ms >= STEADY_MS:
            peer.backoff.succeeded()
        wait_ms = 0 if self._is_better(member) else YIELD_MS
        peer.due_ms = self._now_ms + wait_ms + peer.backoff.failed()
        if not self._is_closed and peer.may_log(self._now_ms):
            self.log.warn(
                "lost the connection to a member",
                member=f"{member:x}",
                remote_addr=connection.info.address,
                error=connection.reason,
            )
        self._arrivals.link_down(member)

    # Who is let in.

    def _refusal(self, connection: PeerConnection, hello: Hello) -> tuple[Refusal, str] | None:
        me, roster, sender = self.me, self.roster, hello.sender
        if hello.version is None:
            return Refusal.WRONG_VERSION, f"it speaks {hello.oldest} to {hello.newest}"
        if hello.cluster_id != me.cluster_id:
            return (
                Refusal.WRONG_CLUSTER,
                f"cluster {hello.cluster_id:x} is not {me.cluster_id:x}",
            )
        if hello.target != me.member_id or sender == me.member_id:
            return Refusal.NOT_ME, f"member {hello.target:x} is not {me.member_id:x}"
        if connection.mine is not None and connection.mine.target != sender:
            return Refusal.NOT_ME, f"member {sender:x} answers for {connection.mine.target:x}"
        if sender in roster.removed:
            return Refusal.REMOVED_MEMBER, f"member {sender:x} was removed from the cluster"
        if sender not in roster.known:
            return Refusal.UNKNOWN_MEMBER, f"member {sender:x} is none that is known here"
        if not self.me.is_pinned and not speaks_for(connection.info, sender, roster.contacts):
            return Refusal.WRONG_CERTIFICATE, f"its certificate does not speak for {sender:x}"
        return None

    def _rivalry(self, connection: PeerConnection, hello: Hello) -> tuple[Refusal, str] | None:
        """Refuse the worse of two connections to one member."""
        peer = self._peers.get(hello.sender)
        current = peer.connection if peer is not None else None
        if current is None or current.theirs is None or current.theirs.life != hello.life:
            return None
        better = self._is_better(hello.sender)
        if current.is_dialled == better and connection.is_dialled != better:
            return Refusal.CONNECTED, _ALREADY
        return None

    def _is_better(self, member: int) -> bool:
        """Whether this end is the one to dial that member."""
        return self.me.member_id > member

    def _greeting(self, target: int) -> Hello:
        return Hello(self.me.cluster_id, self.me.member_id, target, self.me.life)

    # Dialling.

    def _follow_roster(self) -> None:
        """Begin with members that are new, let go of those that are members no more."""
        known, me = self.roster.known, self.me.member_id
        for member in sorted(known):
            if member not in self._peers and member != me:
                self._begin(member)
        for member, peer in list(self._peers.items()):
            if member in known:
                peer.leaves_ms = 0
            elif not peer.leaves_ms:
                peer.leaves_ms = self._now_ms + FAREWELL_MS
            elif self._now_ms >= peer.leaves_ms:
                self.end(member, "it is a member no more")
                del self._peers[member]

    def _begin(self, member: int) -> _Peer:
        wait_ms = 0 if self._is_better(member) else FIRST_MS
        peer = self._peers[member] = _Peer(Backoff(self.bits), self._now_ms + wait_ms)
        return peer

    def _dial(self, peer: _Peer, contact: Contact) -> None:
        peer.is_dialling = True

        def done(result: Dialled | str) -> None:
            peer.is_dialling = False
            if isinstance(result, str):
                self._again(peer, contact, result)
            elif self._is_closed or peer.connection is not None:
                result.abandon()
            else:
                connection = self._connection(result.info, self._greeting(contact.id))
                peer.is_dialling = True  # Until the other end has answered or not.
                result.adopt(connection)

        self.dialler.dial(contact, done)

    def _connection(self, info: PeerInfo, mine: Hello | None) -> PeerConnection:
        return PeerConnection(
            info,
            self,
            self._now_ms,
            mine,
            clock_us=self.clock_us,
            frame_bytes_max=self.me.frame_bytes_max,
        )

    def _failed(self, connection: PeerConnection) -> None:
        """A connection ended before it was open."""
        if connection.mine is None:
            if connection.reason != _ALREADY:
                self._tell_refused(connection, connection.reason)
            return
        member = connection.mine.target
        peer = self._peers.get(member)
        contact = self.roster.contacts.get(member)
        if peer is None or contact is None:
            return
        peer.is_dialling = False
        is_certain = self.me.is_pinned or speaks_for(connection.info, member, self.roster.contacts)
        if connection.refusal is Refusal.REMOVED_MEMBER and is_certain:
            self._arrivals.removed(member)
        self._again(peer, contact, connection.reason)

    def _again(self, peer: _Peer, contact: Contact, reason: str) -> None:
        peer.due_ms = self._now_ms + peer.backoff.failed()
        if peer.connection is None and reason != peer.told and not self._is_closed:
            peer.told = reason
            self.log.warn(
                "cannot connect to a member; trying again",
                member=f"{contact.id:x}",
                name=contact.name,
                urls=contact.urls,
                error=reason,
                at_least_every_ms=RETRY_MS_MAX,
            )

    def _tell_refused(self, connection: PeerConnection, reason: str) -> None:
        self.log.warn_every(
            STRANGER_LOG_MS,
            "refused a connection on a peer port",
            remote_addr=connection.info.address,
            common_name=connection.info.common_name or "",
            error=reason,
        )
