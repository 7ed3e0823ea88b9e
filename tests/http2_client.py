"""The client's side of HTTP/2 for tests: frames by hand, header blocks as grpc-go makes them.

Nothing here knows the codec. `Recorder` is a handler that writes down what it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import NamedTuple

import hpack
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from net.http2.connection import Connection
from net.http2.limits import Http2Settings
from net.http2.stream import Kind, Stream

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM = ACK = 1
END_HEADERS, PADDED, WITH_PRIORITY = 4, 8, 32

RANGE = b"/etcdserverpb.KV/Range"
SNAPSHOT = b"/etcdserverpb.Maintenance/Snapshot"
WATCH = b"/etcdserverpb.Watch/Watch"
METHODS: Mapping[bytes, tuple[Kind, str]] = {
    RANGE: (Kind.UNARY, "range"),
    SNAPSHOT: (Kind.SERVER_STREAM, "snapshot"),
    WATCH: (Kind.BIDI, "watch"),
}

_huffman = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
_frame_header = Struct(">IBI")


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    """A frame of any form, legal or not."""
    return _frame_header.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(
        SETTINGS, payload=b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in pairs)
    )


SETTINGS_ACK = frame(SETTINGS, ACK)
HANDSHAKE = PREFACE + settings()
NO_TABLE = b"\x20"
"""The table size update that the first block after SETTINGS_ACK begins with."""


def literal(name: bytes, value: bytes, *, huffman: bool = True, first: int = 0) -> bytes:
    """A header field as a literal with a new name, coded as grpc-go codes it."""
    return bytes((first,)) + _string(name, huffman) + _string(value, huffman)


def _string(value: bytes, huffman: bool) -> bytes:
    coded = _huffman.encode(value) if huffman else value
    mask = 0x80 if huffman else 0
    if len(coded) < 127:
        return bytes((mask | len(coded),)) + coded
    rest, out = len(coded) - 127, bytearray((mask | 127,))
    while rest >= 128:
        out.append(rest & 127 | 128)
        rest >>= 7
    return bytes(out) + bytes((rest,)) + coded


def block(
    path: bytes = RANGE,
    *,
    timeout: bytes | None = None,
    method: bytes = b"POST",
    content_type: bytes = b"application/grpc",
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A request's header block that leaves the dynamic table alone."""
    fields = [
        (b":method", method),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"127.0.0.1:2379"),
        (b"content-type", content_type),
        (b"user-agent", b"grpc-go/1.79.3"),
        (b"te", b"trailers"),
    ]
    if timeout is not None:
        fields.append((b"grpc-timeout", timeout))
    fields += [(b"client-api-version", b"3.7.0"), (b"hasleader", b"true"), *extra]
    return b"".join(literal(name, value) for name, value in fields)


def headers(stream_id: int, header_block: bytes | None = None, *, ended: bool = False) -> bytes:
    """A HEADERS frame that is the whole block."""
    flags = END_HEADERS | (END_STREAM if ended else 0)
    return frame(HEADERS, flags, stream_id, block() if header_block is None else header_block)


def prefixed(message: bytes, *, flag: int = 0) -> bytes:
    """A gRPC message."""
    return bytes((flag,)) + len(message).to_bytes(4, "big") + message


def data(stream_id: int, message: bytes = b"", *, ended: bool = True, flag: int = 0) -> bytes:
    """A gRPC message in one DATA frame."""
    return frame(DATA, END_STREAM if ended else 0, stream_id, prefixed(message, flag=flag))


def unary(stream_id: int, message: bytes = b"m", header_block: bytes | None = None) -> bytes:
    """A whole unary request."""
    return headers(stream_id, header_block) + data(stream_id, message)


class Seen(NamedTuple):
    """One frame from the server."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def frames(raw: bytes) -> list[Seen]:
    """Cut the server's bytes into frames; whole frames only."""
    seen: list[Seen] = []
    while raw:
        first, flags, stream_id = _frame_header.unpack_from(raw)
        length = first >> 8
        assert len(raw) >= 9 + length, "the server sends whole frames"
        seen.append(Seen(first & 255, flags, stream_id, raw[9 : 9 + length]))
        raw = raw[9 + length :]
    return seen


def fields(header_block: bytes) -> dict[str, str]:
    """Decode a header block of the server."""
    return {str(n): str(v) for n, v in hpack.Decoder().decode(header_block)}


class Recorder:
    """Writes down each call as (verb, stream id, message) and answers by `answer`, if given."""

    def __init__(
        self, answer: Callable[[Connection[str], Stream[str], bytes], None] | None = None
    ) -> None:
        self.calls: list[tuple[str, int, bytes]] = []
        self._answer = answer

    def request(self, connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        self.calls.append(("request", stream.id, message))
        if self._answer is not None:
            self._answer(connection, stream, message)

    def opened(self, connection: Connection[str], stream: Stream[str]) -> None:
        self.calls.append(("opened", stream.id, b""))

    def message(self, connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        self.calls.append(("message", stream.id, message))
        if self._answer is not None:
            self._answer(connection, stream, message)

    def half_closed(self, connection: Connection[str], stream: Stream[str]) -> None:
        self.calls.append(("half_closed", stream.id, b""))

    def cancelled(self, connection: Connection[str], stream: Stream[str]) -> None:
        self.calls.append(("cancelled", stream.id, b""))


def echo(connection: Connection[str], stream: Stream[str], message: bytes) -> None:
    """Answer every message with itself."""
    if stream.kind is Kind.UNARY:
        connection.respond(stream, message)
    else:
        connection.send(stream, message)
        if stream.kind is Kind.SERVER_STREAM:
            connection.finish(stream)


class Peer:
    """A client of one connection: says bytes, hears frames."""

    def __init__(
        self,
        recorder: Recorder | None = None,
        settings: Http2Settings | None = None,
        *,
        now_ms: int = 1_000,
        greeted: bool = True,
    ) -> None:
        self.recorder = recorder or Recorder()
        self.now_ms = now_ms
        self.dirty: list[Connection[str]] = []
        self.connection = Connection(
            METHODS, self.recorder, settings or Http2Settings(), now_ms, self.dirty
        )
        if greeted:
            self.say(HANDSHAKE, SETTINGS_ACK, frame(PRIORITY, 0, 1, b"\0" * 5))
            self.say(headers(1, NO_TABLE + block(b"/none")), frame(RST_STREAM, 0, 1, b"\0" * 4))
            self.hear()

    def say(self, *chunks: bytes) -> None:
        """Send bytes."""
        for chunk in chunks:
            self.connection.feed(chunk, self.now_ms)
            while self.connection.has_more:
                self.connection.feed(b"", self.now_ms)

    def hear(self, limit: int = 1 << 30) -> list[Seen]:
        """Receive what the server has to say."""
        return frames(self.connection.take(limit))

    def wait(self, milliseconds: int) -> None:
        """Let time pass, and the connection notice."""
        self.now_ms += milliseconds
        self.connection.tick(self.now_ms)

    @property
    def calls(self) -> list[tuple[str, int, bytes]]:
        """What the handler was told."""
        return self.recorder.calls
