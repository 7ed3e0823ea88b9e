"""Linearizability by search, after Wing, Gong and Lowe: for small histories, and to judge judges.

Rule of this file: it knows no revisions beyond what answers say and is exact for any history that
the model can do. Operations are lifted from a list of invocations and returns, applied, and put
back where the rest does not follow; an operation of unknown outcome may stay out. A set of
operations that led to a state is tried once. Cost is exponential in what overlaps.
"""

from attrs import define, field

from sim.check import shape
from sim.check.model import Model, agrees
from sim.history import NEVER_US, Call
from sim.ops import (
    Compact,
    Delete,
    Failed,
    Grant,
    Put,
    Range,
    Revoke,
    Txn,
    Unknown,
)

STEPS_MAX = 200_000


@define
class Searched:
    """What a search found."""

    is_linearizable: bool | None
    """None: the budget was too small."""
    order: list[Call] = field(factory=list[Call])
    """The order that was found, or the longest that began well."""


def searchable(calls: list[Call]) -> list[Call]:
    """Return the calls that a search can judge: no stale reads, and nothing that time decides."""
    return [call for call in calls if _is_searchable(call)]


def _is_searchable(call: Call) -> bool:
    op, result = call.op, call.result
    if not isinstance(op, Range | Put | Delete | Txn | Compact | Grant | Revoke):
        return False
    if shape.is_serializable(op):
        return False
    if isinstance(result, Failed):
        return result.text in shape.OF_THE_DATA
    return not isinstance(result, Unknown) or not isinstance(op, Range)


def search(calls: list[Call], *, knows_leases: bool, steps_max: int = STEPS_MAX) -> Searched:
    """Search an order of calls in which every answer is right and none is before its time."""
    return _Search(calls, Model(knows_leases=knows_leases)).run(steps_max)


class _Search:
    """The list is doubly linked by places; place 0 is its head, -1 its end."""

    def __init__(self, calls: list[Call], model: Model) -> None:
        self.calls = calls
        self.model = model
        marks = [(call.invoked_us, 0, at) for at, call in enumerate(calls)]
        marks += [
            (call.returned_us, 1, at)
            for at, call in enumerate(calls)
            if call.returned_us != NEVER_US
        ]
        marks.sort()
        self.at = [-1, *[at for _, _, at in marks]]
        """By place: which call."""
        self.is_return = [False, *[bool(kind) for _, kind, _ in marks]]
        self.next = [*range(1, len(marks) + 1), -1]
        self.prev = [*range(-1, len(marks))]
        self.return_of = {at: place for place, at in enumerate(self.at) if self.is_return[place]}
        self.owed = len(self.return_of)
        self.done = 0
        """The calls in the order so far, as bits."""
        self.hash = 0
        self.keeps_history = any(_reads_the_past(call) for call in calls)

    def run(self, steps_max: int) -> Searched:
        """Lift the first call that fits, or put the last one back."""
        seen: set[tuple[int, int, int, int, frozenset[int]]] = set()
        taken: list[tuple[int, tuple[int, int, dict[int, int], int]]] = []
        best: list[Call] = []
        place = self.next[0]
        for _ in range(steps_max):
            if not self.owed:
                order = [self.calls[self.at[each]] for each, _ in taken]
                return Searched(True, order)
            if place != -1 and not self.is_return[place]:
                before = self._apply(self.calls[self.at[place]])
                if before is not None:
                    state = (
                        self.done | 1 << self.at[place],
                        self.hash,
                        self.model.rev,
                        self.model.compacted,
                        frozenset(self.model.leases),
                    )
                    if state not in seen:
                        seen.add(state)
                        taken.append((place, before))
                        self._lift(place)
                        if len(taken) > len(best):
                            best = [self.calls[self.at[each]] for each, _ in taken]
                        place = self.next[0]
                        continue
                    self._undo(before)
                place = self.next[place]
                continue
            if not taken:
                return Searched(False, best)
            place, before = taken.pop()
            self._put_back(place)
            self._undo(before)
            place = self.next[place]
        return Searched(None, best)

    def _apply(self, call: Call) -> tuple[int, int, dict[int, int], int] | None:
        """Apply a call and return how to take it back; None if its answer is wrong then."""
        model = self.model
        result = call.result
        if isinstance(result[0], int) and result[0] not in (model.rev, model.rev + 1):
            return None
        before = (model.rev, model.compacted, dict(model.leases), self.hash)
        given = model.apply(call.op)
        is_right = isinstance(result, Unknown) or agrees(given, result)
        if is_right and isinstance(result, Unknown):
            # One that changed nothing may as well stay out.
            is_right = before[:3] != (model.rev, model.compacted, model.leases)
        for rev in range(before[0] + 1, model.rev + 1):
            self._rehash(rev)
        if not is_right:
            self._undo(before)
            return None
        return before

    def _rehash(self, rev: int) -> None:
        model = self.model
        changes = model.changes[rev]
        if self.keeps_history:
            for kv in changes:
                self.hash ^= hash(kv)
            return
        for name in {kv.key for kv in changes}:
            for each in (model.version_at(name, rev - 1), model.version_at(name, rev)):
                if each is not None:
                    self.hash ^= hash(each)

    def _undo(self, before: tuple[int, int, dict[int, int], int]) -> None:
        model = self.model
        while model.rev > before[0]:
            model.undo()
        _, model.compacted, model.leases, self.hash = before

    def _lift(self, place: int) -> None:
        at = self.at[place]
        self.done |= 1 << at
        self._unlink(place)
        if at in self.return_of:
            self._unlink(self.return_of[at])
            self.owed -= 1

    def _put_back(self, place: int) -> None:
        at = self.at[place]
        self.done ^= 1 << at
        if at in self.return_of:
            self._relink(self.return_of[at])
            self.owed += 1
        self._relink(place)

    def _unlink(self, place: int) -> None:
        before, after = self.prev[place], self.next[place]
        self.next[before] = after
        if after != -1:
            self.prev[after] = before

    def _relink(self, place: int) -> None:
        before, after = self.prev[place], self.next[place]
        self.next[before] = place
        if after != -1:
            self.prev[after] = place


def _reads_the_past(call: Call) -> bool:
    op = call.op
    if isinstance(op, Txn):
        parts = (*op.then, *op.orelse)
        return any(
            isinstance(each, Txn) or (isinstance(each, Range) and each.rev) for each in parts
        )
    return isinstance(op, Range) and op.rev > 0
