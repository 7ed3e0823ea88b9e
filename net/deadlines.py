"""When time alone makes a turn of the driver: the tick, or what is due before it.

Rule of this file: times; what is done at them is the driver's.
"""

from collections.abc import Callable

NEVER_MS = 1 << 62
TICK_MS = 50
"""How often time alone makes a turn: lease deadlines are this sharp."""


class Deadlines:
    """Of one driver."""

    __slots__ = (
        "_engine_due_ms", "_idle_ms", "_last_tick_ms", "_node_due_ms", "soon_at_ms", "tick_at_ms",
    )  # fmt: skip

    def __init__(self, idle_ms: int) -> None:
        self._idle_ms = idle_ms
        self._last_tick_ms = -TICK_MS
        self.tick_at_ms = 0
        """When the next tick is due."""
        self._engine_due_ms: int | None = None
        self.soon_at_ms = NEVER_MS
        """When the engine is to be stepped although the next tick is later."""
        self._node_due_ms: int | None = None

    def ticked(self, now_ms: int) -> None:
        """A tick is made."""
        self._last_tick_ms = now_ms

    def heed(self, next_deadline_ms: int | None, soon_ms: int | None) -> None:
        """The engine was stepped: note when it wants to be again."""
        self._engine_due_ms = next_deadline_ms
        self.soon_at_ms = NEVER_MS if soon_ms is None else soon_ms

    def next_ms(self, node_due: Callable[[], int | None] | None, flush_ms: int | None) -> int:
        """Return when the next turn is due. `node_due` tells of the core, where that may be news.

        `flush_ms` is when the store is to be written.
        """
        due_ms = self._last_tick_ms + TICK_MS
        if self._idle_ms > TICK_MS and (other_ms := self._due_ms(node_due)) > due_ms:
            due_ms = other_ms
        self.tick_at_ms = due_ms
        if self.soon_at_ms < due_ms:
            due_ms = self.soon_at_ms
        if flush_ms is not None and flush_ms < due_ms:
            due_ms = flush_ms
        return due_ms

    def _due_ms(self, node_due: Callable[[], int | None] | None) -> int:
        """Return when time alone has something to do for core or engine, or looks once more."""
        if node_due is not None:
            self._node_due_ms = node_due()
        due_ms = self._last_tick_ms + self._idle_ms
        for other in (self._node_due_ms, self._engine_due_ms):
            if other is not None and other < due_ms:
                due_ms = other
        return due_ms
