"""Plans out of seeds: equal everywhere, complete over many seeds, quick."""

import hashlib
from collections import Counter
from functools import cache

import pytest

from sim.generate import FINAL_MS, make_plan
from sim.menu import DISHES
from sim.plan import Item, Plan
from sim.plan_file import lines_of
from sim.workloads.catalogue import CLIENT_INTENTS, WATCHER_INTENTS
from tests.processes import told_everywhere

SEEDS = 200
UNDRAWN = {
    "admin.compact",
    "admin.backup",
    "admin.disarm",
    "admin.member_add",
    "admin.member_remove",
    "admin.member_replace",
    "admin.oversized",
    "script.ask",
    "script.watch",
}
"""What clients do only because a fault makes them, or a directed plan says so."""

PRINT_DIGEST = """
import hashlib
from sim.generate import make_plan
from sim.plan_file import lines_of
digest = hashlib.blake2b()
for seed in range(20):
    digest.update("\\n".join(lines_of(make_plan(seed))).encode())
print(digest.hexdigest())
"""


@cache
def plans() -> tuple[Plan, ...]:
    return tuple(make_plan(seed) for seed in range(SEEDS))


def test_a_plan_is_the_same_in_every_process() -> None:
    digest = hashlib.blake2b()
    for seed in range(20):
        digest.update("\n".join(lines_of(make_plan(seed))).encode())
    assert set(told_everywhere(PRINT_DIGEST)) == {digest.hexdigest()}


def test_over_many_seeds_every_intent_and_every_fault_occurs() -> None:
    seen = Counter(item.do for plan in plans() for item in plan.items)
    wanted = set(CLIENT_INTENTS) | set(WATCHER_INTENTS) | {d.name for d in DISHES if d.drawn}
    assert wanted - set(seen) == UNDRAWN


def test_items_lie_in_the_order_of_time_and_end_with_the_final_ones() -> None:
    for plan in plans():
        times = [item.time_ms for item in plan.items]
        assert times == sorted(times)
        for item in plan.items:
            is_final = item.do in ("final.put", "final.read")
            assert (item.time_ms >= plan.options.duration_ms + FINAL_MS) == is_final
            assert (item.time_ms < plan.options.duration_ms) != is_final


def test_clients_and_watchers_are_those_of_the_options() -> None:
    for plan in plans():
        for item in plan.items:
            limit = {
                "client": plan.options.clients, "watcher": plan.options.watchers, "fault": 1
            }[item.who]  # fmt: skip
            assert 0 <= item.number < limit


def test_values_are_made_of_numbers_that_no_two_items_share() -> None:
    for plan in plans():
        numbers = [
            item.args["n"] for item in plan.items if "n" in item.args and item.do != "final.put"
        ]
        assert len(numbers) == len(set(map(str, numbers)))


def test_a_fault_group_that_is_off_is_not_served() -> None:
    groups = {dish.name: dish.group for dish in DISHES}
    for plan in plans():
        used = {groups[item.do] for item in plan.items if item.who == "fault"}
        assert used <= set(plan.options.faults)


def test_messages_are_reordered_only_where_datagrams_are() -> None:
    for plan in plans():
        assert plan.options.datagrams or not any(item.do == "noise" for item in plan.items)


def test_the_mix_is_a_part_of_the_workloads_intents() -> None:
    for plan in plans():
        drawn = {item.do for item in plan.items if item.who == "client"}
        outside = {do for do in drawn if do not in plan.options.mix} - {"final.put", "final.read"}
        # A workload whose intents are all off gets all of them.
        for part in plan.options.workload.split("+"):
            if not any(name.startswith(f"{part}.") for name in plan.options.mix):
                outside = {do for do in outside if not do.startswith(f"{part}.")}
        assert not outside


def test_what_is_given_is_not_drawn_and_moves_nothing_else() -> None:
    plain = make_plan(7)
    given = make_plan(7, {"snapshot_entries": 17, "bug": "x"})
    assert given.options.snapshot_entries == 17
    assert given.options.bug == "x"
    assert given.items == plain.items


def test_faults_stay_where_they_are_when_the_clients_change() -> None:
    def faults(plan: Plan) -> list[Item]:
        return [item for item in plan.items if item.who == "fault"]

    assert faults(make_plan(7, {"workload": "set"})) == faults(make_plan(7, {"workload": "kube"}))


def test_one_member_may_run_on_the_local_engine_and_no_other_number() -> None:
    engines = {(plan.options.members, plan.options.engine) for plan in plans()}
    assert engines == {(1, "local"), (1, "perfect"), (3, "perfect"), (5, "perfect")}


def test_tier_2_gets_fewer_operations() -> None:
    assert make_plan(3, tier=2).options.operations < make_plan(3).options.operations


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"member": 3}, "no option is called 'member'"),
        ({"members": "3"}, "members: '3' is no int"),
        ({"members": 9}, "members: 9 is not 1 to 7"),
        ({"workload": "kubernetes"}, "no workload is called 'kubernetes'"),
    ],
)
def test_an_option_that_does_not_exist_is_refused(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_plan(1, given)
