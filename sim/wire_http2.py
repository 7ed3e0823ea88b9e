"""The client's side of HTTP/2 with gRPC on it: calls in, bytes out; bytes in, messages out.

Rule of this file: no sockets, no time, no etcd. It shares only the decoder of header blocks with
the shipped codec; frames and windows are written down here a second time. What it cannot make sense
of is a broken server: `WireError`.
"""

from collections import deque
from functools import lru_cache
from struct import Struct
from typing import Protocol
from urllib.parse import unquote

from attrs import define, field

from net.http2.headers import HeaderDecoder
from sim.wire_codes import UNAVAILABLE, UNTAKEN

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS = 4
INITIAL_WINDOW, FRAME_BYTES, CANCEL = 65_535, 16_384, 8
STREAM_WINDOW = 1 << 20
REFUSED_STREAM = 7
NO_TABLE = b"\x20"
"""What the first header block after the server's SETTINGS begins with: its table has no room."""

_head = Struct(">IBI")


class WireError(AssertionError):
    """The server said what no server may say."""


class Sink(Protocol):
    """Who hears of one call."""

    def message(self, data: bytes) -> None:
        """A whole message arrived."""
        ...

    def ended(self, code: int, text: str) -> None:
        """The call is over with this gRPC status; nothing follows."""
        ...


@define(eq=False)
class _Stream:
    sink: Sink
    window: int
    unsent: deque[tuple[bytes, bool]] = field(factory=deque[tuple[bytes, bool]])
    received: bytearray = field(factory=bytearray)
    ungranted: int = 0
    is_slow: bool = False


