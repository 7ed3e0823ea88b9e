"""From a header block to what it asks for, remembered per connection.

A client sends the same block again and again but for the value of `grpc-timeout`. A block is
decoded and judged once; its equals cost one lookup. The memo is keyed by the block without its
`grpc-timeout` field, and an entry holds where that field was cut out, so that bytes which only
look like the field, inside some value, never share an entry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from net.http2 import huffman
from net.http2.headers import TIMEOUT, Field, HeaderDecoder
from net.http2.limits import HEADER_MEMO_BLOCK_BYTES_MAX, HEADER_MEMO_BYTES_MAX
from net.http2.status import Code, quoted, timeout_ms
from net.http2.stream import Head, Kind, Malformed, Refusal

M = TypeVar("M")

Asked = Head[M] | Refusal | Malformed
"""What a header block asks for, or why it is not served."""

NO_TIMEOUT: Final = -1

_coded_name = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(TIMEOUT)
_MARK_CODED: Final = bytes((0, 0x80 | len(_coded_name))) + _coded_name
_MARK_CODED_BYTES: Final = len(_MARK_CODED)
_MARK_PLAIN: Final = bytes((0, len(TIMEOUT))) + TIMEOUT

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_VALUE: Final = re.compile(rb"[^\x00\r\n]*").fullmatch
_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_OF_CONNECTION: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)


class RequestReader(Generic[M]):
    """Reads the header blocks of one connection."""

    __slots__ = ("_cut", "_decoder", "_list_bytes_max", "_memo", "_memo_bytes", "_methods")

    def __init__(self, methods: Mapping[bytes, tuple[Kind, M]], list_bytes_max: int) -> None:
        self._methods = methods
        self._decoder = HeaderDecoder(list_bytes_max)
        self._list_bytes_max = list_bytes_max
        self._memo: dict[bytes, tuple[Asked[M], int]] = {}
        self._memo_bytes = 0
        self._cut = 0
        """Where the last block had its `grpc-timeout`: most likely where the next one has it."""

    def settings_acknowledged(self) -> None:
        """Hold the client to our header table size from its next block on."""
        self._decoder.settings_acknowledged()
        self._memo.clear()
        self._memo_bytes = 0

    def request(self, block: bytes) -> tuple[Asked[M], int]:
        """Return what a block asks for, and its timeout in milliseconds or `NO_TIMEOUT`.

        Raises ConnectionFault if the block cannot be decoded.
        """
        cut, mark = self._cut, _MARK_CODED_BYTES
        if not block.startswith(_MARK_CODED, cut):
            entry = self._memo.get(block)
            if entry is not None:
                return entry[0], NO_TIMEOUT
            cut = block.find(_MARK_CODED)
            if cut < 0:
                cut, mark = block.find(_MARK_PLAIN), len(_MARK_PLAIN)
            if cut < 0:
                return self._read(block, block, cut)
            self._cut = cut
        at = cut + mark
        length = block[at] if at < len(block) else 127
        end = at + 1 + (length & 127)
        key = block[:cut] + block[end:]
        entry = self._memo.get(key)
        if entry is None or entry[1] != cut or length & 127 == 127 or end > len(block):
            return self._read(block, key, cut)
        value = block[at + 1 : end]
        return _timed(entry[0], huffman.decoded(value) if length & 128 else value)

    def trailers(self, block: bytes) -> Malformed | None:
        """Decode the block that ends a request body; return what is wrong with it."""
        for name, value in self._decoder.decode(block):
            if name[:1] == b":" or not _NAME(name) or not _VALUE(value):
                return Malformed("malformed trailers")
        return None

    def _read(self, block: bytes, key: bytes, cut: int) -> tuple[Asked[M], int]:
        decoder = self._decoder
        fields = decoder.decode(block)
        if decoder.list_bytes > self._list_bytes_max:
            text = (
                "received header list larger than max "
                f"({decoder.list_bytes} vs. {self._list_bytes_max})"
            )
            return Refusal(Code.RESOURCE_EXHAUSTED, text, 431), NO_TIMEOUT
        asked = _judged(fields, self._methods)
        if decoder.pure and decoder.timeout_at == cut:
            self._remember(key, asked, cut)
        timeouts = [value for name, value in fields if name == TIMEOUT]
        return _timed(asked, timeouts[-1]) if timeouts else (asked, NO_TIMEOUT)

    def _remember(self, key: bytes, asked: Asked[M], cut: int) -> None:
        if len(key) > HEADER_MEMO_BLOCK_BYTES_MAX:
            return
        if self._memo_bytes > HEADER_MEMO_BYTES_MAX:
            self._memo.clear()
            self._memo_bytes = 0
        if key not in self._memo:
            self._memo_bytes += len(key)
        self._memo[key] = asked, cut


def _timed(asked: Asked[M], value: bytes) -> tuple[Asked[M], int]:
    """Return a request with its timeout, or refused for a malformed one."""
    try:
        return asked, timeout_ms(value)
    except ValueError as error:
        if not isinstance(asked, Head):
            return asked, NO_TIMEOUT
        return Refusal(Code.INTERNAL, f"malformed grpc-timeout: {error}", 400), NO_TIMEOUT


def _judged(fields: Sequence[Field], methods: Mapping[bytes, tuple[Kind, M]]) -> Asked[M]:
    """Judge a request's fields in the order in which grpc-go's server does."""
    malformed = _malformed(fields)
    if malformed is not None:
        return malformed
    headers = {name: value for name, value in reversed(fields) if name != TIMEOUT}
    refusal = _unacceptable(fields, headers)
    if refusal is not None:
        return refusal
    path = headers[b":path"]
    found = methods.get(path)
    if found is None:
        return Refusal(Code.UNIMPLEMENTED, _unknown(path, methods))
    return Head(path, found[0], found[1], headers)


def _malformed(fields: Sequence[Field]) -> Malformed | None:
    """Return what RFC 9113 section 8 forbids in these fields."""
    pseudo: set[bytes] = set()
    regular = False
    for name, value in fields:
        if name[:1] == b":":
            if regular or name in pseudo or name not in _PSEUDO:
                return Malformed("pseudo header late, repeated or unknown")
            pseudo.add(name)
        elif not _NAME(name):
            return Malformed("header name")
        else:
            regular = True
        if not _VALUE(value):
            return Malformed("header value")
        if name in _OF_CONNECTION or (name == b"te" and value != b"trailers"):
            return Malformed("header of the connection")
    if not {b":method", b":scheme", b":path"} <= pseudo:
        return Malformed("pseudo header missing")
    return None


def _unacceptable(fields: Sequence[Field], headers: Mapping[bytes, bytes]) -> Refusal | None:
    """Return why a well-formed HTTP request is no gRPC call, in grpc-go's words."""
    hosts = sum(name == b"host" for name, _ in fields)
    authorities = sum(name == b":authority" for name, _ in fields)
    if hosts > 1:
        text = (
            f"num values of :authority: {authorities}, num values of host: {hosts}, "
            "both must only have 1 value as per HTTP/2 spec"
        )
        return Refusal(Code.INTERNAL, text, 400)
    content_type = headers.get(b"content-type", b"")
    rest = content_type.removeprefix(b"application/grpc")
    if rest == content_type or rest[:1] not in (b"", b"+", b";"):
        text = f"invalid gRPC request content-type {quoted(content_type)}"
        return Refusal(Code.INVALID_ARGUMENT, text, 415)
    if not hosts + authorities:
        return Refusal(Code.INTERNAL, "no host or :authority header present", 400)
    if headers[b":method"] != b"POST":
        method = quoted(headers[b":method"])
        text = f"Received a HEADERS frame with :method {method} which should be POST"
        return Refusal(Code.INTERNAL, text, 405)
    return None


def _unknown(path: bytes, methods: Mapping[bytes, tuple[Kind, M]]) -> str:
    """Say which part of a path is not known, in grpc-go's words."""
    service, slash, method = path[1:].rpartition(b"/")
    if path[:1] != b"/" or not slash:
        return f"malformed method name: {quoted(path)}"
    text = service.decode("utf-8", "replace")
    if any(known.startswith(b"/" + service + b"/") for known in methods):
        return f"unknown method {method.decode('utf-8', 'replace')} for service {text}"
    return f"unknown service {text}"
