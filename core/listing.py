"""A range too long for one turn: read, or counted, in slices, all of one revision.

A listing is pinned to the head it began at, or to the revision asked for. Each slice looks at a
bounded number of keys and gathers the wire form of what was live then; the versions themselves
are stored anyway, so a long answer costs a reference a key until it is sent. If a compaction
passes the pinned revision, a listing of the head begins anew at the new head, which is as
linearizable; one of an old revision ends as compacted, as it would have a moment later.
"""

from collections import deque
from operator import attrgetter

from attrs import define, field

from core.answers import RangeAnswer, RangeParts
from core.checks import has_default_order, has_revision_filters
from core.errors import COMPACTED, Failure
from core.keys import span_end
from core.limits import LISTING_SLICE_KEYS
from core.operations import Range, SortTarget
from core.ranges import PageCounts, read
from core.records import framed_without_value
from core.state import State

_framed = attrgetter("framed")


@define(eq=False)
class Listing:
    """Where the reading of a long range stands."""

    token: object
    query: Range
    head: int
    """The head when it began: what the answer's header says."""
    revision: int
    """The revision read."""
    key: bytes
    """Where the next slice begins."""
    total: int
    """How many keys of the range were live; while unknown, how many have been found."""
    is_total_known: bool
    parts: deque[bytes | memoryview] = field(factory=deque[bytes | memoryview])
    last_key: bytes = b""
    """The key of the newest part."""
    size_bytes: int = 0
    counted: int = 0
    """Counting an old revision by the changes since: up to which one they are; else 0."""
    seen: set[bytes] = field(factory=set[bytes])
    """Keys whose changes are counted already."""


def is_long(state: State, query: Range, counts: PageCounts) -> bool:
    """Whether a range is to be read in slices. Orders and filters read all at once anyway."""
    if not query.range_end or query.sort_target != SortTarget.KEY:
        return False
    if not has_default_order(query) or has_revision_filters(query):
        return False
    revision, head = query.revision, state.revision
    if revision > head or 0 < revision < state.compact_revision:
        return False
    end = span_end(query.key, query.range_end)
    if revision <= 0 or revision == head:
        if _is_page(query):
            return False
        low, high = state.index.positions(query.key, end)
        return high - low > LISTING_SLICE_KEYS
    cost = state.index.population(query.key, end)
    if _is_page(query):
        if counts.known(query.key, query.range_end, revision) is not None:
            return False
        cost = min(cost, head - revision)
    return cost > LISTING_SLICE_KEYS


def open_listing(state: State, token: object, query: Range) -> Listing:
    """Begin a listing at the head, or at the query's revision."""
    head = state.revision
    revision = query.revision if query.revision > 0 else head
    end = span_end(query.key, query.range_end)
    low, high = state.index.positions(query.key, end)
    at_head = revision == head
    total = high - low if at_head else 0
    listing = Listing(token, query, head, revision, query.key, total, at_head)
    if _is_page(query) and head - revision < state.index.population(query.key, end):
        listing.counted = revision
        listing.total = high - low
    return listing


def next_slice(
    state: State, listing: Listing, counts: PageCounts
) -> RangeParts | RangeAnswer | Failure | None:
    """Read one slice; the answer when it was the last."""
    query = listing.query
    if listing.revision < state.compact_revision:
        if query.revision > 0:
            return COMPACTED
        fresh = open_listing(state, listing.token, query)
        listing.head, listing.revision, listing.total = fresh.head, fresh.revision, fresh.total
        listing.key, listing.size_bytes = query.key, 0
        listing.parts = deque()
    if listing.counted:
        return _count_changes(state, listing, counts)
    end = span_end(query.key, query.range_end)
    versions, rest = state.index.slice_at(listing.key, end, listing.revision, LISTING_SLICE_KEYS)
    if not listing.is_total_known:
        listing.total += len(versions)
    if _is_page(query):
        versions = []
    elif query.limit > 0:
        versions = versions[: query.limit - len(listing.parts)]
    if versions:
        take = framed_without_value if query.keys_only else _framed
        parts = list(map(take, versions))
        listing.parts += parts
        listing.size_bytes += sum(map(len, parts))
        listing.last_key = versions[-1].key
    is_full = listing.is_total_known and len(listing.parts) == query.limit
    if rest is not None and not is_full:
        listing.key = rest
        return None
    return _finish(state, listing, counts)


def _is_page(query: Range) -> bool:
    """Whether only counting can be long."""
    return query.count_only or 0 < query.limit <= LISTING_SLICE_KEYS


def _count_changes(
    state: State, listing: Listing, counts: PageCounts
) -> RangeParts | RangeAnswer | Failure | None:
    """Take one slice of the changes since from the count of the head it began at.

    Both ends are old revisions by now, so nothing that is applied between slices disturbs it.
    """
    query, index = listing.query, state.index
    key, end = query.key, span_end(query.key, query.range_end)
    high = min(listing.counted + LISTING_SLICE_KEYS, listing.head)
    for change in state.changes.between(listing.counted + 1, high):
        changed = change.key
        if changed < key or (end is not None and changed >= end) or changed in listing.seen:
            continue
        listing.seen.add(changed)
        was_live = index.at(changed, listing.revision) is not None
        listing.total += was_live - (index.at(changed, listing.head) is not None)
    listing.counted = high
    return _finish(state, listing, counts) if high == listing.head else None


def _finish(
    state: State, listing: Listing, counts: PageCounts
) -> RangeParts | RangeAnswer | Failure:
    query, total = listing.query, listing.total
    counts.remember(query.key, query.range_end, listing.revision, total)
    if _is_page(query):
        return read(state, query, counts)
    count = len(listing.parts)
    if count < total:
        rest = listing.last_key + b"\x00"
        counts.remember(rest, query.range_end, listing.revision, total - count)
    return RangeParts(listing.head, listing.parts, listing.size_bytes, total, count < total)
