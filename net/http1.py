"""HTTP/1.1 without I/O, for health, metrics and version: small requests, one answer each.

Rule: bytes in, bytes out, over h11; the face is the one of the HTTP/2 codec, so that the reactor
treats both alike. One request is looked at after the other: a pipelined one waits for the answer
before it. What a client can make this hold is bounded by `HEADER_BYTES_MAX`, `BODY_BYTES_MAX` and
`PIPELINED_BYTES_MAX`; whoever passes a bound is told so and closed. Error texts are those of Go's
net/http, which clients and probes of etcd have learned to read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlsplit

import attrs
import h11

HEADER_BYTES_MAX: Final = 16 << 10
BODY_BYTES_MAX: Final = 2 << 20
PIPELINED_BYTES_MAX: Final = 64 << 10
REQUEST_MS_MAX: Final = 30_000
"""From the first byte of a request to its last."""
IDLE_MS_MAX: Final = 300_000
"""Between two requests."""

TEXT: Final = "text/plain; charset=utf-8"
_REASONS: Final = {
    200: b"OK", 400: b"Bad Request", 404: b"Not Found", 405: b"Method Not Allowed",
    413: b"Request Entity Too Large", 417: b"Expectation Failed",
    431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    501: b"Not Implemented", 503: b"Service Unavailable", 505: b"HTTP Version Not Supported",
}  # fmt: skip


@attrs.frozen
class Http1Request:
    """One whole request; header names are lower-case."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query, as it was sent (nothing decoded)."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        """The decoded values by name; a name without `=` has the value ""."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


@attrs.frozen
class Http1Response:
    """One whole answer; length, date and connection headers are added to `headers`."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


class Http1Pending:
    """An answer that comes later: give it with `answer`, in any later turn of the owner's.

    `is_wanted` turns false when the client has gone; answering then is harmless.
    """

    def __init__(self) -> None:
        self.is_wanted = True
        self._response: Http1Response | None = None
        self._then: Callable[[Http1Response], None] | None = None

    def answer(self, response: Http1Response) -> None:
        """Answer the request, once."""
        assert self._response is None, "an HTTP request was answered twice"
        self._response = response
        if self._then is not None:
            self._then(response)

    def when_answered(self, then: Callable[[Http1Response], None]) -> None:
        """Call `then` with the answer, at once if it is there (for the connection)."""
        self._then = then
        if self._response is not None:
            then(self._response)


Handle = Callable[[Http1Request], Http1Response | Http1Pending | None]


def not_found() -> Http1Response:
    """Go's answer for a path that nobody serves."""
    return _error(404, "404 page not found\n")


def method_not_allowed(allowed: str = "GET") -> Http1Response:
    """etcd's answer for a path that is served for other methods only."""
    return _error(405, "Method Not Allowed\n", (("Allow", allowed),))


