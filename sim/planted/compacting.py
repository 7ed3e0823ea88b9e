"""Planted bugs of compaction: what is kept, what is refused, and from which revision on.

Rule of this file: each patches one function of the core; its docstring says what is wrong.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator

from core import machine, node, ranges
from core.answers import RangeAnswer
from core.compaction import compact as shipped_compact
from core.compaction import scrub_step as shipped_scrub
from core.errors import Failure
from core.operations import Range as CoreRange
from core.ranges import PageCounts, read
from core.state import State
from core.watches import WatchHub
from sim.ops import Compact, Delete, Put, Range
from sim.planted.bug import Catalogue, ask, script, watch
from sim.swapping import swapped

COMPACTING = Catalogue()

_WRITES = tuple(ask(900 + 50 * n, Put("k", str(n))) for n in range(4))
"""Revisions 2 to 5."""


@COMPACTING.bug(
    "linear",
    row=20,
    workload="compaction",
    budget=4,
    directed=script(*_WRITES, ask(1_200, Compact(5)), ask(1_300, Range("k"))),
)
def compaction_deletes_a_live_key() -> Generator[None]:
    """A compaction takes the oldest live key of those it may not touch."""

    def greedy(state: State, revision: int) -> Failure | None:
        failure = shipped_compact(state, revision)
        if failure is None:
            index = state.index
            old = [v for v in index.live.values() if v.mod <= revision and not v.lease]
            if old:
                victim = min(old, key=lambda version: (version.mod, version.key)).key
                del index.live[victim]
                index._keys.remove(victim)
        return failure

    with swapped(machine, "compact", greedy):
        yield


@COMPACTING.bug(
    "watch",
    row=21,
    workload="compaction",
    directed=script(*_WRITES, ask(1_200, Compact(4)), watch(1_300, "k", rev=4)),
)
def compaction_off_by_one() -> Generator[None]:
    """A watch from the compact revision itself is cancelled as compacted."""
    catch_up = WatchHub.catch_up

    def strict(self: WatchHub, state: State) -> bool:
        for watcher in list(self.unsynced):
            if watcher.next == state.compact_revision:
                self._cancel_compacted(watcher, state.compact_revision)
        return catch_up(self, state) if self.unsynced else False

    with swapped(WatchHub, "catch_up", strict):
        yield


@COMPACTING.bug(
    "watch",
    row=22,
    budget=20,
    workload="compaction",
    watchers=6,
    operations=500,
    keys=3,
    directed=script(
        *_WRITES, ask(1_150, Delete("k")), ask(1_200, Compact(6)), watch(1_400, "k", rev=6)
    ),
)
def compaction_drops_its_tombstone() -> Generator[None]:
    """The tombstone at exactly the compact revision goes too (etcd #19179)."""

    def greedy(state: State) -> list[int]:
        dead = shipped_scrub(state)
        target = state.compact_revision
        changes = state.changes.at(target)
        if state.scrubbed_revision == target and changes:
            kept = tuple(change for change in changes if change.version)
            for change in changes:
                if not change.version and state.index.forget_tombstone(change):
                    dead.append(change.number)
            state.changes.replace(target, kept)
        return dead

    with swapped(node, "scrub_step", greedy):
        yield


@COMPACTING.bug(
    "compaction",
    workload="compaction",
    directed=script(*_WRITES, ask(1_200, Compact(4)), ask(1_300, Range("k", rev=3))),
)
def compacted_reads_are_answered() -> Generator[None]:
    """A read below the compact revision gets what is left instead of an error."""
    past = ranges._read_past

    def lenient(
        state: State, query: CoreRange, counts: PageCounts, header_revision: int | None = None
    ) -> RangeAnswer | Failure:
        if 0 < query.revision < state.compact_revision:
            return past(state, query, counts, state.revision)
        return read(state, query, counts, header_revision)

    with swapped(node, "read", lenient):
        yield


@COMPACTING.bug(
    "compaction",
    workload="compaction",
    budget=4,
    directed=script(*_WRITES, ask(1_200, Compact(4)), ask(1_300, Range("k", rev=4))),
)
def reads_at_the_compact_revision_are_refused() -> Generator[None]:
    """A read at the compact revision itself is refused as compacted."""
    from core.errors import COMPACTED

    def strict(
        state: State, query: CoreRange, counts: PageCounts, header_revision: int | None = None
    ) -> RangeAnswer | Failure:
        if query.revision and query.revision == state.compact_revision < state.revision:
            return COMPACTED
        return read(state, query, counts, header_revision)

    with swapped(node, "read", strict):
        yield


@COMPACTING.bug(
    "compaction",
    workload="compaction",
    directed=script(*_WRITES, ask(1_200, Compact(4)), ask(1_300, Compact(4))),
)
def compacting_again_is_fine() -> Generator[None]:
    """A compaction at a revision that is compacted already is answered as done."""

    def lenient(state: State, revision: int) -> Failure | None:
        if 0 < revision <= state.compact_revision:
            return None
        return shipped_compact(state, revision)

    with swapped(machine, "compact", lenient):
        yield
