"""Linearizability with the committed log as witness: it is the order of all that changes state.

Rule of this file: two walks in one. Along the log every command is replayed and every client's
answer compared; its bound proves that log order respects real time. Along the revisions, which
the same walk passes, reads are judged. Reads are never placed by log index: they commute.
"""

from typing import Final

from sim.check import shape
from sim.check.guarantees import Found
from sim.check.model import Model
from sim.check.replay import Calls, Replay, sort_calls
from sim.check.timeline import Compaction, Life, Timeline, falling
from sim.check.verdict import Side
from sim.check.wording import side
from sim.history import NEVER_US, Call, Expire, History, Logged
from sim.ops import (
    Admin,
    Compact,
    CompactDone,
    Delete,
    Failed,
    Grant,
    GrantDone,
    Op,
    Put,
    Result,
    Revoke,
    Txn,
    Unknown,
)
from sim.wording import asked

QUICK: Final = frozenset((Put, Txn, Delete))
"""Operations that change keys and nothing else."""


def by_log(history: History, found: Found) -> Timeline | None:
    """Judge a history whose log is known. None where log and model part ways: the rest is moot."""
    assert history.log is not None, "no log to judge by"
    logged = frozenset([entry[3] for entry in history.log])
    calls = sort_calls(history, logged)
    walk = _Walk(history, history.log, calls, found)
    return walk.timeline() if walk.run() else None


