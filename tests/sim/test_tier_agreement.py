"""The rule of this file: one plan, run in tier 1 and in tier 2, is judged the same.

The verdict of a run is the set of checks that fail in it (`sim.check.verdict.CHECKS`, and
"invariant" for an invariant that belongs to none of them). Two tiers agree on a plan

    clean     when no check fails in either
    planted   when the bug's named check fails in both, and every other check in both or in neither

A broken invariant ends a run where it breaks. Then which answers clients already had is a matter of
microseconds, and the tiers do not share those: of a plan that either tier cut short so, the broken
invariants must be of the same checks, and what else clients saw until then is not compared.

A plan carries nothing that one tier alone has: no damage of files, no failing reads, no buggify.
A bug that cannot show in one of the tiers is listed in `ONE_TIER_ONLY` with the reason; every other
bug of the catalogue is compared, on its directed plan and on variations of it.

    pytest tests/sim/test_tier_agreement.py --slow      660 plans on all cores, and a table
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

import pytest
from attrs import evolve, frozen

from server.output import table
from sim.generate import make_plan
from sim.ops import Json
from sim.plan import Item, Plan
from sim.plan_file import read_plan, write_plan
from sim.planted import BUGS
from sim.run import LAST_ITEMS_MS
from sim.runner_pool import Patience, Pool
from sim.runner_task import Outcome, Task
from sim.trial import directed_plan, perform

ONE_TIER_ONLY: Final = {
    "syncs_do_nothing": (2, "it patches the simulated disk's sync; tier 1 has no files"),
    "directories_are_not_synced": (2, "it patches the sync of directories; tier 1 has none"),
    "failed_sync_counts_as_done": (2, "it patches the disk's error of a sync; tier 1 has no files"),
    "finished_segments_are_not_synced": (2, "it patches the journal's files; tier 1 has none"),
    "journal_loses_its_last_record": (1, "it patches the log of tier 1's disk"),
    "raft_never_goes_back": (
        1,
        "tier 2 cuts its log as its store is checkpointed, and a snapshot helps who is not sent"
        " what it lacks",
    ),
    "removed_member_answers_reads": (
        1,
        "tier 2's member ends when it learns that it was removed; tier 1's goes on for a while",
    ),
}
CARRIED: Final = tuple(name for name in BUGS if name not in ONE_TIER_ONLY)

CLEAN_PLANS: Final = 300
PLANS_OF_A_BUG: Final = 5
FIRST_SEED: Final = 20_000
TIERS: Final = (1, 2)

QUICK_BUGS: Final = (
    "time_to_live_is_made_up",
    "serializable_header_is_ahead",
    "revoke_keeps_keys",
    "transaction_split_over_two_messages",
    "compacted_reads_are_answered",
    "reads_end_with_leadership",
    "answers_before_commit",
    "apply_reads_the_clock",
)
"""One of each check, of those that need little time."""


@frozen
class Compared:
    """A plan's two runs."""

    plan: Plan
    one: Outcome
    two: Outcome

    @property
    def is_cut(self) -> bool:
        """Whether a broken invariant ended either run before everything was healed."""
        whole_ms = self.plan.options.duration_ms + LAST_ITEMS_MS
        return min(self.one.simulated_ms, self.two.simulated_ms) < whole_ms

    @property
    def is_same(self) -> bool:
        """Whether the same checks fail in both, wherever the runs ended."""
        return checks(self.one) == checks(self.two)

    @property
    def disagreement(self) -> str:
        """Return what the tiers disagree on, "" if they agree."""
        for tier, outcome in zip(TIERS, (self.one, self.two), strict=True):
            if outcome.died:
                return f"tier {tier} died: {outcome.died.splitlines()[-1]}"
            bug = self.plan.options.bug
            if not bug and outcome.found:
                return f"tier {tier} shows {told(outcome)}, and nothing was planted"
            if bug and BUGS[bug].check not in checks(outcome):
                return f"tier {tier} shows {told(outcome)}, not {BUGS[bug].check}"
        if self.is_same or (self.is_cut and of_invariants(self.one) == of_invariants(self.two)):
            return ""
        return f"tier 1 shows {told(self.one)}, tier 2 shows {told(self.two)}"


