"""The links port: what carries messages between members, and what it tells of them.

Rule: protocols only. `net.peers.mesh` is production's; the simulator has its own over its network.
A link is one connection of two members: in order, lossless until it breaks, known to both ends, and
nothing of an earlier one arrives on a later one. What is sent without a link is lost.
"""

from collections.abc import Callable
from typing import Protocol

from net.application import Codec
from net.listen import PeerInfo


class Arrivals(Protocol):
    """Who is told what happens on the links."""

    def link_up(self, peer: int) -> None:
        """A link stands."""
        ...

    def link_down(self, peer: int) -> None:
        """A link is gone."""
        ...

    def arrived(self, peer: int, channel: int, body: bytes) -> None:
        """A message came."""
        ...

    def measured(self, peer: int, round_trip_us: int) -> None:
        """A message to a peer and back took so long."""
        ...

    def removed(self, by: int) -> None:
        """A peer says that this member was removed from the cluster."""
        ...


class Links(Protocol):
    """The links of one member, for one life."""

    def open(self, arrivals: Arrivals, wake: Callable[[], None], dirty: list[Codec]) -> None:
        """Begin. `wake` makes the reactor take a turn; `dirty` takes codecs with output."""
        ...

    def tick(self, now_ms: int) -> int | None:
        """Do what time asks for; return when it asks again, None for never."""
        ...

    def send(self, peer: int, channel: int, body: bytes) -> bool:
        """Send a message; False if it is lost already."""
        ...

    def end(self, peer: int, reason: str) -> None:
        """Break a link: what came on it is not what members say."""
        ...

    def accepted(self, info: PeerInfo, now_ms: int) -> Codec:
        """Return the codec of a connection that came in."""
        ...

    def close(self) -> None:
        """End all."""
        ...
