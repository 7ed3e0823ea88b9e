"""When streams expire.

Only the soonest deadline is kept, and it may belong to a stream that is over: most requests are
answered long before, and forgetting theirs costs nothing. When it comes, one scan finds who has
expired and the next one. Scans happen on multiples of DEADLINE_GRAIN_MS, so however a client
spreads its deadlines, they cost at most 62 scans a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from net.http2.limits import DEADLINE_GRAIN_MS
from net.http2.stream import Stream

M = TypeVar("M")


class Deadlines(Generic[M]):
    """The deadlines of one connection's streams."""

    __slots__ = ("_soonest_ms", "_streams")

    def __init__(self, streams: Mapping[int, Stream[M]]) -> None:
        self._streams = streams
        self._soonest_ms = 0

    def add(self, deadline_ms: int) -> None:
        """Note the deadline of a new stream."""
        if deadline_ms < self._soonest_ms or not self._soonest_ms:
            self._soonest_ms = deadline_ms

    @property
    def due_ms(self) -> int:
        """When `expired` has something to say; 0 for never."""
        return -(-self._soonest_ms // DEADLINE_GRAIN_MS) * DEADLINE_GRAIN_MS

    def expired(self, now_ms: int) -> list[Stream[M]]:
        """Return the streams whose deadline has passed, in the order in which they were opened."""
        if not self._soonest_ms or now_ms < self.due_ms:
            return []
        late: list[Stream[M]] = []
        self._soonest_ms = 0
        for stream in self._streams.values():
            deadline_ms = stream.deadline_ms
            if deadline_ms and deadline_ms <= now_ms:
                late.append(stream)
            elif deadline_ms:
                self.add(deadline_ms)
        return late
