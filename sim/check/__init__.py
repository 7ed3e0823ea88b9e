"""Judges of histories: which published guarantee a run broke.

Rule of this package: it sees `sim.ops` and `sim.history` and nothing of the product; it keeps its
own model of etcd. The simulator and the harness over real processes share it.

    check(history) -> the verdicts, earliest first; none is a pass
    judge(history, found)    the same, for who wants other than the first of each class
"""

import gc

from sim.check.by_log import by_log
from sim.check.by_watch import by_watch, witness
from sim.check.compacting import judge_compaction
from sim.check.guarantees import Found
from sim.check.holes import by_holes
from sim.check.leasing import judge_leases
from sim.check.promises import judge_answers, judge_caches, judge_hashes, judge_shapes
from sim.check.settings import Bounds, bounds_of
from sim.check.timeline import Timeline
from sim.check.verdict import Verdict, explain
from sim.check.watching import judge_watches
from sim.history import History

__all__ = ["Found", "Verdict", "check", "explain", "judge", "timeline_of"]


def check(history: History) -> list[Verdict]:
    """Judge a whole run by every check that applies, and return what was broken, earliest first.

    Of each class of verdict only the first is told. Raises ValueError for bounds that are none.
    """
    found = Found()
    judge(history, found)
    return found.verdicts()


def judge(history: History, found: Found) -> Timeline | None:
    """Judge a whole run by every check that applies, and return what it turned out to be.

    Raises ValueError for bounds that are none.
    """
    bounds = bounds_of(history)
    # Nothing here makes cycles; the collector would walk the whole history again and again.
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        return _judge(history, bounds, found)
    finally:
        if is_collecting:
            gc.enable()


def _judge(history: History, bounds: Bounds, found: Found) -> Timeline | None:
    judge_answers(history, bounds, found)
    judge_shapes(history, found)
    judge_hashes(history, found)
    timeline = timeline_of(history, found)
    if timeline is not None:
        judge_watches(history, timeline, bounds, found)
        judge_compaction(history, timeline, found)
        judge_leases(history, timeline, bounds, found)
        judge_caches(history, timeline, bounds, found)
    return timeline


def timeline_of(history: History, found: Found) -> Timeline | None:
    """Judge linearizability by the best witness there is: the log, a complete watch, or answers.

    Return what the run turned out to be, or None where no order of the writes stands.
    """
    if history.log is not None:
        return by_log(history, found)
    witnessed = witness(history)
    if witnessed is not None:
        return by_watch(history, witnessed, found)
    return by_holes(history, found)
