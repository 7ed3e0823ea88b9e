"""Whose deadlines to look at: all connections, a few at a time, when one may be over.

Rule of this file: when, and which; what is done about them is the reactor's. A deadline is met as
long as who may have a new one is told of, or within `SWEEP_MS_MAX`.
"""

from collections.abc import Collection
from typing import Final, Generic, Protocol, TypeVar

SWEEP_MS: Final = 100
"""Between two looks at all connections, at least; a new deadline is looked at so late."""
SWEEP_MS_MAX: Final = 1_000
"""Between two looks at most: no deadline is further off than that from being seen."""
SWEEP_CONNECTIONS: Final = 100
"""Looked at in one turn: a look costs 0.5 to 1.5 us."""


class Due(Protocol):
    """What has a deadline, or none."""

    @property
    def due_ms(self) -> int:
        """When its deadline is over; 0 for never."""
        ...


T = TypeVar("T", bound=Due)


class Sweeps(Generic[T]):
    """Looks at everything in turn, the newest first. `due_ms` is when the next look is due."""

    __slots__ = ("_left", "_next_ms", "due_ms")

    def __init__(self) -> None:
        self.due_ms = 0
        self._left: list[T] = []
        self._next_ms = 0

    @property
    def has_more(self) -> bool:
        """Whether a look is under way that is not at its end."""
        return bool(self._left)

    def over(self, everything: Collection[T], now_ms: int) -> list[T]:
        """Return those of the next few whose deadline is over; nobody before it is time."""
        if now_ms < self.due_ms or not everything:
            return []
        left = self._left
        if not left:
            left = list(everything)
            self._next_ms = now_ms + SWEEP_MS_MAX
        next_ms, soon_ms = self._next_ms, now_ms + SWEEP_MS
        found: list[T] = []
        for each in left[: -SWEEP_CONNECTIONS - 1 : -1]:
            due_ms = each.due_ms
            if 0 < due_ms <= now_ms:
                found.append(each)
            elif 0 < due_ms < next_ms:
                next_ms = max(due_ms, soon_ms)
        self._next_ms = next_ms
        self._left = left[:-SWEEP_CONNECTIONS]
        self.due_ms = now_ms if self._left else next_ms
        return found

    def expect(self, now_ms: int) -> None:
        """Have a look soon: somebody may have another deadline now."""
        soon_ms = now_ms + SWEEP_MS
        if soon_ms < self._next_ms:
            self._next_ms = soon_ms
            if not self._left:
                self.due_ms = soon_ms
