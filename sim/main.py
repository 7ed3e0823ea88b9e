"""The command `trine sim`: run, replay, shrink, check, bugs, diff.

Rule of this file: flags, sentences and exit codes; the work is done by the modules it calls, each
imported when it is needed. Exit codes: 0 clean, 1 verdict, 2 the harness failed or what was asked
cannot be meant, 3 the same seed came to two different ends.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from sim.ops import Json
    from sim.plan import Plan

GROUPS: Final = (
    "message", "partition", "clock", "process", "disk", "operations", "client", "membership",
)  # fmt: skip
ENGINES: Final = ("perfect", "raft", "pysyncobj", "local")
EXIT_VERDICT: Final = 1
EXIT_HARNESS: Final = 2
SEEDS: Final = 1000

F = TypeVar("F", bound=Callable[..., object])


class GroupNames(click.ParamType[tuple[str, ...]]):
    """Names of fault groups, with commas between them."""

    name = "groups"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return tuple(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        names = tuple(name.strip() for name in str(value).split(",") if name.strip())
        for name in names:
            if name not in GROUPS:
                self.fail(f"no fault group is called {name!r}: {', '.join(GROUPS)}", param, ctx)
        return names


def _shape(command: F) -> F:
    """Give a command the options that shape plans."""
    options = (
        click.option("--tier", type=click.IntRange(1, 2), default=1, show_default=True,
                     help="1: core and engine on a bare heap; 2: the whole member."),
        click.option("--workload", default="", help="Only this workload, of sim/workloads."),
        click.option("--no", "off", type=GroupNames(), default=(),
                     help=f"Leave fault groups out: {', '.join(GROUPS)}."),
        click.option("--bug", default="", help="Plant a bug of sim/planted."),
        click.option("--members", type=click.IntRange(1, 7), help="So many members."),
        click.option("--engine", type=click.Choice(ENGINES), help="What orders the log."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group(
    epilog="Exit codes: 0 clean, 1 a guarantee was broken, 2 the harness failed or wrong usage, "
    "3 the same seed came to two different ends.",
)
def sim() -> None:
    """Run members in a simulated world: any failure is one seed."""


@sim.command()
@click.option("--seeds", type=click.IntRange(1), help=f"How many seeds.  [default: {SEEDS}]")
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="The first.")
@click.option("--until-bug", is_flag=True, help="End with the first failing seed.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="End after that long.")
@_shape
@click.option("-j", "--jobs", type=click.IntRange(1), help="Workers.  [default: one a core]")
@click.option("--unseed", type=click.FloatRange(0, 100), default=5.0, show_default=True,
              help="Percent of seeds to run again in another process.")  # fmt: skip
@click.option("-o", "--out", default="sim-failures", show_default=True,
              help="Where plans and histories of failures go.")  # fmt: skip
@click.option("--html", type=click.Path(dir_okay=False), help="Write a picture of the batch.")
def run(
    seeds: int | None,
    start: int,
    until_bug: bool,
    minutes: float | None,
    tier: int,
    workload: str,
    off: tuple[str, ...],
    bug: str,
    members: int | None,
    engine: str | None,
    jobs: int | None,
    unseed: float,
    out: str,
    html: str | None,
) -> None:
    """Run seeds and judge what clients saw."""
    from sim.marks import expected
    from sim.runner import Batch, Runner, report_words
    from sim.runner_pool import Pool
    from sim.runner_progress import Progress

    overrides = _overrides(workload, bug, members, engine)
    unbounded = seeds is None and (until_bug or minutes is not None)
    batch = Batch(
        start=start,
        seeds=0 if unbounded else seeds or SEEDS,
        minutes=minutes or 0.0,
        until_bug=until_bug,
        tier=tier,
        overrides=overrides,
        off=off,
        again_percent=unseed,
        out=out,
        commit=_commit(),
        marks=expected(tier, engine or ""),
        keep_outcomes=html is not None,
    )
    runner = Runner(batch)
    began = time.monotonic()
    with Pool(jobs or _cores()) as pool, Progress(runner.line) as progress:
        report = runner.run(pool, progress)
    elapsed_s = time.monotonic() - began
    click.echo(report_words(batch, report, elapsed_s=elapsed_s))
    if html is not None:
        from sim.report.batch import batch_page

        words = [f"{report.totals.done} seeds from {start}, tier {tier}"]
        words += [f"planted: {bug}"] if bug else []
        words += [f"commit {batch.commit}"] if batch.commit else []
        page = batch_page(report.outcomes, batch.marks, title=", ".join(words), elapsed_s=elapsed_s)
        Path(html).write_text(page, encoding="utf-8")
        click.echo(f"picture: {html}")
    sys.exit(report.worth)


@sim.command()
@click.argument("seed_or_plan", metavar="SEED|PLAN.JSONL")
@click.option("--at", type=click.FloatRange(0), help="Show the trace around this second.")
@click.option("--trace", is_flag=True, help="Print every trace line.")
@click.option("--status", is_flag=True, help="Print a line an event, a column a member.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write a picture of the run.")
@_shape
def replay(
    seed_or_plan: str,
    at: float | None,
    trace: bool,
    status: bool,
    html: str | None,
    tier: int,
    workload: str,
    off: tuple[str, ...],
    bug: str,
    members: int | None,
    engine: str | None,
) -> None:
    """Run one seed or saved plan again, and show what happened."""
    from sim.replay import replay_plan

    plan = _plan(seed_or_plan, tier, _overrides(workload, bug, members, engine), off)
    around_us = None if at is None else int(at * 1e6)
    found = replay_plan(
        plan,
        tier=tier,
        around_us=around_us,
        whole=trace,
        status=status,
        html=html,
        say=click.echo,
        command=_again(seed_or_plan, tier) if seed_or_plan.endswith(".jsonl") else "",
    )
    sys.exit(EXIT_VERDICT if found else 0)


@sim.command()
@click.argument("seed_or_plan", metavar="SEED|PLAN.JSONL")
@click.option("-o", "--out", type=click.Path(dir_okay=False), required=True,
              help="Where the small plan goes.")  # fmt: skip
@_shape
def shrink(
    seed_or_plan: str,
    out: str,
    tier: int,
    workload: str,
    off: tuple[str, ...],
    bug: str,
    members: int | None,
    engine: str | None,
) -> None:
    """Make a failing plan as small as it can be and still fail the same way."""
    from sim.replay import shrink_plan

    plan = _plan(seed_or_plan, tier, _overrides(workload, bug, members, engine), off)
    found = shrink_plan(plan, tier=tier, out=out, say=click.echo)
    if not found:
        _refuse("shrink", "the plan does not fail: there is nothing to shrink")
    sys.exit(EXIT_VERDICT)


@sim.command()
@click.argument("history", type=click.Path(exists=True, dir_okay=False), metavar="HISTORY.JSONL")
def check(history: str) -> None:
    """Judge a saved history, of the simulator or of real processes."""
    from sim.check import check as judge
    from sim.check.verdict import lines
    from sim.history_file import read_history

    try:
        read = read_history(history)
    except (ValueError, OSError) as error:
        _refuse("check", f"{history} is no history: {error}")
    verdicts = judge(read)
    for verdict in verdicts:
        for line in lines(verdict):
            click.echo(line)
    violations = [verdict for verdict in verdicts if verdict.is_violation]
    click.echo(
        f"{len(read.calls)} operations, {len(read.watchers)} watchers: "
        f"{f'{len(violations)} guarantees broken' if violations else 'clean'}"
    )
    sys.exit(EXIT_VERDICT if violations else 0)


@sim.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Within three times each bug's budget, once.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Workers.  [default: one a core]")
def bugs(names: tuple[str, ...], quick: bool, jobs: int | None) -> None:
    """Prove that the checks see: plant every known bug and catch it by its named check."""
    from sim.planted import BUGS
    from sim.planted.gate import run_gate

    for name in names:
        if name not in BUGS:
            _refuse("bugs", _no_bug(name, BUGS))
    sys.exit(run_gate(names, quick=quick, jobs=jobs or _cores(), say=click.echo))


@sim.command()
@click.argument("seed", type=click.IntRange(0))
@click.argument("commit_a")
@click.argument("commit_b")
@_shape
def diff(
    seed: int,
    commit_a: str,
    commit_b: str,
    tier: int,
    workload: str,
    off: tuple[str, ...],
    bug: str,
    members: int | None,
    engine: str | None,
) -> None:
    """Run one seed's plan on two commits and show where their traces part."""
    from sim.commits import CheckoutError, traces_of

    plan = _plan(str(seed), tier, _overrides(workload, bug, members, engine), off)
    try:
        words = traces_of(plan, commit_a, commit_b, tier=tier)
    except CheckoutError as error:
        _refuse("diff", str(error))
    click.echo(words or f"seed {seed}: the same on {commit_a} and {commit_b}")
    sys.exit(EXIT_VERDICT if words else 0)


