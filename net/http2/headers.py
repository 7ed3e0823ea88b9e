"""HPACK header blocks, decoded under the table size that our SETTINGS announce: 0.

Until the client has acknowledged them it may use the default table of 4,096 bytes; its first
block after that must begin with a size update (RFC 9113 section 4.3.1). A list larger than
allowed is decoded to the end, because the table must stay in step, but not kept.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from hpack.table import HeaderTable

from net.http2 import huffman
from net.http2.limits import HEADER_LIST_BOMB_FACTOR, HEADER_TABLE_BYTES
from net.http2.wire import ConnectionFault, Fault

Field = tuple[bytes, bytes]

TIMEOUT: Final = b"grpc-timeout"

_STATIC: Final[tuple[Field, ...]] = tuple(
    (bytes(name), bytes(value)) for name, value in HeaderTable.STATIC_TABLE
)
_STATIC_COUNT: Final = len(_STATIC)
_ENTRY_OVERHEAD: Final = 32
_INTEGER_SHIFT_MAX: Final = 21


def integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Return the integer with a prefix of `bits` bits at `at`, and the offset after it."""
    mask = (1 << bits) - 1
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while True:
        octet = block[at]
        at += 1
        value += (octet & 127) << shift
        if octet < 128:
            return value, at
        shift += 7
        if shift > _INTEGER_SHIFT_MAX:
            raise ConnectionFault(Fault.HPACK_INTEGER)


def string(block: bytes, at: int) -> tuple[bytes, int]:
    """Return the string literal at `at`, and the offset after it."""
    coded = block[at] & 0x80
    length, at = integer(block, at, 7)
    end = at + length
    if end > len(block):
        raise ConnectionFault(Fault.HPACK_TRUNCATED)
    value = block[at:end]
    return (huffman.decoded(value) if coded else value), end


class HeaderDecoder:
    """One connection's HPACK state.

    After `decode`: `pure` says that the block neither read nor changed the dynamic table and that
    its `grpc-timeout`, if any, is one literal at offset `timeout_at` (else -1); `list_bytes` is
    the size of the list as RFC 9113 section 6.5.2 counts it.
    """

    __slots__ = (
        "_entries",
        "_list_bytes_max",
        "_size",
        "_size_limit",
        "_size_max",
        "_update_due",
        "list_bytes",
        "pure",
        "timeout_at",
    )

    def __init__(self, list_bytes_max: int) -> None:
        self._entries: deque[Field] = deque()
        self._size = 0
        self._size_max = HEADER_TABLE_BYTES
        self._size_limit = HEADER_TABLE_BYTES
        self._update_due = False
        self._list_bytes_max = list_bytes_max
        self.pure = False
        self.timeout_at = -1
        self.list_bytes = 0

    def settings_acknowledged(self) -> None:
        """Hold the client to the table size that we announced, 0."""
        self._size_limit = 0
        self._update_due = self._size_max > 0

    def decode(self, block: bytes) -> list[Field]:
        """Return the fields of a block; fewer than it has if `list_bytes` is above the limit.

        Raises ConnectionFault for a block that breaks RFC 7541.
        """
        try:
            return self._decode(block)
        except IndexError:
            raise ConnectionFault(Fault.HPACK_TRUNCATED) from None

    def _decode(self, block: bytes) -> list[Field]:
        self.pure, self.timeout_at, self.list_bytes = True, -1, 0
        fields: list[Field] = []
        at = self._size_updates(block)
        end = len(block)
        while at < end:
            start = at
            octet = block[at]
            if octet & 0x80:
                index, at = integer(block, at, 7)
                field = self._entry(index)
            elif octet & 0xE0 == 0x20:
                raise ConnectionFault(Fault.HPACK_SIZE_UPDATE_LATE)
            else:
                index, at = integer(block, at, 6 if octet & 0x40 else 4)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = string(block, at)
                value, at = string(block, at)
                field = (name, value)
                if octet & 0x40:
                    self._insert(field)
            if field[0] == TIMEOUT:
                self._note_timeout(start, octet)
            self.list_bytes += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
            if self.list_bytes <= self._list_bytes_max:
                fields.append(field)
            elif self.list_bytes > self._list_bytes_max * HEADER_LIST_BOMB_FACTOR:
                raise ConnectionFault(Fault.HEADER_LIST_BOMB)
        return fields

    def _size_updates(self, block: bytes) -> int:
        """Obey the table size updates at the start of a block; return the offset after them."""
        at = 0
        while at < len(block) and block[at] & 0xE0 == 0x20:
            size, at = integer(block, at, 5)
            if size > self._size_limit:
                raise ConnectionFault(Fault.HPACK_TABLE_SIZE)
            self.pure = False
            self._update_due = False
            self._size_max = size
            self._evict()
        if self._update_due and block:
            raise ConnectionFault(Fault.HPACK_SIZE_UPDATE_MISSING)
        return at

    def _entry(self, index: int) -> Field:
        if 0 < index <= _STATIC_COUNT:
            return _STATIC[index - 1]
        self.pure = False
        position = index - _STATIC_COUNT - 1
        if index == 0 or position >= len(self._entries):
            raise ConnectionFault(Fault.HPACK_INDEX)
        return self._entries[position]

    def _insert(self, field: Field) -> None:
        self.pure = False
        self._entries.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
        self._evict()

    def _evict(self) -> None:
        while self._size > self._size_max:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + _ENTRY_OVERHEAD

    def _note_timeout(self, start: int, octet: int) -> None:
        if octet or self.timeout_at >= 0:
            self.pure = False
        self.timeout_at = start
