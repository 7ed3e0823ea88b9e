"""DATA frames to messages, within windows.

A stream may send STREAM_WINDOW_BYTES before we grant more. The window is topped up as messages
are consumed. A longer message gets the rest of its length granted at once, when its prefix is
known, as long as the sum of such grants stays within GRANTED_BYTES_MAX; else it waits in line.
Every granted message can be completed, so the line always moves. The connection window is
replenished on arrival: it bounds what is under way, not what is held.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Generic, TypeVar

from net.http2.endings import Endings
from net.http2.limits import (
    CONNECTION_WINDOW_BYTES,
    FEED_WORK_MAX,
    GRANTED_BYTES_MAX,
    MESSAGE_WORK,
    PARTIAL_BYTES_MAX,
    STREAM_WINDOW_BYTES,
)
from net.http2.status import Code, quoted
from net.http2.stream import CLOSED, RECEIVING, Handler, Kind, Stream
from net.http2.wire import ErrorCode, read_message_prefix

if TYPE_CHECKING:
    from net.http2.connection import Connection

M = TypeVar("M")

_PREFIX_BYTES = 5
_MESSAGES_MAX = FEED_WORK_MAX // MESSAGE_WORK
"""Taken from one frame in one go; a frame may hold thousands."""

WINDOW_LOW_BYTES = CONNECTION_WINDOW_BYTES // 2


class Inbound(Generic[M]):
    """Reassembly and receive windows of one connection."""

    def __init__(
        self,
        connection: Connection[M],
        handler: Handler[M],
        endings: Endings[M],
        message_bytes_max: int,
    ) -> None:
        self._connection = connection
        self._handler = handler
        self._endings = endings
        self._out = endings.out
        self._message_bytes_max = message_bytes_max
        self.window = CONNECTION_WINDOW_BYTES
        """What the peer may still send on the connection: every DATA frame is charged to it."""
        self._partial_bytes = 0
        self._granted_bytes = 0
        self._waiting: dict[int, Stream[M]] = {}
        """Streams in line for a grant, first come first."""
        self.unfinished: Stream[M] | None = None
        """The stream whose last frame has more messages than one `feed` takes."""

    @property
    def partial_bytes(self) -> int:
        """Bytes held of messages that are not complete."""
        return self._partial_bytes

    def replenish(self) -> None:
        """Raise the connection window to its size; due below WINDOW_LOW_BYTES."""
        self._out.grant(0, CONNECTION_WINDOW_BYTES - self.window)
        self.window = CONNECTION_WINDOW_BYTES

    def data(self, stream: Stream[M], payload: bytes, size: int, ended: bool) -> None:
        """Take the payload of a DATA frame that counts `size` bytes with its padding."""
        if stream.receiving == CLOSED:
            self._endings.offence(stream, ErrorCode.STREAM_CLOSED)
            return
        stream.receive_window -= size
        if stream.receive_window < 0:
            self._endings.offence(stream, ErrorCode.FLOW_CONTROL_ERROR)
            return
        stream.receiving = CLOSED if ended else RECEIVING
        if stream.ending is None and (not payload or self._consume(stream, payload)):
            self._go_on(stream)

    def resume(self) -> bool:
        """Go on with the frame that was not finished; whether there was one."""
        stream, self.unfinished = self.unfinished, None
        if stream is None:
            return False
        # Time may have ended the stream meanwhile.
        alive = stream.ending is None and stream.id in self._out.streams
        if alive and self._consume(stream, b""):
            self._go_on(stream)
        return True

    def _go_on(self, stream: Stream[M]) -> None:
        """What follows a frame whose messages are taken."""
        if self.unfinished is not None:
            return
        if stream.receiving == CLOSED:
            self.ended(stream)
        else:
            self._replenish(stream)

    def ended(self, stream: Stream[M]) -> None:
        """Take END_STREAM, from DATA or from trailers."""
        stream.receiving = CLOSED
        if stream.ending is not None:
            return
        if stream.partial is not None:
            self._endings.abort(stream, Code.INTERNAL, "unexpected EOF")
        elif stream.kind is Kind.BIDI:
            self._handler.half_closed(self._connection, stream)
        elif stream.held is None:
            text = (
                "cardinality violation: received no request message from non-client-streaming RPC"
            )
            self._endings.abort(stream, Code.INTERNAL, text)
        else:
            message = stream.held
            self.released(stream)
            self._connection.messages_in += 1
            self._handler.request(self._connection, stream, message)

    def released(self, stream: Stream[M]) -> None:
        """Let go of what a stream holds, and of its place in the line."""
        if stream.partial is not None:
            self._partial_bytes -= len(stream.partial)
            stream.partial = None
        if stream.held is not None:
            self._partial_bytes -= len(stream.held)
            stream.held = None
        self._return_grant(stream)

    def _consume(self, stream: Stream[M], payload: bytes) -> bool:
        """Cut messages from what has come; say whether the stream lives on."""
        partial = stream.partial
        data: bytes | bytearray = payload
        if partial is not None:
            partial += payload
            self._partial_bytes += len(payload)
            if len(partial) < stream.wanted_bytes:
                return self._within_partial(stream)
            self._partial_bytes -= len(partial)
            stream.partial = None
            data = partial
        at, end, count = 0, len(data), 0
        while end - at >= _PREFIX_BYTES:
            if count == _MESSAGES_MAX:
                self.unfinished = stream
                break
            count += 1
            flag, length = read_message_prefix(data, at)
            after = at + _PREFIX_BYTES + length
            if not self._acceptable(stream, flag, length):
                return False
            if after > end:
                stream.wanted_bytes = after - at
                break
            message = bytes(data[at + _PREFIX_BYTES : after])
            at = after
            stream.wanted_bytes = _PREFIX_BYTES
            self._return_grant(stream)
            if not self._deliver(stream, message, flag):
                return False
        if at < end:
            stream.partial = bytearray(data[at:])
            self._partial_bytes += end - at
            return self._within_partial(stream)
        return True

    def _acceptable(self, stream: Stream[M], flag: int, length: int) -> bool:
        """Judge a message by its prefix, in grpc-go's order and words; end the stream if bad."""
        if length > self._message_bytes_max:
            text = (
                f"grpc: received message larger than max ({length} vs. {self._message_bytes_max})"
            )
            self._endings.abort(stream, Code.RESOURCE_EXHAUSTED, text)
            return False
        if flag == 0:
            return True
        encoding = stream.headers.get(b"grpc-encoding", b"")
        if flag > 1:
            text = f"grpc: received unexpected payload format {flag}"
            self._endings.abort(stream, Code.INTERNAL, text)
        elif encoding in (b"", b"identity"):
            text = "grpc: compressed flag set with identity or empty encoding"
            self._endings.abort(stream, Code.INTERNAL, text)
        elif encoding != b"gzip":
            text = f"grpc: Decompressor is not installed for grpc-encoding {quoted(encoding)}"
            self._endings.abort(stream, Code.UNIMPLEMENTED, text)
        else:
            return True
        return False

    def _deliver(self, stream: Stream[M], message: bytes, flag: int) -> bool:
        """Hand on or hold a message; say whether the stream lives on."""
        if flag:
            inflated = self._inflated(stream, message)
            if inflated is None:
                return False
            message = inflated
        if stream.kind is Kind.BIDI:
            self._connection.messages_in += 1
            self._handler.message(self._connection, stream, message)
            return stream.ending is None and stream.id in self._out.streams
        if stream.held is not None:
            text = (
                "cardinality violation: received multiple request messages "
                "for non-client-streaming RPC"
            )
            self._endings.abort(stream, Code.INTERNAL, text)
            return False
        stream.held = message
        self._partial_bytes += len(message)
        return self._within_partial(stream)

    def _inflated(self, stream: Stream[M], message: bytes) -> bytes | None:
        """Return a gzip message inflated, never beyond the largest message; None if bad."""
        engine = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            inflated = engine.decompress(message, self._message_bytes_max + 1)
        except zlib.error as error:
            text = f"grpc: failed to decompress the message: {error}"
            self._endings.abort(stream, Code.INTERNAL, text)
            return None
        if len(inflated) > self._message_bytes_max:
            text = (
                "grpc: received message after decompression larger than max "
                f"{self._message_bytes_max}"
            )
            self._endings.abort(stream, Code.RESOURCE_EXHAUSTED, text)
            return None
        if not engine.eof or engine.unused_data:
            text = "grpc: failed to read decompressed data: unexpected EOF"
            self._endings.abort(stream, Code.INTERNAL, text)
            return None
        return inflated

    def _within_partial(self, stream: Stream[M]) -> bool:
        if self._partial_bytes <= PARTIAL_BYTES_MAX:
            return True
        text = "too many bytes of incomplete messages on this connection"
        self._endings.abort(stream, Code.RESOURCE_EXHAUSTED, text)
        return False

    def _replenish(self, stream: Stream[M]) -> None:
        """Grant what the stream needs to go on."""
        need = 0
        if stream.partial is not None:
            need = stream.wanted_bytes - len(stream.partial)
        if need > STREAM_WINDOW_BYTES or stream.granted_bytes:
            if stream.receive_window < need:
                self._waiting[stream.id] = stream
                self._serve_waiting()
        elif stream.receive_window < STREAM_WINDOW_BYTES // 2:
            self._grant(stream, STREAM_WINDOW_BYTES - stream.receive_window)

    def _grant(self, stream: Stream[M], count: int) -> None:
        stream.receive_window += count
        self._out.grant(stream.id, count)

    def _return_grant(self, stream: Stream[M]) -> None:
        self._waiting.pop(stream.id, None)
        self._granted_bytes -= stream.granted_bytes
        stream.granted_bytes = 0
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        """Grant the streams in line their messages, first come first served."""
        while self._waiting:
            stream = next(iter(self._waiting.values()))
            partial = stream.partial
            assert partial is not None, "a stream in line has begun a message"
            count = stream.wanted_bytes - len(partial) - stream.receive_window
            if self._granted_bytes and self._granted_bytes + count > GRANTED_BYTES_MAX:
                return
            del self._waiting[stream.id]
            stream.granted_bytes += count
            self._granted_bytes += count
            self._grant(stream, count)
