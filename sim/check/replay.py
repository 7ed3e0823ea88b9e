"""One order of all writes, replayed on the model: is every answer what it must have been, in time?

Rule of this file: revisions force the order of writes, so a read at revision r stands between
write r and write r + 1, and reads of one revision stand in any order there. Walking once with
`bound = max(bound, invoked)` finds every operation that returned before the bound; the operation
that raised the bound is remembered, for it is the culprit and the other its witness.

    sort_calls   which calls are reads of which revision, writes, refused, unknown
    Replay       the walk; its caller decides the next write, this file judges
"""

from collections import defaultdict
from typing import Final

from attrs import define, field

from sim.check import shape
from sim.check.guarantees import Found
from sim.check.model import Model, stamped, writes
from sim.check.verdict import Side
from sim.check.wording import side
from sim.history import NEVER_US, Call, History
from sim.ops import (
    DeleteDone,
    Failed,
    GrantDone,
    Kv,
    PutDone,
    Range,
    RangeDone,
    Result,
    Revoke,
    RevokeDone,
    TxnDone,
    Unknown,
)
from sim.wording import held, told

BEGINNING: Final = Side("the beginning of the run", "an empty store at revision 1")


@define
class Calls:
    """The calls of a history by what they can tell."""

    reads: defaultdict[int, list[Call]] = field(factory=lambda: defaultdict[int, list[Call]](list))
    """By header revision: all that were answered and wrote nothing."""
    writes: dict[int, Call] = field(factory=dict[int, Call])
    """By revision: answered operations that made it and are not in a log."""
    early: dict[int, list[Call]] = field(factory=dict[int, list[Call]])
    """By revision: reads that found that the next one had not come."""
    unknown: list[Call] = field(factory=list[Call])
    """May have written."""
    revokes: dict[int, list[Call]] = field(factory=dict[int, list[Call]])
    """By header revision: answered revokes. Whether they wrote, their answers do not tell."""
    rest: list[Call] = field(factory=list[Call])
    """Other answers of leases, compaction and administration."""
    doubles: list[tuple[Call, Call]] = field(factory=list[tuple[Call, Call]])
    """Two writes that were told the same revision."""


def sort_calls(history: History, logged: frozenset[int | None]) -> Calls:
    """Sort all calls; those that the log holds are left to the log, but for their refusals."""
    calls = Calls()
    reads = calls.reads
    for call in history.calls:
        result = call[6]
        kind = type(result)
        if kind is RangeDone:
            reads[result[0]].append(call)  # type: ignore[index]  # The first field is `rev`.
        elif call[0] in logged:
            continue
        elif kind is PutDone and result[0] not in calls.writes:
            calls.writes[result[0]] = call  # type: ignore[index]  # The first field is `rev`.
        elif kind is PutDone or kind is DeleteDone or kind is TxnDone:
            _sort_write(calls, call)
        elif kind is Failed:
            op = call.op
            if call[6][0] == shape.FUTURE and isinstance(op, Range) and not op.serializable:
                calls.early.setdefault(op.rev - 1, []).append(call)
        elif type(result) is RevokeDone:
            calls.revokes.setdefault(result.rev, []).append(call)
        elif kind is not Unknown:
            calls.rest.append(call)
        elif not shape.is_read(call.op):
            calls.unknown.append(call)
    return calls


def _sort_write(calls: Calls, call: Call) -> None:
    op, result = call.op, call.result
    assert isinstance(result, PutDone | DeleteDone | TxnDone)
    if not writes(op, result):
        calls.reads[result.rev].append(call)
    elif result.rev in calls.writes:
        calls.doubles.append((calls.writes[result.rev], call))
    else:
        calls.writes[result.rev] = call


