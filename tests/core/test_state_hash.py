"""Equal logs make equal hashes, whatever has been freed; one different command makes another."""

from random import Random

import pytest

from core.compaction import is_scrubbed, scrub_step
from core.operations import Compact, Put
from tests.random_states import do, grown, write


@pytest.mark.parametrize("seed", range(40))
def test_equal_logs_make_equal_hashes_however_far_the_freeing_is(seed: int) -> None:
    one, other = grown(Random(seed), compacted=True), grown(Random(seed), compacted=True)
    while not is_scrubbed(one):
        scrub_step(one, 1)
    for _ in range(20):
        command = write(Random(seed))
        do(one, command)
        do(other, command)
        assert one.state_hash() == other.state_hash()
        assert one.resident_bytes == other.resident_bytes


@pytest.mark.parametrize("seed", range(40))
def test_one_different_command_is_seen_for_ever(seed: int) -> None:
    chance = Random(seed)
    one, other = grown(Random(seed)), grown(Random(seed))
    do(one, Put(b"k", b"1"))
    do(other, Put(b"k", b"2"))
    assert one.state_hash() != other.state_hash()
    # Also when the difference itself is overwritten and compacted away.
    for command in (Put(b"k", b"3"), *(write(chance) for _ in range(5)), Compact(one.revision + 1)):
        do(one, command)
        do(other, command)
        assert one.state_hash() != other.state_hash()