def checks(outcome: Outcome) -> set[str]:
    """Return the checks that fail in a run."""
    return {found.check for found in outcome.found}


def told(outcome: Outcome) -> str:
    """Return what fails in a run, in words."""
    return " ".join(sorted({found.klass for found in outcome.found})) or "nothing"


def of_invariants(outcome: Outcome) -> set[str]:
    """Return the checks of which an invariant broke in a run."""
    return {found.check for found in outcome.found if "/INV-" in found.klass}


# ---- plans


def clean_plan(seed: int) -> Plan:
    """Return a generated plan of one or three members that both tiers can run."""
    members = (1, 3)[seed % 2]
    plan = make_plan(seed, {"members": members, "buggify": 0.0}, tier=2)
    return plan.with_items(tuple(item for item in plan.items if is_of_both(item)))


def is_of_both(item: Item) -> bool:
    """Whether both tiers can do what the item says."""
    if item.who != "fault":
        return True
    reads = item.do == "eio" and item.args["what"] == "read"
    return not reads and item.do not in ("bit_rot", "truncate")


def planted_plan(name: str, number: int) -> Plan:
    """Return a bug's directed plan, or from 1 on a variation: seed, times, latency, drift, values.

    All moves together, so that what has to meet still meets.
    """
    plan = directed_plan(name)
    if not number:
        return plan
    chance = Random(f"{name}/{number}")
    later_ms = chance.randrange(300)
    options = plan.options
    varied = evolve(
        options,
        duration_ms=options.duration_ms + later_ms,
        drift_ppm=chance.choice((0, 200)),
        link_ms=chance.choice((1, 2, 3)) if options.link_ms == 1 else options.link_ms,
    )
    tail = "~" * chance.randrange(1, 20)
    items = (
        item._replace(
            time_ms=item.time_ms + later_ms,
            args={name: longer(each, tail) for name, each in item.args.items()},
        )
        for item in plan.items
    )
    return evolve(plan, seed=1_000 * number + chance.randrange(1_000), options=varied).with_items(
        tuple(items)
    )


def longer(value: Json, tail: str) -> Json:
    """Return an operation whose puts write longer values."""
    match value:
        case {"Put": [str(key), str(put), *rest]}:
            return {"Put": [key, put + tail, *rest]}
        case dict():
            return {name: longer(each, tail) for name, each in value.items()}
        case list():
            return [longer(each, tail) for each in value]
        case _:
            return value


def all_plans() -> Iterator[Plan]:
    """Yield everything that is compared in the long run."""
    for name in CARRIED:
        for number in range(PLANS_OF_A_BUG):
            yield planted_plan(name, number)
    for seed in range(FIRST_SEED, FIRST_SEED + CLEAN_PLANS):
        yield clean_plan(seed)


# ---- runs


def compared(plans: Sequence[Plan], folder: Path, *, jobs: int) -> list[Compared]:
    """Run plans in both tiers, `jobs` at a time, each read from the same file."""
    tasks: list[Task] = []
    for number, plan in enumerate(plans):
        path = folder / f"{number}.plan.jsonl"
        write_plan(path, plan)
        for tier in TIERS:
            tasks.append(Task(len(tasks), plan.seed, tier=tier, plan_file=str(path)))
    outcomes: dict[int, Outcome] = {}
    if jobs == 1:
        outcomes = {task.number: perform(task) for task in tasks}
    else:
        left = iter(tasks)
        with Pool(jobs, patience=Patience(tasks_each=200)) as pool:
            for outcome in pool.outcomes(lambda: next(left, None)):
                if outcome is not None:
                    outcomes[outcome.number] = outcome
    return [
        Compared(plan, outcomes[2 * number], outcomes[2 * number + 1])
        for number, plan in enumerate(plans)
    ]


