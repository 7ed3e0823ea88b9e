"""The rule of this file: a harness that sees nothing is broken, so it is shown a disk that lies."""

import pytest

from sim.tier2_torture import Tally, torture


def tortured(seeds: range) -> Tally:
    """Torture by each seed; no verdict may fall."""
    total = Tally()
    for seed in seeds:
        done = torture(seed)
        assert not done.verdicts, f"seed {seed}: {done.verdicts[0].why}"
        total.add(done.tally)
    print(total)
    return total


def test_whole_members_lose_nothing_whenever_they_end() -> None:
    total = tortured(range(12))
    assert total.checked == total.acknowledged
    assert min(total.power_losses, total.at_points, total.kills, total.unknown_kept) > 0


@pytest.mark.slow
@pytest.mark.parametrize("block", range(5))
def test_whole_members_lose_nothing_in_three_thousand_crashes(block: int) -> None:
    total = tortured(range(1_000 + block * 100, 1_100 + block * 100))
    assert total.crashes + total.in_recovery >= 600


def test_a_disk_that_lies_about_syncs_is_noticed() -> None:
    assert [seed for seed in range(5) if not torture(seed, lying=True).verdicts] == []
