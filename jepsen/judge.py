"""The verdict on a run of real processes: one row for each workload and check that applies to it.

Rule of this file: it collects what the simulator's checkers and `jepsen.judging` found, and counts
what there was to judge: a row over nothing is said to be empty, and is no pass. Nothing depends on
which servers ran.

    judge(history, workloads=["register", "watch"]) -> Judgement
        .passed     nothing was broken, and nothing left open
        .rows       workload, check, how much was judged, what was found
        .findings   what was broken, earliest first
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import evolve, field, frozen

from jepsen.judging.expiries import judge_expiries
from jepsen.judging.finding import CHECKS, Finding
from jepsen.judging.lists import judge_lists
from jepsen.judging.owners import CLUSTER, Owners
from jepsen.judging.tally import Tally, tally_of
from jepsen.judging.witnesses import judge_witnesses
from sim.check import Found
from sim.check import judge as judge_by_checkers
from sim.check.guarantees import WORDS
from sim.check.settings import bounds_of
from sim.check.verdict import Side, Verdict
from sim.history import History
from sim.ops import Json, Range

PASS: Final = "pass"
FAIL: Final = "fail"
OPEN: Final = "open"
EMPTY: Final = "empty"


@frozen
class Row:
    """One workload under one check."""

    workload: str
    check: str
    count: int
    """How much there was to judge."""
    unit: str
    """Of what: "reads and writes", "watch messages"."""
    findings: tuple[Finding, ...] = ()

    @property
    def outcome(self) -> str:
        """One of PASS, FAIL, OPEN (not decided) and EMPTY (there was nothing to judge)."""
        if any(each.is_violation for each in self.findings):
            return FAIL
        if self.findings:
            return OPEN
        return PASS if self.count else EMPTY


@frozen
class Judgement:
    """What a run was worth."""

    rows: tuple[Row, ...]
    tally: Tally
    """What the run did, counted."""
    findings: tuple[Finding, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every guarantee was kept and every check came to an end."""
        return not self.findings

    @property
    def violations(self) -> tuple[Finding, ...]:
        """What was broken, earliest first."""
        return tuple(each for each in self.findings if each.is_violation)

    def of(self, workload: str) -> tuple[Row, ...]:
        """Return one workload's rows."""
        return tuple(row for row in self.rows if row.workload == workload)

    def as_json(self) -> dict[str, Json]:
        """Return it as `results.json` has it."""
        return {
            "passed": self.passed,
            "rows": [
                {
                    "workload": row.workload,
                    "check": row.check,
                    "outcome": row.outcome,
                    "count": row.count,
                    "unit": row.unit,
                    "classes": [each.klass for each in row.findings],
                }
                for row in self.rows
            ],
            "findings": [_finding_json(each) for each in self.findings],
            "tally": self.tally.as_json(),
        }

    def table(self) -> list[str]:
        """Return the rows for a terminal."""
        cells = [
            (
                row.workload,
                row.check,
                row.outcome if row.outcome != FAIL else "FAIL",
                f"{row.count:,} {row.unit}",
                " ".join(dict.fromkeys(each.klass for each in row.findings)),
            )
            for row in self.rows
        ]
        heads = ("workload", "check", "verdict", "judged", "")
        widths = [max(len(cell[n]) for cell in (heads, *cells)) for n in range(5)]
        return [
            "  ".join(f"{text:<{width}}" for text, width in zip(cell, widths, strict=True)).rstrip()
            for cell in (heads, *cells)
        ]


class ByWorkload(Found):
    """Verdicts, of each class and workload the one that showed first."""

    def __init__(self, owners: Owners) -> None:
        super().__init__()
        self._owners = owners
        self._of: dict[tuple[str, str], Verdict] = {}

    def add(self, klass: str, why: str, sides: tuple[Side, ...], time_us: int) -> None:
        """Report a broken guarantee."""
        super().add(klass, why, sides, time_us)
        place = (self._owners.of_conflict(sides), klass)
        known = self._of.get(place)
        if known is None or time_us < known.time_us:
            check = klass.partition("/")[0]
            self._of[place] = Verdict(check, klass, WORDS[klass], why, sides, time_us)

    def findings(self) -> list[Finding]:
        """Return them all."""
        return [Finding.of(workload, verdict) for (workload, _), verdict in self._of.items()]


def judge(
    history: History,
    workloads: Iterable[str],
    *,
    as_linear: bool = False,
    seen: Iterable[Finding] = (),
) -> Judgement:
    """Judge a run of these workloads by all checks.

    `seen`: what nemeses saw themselves (`Finding.under_fault`), told with the rest.
    `as_linear`: take serializable reads for linearizable ones, which they are not: a control.
    Raises ValueError for bounds in the history's facts that are none.
    """
    if as_linear:
        history = linearized(history)
    names = tuple(dict.fromkeys(workloads))
    owners = Owners.of(history, names)
    by_checkers = ByWorkload(owners)
    timeline = judge_by_checkers(history, by_checkers)
    witnessed, counted = judge_witnesses(history, owners)
    listed, versions = judge_lists(history)
    found = [*seen, *by_checkers.findings(), *witnessed, *listed]
    ends: Mapping[str, int] = {}
    if timeline is not None:
        early, ends = judge_expiries(history, timeline, bounds_of(history), owners)
        known = {(each.workload, each.klass) for each in found}
        found += [each for each in early if (each.workload, each.klass) not in known]
    found.sort(key=lambda each: (each.time_us, each.klass))
    tally = tally_of(
        history,
        owners,
        workloads=names,
        members=counted["members"],
        revisions=counted["revisions"],
        versions=versions,
        ends=ends,
    )
    return Judgement(_rows(names, tally, found), tally, tuple(found))


def linearized(history: History) -> History:
    """Return a history in which every serializable read claims to be linearizable."""
    calls = [
        call._replace(op=call.op._replace(serializable=False))
        if isinstance(call.op, Range)
        else call
        for call in history.calls
    ]
    return evolve(history, calls=calls)


def _rows(workloads: Sequence[str], tally: Tally, found: Sequence[Finding]) -> tuple[Row, ...]:
    """Return a row for each workload and check that applies, and for each that found something."""
    rows: list[Row] = []
    places = dict.fromkeys([*workloads, CLUSTER, *(each.workload for each in found)])
    for workload in places:
        for check in CHECKS:
            findings = tuple(
                each for each in found if (each.workload, each.check) == (workload, check)
            )
            counted = tally.judged.get((workload, check))
            if counted is None and not findings:
                continue
            count, unit = counted or (0, "")
            rows.append(Row(workload, check, count, unit, findings))
    return tuple(rows)


def _finding_json(finding: Finding) -> dict[str, Json]:
    return {
        "workload": finding.workload,
        "class": finding.klass,
        "guarantee": finding.words,
        "why": finding.why,
        "time_us": finding.time_us,
        "is_violation": finding.is_violation,
        "conflict": [
            {"who": side.who, "saw": side.saw, "call": side.call, "watcher": side.watcher}
            for side in finding.conflict
        ],
    }
