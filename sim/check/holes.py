"""Linearizability without a witness: which operation of unknown outcome made which revision?

Rule of this file: answered writes claim their revisions; a revision that nobody claims is a hole,
and an unknown write, or a lease's end, must fill it. Holes are filled in order, tried on the model
and taken back where a later answer contradicts. The budget is counted in steps, not in time, so
that the same history gets the same verdict everywhere.
"""

from bisect import bisect_left

from attrs import define, field

from sim.check import shape
from sim.check.by_watch import Explainers, doubles
from sim.check.compacting import compactions_of
from sim.check.guarantees import Found
from sim.check.leasing import lives_of
from sim.check.model import Model, agrees
from sim.check.replay import Calls, Replay, sort_calls
from sim.check.timeline import Timeline, shown
from sim.check.verdict import Side
from sim.check.wording import side
from sim.history import Call, History, Watcher
from sim.ops import (
    DeleteDone,
    GrantDone,
    KeepAliveDone,
    Kv,
    Op,
    PutDone,
    Range,
    RangeDone,
    Revoke,
    Txn,
    TxnDone,
    TxnOp,
    TxnResult,
)

STEPS_MAX = 100_000

Filler = Call | int
"""What made a revision: a client's call, or the end of a lease."""


@define
class _Place:
    """One revision on the way: what is left to try for it."""

    rev: int
    fillers: list[Filler]
    next: int = 0
    taken: Filler | None = None


@define
class Order:
    """What the search found: who made each revision from 2 on, as far as it came."""

    fillers: list[Filler] = field(factory=list[Filler])
    is_whole: bool = False
    is_exhausted: bool = False
    """Every order was tried: there is none."""


def by_holes(history: History, found: Found, *, steps_max: int = STEPS_MAX) -> Timeline | None:
    """Judge a history from its answers alone. None where no order was found."""
    calls = sort_calls(history, frozenset())
    doubles(calls, found)
    head = _head(history)
    high = shown(history, head)
    order = _Search(history, calls, head, high, Pictures(history)).run(steps_max)
    if not order.is_whole:
        # Perhaps a watcher was told what never happened; then that is the verdict.
        other = _Search(history, calls, head, high, None).run(steps_max)
        order = other if other.is_whole else order
    # An order that was not tried to the end accuses nobody.
    is_proof = order.is_whole or order.is_exhausted
    replay = _replayed(calls, order, found if is_proof else Found(), is_whole=order.is_whole)
    if not order.is_whole:
        _no_order(history, order, replay, found)
        return None
    return Timeline(
        replay.model,
        replay.writers,
        replay.low,
        history,
        compactions_of(history),
        lives_of(history),
    )


def _head(history: History) -> int:
    head = 1
    for call in history.calls:
        rev = call.result[0]
        if isinstance(rev, int):
            head = max(head, rev)
    for watcher in history.watchers:
        for seen in watcher.seen:
            head = max([head, seen.rev, *[event.kv.mod for event in seen.events]])
    return max([head, *[cache.rev for cache in history.caches]])


