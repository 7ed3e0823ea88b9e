"""HashKV is the same on all members, whatever they have freed and whatever goes on meanwhile."""

from random import Random

import pytest

from core.answers import HashKvAnswer
from core.compaction import is_scrubbed, scrub_step
from core.errors import COMPACTED, FUTURE_REVISION
from core.hashing import HashJob, hash_step, open_hash
from core.operations import Compact, Put
from core.state import State
from tests.random_states import do, grown, write


def hashed(state: State, revision: int = 0, keys: int = 1000) -> HashKvAnswer:
    job = open_hash(state, "token", revision)
    assert isinstance(job, HashJob)
    while (answer := hash_step(state, job, keys)) is None:
        pass
    return answer


@pytest.mark.parametrize("seed", range(40))
def test_slices_and_freeing_change_nothing(seed: int) -> None:
    chance = Random(seed)
    state = grown(chance, compacted=True)
    revision = chance.randint(max(1, state.compact_revision), state.revision)
    whole = hashed(state, revision)
    assert hashed(state, revision, keys=1) == whole
    while not is_scrubbed(state):
        scrub_step(state, 1)
        assert hashed(state, revision, keys=2) == whole


@pytest.mark.parametrize("seed", range(40))
def test_writes_meanwhile_change_nothing(seed: int) -> None:
    chance = Random(seed)
    state = grown(chance, compacted=True)
    expected = hashed(state)
    job = open_hash(state, "token", 0)
    assert isinstance(job, HashJob)
    while (answer := hash_step(state, job, 1)) is None:
        do(state, write(chance))
        if not is_scrubbed(state):
            scrub_step(state, 1)
    assert answer[1:] == expected[1:], "all but the header's revision"


@pytest.mark.parametrize("seed", range(20))
def test_a_compaction_meanwhile_begins_anew(seed: int) -> None:
    state = grown(Random(seed))
    job = open_hash(state, "token", 2)
    assert isinstance(job, HashJob)
    hash_step(state, job, 1)
    do(state, Compact(state.revision - 1))
    while (answer := hash_step(state, job, 1)) is None:
        pass
    assert answer == hashed(state, state.revision - 1)


def test_a_different_value_is_another_hash() -> None:
    one, other = grown(Random(1)), grown(Random(1))
    do(one, Put(b"k", b"1"))
    do(other, Put(b"k", b"2"))
    assert hashed(one).hash != hashed(other).hash
    assert hashed(one, one.revision - 1).hash == hashed(other, other.revision - 1).hash


def test_only_revisions_that_are_there_are_hashed() -> None:
    state = grown(Random(1))
    do(state, Compact(5))
    assert open_hash(state, "token", 4) == COMPACTED
    assert open_hash(state, "token", state.revision + 1) == FUTURE_REVISION
    assert isinstance(open_hash(state, "token", 5), HashJob)