class Replay:
    """The walk along one order of writes."""

    def __init__(self, calls: Calls, found: Found, model: Model) -> None:
        self.model = model
        self.calls = calls
        self.found = found
        self.writers: list[Call | None] = [None, None]
        self.low: list[int] = [0, 0]
        self.bound_us = 0
        self.raiser: Call | None = None
        self.asked_us = 0
        """No write of the newest revision, or before it, was asked for later than this.

        What is shown without a promise is held to this alone: a stale read, which raises the bound
        of later revisions, is told of as what it is and not as their coming too early.
        """
        self.asker: Call | None = None
        self.also: defaultdict[int, list[Call]] = defaultdict(list)
        """By revision: logged operations that wrote nothing and were judged already."""

    def wrote(self, call: Call | None) -> None:
        """The model has just made its newest revision, by this call."""
        if call is not None:
            if call[4] > self.asked_us:
                self.asked_us = call[4]
                self.asker = call
            if call[4] > self.bound_us:
                self.bound_us = call[4]
                self.raiser = call
            elif self.bound_us > call[5]:
                self._late(call)
        self.writers.append(call)
        self.low.append(self.asked_us)

    def close(self) -> None:
        """Judge all that was read at the newest revision: the next one is about to come."""
        rev = self.model.rev
        if rev in self.calls.revokes:
            self._revoked(self.calls.revokes[rev])
        group = self.calls.reads.pop(rev, None)
        also = self.also.pop(rev, None)
        early = self.calls.early.get(rev)
        if group is None and also is None and early is None:
            return
        read, live = self.model.read_any, self.model.live
        base = top = self.bound_us
        asked_us = self.asked_us
        raiser = self.raiser
        for call in group or ():
            _, _, _, op, invoked_us, returned_us, result = call
            if type(op) is Range:
                key, end, at, _, is_stale, keys_only, count_only = op
                if end or at or keys_only or count_only:
                    is_right = result == read(op)
                elif key in live:
                    is_right = result == (rev, (live[key],), 1, False)
                else:
                    is_right = result == (rev, (), 0, False)
                if not is_right:
                    self.differs(call, read(op))
            else:
                is_stale = shape.is_serializable(op)
                expected = answer_now(self.model, call)
                if expected != result:
                    self.differs(call, expected)
            if is_stale:
                if asked_us > returned_us:
                    self._late(call)
            elif base > returned_us:
                self._late(call)
            elif invoked_us > top:
                top = invoked_us
                raiser = call
        for call in also or ():
            if base > call[5]:
                self._late(call)
            elif call[4] > top:
                top = call[4]
                raiser = call
        for call in early or ():
            if call[4] > top:
                top = call[4]
                raiser = call
        self.bound_us = top
        self.raiser = raiser

    def end(self) -> None:
        """Judge the reads at the head; whoever read beyond it read what never was."""
        self.close()
        head = self.model.rev
        for rev in sorted(self.calls.reads):
            for call in self.calls.reads[rev]:
                check = "serializable" if shape.is_serializable(call.op) else "linear"
                why = f"revision {rev} never came about; the newest is {head}"
                klass = f"{check}/no-such-revision"
                self.found.add(klass, why, (self.maker(head), side(call)), call.returned_us)

    def _revoked(self, calls: list[Call]) -> None:
        """No key of a lease is left at the revision at which it was revoked."""
        for call in calls:
            assert isinstance(call.op, Revoke), "only revokes are here"
            lease = call.op.lease
            left = self.model.keys_of(lease)
            if left:
                kv = self.model.live[left[0]]
                why = f"lease {lease} was revoked and left {held(kv)} behind"
                sides = (self.maker(kv.mod), side(call))
                self.found.add("lease/keys-stay", why, sides, call.returned_us)

    def maker(self, rev: int) -> Side:
        """Return who made a revision."""
        call = self.writers[rev] if rev < len(self.writers) else None
        if call is not None:
            return side(call)
        return BEGINNING if rev < 2 else Side(f"revision {rev}", "no client's operation known")

    def fits(self) -> bool:
        """Whether everything that was read at the newest revision is right, by its answers."""
        model, rev = self.model, self.model.rev
        for call in self.calls.revokes.get(rev, ()):
            if isinstance(call.op, Revoke) and model.keys_of(call.op.lease):
                return False
        return all(agrees(model, call) for call in self.calls.reads.get(rev, ()))

    def differs(self, call: Call, expected: Result) -> None:
        """An answer is not the model's: report it, unless only its form differs."""
        result = call.result
        if isinstance(result, TxnDone) and stamped(result, result.rev) == expected:
            return
        if isinstance(result, GrantDone) and isinstance(expected, GrantDone):
            asked = call.op
            if result.rev == expected.rev and result.ttl_s >= expected.ttl_s:
                self.model.leases[result.lease] = result.ttl_s
                if getattr(asked, "lease", 0) in (0, result.lease):
                    return
        check = "serializable" if shape.is_serializable(call.op) else "linear"
        klass = f"{check}/wrong-result"
        why = f"the answer must have been: {told(expected)}"
        kv = _first_difference(expected, result)
        if kv is not None:
            why = f"{why}; the first difference is at {held(kv)}"
        maker = self.maker(kv.mod if kv is not None else self.model.rev)
        self.found.add(klass, why, (maker, side(call)), call.returned_us)

    def _late(self, call: Call) -> None:
        """A call had returned before an operation began that must precede it."""
        is_stale = shape.is_serializable(call.op)
        raiser = self.asker if is_stale else self.raiser
        assert raiser is not None, "a bound that nobody raised"
        if is_stale:
            klass = "serializable/from-the-future"
            why = "it shows a revision that was asked for only after it had returned"
            self.found.add(klass, why, (side(raiser), side(call)), call.returned_us)
        elif not _is_write(raiser):
            why = "it began after the other had returned, and saw an older revision"
            time_us = min(raiser.returned_us, NEVER_US)
            self.found.add("linear/stale-read", why, (side(call), side(raiser)), time_us)
        elif _is_write(call):
            why = "it began after the other had returned, and got no later revision"
            self.found.add("linear/write-order", why, (side(call), side(raiser)), raiser.invoked_us)
        else:
            why = "it saw a write that was asked for only after it had returned"
            klass = "linear/read-from-the-future"
            self.found.add(klass, why, (side(raiser), side(call)), call.returned_us)


def answer_now(model: Model, call: Call) -> Result:
    """Return what an operation that writes nothing is told now; compaction is judged elsewhere."""
    if isinstance(call.op, Range):
        return model.read_any(call.op)
    rev, compacted = model.rev, model.compacted
    model.compacted = -1
    expected = model.apply(call.op)
    model.compacted = compacted
    if model.rev != rev:
        model.undo()
    return expected


def agrees(model: Model, call: Call) -> bool:
    """Whether an operation that wrote nothing was told what it is told now."""
    expected, result = answer_now(model, call), call.result
    if isinstance(result, TxnDone):
        result = stamped(result, result.rev)
    return expected == result


def _is_write(call: Call) -> bool:
    if isinstance(call.result, Unknown | RevokeDone):
        return not shape.is_read(call.op)
    return writes(call.op, call.result)


def _first_difference(expected: Result, result: Result) -> Kv | None:
    """Return the first key of the expected answer that the given one lacks or has otherwise."""
    if isinstance(expected, RangeDone) and isinstance(result, RangeDone):
        given = set(result.kvs)
        missing = [kv for kv in expected.kvs if kv not in given]
        return missing[0] if missing else next(iter(result.kvs), None)
    if isinstance(expected, TxnDone) and isinstance(result, TxnDone):
        for one, other in zip(expected.results, result.results, strict=False):
            kv = _first_difference(one, other)
            if kv is not None:
                return kv
    return None
