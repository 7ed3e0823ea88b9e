"""Reading ranges: which versions a query gets, in which order, and how many there are.

Cost: O(log n + answer) at the head. At an old revision O(answer + keys of the range created
or deleted since) for the page and min(keys in range, changes since) for the count, which is
remembered by (range, revision): an old revision never changes until it is compacted away.
Sorting by anything but the key, and filters on revisions, read the whole range: etcd's
semantics force it.
"""

from collections import OrderedDict
from itertools import islice
from operator import attrgetter

from core.answers import RangeAnswer
from core.checks import has_default_order, has_revision_filters
from core.errors import COMPACTED, FUTURE_REVISION, Failure
from core.keys import span_end
from core.limits import PAGE_COUNTS_KEPT
from core.operations import Range, SortOrder, SortTarget
from core.records import Version
from core.state import State

_SORT_KEYS = {
    SortTarget.KEY: attrgetter("key"),
    SortTarget.VERSION: attrgetter("version"),
    SortTarget.CREATE: attrgetter("create"),
    SortTarget.MOD: attrgetter("mod"),
    SortTarget.VALUE: attrgetter("value"),
}


class PageCounts:
    """Counts of old ranges by (key, end, revision), the most recently used kept."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[bytes, bytes, int], int] = OrderedDict()

    def count(self, state: State, key: bytes, range_end: bytes, revision: int) -> int:
        """Return how many keys of a range were live at an old, uncompacted revision."""
        found = self.known(key, range_end, revision)
        if found is None:
            found = count_at(state, key, range_end, revision)
            self.remember(key, range_end, revision, found)
        return found

    def known(self, key: bytes, range_end: bytes, revision: int) -> int | None:
        """Return a count that is remembered."""
        found = self._counts.get((key, range_end, revision))
        if found is not None:
            self._counts.move_to_end((key, range_end, revision))
        return found

    def remember(self, key: bytes, range_end: bytes, revision: int, count: int) -> None:
        """Keep a count: of a whole range, or of what a page left of it."""
        self._counts[key, range_end, revision] = count
        if len(self._counts) > PAGE_COUNTS_KEPT:
            self._counts.popitem(last=False)


def read(
    state: State, query: Range, counts: PageCounts, header_revision: int | None = None
) -> RangeAnswer | Failure:
    """Answer a range. `header_revision` is the head as an unfinished transaction sees it."""
    head = state.revision if header_revision is None else header_revision
    revision = query.revision
    if revision > head:
        return FUTURE_REVISION
    if revision <= 0 or revision == head:
        answer = _read_head(state, query, head)
    elif revision < state.compact_revision:
        return COMPACTED
    else:
        answer = _read_past(state, query, counts, head)
    if answer.more and header_revision is None and _fetch_limit(query):
        _remember_rest(counts, query, answer, revision if revision > 0 else head)
    return answer


def count_at(state: State, key: bytes, range_end: bytes, revision: int) -> int:
    """Count a range at an old revision, by the cheaper of its keys and the changes since.

    Inside an unfinished transaction the log lacks its changes, so only the keys will do.
    """
    index = state.index
    end = span_end(key, range_end)
    population = index.population(key, end)
    unfinished = state.change_count != state.logged_count
    changes_since = state.changes.last - revision
    if unfinished or population <= changes_since:
        return sum(1 for _ in index.scan_at(key, end, revision))
    low, high = index.positions(key, end)
    seen: set[bytes] = set()
    difference = 0
    for change in state.changes.between(revision + 1, state.changes.last):
        changed = change.key
        if changed < key or (end is not None and changed >= end) or changed in seen:
            continue
        seen.add(changed)
        was_live = index.at(changed, revision) is not None
        difference += was_live - (changed in index.live)
    return high - low + difference


def _remember_rest(counts: PageCounts, query: Range, answer: RangeAnswer, revision: int) -> None:
    """Keep what a page left over: the next page asks for the same revision, behind this key."""
    if query.sort_target == SortTarget.KEY:
        rest = answer.versions[-1].key + b"\x00"
        counts.remember(rest, query.range_end, revision, answer.total - len(answer.versions))


def _read_head(state: State, query: Range, head: int) -> RangeAnswer:
    index = state.index
    key = query.key
    if not query.range_end:
        found = index.live.get(key)
        if found is None:
            return RangeAnswer(head, (), 0, False, query.keys_only)
        if query.count_only:
            return RangeAnswer(head, (), 1, False, query.keys_only)
        return _finish([found], query, head, 1)
    low, high = index.positions(key, span_end(key, query.range_end))
    count = high - low
    if query.count_only:
        return RangeAnswer(head, (), count, False, query.keys_only)
    fetch = _fetch_limit(query)
    if fetch and fetch < count:
        high = low + fetch
    return _finish(index.versions_between(low, high), query, head, count)


def _read_past(state: State, query: Range, counts: PageCounts, head: int) -> RangeAnswer:
    index = state.index
    key = query.key
    revision = query.revision
    if not query.range_end:
        found = index.at(key, revision)
        versions = [] if found is None else [found]
        count = len(versions)
        if query.count_only:
            versions = []
        return _finish(versions, query, head, count)
    if query.count_only:
        count = counts.count(state, key, query.range_end, revision)
        return RangeAnswer(head, (), count, False, query.keys_only)
    scan = index.scan_at(key, span_end(key, query.range_end), revision)
    fetch = _fetch_limit(query)
    if not fetch:
        versions = list(scan)
        return _finish(versions, query, head, len(versions))
    versions = list(islice(scan, fetch))
    if len(versions) < fetch:
        return _finish(versions, query, head, len(versions))
    return _finish(versions, query, head, counts.count(state, key, query.range_end, revision))


_FETCH_MAX = (1 << 63) - 1


def _fetch_limit(query: Range) -> int:
    """Return how many keys to read: one more than the limit, or 0 for all.

    etcd limits before it sorts if the order is NONE, even where the target then means
    ascending; with an order or a filter it reads all first. A limit may be the largest int64,
    one above which no slice can be taken.
    """
    limit = query.limit
    if limit <= 0 or not has_default_order(query) or has_revision_filters(query):
        return 0
    return min(limit + 1, _FETCH_MAX)


def _finish(versions: list[Version], query: Range, head: int, count: int) -> RangeAnswer:
    if has_revision_filters(query):
        versions = [version for version in versions if _passes(version, query)]
    target = query.sort_target
    order = query.sort_order
    if target != SortTarget.KEY and order == SortOrder.NONE:
        order = SortOrder.ASCEND
    if order == SortOrder.DESCEND or (target != SortTarget.KEY and order):
        # Equal elements keep key order, descending too.
        versions = sorted(
            versions, key=_SORT_KEYS[SortTarget(target)], reverse=order == SortOrder.DESCEND
        )
    limit = query.limit
    more = 0 < limit < len(versions)
    if more:
        versions = versions[:limit]
    return RangeAnswer(head, versions, count, more, query.keys_only)


def _passes(version: Version, query: Range) -> bool:
    if query.max_mod and version.mod > query.max_mod:
        return False
    if query.min_mod and version.mod < query.min_mod:
        return False
    if query.max_create and version.create > query.max_create:
        return False
    return not (query.min_create and version.create < query.min_create)
