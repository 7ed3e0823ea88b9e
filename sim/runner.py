"""A batch of seeds: handed to workers, counted, compared across processes, reported.

Rule of this file: what a batch decides (which seed next, which are run twice, when it ends, what
it is worth) and no process. One in twenty seeds is run again by a fresh process with another
PYTHONHASHSEED: the digests must agree, or nothing found here could be replayed.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import IntEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from attrs import define, evolve, field, frozen

from sim.ops import Json
from sim.runner_pool import Pool
from sim.runner_progress import Progress, Totals, count, progress_line
from sim.runner_task import Outcome, Task

HASH_SEED: Final = 1
OTHER_HASH_SEED: Final = 2
AGAIN_TOGETHER: Final = 20
"""Seeds to run again wait for each other: changing a process costs half a second."""
SLOWEST: Final = 5


class Worth(IntEnum):
    """What a command was worth: its exit code. The highest that applies."""

    CLEAN = 0
    VERDICT = 1
    HARNESS = 2
    NONDETERMINISM = 3


@frozen
class Batch:
    """Which seeds to run, and how. `seeds` 0: until the time is over."""

    start: int = 0
    seeds: int = 1000
    minutes: float = 0.0
    until_bug: bool = False
    tier: int = 1
    overrides: Mapping[str, Json] = field(factory=dict[str, Json])
    off: tuple[str, ...] = ()
    again_percent: float = 5.0
    out: str = "sim-failures"
    commit: str = ""
    marks: tuple[str, ...] = ()
    """Every mark that a batch should hit."""
    keep_outcomes: bool = False
    """Whether the report keeps every outcome, for a picture."""


@define
class Report:
    """What a batch found."""

    totals: Totals
    marks: Counter[str] = field(factory=Counter[str])
    classes: Counter[str] = field(factory=Counter[str])
    first: dict[str, int] = field(factory=dict[str, int])
    """The first seed of each class."""
    died: list[int] = field(factory=list[int])
    differed: list[int] = field(factory=list[int])
    compared: int = 0
    slowest: list[tuple[int, int]] = field(factory=list[tuple[int, int]])
    """(took_ms, seed), longest first."""
    outcomes: list[Outcome] = field(factory=list[Outcome])
    """All, where a picture is wanted of them."""

    @property
    def worth(self) -> Worth:
        """The exit code."""
        if self.differed:
            return Worth.NONDETERMINISM
        if self.died:
            return Worth.HARNESS
        return Worth.VERDICT if self.classes else Worth.CLEAN


class Runner:
    """One batch under way."""

    def __init__(self, batch: Batch, now: Callable[[], float] = time.monotonic) -> None:
        self.batch = batch
        self.report = Report(Totals(wanted=batch.seeds, marks_all=len(batch.marks)))
        self._now = now
        self._began = now()
        self._next = 0
        self._again: list[Task] = []
        self._again_owed = 0.0
        self._draining = False
        self._digests: dict[int, str] = {}
        self._stopping = False

    def run(self, pool: Pool, progress: Progress) -> Report:
        """Run all, saying failures as they come."""
        for outcome in pool.outcomes(self.next_task):
            if outcome is not None:
                text = self.take(outcome)
                if text:
                    progress.say(text)
            progress.show()
        return self.report

    def line(self) -> str:
        """Return the progress line."""
        return progress_line(
            self.report.totals,
            elapsed_s=self._now() - self._began,
            limit_s=self.batch.minutes * 60,
        )

    def next_task(self) -> Task | None:
        """Return what a free worker should do, None if there is nothing now."""
        if self._stopping:
            return None
        ended = self._is_over()
        if self._again and (ended or self._draining or len(self._again) >= AGAIN_TOGETHER):
            task = self._again.pop()
            self._draining = bool(self._again)
            return task
        if ended:
            return None
        batch = self.batch
        number = self._next
        self._next += 1
        return Task(
            number,
            batch.start + number,
            tier=batch.tier,
            overrides=batch.overrides,
            off=batch.off,
            hash_seed=HASH_SEED,
            keep=batch.out,
        )

    def take(self, outcome: Outcome) -> str:
        """Count an outcome; return what there is to say about it."""
        if outcome.number < 0:
            return self._compare(outcome)
        report, totals = self.report, self.report.totals
        totals.done += 1
        if self.batch.keep_outcomes:
            report.outcomes.append(evolve(outcome, tail=()))
        totals.calls += outcome.calls
        totals.oks += outcome.oks
        totals.infos += outcome.infos
        totals.faults += outcome.faults
        totals.simulated_ms += outcome.simulated_ms
        report.marks.update(outcome.marks)
        totals.marks_hit = sum(bool(report.marks[name]) for name in self.batch.marks)
        report.slowest = sorted([*report.slowest, (outcome.took_ms, outcome.seed)])[-SLOWEST:]
        if outcome.died:
            report.died.append(outcome.seed)
            totals.worst = "harness"
            return (
                f"DIED seed {outcome.seed}  {outcome.died}\n  {replay_words(self.batch, outcome)}"
            )
        self._again_owed += self.batch.again_percent / 100
        if self._again_owed >= 1 and outcome.digest:
            self._again_owed -= 1
            self._digests[outcome.seed] = outcome.digest
            self._again.append(
                evolve(self._task(outcome.seed), number=-1, hash_seed=OTHER_HASH_SEED, keep="")
            )
        if not outcome.found:
            return ""
        totals.failed += 1
        totals.worst = outcome.found[0].klass
        for klass in dict.fromkeys(found.klass for found in outcome.found):
            report.classes[klass] += 1
            report.first.setdefault(klass, outcome.seed)
        if self.batch.until_bug:
            self._stopping = True
        return failure_words(self.batch, outcome)

    def _task(self, seed: int) -> Task:
        batch = self.batch
        return Task(0, seed, tier=batch.tier, overrides=batch.overrides, off=batch.off)

    def _is_over(self) -> bool:
        batch = self.batch
        if batch.seeds and self._next >= batch.seeds:
            return True
        return bool(batch.minutes) and self._now() - self._began >= batch.minutes * 60

    def _compare(self, outcome: Outcome) -> str:
        seed = outcome.seed
        self.report.compared += 1
        if outcome.died:
            self.report.died.append(seed)
            return f"DIED seed {seed}, run again  {outcome.died}"
        if outcome.digest == self._digests.pop(seed):
            return ""
        self.report.differed.append(seed)
        if self.batch.until_bug:
            self._stopping = True
        return f"NONDETERMINISM seed {seed}: another process came to another digest\n" + (
            first_difference(self._task(seed))
        )


def first_difference(task: Task, pool_of: Callable[[int], Pool] = Pool) -> str:
    """Run a task in two fresh processes of different hash seeds; say where their traces part."""
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("one", "other")]
        tasks = [
            evolve(task, trace_file=str(file), hash_seed=hash_seed)
            for file, hash_seed in zip(files, (HASH_SEED, OTHER_HASH_SEED), strict=True)
        ]
        waiting = list(tasks)
        with pool_of(2) as pool:
            for outcome in pool.outcomes(lambda: waiting.pop() if waiting else None):
                if outcome is not None and outcome.died:
                    return f"  run again for its trace, it died: {outcome.died}"
        one, other = (
            file.read_text(encoding="utf-8").splitlines() if file.exists() else [] for file in files
        )
    return parting(one, other)


def parting(one: list[str], other: list[str]) -> str:
    """Return the first line in which two traces differ, with the line before it."""
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            before = f"       {one[number - 1]}\n" if number else ""
            head = f"  first differing trace line, {number + 1}:\n{before}"
            return f"{head}    -  {left}\n    +  {right}"
    if len(one) != len(other):
        longer = one if len(one) > len(other) else other
        number = min(len(one), len(other))
        return f"  one trace goes on at line {number + 1}:\n    +  {longer[number]}"
    return (
        "  two fresh processes agree on every trace line: the digest depends on what the same\n"
        "  process ran before"
    )


def failure_words(batch: Batch, outcome: Outcome) -> str:
    """Return all that is said about a failing seed."""
    lines: list[str] = []
    for position, found in enumerate(outcome.found[:3]):
        begin = f"FAIL seed {outcome.seed} " if not position else "  and "
        lines.append(f"{begin}{found.klass} at {found.time_us / 1e6:.3f} s  {found.why}")
        lines.append(f"    guarantee: {found.words}")
        lines += (f"    {line}" for line in found.lines)
    if len(outcome.found) > 3:
        lines.append(f"  and {len(outcome.found) - 3} more")
    if outcome.tail:
        lines.append(f"  the last {len(outcome.tail)} trace lines before it:")
        lines += (f"    {line}" for line in outcome.tail)
    if outcome.marks:
        marks = (f"{name} {times}" for name, times in sorted(outcome.marks.items()))
        lines.append(f"  marks: {', '.join(marks)}")
    lines.append(f"  {replay_words(batch, outcome)}")
    return "\n".join(lines)


def replay_words(batch: Batch, outcome: Outcome) -> str:
    """Return the one line that runs it again."""
    what = outcome.kept or str(outcome.seed)
    if not batch.overrides and not batch.off:
        what = str(outcome.seed)
    tier = "" if batch.tier == 1 else f" --tier {batch.tier}"
    commit = f"    (commit {batch.commit})" if batch.commit else ""
    return f"replay: trine sim replay {what}{tier}{commit}"


def report_words(batch: Batch, report: Report, *, elapsed_s: float) -> str:
    """Return the end of a batch: what failed, what was never hit, what was slow."""
    totals = report.totals
    rate = totals.done / elapsed_s if elapsed_s > 0 else 0.0
    lines = [
        f"{totals.done} seeds from {batch.start}, tier {batch.tier}: {rate:.1f}/s, "
        f"{totals.simulated_ms / 3_600_000:.1f} h simulated, {count(totals.calls)} operations, "
        f"{count(totals.faults)} faults, {report.compared} run again in another process"
    ]
    for klass, times in report.classes.most_common():
        lines.append(f"  {klass}: {times} seeds, the first {report.first[klass]}")
    if report.died:
        lines.append(f"  died: {len(report.died)} seeds, the first {report.died[0]}")
    if report.differed:
        lines.append(f"  not the same twice: seeds {', '.join(map(str, report.differed[:10]))}")
    never = [name for name in batch.marks if not report.marks[name]]
    lines.append(f"  marks hit: {len(batch.marks) - len(never)} of {len(batch.marks)}")
    if never:
        lines.append(f"    never: {'; '.join(never)}")
    slow = ", ".join(f"{seed} ({took} ms)" for took, seed in reversed(report.slowest))
    if slow:
        lines.append(f"  slowest seeds: {slow}")
    if totals.failed and batch.out:
        lines.append(f"  plans and histories of failures: {batch.out}/")
    lines.append(
        "clean" if report.worth == Worth.CLEAN else f"not clean: {report.worth.name.lower()}"
    )
    return "\n".join(lines)
