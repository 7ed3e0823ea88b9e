"""One trial: a plan is made, run, judged and marked, with its planted bug in place.

Rule of this file: the one way from a seed to verdicts, for the runner, replay, shrink, the gate of
planted bugs and the tests. Everything here is a function of its arguments.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, frozen

from sim.check import check
from sim.check.verdict import Verdict
from sim.generate import make_plan
from sim.history import Fault, History
from sim.history_file import write_history
from sim.marks import marks_of
from sim.ops import Failed, Json, Unknown
from sim.plan import Item, Plan
from sim.plan_file import read_plan, write_plan
from sim.planted import BUGS, planted
from sim.run import Run, run
from sim.runner_task import Found, Outcome, Task
from sim.runner_worker import broken, tail_before


@frozen
class Trial:
    """One run and what was found in it. `run` is None where an invariant of the product broke."""

    plan: Plan
    run: Run | None
    found: tuple[Found, ...]


def plan_of(
    seed: int, overrides: Mapping[str, Json], *, off: tuple[str, ...] = (), tier: int = 1
) -> Plan:
    """Return the seed's plan, with some options given and some fault groups left out."""
    bug = str(overrides.get("bug", ""))
    given: dict[str, Json] = {}
    if bug:
        given.update(BUGS[bug].options)
    given.update(overrides)
    plan = make_plan(seed, given, tier=tier)
    return without(plan, off) if off else plan


def without(plan: Plan, off: tuple[str, ...]) -> Plan:
    """Return a plan without the faults of some groups."""
    from sim.menu import MENU

    def stays(item: Item) -> bool:
        return item.who != "fault" or MENU[item.do].group not in off

    kept = tuple(group for group in plan.options.faults if group not in off)
    return evolve(
        plan,
        options=evolve(plan.options, faults=kept),
        items=tuple(item for item in plan.items if stays(item)),
    )


def attempt(plan: Plan, *, tier: int = 1, trace: bool = False) -> Trial:
    """Run a plan with its planted bug in place, and judge what its clients saw."""
    with planted(plan.options.bug):
        done = run(plan, tier=tier, trace=trace)
    found = judged(done.history)
    if done.broken is not None:
        found = (*found, broken(done.broken, done.history.ended_us))
    return Trial(plan, done, found)


def judged(history: History) -> tuple[Found, ...]:
    """Return what is wrong with a history, in words."""
    return tuple(told(verdict) for verdict in check(history) if verdict.is_violation)


def told(verdict: Verdict) -> Found:
    """Return a verdict with its conflict in words."""
    sides: list[str] = []
    for side in verdict.conflict:
        sides += (f"- {side.who}", f"    saw {side.saw}")
    return Found(
        verdict.check, verdict.klass, verdict.words, verdict.why, tuple(sides), verdict.time_us
    )


def plan_for(task: Task) -> Plan:
    """Return the plan that a task asks for."""
    if task.plan_file:
        return read_plan(Path(task.plan_file))
    if task.directed:
        return directed_plan(str(task.overrides["bug"]))
    return plan_of(task.seed, task.overrides, off=task.off, tier=task.tier)


def directed_plan(name: str) -> Plan:
    """Return the plan that shows a planted bug, with the bug in it."""
    made = BUGS[name].directed
    assert made is not None, f"{name} has no directed plan"
    plan = made()
    return evolve(plan, options=evolve(plan.options, bug=name))


def perform(task: Task) -> Outcome:
    """Do one task. A failing run is run once more for its trace, and saved where that is wanted."""
    began = time.process_time()
    plan = plan_for(task)
    trial = attempt(plan, tier=task.tier, trace=bool(task.trace_file))
    done = trial.run
    tail: tuple[str, ...] = ()
    kept = ""
    if task.trace_file and done is not None:
        Path(task.trace_file).write_text("\n".join(done.trace_lines), encoding="utf-8")
    if trial.found and task.keep:
        kept = _keep(task, trial)
        traced = attempt(plan, tier=task.tier, trace=True).run
        if traced is not None:
            tail = tail_before(traced.trace_lines, trial.found[0].time_us)
    history = History() if done is None else done.history
    infos = sum(type(call.result) is Unknown for call in history.calls)
    fails = sum(type(call.result) is Failed for call in history.calls)
    return Outcome(
        number=task.number,
        seed=task.seed,
        digest="" if done is None else done.digest,
        found=trial.found,
        marks={} if done is None else marks_of(done),
        calls=len(history.calls),
        oks=len(history.calls) - infos - fails,
        infos=infos,
        faults=sum(_begins(fault) for fault in history.faults),
        items=len(plan.items),
        simulated_ms=history.ended_us // 1000,
        took_ms=int((time.process_time() - began) * 1000),
        tail=tail,
        kept=kept,
    )


def _begins(fault: Fault) -> bool:
    return fault.on


def _keep(task: Task, trial: Trial) -> str:
    folder = Path(task.keep)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{trial.plan.options.bug or 'seed'}-{task.seed}-t{task.tier}"
    path = folder / f"{name}.plan.jsonl"
    write_plan(path, trial.plan)
    if trial.run is not None:
        write_history(folder / f"{name}.history.jsonl", trial.run.history)
    return str(path)
