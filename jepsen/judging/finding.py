"""One broken guarantee of a run, and which workload it was that met it.

Rule of this file: shapes and words; nothing is judged here.
"""

from collections.abc import Iterator
from typing import Final

from attrs import frozen

from sim.check.verdict import CHECKS as SIMULATORS
from sim.check.verdict import Side, Verdict, seconds

CHECKS: Final = (*(each for each in SIMULATORS if each != "raft-safety"), "order", "lock", "faults")
"""Every check there is, in the order in which a table lists them."""
WORDS: Final = {
    "order/list-append": "List-append: each version of a list is the one before and one element.",
    "lock/lost-update": (
        "Mutual exclusion: what one holder of a lock wrote is seen by the next; no two are inside."
    ),
    "faults/broken": (
        "Under a fault a member refuses to go on or recovers, and does what operators ask of it."
    ),
    "convergence/witnesses": "All members tell the same history: the same changes at a revision.",
}


@frozen
class Finding:
    """One broken guarantee. Two of the same workload and `klass` are the same kind of failure."""

    workload: str
    """Whose operation or watcher met it; `owners.CLUSTER` where it was nobody's own."""
    check: str
    """One of `CHECKS`."""
    klass: str
    """`check/what`: "linear/stale-read"."""
    words: str
    """The guarantee, in the words in which it is published."""
    why: str
    """How this run broke it: one sentence."""
    conflict: tuple[Side, ...] = ()
    """The operations or events in conflict, the earlier cause first, and what each saw."""
    time_us: int = 0
    """When it first showed."""
    is_violation: bool = True
    """Whether something was broken, rather than left open."""

    @classmethod
    def of(cls, workload: str, verdict: Verdict) -> "Finding":
        """Return a checker's verdict as a workload's finding."""
        return cls(
            workload,
            verdict.check,
            verdict.klass,
            verdict.words,
            verdict.why,
            verdict.conflict,
            verdict.time_us,
            verdict.is_violation,
        )

    @classmethod
    def own(
        cls, workload: str, klass: str, why: str, conflict: tuple[Side, ...], time_us: int
    ) -> "Finding":
        """Return a finding of one of this package's classes, those of `WORDS`."""
        return cls(workload, klass.partition("/")[0], klass, WORDS[klass], why, conflict, time_us)

    @classmethod
    def under_fault(cls, what: str, why: str, time_us: int) -> "Finding":
        """Return what a nemesis saw of the cluster with its own eyes."""
        return cls.own("cluster", "faults/broken", f"{what}: {why}", (), time_us)

    def explain(self) -> str:
        """Return `lines` as one text."""
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Yield it for a terminal: what was broken, by whom, how, and what each party saw."""
        kind = "FAIL" if self.is_violation else "OPEN"
        yield f"{kind} {self.klass} ({self.workload}) at {seconds(self.time_us)} s"
        yield f"  guarantee: {self.words}"
        yield f"  broken by: {self.why}"
        for side in self.conflict:
            yield f"  - {side.who}"
            yield f"      saw {side.saw}"
