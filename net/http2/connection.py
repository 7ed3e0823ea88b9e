"""One client connection: bytes in, requests out; answers in, bytes out. No I/O, no clock.

    feed ─ frames ┬ HEADERS, CONTINUATION ─ request.RequestReader ─ Stream ┐
                  ├ DATA ────────────────── inbound.Inbound ───────────────┼─ Handler
                  └ the rest ────────────── control.Control ── endings ────┘
    respond, send, finish, fail ─────────── outbound.Outbound ─ take

What `feed` makes of bytes depends on the frames in them and on the time, never on how they were
cut into calls; while it `has_more` it wants to be fed, with nothing new. Nothing that a peer sends
raises: a broken connection queues GOAWAY, ends its streams, and says why in `reason`. The limits
are in `limits`, the reasons in `wire.Fault`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from net.http2.blocks import PartialBlock
from net.http2.budget import Budgets, Clock
from net.http2.control import Control
from net.http2.deadlines import Deadlines
from net.http2.endings import Endings
from net.http2.inbound import WINDOW_LOW_BYTES, Inbound
from net.http2.keepalive import DRAIN_PING, KEEPALIVE_PING, Keepalive
from net.http2.limits import (
    CONNECTION_WINDOW_BYTES,
    FEED_WORK_MAX,
    FRAME_BYTES_MAX,
    MESSAGE_WORK,
    STREAM_WINDOW_BYTES,
    Http2Settings,
)
from net.http2.outbound import Outbound
from net.http2.request import NO_TIMEOUT, RequestReader
from net.http2.status import Code
from net.http2.stream import (
    CLOSED,
    FRESH,
    RECEIVING,
    Handler,
    Head,
    Kind,
    Malformed,
    Refusal,
    Stream,
)
from net.http2.wire import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER_BYTES,
    HEADERS,
    PADDED,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    STREAM_ID_MAX,
    WITH_PRIORITY,
    ConnectionFault,
    ErrorCode,
    Fault,
    Setting,
    read_frame_header,
    read_message_prefix,
    unpadded,
)

M = TypeVar("M")

_PREFIX_BYTES = 5
_BIDI = Kind.BIDI
_LAYOUT = END_HEADERS | PADDED | WITH_PRIORITY
_GRACEFUL = "graceful_stop"


class Connection(Generic[M]):
    """The server's side of one HTTP/2 connection that carries gRPC.

    Answers are `Outbound`'s methods: `respond`, `respond_parts`, `open`, `send`, `send_parts`,
    `finish`, `fail`. Each ignores a stream that is over.
    """

    def __init__(
        self,
        methods: Mapping[bytes, tuple[Kind, M]],
        handler: Handler[M],
        settings: Http2Settings,
        now_ms: int,
        dirty: list[Any] | None = None,  # any: codecs of other protocols are there too
    ) -> None:
        """`dirty` is where the connection appends itself when an answer makes it want `take`."""
        self.owner: object = None
        """Free for whoever drives the connection."""
        self.closing = False
        """Write what `take` returns, then close."""
        self.reason = ""
        self.has_more = False
        """Frames were left for the next `feed`; read nothing from the peer before it."""
        self.messages_in = 0
        self.bytes_in = 0
        self.streams_opened = 0
        self._dirty = dirty
        self._handler = handler
        self._settings = settings
        self._clock = Clock(now_ms)
        self._budgets = Budgets(self._clock)
        self._keepalive = Keepalive(settings, self._clock)
        out = self._out = Outbound[M](self._wake, self._released)
        self.streams = out.streams
        self.respond = out.respond
        self.respond_parts = out.respond_parts
        self.open = out.open
        self.send = out.send
        self.send_parts = out.send_parts
        self.finish = out.finish
        self.fail = out.fail
        self._endings = Endings[M](self, handler, out, self._budgets)
        self._inbound = Inbound[M](self, handler, self._endings, settings.message_bytes_max)
        self._requests = RequestReader[M](methods, settings.header_list_bytes_max)
        self._control = Control[M](
            clock=self._clock,
            endings=self._endings,
            budgets=self._budgets,
            keepalive=self._keepalive,
            acknowledged=self._settings_acknowledged,
            drain_answered=self._drain_finally,
        )
        self._quick_bytes_max = settings.message_bytes_max
        self._streams_max = settings.streams_max
        self._rest = b""
        self._block: PartialBlock | None = None
        self._last_id = 0
        self._served_max = STREAM_ID_MAX
        self._is_open = False
        self._handshake_due_ms = now_ms + settings.handshake_timeout_ms
        self._deadlines = Deadlines(out.streams)
        self._drain_due_ms = 0
        self._is_draining = False
        self._is_over = False
        self._begin()

    # What the driver sees.

    @property
    def pending_bytes(self) -> int:
        """Bytes framed or queued and not taken yet."""
        return self._out.pending_bytes

    @property
    def messages_out(self) -> int:
        """Messages handed in to be sent."""
        return self._out.messages_out

    @property
    def bytes_out(self) -> int:
        """Bytes taken."""
        return self._out.bytes_out

    @property
    def next_deadline_ms(self) -> int:
        """When `tick` has something to do: never late, perhaps early; 0 for never."""
        if self.closing:
            return 0
        due = self._keepalive.due_ms
        block_due_ms = self._block.due_ms if self._block is not None else 0
        others = (self._handshake_due_ms, self._deadlines.due_ms, self._drain_due_ms, block_due_ms)
        for other in others:
            if other and other < due:
                due = other
        return due

    def feed(self, data: bytes, now_ms: int) -> None:
        """Take bytes from the peer; call the handler for what they complete."""
        if self.closing:
            return
        clock = self._clock
        clock.now_ms = clock.read_ms = now_ms
        self.bytes_in += len(data)
        self.has_more = False
        if self._rest:
            data = self._rest + data
        try:
            at = self._frames(data, 0) if self._is_open else self._handshake(data)
        except ConnectionFault as broken:
            self._die(broken.fault)
            return
        self._rest = data[at:]
        if self._is_draining:
            self._settle()

    def take(self, limit: int) -> bytes:
        """Return the next bytes for the peer, about `limit` unless more is framed already.

        Empty when nothing can go now: there is no output, or the peer's windows are closed.
        """
        data = self._out.take(limit)
        if self._is_draining:
            self._settle()
        return data

    def tick(self, now_ms: int) -> None:
        """Do what is due by now: deadlines, keepalive, timeouts, the second half of a drain."""
        if self.closing:
            return
        self._clock.now_ms = now_ms
        try:
            self._time_out(now_ms)
        except ConnectionFault as broken:
            self._die(broken.fault)
            return
        for stream in self._deadlines.expired(now_ms):
            if stream.id in self.streams:
                self._endings.expired(stream)
        if self._drain_due_ms and now_ms >= self._drain_due_ms:
            self._drain_finally()
        if self._is_draining:
            self._settle()

    def drain(self, now_ms: int) -> None:
        """End gracefully: no new streams soon, `closing` when those at work are over.

        The first GOAWAY names no stream; the second, when the client has seen the first (it has
        answered a ping) or is too slow, names the last one that was opened meanwhile.
        """
        if self.closing or self._drain_due_ms or self._is_draining:
            return
        self._out.go_away(STREAM_ID_MAX, ErrorCode.NO_ERROR, _GRACEFUL)
        self._out.ping(DRAIN_PING, ack=False)
        self._drain_due_ms = now_ms + self._settings.drain_ping_timeout_ms

    def eof(self) -> None:
        """Take it that the peer is gone: end all streams, drop all output.

        To be called whenever the socket is closed, never from inside a callback. It lets go of
        all that refers back here, or a connection would stay until the garbage collector comes.
        """
        if self._is_over:
            return
        self._is_over = True
        streams = list(self.streams.values())
        self._out.drop_all()
        self._stop("connection closed by peer")
        self._endings.lost(streams)
        self._out.detach()
        del self._endings, self._inbound, self._control

    # Start and end.

    def _begin(self) -> None:
        pairs = (
            (Setting.HEADER_TABLE_SIZE, 0),
            (Setting.MAX_CONCURRENT_STREAMS, self._streams_max),
            (Setting.INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
            (Setting.MAX_HEADER_LIST_SIZE, self._settings.header_list_bytes_max),
        )
        payload = b"".join(
            key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs
        )
        self._out.begin(payload, CONNECTION_WINDOW_BYTES)

    def _handshake(self, data: bytes) -> int:
        """Check the preface and the first frame's type; return the offset after what was used."""
        if not PREFACE.startswith(data[: len(PREFACE)]):
            raise ConnectionFault(Fault.BAD_PREFACE)
        at = len(PREFACE)
        if len(data) < at + FRAME_HEADER_BYTES:
            return 0
        _, _, kind, flags, _ = read_frame_header(data, at)
        if kind != SETTINGS or flags & ACK:
            raise ConnectionFault(Fault.SETTINGS_NOT_FIRST)
        self._is_open = True
        return self._frames(data, at)

    def _settings_acknowledged(self) -> None:
        self._handshake_due_ms = 0
        self._requests.settings_acknowledged()

    def _die(self, fault: Fault) -> None:
        streams = list(self.streams.values())
        self._out.drop_queued()
        self._out.go_away(self._last_id, fault.code, fault.text)
        self._stop(fault.text)
        self._endings.lost(streams)

    def _stop(self, reason: str) -> None:
        if not self.closing:
            self.closing = True
            self.reason = reason
        self._rest = b""
        self.has_more = False
        self._block = None

    def _drain_finally(self) -> None:
        if not self._drain_due_ms:
            return
        self._drain_due_ms = 0
        self._is_draining = True
        self._served_max = self._last_id
        self._out.go_away(self._last_id, ErrorCode.NO_ERROR, _GRACEFUL)

    def _settle(self) -> None:
        if not self.streams:
            self._stop("drained")

    def _wake(self) -> None:
        if self._dirty is not None:
            self._dirty.append(self)

    def _released(self, stream: Stream[M]) -> None:
        self._inbound.released(stream)

    # Time.

    def _time_out(self, now_ms: int) -> None:
        if self._handshake_due_ms and now_ms >= self._handshake_due_ms:
            late = Fault.SETTINGS_ACK_TIMEOUT if self._is_open else Fault.HANDSHAKE_TIMEOUT
            raise ConnectionFault(late)
        if self._block is not None and now_ms >= self._block.due_ms:
            raise ConnectionFault(Fault.HEADER_BLOCK_TIMEOUT)
        if self._keepalive.is_ping_due(now_ms):
            self._out.ping(KEEPALIVE_PING, ack=False)

    # Frames.

    def _frames(self, data: bytes, at: int) -> int:
        """Take frames from `at` on; return the offset of the first that is not whole or not now.

        The two frames of a usual unary request are taken here, repeating some: the hot path.
        """
        end = len(data)
        streams = self.streams
        inbound = self._inbound
        work = FEED_WORK_MAX if inbound.resume() else 0
        while work < FEED_WORK_MAX and end - at >= FRAME_HEADER_BYTES:
            high, low, kind, flags, stream_id = read_frame_header(data, at)
            length = high << 8 | low
            if length > FRAME_BYTES_MAX:
                raise ConnectionFault(Fault.FRAME_TOO_LARGE)
            start = at + FRAME_HEADER_BYTES
            at = start + length
            if at > end:
                return start - FRAME_HEADER_BYTES
            if self._block is not None and kind != CONTINUATION:
                raise ConnectionFault(Fault.CONTINUATION_EXPECTED)
            if kind == DATA:
                stream = streams.get(stream_id)
                if (
                    stream is not None
                    and stream.receiving == FRESH
                    and flags == END_STREAM
                    and length >= _PREFIX_BYTES
                ):
                    flag, size = read_message_prefix(data, start)
                    is_whole = size == length - _PREFIX_BYTES
                    if is_whole and flag == 0 and size <= self._quick_bytes_max:
                        inbound.window -= length
                        if inbound.window < WINDOW_LOW_BYTES:
                            inbound.replenish()
                        stream.receiving = CLOSED
                        self.messages_in += 1
                        self._handler.request(self, stream, data[start + _PREFIX_BYTES : at])
                        continue
                before = self.messages_in
                self._data(stream_id & STREAM_ID_MAX, flags, data[start:at])
                if inbound.unfinished is not None:
                    work = FEED_WORK_MAX
                work += 1 + (self.messages_in - before) * MESSAGE_WORK
            elif kind == HEADERS:
                # A long block may have to be decoded: 0.1 us a byte.
                work += (1 + (length >> 8)) * MESSAGE_WORK
                if flags & _LAYOUT == END_HEADERS:
                    ended = flags & END_STREAM != 0
                    self._headers(stream_id & STREAM_ID_MAX, data[start:at], ended)
                else:
                    self._headers_with_extras(stream_id & STREAM_ID_MAX, flags, data[start:at])
            else:
                work += 2 * MESSAGE_WORK if kind == RST_STREAM else 1 + (length >> 8) * MESSAGE_WORK
                self._other(kind, flags, stream_id & STREAM_ID_MAX, data[start:at])
        if work >= FEED_WORK_MAX and not self.closing:
            self.has_more = at < end or inbound.unfinished is not None
        return at

    def _other(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == CONTINUATION and self._block is not None:
            self._continuation(self._block, flags, stream_id, payload)
            return
        self._control.frame(kind, flags, stream_id, payload, last_stream_id=self._last_id)

    def _data(self, stream_id: int, flags: int, payload: bytes) -> None:
        """Take a DATA frame in general."""
        if stream_id == 0:
            raise ConnectionFault(Fault.STREAM_ID_ZERO)
        if stream_id > self._last_id or not stream_id & 1:
            raise ConnectionFault(Fault.STREAM_IDLE)
        size = len(payload)
        self._inbound.window -= size
        if self._inbound.window < WINDOW_LOW_BYTES:
            self._inbound.replenish()
        if flags & PADDED:
            payload = unpadded(payload)
        ended = flags & END_STREAM != 0
        if not payload and not ended:
            self._budgets.busy_work.spend()
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._inbound.data(stream, payload, size, ended)
        elif stream_id not in self._out.lingering:
            self._budgets.busy_work.spend()
            self._out.reset_id(stream_id, ErrorCode.STREAM_CLOSED, lingers=False)
        elif ended:
            del self._out.lingering[stream_id]

    def _headers_with_extras(self, stream_id: int, flags: int, payload: bytes) -> None:
        """Take a HEADERS frame that is padded, has a priority, or is not the whole block."""
        if flags & PADDED:
            payload = unpadded(payload)
        if flags & WITH_PRIORITY:
            if len(payload) < 5:
                raise ConnectionFault(Fault.FRAME_LENGTH)
            payload = payload[5:]
        ended = flags & END_STREAM != 0
        if flags & END_HEADERS:
            self._headers(stream_id, payload, ended)
            return
        due_ms = self._clock.now_ms + self._settings.header_block_timeout_ms
        self._block = PartialBlock(stream_id, ended, payload, due_ms)

    def _continuation(
        self, block: PartialBlock, flags: int, stream_id: int, payload: bytes
    ) -> None:
        block.append(stream_id, payload)
        if flags & END_HEADERS:
            self._block = None
            self._headers(stream_id, block.data, block.ended)

    def _headers(self, stream_id: int, block: bytes, ended: bool) -> None:
        """Take a whole header block: a new request, or the end of one."""
        if stream_id <= self._last_id or not stream_id & 1:
            self._trailers(stream_id, block, ended)
            return
        self._last_id = stream_id
        asked, timeout_ms = self._requests.request(block)
        if (
            not isinstance(asked, Head)
            or timeout_ms == 0
            or len(self.streams) >= self._streams_max
            or stream_id > self._served_max
        ):
            self._refuse(stream_id, asked, ended)
            return
        deadline_ms = 0
        if timeout_ms != NO_TIMEOUT:
            deadline_ms = self._clock.now_ms + timeout_ms
            self._deadlines.add(deadline_ms)
        stream = self.streams[stream_id] = Stream(stream_id, asked, deadline_ms)
        self.streams_opened += 1
        if asked.kind is _BIDI:
            stream.receiving = CLOSED if ended else RECEIVING
            self._handler.opened(self, stream)
        if ended and stream_id in self.streams:
            self._inbound.ended(stream)

    def _refuse(self, stream_id: int, asked: Head[M] | Refusal | Malformed, ended: bool) -> None:
        """Answer a request that no handler will see."""
        if stream_id > self._served_max:
            self._out.linger(stream_id)
        elif isinstance(asked, Malformed):
            self._out.reset_id(stream_id, ErrorCode.PROTOCOL_ERROR, lingers=not ended)
            self._budgets.resets.spend()
        elif len(self.streams) >= self._streams_max:
            self._out.reset_id(stream_id, ErrorCode.REFUSED_STREAM, lingers=not ended)
            self._budgets.resets.spend()
        else:
            if isinstance(asked, Head):
                asked = Refusal(Code.DEADLINE_EXCEEDED, "context deadline exceeded")
            self._out.refuse(stream_id, asked, lingers=not ended)

    def _trailers(self, stream_id: int, block: bytes, ended: bool) -> None:
        """Take a header block for a stream that was opened before."""
        if stream_id == 0:
            raise ConnectionFault(Fault.STREAM_ID_ZERO)
        if not stream_id & 1:
            raise ConnectionFault(Fault.STREAM_ID_EVEN)
        malformed = self._requests.trailers(block)
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id not in self._out.lingering:
                raise ConnectionFault(Fault.STREAM_ID_REUSED)
            self._budgets.busy_work.spend()
            if ended:
                del self._out.lingering[stream_id]
        elif stream.receiving == CLOSED:
            self._endings.offence(stream, ErrorCode.STREAM_CLOSED)
        elif malformed is not None or not ended:
            self._endings.offence(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            self._inbound.ended(stream)
