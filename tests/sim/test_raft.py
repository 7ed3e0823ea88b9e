"""The engine under the simulator: elections, faults and changes of members, in both tiers."""

import pytest

from sim.menu import MEMBERSHIP
from sim.ops import Admin, AdminDone, Put, PutDone
from sim.planted.bug import LEADER_MS, ask, script
from sim.run import run
from sim.trial import attempt, plan_of


@pytest.mark.parametrize("members", [1, 3, 5, 7])
def test_clients_of_the_engine_get_what_was_promised(members: int) -> None:
    given = {"engine": "raft", "members": members, "workload": "register", "duration_ms": 15_000}
    trial = attempt(plan_of(members, given))
    assert trial.found == ()
    assert trial.run is not None
    assert trial.run.marks["election"] >= 1


def test_a_plan_comes_to_the_same_end_twice() -> None:
    plan = plan_of(5, {"engine": "raft", "duration_ms": 15_000})
    assert run(plan).digest == run(plan).digest


def test_whole_members_run_on_the_engine() -> None:
    plan = plan_of(7, {"engine": "raft", "members": 3, "spares": 0}, tier=2)
    trial = attempt(plan, tier=2)
    assert trial.found == ()
    assert trial.run is not None
    assert trial.run.marks["election"] >= 1


def test_a_cluster_may_be_replaced_member_by_member() -> None:
    """Three machines join and three leave; what was written before is there afterwards."""
    items = [ask(500 + 20 * n, Put("k", str(n)), client=n % 4, member=n % 3) for n in range(900)]
    at_ms = 7_000
    for spare, gone in ((3, 0), (4, 1), (5, 2)):
        items += [
            ask(at_ms, Admin("member_add", spare), client=4),
            # It votes by itself once it has the log; both count as healthy after five seconds.
            ask(at_ms + 7_000, Admin("member_remove", gone), client=4),
        ]
        at_ms += 15_000
    make = script(
        *items, ask(at_ms, Put("last", "1"), client=4), engine="raft", spares=3, clients=5,
        end_ms=at_ms + LEADER_MS, snapshot_entries=20,
    )  # fmt: skip
    trial = attempt(make())
    assert trial.found == ()
    assert trial.run is not None
    calls = trial.run.history.calls
    changes = [call.result for call in calls if isinstance(call.op, Admin)]
    assert all(isinstance(result, AdminDone) for result in changes)
    assert isinstance(calls[-1].result, PutDone)
    assert trial.run.marks["membership changed"] == 3 + 3 + 3 + 3


def test_changes_of_members_are_drawn_for_the_engine_alone() -> None:
    drawn = [plan_of(seed, {"engine": "raft"}) for seed in range(40)]
    assert any(MEMBERSHIP in plan.options.faults for plan in drawn)
    assert {plan.options.members for plan in drawn} == {1, 3, 5, 7}
    others = [plan_of(seed, {}) for seed in range(40)]
    assert all(plan.options.spares == 0 for plan in others)
    assert not any(MEMBERSHIP in plan.options.faults for plan in others)
