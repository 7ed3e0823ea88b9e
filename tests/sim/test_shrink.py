"""Shrinking: the same failure, fewer items, simpler options, within bounds."""

from collections.abc import Callable
from functools import cache

import pytest
from attrs import define, field

from sim.check import check
from sim.generate import make_plan
from sim.plan import Item, Plan
from sim.plan_file import lines_of, plan_of
from sim.shrink import Progress, Shrunk, shrink
from sim.smaller import closer, shortened
from tests.single_copy import play

Predicate = Callable[[Plan], bool]


@define
class Judge:
    """Says that a plan fails where a predicate holds, and counts how often it was asked."""

    holds: Predicate
    klass: str = "linear/stale-read"
    runs: int = 0
    seen: list[Plan] = field(factory=list[Plan])

    def __call__(self, plan: Plan) -> str | None:
        self.runs += 1
        return self.klass if self.holds(plan) else None


@define
class Clock:
    """A clock of which every reading takes a while."""

    step_s: float = 0.01
    now_s: float = 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@cache
def big_plan() -> Plan:
    plan = make_plan(
        3,
        {
            "workload": "register", "mix": (), "members": 5, "clients": 6, "operations": 300,
            "snapshot_entries": 60, "watchers": 3, "duration_ms": 30_000, "nemesis_ms": 300,
            "faults": ("partition", "process"), "drift_ppm": 200, "link_ms": 20,
        },
    )  # fmt: skip
    assert len(plan.items) > 350
    return plan


def small(holds: Predicate, plan: Plan | None = None) -> Shrunk:
    return shrink(plan or big_plan(), Judge(holds), now_s=Clock())


def does(plan: Plan, do: str) -> int:
    return sum(item.do == do for item in plan.items)


def test_one_item_is_found_among_hundreds() -> None:
    shrunk = small(lambda plan: any(item.args.get("n") == 117 for item in plan.items))
    assert [item.args["n"] for item in shrunk.plan.items] == [117]
    assert shrunk.runs < 200
    assert shrunk.ended == "fixpoint"


def test_items_that_need_each_other_in_order_stay_together() -> None:
    def holds(plan: Plan) -> bool:
        dos = [item.do for item in plan.items]
        return "crash" in dos and "register.delete" in dos[dos.index("crash") :]

    shrunk = small(holds)
    assert [item.do for item in shrunk.plan.items] == ["crash", "register.delete"]


def test_a_number_of_items_that_depends_on_an_option_falls_with_it() -> None:
    """A log that is cut every 60 entries needs 60 puts; the shrunk plan has another option."""

    def holds(plan: Plan) -> bool:
        cut = plan.options.snapshot_entries
        return 0 < cut <= sum(item.do.startswith("register.") for item in plan.items)

    shrunk = small(holds)
    assert (len(shrunk.plan.items), shrunk.plan.options.snapshot_entries) == (3, 3)


def test_members_and_options_become_simple() -> None:
    shrunk = small(lambda plan: does(plan, "register.put") > 0 and plan.options.members >= 3)
    options = shrunk.plan.options
    assert (options.members, options.drift_ppm, options.link_ms) == (3, 0, 0)
    assert (options.clients, options.watchers, options.faults) == (1, 0, ())


def test_the_run_becomes_short_and_what_comes_after_its_end_stays_after_it() -> None:
    shrunk = small(
        lambda plan: (
            any(item.time_ms >= plan.options.duration_ms for item in plan.items)
            and does(plan, "halves") > 0
        )
    )
    plan = shrunk.plan
    assert len(plan.items) == 2
    assert plan.options.duration_ms <= 1_000
    assert [item.time_ms >= plan.options.duration_ms for item in plan.items] == [False, True]


def test_times_are_round_keys_and_numbers_are_the_first_ones() -> None:
    shrunk = small(lambda plan: does(plan, "register.put") >= 2)
    for place, item in enumerate(shrunk.plan.items):
        assert item.time_ms % 100 == 0
        assert item.args["n"] == place + 1
        assert item.args["member"] == 0
        assert str(item.args["key"]) in ("r/0", "r/1")


def test_a_time_of_failure_is_where_the_first_cut_goes() -> None:
    lengths: list[int] = []

    def fails(plan: Plan) -> str | None:
        lengths.append(plan.options.duration_ms)
        return "linear/stale-read" if does(plan, "register.put") else None

    shrink(big_plan(), fails, now_s=Clock(), failed_ms=4_000)
    assert lengths[:2] == [30_000, 4_500]


