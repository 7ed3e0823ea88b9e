"""Makes a failing plan small while it fails in the same way.

Rule of this file: a candidate is taken if, and only if, its run gives the same verdict class. Time
and runs are bounded; whatever was reached when they end is the answer.

    pass       | tries
    -----------|-----------------------------------------------------------------------
    end        | to end earlier, first right after the failure if its time is known
    members    | fewer of them
    options    | simpler options: a log cut every 3 entries instead of 60, no drift, no jitter
    halves     | without long runs of items: a large plan's run is slow
    groups     | without whole groups: faults, watchers, a client, an intent
    items      | without runs of items, half of them down to single ones
    times      | items close together, faults short, times round
    names      | keys and values in the order of their use, member 0
    ... and again, until a whole round changes nothing.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from attrs import define, field, frozen

from sim import smaller
from sim.plan import Item, Plan
from sim.plan_file import lines_of

RUNS_MAX: Final = 2_000
WALL_S_MAX: Final = 120.0
_COARSE: Final = 16
"""Shorter runs of items than this are left to the finer pass."""
_AFTER_MS: Final = 500
"""How much longer than to the failure a first cut lets the run be."""

_ROUND: Final[tuple[tuple[str, tuple[smaller.Move, ...]], ...]] = (
    ("end", (smaller.earlier_ends,)),
    ("members", (smaller.fewer_members,)),
    ("options", (smaller.simpler_options,)),
    ("halves", ()),
    ("groups", (smaller.without_groups,)),
    ("items", ()),
    ("end", (smaller.earlier_ends,)),
    ("times", (smaller.rounder_times,)),
    ("names", (smaller.canonical,)),
)


@frozen
class Progress:
    """Where shrinking stands."""

    doing: str
    runs: int
    items: int


@frozen
class Shrunk:
    """The smallest plan that was found. `ended`: fixpoint, runs or time."""

    plan: Plan
    klass: str
    runs: int
    took_s: float
    items_before: int
    ended: str


class _SpentError(Exception):
    """Runs or time are used up."""


def shrink(
    plan: Plan,
    fails: Callable[[Plan], str | None],
    *,
    now_s: Callable[[], float],
    failed_ms: int | None = None,
    runs_max: int = RUNS_MAX,
    wall_s_max: float = WALL_S_MAX,
    progress: Callable[[Progress], None] | None = None,
) -> Shrunk:
    """Return a plan that fails as `plan` does and is as small as was found.

    `fails` runs a plan and returns its verdict class, None if it has none. Raises ValueError for a
    plan that does not fail.
    """
    began_s = now_s()
    klass = fails(plan)
    if klass is None:
        raise ValueError("the plan does not fail")
    search = _Search(plan, klass, fails, runs_max, began_s + wall_s_max, now_s, progress)
    ended = "fixpoint"
    try:
        if failed_ms is not None and failed_ms + _AFTER_MS < plan.options.duration_ms:
            search.doing = "end"
            search.attempt(smaller.shortened(plan, failed_ms + _AFTER_MS))
        while search.round():
            pass
    except _SpentError as error:
        ended = str(error)
    return Shrunk(
        plan=search.best,
        klass=klass,
        runs=search.runs,
        took_s=now_s() - began_s,
        items_before=len(plan.items),
        ended=ended,
    )


@define
class _Search:
    best: Plan
    klass: str
    fails: Callable[[Plan], str | None]
    runs_max: int
    end_s: float
    now_s: Callable[[], float]
    progress: Callable[[Progress], None] | None
    doing: str = ""
    runs: int = 1
    tried: set[bytes] = field(factory=set[bytes])

    def attempt(self, candidate: Plan) -> bool:
        """Take a candidate if it fails in the same way. Raises _SpentError at a bound."""
        name = _name(candidate)
        if name in self.tried or candidate == self.best:
            return False
        self.tried.add(name)
        if self.runs >= self.runs_max:
            raise _SpentError("runs")
        if self.now_s() >= self.end_s:
            raise _SpentError("time")
        self.runs += 1
        is_taken = self.fails(candidate) == self.klass
        if is_taken:
            self.best = candidate
        if self.progress is not None:
            self.progress(Progress(self.doing, self.runs, len(self.best.items)))
        return is_taken

    def round(self) -> bool:
        """Do every pass once; return whether anything came of it."""
        before = self.best
        for self.doing, moves in _ROUND:
            for move in moves:
                self._sweep(move)
            if not moves:
                self._remove_items(1 if self.doing == "items" else _COARSE)
        return self.best != before

    def _sweep(self, move: smaller.Move) -> None:
        """Try a move's edits, each on what the ones before it left."""
        for edit in move(self.best):
            self.attempt(edit(self.best))

    def _remove_items(self, size_min: int) -> None:
        """Remove runs of items, half of them first; at each size from the last item to the first.

        What happened late needs what happened early more often than the other way round.
        """
        size = max(1, len(self.best.items) // 2)
        while True:
            end = len(self.best.items)
            removed = False
            while end > 0:
                begin = max(0, end - size)
                items = self.best.items
                if self.attempt(self.best.with_items(_cut(items, begin, end))):
                    removed = True
                end = begin
            if size <= size_min and (size_min > 1 or not removed):
                return
            size = max(1, size // 2)


def _cut(items: tuple[Item, ...], begin: int, end: int) -> tuple[Item, ...]:
    return items[:begin] + items[end:]


def _name(plan: Plan) -> bytes:
    digest = blake2b(digest_size=16)
    for line in lines_of(plan):
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.digest()
