"""Judges of histories: which published guarantee a run broke.

Rule of this package: it sees `sim.ops` and `sim.history` and nothing of the product; it keeps its
own model of etcd. The simulator and the harness over real processes share it.

    check(history) -> the verdicts, earliest first; none is a pass
"""

from sim.check.by_log import by_log
from sim.check.guarantees import Found
from sim.check.settings import bounds_of
from sim.check.timeline import Timeline
from sim.check.verdict import Verdict, explain
from sim.check.watching import judge_watches
from sim.history import History

__all__ = ["Verdict", "check", "explain"]


def check(history: History) -> list[Verdict]:
    """Judge a whole run by every check that applies, and return what was broken, earliest first."""
    found = Found()
    bounds = bounds_of(history)
    timeline: Timeline | None = None
    if history.log is not None:
        timeline = by_log(history, found)
    if timeline is not None:
        judge_watches(history, timeline, bounds, found)
    return found.verdicts()
