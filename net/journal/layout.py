"""The journal's bytes: segment header, batch head, frame.

Rule of this file: bytes to values and back, nothing else; whatever does not verify is `None` or a
reason, never an exception, because a torn tail is an ordinary thing to read.

    segment := header batch*       header := magic version cipher key number link made base crc
    batch   := head frame*         link   := where the previous segment ended, and its chain
    frame   := crc length type term index payload pad-to-8

Four rules make a recycled, torn or half-overwritten segment readable:

* The number of a segment is its generation. No number is ever used twice, a head carries it and
  seeds its CRC with it, so nothing of an earlier use of the same file verifies.
* CRCs are chained: a frame's is seeded with that of the frame before it, a head holds it, and a
  header holds the last one of the previous segment. What was once cut off can therefore not come
  back behind frames that were written over its beginning.
* A head verifies by itself, so it can be found behind damage. It records the end that was known to
  be synced when its batch was written: below that a bad frame is damage, above it a torn tail.
* A header holds how long its file was, durably, when it was taken into use: a file that is shorter
  was cut off, by whatever, and is no torn tail.

A batch counts as a whole or not at all.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import attrs

from core.ids import Index, MemberId, Term

FORMAT_VERSION: Final = 1
HEADER_BYTES: Final = 512
BLOCK_BYTES: Final = 512
HEAD_BYTES: Final = 56

_SEGMENT_MAGIC: Final = b"TrineJnl"
_HEAD_MAGIC: Final = b"TrB\x01"
_HEADER: Final = struct.Struct("<8sHHI16sQQQIIQQ")
_CRC: Final = struct.Struct("<I")
_GENERATION: Final = struct.Struct("<4sQ")
_HEAD: Final = struct.Struct("<IQQQIIxxxx")
_FRAME: Final = struct.Struct("<IB3xQQ")
_FRAME_BYTES: Final = 4 + _FRAME.size
_PADS: Final[tuple[bytes, ...]] = tuple(bytes(-(_FRAME_BYTES + n) % 8) for n in range(8))
_HARD_STATE: Final = struct.Struct("<QQ")
_STORE_SWITCH: Final = struct.Struct("<Q")

PACK: Final = 1
HARD_STATE: Final = 2
SNAPSHOT_MARK: Final = 3
STORE_SWITCH: Final = 4
TRUNCATION: Final = 5
OPENING: Final = 6
FRAME_TYPES: Final = frozenset({PACK, HARD_STATE, SNAPSHOT_MARK, STORE_SWITCH, TRUNCATION, OPENING})

TOO_LONG: Final = "a batch that is longer than its segment"


class Position(NamedTuple):
    """A place in the journal. Positions are ordered as the bytes were appended."""

    segment: int
    offset: int


@attrs.frozen
class Frame:
    """One record. `term` and `index` mean what its type says; the payload of a pack is opaque."""

    type: int
    term: Term
    index: Index
    payload: bytes


@attrs.frozen
class HardState:
    """What a Raft member must never forget. `vote` is 0 for none."""

    term: Term
    vote: MemberId
    commit: Index

    def frame(self) -> Frame:
        return Frame(HARD_STATE, self.term, self.commit, _HARD_STATE.pack(self.vote, 0))

    @classmethod
    def of(cls, frame: Frame) -> "HardState":
        return cls(frame.term, MemberId(_HARD_STATE.unpack(frame.payload)[0]), frame.index)


@attrs.frozen
class SnapshotMark:
    """The store holds everything up to `index`, whose pack had `term`; `config` is the caller's.

    A mark that the log does not reach, or reaches with another term, begins the log anew after it.
    """

    index: Index
    term: Term
    config: bytes

    def frame(self) -> Frame:
        return Frame(SNAPSHOT_MARK, self.term, self.index, self.config)

    @classmethod
    def of(cls, frame: Frame) -> "SnapshotMark":
        return cls(frame.index, frame.term, frame.payload)


@attrs.frozen
class StoreSwitch:
    """From here on the store is the file of this generation, which holds all up to `index`."""

    generation: int
    index: Index

    def frame(self) -> Frame:
        return Frame(STORE_SWITCH, Term(0), self.index, _STORE_SWITCH.pack(self.generation))

    @classmethod
    def of(cls, frame: Frame) -> "StoreSwitch":
        return cls(_STORE_SWITCH.unpack(frame.payload)[0], frame.index)


class Header(NamedTuple):
    """The first bytes of a segment in use.

    `base_index` and `base_term` are those of the last pack before the segment. `made_blocks` is how
    long the file was when it was taken into use, in blocks of 512 bytes; 0: not noted.
    """

    number: int
    previous: Position
    previous_chain: int
    base_term: Term
    base_index: Index
    made_blocks: int = 0
    version: int = FORMAT_VERSION
    cipher: int = 0
    key_id: bytes = bytes(16)


def encode_header(header: Header) -> bytes:
    body = _HEADER.pack(
        _SEGMENT_MAGIC,
        header.version,
        header.cipher,
        0,
        header.key_id,
        header.number,
        *header.previous,
        header.previous_chain,
        header.made_blocks,
        header.base_term,
        header.base_index,
    ).ljust(HEADER_BYTES - 4, b"\0")
    return body + _CRC.pack(zlib.crc32(body))


def decode_header(image: bytes) -> Header | None:
    """Return the header, or None if these bytes are not one. The caller judges its version."""
    if len(image) < HEADER_BYTES or not image.startswith(_SEGMENT_MAGIC):
        return None
    if zlib.crc32(image[: HEADER_BYTES - 4]) != header_chain(image):
        return None
    fields = _HEADER.unpack_from(image)
    _, version, cipher, _, key_id, number, segment, offset, chain, made, term, index = fields
    previous = Position(segment, offset)
    return Header(number, previous, chain, Term(term), Index(index), made, version, cipher, key_id)


def header_chain(image: bytes) -> int:
    """Return what the first head of a segment holds as its `previous`."""
    return int.from_bytes(image[HEADER_BYTES - 4 : HEADER_BYTES], "little")


class Encoded(NamedTuple):
    """A batch ready to be written. `places` has the offset of each frame and what seeds its CRC."""

    data: bytes
    places: list[tuple[int, int]]
    chain: int


def encode_batch(frames: Sequence[Frame], at: Position, chain: int, synced: Position) -> Encoded:
    """Lay out a batch that will stand at `at`, after frames whose chain ends with `chain`."""
    crc32, pack_frame, pads = zlib.crc32, _FRAME.pack, _PADS
    sizes = [frame_bytes(len(frame.payload)) for frame in frames]
    body = _HEAD.pack(chain, at.offset, *synced, sum(sizes), len(frames))
    generation = _GENERATION.pack(_HEAD_MAGIC, at.segment)
    seed = crc32(body, crc32(generation))
    out = [generation, seed.to_bytes(4, "little"), body]
    places: list[tuple[int, int]] = []
    offset = at.offset + HEAD_BYTES
    for frame, size in zip(frames, sizes, strict=True):
        payload = frame.payload
        length = len(payload)
        fields = pack_frame(length, frame.type, frame.term, frame.index)
        places.append((offset, seed))
        seed = crc32(payload, crc32(fields, seed))
        out += (seed.to_bytes(4, "little"), fields, payload, pads[length & 7])
        offset += size
    return Encoded(b"".join(out), places, seed)


@attrs.frozen
class Head:
    """A batch's head that verifies by itself."""

    previous: int
    offset: int
    synced: Position
    size_bytes: int
    count: int
    crc: int

    @property
    def end(self) -> int:
        return self.offset + HEAD_BYTES + self.size_bytes