class _Search:
    def __init__(
        self,
        history: History,
        calls: Calls,
        head: int,
        high: list[int],
        pictures: "Pictures | None",
    ) -> None:
        self.calls = calls
        self.pictures = pictures
        self.head = head
        self.high = high
        self.model = Model(knows_leases=False)
        self.explainers = Explainers(calls)
        self.evidence = _evidence(history, is_watched=pictures is not None)
        self.still = Still(history)
        self.ends = _ends(history)
        self.used: set[int] = set()
        self.replay = Replay(calls, Found(), self.model)

    def run(self, steps_max: int) -> Order:
        """Fill all revisions, or as many as can be."""
        best = Order()
        if not self.replay.fits():
            best.is_exhausted = True
            return best
        places = [_Place(2, self._fillers(2))] if self.head > 1 else []
        for _ in range(steps_max):
            if not places:
                best.is_exhausted = not best.is_whole and self.head > 1
                best.is_whole = best.is_whole or self.head == 1
                return best
            place = places[-1]
            if not self._advance(place):
                places.pop()
                self._take_back(places[-1] if places else None)
                continue
            if place.rev - 1 > len(best.fillers):
                best.fillers = [each.taken for each in places if each.taken is not None]
            if place.rev == self.head:
                best.is_whole = True
                return best
            places.append(_Place(place.rev + 1, self._fillers(place.rev + 1)))
        return best

    def _advance(self, place: _Place) -> bool:
        """Take the next filler that fits."""
        while place.next < len(place.fillers):
            filler = place.fillers[place.next]
            place.next += 1
            if isinstance(filler, Call) and filler.number in self.used:
                continue
            if self._fill(place.rev, filler):
                place.taken = filler
                if isinstance(filler, Call):
                    self.used.add(filler.number)
                return True
        return False

    def _fill(self, rev: int, filler: Filler) -> bool:
        model = self.model
        before = model.rev
        is_right = apply_filler(model, filler) and model.rev == rev
        if is_right and self._is_possible(rev, model.changes[rev]) and self.replay.fits():
            return True
        while model.rev > before:
            model.undo()
        return False

    def _is_possible(self, rev: int, changes: tuple[Kv, ...]) -> bool:
        """Whether nobody saw that a revision did not make these changes."""
        if self.pictures is not None and not self.pictures.show(rev, changes):
            return False
        if rev in self.evidence and self.evidence[rev] not in changes:
            return False
        return not any(self.still.holds(kv.key, rev) for kv in changes)

    def _take_back(self, place: _Place | None) -> None:
        if place is None:
            return
        self.model.undo()
        if isinstance(place.taken, Call):
            self.used.discard(place.taken.number)
        place.taken = None

    def _fillers(self, rev: int) -> list[Filler]:
        """Return what may have made a revision, the most likely first."""
        known = self.calls.writes.get(rev)
        if known is not None:
            return [known]
        fillers: list[Filler] = []
        told: set[object] = set()
        calls = self.explainers.every(self.evidence.get(rev))
        for call in sorted(calls, key=lambda call: call.invoked_us):
            # Of equal operations the earliest is as good as any other, or better.
            if call.invoked_us > self.high[rev] or call.number in self.used or call.op in told:
                continue
            told.add(call.op)
            fillers.append(call)
        for call in self.calls.revokes.get(rev, ()):
            fillers.insert(0, call)
        keys: dict[int, list[str]] = {}
        for kv in self.model.live.values():
            if kv.lease:
                keys.setdefault(kv.lease, []).append(kv.key)
        # A lease whose keys are the next time seen to be gone has probably ended by now.
        leases = sorted(keys, key=lambda each: (self.ends.get(each, 0), each))
        ended = [each for each in leases if self.still.go(keys[each], rev)]
        return [*ended, *fillers, *[each for each in leases if each not in ended]]


class Pictures:
    """What watchers saw of each revision that they passed, whether much or nothing."""

    def __init__(self, history: History) -> None:
        self._passes: list[tuple[int, int, Watcher, dict[int, list[tuple[str, str, int]]]]] = []
        for watcher in history.watchers:
            start, last = watcher.spec.rev, 0
            events: dict[int, list[tuple[str, str, int]]] = {}
            for seen in watcher.seen:
                if seen.kind == "created" and not start:
                    start = seen.rev + 1
                elif seen.kind == "progress":
                    last = max(last, seen.rev)
                for kind, kv, _ in seen.events:
                    what = (kv.key, kv.value, kv.version) if kind == "put" else (kv.key, "", 0)
                    events.setdefault(kv.mod, []).append(what)
                    last = max(last, kv.mod - seen.fragment)
            if start and last >= start:
                self._passes.append((start, last, watcher, events))

    def show(self, rev: int, changes: tuple[Kv, ...]) -> bool:
        """Whether every watcher that passed a revision saw of it what it asked for."""
        for start, last, watcher, events in self._passes:
            if start <= rev <= last:
                wanted = [
                    (kv.key, kv.value, kv.version)
                    for kv in changes
                    if shape.wants(watcher.spec, kv.key, is_delete=not kv.version)
                ]
                if wanted != events.get(rev, []):
                    return False
        return True


class Still:
    """Between which revisions a key surely stood still: it was read with an older one."""

    def __init__(self, history: History) -> None:
        until: dict[str, dict[int, int]] = {}
        for call in history.calls:
            op, result = call.op, call.result
            if isinstance(op, Range) and isinstance(result, RangeDone):
                at = op.rev or result.rev
                for kv in result.kvs:
                    mods = until.setdefault(kv.key, {})
                    mods[kv.mod] = max(at, mods.get(kv.mod, 0))
        self._mods = {key: sorted(mods) for key, mods in until.items()}
        self._until = until
        self._pages = sorted(
            (call.op.rev or call.result.rev, call.op.key, call.op.end)
            for call in history.calls
            if isinstance(call.op, Range)
            and isinstance(call.result, RangeDone)
            and not call.result.more
            and not call.op.count_only
        )

    def go(self, keys: list[str], rev: int) -> bool:
        """Whether all these keys are absent where they are looked for next."""
        return all(self._goes(key, rev) for key in keys)

    def _goes(self, key: str, rev: int) -> bool:
        place = bisect_left(self._pages, (rev, "", ""))
        for at, start, end in self._pages[place:]:
            if shape.covers(start, end, key):
                mods = self._mods.get(key, [])
                older = bisect_left(mods, at + 1) - 1
                return older < 0 or self._until[key][mods[older]] < at
        return False

    def holds(self, key: str, rev: int) -> bool:
        """Whether a key was not changed by a revision."""
        mods = self._mods.get(key, [])
        place = bisect_left(mods, rev) - 1
        return place >= 0 and self._until[key][mods[place]] >= rev


