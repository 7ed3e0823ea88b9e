"""Linearizable reads on their way: gathered, sent on a common round, then waiting for the log.

    gathered      until the turn's end, so that all of a turn cost one round
    under way     until the round's index is known: the leader was confirmed by a quorum after
                  every one of them had been asked
    waiting       until that index is applied here

INV-READ-FRESH: a read is answered at an index that was committed when, or after, it was asked.
"""

from collections import deque
from collections.abc import Iterator

from core.inputs import Asked


class Rounds:
    """Reads by how far they are."""

    __slots__ = ("_gathered", "_under_way", "_waiting", "newest")

    def __init__(self, first: int) -> None:
        """Number rounds from behind `first`: drawn anew in each life, so that none comes twice.

        A leader may answer at last what a member asked before it crashed: that index is older than
        what the member reads now.
        """
        self.newest = first
        """The number of the last round begun."""
        self._gathered: list[Asked] = []
        self._under_way: dict[int, list[Asked]] = {}
        self._waiting: deque[tuple[int, list[Asked]]] = deque()

    def gather(self, asked: Asked) -> None:
        """Take one read in."""
        self._gathered.append(asked)

    def begin(self) -> int:
        """Begin a round of what was gathered; 0 if that is nothing."""
        if not self._gathered:
            return 0
        self.newest += 1
        self._under_way[self.newest] = self._gathered
        self._gathered = []
        return self.newest

    def ready(self, number: int, index: int, applied_index: int) -> list[Asked]:
        """A round's index is known: return the reads if it is applied, or have them wait."""
        reads = self._under_way.pop(number, [])
        if index <= applied_index:
            return reads
        self._waiting.append((index, reads))
        return []

    def applied(self, applied_index: int) -> Iterator[list[Asked]]:
        """Yield the reads that waited for nothing beyond this index."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= applied_index:
            yield waiting.popleft()[1]

    def lose(self, number: int) -> list[Asked]:
        """Give up a round and return its reads."""
        return self._under_way.pop(number, [])

    def lose_to(self, number: int) -> Iterator[Asked]:
        """Give up all rounds up to a number."""
        for each in [each for each in self._under_way if each <= number]:
            yield from self._under_way.pop(each)
