"""gRPC status on the wire: codes, texts, trailers, timeouts.

Texts are grpc-go's, because clients of etcd match on them. Header blocks are built from
literals that are never indexed, so every block is a constant or a concatenation.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """The gRPC status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_CONTENT_TYPE: Final = b"\x0f\x10\x10application/grpc"
RESPONSE_HEADERS: Final = b"\x88" + _CONTENT_TYPE
"""`:status 200`, `content-type: application/grpc`."""

OK_TRAILERS: Final = b"\x00\x0bgrpc-status\x010"

_STATUS_LITERAL: Final = b"\x08\x03%d"
"""`:status` by the name of static entry 8, with the value that follows."""

_PLAIN: Final = frozenset(range(0x20, 0x7F)) - {0x25}


def percent_encoded(text: str) -> bytes:
    """Return `text` as the value of `grpc-message`: UTF-8, all but printable ASCII escaped."""
    raw = text.encode("utf-8", "replace")
    if text.isascii() and text.isprintable() and "%" not in text:
        return raw
    return b"".join(bytes((c,)) if c in _PLAIN else b"%%%02X" % c for c in raw)


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + _string(name) + _string(value)


def _string(value: bytes) -> bytes:
    """Return an HPACK string literal without Huffman coding."""
    length = len(value)
    if length < 127:
        return bytes((length,)) + value
    prefix = bytearray(b"\x7f")
    length -= 127
    while length >= 128:
        prefix.append(length & 127 | 128)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + value


TEXT_BYTES_MAX: Final = 8_192
"""A longer `grpc-message` is cut: clients refuse header lists of more."""


def trailers(code: int, text: str) -> bytes:
    """Return the header block that ends a stream whose response headers were sent."""
    block = _literal(b"grpc-status", b"%d" % code)
    if text:
        block += _literal(b"grpc-message", _cut(percent_encoded(text)))
    return block


def trailers_only(code: int, text: str, *, http_status: int = 200) -> bytes:
    """Return the one header block of a stream that fails before anything else was sent."""
    status = b"\x88" if http_status == 200 else _STATUS_LITERAL % http_status
    return status + _CONTENT_TYPE + trailers(code, text)


def _cut(encoded: bytes) -> bytes:
    """Return at most `TEXT_BYTES_MAX` bytes, never ending inside an escape."""
    if len(encoded) <= TEXT_BYTES_MAX:
        return encoded
    encoded = encoded[:TEXT_BYTES_MAX]
    escape = encoded.rfind(b"%", -2)
    return encoded if escape < 0 else encoded[:escape]


_UNITS: Final = {
    b"n": (1_000_000, 1),
    b"u": (1_000, 1),
    b"m": (1, 1),
    b"S": (1, 1_000),
    b"M": (1, 60_000),
    b"H": (1, 3_600_000),
}
"""For each unit, units in a millisecond and milliseconds in a unit; one of them is 1."""


def timeout_ms(value: bytes) -> int:
    """Return a `grpc-timeout` in milliseconds, rounded up; at most 8 digits of hours.

    Raises ValueError, with grpc-go's words, for a value that is none.
    """
    unit = _UNITS.get(value[-1:])
    digits = value[:-1]
    if unit is None or len(digits) > 8 or not digits.isdigit():
        raise ValueError(_timeout_fault(value))
    return -(-int(digits) // unit[0]) * unit[1]


def _timeout_fault(value: bytes) -> str:
    if len(value) < 2:
        return f"transport: timeout string is too short: {quoted(value)}"
    if len(value) > 9:
        return f"transport: timeout string is too long: {quoted(value)}"
    if value[-1:] not in _UNITS:
        return f"transport: timeout unit is not recognized: {quoted(value)}"
    return f"strconv.ParseUint: parsing {quoted(value[:-1])}: invalid syntax"


def quoted(value: bytes) -> str:
    """Return `value` in double quotes, escaped as Go's %q escapes."""
    text = value.decode("utf-8", "backslashreplace")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