class Http2Client:
    """One connection. `feed` what comes, `take` what goes; streams are numbers."""

    def __init__(self) -> None:
        grant = _frame(WINDOW_UPDATE, payload=(STREAM_WINDOW * 4).to_bytes(4, "big"))
        settings = _frame(SETTINGS, payload=b"\0\x04" + STREAM_WINDOW.to_bytes(4, "big"))
        self._out = bytearray(PREFACE + settings + grant)
        self._in = bytearray()
        self._streams: dict[int, _Stream] = {}
        self._next = 1
        self._window: int = INITIAL_WINDOW
        self._stream_window = INITIAL_WINDOW
        self._ungranted = 0
        self._says_no_table = False
        self._decoder = HeaderDecoder(1 << 16)
        self.is_going = False
        """The server takes no more calls here."""

    def __len__(self) -> int:
        return len(self._streams)

    def call(
        self, path: str, sink: Sink, *, timeout_ms: int = 0, wants_leader: bool = False
    ) -> int:
        """Begin a call, which ends where nobody leads if a leader is wanted."""
        stream_id = self._next
        self._next += 2
        self._streams[stream_id] = _Stream(sink, self._stream_window)
        block = _request_block(path)
        if timeout_ms:
            block += _literal(b"grpc-timeout", b"%dm" % timeout_ms)
        if wants_leader:
            block += _literal(b"hasleader", b"true")
        if self._says_no_table:
            self._says_no_table = False
            block = NO_TABLE + block
        self._out += _frame(HEADERS, END_HEADERS, stream_id, block)
        return stream_id

    def send(self, stream_id: int, message: bytes, *, ends: bool = False) -> None:
        """Send a message of a call, as windows allow; `ends` says that it is the last."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.unsent.append((b"\0" + len(message).to_bytes(4, "big") + message, ends))
            self._push(stream_id, stream)

    def cancel(self, stream_id: int) -> None:
        """Give a call up; its sink hears nothing more."""
        if self._streams.pop(stream_id, None) is not None:
            self._out += _frame(RST_STREAM, 0, stream_id, CANCEL.to_bytes(4, "big"))

    def slow(self, stream_id: int, is_slow: bool) -> None:
        """Stop granting room to one stream, or go on."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.is_slow = is_slow
            self._grant(stream_id, stream, 0)

    def lost(self, text: str, *, code: int = UNAVAILABLE) -> None:
        """The connection is gone: every call ends as gRPC says it, or with that code."""
        streams, self._streams = self._streams, {}
        self.is_going = True
        for stream in streams.values():
            stream.sink.ended(code, text)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._out += _frame(PING, 0, 0, bytes(8))

    def forget(self) -> None:
        """Let every call be over; their sinks hear nothing."""
        self._streams.clear()
        self.is_going = True

    def take(self) -> bytes:
        """Return what is to be sent now, all of it."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def feed(self, data: bytes) -> None:
        """Take what the server sent. Raises WireError."""
        self._in += data
        at = 0
        buffer = self._in
        while len(buffer) - at >= 9:
            first, flags, stream_id = _head.unpack_from(buffer, at)
            size = first >> 8
            if size > FRAME_BYTES:
                raise WireError(f"a frame of {size} bytes")
            if len(buffer) - at < 9 + size:
                break
            payload = bytes(buffer[at + 9 : at + 9 + size])
            at += 9 + size
            self._frame(first & 255, flags, stream_id, payload)
        del buffer[:at]

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        match kind:
            case 0:
                self._data(stream_id, flags, payload)
            case 1:
                if not flags & END_HEADERS:
                    raise WireError("a header block in pieces")
                self._headers(stream_id, flags, payload)
            case 3:
                code = int.from_bytes(payload, "big")
                ended = UNTAKEN if code == REFUSED_STREAM else UNAVAILABLE
                self._end(stream_id, ended, f"the server reset the stream with {code}")
            case 4:
                if not flags & ACK:
                    self._settings(payload)
            case 6:
                if not flags & ACK:
                    self._out += _frame(PING, ACK, 0, payload)
            case 7:
                self._go_away(int.from_bytes(payload[:4], "big"))
            case 8:
                self._more_room(stream_id, int.from_bytes(payload, "big"))
            case _:
                pass

    def _data(self, stream_id: int, flags: int, payload: bytes) -> None:
        self._ungranted += len(payload)
        if self._ungranted >= STREAM_WINDOW:
            self._out += _frame(WINDOW_UPDATE, 0, 0, self._ungranted.to_bytes(4, "big"))
            self._ungranted = 0
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        received = stream.received
        received += payload
        self._grant(stream_id, stream, len(payload))
        while len(received) >= 5:
            size = int.from_bytes(received[1:5], "big")
            if received[0]:
                raise WireError("a compressed message")
            if len(received) < 5 + size:
                break
            message = bytes(received[5 : 5 + size])
            del received[: 5 + size]
            stream.sink.message(message)
        if flags & END_STREAM:
            raise WireError("a stream ended without trailers")

    def _grant(self, stream_id: int, stream: _Stream, size: int) -> None:
        stream.ungranted += size
        if stream.ungranted >= STREAM_WINDOW // 2 and not stream.is_slow:
            self._out += _frame(WINDOW_UPDATE, 0, stream_id, stream.ungranted.to_bytes(4, "big"))
            stream.ungranted = 0

    def _headers(self, stream_id: int, flags: int, payload: bytes) -> None:
        fields = dict(self._decoder.decode(payload))
        if flags & END_STREAM:
            text = unquote(fields.get(b"grpc-message", b"").decode("ascii"))
            self._end(stream_id, int(fields[b"grpc-status"]), text)

    def _end(self, stream_id: int, code: int, text: str) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return
        if any(ends for _, ends in stream.unsent):
            self._out += _frame(RST_STREAM, 0, stream_id, CANCEL.to_bytes(4, "big"))
        stream.sink.ended(code, text)

    def _settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            name = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if name == 4:
                change = value - self._stream_window
                self._stream_window = value
                for stream in self._streams.values():
                    stream.window += change
            elif name == 1 and value == 0:
                self._says_no_table = True
        self._out += _frame(SETTINGS, ACK)

    def _go_away(self, last: int) -> None:
        self.is_going = True
        for stream_id in [each for each in self._streams if each > last]:
            self._end(stream_id, UNTAKEN, "the server is going away")

    def _more_room(self, stream_id: int, size: int) -> None:
        if stream_id:
            stream = self._streams.get(stream_id)
            if stream is not None:
                stream.window += size
                self._push(stream_id, stream)
            return
        self._window += size
        for each, stream in list(self._streams.items()):
            self._push(each, stream)

    def _push(self, stream_id: int, stream: _Stream) -> None:
        """Send what the windows let through."""
        unsent = stream.unsent
        while unsent:
            data, ends = unsent[0]
            size = min(len(data), FRAME_BYTES, stream.window, self._window)
            if size <= 0:
                return
            is_all = size == len(data)
            flags = END_STREAM if is_all and ends else 0
            self._out += _frame(DATA, flags, stream_id, data[:size])
            stream.window -= size
            self._window -= size
            if is_all:
                unsent.popleft()
            else:
                unsent[0] = (data[size:], ends)


def _frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return _head.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


@lru_cache(64)
def _request_block(path: str) -> bytes:
    fields = (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()),
        (b":authority", b"member"), (b"content-type", b"application/grpc"), (b"te", b"trailers"),
    )  # fmt: skip
    return b"".join(_literal(name, value) for name, value in fields)
