"""A snapshot on its way from one member to another, as messages: both ends, sans-IO.

    sender                                receiver
    OFFER index, term, size, name    -->
                                     <--  ACCEPT offset    what it has of this very snapshot
    CHUNK offset, bytes ...          -->                   at last the SHA-256 of all before
                                     <--  TAKEN offset     written so far: the window moves
                                     <--  END well         durable and whole, or refused
    STOP                             -->                   the sender gives up

Rule: contiguous or nothing. A receiver takes the byte it waits for and refuses every other; a
sender has at most `WINDOW_BYTES` under way. What was received of a snapshot is known by its name,
so that another connection goes on where one broke; if two of one name are not the same, their
hash tells. Decoding is total: it raises FrameError for what no member sends.
"""

from collections import deque
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from attrs import frozen

from net.peers.frames import FrameError
from net.peers.limits import CHUNK_BYTES, READ_BYTES, WINDOW_BYTES

_OFFER, _ACCEPT, _CHUNK, _TAKEN, _END, _STOP = 1, 2, 3, 4, 5, 6
_HEAD = Struct(">BQ")
_SNAPSHOT = Struct(">QQQ32s")
_NUMBER = Struct(">Q")


@frozen
class Offer:
    """A snapshot: the state at (index, term) of the log, in so many bytes, of which the last 32 are
    the SHA-256 of those before; `name` is of 32 bytes that no other snapshot should have.
    """

    stream: int
    index: int
    term: int
    size_bytes: int
    name: bytes

    def is_same(self, other: "Offer") -> bool:
        """Whether it is the same snapshot, on whatever stream."""
        return (self.name, self.size_bytes) == (other.name, other.size_bytes)


class Accept(NamedTuple):
    """Send it from here on."""

    stream: int
    offset: int


class Chunk(NamedTuple):
    """A piece of it."""

    stream: int
    offset: int
    data: bytes


class Taken(NamedTuple):
    """It is written up to here."""

    stream: int
    offset: int


class End(NamedTuple):
    """The receiver has it for good, or does not want it."""

    stream: int
    well: bool


class Stop(NamedTuple):
    """The sender sends no more of it."""

    stream: int


Message = Offer | Accept | Chunk | Taken | End | Stop


def encode(message: Message) -> bytes:
    """Return a message's bytes."""
    match message:
        case Offer(stream, index, term, size_bytes, name):
            return _HEAD.pack(_OFFER, stream) + _SNAPSHOT.pack(index, term, size_bytes, name)
        case Accept(stream, offset):
            return _HEAD.pack(_ACCEPT, stream) + _NUMBER.pack(offset)
        case Chunk(stream, offset, data):
            return b"".join((_HEAD.pack(_CHUNK, stream), _NUMBER.pack(offset), data))
        case Taken(stream, offset):
            return _HEAD.pack(_TAKEN, stream) + _NUMBER.pack(offset)
        case End(stream, well):
            return _HEAD.pack(_END, stream) + bytes((well,))
        case Stop(stream):
            return _HEAD.pack(_STOP, stream)


def decode(body: bytes) -> Message:
    """Return the message that these bytes are. Raises FrameError."""
    try:
        kind, stream = _HEAD.unpack_from(body)
        rest = body[_HEAD.size :]
        if kind == _CHUNK:
            (offset,) = _NUMBER.unpack_from(rest)
            return Chunk(stream, offset, rest[_NUMBER.size :])
        if kind == _OFFER:
            return Offer(stream, *_SNAPSHOT.unpack(rest))
        if kind == _ACCEPT:
            return Accept(stream, *_NUMBER.unpack(rest))
        if kind == _TAKEN:
            return Taken(stream, *_NUMBER.unpack(rest))
    except StructError as error:
        raise FrameError(f"a snapshot message of {len(body)} bytes") from error
    if kind == _END and rest in (b"\0", b"\1"):
        return End(stream, rest == b"\1")
    if kind == _STOP and not rest:
        return Stop(stream)
    raise FrameError(f"a snapshot message of unknown kind {kind}")


class Outgoing:
    """The sending end of one stream."""

    __slots__ = ("_is_reading", "_sent", "_taken", "offer")

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self._sent: int | None = None
        """Up to where it was read; None until the receiver has accepted."""
        self._taken = 0
        self._is_reading = False

    def accepted(self, offset: int) -> None:
        """Note from where on the receiver wants it."""
        if self._sent is not None or offset > self.offer.size_bytes:
            raise FrameError(f"a snapshot accepted at {offset}, twice or beyond its end")
        self._sent = self._taken = offset

    def taken(self, offset: int) -> None:
        """Note what the receiver has written."""
        if self._sent is None or not self._taken <= offset <= self._sent:
            raise FrameError(f"a snapshot taken up to {offset}, which was not sent")
        self._taken = offset

    def wanted(self) -> tuple[int, int] | None:
        """Return (offset, size) of what to read next; None while nothing may be sent."""
        if self._sent is None or self._is_reading:
            return None
        room = WINDOW_BYTES - (self._sent - self._taken)
        size = min(READ_BYTES, self.offer.size_bytes - self._sent)
        if not size or room < size:
            return None
        self._is_reading = True
        return self._sent, size

    def read(self, data: bytes) -> list[Chunk]:
        """Return what to send of what was read."""
        assert self._sent is not None, "INV-SNAPSHOT-CONTIGUOUS"
        self._is_reading = False
        offset = self._sent
        self._sent += len(data)
        stream = self.offer.stream
        return [
            Chunk(stream, offset + at, data[at : at + CHUNK_BYTES])
            for at in range(0, len(data), CHUNK_BYTES)
        ]


class Incoming:
    """The receiving end of one stream, which goes on at `offset`."""

    __slots__ = ("_held", "_received", "_written", "offer")

    def __init__(self, offer: Offer, offset: int) -> None:
        self.offer = offer
        self._received = self._written = offset
        self._held: deque[bytes] = deque()

    def take(self, chunk: Chunk) -> None:
        """Take the next piece. Raises FrameError for any other, and beyond window and end."""
        if chunk.offset != self._received or not chunk.data:
            raise FrameError(f"a piece at {chunk.offset} of a snapshot, not at {self._received}")
        received = self._received + len(chunk.data)
        if received > self.offer.size_bytes or received - self._written > WINDOW_BYTES:
            raise FrameError(f"a piece of a snapshot up to {received}, beyond what was asked for")
        self._received = received
        self._held.append(chunk.data)

    def batch(self) -> tuple[int, bytes] | None:
        """Return (offset, bytes) to write next, None if nothing waits."""
        if not self._held:
            return None
        data = b"".join(self._held)
        self._held.clear()
        return self._received - len(data), data

    def wrote(self, offset: int) -> Taken:
        """Note that all up to here is written; return what to tell the sender."""
        assert offset <= self._received, "INV-SNAPSHOT-CONTIGUOUS"
        self._written = offset
        return Taken(self.offer.stream, offset)

    @property
    def written(self) -> int:
        """Up to where it is written."""
        return self._written

    @property
    def is_whole(self) -> bool:
        """Whether everything is written."""
        return self._written == self.offer.size_bytes
