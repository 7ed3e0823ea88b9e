"""Plans for real processes: rate, witnesses, clients of their own for what waits."""

from collections import Counter

import pytest

from jepsen.run import BOUNDS
from jepsen.schedule import EMPTY, SLOW, SLOW_CLIENTS, WITNESS, Load, last_items, make_plan
from sim.workloads.pace import FIRST_MS

ALL = Load("all", members=3, duration_ms=20_000)


def test_the_same_seed_makes_the_same_plan() -> None:
    assert make_plan(7, ALL) == make_plan(7, ALL)
    assert make_plan(7, ALL) != make_plan(8, ALL)


def test_clients_get_as_many_items_as_the_rate_says_evenly() -> None:
    plan = make_plan(1, Load("register", duration_ms=10_000, rate=100))
    items = [item for item in plan.items if item.who == "client" and item != EMPTY]
    assert len(items) == 1000
    by_second = Counter(item.time_ms // 1000 for item in items)
    assert set(by_second) == set(range(10))
    assert max(by_second.values()) < 140


def test_the_first_of_all_is_shown_an_empty_store() -> None:
    plan = make_plan(1, ALL)
    asked = [item for item in plan.items if item.who == "client"]
    assert asked[0] == EMPTY
    assert asked[1].time_ms >= FIRST_MS


def test_every_member_has_a_witness_of_its_own() -> None:
    plan = make_plan(1, ALL)
    found = [item for item in plan.items if item.do == WITNESS]
    assert [item.args for item in found] == [{"member": 0}, {"member": 1}, {"member": 2}]
    others = {item.number for item in plan.items if item.who == "watcher"} - {
        item.number for item in found
    }
    assert max(others) < min(item.number for item in found)
    assert max(item.number for item in found) == plan.options.watchers - 1


def test_what_waits_for_seconds_has_clients_of_its_own() -> None:
    plan = make_plan(1, ALL)
    clients = [item for item in plan.items if item.who == "client"]
    waiting = {item.number for item in clients if item.do in SLOW}
    assert waiting == set(range(ALL.clients, ALL.clients + 2 * SLOW_CLIENTS))
    assert not waiting & {item.number for item in clients if item.do not in SLOW}


def test_no_number_names_two_things() -> None:
    numbers = Counter(item.args["n"] for item in make_plan(1, ALL).items if "n" in item.args)
    assert set(numbers.values()) == {1}


def test_every_workload_is_watched() -> None:
    plan = make_plan(1, ALL)
    watched = {str(item.args["key"])[0] for item in plan.items if "key" in item.args
               and item.who == "watcher"}  # fmt: skip
    assert len(watched) >= 8


def test_in_the_end_every_member_is_written_read_and_hashed() -> None:
    items = last_items(make_plan(1, ALL).options, 31_000)
    asked = {(item.do, item.args["member"]) for item in items}
    assert asked == {
        (what, member) for what in ("final.put", "final.read", "admin.hash") for member in range(3)
    }
    elect_us = BOUNDS["elect_us"]
    assert isinstance(elect_us, int)
    assert min(item.time_ms for item in items) * 1000 > 31_000_000 + elect_us


def test_an_unknown_workload_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no workload is called 'regster': there are kube, "):
        make_plan(1, Load("regster"))
