"""Whose deadlines to look at: all connections now and then, a few at a time.

Rule of this file: when, and which; what is done about them is the reactor's.
"""

from collections.abc import Collection
from typing import Final, Generic, TypeVar

SWEEP_MS: Final = 100
"""Between two looks at the deadlines of all connections."""
SWEEP_CONNECTIONS: Final = 100
"""Looked at in one turn: a look costs 0.5 to 1.5 us."""

T = TypeVar("T")


class Sweeps(Generic[T]):
    """Looks at everything in turn, the newest first. `due_ms` is when the next look is due."""

    __slots__ = ("_left", "due_ms")

    def __init__(self) -> None:
        self.due_ms = 0
        self._left: list[T] = []

    @property
    def has_more(self) -> bool:
        """Whether a look is under way that is not at its end."""
        return bool(self._left)

    def few(self, everything: Collection[T], now_ms: int) -> list[T]:
        """Return what to look at now; nothing before it is time."""
        if now_ms < self.due_ms or not everything:
            return []
        left = self._left or list(everything)
        self._left = left[:-SWEEP_CONNECTIONS]
        self.due_ms = now_ms if self._left else now_ms + SWEEP_MS
        return left[: -SWEEP_CONNECTIONS - 1 : -1]
