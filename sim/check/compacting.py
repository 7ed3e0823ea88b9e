"""Compaction: what is below it is refused by all and for ever, what is not answers as before.

Rule of this file: a compaction is in force between two times; a read is judged only where it is
certain on which side it stands. That answers at old revisions are right is judged with all reads.
"""

from bisect import bisect_left
from collections.abc import Iterator

from sim.check import shape
from sim.check.guarantees import Found
from sim.check.timeline import Compaction, Timeline
from sim.check.verdict import Side
from sim.check.wording import side, watcher_side
from sim.history import NEVER_US, Call, History
from sim.ops import Compact, CompactDone, Failed, Range, Txn, TxnOp, Unknown


def compactions_of(history: History) -> list[Compaction]:
    """Return the compactions that clients asked for, where no log tells which took place."""
    found: list[Compaction] = []
    for call in [each for each in history.calls if type(each[3]) is Compact]:
        if isinstance(call.op, Compact) and isinstance(call.result, CompactDone | Unknown):
            found.append(Compaction(call.op.rev, call.invoked_us, call.returned_us, 0, call))
    return sorted(found, key=lambda each: each.rev)


def judge_compaction(history: History, timeline: Timeline, found: Found) -> None:
    """Judge every operation that names a revision, and the revisions of all answers."""
    refusals = _Refusals(history)
    naming = [
        call
        for call in history.calls
        if (type(op := call[3]) is Range and op[2])
        or type(op) is Compact
        or (type(op) is Txn and not op[0])
    ]
    for call in naming:
        revs = tuple(_named(call.op))
        if not revs:
            continue
        if isinstance(call.result, Failed):
            _refused(call, max(revs), timeline, found)
        elif not isinstance(call.result, Unknown):
            _served(call, min(revs), timeline, found)
            refusals.judge(call, min(revs), found)
    if timeline.compactions:
        _fell(history, timeline, found)


def _named(op: TxnOp | object) -> Iterator[int]:
    """Yield the revisions that an operation names, but for those of branches not surely taken."""
    if isinstance(op, Range | Compact) and op.rev > 0:
        yield op.rev
    elif isinstance(op, Txn) and not op[0]:
        for each in op.then:
            yield from _named(each)


def _refused(call: Call, newest: int, timeline: Timeline, found: Found) -> None:
    """A revision was refused: was it below a compaction, or in the future?"""
    text = call.result.text if isinstance(call.result, Failed) else ""
    if text == shape.COMPACTED:
        compaction = timeline.compacted_maybe(call.returned_us)
        at_least = newest if isinstance(call.op, Compact) else newest + 1
        if compaction is None or compaction.rev < at_least:
            why = f"nothing above revision {at_least - 1} had been compacted"
            sides = (_compacted(compaction), side(call))
            found.add("compaction/refused-too-much", why, sides, call.returned_us)
    elif text == shape.FUTURE and not shape.is_serializable(call.op):
        head = timeline.surely(call.invoked_us)
        if head >= newest:
            writer = timeline.writers[newest]
            maker = (
                Side(f"revision {newest}", "made by no client") if writer is None else side(writer)
            )
            why = f"revision {newest} was there before it began"
            found.add("linear/wrong-refusal", why, (maker, side(call)), call.returned_us)


def _served(call: Call, oldest: int, timeline: Timeline, found: Found) -> None:
    """A revision was served: had it been compacted before?"""
    is_compact = isinstance(call.op, Compact)
    rev = call.result[0]
    assert isinstance(rev, int), "an answer begins with its revision"
    certain = [each for each in timeline.compactions if 0 < each.head < rev]
    if not shape.is_serializable(call.op):
        certain += [each for each in timeline.compactions if each.high_us < call.invoked_us]
    for each in certain:
        if each.call is not call and each.rev > oldest - is_compact:
            why = f"revision {oldest} was below a compaction at {each.rev} that was in force"
            sides = (_compacted(each), side(call))
            found.add("compaction/still-served", why, sides, call.returned_us)
            return


class _Refusals:
    """Who was told that a revision is compacted: from then on nobody is served it."""

    def __init__(self, history: History) -> None:
        told: list[tuple[int, int, Side]] = []
        for call in [each for each in history.calls if each[6][0] == shape.COMPACTED]:
            if isinstance(call.result, Failed):
                revs = tuple(_named(call.op))
                if revs and not isinstance(call.op, Compact):
                    told.append((call.returned_us, min(revs), side(call)))
        for watcher in history.watchers:
            for seen in watcher.seen:
                if seen.compact_rev:
                    told.append((seen.time_us, seen.compact_rev - 1, watcher_side(watcher, seen)))
        told.sort(key=lambda each: each[0])
        self.times: list[int] = []
        self.newest: list[tuple[int, Side]] = []
        for time_us, rev, who in told:
            if not self.newest or rev > self.newest[-1][0]:
                self.times.append(time_us)
                self.newest.append((rev, who))

    def judge(self, call: Call, oldest: int, found: Found) -> None:
        """Judge a call that was served a revision."""
        if isinstance(call.op, Compact) or shape.is_serializable(call.op):
            return
        place = bisect_left(self.times, call.invoked_us) - 1
        if place >= 0 and self.newest[place][0] >= oldest:
            why = f"revision {oldest} was served after it had been refused as compacted"
            sides = (self.newest[place][1], side(call))
            found.add("compaction/still-served", why, sides, call.returned_us)


def _fell(history: History, timeline: Timeline, found: Found) -> None:
    """No answer is older than a compaction that was in force before its question."""
    sure = sorted(
        (each for each in timeline.compactions if each.high_us != NEVER_US),
        key=lambda each: each.high_us,
    )
    times = [each.high_us for each in sure]
    newest = [max(sure[: place + 1], key=lambda each: each.rev) for place in range(len(sure))]
    for call in history.calls:
        result = call.result
        if isinstance(result, Failed | Unknown) or not isinstance(call.op, Range | Txn):
            continue
        place = bisect_left(times, call.invoked_us) - 1
        if place < 0 or result.rev >= newest[place].rev or shape.is_serializable(call.op):
            continue
        why = f"its revision is below a compaction at {newest[place].rev} that was in force"
        sides = (_compacted(newest[place]), side(call))
        found.add("compaction/revision-fell", why, sides, call.returned_us)


def _compacted(compaction: Compaction | None) -> Side:
    if compaction is None:
        return Side("the run", "no compaction so far")
    if compaction.call is None:
        return Side(f"a compaction at {compaction.rev}", "no client asked for it")
    return side(compaction.call)