def _error(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Http1Response:
    return Http1Response(
        status, text.encode(), headers=(*headers, ("X-Content-Type-Options", "nosniff"))
    )


class Http1Connection:
    """The server's end of one HTTP/1.1 connection.

    `handle` answers a request, or None for "not found". `touched` is called whenever output
    appears outside of `feed`, which is when a pending answer is given. `date` returns the value of
    the Date header; without it there is none. The peer's bytes never make this raise.
    """

    def __init__(
        self,
        handle: Handle,
        now_ms: int,
        *,
        touched: Callable[[Http1Connection], None] = lambda _: None,
        date: Callable[[], str] | None = None,
    ) -> None:
        self._handle = handle
        self._touched = touched
        self._date = date
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
        self._request: h11.Request | None = None
        self.messages_in = 0
        self._body = bytearray()
        self._awaited: Http1Pending | None = None
        self._held_bytes = 0
        self._out: deque[memoryview] = deque()
        self._now_ms = now_ms
        self._is_draining = False
        self.pending_bytes = 0
        self.closing = False
        self.has_more = False
        """It keeps nothing for later: each request is small."""
        self.next_deadline_ms = now_ms + REQUEST_MS_MAX
        self.reason = ""

    def feed(self, data: bytes, now_ms: int) -> None:
        """Take received bytes; requests that become whole are handled before this returns."""
        self._now_ms = now_ms
        if self.closing:
            return
        if self._awaited is not None:
            self._held_bytes += len(data)
            if self._held_bytes > PIPELINED_BYTES_MAX:
                self._end("more pipelined requests than allowed")
                return
        elif self.next_deadline_ms > now_ms + REQUEST_MS_MAX:
            self.next_deadline_ms = now_ms + REQUEST_MS_MAX  # It was idle; a request begins.
        self._h11.receive_data(data)
        self._advance()

    def eof(self) -> None:
        """The client sends nothing more; it still gets the answers to whole requests."""
        if self.closing:
            return
        self._h11.receive_data(b"")
        if self._awaited is None:
            self._end("closed by the client")
        else:
            self._is_draining = True

    def take(self, limit: int) -> bytes:
        """Return output, at most `limit` bytes and b"" if there is none."""
        pieces: list[memoryview] = []
        room = limit
        while self._out and room > 0:
            piece = self._out.popleft()
            if len(piece) > room:
                self._out.appendleft(piece[room:])
                piece = piece[:room]
            pieces.append(piece)
            room -= len(piece)
        self.pending_bytes -= limit - room
        return b"".join(pieces)

    def drain(self, now_ms: int) -> None:
        """Finish the request that is under way, then close."""
        self._now_ms = now_ms
        self._is_draining = True
        if self._awaited is None and self._request is None and not self._h11.trailing_data[0]:
            self._end("drained")

    def tick(self, now_ms: int) -> None:
        """Close a connection that took too long to ask, or has been idle too long."""
        self._now_ms = now_ms
        if self._awaited is None and now_ms >= self.next_deadline_ms:
            self._end("no request in time")

    def lost(self) -> None:
        """The connection is gone: nobody wants the pending answer."""
        if self._awaited is not None:
            self._awaited.is_wanted = False
            self._awaited = None
        self._end("lost")

    def _end(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.closing = True
        if self._awaited is not None:
            self._awaited.is_wanted = False

    def _advance(self) -> None:
        """Handle whole requests until bytes or an answer are missing."""
        while not self.closing and self._awaited is None:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint)
                return
            match event:
                case h11.Request():
                    self._begin(event)
                case h11.Data():
                    self._body += event.data
                    if len(self._body) > BODY_BYTES_MAX:
                        self._refuse(413)
                case h11.EndOfMessage():
                    self._dispatch()
                case h11.ConnectionClosed():
                    self._end("closed by the client")
                case _:  # NEED_DATA, or PAUSED until the next cycle.
                    return

    def _begin(self, request: h11.Request) -> None:
        self._request = request
        self._body.clear()
        if not request.http_version.startswith(b"1."):
            self._refuse(505, b": unsupported protocol version")
            return
        if self._h11.they_are_waiting_for_100_continue:
            self._emit(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])))

    def _dispatch(self) -> None:
        request = self._request
        assert request is not None
        answer = self._handle(
            Http1Request(
                request.method.decode("ascii"),
                request.target.decode("ascii", "replace"),
                tuple(request.headers),
                bytes(self._body),
            )
        )
        if isinstance(answer, Http1Pending):
            self._awaited = answer
            self._held_bytes = 0
            answer.when_answered(self._answered)
        else:
            self._respond(not_found() if answer is None else answer)

    def _answered(self, response: Http1Response) -> None:
        """Send the awaited answer and go on with what came meanwhile."""
        if self.closing or self._awaited is None:
            return
        self._awaited = None
        self._respond(response)
        self._touched(self)
        self._advance()

    def _respond(self, response: Http1Response) -> None:
        request, self._request = self._request, None
        self.messages_in += 1
        assert request is not None
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            *response.headers,
        ]
        if self._date is not None:
            headers.append(("Date", self._date()))
        if self._is_draining:
            headers.append(("Connection", "close"))
        reason = _REASONS.get(response.status, b"")
        start = h11.Response(status_code=response.status, headers=headers, reason=reason)
        self._emit(self._h11.send(start))
        if response.body and request.method != b"HEAD":
            self._emit(self._h11.send(h11.Data(data=response.body)))
        self._emit(self._h11.send(h11.EndOfMessage()))
        if self._h11.our_state is h11.MUST_CLOSE:
            self._end("closed after the answer")
        else:
            self._h11.start_next_cycle()
            self.next_deadline_ms = self._now_ms + IDLE_MS_MAX

    def _refuse(self, status: int, detail: bytes = b"") -> None:
        """Answer a request that cannot be read, as Go does, and close."""
        text = b"%d %s" % (status, _REASONS.get(status, b"Bad Request"))
        self._emit(
            b"HTTP/1.1 %s\r\nContent-Type: %s\r\nConnection: close\r\n\r\n%s%s"
            % (text, TEXT.encode(), text, detail)
        )
        self._end(text.decode("ascii"))

    def _emit(self, data: bytes | None) -> None:
        if data:
            self._out.append(memoryview(data))
            self.pending_bytes += len(data)
