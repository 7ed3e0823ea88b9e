"""What is stored and watched: one `Version` per change of a key, with its wire form.

The wire form (`framed`) is the serialised mvccpb.KeyValue behind the tag and length that a
RangeResponse, an Event and a PutResponse all give it (field 2), so that answers are
concatenations of stored bytes. Fields stand in the order key, create, mod, version, lease,
value: the value last, so that dropping it (keys_only) is a slice. Parsers accept any order.
"""

from collections.abc import Sequence
from functools import cache, partial
from hashlib import sha1
from itertools import repeat
from operator import add, methodcaller
from struct import Struct, unpack
from typing import NamedTuple

from core.tuples import new

_ONE_BYTE = tuple(bytes((n,)) for n in range(128))
_INT64_MASK = (1 << 64) - 1
_KEY_HEADS = tuple(b"\x0a" + size for size in _ONE_BYTE)
_first_eight = Struct(">Q").unpack_from
_digest = methodcaller("digest")
_plain_sha1 = partial(sha1, usedforsecurity=False)


class Version(NamedTuple):
    """One change of one key. A tombstone has version 0 and create 0.

    `number` is dense over all changes; `row_hash` is 64 bits over the wire form.
    """

    key: bytes
    mod: int
    create: int
    version: int
    lease: int
    number: int
    framed: bytes
    value_size: int
    row_hash: int

    @property
    def value(self) -> bytes:
        """The value's bytes, copied out of the wire form."""
        size = self.value_size
        return self.framed[-size:] if size else b""

    @property
    def is_tombstone(self) -> bool:
        """Whether this change deleted the key."""
        return self.version == 0


_new_version = Version._make


def varint(number: int) -> bytes:
    """Return protobuf's base-128 form of an int64; negative numbers take ten bytes."""
    if 0 <= number < 0x80:
        return _ONE_BYTE[number]
    if 0 <= number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    if 0 <= number < 0x200000:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    if 0 <= number < 0x10000000:
        third = number >> 14 & 0x7F | 0x80
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, third, number >> 21))
    number &= _INT64_MASK
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def put_version(
    key: bytes, value: bytes, mod: int, create: int, version: int, lease: int, number: int
) -> Version:
    """Return the stored form of a put. Positional: this is the hottest call of a write."""
    size = len(value)
    mod_bytes = varint(mod)
    key_size = len(key)
    head = b"".join(
        (
            _KEY_HEADS[key_size] if key_size < 128 else b"\x0a" + varint(key_size),
            key,
            b"\x10",
            mod_bytes if create == mod else varint(create),
            b"\x18",
            mod_bytes,
            b"\x20",
            _ONE_BYTE[version] if version < 128 else varint(version),
            b"\x30" + varint(lease) if lease else b"",
            b"\x2a" + varint(size) if size else b"",
        )
    )
    # The value is copied once: it is most of the bytes.
    framed = b"".join((b"\x12", varint(len(head) + size), head, value))
    row_hash = _first_eight(sha1(framed, usedforsecurity=False).digest())[0]
    return new(Version, (key, mod, create, version, lease, number, framed, size, row_hash))


def put_versions(
    keys: Sequence[bytes],
    values: Sequence[bytes],
    mods: Sequence[int],
    creates: Sequence[int],
    versions: Sequence[int],
    numbers: Sequence[int],
) -> list[Version]:
    """Return what `put_version` would for each, without leases; for loading many.

    Columns through functions of the interpreter cost a quarter less than row by row. Keys are
    shorter than 128 bytes, versions below 128, values not empty: else use `put_version`.
    """
    sizes = list(map(len, values))
    mod_bytes = _varints(mods)
    create_bytes = mod_bytes if creates == mods else _varints(creates)
    size_bytes = {size: b"\x2a" + varint(size) for size in set(sizes)}
    heads = list(
        map(
            b"".join,
            zip(
                map(_KEY_HEADS.__getitem__, map(len, keys)),
                keys,
                repeat(b"\x10"),
                create_bytes,
                repeat(b"\x18"),
                mod_bytes,
                repeat(b"\x20"),
                map(_ONE_BYTE.__getitem__, versions),
                map(size_bytes.__getitem__, sizes),
            ),
        )
    )
    record_sizes = list(map(add, map(len, heads), sizes))
    prefixes = {size: b"\x12" + varint(size) for size in set(record_sizes)}
    framed = list(
        map(b"".join, zip(map(prefixes.__getitem__, record_sizes), heads, values, strict=True))
    )
    digests = b"".join(map(_digest, map(_plain_sha1, framed)))
    hashes = unpack(">" + "Q12x" * len(framed), digests)
    columns = zip(keys, mods, creates, versions, repeat(0), numbers, framed, sizes, hashes)
    return list(map(_new_version, columns))


def _varints(numbers: Sequence[int]) -> list[bytes]:
    """Return `varint` of each; a quarter of its cost where all take three bytes or more."""
    if min(numbers) < 0x4000:
        return list(map(varint, numbers))
    low = _low_varints()
    high = {number: varint(number) for number in {number >> 14 for number in numbers}}
    return [low[number & 0x3FFF] + high[number >> 14] for number in numbers]


@cache
def _low_varints() -> list[bytes]:
    """Return the first two bytes of longer varints, by their 14 bits. Cost: 3 ms, once."""
    return [bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(0x4000)]


def tombstone(key: bytes, *, mod: int, number: int) -> Version:
    """Return the stored form of a delete: key and mod revision only, as its event shows it."""
    record = b"\x0a" + varint(len(key)) + key + b"\x18" + varint(mod)
    framed = b"\x12" + varint(len(record)) + record
    return Version(key, mod, 0, 0, 0, number, framed, 0, row_hash_of(framed))


def row_hash_of(framed: bytes) -> int:
    """Return 64 hash bits of a row's wire form (sha1: half the time of blake2b at 1 KiB)."""
    row_hash: int = _first_eight(sha1(framed, usedforsecurity=False).digest())[0]
    return row_hash


def framed_without_value(version: Version) -> bytes:
    """Return the wire form with the value left out, for keys_only."""
    size = version.value_size
    if not size:
        return version.framed
    framed = version.framed
    body = framed[1 + len(varint(_record_size(framed))) : len(framed) - size]
    record = body[: len(body) - 1 - len(varint(size))]
    return b"\x12" + varint(len(record)) + record


def record_of(framed: bytes) -> bytes:
    """Return the bare serialised mvccpb.KeyValue of a wire form."""
    return framed[1 + len(varint(_record_size(framed))) :]


def _record_size(framed: bytes) -> int:
    size = 0
    shift = 0
    position = 1
    while True:
        byte = framed[position]
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return size
        shift += 7
        position += 1
