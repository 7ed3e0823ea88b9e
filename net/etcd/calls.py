"""One waiting request each: who gets the answer, and how it is laid out for them.

A `Call` is the token that travels through the core and comes back with the answer.
"""

from collections.abc import Callable
from typing import Any

from core.answers import Answer, RangeAnswer, RangeChunk, RangeParts
from core.errors import Failure
from core.watching import Message, WatchStream
from net.etcd.encode import Encoder
from net.http2.connection import Connection
from net.http2.stream import Stream
from net.metrics import RpcMetrics

PARTS_BYTES_MIN = 64 << 10
"""An answer from here on is sent as pieces, framed as the connection has room."""

AnyConnection = Connection[Any]
AnyStream = Stream[Any]


class Call:
    """A unary request."""

    __slots__ = ("began_ms", "connection", "metrics", "over", "request", "stream")

    def __init__(
        self,
        connection: AnyConnection,
        stream: AnyStream,
        metrics: RpcMetrics,
        began_ms: int,
        request: bytes = b"",
    ) -> None:
        self.connection = connection
        self.stream = stream
        self.metrics = metrics
        self.began_ms = began_ms
        self.request = request
        self.over = False

    def settle(self, encoder: Encoder, answer: Answer) -> None:
        """Send the answer, or the status if it is a failure."""
        if isinstance(answer, Failure):
            self.fail(answer)
            return
        self.end()
        metrics = self.metrics
        metrics.handled[0] += 1
        metrics.sent += 1
        if type(answer) is RangeAnswer:
            parts = encoder.range_parts(answer)
            size = sum(map(len, parts))
            if size >= PARTS_BYTES_MIN:
                self.connection.respond_parts(self.stream, parts, size)
            else:
                self.connection.respond(self.stream, b"".join(parts))
            return
        if type(answer) is RangeParts:
            size = encoder.listed(answer)
            self.connection.respond_parts(self.stream, answer.parts, size)
            return
        self.connection.respond(self.stream, encoder.answer(answer))

    def end(self) -> None:
        """Nobody waits any more: let go of the stream's hold, or the two would be a cycle."""
        self.over = True
        self.stream.state = None

    def reply(self, message: bytes) -> None:
        """Send an answer that is laid out already."""
        self.end()
        self.metrics.handled[0] += 1
        self.metrics.sent += 1
        self.connection.respond(self.stream, message)

    def fail(self, failure: Failure) -> None:
        """Send a status that is not OK."""
        self.end()
        self.metrics.handled[failure.code] += 1
        self.connection.fail(self.stream, failure.code, failure.text)


class Onward(Call):
    """A request that does something of its own once the core has answered."""

    __slots__ = ("_call", "_failed", "_then")

    def __init__(
        self,
        call: Call,
        then: Callable[[Call, Answer], None],
        failed: Callable[[Failure], None] | None = None,
    ) -> None:
        self._call = call
        self._then = then
        self._failed = failed
        self.over = False

    def settle(self, encoder: Encoder, answer: Answer) -> None:
        """Go on with the core's answer; a failure ends the request."""
        self.over = True
        if isinstance(answer, Failure) and self._failed is not None:
            self._failed(answer)
        if self._call.over:
            return
        if isinstance(answer, Failure):
            self._call.fail(answer)
        else:
            self._then(self._call, answer)


class Hidden(Call):
    """A question the member asks itself: no stream, only something to do with the verdict."""

    __slots__ = ("_then",)

    def __init__(self, then: Callable[[bool], None]) -> None:
        self._then = then
        self.over = False

    def settle(self, encoder: Encoder, answer: Answer) -> None:
        """Say whether it was answered well."""
        self.over = True
        self._then(not isinstance(answer, Failure))

    def expire(self) -> None:
        """Nobody answered in time."""
        self.over = True
        self._then(False)


class StreamCall(Call):
    """A request answered by many messages."""

    __slots__ = ()

    def settle(self, encoder: Encoder, answer: Answer) -> None:
        """Send one chunk; the last one ends the stream."""
        if isinstance(answer, Failure):
            self.fail(answer)
            return
        assert isinstance(answer, RangeChunk), "INV-ANSWER-KIND"
        parts = encoder.chunk_parts(answer)
        self.metrics.sent += 1
        self.connection.send_parts(self.stream, parts, sum(map(len, parts)))
        if answer.last:
            self.finish()

    def finish(self) -> None:
        """End the stream well."""
        self.end()
        self.metrics.handled[0] += 1
        self.connection.finish(self.stream)


class KeepAliveCall(Call):
    """A stream of lease renewals: one answer per message, in order."""

    __slots__ = ("_open", "asked", "ended")

    def __init__(
        self,
        connection: AnyConnection,
        stream: AnyStream,
        metrics: RpcMetrics,
        began_ms: int,
        among: dict["KeepAliveCall", None],
    ) -> None:
        """It takes itself out of those `among` which it is open."""
        super().__init__(connection, stream, metrics, began_ms)
        self.asked = 0
        self.ended = False
        self._open = among

    def end(self) -> None:
        """Nobody waits any more."""
        super().end()
        self._open.pop(self, None)

    def settle(self, encoder: Encoder, answer: Answer) -> None:
        """Answer one renewal."""
        if isinstance(answer, Failure):
            self.fail(answer)
            return
        self.asked -= 1
        self.metrics.sent += 1
        self.connection.send(self.stream, encoder.answer(answer))
        self.finish_if_done()

    def finish_if_done(self) -> None:
        """End the stream once the client has ended its side and all is answered."""
        if self.ended and not self.asked and not self.over:
            self.end()
            self.metrics.handled[0] += 1
            self.connection.finish(self.stream)


class WatchCall(Call):
    """A Watch RPC."""

    __slots__ = ("watch_stream",)

    def __init__(
        self, connection: AnyConnection, stream: AnyStream, metrics: RpcMetrics, began_ms: int
    ) -> None:
        super().__init__(connection, stream, metrics, began_ms)
        self.watch_stream = WatchStream(token=self)

    def end(self) -> None:
        """Nobody listens any more: the core's stream forgets its call, or they would be a cycle."""
        super().end()
        self.watch_stream.token = None

    def notify(self, encoder: Encoder, message: Message) -> None:
        """Send one watch message."""
        if not self.over:
            self.metrics.sent += 1
            self.connection.send(self.stream, encoder.watch(message))

    def finish(self) -> None:
        """End the stream because the client ended its side."""
        if not self.over:
            self.end()
            self.metrics.handled[0] += 1
            self.connection.finish(self.stream)
