"""Work that is done a slice at a time: generators that yield between slices and return a result.

Rule: whoever has such work decides who does it, when, and how much at once; the work knows nothing
of that. What it has open is closed with it.
"""

from collections.abc import Generator
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")

Piecemeal: TypeAlias = Generator[None, None, T]


class Piecework(Generic[T]):
    """Work in slices, and in the end its result."""

    __slots__ = ("_results", "_slices")

    def __init__(self, slices: Piecemeal[T]) -> None:
        self._slices = slices
        self._results: list[T] = []

    def step(self, count: int = 1) -> bool:
        """Do up to so many slices; whether all is done. Raises what the work raises."""
        try:
            for _ in range(count):
                next(self._slices)
        except StopIteration as over:
            self._results.append(over.value)
        return bool(self._results)

    @property
    def result(self) -> T:
        """What the work returned, once all is done."""
        return self._results[0]

    def whole(self) -> T:
        """Do all that is left at once."""
        while not self.step():
            pass
        return self.result

    def close(self) -> None:
        """Do no more of it, and have it close what it has open."""
        self._slices.close()
