"""A stream's chunks together are the range at the revision it began with."""

from random import Random

import pytest

from core.answers import RangeAnswer, RangeChunk
from core.compaction import is_scrubbed, scrub_step
from core.errors import COMPACTED
from core.operations import Compact, Put, Range
from core.ranges import PageCounts, read
from core.records import Version
from core.state import State
from core.streaming import next_chunk, open_cursor
from tests.random_states import do, grown, write

COUNTS = PageCounts()


@pytest.mark.parametrize("seed", range(60))
def test_chunks_make_the_range_whatever_is_written_meanwhile(seed: int) -> None:
    chance = Random(seed)
    state = grown(chance)
    do(state, *(Put(b"k%03d" % n, b"v" * chance.randrange(50)) for n in range(100)))
    query = Range(
        chance.choice((b"a", b"k", b"k05")),
        chance.choice((b"\0", b"l", b"k07")),
        limit=chance.choice((0, 0, 3, 10, 11, 30, 500)),
        revision=chance.choice((0, 0, state.revision - 20)),
        count_only=chance.random() < 0.1,
    )
    expected = read(state, query, COUNTS)
    assert isinstance(expected, RangeAnswer)
    cursor = open_cursor(state, "token", query)
    versions: list[Version] = []
    while True:
        chunk = next_chunk(state, cursor, COUNTS)
        assert isinstance(chunk, RangeChunk)
        versions += chunk.versions
        if chunk.last:
            break
        assert (chunk.revision, chunk.total, chunk.more) == (0, 0, False)
        assert chunk.versions, "an empty chunk before the last"
        do(state, write(chance), Put(b"k%03d" % chance.randrange(120), b"new"))
    assert versions == list(expected.versions)
    told = (expected.revision, expected.total, expected.more)
    assert (chunk.revision, chunk.total, chunk.more) == told


def test_chunks_grow_while_keys_are_small_and_shrink_when_they_are_large() -> None:
    state = State()
    do(state, *(Put(b"k%04d" % n, b"v" * (10 if n < 310 else 40_000)) for n in range(1000)))
    cursor = open_cursor(state, "token", Range(b"k", b"l"))
    sizes: list[int] = []
    last = False
    while not last:
        chunk = next_chunk(state, cursor, COUNTS)
        assert isinstance(chunk, RangeChunk)
        sizes.append(len(chunk.versions))
        last = chunk.last
    # 310 keys double up to the large ones, which are halved again; what is left comes last.
    assert sizes[:5] == [10, 20, 40, 80, 160]
    assert sum(sizes) == 1000
    assert sizes[5:9] == [320, 160, 80, 40], sizes


def test_a_compaction_past_its_revision_ends_a_stream() -> None:
    state = State()
    do(state, *(Put(b"k%03d" % n, b"v") for n in range(50)))
    cursor = open_cursor(state, "token", Range(b"k", b"l"))
    first = next_chunk(state, cursor, COUNTS)
    assert isinstance(first, RangeChunk)
    do(state, Compact(state.revision))
    while not is_scrubbed(state):
        scrub_step(state)
    second = next_chunk(state, cursor, COUNTS)
    assert isinstance(second, RangeChunk), "at the compact revision it goes on"
    do(state, Put(b"k", b"v"), Compact(state.revision + 1))
    assert next_chunk(state, cursor, COUNTS) == COMPACTED
