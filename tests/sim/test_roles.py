"""Roles that a leader keeps by itself, with real engines and in either tier.

The rule of this file: plans that say what happens; what clients saw is judged as in any run.
"""

import pytest

from sim.check import check
from sim.generate import make_plan
from sim.ops import Put, Range
from sim.plan import Plan
from sim.planted.bug import ask, fault, script
from sim.run import Run, run

WRITES = tuple(ask(500 + 250 * n, Put("k", str(n)), client=n % 4, member=n % 5) for n in range(100))


def a_voter_is_lost(*, tier: int, survival: str, domains: int) -> Run:
    """Five members that keep three voters, one of whom stays away for a quarter of a minute."""
    plan: Plan = script(
        *WRITES,
        fault(8_000, "outage", member=0, down_ms=15_000, survival=survival),
        ask(25_500, Range("k"), member=0),
        end_ms=26_000,
        engine="raft",
        members=5,
        voters=3,
        stand_bys=1,
        domains=domains,
        watchers=1,
    )()
    return run(plan, tier=tier)


@pytest.mark.parametrize("tier", [1, 2])
@pytest.mark.parametrize(("survival", "domains"), [("none", 1), ("all", 3)])
def test_a_lost_voter_is_replaced_while_clients_go_on(
    tier: int, survival: str, domains: int
) -> None:
    done = a_voter_is_lost(tier=tier, survival=survival, domains=domains)
    assert done.broken is None
    assert check(done.history) == []
    # Two of five founders are too many; one of the others takes the lost one's vote.
    assert done.marks["member demoted"] >= 3
    assert done.marks["member promoted"] >= 1


def test_plans_for_an_engine_of_raft_draw_roles_and_for_others_do_not() -> None:
    plans = [make_plan(seed, {"engine": "raft"}, tier=2) for seed in range(100)]
    kept = [plan.options for plan in plans if plan.options.voters]
    assert 10 <= len(kept) <= 40
    assert {each.domains for each in kept} == {1, 2, 3}
    assert any(item.do == "outage" for plan in plans for item in plan.items)
    assert not any(make_plan(seed).options.voters for seed in range(100))
