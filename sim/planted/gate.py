"""The gate: every planted bug is caught by its named check, by its directed plan and by chance.

Rule of this file: which seeds a bug gets, and what its row of the table says. A bug that nothing
catches fails, one that is caught too late fails, and so does a check that no bug exercises.

    quick    the directed plan, and seeds from one start until caught, three budgets at most
    whole    seeds from several starts: the budgets are recorded from these
"""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Final

from attrs import define, field

from server.output import table
from sim.check.verdict import CHECKS
from sim.planted import BUGS
from sim.planted.bug import Bug
from sim.planted.classes import unearned
from sim.runner import Worth
from sim.runner_pool import Patience, Pool
from sim.runner_task import Outcome, Task

STARTS: Final = (0, 1_000, 2_000, 3_000, 4_000)
TIMES_BUDGET: Final = 3
_COLUMNS: Final = ("bug", "row", "tier", "check", "directed", "seeds", "budget", "seen as", "")


@define
class Hunt:
    """The seeds of one bug from one start; the directed plan is a hunt of one."""

    bug: Bug
    start: int
    limit: int
    directed: bool = False
    tried: int = 0
    caught: bool = False
    under_way: bool = False
    seen: dict[str, int] = field(factory=dict[str, int])
    died: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it needs no further run."""
        return self.caught or self.tried >= self.limit

    def task(self, number: int) -> Task:
        """Return the next run."""
        return Task(
            number,
            self.start + self.tried,
            tier=self.bug.tier,
            overrides={**self.bug.options, "bug": self.bug.name},
            off=self.bug.off,
            directed=self.directed,
        )

    def take(self, outcome: Outcome) -> None:
        """Note what a run found."""
        self.under_way = False
        self.tried += 1
        self.died = outcome.died or self.died
        for found in outcome.found:
            self.seen[found.klass] = self.seen.get(found.klass, 0) + 1
        bug = self.bug
        self.caught = any(
            found.check == bug.check and bug.klass in ("", found.klass) for found in outcome.found
        )


def hunts_of(bugs: Sequence[Bug], *, quick: bool) -> list[Hunt]:
    """Return all hunts that a gate makes."""
    hunts = [Hunt(bug, 1, 1, directed=True) for bug in bugs if bug.directed is not None]
    for start in STARTS[:1] if quick else STARTS:
        hunts += (Hunt(bug, start, bug.budget * TIMES_BUDGET) for bug in bugs if bug.budget)
    return hunts


def run_gate(
    names: Sequence[str],
    *,
    quick: bool,
    jobs: int,
    say: Callable[[str], None],
    pool_of: Callable[[int], Pool] = lambda size: Pool(size, patience=Patience(tasks_each=200)),
) -> Worth:
    """Hunt bugs, all or those named; say the table and what is wrong with it."""
    bugs = [BUGS[name] for name in names] if names else list(BUGS.values())
    hunts = hunts_of(bugs, quick=quick)
    with pool_of(jobs) as pool:
        hunt(pool, hunts)
    seen = {klass for each in hunts for klass in each.seen}
    faults = [] if names else [*unexercised(bugs), *unearned(seen)]
    rows: list[Sequence[str]] = []
    for bug in bugs:
        row, fault = row_of(bug, [each for each in hunts if each.bug is bug])
        rows.append(row)
        faults += [fault] if fault else []
    say(table(_COLUMNS, rows))
    for fault in faults:
        say(fault)
    say(f"{len(bugs)} planted bugs: " + (f"{len(faults)} faults" if faults else "all caught"))
    if any(each.died and not each.caught for each in hunts):
        return Worth.HARNESS
    return Worth.VERDICT if faults else Worth.CLEAN


def hunt(pool: Pool, hunts: list[Hunt]) -> None:
    """Run hunts to their ends, each one seed at a time."""

    def next_task() -> Task | None:
        for number, each in enumerate(hunts):
            if not each.is_over and not each.under_way:
                each.under_way = True
                return each.task(number)
        return None

    for outcome in pool.outcomes(next_task):
        if outcome is not None:
            hunts[outcome.number].take(outcome)


def row_of(bug: Bug, hunts: Sequence[Hunt]) -> tuple[Sequence[str], str]:
    """Return a bug's row of the table, and what is wrong with it, "" if nothing is."""
    directed = next((each for each in hunts if each.directed), None)
    drawn = [each for each in hunts if not each.directed]
    missed = [each for each in drawn if not each.caught]
    # A bug may break what the harness stands on; what counts is that its check saw it, too.
    died = next((each.died for each in hunts if each.died and not each.caught), "")
    seen = list(dict.fromkeys(klass for each in hunts for klass in each.seen))
    fault = ""
    if died:
        fault = f"{bug.name}: the harness died: {died.splitlines()[-1]}"
    elif directed is None:
        fault = f"{bug.name}: no directed plan proves that it can be shown"
    elif not directed.caught:
        told = ", ".join(directed.seen) or "nothing"
        fault = f"{bug.name}: its directed plan shows {told}, not {bug.check}"
    elif missed:
        others = ", ".join(seen) or "nothing"
        fault = (
            f"{bug.name}: not caught by {bug.check} within {missed[0].limit} seeds from "
            f"{missed[0].start}; seen: {others}"
        )
    tries = [str(each.tried) if each.caught else f">{each.tried}" for each in drawn]
    if len(drawn) > 1 and not missed:
        tries.append(f"median {median(each.tried for each in drawn):g}")
    row = (
        bug.name,
        str(bug.row) if bug.row else "-",
        str(bug.tier),
        bug.check,
        "yes" if directed is not None and directed.caught else "no",
        " ".join(tries),
        str(bug.budget),
        " ".join(seen[:3]),
        "MISSED" if fault else "ok",
    )
    return row, fault


def unexercised(bugs: Sequence[Bug]) -> Iterator[str]:
    """Yield a complaint for every check that no bug has to be caught by."""
    named = {bug.check for bug in bugs}
    for check in CHECKS:
        if check not in named:
            yield f"no planted bug exercises the check {check}"
