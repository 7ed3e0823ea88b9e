"""Making named tuples at half of what their classes' own functions take.

Rule of this file: for the hot path alone, where a profile showed it. Nobody checks the fields but
the tests, so each use stands beside the class's fields in their order.
"""

from typing import Protocol, TypeVar

T = TypeVar("T", bound=tuple[object, ...])


class _Make(Protocol):
    def __call__(self, cls: type[T], fields: tuple[object, ...], /) -> T: ...


new: _Make = tuple.__new__  # pyright: ignore  # its own type leaves the elements unknown
"""`new(Class, (field, ...))`, all fields given: 0.13 us for six of them, `Class(...)` 0.24."""
