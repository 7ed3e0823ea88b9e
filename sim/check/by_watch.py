"""Linearizability over black boxes: a complete watch from the first revision on is the witness.

Rule of this file: events force every state, so an operation of unknown outcome that explains a
revision explains it whatever explains the others. Which explains which is then a matching, under
one condition: it was asked for before anybody saw that revision.

    witness(history)     the events of every revision, if watchers saw them all
    by_watch(...)        the walk along them
"""

from collections import defaultdict

from sim.check.compacting import compactions_of
from sim.check.guarantees import Found
from sim.check.leasing import lives_of
from sim.check.model import Model
from sim.check.replay import BEGINNING, Calls, Replay, sort_calls
from sim.check.timeline import Timeline, shown
from sim.check.verdict import Side
from sim.check.wording import side
from sim.history import Call, Event, History
from sim.ops import Delete, Kv, Op, Put, Revoke, Txn, TxnOp
from sim.wording import happened, told

Changes = tuple[Kv, ...]


def witness(history: History) -> list[Changes] | None:
    """Return what each revision changed, as watchers of everything saw it; None if some is unseen.

    Every revision must have been seen that any answer or message speaks of.
    """
    whole: dict[int, Changes] = {}
    revs = [rev for call in history.calls if isinstance(rev := call[6][0], int)]
    head = max(revs, default=1)
    for watcher in history.watchers:
        spec = watcher.spec
        is_all = spec.key in ("", "\0") and spec.end == "\0" and not spec.filters
        pending: list[Kv] = []
        for seen in watcher.seen:
            head = max([head, seen.rev, *[event.kv.mod for event in seen.events[-1:]]])
            if not is_all:
                continue
            pending += [_change(event) for event in seen.events]
            if seen.fragment:
                continue
            _file(pending, whole)
            pending = []
    if any(rev not in whole for rev in range(2, head + 1)):
        return None
    return [(), (), *[whole[rev] for rev in range(2, head + 1)]]


def _rev(call: Call) -> int:
    rev = call.result[0]
    return rev if isinstance(rev, int) else 1


def _change(event: Event) -> Kv:
    kv = event.kv
    return kv if event.kind == "put" else Kv(kv.key, "", 0, kv.mod, 0)


def _file(changes: list[Kv], whole: dict[int, Changes]) -> None:
    """Keep the first picture of each revision; a watcher that saw another is judged later."""
    if len(changes) == 1:
        whole.setdefault(changes[0].mod, (changes[0],))
        return
    parts: dict[int, list[Kv]] = {}
    for kv in changes:
        parts.setdefault(kv.mod, []).append(kv)
    for rev, part in parts.items():
        whole.setdefault(rev, tuple(part))


def by_watch(history: History, witnessed: list[Changes], found: Found) -> Timeline:
    """Judge a history of which every revision was seen."""
    walk = _Walk(history, witnessed, found)
    walk.run()
    return walk.timeline()


