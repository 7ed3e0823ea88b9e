"""The rule of this file: the swarm's plans on whole members, the same everywhere."""

import pytest

from sim.check import check
from sim.generate import make_plan
from sim.ops import Put, PutDone
from sim.planted.bug import ask, fault, script
from sim.run import Run, run
from tests.processes import told_everywhere


def whole(seed: int, **overrides: int | str | float) -> Run:
    """Run a seed's plan in tier 2; nothing may be wrong with it."""
    done = run(make_plan(seed, {**overrides}, tier=2), tier=2)
    assert done.broken is None, f"seed {seed}: {done.broken}"
    found = [verdict for verdict in check(done.history) if verdict.is_violation]
    assert not found, f"seed {seed}: {found[0].klass}: {found[0].why}"
    return done


def test_plans_that_are_clean_in_tier_1_are_clean_in_tier_2() -> None:
    for seed in range(100, 110):
        plan = make_plan(seed, {}, tier=2)
        assert run(plan).broken is None
        whole(seed)


def test_a_follower_far_behind_is_sent_a_snapshot() -> None:
    sent = 0
    for seed in range(30):
        done = whole(seed, members=3, engine="perfect", snapshot_entries=20, operations=100)
        sent += done.marks.get("snapshot installed", 0)
        if sent:
            return
    raise AssertionError("no run met a snapshot")


def test_faultpoints_that_fire_break_nothing() -> None:
    fired = 0
    for seed in (47, *range(200, 208)):
        done = whole(seed, buggify=0.5)
        fired += sum(count for name, count in done.marks.items() if name.startswith("buggify"))
    assert fired


PROGRAM = """
from sim.generate import make_plan
from sim.run import run
print([run(make_plan(seed, {}, tier=2), tier=2).digest for seed in range(300, 304)])
"""


def test_a_plan_decides_everything_whatever_the_process() -> None:
    assert len(set(told_everywhere(PROGRAM))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_many_plans_are_clean_in_tier_2(block: int) -> None:
    for seed in range(5_000 + block * 100, 5_100 + block * 100):
        whole(seed)


@pytest.mark.parametrize("tier", [1, 2])
def test_a_suspended_machine_goes_on_when_all_else_is_healed(tier: int) -> None:
    """A clock was stopped for longer than faults may last, and its member owed answers."""
    plan = script(
        fault(1_000, "clock_stall", member=0, ms=60_000),
        ask(9_000, Put("k", "1")),
        engine="raft",
    )()
    call = run(plan, tier=tier).history.calls[0]
    assert isinstance(call.result, PutDone)
    assert call.returned_us - call.invoked_us < 1_000_000
