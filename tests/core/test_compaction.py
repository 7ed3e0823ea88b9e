"""A compaction refuses what is older at once, frees it in slices, and changes nothing else."""

from random import Random

import pytest

from core.compaction import compact, is_scrubbed, scrub_step
from core.errors import COMPACTED, FUTURE_REVISION
from core.invariants import check
from core.operations import Compact, Range
from core.ranges import PageCounts, read
from core.state import State
from tests.random_states import do, grown, write

EVERYTHING = Range(b"\0", b"\0")


def seen(state: State, low: int) -> list[object]:
    """What can be read at every revision from `low` on."""
    counts = PageCounts()
    revisions = range(max(low, 1), state.revision + 1)
    return [read(state, EVERYTHING._replace(revision=each), counts) for each in revisions]


@pytest.mark.parametrize("seed", range(60))
def test_what_is_not_compacted_reads_as_before(seed: int) -> None:
    chance = Random(seed)
    state = grown(chance)
    for _ in range(3):
        revision = chance.randint(max(1, state.compact_revision + 1), state.revision)
        before = seen(state, revision)
        assert compact(state, revision) is None
        account, fingerprint = state.resident_bytes, state.state_hash()
        assert seen(state, revision) == before
        while not is_scrubbed(state):
            scrub_step(state, chance.choice((1, 2, 5)))
            assert seen(state, revision) == before
            assert (state.resident_bytes, state.state_hash()) == (account, fingerprint)
        check(state)
        counts = PageCounts()
        if revision > 1:
            older = EVERYTHING._replace(revision=revision - 1)
            assert read(state, older, counts) == COMPACTED
        do(state, *(write(chance) for _ in range(10)))


@pytest.mark.parametrize("seed", range(40))
def test_freeing_in_slices_frees_what_freeing_at_once_frees(seed: int) -> None:
    chance = Random(seed)
    one, other = grown(Random(seed), compacted=True), grown(Random(seed), compacted=True)
    dead: list[int] = []
    while not is_scrubbed(one):
        dead += scrub_step(one, chance.choice((1, 2, 3)))
        # Writes meanwhile do not disturb it.
        command = write(chance)
        do(one, command)
        do(other, command)
    at_once: list[int] = []
    while not is_scrubbed(other):
        at_once += scrub_step(other)
    assert sorted(dead) == sorted(at_once)
    assert len(set(dead)) == len(dead), "a row dies once"
    assert one.index.history == other.index.history
    check(one)


def test_only_a_newer_revision_up_to_the_head_is_taken() -> None:
    state = grown(Random(1))
    head = state.revision
    assert compact(state, head + 1) == FUTURE_REVISION
    assert compact(state, 5) is None
    assert compact(state, 5) == COMPACTED
    assert compact(state, -1) == COMPACTED
    do(state, Compact(head))
    assert state.compact_revision == head