class _Walk:
    def __init__(self, history: History, log: list[Logged], calls: Calls, found: Found) -> None:
        self.history = history
        self.log = log
        self.found = found
        self.calls = calls
        self.model = Model()
        self.replay = Replay(calls, found, self.model)
        self.by_number = {call[0]: call for call in history.calls}
        self.low: list[int] = []
        """By place in the log: the entry cannot have come before."""
        self.returned: list[int] = []
        """By place: when its client was answered."""
        self.places: list[int] = []
        """Of compactions, grants and ends of leases."""

    def run(self) -> bool:
        """Walk the log. Return False where the log's revisions are not the model's."""
        model, replay, by_number = self.model, self.replay, self.by_number
        low, returns = self.low, self.returned
        bound_us = 0
        raiser: Call | None = None
        done: set[int] = set()
        for entry in self.log:
            _, _, _, number, op, rev, _ = entry
            before = model.rev
            if rev != before:
                replay.close()
            if number is None:
                self._internal(op)
                call = None
            else:
                call = by_number.get(number)
                if number in done:
                    self._twice(entry, call)
                done.add(number)
                self._command(op, call)
            if model.rev != rev:
                self._part(entry, call, before)
                return False
            if call is None:
                low.append(bound_us)
                returns.append(NEVER_US)
                if rev != before:
                    replay.wrote(None)
                continue
            if call[4] > bound_us:
                bound_us = call[4]
                raiser = call
            elif bound_us > call[5]:
                self._late(call, raiser)
            low.append(bound_us)
            returns.append(call[5])
            if rev != before:
                replay.wrote(call)
            elif call[5] != NEVER_US:
                replay.also[rev].append(call)
        replay.end()
        self._lost(done)
        return True

    def _internal(self, op: Op | Expire | None) -> None:
        if isinstance(op, Expire):
            self.places.append(len(self.low))
            self.model.revoke(op.lease)
        elif op is not None and not isinstance(op, Admin):
            self.model.apply(op)

    def _command(self, op: Op | Expire | None, call: Call | None) -> None:
        """Apply a client's command; one that an alarm refused is none to the log."""
        if op is None or isinstance(op, Expire | Admin):
            return
        result: Result = Unknown("") if call is None else call[6]
        if type(op) not in QUICK:
            self.places.append(len(self.low))
        expected = self.model.apply(op)
        if expected != result and type(result) is not Unknown:
            assert call is not None, "an answer without a call"
            self._differs(call, expected)

    def _differs(self, call: Call, expected: Result) -> None:
        result = call.result
        if not isinstance(result, Failed):
            self.replay.differs(call, expected)
            return
        if result.text in shape.OF_THE_DATA:
            if not isinstance(expected, Failed) or result.text != expected.text:
                self.replay.differs(call, expected)
            return
        why = "it was told that nothing was applied, and the log has it"
        there = Side("the log", f"{asked(call.op)} at revision {self.model.rev}")
        klass = "durability/refused-but-applied"
        self.found.add(klass, why, (side(call), there), call.returned_us)

    def _twice(self, entry: Logged, call: Call | None) -> None:
        first = next(each for each in self.log if each.call == entry.call)
        sides = tuple(
            Side(
                f"the log at {each.log_index}.{each.position}, term {each.term}",
                f"revision {each.rev}",
                entry.call,
            )
            for each in (first, entry)
        )
        if call is not None:
            sides = (side(call), *sides)
        time_us = 0 if call is None else call.invoked_us
        why = "one operation of a client is in the log twice"
        self.found.add("durability/applied-twice", why, sides, time_us)

    def _part(self, entry: Logged, call: Call | None, before: int) -> None:
        """The log's revision after an entry is not the model's."""
        op, rev = entry.what, entry.rev
        text = "what no client asked for" if op is None else _named(op)
        there = Side(
            f"the log at {entry.log_index}.{entry.position}, term {entry.term}: {text}",
            f"revision {rev} after it, {before} before",
        )
        sides = (self.replay.maker(before), there) if call is None else (side(call), there)
        klass = "linear/wrong-revision"
        if isinstance(op, Revoke | Expire):
            klass = "lease/keys-stay" if rev < self.model.rev else "lease/one-revision"
        why = f"the revision after it must be {self.model.rev}"
        time_us = self.replay.bound_us if call is None else call.invoked_us
        self.found.add(klass, why, sides, time_us)

    def _late(self, call: Call, raiser: Call | None) -> None:
        assert raiser is not None, "a bound that nobody raised"
        why = "it is earlier in the log, and began after the other had returned"
        sides = (side(call), side(raiser))
        self.found.add("linear/log-order", why, sides, raiser.invoked_us)

    def _lost(self, done: set[int]) -> None:
        """Whoever was told that something was done must be in the log."""
        for rev in sorted(self.calls.writes):
            self._is_lost(self.calls.writes[rev])
        for _, call in self.calls.doubles:
            self._is_lost(call)
        for call in self.calls.rest:
            if isinstance(call.result, CompactDone | GrantDone):
                self._is_lost(call)
        for calls in self.calls.revokes.values():
            for call in calls:
                self._is_lost(call)

    def _is_lost(self, call: Call) -> None:
        why = "it was told that the operation is done, and the log that survived lacks it"
        there = Side("the committed log", f"{len(self.log)} commands, not this one")
        self.found.add("durability/lost-write", why, (side(call), there), call.returned_us)

    def timeline(self) -> Timeline:
        """Return what was found out."""
        replay = self.replay
        timeline = Timeline(self.model, replay.writers, replay.low, self.history, is_logged=True)
        high = falling(self.returned) if self.places else []
        for place in self.places:
            entry = self.log[place]
            low_us = max(self.low[place], timeline.low[entry.rev])
            # An entry that made no revision is only sure to precede the next one.
            is_quiet = entry.rev == (self.log[place - 1].rev if place else 1)
            shows = timeline.high[entry.rev + is_quiet : entry.rev + is_quiet + 1]
            high_us = min([high[place], *shows])
            if entry.time_us >= 0:
                high_us = min(high_us, entry.time_us)
            self._place(timeline, entry, low_us, high_us)
        return timeline

    def _place(self, timeline: Timeline, entry: Logged, low_us: int, high_us: int) -> None:
        call = None if entry.call is None else self.by_number.get(entry.call)
        result = Unknown("") if call is None else call.result
        if isinstance(result, Failed):
            return
        match entry.what:
            case Compact(rev):
                newest = timeline.compactions[-1].rev if timeline.compactions else -1
                if newest < rev <= entry.rev:
                    timeline.compactions.append(Compaction(rev, low_us, high_us, entry.rev, call))
            case Grant(lease, ttl_s):
                if isinstance(result, GrantDone):
                    lease, ttl_s = result.lease, result.ttl_s
                lives = timeline.lives.setdefault(lease, [])
                if not lives or lives[-1].how:
                    lives.append(Life(lease, ttl_s, low_us, high_us, call, "", NEVER_US, NEVER_US))
            case Revoke(lease) | Expire(lease):
                lives = timeline.lives.get(lease, [])
                if lives and not lives[-1].how:
                    lives[-1] = lives[-1]._replace(
                        how="expired" if isinstance(entry.what, Expire) else "revoked",
                        ended_low_us=low_us,
                        ended_high_us=high_us,
                        ended_by=call,
                        ended_rev=entry.rev,
                    )
            case _:
                pass


def _named(op: Op | Expire) -> str:
    return f"lease {op.lease} expired" if isinstance(op, Expire) else asked(op)
