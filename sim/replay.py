"""One plan again: what failed and how, its trace, its picture, its smallest form.

Rule of this file: words for a person, by the parts that do the work. It says everything through
`say`, so that the command line alone prints.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sim.marks import marks_of
from sim.plan import Plan
from sim.plan_file import write_plan
from sim.report.text import status_lines
from sim.runner_task import Found
from sim.runner_worker import TAIL_LINES, tail_before
from sim.shrink import shrink
from sim.trial import Trial, attempt

Say = Callable[[str], None]
AROUND_US = 1_000_000
"""How much of the trace `--at` shows before and after."""


def replay_plan(
    plan: Plan,
    *,
    tier: int,
    around_us: int | None,
    whole: bool,
    status: bool = False,
    html: str | None,
    say: Say,
    command: str = "",
) -> tuple[Found, ...]:
    """Run a plan with its trace on; say what happened; return what is wrong.

    `status`: the trace with a column for each member. `command`: how to do this again.
    """
    trial = attempt(plan, tier=tier, trace=True)
    lines: Sequence[str] = trial.run.trace_lines if trial.run is not None else ()
    if status:
        for line in status_lines(lines, members=plan.options.members):
            say(line)
    elif whole:
        for line in lines:
            say(line)
    elif around_us is not None:
        for line in lines:
            if abs(_time_us(line) - around_us) <= AROUND_US:
                say(line)
    elif trial.found:
        say(f"the last {TAIL_LINES} trace lines before the first error:")
        for line in tail_before(lines, trial.found[0].time_us):
            say(f"    {line}")
    for found in trial.found:
        for line in told_lines(found):
            say(line)
    say(summary(trial))
    if html is not None:
        _draw(trial, html, tier, command)
        say(f"picture: {html}")
    return trial.found


def told_lines(found: Found) -> list[str]:
    """Return a verdict as lines."""
    return [
        f"FAIL {found.klass} at {found.time_us / 1e6:.3f} s  {found.why}",
        f"    guarantee: {found.words}",
        *(f"    {line}" for line in found.lines),
    ]


def summary(trial: Trial) -> str:
    """Return one line about a run, clean or not."""
    plan = trial.plan
    bug = f", planted: {plan.options.bug}" if plan.options.bug else ""
    head = (
        f"seed {plan.seed}, {plan.options.workload} on {plan.options.members} members "
        f"({plan.options.engine}), {len(plan.items)} items{bug}: "
    )
    if trial.run is None:
        return f"{head}an invariant broke"
    history = trial.run.history
    marks = ", ".join(f"{name} {times}" for name, times in sorted(marks_of(trial.run).items()))
    end = f"{len(trial.found)} guarantees broken" if trial.found else "clean"
    return (
        f"{head}{len(history.calls)} operations, {len(history.watchers)} watchers, "
        f"{history.ended_us / 1e6:.1f} s, digest {trial.run.digest[:16]}: {end}\n  marks: {marks}"
    )


def shrink_plan(plan: Plan, *, tier: int, out: str, say: Say) -> bool:
    """Shrink a failing plan and save it; False if it does not fail."""
    first = attempt(plan, tier=tier)
    if not first.found:
        return False

    def fails(candidate: Plan) -> str | None:
        found = attempt(candidate, tier=tier).found
        return found[0].klass if found else None

    small = shrink(
        plan, fails, now_s=time.monotonic, failed_ms=first.found[0].time_us // 1000 or None
    )
    write_plan(Path(out), small.plan)
    say(
        f"{small.klass}: {small.items_before} items became {len(small.plan.items)}, "
        f"{plan.options.members} members {small.plan.options.members}, after {small.runs} runs in "
        f"{small.took_s:.0f} s ({small.ended})"
    )
    for found in attempt(small.plan, tier=tier).found[:1]:
        for line in told_lines(found):
            say(line)
    say(f"replay: trine sim replay {out}" + ("" if tier == 1 else f" --tier {tier}"))
    return True


def _time_us(line: str) -> int:
    first = line.split(" ", 1)[0]
    return int(first) if first.isdigit() else 0


def _draw(trial: Trial, html: str, tier: int, command: str) -> None:
    from sim.report import write_page

    if trial.run is not None:
        write_page(Path(html), trial, tier=tier, replay=command)
