"""Frames on a connection between members: a length, a channel, a checksum, bytes.

    0        4         5        9
    +--------+---------+--------+------------------+
    | length | channel | CRC-32 | `length` bytes   |   all big-endian
    +--------+---------+--------+------------------+

Rule: total and bounded. A reader raises FrameError for what no writer wrote, never holds more than
one frame and what was read with it, and looks at each byte once however the bytes are cut.
"""

from collections.abc import Sequence
from struct import Struct
from zlib import crc32

_HEAD = Struct(">IBI")
HEAD_BYTES = _HEAD.size


class FrameError(Exception):
    """Bytes that no member sends; the text says what is wrong."""


def framed(channel: int, body: bytes) -> bytes:
    """Return a whole frame."""
    return _HEAD.pack(len(body), channel, crc32(body, channel)) + body


class FrameReader:
    """Finds the frames in a stream of bytes.

    `bytes_max` bounds a frame's body, `first_bytes_max` that of the first one, if it is given: what
    follows a greeting may come in the same bytes.
    """

    __slots__ = ("_bytes_max", "_held", "_needed", "_now_max", "_pieces")

    def __init__(self, bytes_max: int, first_bytes_max: int | None = None) -> None:
        self._bytes_max = bytes_max
        self._now_max = bytes_max if first_bytes_max is None else first_bytes_max
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = HEAD_BYTES

    @property
    def held_bytes(self) -> int:
        """How many bytes of a frame that is not whole are kept."""
        return self._held

    def feed(self, data: bytes) -> Sequence[tuple[int, bytes]]:
        """Return (channel, body) of every frame that is whole now. Raises FrameError."""
        if self._held:
            self._pieces.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return ()
            data = b"".join(self._pieces)
            self._pieces = []
            self._held = 0
        frames: list[tuple[int, bytes]] = []
        position, end = 0, len(data)
        while True:
            begins = position + HEAD_BYTES
            if begins > end:
                self._needed = HEAD_BYTES
                break
            size, channel, checksum = _HEAD.unpack_from(data, position)
            if size > self._now_max:
                raise FrameError(f"a frame of {size} bytes, above {self._now_max}")
            ends = begins + size
            if ends > end:
                self._needed = HEAD_BYTES + size
                break
            body = data[begins:ends]
            if crc32(body, channel) != checksum:
                raise FrameError("a frame with a wrong checksum")
            frames.append((channel, body))
            self._now_max = self._bytes_max
            position = ends
        if position < end:
            self._pieces = [data[position:] if position else data]
            self._held = end - position
        return frames