class _Walk:
    def __init__(self, history: History, witnessed: list[Changes], found: Found) -> None:
        self.history = history
        self.witnessed = witnessed
        self.found = found
        self.calls = sort_calls(history, frozenset())
        self.model = Model(knows_leases=False)
        self.replay = Replay(self.calls, found, self.model)
        self.high = shown(history, len(witnessed) - 1)
        self.explainers = Explainers(self.calls)
        self.choices: dict[int, list[Call]] = {}
        """By revision that no answer claims: which calls may have made it, earliest first."""
        self.askers: dict[tuple[str, str], list[Call]] = {}
        """By key and value: who asked for such a put; filled when it is first needed."""

    def run(self) -> None:
        """Walk along all revisions."""
        model, replay = self.model, self.replay
        doubles(self.calls, self.found)
        for rev in range(2, len(self.witnessed)):
            replay.also[rev - 1] += self.calls.revokes.get(rev - 1, [])
            replay.close()
            changes = self.witnessed[rev]
            call = self.calls.writes.get(rev) or self._revoke(rev, changes)
            if call is None:
                self.choices[rev] = self._explainers(rev, changes)
                model.impose(changes)
                replay.wrote(None)
                continue
            expected = model.apply(call.op)
            if expected != call.result:
                replay.differs(call, expected)
            if model.rev == rev and model.changes[rev] == changes:
                replay.wrote(call)
                continue
            if model.rev == rev:
                model.undo()
                why = f"watchers saw {_listed(changes)}; it was told {told(call.result)}"
                self.found.add("linear/wrong-result", why, (side(call),), call.returned_us)
            model.impose(changes)
            replay.wrote(call)
        replay.end()
        self._match()

    def _revoke(self, rev: int, changes: Changes) -> Call | None:
        """Return the revoke that was told this revision, if it made it."""
        for call in self.calls.revokes.get(rev, ()):
            assert isinstance(call.op, Revoke)
            gone = self.model.keys_of(call.op.lease)
            if gone == [kv.key for kv in changes] and not any(kv.version for kv in changes):
                self.calls.revokes[rev].remove(call)
                return call
        return None

    def _explainers(self, rev: int, changes: Changes) -> list[Call]:
        """Return the calls of unknown outcome that would have made just these changes."""
        model = self.model
        fitting: list[Call] = []
        for call in self.explainers.candidates(changes):
            if call.invoked_us > self.high[rev]:
                continue
            before = model.rev
            model.apply(call.op)
            if model.rev > before:
                if model.changes[rev] == changes:
                    fitting.append(call)
                model.undo()
        return sorted(fitting, key=lambda call: call.invoked_us)

    def _match(self) -> None:
        """Give every unclaimed revision its own call; report those that none is left for."""
        taken: dict[int, int] = {}
        by_number = {call.number: call for each in self.choices.values() for call in each}
        for rev in sorted(self.choices):
            if not self._augment(rev, taken, set()) and not self._is_expiry(rev):
                self._phantom(rev)
        writers = self.replay.writers
        for number, rev in taken.items():
            writers[rev] = by_number[number]
        bound_us = 0
        low = self.replay.low
        for rev, writer in enumerate(writers):
            bound_us = max(bound_us, low[rev], 0 if writer is None else writer.invoked_us)
            low[rev] = bound_us

    def _augment(self, rev: int, taken: dict[int, int], tried: set[int]) -> bool:
        """Find a call for a revision, moving others to their alternatives where needed."""
        for call in self.choices[rev]:
            if call.number in tried:
                continue
            tried.add(call.number)
            holder = taken.get(call.number)
            if holder is None or self._augment(holder, taken, tried):
                taken[call.number] = rev
                return True
        return False

    def _is_expiry(self, rev: int) -> bool:
        """Whether a lease's end by time explains a revision: keys of one lease vanish."""
        before = [
            self.model.version_at(kv.key, rev - 1) for kv in self.witnessed[rev] if not kv.version
        ]
        if len(before) < len(self.witnessed[rev]):
            return False
        leases = {kv.lease for kv in before if kv is not None}
        if len(leases) != 1 or 0 in leases or None in before:
            return False
        lease = leases.pop()
        left = [kv.key for kv in self.model.at("\0", "\0", rev) if kv.lease == lease]
        if left:
            why = f"lease {lease} ended at revision {rev} and left {left[0]!r} behind"
            there = Side(f"revision {rev}", _listed(self.witnessed[rev]))
            self.found.add("lease/one-revision", why, (there,), self._time(rev))
        return True

    def _phantom(self, rev: int) -> None:
        changes = self.witnessed[rev]
        there = Side(f"revision {rev}", _listed(changes))
        known = self._askers_for(changes)
        if any(call in self.choices[rev] or _wrote(call) for call in known):
            why = "the only operation that writes this had been applied before"
            klass = "durability/applied-twice"
        elif known:
            why = f"the only operation that writes this was told: {told(known[0].result)}"
            klass = "durability/refused-but-applied"
        else:
            why = "no operation of any client explains it"
            klass = "linear/phantom-write"
        sides = (*[side(call) for call in known[:1]], there)
        self.found.add(klass, why, sides, self._time(rev))

    def _askers_for(self, changes: Changes) -> list[Call]:
        """Return the calls that asked for any of these puts, in their order."""
        if not self.askers:
            for call in self.history.calls:
                for put in _puts(call.op):
                    self.askers.setdefault(put, []).append(call)
        found = {
            call.number: call
            for kv in changes
            if kv.version
            for call in self.askers.get((kv.key, kv.value), ())
        }
        return [found[number] for number in sorted(found)]

    def _time(self, rev: int) -> int:
        return min(self.high[rev], self.history.ended_us)

    def timeline(self) -> Timeline:
        """Return what was found out."""
        replay = self.replay
        return Timeline(
            self.model,
            replay.writers,
            replay.low,
            self.history,
            compactions_of(self.history),
            lives_of(self.history),
        )


class Explainers:
    """Calls of unknown outcome, and revokes, by what they might change."""

    def __init__(self, calls: Calls) -> None:
        self._all = calls.unknown
        self._puts: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
        self._deletes: list[Call] = []
        for call in calls.unknown:
            puts = _puts(call.op)
            for name in puts:
                self._puts[name].append(call)
            if isinstance(call.op, Revoke) or _deletes(call.op):
                self._deletes.append(call)

    def every(self, kv: Kv | None) -> list[Call]:
        """Return the calls that might have written a key like this, or anything."""
        return self._all if kv is None else self._puts.get((kv.key, kv.value), [])

    def candidates(self, changes: Changes) -> list[Call]:
        """Return the calls that might have made these changes."""
        for kv in changes:
            if kv.version:
                return self._puts.get((kv.key, kv.value), [])
        return self._deletes


def _puts(op: Op | TxnOp) -> set[tuple[str, str]]:
    if isinstance(op, Put):
        return {(op.key, op.value)}
    if isinstance(op, Txn):
        return {put for each in (*op.then, *op.orelse) for put in _puts(each)}
    return set()


def _deletes(op: Op | TxnOp) -> bool:
    if isinstance(op, Txn):
        return any(_deletes(each) for each in (*op.then, *op.orelse))
    return isinstance(op, Delete)


def _wrote(call: Call) -> bool:
    return not isinstance(call.result[0], str)


def doubles(calls: Calls, found: Found) -> None:
    """Report writes that were told a revision that is another's, or nobody's to make."""
    for rev in sorted(calls.writes):
        if rev < 2:
            call = calls.writes[rev]
            why = f"revision {rev} is the empty store's"
            found.add("linear/no-such-revision", why, (BEGINNING, side(call)), call.returned_us)
    for first, second in calls.doubles:
        why = f"revision {_rev(first)} was given to both"
        sides = (side(first), side(second))
        found.add("linear/duplicate-revision", why, sides, second.returned_us)


def _listed(changes: Changes) -> str:
    return ", ".join(happened(Event("put" if kv.version else "delete", kv)) for kv in changes)