def apply_filler(model: Model, filler: Filler) -> bool:
    """Apply what made a revision. Return whether its answer, if it had one, is right."""
    if isinstance(filler, int):
        model.revoke(filler)
        return True
    expected = model.apply(filler.op)
    result = filler.result
    if not isinstance(result[0], int):
        return True
    return agrees(expected, result)


def _ends(history: History) -> dict[int, int]:
    """Return when each lease should end: a guess that only orders what is tried."""
    ends: dict[int, int] = {}
    for call in history.calls:
        result = call.result
        if isinstance(result, GrantDone | KeepAliveDone) and result.ttl_s:
            end_us = call.invoked_us + result.ttl_s * 1_000_000
            ends[result.lease] = max(end_us, ends.get(result.lease, 0))
        elif isinstance(call.op, Revoke):
            ends[call.op.lease] = min(call.invoked_us, ends.get(call.op.lease, call.invoked_us))
    return ends


def _evidence(history: History, *, is_watched: bool) -> dict[int, Kv]:
    """Return for each revision a key that somebody read as written by it."""
    seen: dict[int, Kv] = {}
    for call in history.calls:
        if not _hides_values(call.op):
            for kv in _read(call.result):
                seen[kv.mod] = kv
    if is_watched:
        for watcher in history.watchers:
            for message in watcher.seen:
                for kind, kv, prev in message.events:
                    if kind == "put":
                        seen[kv.mod] = kv
                    if prev is not None:
                        seen[prev.mod] = prev
    return seen


def _hides_values(op: Op | TxnOp) -> bool:
    if isinstance(op, Txn):
        return any(_hides_values(each) for each in (*op.then, *op.orelse))
    return isinstance(op, Range) and op.keys_only


def _read(result: object) -> list[Kv]:
    if isinstance(result, RangeDone):
        return list(result.kvs)
    if isinstance(result, PutDone):
        return [] if result.prev is None else [result.prev]
    if isinstance(result, DeleteDone):
        return list(result.prevs)
    if isinstance(result, TxnDone):
        parts: tuple[TxnResult, ...] = result.results
        return [kv for each in parts for kv in _read(each)]
    return []


def _replayed(calls: Calls, order: Order, found: Found, *, is_whole: bool) -> Replay:
    """Walk along the order that was found, and report what is wrong with it."""
    replay = Replay(calls, found, Model(knows_leases=False))
    for rev, filler in enumerate(order.fillers, 2):
        replay.also[rev - 1] += calls.revokes.get(rev - 1, [])
        replay.close()
        apply_filler(replay.model, filler)
        if isinstance(filler, Call) and isinstance(filler.op, Revoke):
            calls.revokes[rev] = [call for call in calls.revokes.get(rev, []) if call != filler]
        replay.wrote(filler if isinstance(filler, Call) else None)
    if is_whole:
        replay.end()
    else:
        replay.close()
        _next_write(calls, replay)
    return replay


def _next_write(calls: Calls, replay: Replay) -> None:
    """The search went no further: if the next write is known, some answer tells why."""
    rev = replay.model.rev + 1
    call = calls.writes.get(rev)
    if call is None:
        return
    expected = replay.model.apply(call.op)
    if expected != call.result:
        replay.differs(call, expected)
    elif replay.model.rev == rev:
        replay.wrote(call)
        replay.close()


def _no_order(history: History, order: Order, replay: Replay, found: Found) -> None:
    rev = len(order.fillers) + 2
    if not order.is_exhausted:
        why = f"no order of the writes was found within the budget; the furthest ends before {rev}"
        found.add("linear/undecided", why, (replay.maker(rev - 1),), history.ended_us)
        return
    if any(each.check in ("linear", "serializable") for each in found.verdicts()):
        return
    witnesses = [call for call in history.calls if _rev(call) >= rev]
    witnesses.sort(key=lambda call: (_rev(call), call.returned_us))
    why = f"no operation explains revision {rev} and what was read at it"
    sides = (replay.maker(rev - 1), *[side(call) for call in witnesses[:1]])
    time_us = witnesses[0].returned_us if witnesses else history.ended_us
    found.add("linear/no-order", why, sides or (Side("the run", "nothing"),), time_us)


def _rev(call: Call) -> int:
    rev = call.result[0]
    return rev if isinstance(rev, int) else 0
