"""When one member wants its next turn: a time that is set anew again and again.

Rule of this file: as if each setting were a call of its own on the world's heap, of which only the
last one counts; but the heap holds few of them. A time that lies behind one that the heap has is
kept here until that one comes.
"""

from collections.abc import Callable
from typing import Final

from sim.world import World

NEVER_US: Final = 1 << 62


class Alarm:
    """Rings once at `due_us`, whatever that was set to last."""

    __slots__ = ("_calls", "_ring", "_world", "due_us")

    def __init__(self, world: World, ring: Callable[[], None]) -> None:
        self.due_us = NEVER_US
        self._world = world
        self._ring = ring
        self._calls: list[int] = []
        """What the heap has, the next one last."""

    def set(self, due_us: int) -> None:
        """Ring at this time, and at no other; it must not be over."""
        self.due_us = due_us
        calls = self._calls
        if not calls or due_us < calls[-1]:
            calls.append(due_us)
            self._world.at(due_us, self._called)

    def stop(self) -> None:
        """Do not ring before it is set again."""
        self.due_us = NEVER_US

    def _called(self) -> None:
        called_us = self._calls.pop()
        due_us = self.due_us
        if called_us == due_us:
            self.due_us = NEVER_US
            self._ring()
        elif due_us != NEVER_US:
            self.set(due_us)
