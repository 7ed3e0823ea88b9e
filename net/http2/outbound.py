"""The sending half of a connection: answers in, frames out.

Three sources feed `take`, in this order:

    control   PING answers, window updates, GOAWAY
    framed    whole frames of short messages, headers, trailers, resets, in order of the calls
    the ring  streams with queued messages: one frame a turn, round robin, framed only now

A message goes to `framed` if it fits one frame and both windows and nothing of its stream is
queued before it; else it is queued by reference. So short messages never wait behind a long one,
and a long one gets at least 1/LAZY_SHARE of every `take`. Frames of one stream never overtake
each other: a stream leaves the ring before its next message may go to `framed`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from net.http2.limits import (
    FRAME_BYTES_MAX,
    LAZY_SHARE,
    LINGERING_STREAMS_MAX,
    WINDOW_MAX,
)
from net.http2.status import OK_TRAILERS, RESPONSE_HEADERS, trailers, trailers_only
from net.http2.stream import CLOSED, OVER, QUEUED, STREAMING, UNSENT, Refusal, Stream
from net.http2.wire import (
    ACK,
    ANSWER_BYTES,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    HEADERS_START,
    PING,
    RST_STREAM,
    SETTINGS,
    TRAILERS_START,
    WINDOW_UPDATE,
    ConnectionFault,
    ErrorCode,
    Fault,
    frame,
    frame_header,
    pack_answer,
    pack_message,
    pack_trailers,
)

M = TypeVar("M")
Piece = bytes | memoryview

_PREFIX_BYTES = 5
_INITIAL_WINDOW_BYTES = 65_535
_NO_ERROR = ErrorCode.NO_ERROR.to_bytes(4, "big")


def _nobody(*_: object) -> None:
    """Take the place of whoever was told."""


class Outbound(Generic[M]):
    """Windows, queues and frames of one connection, and which of its streams are not over."""

    def __init__(self, wake: Callable[[], None], released: Callable[[Stream[M]], None]) -> None:
        """`wake`: output has appeared. `released`: a stream that held received bytes is over."""
        self.streams: dict[int, Stream[M]] = {}
        self.lingering: dict[int, None] = {}
        """Streams that are over on our side only, oldest first."""
        self.pending_bytes = 0
        self.messages_out = 0
        self.bytes_out = 0
        self.has_sent = False
        """A HEADERS or DATA frame was made since this was last cleared."""
        self.control_bytes = 0
        """Of `pending_bytes`, the answers to control frames."""
        self._wake = wake
        self._released = released
        self._control: list[bytes] = []
        self._framed: list[bytes] = []
        self._ring: deque[Stream[M]] = deque()
        self._window = _INITIAL_WINDOW_BYTES
        self._initial_window = _INITIAL_WINDOW_BYTES

    # Answers.

    def respond(self, stream: Stream[M], message: bytes) -> None:
        """Answer a unary request: headers, message, OK trailers. The hot path of the server."""
        stream_id = stream.id
        length = len(message)
        size = length + _PREFIX_BYTES
        if (
            stream.sending
            or stream.receiving != CLOSED
            or size > self._window
            or size > FRAME_BYTES_MAX
            or size > stream.send_credit + self._initial_window
        ):
            self.respond_parts(stream, (message,), length)
            return
        if self.streams.pop(stream_id, None) is None:
            return
        self._window -= size
        framed = self._framed
        if not framed:
            self._wake()
        framed += (
            pack_answer(HEADERS_START, stream_id, RESPONSE_HEADERS, size << 8, stream_id, length),
            message,
            pack_trailers(TRAILERS_START, stream_id, OK_TRAILERS),
        )
        self.pending_bytes += length + ANSWER_BYTES
        self.messages_out += 1
        self.has_sent = True

    def respond_parts(self, stream: Stream[M], parts: Sequence[Piece], size: int) -> None:
        """Answer a unary request with one message given in parts, `size` bytes in sum."""
        if stream.id in self.streams:
            self.send_parts(stream, parts, size)
            self.finish(stream)

    def open(self, stream: Stream[M]) -> None:
        """Send the response headers now, if they are not sent yet."""
        if stream.sending == UNSENT and stream.id in self.streams:
            stream.sending = STREAMING
            self._frame(HEADERS, END_HEADERS, stream.id, RESPONSE_HEADERS)
            self.has_sent = True

    def send(self, stream: Stream[M], message: bytes) -> None:
        """Send one message of a stream."""
        length = len(message)
        size = length + _PREFIX_BYTES
        if (
            stream.sending != STREAMING
            or size > self._window
            or size > FRAME_BYTES_MAX
            or size > stream.send_credit + self._initial_window
        ):
            self.send_parts(stream, (message,), length)
            return
        self._window -= size
        stream.send_credit -= size
        framed = self._framed
        if not framed:
            self._wake()
        framed += (pack_message(size << 8, stream.id, length), message)
        self.pending_bytes += size + 9
        self.messages_out += 1
        self.has_sent = True

    def send_parts(self, stream: Stream[M], parts: Sequence[Piece], size: int) -> None:
        """Send one message given in parts, `size` bytes in sum; they are not copied.

        A deque is taken over as it is, if nothing of the stream is queued: 100,000 parts cost no
        more than one. None of its parts may be empty.
        """
        if stream.id not in self.streams:
            return
        assert stream.ending is None, "a message after the end of its stream"
        self.open(stream)
        if stream.sending == STREAMING and self._fits(stream, size + _PREFIX_BYTES):
            self.send(stream, b"".join(parts))
            return
        prefix = b"\0" + size.to_bytes(4, "big")
        queue = stream.queue
        if queue is None and isinstance(parts, deque):
            parts.appendleft(prefix)
            stream.queue = parts
        else:
            if queue is None:
                queue = stream.queue = deque()
            queue.append(prefix)
            queue.extend(part for part in parts if part)
        stream.sending = QUEUED
        stream.queued_bytes += size + _PREFIX_BYTES
        self.pending_bytes += size + _PREFIX_BYTES
        self.messages_out += 1
        self._join_ring(stream)

    def finish(self, stream: Stream[M]) -> None:
        """End a stream with OK, after what is queued on it."""
        self.open(stream)
        self._end(stream, OK_TRAILERS)

    def fail(self, stream: Stream[M], code: int, text: str) -> None:
        """End a stream with a status, after what is queued on it."""
        make = trailers_only if stream.sending == UNSENT else trailers
        self._end(stream, make(code, text))

    def _end(self, stream: Stream[M], block: bytes) -> None:
        if stream.id not in self.streams:
            return
        assert stream.ending is None, "a stream is ended once"
        stream.ending = block
        if stream.sending != QUEUED:
            self._close(stream)

    def _close(self, stream: Stream[M]) -> None:
        """Send the ending of a stream whose queue is empty."""
        if not self._framed:
            self._wake()
        self._framed += self._ended(stream)

    def _ended(self, stream: Stream[M]) -> list[bytes]:
        """Take a stream out of the connection and return its last frames.

        If the client's side is open, RST_STREAM tells it that nobody reads it any more.
        """
        assert stream.ending is not None
        last = [frame(HEADERS, END_HEADERS | END_STREAM, stream.id, stream.ending)]
        self.forget(stream)
        if stream.receiving != CLOSED:
            last.append(frame(RST_STREAM, 0, stream.id, _NO_ERROR))
            self.linger(stream.id)
        self.pending_bytes += sum(map(len, last))
        self.has_sent = True
        return last

    def refuse(self, stream_id: int, refusal: Refusal, *, lingers: bool) -> None:
        """Answer a request that never became a stream."""
        block = trailers_only(refusal.code, refusal.text, http_status=refusal.http_status)
        self._frame(HEADERS, END_HEADERS | END_STREAM, stream_id, block)
        self.has_sent = True
        if lingers:
            self.reset_id(stream_id, ErrorCode.NO_ERROR)

    # Resets.

    def reset(self, stream: Stream[M], code: ErrorCode) -> None:
        """Drop a stream and what is queued on it."""
        self.forget(stream)
        self.reset_id(stream.id, code, lingers=stream.receiving != CLOSED)

    def reset_id(self, stream_id: int, code: ErrorCode, *, lingers: bool = True) -> None:
        """Send RST_STREAM; tolerate late frames of that stream if it `lingers`."""
        self._frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))
        if lingers:
            self.linger(stream_id)

    def linger(self, stream_id: int) -> None:
        """Tolerate late frames of a stream that is over on our side only."""
        self.lingering[stream_id] = None
        if len(self.lingering) > LINGERING_STREAMS_MAX:
            del self.lingering[next(iter(self.lingering))]

    def forget(self, stream: Stream[M]) -> None:
        """Take a stream out of the connection: nothing more is sent for it."""
        self.streams.pop(stream.id, None)
        stream.sending = OVER
        self.pending_bytes -= stream.queued_bytes
        stream.queued_bytes = 0
        stream.queue = None
        if stream.partial is not None or stream.granted_bytes or stream.held is not None:
            self._released(stream)

    # Control.

    def begin(self, settings: bytes, receive_window: int) -> None:
        """Send our SETTINGS, then raise the connection's receive window to its size."""
        self._first(SETTINGS, 0, 0, settings)
        self.grant(0, receive_window - _INITIAL_WINDOW_BYTES)
        self._wake()

    def acknowledge_settings(self) -> None:
        """Acknowledge the peer's SETTINGS, behind the frames that were made under the old ones."""
        self._frame(SETTINGS, ACK, 0, b"")

    def ping(self, payload: bytes, *, ack: bool) -> None:
        """Send a PING or its answer."""
        self._first(PING, ACK if ack else 0, 0, payload)

    def grant(self, stream_id: int, count: int) -> None:
        """Let the peer send `count` bytes more on a stream, or on the connection (0)."""
        self._first(WINDOW_UPDATE, 0, stream_id, count.to_bytes(4, "big"))

    def go_away(self, last_stream_id: int, code: ErrorCode, text: str) -> None:
        """Say which streams will be served, and why no others."""
        payload = last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + text.encode()
        self._first(GOAWAY, 0, 0, payload)

    def drop_queued(self) -> None:
        """Give up all that is not framed."""
        for stream in list(self.streams.values()):
            self.forget(stream)
        self._ring.clear()

    def drop_all(self) -> None:
        """Give up all output: the peer is gone."""
        self.drop_queued()
        self._framed.clear()
        self._control.clear()
        self.control_bytes = 0
        self.pending_bytes = 0

    def detach(self) -> None:
        """Forget whom to tell."""
        self._wake = _nobody
        self._released = _nobody

    # Windows, as the peer sets them.

    def open_connection_window(self, increment: int) -> None:
        """Raise the connection window. Raises ConnectionFault above 2^31-1."""
        if self._window + increment > WINDOW_MAX:
            raise ConnectionFault(Fault.WINDOW_OVERFLOW)
        self._window += increment

    def open_stream_window(self, stream: Stream[M], increment: int) -> bool:
        """Raise a stream's window; say whether that is within 2^31-1."""
        if stream.send_credit + self._initial_window + increment > WINDOW_MAX:
            return False
        stream.send_credit += increment
        if stream.sending == QUEUED:
            self._join_ring(stream)
        return True

    def set_initial_window(self, size: int) -> None:
        """Change the window of every stream, perhaps to below zero.

        Raises ConnectionFault if one gets above 2^31-1.
        """
        grows = size > self._initial_window
        self._initial_window = size
        if not grows:
            return
        for stream in self.streams.values():
            if stream.send_credit + size > WINDOW_MAX:
                raise ConnectionFault(Fault.WINDOW_OVERFLOW)
            if stream.sending == QUEUED:
                self._join_ring(stream)

    # Output.

    def take(self, limit: int) -> bytes:
        """Return the next bytes: all control and framed ones, then queued ones up to `limit`."""
        if not self._control and not self._ring:
            data = b"".join(self._framed)
        else:
            out: list[Piece] = [*self._control, *self._framed]
            self._control.clear()
            self.control_bytes = 0
            if self._ring:
                framed = sum(map(len, out))
                self._pump(out, max(limit - framed, limit // LAZY_SHARE))
            data = b"".join(out)
        self._framed.clear()
        self.pending_bytes -= len(data)
        self.bytes_out += len(data)
        return data

    def _pump(self, out: list[Piece], budget: int) -> None:
        """Frame queued messages, one frame a stream in turn, until `budget` bytes are framed."""
        ring = self._ring
        while ring and budget > 0 and self._window > 0:
            stream = ring.popleft()
            stream.in_ring = False
            if stream.sending != QUEUED:
                continue
            room = min(
                FRAME_BYTES_MAX,
                self._window,
                stream.send_credit + self._initial_window,
                stream.queued_bytes,
            )
            if room <= 0:
                continue
            out.append(frame_header(DATA, 0, stream.id, room))
            self._cut(stream, room, out)
            self.has_sent = True
            self._window -= room
            stream.send_credit -= room
            stream.queued_bytes -= room
            self.pending_bytes += 9
            budget -= room + 9
            if stream.queued_bytes:
                stream.in_ring = True
                ring.append(stream)
                continue
            stream.queue = None
            stream.sending = STREAMING
            if stream.ending is not None:
                out += self._ended(stream)

    @staticmethod
    def _cut(stream: Stream[M], size: int, out: list[Piece]) -> None:
        """Move `size` bytes from the front of a stream's queue to `out`."""
        queue = stream.queue
        assert queue is not None
        while size:
            piece = queue.popleft()
            length = len(piece)
            if length > size:
                whole = memoryview(piece)
                out.append(whole[:size])
                queue.appendleft(whole[size:])
                return
            out.append(piece)
            size -= length

    def _fits(self, stream: Stream[M], size: int) -> bool:
        window = min(self._window, stream.send_credit + self._initial_window)
        return size <= FRAME_BYTES_MAX and size <= window

    def _join_ring(self, stream: Stream[M]) -> None:
        if not stream.in_ring:
            stream.in_ring = True
            self._ring.append(stream)
            self._wake()

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Append a frame behind those made before."""
        if not self._framed:
            self._wake()
        self._framed.append(frame(kind, flags, stream_id, payload))
        self.pending_bytes += len(payload) + 9

    def _first(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Append a frame that goes before all others."""
        self._control.append(frame(kind, flags, stream_id, payload))
        self.pending_bytes += len(payload) + 9
        self.control_bytes += len(payload) + 9
