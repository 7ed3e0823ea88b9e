"""Workloads "lock" and "fenced": a list that is guarded by a lock that a lease holds.

What they do: a client takes a lock (a lease of two seconds, a key of that lease that nobody else
may create while it is there), reads a list, thinks, writes it one element longer, and gives the
lock back. Sometimes it thinks for longer than the lease lives, as a process does that was stopped
or whose machine was; nothing renews the lease meanwhile.
Checked by: lock (each version of the list is the one before and one element more).

"lock" writes without a further look: two clients can be inside at once, and what one of them wrote
is lost. It is expected to fail, on any correct store: a lease is no mutual exclusion. "fenced"
writes by a transaction that compares the lock key's create revision with the one it got: it passes.
"""

from collections.abc import Generator
from typing import Final

from sim.clients import Ask, Memory, Performance, Reply, Sleep, Step
from sim.ops import Compare, Grant, GrantDone, Put, Range, RangeDone, Revoke, Txn, TxnDone
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import Draw, Intent, Workload, between, n

PLAIN_PREFIX: Final = "lock/"
FENCED_PREFIX: Final = "fence/"
LIST: Final = "/list"
"""The guarded key of a lock ends so."""
TTL_S: Final = 2
LOCKS: Final = 2
"""So few, that clients meet."""
_ATTEMPTS: Final = 25
_AGAIN_MS: Final = 120
_LONG: Final = 0.15
"""How often a client stays inside for longer than its lease lives."""


def think_ms(draw: Draw) -> int:
    """Draw how long a client stays inside: mostly a moment, sometimes beyond its lease."""
    if draw.random() < _LONG:
        return TTL_S * 1000 + 200 + draw.below(2_000)
    return 5 + draw.near(300)


def hold(item: Item, memory: Memory, prefix: str, *, is_fenced: bool) -> Performance:
    """Take a lock, add an element to its list, give the lock back; give up if it is not got."""
    member, lease = verbs.at(item, memory), verbs.integer(item, "n")
    name = f"{prefix}{verbs.integer(item, 'lock') % LOCKS}"
    granted = yield Ask(Grant(lease, TTL_S), member)
    if not isinstance(granted, GrantDone):
        return
    fence = yield from _taken(name, lease, member)
    if fence:
        guard = (Compare(name, "create", "=", fence),) if is_fenced else ()
        think = verbs.integer(item, "ms")
        yield from _inside(name + LIST, str(lease), guard, member, think)
    yield Ask(Revoke(lease), member)


def _taken(name: str, lease: int, member: int) -> Generator[Step, Reply, int]:
    """Try for a while to create the lock's key; return its create revision, 0 if it was not got."""
    absent = Compare(name, "create", "=", 0)
    for _ in range(_ATTEMPTS):
        result = yield Ask(Txn((absent,), (Put(name, str(lease), lease),)), member)
        if not isinstance(result, TxnDone):
            return 0
        if result.succeeded:
            return result.rev
        yield Sleep(_AGAIN_MS)
    return 0


def _inside(
    name: str, element: str, guard: tuple[Compare, ...], member: int, think: int
) -> Performance:
    """Read the list, think, write it one element longer."""
    read = yield Ask(Range(name), member)
    if not isinstance(read, RangeDone):
        return
    yield Sleep(think)
    before = f"{read.kvs[0].value}," if read.kvs else ""
    put = Put(name, before + element)
    yield Ask(Txn(guard, (put,)) if guard else put, member)


def _plain(item: Item, memory: Memory) -> Performance:
    yield from hold(item, memory, PLAIN_PREFIX, is_fenced=False)


def _fenced(item: Item, memory: Memory) -> Performance:
    yield from hold(item, memory, FENCED_PREFIX, is_fenced=True)


_ARGUMENTS = {"lock": between(0, LOCKS - 1), "n": n, "ms": think_ms}

LOCK = Workload("lock", PLAIN_PREFIX, (Intent("lock.hold", 10, _plain, _ARGUMENTS),))
FENCED = Workload("fenced", FENCED_PREFIX, (Intent("fenced.hold", 10, _fenced, _ARGUMENTS),))