def _overrides(workload: str, bug: str, members: int | None, engine: str | None) -> dict[str, Json]:
    given: dict[str, Json] = {}
    if workload:
        from sim.workloads.catalogue import WORKLOADS

        if any(part not in WORKLOADS for part in workload.split("+")):
            known = ", ".join(sorted(WORKLOADS))
            _refuse("run", f"no workload is called {workload!r}: {known}")
        given["workload"] = workload
    if bug:
        from sim.planted import BUGS

        if bug not in BUGS:
            _refuse("run", _no_bug(bug, BUGS))
        given["bug"] = bug
    if engine == "local" and (members or 1) != 1:
        _refuse("run", "the local engine is a quorum of one: leave --members out, or say 1")
    if members is not None:
        given["members"] = members
    if engine is not None:
        given["engine"] = engine
        if engine == "local":
            given["members"] = 1
    return given


def _no_bug(name: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1)
    hint = f"; did you mean {near[0]}?" if near else "; sim/planted has them all"
    return f"no planted bug is called {name!r}{hint}"


def _plan(
    seed_or_plan: str, tier: int, overrides: Mapping[str, Json], off: tuple[str, ...]
) -> Plan:
    """Return the plan that a person named, or refuse."""
    if seed_or_plan.isdecimal():
        from sim.trial import plan_of

        return plan_of(int(seed_or_plan), overrides, off=off, tier=tier)
    from attrs import evolve

    from sim.plan_file import options_of, read_plan
    from sim.trial import without

    path = Path(seed_or_plan)
    if not path.is_file():
        _refuse("replay", f"{seed_or_plan} is neither a seed nor a plan's file")
    try:
        plan = read_plan(path)
    except (ValueError, OSError) as error:
        _refuse("replay", f"{seed_or_plan} is no plan: {error}")
    if overrides:
        plan = evolve(plan, options=options_of(overrides, plan.options))
    return without(plan, off) if off else plan


def _again(path: str, tier: int) -> str:
    """Return the command that replays a saved plan."""
    return f"trine sim replay {path} --trace" + (f" --tier {tier}" if tier != 1 else "")


def _refuse(command: str, sentence: str) -> NoReturn:
    click.echo(f"trine sim {command}: {sentence}", err=True)
    sys.exit(EXIT_HARNESS)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _commit() -> str:
    """Return the short name of the checkout's commit; "" outside of one."""
    from sim.commits import head

    return head()
