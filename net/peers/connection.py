"""One connection between two members, sans-IO: the codec that the reactor serves for each.

    dialled    say HELLO ----> judge it, say HELLO ----> both are open: frames in both directions
    accepted   wait for one    or say REFUSE             or end

Rule: nothing is handed on before both ends were judged, nothing after the end, and everything in
order. Small frames overtake pieces of snapshots. What does not fit into the outbox is dropped and
counted: the engine repairs that. Bytes that no member sends end the connection.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from attrs import define, field

from net.listen import PeerInfo
from net.peers import hello as say
from net.peers.frames import FrameError, FrameReader, framed
from net.peers.hello import Hello, Refusal
from net.peers.limits import (
    FRAME_BYTES_MAX,
    GREETING_BYTES_MAX,
    GREETING_MS_MAX,
    OUTBOX_BYTES_MAX,
    PING_MS,
    SILENCE_MS,
)

_NOTHING = memoryview(b"")


class Host(Protocol):
    """Who owns connections, judges greetings and takes what comes."""

    def judge(self, connection: "PeerConnection", hello: Hello) -> Hello | tuple[Refusal, str]:
        """Say why the other end may not talk; what this end says of itself if it may."""
        ...

    def opened(self, connection: "PeerConnection") -> None:
        """Both ends were judged: frames may go from here on."""
        ...

    def heard(self, connection: "PeerConnection", channel: int, body: bytes) -> None:
        """Take a frame of an open connection."""
        ...

    def measured(self, connection: "PeerConnection", round_trip_us: int) -> None:
        """A message to the other end and back took so long."""
        ...

    def ended(self, connection: "PeerConnection") -> None:
        """The connection is over."""
        ...


@define(eq=False)
class Traffic:
    """What went over one connection."""

    sent_bytes: int = 0
    received_bytes: int = 0
    dropped: int = 0
    """Messages that the outbox had no room for."""


@define(eq=False)
class PeerConnection:
    """See the module. `mine` is what this end says first, if it dialled."""

    info: PeerInfo
    host: Host
    now_ms: int
    mine: Hello | None = None
    theirs: Hello | None = None
    is_open: bool = False
    closing: bool = False
    reason: str = ""
    refusal: Refusal | None = None
    """Why the other end refused, if it did and this version knows the reason."""
    clock_us: Callable[[], int] = lambda: 0
    """A clock for the time of a round trip alone."""
    frame_bytes_max: int = FRAME_BYTES_MAX
    outbox_bytes_max: int = OUTBOX_BYTES_MAX
    is_dialled: bool = field(init=False)
    traffic: Traffic = field(factory=Traffic, init=False)
    next_deadline_ms: int = field(init=False)
    has_more: bool = field(default=False, init=False)
    queued_bytes: int = field(default=0, init=False)
    _is_over: bool = field(default=False, init=False)
    _reader: FrameReader = field(init=False)
    _urgent: deque[bytes] = field(factory=deque[bytes], init=False)
    _bulk: deque[bytes] = field(factory=deque[bytes], init=False)
    _rest: memoryview = field(default=_NOTHING, init=False)
    _heard_ms: int = field(init=False)
    _pinged_ms: int = field(init=False)
    _pinged_us: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = FrameReader(self.frame_bytes_max, GREETING_BYTES_MAX)
        self._heard_ms = self._pinged_ms = self.now_ms
        self.next_deadline_ms = self.now_ms + GREETING_MS_MAX
        self.is_dialled = self.mine is not None
        if self.mine is not None:
            self._put(framed(say.HELLO, say.encode_hello(self.mine)))

    @property
    def peer(self) -> int:
        """Who is at the other end, once it is open."""
        assert self.theirs is not None, "INV-PEER-JUDGED"
        return self.theirs.sender

    # The reactor's side.

    @property
    def pending_bytes(self) -> int:
        """See Codec. Never a reason to stop reading: two members that both wait wait for ever."""
        return 0

    @property
    def messages_in(self) -> int:
        """See Codec: a member that was judged is no newcomer."""
        return int(self.is_open)

    def feed(self, data: bytes, now_ms: int) -> None:
        """See Codec."""
        self.now_ms = self._heard_ms = now_ms
        self.traffic.received_bytes += len(data)
        if self.closing:
            return
        try:
            for channel, body in self._reader.feed(data):
                self._take(channel, body)
                if self.closing:
                    return
        except FrameError as error:
            self.close(str(error))

    def take(self, limit: int) -> bytes:
        """See Codec."""
        if len(self._urgent) == 1 and not self._rest and len(self._urgent[0]) == self.queued_bytes:
            if self.queued_bytes <= limit:
                self.queued_bytes = 0
                self.traffic.sent_bytes += len(self._urgent[0])
                return self._urgent.popleft()
        elif not self.queued_bytes:
            return b""
        pieces: list[bytes | memoryview] = []
        room = limit
        while room > 0:
            if not self._rest:
                queue = self._urgent or self._bulk
                if not queue:
                    break
                self._rest = memoryview(queue.popleft())
            piece = self._rest[:room]
            self._rest = self._rest[len(piece) :]
            pieces.append(piece)
            room -= len(piece)
        data = b"".join(pieces)
        self.queued_bytes -= len(data)
        self.traffic.sent_bytes += len(data)
        return data

    def eof(self) -> None:
        """See Codec."""
        self.close(self.reason or "the other end closed it")

    def drain(self, now_ms: int) -> None:
        """See Codec. A member that stops talks on until its clients have their answers."""

    def tick(self, now_ms: int) -> None:
        """See Codec."""
        self.now_ms = now_ms
        if self.closing:
            self.next_deadline_ms = 0
        elif not self.is_open:
            self.close("it did not say who it is in time")
        elif now_ms - self._heard_ms >= SILENCE_MS:
            self.close("nothing came for too long")
        else:
            self._ping(now_ms)

    # The owner's side.

    def send(self, channel: int, body: bytes) -> bool:
        """Queue a message; False if the outbox is full, which drops it."""
        assert self.is_open, "INV-PEER-JUDGED"
        if self.closing:
            return False
        if self.queued_bytes + len(body) > self.outbox_bytes_max and self.queued_bytes:
            self.traffic.dropped += 1
            return False
        queue = self._bulk if channel == say.SNAPSHOT else self._urgent
        frame = framed(channel, body)
        queue.append(frame)
        self.queued_bytes += len(frame)
        return True

    def close(self, reason: str) -> None:
        """End it; nothing more is heard from it, what is queued is thrown away."""
        if self._is_over:
            return
        self._is_over = True
        self.closing = True
        self.reason = reason
        self.next_deadline_ms = 0
        if self.is_open:
            self._urgent.clear()
            self._bulk.clear()
            self._rest = _NOTHING
            self.queued_bytes = 0
        self.host.ended(self)

    # What comes.

    def _take(self, channel: int, body: bytes) -> None:
        if not self.is_open:
            self._greeted(channel, body)
        elif channel == say.PING:
            self._put(framed(say.PONG, body))
        elif channel == say.PONG:
            self._ponged(body)
        elif channel == say.REFUSE:
            self._refused(body)
        elif channel <= say.SNAPSHOT:
            self.host.heard(self, channel, body)
        else:
            raise FrameError(f"a frame of unknown channel {channel}")

    def _greeted(self, channel: int, body: bytes) -> None:
        if channel == say.REFUSE and self.is_dialled:
            self._refused(body)
        elif channel == say.HELLO:
            self._judge(say.decode_hello(body))
        else:
            raise FrameError(f"a frame of channel {channel} in place of a greeting")

    def _judge(self, theirs: Hello) -> None:
        self.theirs = theirs
        judged = self.host.judge(self, theirs)
        if isinstance(judged, tuple):
            why, text = judged
            self._put(framed(say.REFUSE, say.encode_refusal(why, text)))
            self.close(text)
            return
        if not self.is_dialled:
            self._put(framed(say.HELLO, say.encode_hello(judged)))
        self.is_open = True
        self._pinged_ms = self.now_ms
        self.next_deadline_ms = self.now_ms + PING_MS
        self.host.opened(self)

    def _refused(self, body: bytes) -> None:
        self.refusal, text = say.decode_refusal(body)
        self.close(text or "it refused without a word")

    def _ping(self, now_ms: int) -> None:
        if now_ms - self._pinged_ms >= PING_MS:
            self._pinged_ms = now_ms
            self._pinged_us = self.clock_us()
            self._put(framed(say.PING, self._pinged_us.to_bytes(8, "big")))
        self.next_deadline_ms = now_ms + PING_MS

    def _ponged(self, body: bytes) -> None:
        sent_us, self._pinged_us = self._pinged_us, 0
        if sent_us and body == sent_us.to_bytes(8, "big"):
            self.host.measured(self, self.clock_us() - sent_us)

    def _put(self, frame: bytes) -> None:
        self._urgent.append(frame)
        self.queued_bytes += len(frame)