def test_another_failure_is_not_taken_for_the_same() -> None:
    def fails(plan: Plan) -> str | None:
        if not does(plan, "register.put"):
            return None
        return "watch/unique" if does(plan, "register.get") else "linear/stale-read"

    shrunk = shrink(big_plan(), fails, now_s=Clock())
    assert shrunk.klass == "watch/unique"
    assert sorted(item.do for item in shrunk.plan.items) == ["register.get", "register.put"]


def test_a_plan_that_does_not_fail_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fail"):
        small(lambda _: False)


def test_runs_are_bounded() -> None:
    judge = Judge(lambda plan: len(plan.items) > 5)
    shrunk = shrink(big_plan(), judge, now_s=Clock(), runs_max=20)
    assert (judge.runs, shrunk.runs, shrunk.ended) == (20, 20, "runs")


def test_time_is_bounded_and_what_was_reached_is_kept() -> None:
    judge = Judge(lambda plan: len(plan.items) > 5)
    shrunk = shrink(big_plan(), judge, now_s=Clock(step_s=1.0), wall_s_max=15)
    assert shrunk.ended == "time"
    assert shrunk.took_s < 25
    assert 5 < len(shrunk.plan.items) < len(big_plan().items)


def test_no_plan_is_run_twice() -> None:
    seen: list[tuple[str, ...]] = []

    def fails(plan: Plan) -> str | None:
        seen.append(tuple(lines_of(plan)))
        return "linear/stale-read" if does(plan, "register.put") >= 2 else None

    shrink(big_plan(), fails, now_s=Clock())
    assert len(seen) == len(set(seen))


def test_progress_is_told_after_every_run() -> None:
    told: list[Progress] = []
    judge = Judge(lambda plan: does(plan, "register.put") >= 2)
    shrunk = shrink(big_plan(), judge, now_s=Clock(), progress=told.append)
    assert [each.runs for each in told] == list(range(2, shrunk.runs + 1))
    assert told[-1].items == len(shrunk.plan.items)
    assert {"end", "members", "options", "halves", "groups", "items", "times", "names"} >= {
        e.doing for e in told
    }


def test_the_shrunk_plan_can_be_written_and_fails_as_before() -> None:
    judge = Judge(lambda plan: does(plan, "register.cas") >= 3)
    shrunk = shrink(big_plan(), judge, now_s=Clock())
    again = plan_of(lines_of(shrunk.plan))
    assert again == shrunk.plan
    assert judge(again) == shrunk.klass


def test_shrinking_is_the_same_every_time() -> None:
    def holds(plan: Plan) -> bool:
        return does(plan, "register.put") + does(plan, "isolate") >= 4

    assert small(holds).plan == small(holds).plan


def test_cutting_a_plan_moves_its_end() -> None:
    items = (
        Item(100, "client", 0, "register.get", {}),
        Item(900, "client", 0, "register.get", {}),
        Item(61_000, "client", 0, "final.read", {}),
    )
    assert [item.time_ms for item in shortened(Plan(1, items=items), 500).items] == [100, 1_500]
    assert [item.time_ms for item in closer(Plan(1, items=items), 300).items] == [100, 400, 1_700]


def test_a_lost_event_on_real_runs_is_a_handful_of_items() -> None:
    """The whole way: plan, clients, checkers; a copy that forgets to tell watchers of deletes."""

    def fails(plan: Plan) -> str | None:
        done = play(plan)
        for watcher in done.history.watchers:
            for place, seen in enumerate(watcher.seen):
                kept = tuple(event for event in seen.events if event.kind == "put")
                watcher.seen[place] = seen._replace(events=kept)
            watcher.seen[:] = [
                each for each in watcher.seen if each.events or each.kind != "events"
            ]
        found = [verdict for verdict in check(done.history) if verdict.check == "watch"]
        return found[0].klass if found else None

    plan = make_plan(4, {"workload": "watch", "mix": (), "operations": 200, "members": 3,
                         "faults": ("client",), "watchers": 4})  # fmt: skip
    shrunk = shrink(plan, fails, now_s=Clock(step_s=0.001))
    assert len(shrunk.plan.items) <= 5, list(shrunk.plan.items)
