"""Storms: every fault at once, from a seed; and the same seed twice is the same story."""

import hashlib
import os
import subprocess
import sys

import pytest

from tests.raft_storm import Storm
from tests.raft_world import RaftWorld


def _world(seed: int, *, datagrams: bool = False) -> RaftWorld:
    return RaftWorld(
        (3, 5, 1, 4)[seed % 4],
        seed=seed,
        spare=(1, 0, 2)[seed % 3],
        kept_entries=(5, 5_000, 50)[seed % 3],
        datagrams=datagrams,
    )


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost_in_a_storm_and_all_agree_after_it(seed: int) -> None:
    world = _world(seed)
    Storm(world).rage(4_000)
    assert len(world.committed) > 20


@pytest.mark.parametrize("seed", range(100, 103))
def test_links_that_drop_repeat_and_reorder_break_nothing(seed: int) -> None:
    Storm(_world(seed, datagrams=True)).rage(4_000)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 2_000, 50))
def test_nothing_is_lost_in_many_storms(first: int) -> None:
    for seed in range(first, first + 50):
        Storm(_world(seed, datagrams=seed % 4 == 3)).rage(8_000)


def test_a_story_does_not_depend_on_how_hashes_are_seeded() -> None:
    told: set[str] = set()
    for hash_seed in ("0", "12345"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, __file__],
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        told.add(run.stdout)
    assert len(told) == 1
    assert told.pop().strip()


def _story() -> str:
    world = _world(5)
    Storm(world).rage(3_000)
    return hashlib.sha256(repr(world.trace).encode()).hexdigest()


if __name__ == "__main__":
    print(_story())
