"""A client's operation, and a client's watch, as a member of tier 1 has them.

Rule of this file: the tokens that travel through the core and come back, and the way between client
and member: it takes its time, keeps the order of a stream, and may be cut.
"""

from collections.abc import Callable

from attrs import define

from core.errors import Failure
from core.inputs import Input, RoomChanged, WatchClosed, WatchProgressAsked
from core.watching import Message, WatchStream
from sim.history import Seen
from sim.ops import Op, Result
from sim.tier1_ports import Reached
from sim.tier1_words import sighting
from sim.wire_words import refusal


@define(eq=False)
class Asking:
    """A client's operation on its way: the token that the core answers."""

    member: Reached
    life: int
    op: Op
    number: int
    then: Callable[[Result], None] | None

    def fail(self, failure: Failure) -> None:
        """Refused before the core was asked."""
        self.settle(refusal(failure.code, failure.text))

    def settle(self, result: Result) -> None:
        """Send the answer back."""
        self.member.back(lambda: self.end(result))

    def end(self, result: Result) -> None:
        """Tell the client, the first time."""
        then, self.then = self.then, None
        if then is not None:
            then(result)


@define(eq=False)
class Watching:
    """A client's watch. Call it to give it up."""

    member: Reached
    life: int
    sink: Callable[[Seen], None] | None
    stream: WatchStream
    last_us: int = 0

    def __call__(self) -> None:
        self.sink = None
        self._tell(WatchClosed(self.stream))

    def slow(self, ms: int) -> None:
        """Read nothing for so long."""
        self._tell(RoomChanged(self.stream, True))
        self.member.world.after(ms, lambda: self._tell(RoomChanged(self.stream, False)))

    def ask_progress(self) -> None:
        """Ask how far the stream is."""
        self._tell(WatchProgressAsked(self.stream))

    def see(self, message: Message) -> None:
        """Send a message to the client, behind those before it."""
        world = self.member.world
        seen = sighting(message, 0)
        self.last_us = max(self.last_us + 1, world.now_us + self.member.client_delay_us())
        world.at(self.last_us, lambda: self._show(seen))

    def lose(self, why: str) -> None:
        """The stream broke."""
        world = self.member.world
        seen = Seen(0, "lost", 0, reason=why)
        self.last_us = max(self.last_us + 1, world.now_us + self.member.client_delay_us())
        world.at(self.last_us, lambda: self._show(seen))

    def _show(self, seen: Seen) -> None:
        sink = self.sink
        if sink is not None:
            if seen.kind == "lost":
                self.sink = None
            sink(seen._replace(time_us=self.member.world.now_us))

    def _tell(self, given: Input) -> None:
        member = self.member
        is_open = self.sink is not None or type(given) is WatchClosed
        if is_open and member.life == self.life and member.is_up:
            member.give(given)
