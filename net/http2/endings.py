"""How streams end against their handler's will: resets, deadlines, broken messages.

The handler hears `cancelled` once for each stream it was told of and has not finished. A stream
that it has finished may still have bytes queued; when those are lost, nobody is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from net.http2.budget import Budgets
from net.http2.outbound import Outbound
from net.http2.status import Code
from net.http2.stream import CLOSED, Handler, Kind, Stream
from net.http2.wire import ErrorCode

if TYPE_CHECKING:
    from net.http2.connection import Connection

M = TypeVar("M")


class Endings(Generic[M]):
    """Ends streams of one connection and tells its handler."""

    def __init__(
        self, connection: Connection[M], handler: Handler[M], out: Outbound[M], budgets: Budgets
    ) -> None:
        self.out = out
        self._connection = connection
        self._handler = handler
        self._budgets = budgets

    def abort(self, stream: Stream[M], code: int, text: str) -> None:
        """End a stream with a status, because its messages are bad.

        Queued messages are dropped, or the stream would live on after `cancelled`. If one of them
        is half sent, its client can no longer be told a status, only an error code.
        """
        told = stream.kind is Kind.BIDI and stream.ending is None
        if stream.queued_bytes:
            exhausted = code == Code.RESOURCE_EXHAUSTED
            calm = ErrorCode.ENHANCE_YOUR_CALM if exhausted else ErrorCode.INTERNAL_ERROR
            self.out.reset(stream, calm)
        else:
            self.out.fail(stream, code, text)
        if told:
            self._handler.cancelled(self._connection, stream)

    def offence(self, stream: Stream[M], code: ErrorCode) -> None:
        """End a stream by RST_STREAM. Raises ConnectionFault for one offence too many."""
        told = _is_told(stream)
        self.out.reset(stream, code)
        if told:
            self._handler.cancelled(self._connection, stream)
        self._budgets.resets.spend()

    def reset_by_peer(self, stream: Stream[M]) -> None:
        """Take the client's RST_STREAM. Raises ConnectionFault for one too many."""
        told = _is_told(stream)
        finished = stream.ending is not None
        self.out.forget(stream)
        if told:
            self._handler.cancelled(self._connection, stream)
        if not finished:
            self._budgets.resets.spend()

    def expired(self, stream: Stream[M]) -> None:
        """End a stream whose deadline has passed."""
        told = _is_told(stream)
        if stream.queued_bytes:
            self.out.reset(stream, ErrorCode.CANCEL)
        else:
            self.out.fail(stream, Code.DEADLINE_EXCEEDED, "context deadline exceeded")
        if told:
            self._handler.cancelled(self._connection, stream)

    def lost(self, streams: Iterable[Stream[M]]) -> None:
        """Tell of streams that ended with their connection."""
        for stream in streams:
            if _is_told(stream):
                self._handler.cancelled(self._connection, stream)


def _is_told(stream: Stream[M]) -> bool:
    """Ask whether the handler knows of a stream and has not finished it."""
    return stream.ending is None and (stream.kind is Kind.BIDI or stream.receiving == CLOSED)
