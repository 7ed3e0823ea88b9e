"""One request and its answer, as the codec and the services share it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import attrs

from net.http2.limits import STREAM_WINDOW_BYTES

if TYPE_CHECKING:
    from net.http2.connection import Connection

M = TypeVar("M")


class Kind(Enum):
    """The shape of a method."""

    UNARY = "unary"
    SERVER_STREAM = "server stream"
    BIDI = "bidi"


class Handler(Protocol[M]):
    """Who is told of requests. May answer from inside each of these calls."""

    def request(self, connection: Connection[M], stream: Stream[M], message: bytes, /) -> None:
        """UNARY and SERVER_STREAM: the one message, after which the client has ended its side."""

    def opened(self, connection: Connection[M], stream: Stream[M], /) -> None:
        """BIDI: a valid request has begun."""

    def message(self, connection: Connection[M], stream: Stream[M], message: bytes, /) -> None:
        """BIDI: one more message."""

    def half_closed(self, connection: Connection[M], stream: Stream[M], /) -> None:
        """BIDI: the client has ended its side."""

    def cancelled(self, connection: Connection[M], stream: Stream[M], /) -> None:
        """A stream that the handler was told of, and had not finished, is over."""


@attrs.frozen
class Refusal:
    """A request that fails before a handler sees it: trailers-only."""

    code: int
    text: str
    http_status: int = 200


@attrs.frozen
class Malformed:
    """A request that is not HTTP: its stream is reset."""

    text: str


@attrs.frozen(eq=False)
class Head(Generic[M]):
    """What a header block asks for. Equal blocks share one, so it holds nothing of a stream."""

    path: bytes
    kind: Kind
    method: M
    headers: Mapping[bytes, bytes]


FRESH: Final = 0
"""UNARY or SERVER_STREAM, nothing of the message has come."""
RECEIVING: Final = 1
"""The client may send more."""
CLOSED: Final = 2
"""The client has ended its side."""

UNSENT: Final = 0
"""No response headers yet."""
STREAMING: Final = 1
"""Response headers are out, nothing is queued."""
QUEUED: Final = 2
"""Messages wait in `queue`."""
OVER: Final = 3
"""Nothing more will be sent."""


class Stream(Generic[M]):
    """A stream that is not over.

    For services: `id`, `path`, `kind`, `method`, `headers`, `deadline_ms`, `queued_bytes`, and
    `state`, which is theirs. The rest is the codec's. Attributes that most streams never change
    live on the class: a unary request sets five.
    """

    state: object = None
    queued_bytes: int = 0
    """Bytes handed in that are not framed yet."""

    receiving: int = FRESH
    receive_window: int = STREAM_WINDOW_BYTES
    partial: bytearray | None = None
    """Bytes of the message that is being received, its prefix included."""
    wanted_bytes: int = 5
    """Size of `partial` at which there is something to do."""
    held: bytes | None = None
    """The one message of a UNARY or SERVER_STREAM request whose END_STREAM has not come."""
    granted_bytes: int = 0

    sending: int = UNSENT
    send_credit: int = 0
    """The send window, less the peer's initial window."""
    queue: deque[bytes | memoryview] | None = None
    ending: bytes | None = None
    """The header block that follows the queue."""
    in_ring: bool = False

    def __init__(self, stream_id: int, head: Head[M], deadline_ms: int) -> None:
        self.id = stream_id
        self.head = head
        self.method = head.method
        self.deadline_ms = deadline_ms

    @property
    def path(self) -> bytes:
        """`:path`."""
        return self.head.path

    @property
    def kind(self) -> Kind:
        """The shape of its method."""
        return self.head.kind

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Headers and pseudo headers by lower-case name, the first of each; no `grpc-timeout`."""
        return self.head.headers
