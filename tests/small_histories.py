"""Small histories, right and wrong ones, and the one judge that cannot be wrong: every order.

The rule of this file: a history is made by executing operations in some order on a model and giving
them times that may or may not allow that order. `brute` tries every order there is.
"""

from collections.abc import Sequence
from random import Random

from attrs import frozen
from hypothesis import strategies as st

from sim.check.model import Model, agrees
from sim.history import NEVER_US, Call, Event, History, Logged, Seen, Watcher, WatchSpec
from sim.ops import (
    Compact,
    Compare,
    Delete,
    Failed,
    Kv,
    Op,
    Put,
    Range,
    Result,
    Txn,
    Unknown,
)

KEYS = ("a", "b")


@frozen
class Made:
    """A history, and how it was made."""

    calls: list[Call]
    executed: list[Call]
    """In the order of execution; some of unknown outcome were never executed."""
    changes: list[tuple[Kv, ...]]

    def with_log(self) -> History:
        """Return it with a log of all that was executed and may write."""
        model, log = Model(), list[Logged]()
        for call in self.executed:
            before = model.rev
            model.apply(call.op)
            if model.rev > before or isinstance(call.op, Compact):
                log.append(Logged(len(log), 0, 1, call.number, call.op, model.rev))
        return History(calls=list(self.calls), log=log, ended_us=1000)

    def with_watch(self) -> History:
        """Return it with a watcher that saw every change, long after all."""
        watcher = Watcher(0, 99, 0, WatchSpec("\0", "\0", 1), 0)
        watcher.seen.append(Seen(0, "created", 1))
        for rev in range(2, len(self.changes)):
            events = tuple(Event("put" if kv.version else "delete", kv) for kv in self.changes[rev])
            watcher.seen.append(Seen(900, "events", rev, events))
        return History(calls=list(self.calls), watchers=[watcher], ended_us=1000)

    def bare(self) -> History:
        """Return it with the calls alone."""
        return History(calls=list(self.calls), ended_us=1000)


def operation(chance: Random, number: int, *, compacts: bool) -> Op:
    """Draw one operation; it writes a value of its own."""
    key, value, rev = chance.choice(KEYS), str(number), chance.randint(1, 4)
    write = Delete(key, chance.choice(("", "\0")))
    put = Put(key, value, prev_kv=chance.random() < 0.5)
    match chance.randint(0, 9 if compacts else 8):
        case 0 | 1 | 2:
            return put
        case 3:
            return write
        case 4:
            compare = Compare(key, "mod", "=", chance.choice((0, rev)))
            orelse = (Range(key),) if chance.random() < 0.5 else ()
            return Txn((compare,), (chance.choice((put, write)),), orelse)
        case 5:
            return Range(key, rev=rev)
        case 6:
            return Range("a", "\0")
        case 9:
            return Compact(rev)
        case _:
            return Range(key)


def make(seed: int, size: int, *, compacts: bool = False) -> Made:
    """Make a history of a seed: about half of them are linearizable."""
    chance = Random(seed)
    ops = [operation(chance, number, compacts=compacts) for number in range(size)]
    order = list(range(size))
    chance.shuffle(order)
    skipped = {number for number in range(size) if chance.random() < 0.1}
    unknown = skipped | {number for number in range(size) if chance.random() < 0.15}
    model = Model()
    results = {number: model.apply(ops[number]) for number in order if number not in skipped}
    width = chance.choice((3, 8, 20))
    shift = chance.choice((0, 15, 40))
    calls: list[Call] = []
    for number, op in enumerate(ops):
        place = order.index(number) * 10 + chance.randint(-shift, shift)
        begin, end = place - chance.randint(0, width), place + chance.randint(0, width)
        result: Result = Unknown("") if number in unknown else results[number]
        end = NEVER_US if number in unknown else end + 100
        calls.append(Call(number, number, 0, op, begin + 100, end, result))
    if chance.random() < 0.3:
        _spoil(chance, calls)
    executed = [calls[number] for number in order if number not in skipped]
    return Made(calls, executed, model.changes)


def _spoil(chance: Random, calls: list[Call]) -> None:
    """Make one answer another's, or of another revision."""
    place = chance.randrange(len(calls))
    call, other = calls[place], chance.choice(calls)
    result = call.result
    if isinstance(result, Unknown | Failed):
        return
    if type(other.result) is type(result) and chance.random() < 0.7:
        calls[place] = call._replace(result=other.result)
    else:
        rev = max(1, result.rev + chance.choice((-1, 1)))
        calls[place] = call._replace(result=result._replace(rev=rev))


def histories(*, compacts: bool = False) -> st.SearchStrategy[Made]:
    """Draw histories of up to seven operations."""
    seeds = st.integers(0, 1 << 32)
    return st.builds(make, seeds, st.integers(2, 7), compacts=st.just(compacts))


def brute(
    calls: Sequence[Call],
    *,
    log: Sequence[Logged] | None = None,
    changes: Sequence[tuple[Kv, ...]] | None = None,
) -> bool:
    """Whether some order is right: of all calls, or of those with an answer and some of the rest.

    With `log` its entries must be in it, in this order; with `changes` the revisions must be these.
    """
    logged = None if log is None else [entry.call for entry in log]
    owed = {call.number for call in calls if not isinstance(call.result, Unknown)}
    if logged is not None:
        owed |= {number for number in logged if number is not None}
    return _try(list(calls), [], owed, logged, changes)


def _try(
    left: list[Call],
    done: list[Call],
    owed: set[int],
    logged: list[int | None] | None,
    changes: Sequence[tuple[Kv, ...]] | None,
) -> bool:
    model = Model()
    for call in done:
        given, before = model.apply(call.op), model.rev
        del before
        if not isinstance(call.result, Unknown) and not agrees(given, call.result):
            return False
    if changes is not None and list(changes[: len(model.changes)]) != model.changes:
        return False
    names = [call.number for call in done]
    if logged is not None:
        in_log = [number for number in names if number in logged]
        wrote = _wrote(done)
        if in_log != logged[: len(in_log)] or not wrote <= set(in_log):
            return False
    if owed <= set(names) and (changes is None or len(changes) == len(model.changes)):
        return True
    first_end = min((call.returned_us for call in left), default=NEVER_US)
    return any(
        _try([each for each in left if each is not call], [*done, call], owed, logged, changes)
        for call in left
        if call.invoked_us <= first_end
    )


def _wrote(done: list[Call]) -> set[int]:
    model, wrote = Model(), set[int]()
    for call in done:
        before = model.rev
        model.apply(call.op)
        if model.rev > before:
            wrote.add(call.number)
    return wrote
