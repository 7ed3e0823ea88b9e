"""Sorted keys with positions: the face of sortedcontainers.SortedList that the index uses.

The library ships no types; here, and nowhere else, it is given them.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

from sortedcontainers import SortedList


class OrderedKeys(Protocol):
    """Distinct keys in order. Everything but iteration costs O(log n)."""

    def add(self, value: bytes, /) -> None:
        """Enter a key."""
        ...

    def remove(self, value: bytes, /) -> None:
        """Take out a key that is there."""
        ...

    def discard(self, value: bytes, /) -> None:
        """Take out a key if it is there."""
        ...

    def bisect_left(self, value: bytes, /) -> int:
        """Return how many keys are smaller."""
        ...

    def islice(self, start: int, stop: int, /) -> Iterator[bytes]:
        """Yield the keys at positions [start, stop)."""
        ...

    def irange(
        self,
        minimum: bytes | None = None,
        maximum: bytes | None = None,
        inclusive: tuple[bool, bool] = (True, True),
    ) -> Iterator[bytes]:
        """Yield the keys between two bounds."""
        ...

    def __len__(self) -> int: ...


def ordered(keys: Iterable[bytes] = ()) -> OrderedKeys:
    """Return these keys in order; O(n log n), O(n) if they come sorted."""
    made: OrderedKeys = SortedList(keys)  # pyright: ignore[reportAssignmentType]  # untyped library
    return made
