"""Seeds of the crash tests that were red once, by what was wrong."""

import pytest

from tests.crash.test_disk_faults import failing_run, full_run
from tests.crash.test_power_loss import LIVES
from tests.crash.world import World


@pytest.mark.parametrize("seed", [53, 67, 78, 233, 265, 326, 164, 218])
def test_a_full_disk_does_not_end_a_member(seed: int) -> None:
    """A flush, a checkpoint or the close of a defragmented store found no room."""
    full_run(seed)


@pytest.mark.parametrize("seed", [1, 3, 4, 6, 17, 21, 32, 100, 294, 20061, 20142, 20240])
def test_a_failing_disk_is_told_as_one(seed: int) -> None:
    """SQLite's errors came out as they were, or made a store look unfinished."""
    failing_run(seed)


@pytest.mark.parametrize("seed", [14, 22, 23, 28, 31, 91])
def test_a_snapshot_cut_short_leaves_nothing(seed: int) -> None:
    """Copies made for clients stayed for ever."""
    world = World(seed)
    try:
        world.run(LIVES)
    finally:
        world.end()
