"""A long range read in slices is the range read at once, whatever happens between the slices."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest

from core.answers import RangeAnswer, RangeParts
from core.compaction import compact, is_scrubbed, scrub_step
from core.errors import COMPACTED, Failure
from core.limits import LISTING_SLICE_KEYS
from core.listing import is_long, next_slice, open_listing
from core.operations import Range, SortTarget
from core.ranges import PageCounts, count_at, read
from core.records import framed_without_value
from core.state import State
from core.writes import Writer, put_one

KEYS = LISTING_SLICE_KEYS * 5 // 2
ALL = (b"/", b"0")


def key(number: int) -> bytes:
    return b"/%06d" % number


def filled() -> State:
    state = State()
    for number in range(KEYS):
        put_one(state, key(number), b"value %d" % number, 0)
    return state


def churn(state: State, random: Random, count: int) -> None:
    """Put and delete keys all over, those of the range and new ones."""
    for _ in range(count):
        one = key(random.randrange(KEYS * 11 // 10))
        if one in state.index.live and random.random() < 0.5:
            writer = Writer(state)
            writer.delete(one)
            writer.commit()
        else:
            put_one(state, one, b"later", 0)


def listed(
    state: State, query: Range, between: Callable[[], None] = lambda: None
) -> RangeParts | RangeAnswer | Failure:
    counts = PageCounts()
    assert is_long(state, query, counts)
    listing = open_listing(state, "token", query)
    while (answer := next_slice(state, listing, counts)) is None:
        between()
    return answer


def at_once(state: State, query: Range) -> tuple[int, bytes, int, int, bool]:
    """What reading in one turn gives, in the shape of `shape`."""
    answer = read(state, query, PageCounts())
    assert isinstance(answer, RangeAnswer)
    keys_only = query.keys_only
    body = b"".join(framed_without_value(v) if keys_only else v.framed for v in answer.versions)
    return answer.revision, body, len(body), answer.total, answer.more


def shape(answer: RangeParts | RangeAnswer | Failure) -> tuple[int, bytes, int, int, bool]:
    assert isinstance(answer, RangeParts)
    return answer._replace(parts=b"".join(answer.parts))  # type: ignore[arg-type,return-value]


QUERIES = [
    Range(*ALL),
    Range(*ALL, limit=LISTING_SLICE_KEYS + 1),
    Range(*ALL, limit=KEYS),
    Range(*ALL, keys_only=True),
    Range(key(10), b"\x00"),
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_listing_of_the_head_is_what_it_was_when_it_began(query: Range) -> None:
    state = filled()
    expected = at_once(state, query)
    random = Random(1)
    assert shape(listed(state, query, lambda: churn(state, random, 300))) == expected


@pytest.mark.parametrize("query", QUERIES)
def test_a_listing_of_an_old_revision_reads_that_revision(query: Range) -> None:
    state = filled()
    random = Random(2)
    churn(state, random, 400)
    old = query._replace(revision=state.revision)
    churn(state, random, 2 * LISTING_SLICE_KEYS)
    expected = at_once(state, old)
    assert shape(listed(state, old, lambda: churn(state, random, 300))) == expected


@pytest.mark.parametrize("changes", [LISTING_SLICE_KEYS * 3 // 2, KEYS * 2])
@pytest.mark.parametrize("form", [Range(*ALL, limit=10), Range(*ALL, count_only=True)])
def test_a_page_whose_count_is_far_from_the_head_counts_in_slices(
    changes: int, form: Range
) -> None:
    state = filled()
    random = Random(3)
    churn(state, random, 50)
    query = form._replace(revision=state.revision)
    churn(state, random, changes)
    answer = listed(state, query, lambda: churn(state, random, 300))
    assert answer == read(state, query, PageCounts())


def test_a_compaction_begins_a_listing_of_the_head_anew_and_ends_one_of_the_past() -> None:
    state = filled()
    random = Random(4)
    old = state.revision - 1

    def compact_now() -> None:
        if state.compact_revision < 0:
            churn(state, random, 10)
            assert compact(state, state.revision) is None
            while not is_scrubbed(state):
                scrub_step(state)

    answer = listed(state, Range(*ALL), compact_now)
    assert shape(answer) == at_once(state, Range(*ALL))
    state = filled()
    churn(state, random, 2 * LISTING_SLICE_KEYS)
    assert listed(state, Range(*ALL, revision=old), compact_now) == COMPACTED


@pytest.mark.parametrize(
    "query",
    [
        Range(key(1)),
        Range(*ALL, limit=LISTING_SLICE_KEYS),
        Range(*ALL, count_only=True),
        Range(*ALL, sort_target=SortTarget.MOD),
        Range(*ALL, min_mod=5),
        Range(key(0), key(LISTING_SLICE_KEYS)),
        Range(*ALL, revision=1 << 40),
    ],
)
def test_what_is_short_or_needs_everything_at_once_is_no_listing(query: Range) -> None:
    assert not is_long(filled(), query, PageCounts())


@pytest.mark.parametrize("seed", range(5))
def test_the_count_of_a_later_page_is_known_from_the_page_before(seed: int) -> None:
    state = filled()
    random = Random(seed)
    counts = PageCounts()
    query = Range(*ALL, limit=100 + seed)
    pages: list[RangeAnswer] = []
    while not pages or pages[-1].more:
        if pages:
            after = pages[-1].versions[-1].key + b"\x00"
            query = query._replace(key=after, revision=pages[0].revision)
            assert counts.known(after, ALL[1], query.revision) is not None
        answer = read(state, query, counts)
        assert isinstance(answer, RangeAnswer)
        assert answer.total == count_at(
            state, query.key, ALL[1], pages[0].revision if pages else answer.revision
        )
        pages.append(answer)
        churn(state, random, 20)
    assert sum(len(page.versions) for page in pages) == KEYS
    assert all(a.total - len(a.versions) == b.total for a, b in pairwise(pages))
