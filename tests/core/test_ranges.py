"""A range is what a naive reader of all versions would say, at any revision, in any order."""

from random import Random

import pytest

from core.answers import RangeAnswer
from core.errors import COMPACTED, FUTURE_REVISION
from core.operations import Compact, Put, Range, SortOrder, SortTarget
from core.ranges import PageCounts, count_at, read
from core.records import Version
from core.state import State
from tests.random_states import ENDS, KEYS, do, grown, write

FIELDS = ("key", "version", "create", "mod", "value")


def live_at(state: State, revision: int) -> list[Version]:
    """The newest version of each key up to a revision, unless it is a tombstone."""
    newest: dict[bytes, Version] = {}
    for key in KEYS:
        for version in state.index.all_versions(key):
            if version.mod <= revision:
                newest[key] = version
    return [newest[key] for key in sorted(newest) if not newest[key].is_tombstone]


def naive(state: State, query: Range) -> RangeAnswer:
    revision = query.revision if query.revision > 0 else state.revision
    found = [v for v in live_at(state, revision) if inside(query, v.key)]
    total = len(found)
    # etcd takes the limit first where nothing but the key's order was asked for.
    early = query.limit > 0 and query.sort_order == 0 and not any(query[9:])
    more = 0 < query.limit < total
    if early:
        found = found[: query.limit + 1]
    bounds = ((query.min_mod, "mod", 1), (query.max_mod, "mod", -1),
              (query.min_create, "create", 1), (query.max_create, "create", -1))  # fmt: skip
    for bound, field, sign in bounds:
        if bound:
            found = [v for v in found if sign * getattr(v, field) >= sign * bound]
    if query.sort_order or query.sort_target:
        name = FIELDS[query.sort_target]
        found.sort(key=lambda v: getattr(v, name), reverse=query.sort_order == SortOrder.DESCEND)
    if not early:
        more = 0 < query.limit < len(found)
    shown = found[: query.limit] if query.limit > 0 else found
    if query.count_only:
        shown, more = [], False
    return RangeAnswer(state.revision, shown, total, more, query.keys_only)


def inside(query: Range, key: bytes) -> bool:
    end = query.range_end
    if not end:
        return key == query.key
    return key >= query.key and (end == b"\0" or key < end)


@pytest.mark.parametrize("seed", range(60))
def test_a_range_is_what_a_naive_reader_says(seed: int) -> None:
    chance = Random(seed)
    state = grown(chance, compacted=chance.random() < 0.5)
    counts = PageCounts()
    low = max(state.compact_revision, 1)
    for _ in range(40):
        query = Range(
            chance.choice(KEYS),
            chance.choice(ENDS),
            limit=chance.choice((0, 0, 1, 2, 3, 50, -1)),
            revision=chance.choice((0, 0, -1, chance.randint(low, state.revision))),
            sort_order=chance.choice(list(SortOrder)),
            sort_target=chance.choice(list(SortTarget)),
            keys_only=chance.random() < 0.2,
            count_only=chance.random() < 0.2,
            min_mod=chance.choice((0, 0, 0, 10)),
            max_mod=chance.choice((0, 0, 0, 20)),
            min_create=chance.choice((0, 0, 0, 5)),
            max_create=chance.choice((0, 0, 0, 30)),
        )
        found, expected = read(state, query, counts), naive(state, query)
        assert isinstance(found, RangeAnswer)
        if query.count_only:
            # Nothing is cut where nothing is shown.
            found = found._replace(more=False)
        assert found._replace(versions=list(found.versions)) == expected, query
        if chance.random() < 0.3:
            do(state, write(chance))


@pytest.mark.parametrize("seed", range(30))
def test_a_page_after_another_counts_what_is_left(seed: int) -> None:
    chance = Random(seed)
    state, counts = grown(chance), PageCounts()
    revision, key = state.revision, b"\0"
    left = len(live_at(state, revision))
    while left:
        do(state, write(chance), write(chance))
        page = read(state, Range(key, b"\0", limit=2, revision=revision), counts)
        assert isinstance(page, RangeAnswer)
        assert (page.total, page.more) == (left, left > 2)
        left -= len(page.versions)
        key = page.versions[-1].key + b"\0"


def test_both_ways_of_counting_agree() -> None:
    state = State()
    do(state, *(Put(b"k%03d" % n, b"") for n in range(50)))
    revision = state.revision
    do(state, Put(b"k000", b"new"), Put(b"x", b""))
    assert count_at(state, b"k", b"l", revision) == 50, "by the changes since"
    do(state, *(Put(b"k000", b"") for _ in range(100)))
    assert count_at(state, b"k", b"l", revision) == 50, "by the keys"


def test_a_revision_that_is_not_there_is_refused() -> None:
    state = grown(Random(1))
    do(state, Compact(5))
    assert read(state, Range(b"a", revision=4), PageCounts()) == COMPACTED
    future = Range(b"a", revision=state.revision + 1)
    assert read(state, future, PageCounts()) == FUTURE_REVISION
