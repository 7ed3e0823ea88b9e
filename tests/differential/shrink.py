"""Delta debugging: from a sequence that differs to a short one that still does.

The rule of this file: it knows nothing but a list and a question about it.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrunk(items: Sequence[T], differs: Callable[[list[T]], bool]) -> list[T]:
    """Return a part of `items`, in order, that differs and of which no chunk can be left out.

    `differs(list(items))` must hold. Cost: O(n log n) questions at best, O(n²) at worst.
    """
    kept, chunks = list(items), 2
    while len(kept) > 1:
        size = -(-len(kept) // chunks)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if rest and differs(rest):
                kept, chunks = rest, max(chunks - 1, 2)
                break
        else:
            if size == 1:
                break
            chunks = min(len(kept), chunks * 2)
    return kept
