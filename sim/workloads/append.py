"""Workload "append": lists that grow by read-modify-write.

What it does: reads a list, writes it back one element longer if nobody changed it meanwhile, tries
again with a new element if somebody did, gives up when the outcome is unknown. The order of a key's
versions is the order of its lists, each the one before and one element more.
Checked by: linear. A lost element is a put whose comparison held although the key had changed.
"""

from sim.clients import Ask, Memory, Performance
from sim.ops import Put, Range, Txn, TxnDone
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import Intent, Workload, between, key, n, near, seldom

PREFIX = "a/"
_KEY = key(PREFIX)
LONGEST = 600
"""Characters after which a list begins anew, so that runs stay small."""


def _append(item: Item, memory: Memory) -> Performance:
    name, member = verbs.text(item, "key"), verbs.at(item, memory)
    if verbs.flag(item, "look"):
        yield from verbs.read(memory, Range(name), member)
    for attempt in range(verbs.integer(item, "attempts")):
        element = f"{verbs.integer(item, 'n')}.{attempt}"
        before = memory.values.get(name, "") if memory.mods.get(name) else ""
        longer = f"{before},{element}" if 0 < len(before) < LONGEST else element
        then = Put(name, longer)
        op = Txn((verbs.unchanged(memory, name),), (then,), (Range(name),))
        result = yield Ask(op, member)
        if not isinstance(result, TxnDone):
            return
        verbs.remember(memory, name, then, result)
        if result.succeeded:
            return


def _read(item: Item, memory: Memory) -> Performance:
    op = Range(verbs.text(item, "key"), serializable=verbs.flag(item, "serializable"))
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _read_all(item: Item, memory: Memory) -> Performance:
    op = Range(PREFIX, verbs.prefix_end(PREFIX), rev=_rev(item, memory))
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _rev(item: Item, memory: Memory) -> int:
    back = verbs.integer(item, "back")
    return verbs.past(memory, back) if back else 0


WORKLOAD = Workload(
    "append",
    PREFIX,
    (
        Intent(
            "append.append",
            60,
            _append,
            {"key": _KEY, "n": n, "attempts": between(1, 4), "look": seldom},
        ),
        Intent("append.read", 30, _read, {"key": _KEY, "serializable": seldom}),
        Intent("append.read_all", 10, _read_all, {"back": near(12)}),
    ),
)