def decode_head(image: bytes, number: int, offset: int) -> Head | None:
    """Return the head of this segment's generation at `offset`, or None."""
    if offset + HEAD_BYTES > len(image):
        return None
    generation = _GENERATION.pack(_HEAD_MAGIC, number)
    if not image.startswith(generation, offset):
        return None
    at = offset + len(generation)
    crc = int.from_bytes(image[at : at + 4], "little")
    body = image[at + 4 : offset + HEAD_BYTES]
    if zlib.crc32(body, zlib.crc32(generation)) != crc:
        return None
    previous, own, segment, synced, size, count = _HEAD.unpack(body)
    if own != offset or (segment, synced) > (number, offset):
        return None
    return Head(previous, own, Position(segment, synced), size, count, crc)


def heads(image: bytes, number: int, start: int) -> list[Head]:
    """Return every head of this generation from `start` on, however damaged what is between."""
    pattern = _GENERATION.pack(_HEAD_MAGIC, number)
    found: list[Head] = []
    at = image.find(pattern, start)
    while at >= 0:
        head = decode_head(image, number, at)
        if head is not None:
            found.append(head)
        at = image.find(pattern, at + 8)
    return found


class Placed(NamedTuple):
    """A frame with its offset in the segment and what seeds its CRC."""

    frame: Frame
    offset: int
    seed: int


def decode_frame(image: bytes, offset: int, seed: int) -> tuple[Frame, int, int] | None:
    """Return a frame, the offset after it and its CRC; None if the bytes do not verify."""
    start = offset + _FRAME_BYTES
    if start > len(image):
        return None
    fields: tuple[int, int, int, int] = _FRAME.unpack_from(image, offset + 4)
    length, kind, term, index = fields
    end = start + length
    if end > len(image) or kind not in FRAME_TYPES:
        return None
    payload = image[start:end]
    crc = zlib.crc32(payload, zlib.crc32(image[offset + 4 : start], seed))
    if crc != int.from_bytes(image[offset : offset + 4], "little"):
        return None
    return Frame(kind, Term(term), Index(index), payload), offset + frame_bytes(length), crc


def frame_bytes(payload_bytes: int) -> int:
    """Return what a frame with such a payload takes in a segment."""
    return (_FRAME_BYTES + payload_bytes + 7) & ~7


class Batch(NamedTuple):
    """A batch that verifies in full and continues the chain."""

    head: Head
    frames: list[Placed]
    chain: int


def decode_batch(image: bytes, number: int, offset: int, chain: int) -> Batch | str:
    """Return the batch at `offset` if it continues `chain`, else why there is none."""
    head = decode_head(image, number, offset)
    if head is None:
        return "no batch begins here"
    if head.previous != chain:
        return "a batch that does not continue what stands before it"
    if head.end > len(image):
        return TOO_LONG
    frames: list[Placed] = []
    at, seed = offset + HEAD_BYTES, head.crc
    for _ in range(head.count):
        decoded = decode_frame(image, at, seed)
        if decoded is None:
            return f"a frame at offset {at} whose checksum is wrong"
        frame, end, crc = decoded
        frames.append(Placed(frame, at, seed))
        at, seed = end, crc
    if at != head.end:
        return "a batch whose frames do not fill it"
    return Batch(head, frames, seed)