def summary(every: Sequence[Compared]) -> str:
    """Return the table: bug, plans, on how many the tiers agree."""
    rows: list[Sequence[str]] = []
    for name in ("", *CARRIED):
        mine = [each for each in every if each.plan.options.bug == name]
        if mine:
            rows.append(
                (
                    name or "none: generated plans",
                    BUGS[name].check if name else "-",
                    str(len(mine)),
                    str(sum(not each.disagreement for each in mine)),
                    str(sum(each.is_same for each in mine)),
                    str(sum(each.is_cut for each in mine)),
                )
            )
    rows += ((name, BUGS[name].check, "-", "-", "-", "-") for name in ONE_TIER_ONLY)
    planted = [each for each in every if each.plan.options.bug]
    agreed = sum(not each.disagreement for each in every)
    faults = [sum(pick.faults for pick in picks) for picks in zip(*map(_runs, every), strict=True)]
    return "\n".join(
        (
            table(("bug", "check", "plans", "agreed", "same checks", "cut short"), rows),
            *(f"{name}: tier {tier} only: {why}" for name, (tier, why) in ONE_TIER_ONLY.items()),
            f"{agreed} of {len(every)} plans agreed, {len(planted)} of them with planted bugs; "
            f"faults done in tier 1 and 2: {faults[0]} and {faults[1]}",
        )
    )


def _runs(each: Compared) -> tuple[Outcome, Outcome]:
    return each.one, each.two


def disagreements(every: Sequence[Compared]) -> list[str]:
    """Return a line for each plan that the tiers disagree on."""
    return [
        f"{each.plan.options.bug or 'clean'} seed {each.plan.seed}: {each.disagreement}"
        for each in every
        if each.disagreement
    ]


# ---- tests


def test_bugs_of_every_check_are_judged_the_same_in_both_tiers(tmp_path: Path) -> None:
    plans = [planted_plan(name, number) for name in QUICK_BUGS for number in (0, 1)]
    assert disagreements(compared(plans, tmp_path, jobs=1)) == []


def test_plans_without_a_bug_are_clean_in_both_tiers(tmp_path: Path) -> None:
    plans = [clean_plan(seed) for seed in range(FIRST_SEED, FIRST_SEED + 4)]
    every = compared(plans, tmp_path, jobs=1)
    assert disagreements(every) == []
    assert sum(each.one.faults for each in every) > len(every)
    assert sum(each.two.faults for each in every) > len(every)


def test_only_named_bugs_are_compared_in_one_tier_alone() -> None:
    assert all(BUGS[name].tier == tier for name, (tier, _) in ONE_TIER_ONLY.items())
    assert len(ONE_TIER_ONLY) == 7
    assert len(CARRIED) * PLANS_OF_A_BUG >= 200
    assert len(CARRIED) * PLANS_OF_A_BUG + CLEAN_PLANS >= 500


def test_a_bug_that_one_tier_misses_is_a_disagreement(tmp_path: Path) -> None:
    (each,) = compared([planted_plan("time_to_live_is_made_up", 0)], tmp_path, jobs=1)
    assert each.disagreement == ""
    blind = evolve(each, two=evolve(each.two, found=()))
    assert blind.disagreement == "tier 2 shows nothing, not lease"
    other = evolve(each.two, found=(*each.two.found, evolve(each.two.found[0], check="linear")))
    assert evolve(each, two=other).disagreement


def test_variations_are_plans_of_their_own(tmp_path: Path) -> None:
    plans = [planted_plan("revoke_keeps_keys", number) for number in range(PLANS_OF_A_BUG)]
    assert len({plan.seed for plan in plans}) == PLANS_OF_A_BUG
    assert len({str(plan.items) for plan in plans}) == PLANS_OF_A_BUG
    path = tmp_path / "plan.jsonl"
    for plan in plans:
        write_plan(path, plan)
        assert read_plan(path) == plan


@pytest.mark.slow
def test_both_tiers_agree_on_500_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = compared(list(all_plans()), tmp_path, jobs=len(os.sched_getaffinity(0)))
    with capsys.disabled():
        print("\n" + summary(every))
    assert disagreements(every) == []
