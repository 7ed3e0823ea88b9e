"""The seams of the reactor: the application it serves, and the codec of each connection.

Rule: protocols only. The application is the member's client port (`net.etcd.port`); its codecs are
`net.http2.connection.Connection` for clients and the member protocol for peers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from net.http1 import Http1Pending, Http1Request, Http1Response
from net.listen import PeerInfo


class Codec(Protocol):
    """The sans-IO end of a connection: bytes in, bytes out. See `net.http2.connection`."""

    @property
    def pending_bytes(self) -> int:
        """Output that was not taken yet, whether or not it may go now."""
        ...

    @property
    def closing(self) -> bool:
        """Whether the connection ends once what can be taken has been sent."""
        ...

    @property
    def messages_in(self) -> int:
        """How many messages of requests came whole."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether it kept a part of what it was fed for the next turn: to be fed nothing then."""
        ...

    @property
    def reason(self) -> str:
        """Why it is closing."""
        ...

    @property
    def next_deadline_ms(self) -> int:
        """When `tick` wants to be called at the latest; 0 for never."""
        ...

    def feed(self, data: bytes, now_ms: int) -> None:
        """Take received bytes; never raises for what they say."""
        ...

    def take(self, limit: int) -> bytes:
        """Return what may be sent now, at most `limit` bytes."""
        ...

    def eof(self) -> None:
        """The other end has closed, or the connection is lost."""
        ...

    def drain(self, now_ms: int) -> None:
        """Finish what is under way and become `closing`."""
        ...

    def tick(self, now_ms: int) -> None:
        """Act on deadlines that have passed."""
        ...


class DirtyCodecs(Protocol):
    """A list or set of codecs; one may be in it several times."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Codec]: ...
    def clear(self) -> None:
        """Forget them all."""
        ...


class Application(Protocol):
    """What the reactor serves. Every method is called in the reactor's task."""

    @property
    def dirty(self) -> DirtyCodecs:
        """Codecs that have output; the reactor takes from each and clears the collection."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether enough has been fed for one turn: what is not read yet waits for the next."""
        ...

    def accepted(self, peer: PeerInfo, now_ms: int) -> Codec:
        """Return a new codec for a connection: HTTP/2, or the member protocol for Role.PEER."""
        ...

    def http1(self, request: Http1Request, peer: PeerInfo) -> Http1Response | Http1Pending | None:
        """Answer an HTTP/1.1 request, now or later; None for "not found"."""
        ...

    def turn(self, now_ms: int) -> int | None:
        """Do the work that was fed or has become due; return when the next is due, if ever.

        Connections whose output went out since the last turn show it in `pending_bytes`: what was
        held back for them may go on here.
        """
        ...

    def goes_on(self) -> bool:
        """Do what waited until the turn's output was sent; whether a turn is to follow at once.

        That turn finds what nobody needs to be asked for: it reads no connection.
        """
        ...
