"""Which packs the log holds and where: the journal's only memory of its content.

Rule of this file: 12 bytes a pack and no payloads; no I/O. Indexes are contiguous from
`first_index` to `last_index` (INV-JOURNAL-CONTIGUOUS); terms are kept as runs.
"""

from array import array
from bisect import bisect_right
from typing import NamedTuple

import attrs

from core.ids import Index, Term


@attrs.define
class Run:
    """The live packs of one segment: a contiguous stretch, or none (`first` then means nothing)."""

    segment: int
    first: int = 0
    highest: int = 0
    """The highest index ever written there, truncated or not: bounds when it may be dropped."""
    offsets: "array[int]" = attrs.Factory(lambda: array("Q"))
    seeds: "array[int]" = attrs.Factory(lambda: array("I"))


class Place(NamedTuple):
    segment: int
    offset: int
    seed: int


class Log:
    """The live packs. `base` is the pack before the first: known by index and term only."""

    __slots__ = ("_base", "_last", "_runs", "_term_starts", "_terms")

    def __init__(self, base_index: Index, base_term: Term) -> None:
        self._base = base_index
        self._last = base_index
        self._runs: list[Run] = []
        self._term_starts: list[int] = [base_index]
        self._terms: list[Term] = [base_term]

    @property
    def first_index(self) -> Index:
        return Index(self._base + 1)

    @property
    def last_index(self) -> Index:
        return self._last

    def term_at(self, index: int) -> Term:
        """Return the term of a pack held, or of the one before the first."""
        assert self._base <= index <= self._last, "INV-JOURNAL-CONTIGUOUS"
        return self._terms[bisect_right(self._term_starts, index) - 1]

    def locate(self, index: int) -> Place:
        assert self._base < index <= self._last, "INV-JOURNAL-CONTIGUOUS"
        for run in reversed(self._runs):
            if run.offsets and run.first <= index:
                at = index - run.first
                return Place(run.segment, run.offsets[at], run.seeds[at])
        raise AssertionError("INV-JOURNAL-CONTIGUOUS")

    def begin_segment(self, number: int) -> None:
        """Let the packs that follow stand in this segment."""
        assert not self._runs or number > self._runs[-1].segment, "INV-JOURNAL-GENERATION"
        self._runs.append(Run(number))

    def add(self, index: Index, term: Term, offset: int, seed: int) -> None:
        """Note a pack written to the newest segment."""
        assert index == self._last + 1, "INV-JOURNAL-CONTIGUOUS"
        run = self._runs[-1]
        if not run.offsets:
            run.first = index
        run.offsets.append(offset)
        run.seeds.append(seed)
        if index > run.highest:
            run.highest = index
        self._last = index
        if term != self._terms[-1]:
            self._terms.append(term)
            self._term_starts.append(index)

    def truncate_from(self, index: Index, *, term_before: Term) -> None:
        """Forget the packs from `index` on. Below the first, the log is empty after `index` - 1."""
        if index <= self._base:
            self.restart(Index(index - 1), term_before)
            return
        if index > self._last:
            return
        for run in reversed(self._runs):
            if run.offsets and run.first < index:
                del run.offsets[index - run.first :]
                del run.seeds[index - run.first :]
                break
            del run.offsets[:]
            del run.seeds[:]
        while self._term_starts[-1] >= index:
            del self._term_starts[-1], self._terms[-1]
        self._last = Index(index - 1)

    def restarts(self, index: Index, term: Term) -> bool:
        """Would a snapshot mark there begin the log anew?"""
        if index > self._last:
            return True
        return index >= self._base and self.term_at(index) != term

    def restart(self, index: Index, term: Term) -> None:
        """Forget all packs; the next one is `index` + 1."""
        for run in self._runs:
            del run.offsets[:]
            del run.seeds[:]
        self._base = self._last = index
        self._term_starts, self._terms = [index], [term]

    def droppable(self, index: Index) -> int | None:
        """Return the oldest segment if it holds nothing above `index` and is not the newest."""
        if len(self._runs) < 2 or self._runs[0].highest > index:
            return None
        return self._runs[0].segment

    def drop_oldest(self) -> None:
        run = self._runs.pop(0)
        if not run.offsets:
            return
        last = run.first + len(run.offsets) - 1
        term = self.term_at(last)
        keep = bisect_right(self._term_starts, last)
        self._term_starts[:keep] = [last]
        self._terms[:keep] = [term]
        self._base = Index(last)
