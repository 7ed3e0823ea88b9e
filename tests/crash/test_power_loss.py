"""Power loss and kills at any disk operation: nothing a client was told is lost, nothing is wrong.

Each seed lives several lives on one disk; `world.World.check` says what must hold after each.
`--slow` adds 2,400 seeds; `-rP` shows the sums.
"""

import pytest

from sim.disk import DiskFaults
from tests.crash.planted import Plant, answers_before_sync, drops_early, switches_early
from tests.crash.world import Broken, Counts, World

LIVES = 4


def lived(seeds: range) -> Counts:
    """Run every seed to its end; says which one failed."""
    total = Counts()
    for seed in seeds:
        world = World(seed)
        try:
            world.run(LIVES)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        finally:
            world.end()
        total.add(world.counts)
    print(f"seeds {seeds.start} to {seeds.stop - 1}: {total}")
    return total


@pytest.mark.parametrize("block", range(3))
def test_nothing_acknowledged_is_lost(block: int) -> None:
    total = lived(range(block * 50, block * 50 + 50))
    assert total.power_losses >= 100
    assert total.acknowledged >= 1000
    assert min(total.lost_unacknowledged, total.in_recovery, total.kills, total.replayed) > 0
    assert min(total.clean_stops, total.defragments, total.snapshots, total.compactions) > 0


@pytest.mark.slow
@pytest.mark.parametrize("block", range(24))
def test_nothing_acknowledged_is_lost_in_many_worlds(block: int) -> None:
    lived(range(10_000 + block * 100, 10_100 + block * 100))


def reds(
    seeds: range, plant: Plant | None = None, *, lying_sync: bool = False, lives: int = LIVES
) -> list[str]:
    """What the harness says of a member that is known to be bad."""
    told: list[str] = []
    for seed in seeds:
        world = World(seed, plant, DiskFaults(lying_sync=lying_sync))
        try:
            world.run(lives)
        except Broken as broken:
            told.append(str(broken))
        finally:
            world.end()
    return told


def test_a_disk_whose_syncs_do_nothing_turns_it_red() -> None:
    told = reds(range(30), lying_sync=True)
    assert any(line.startswith("lost:") for line in told)
    assert len(told) >= 20


def test_an_answer_before_the_sync_turns_it_red() -> None:
    told = reds(range(40), answers_before_sync)
    assert any(line.startswith("lost:") for line in told)
    assert len(told) >= 10


def test_dropping_the_journal_before_the_store_is_durable_turns_it_red() -> None:
    assert reds(range(60), drops_early)


def test_switching_stores_before_the_journal_says_so_turns_it_red() -> None:
    assert reds(range(100, 125), switches_early)
