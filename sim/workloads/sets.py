"""Workload "set": unique elements, each a key of its own, added once and perhaps removed.

What it does: adds by create-if-absent, tries the same element of somebody else again (must find it
or add it, never twice), removes, reads the whole set in pages at one revision, counts it.
Checked by: linear; durability (an added element stays until removed).
"""

from sim.clients import Ask, Memory, Performance
from sim.ops import Compare, Delete, Put, Range, RangeDone, Txn
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import Intent, Workload, between, flag, n, near, seldom

PREFIX = "s/"
_RANGE_END = verbs.prefix_end(PREFIX)


def _element(number: int) -> str:
    return f"{PREFIX}{number:06}"


def _add(item: Item, memory: Memory) -> Performance:
    number = verbs.integer(item, "n")
    name = _element(max(1, number - verbs.integer(item, "again")))
    absent = Compare(name, "version", "=", 0)
    op = Txn((absent,), (Put(name, verbs.value(item, memory)),), (Range(name),))
    yield from verbs.ask(memory, op, verbs.at(item, memory))


def _remove(item: Item, memory: Memory) -> Performance:
    names = sorted(name for name in memory.mods if name.startswith(PREFIX))
    name = names[verbs.integer(item, "pick") % len(names)] if names else _element(1)
    op = Delete(name, prev_kv=verbs.flag(item, "prev"))
    yield from verbs.delete(memory, op, verbs.at(item, memory))


def _read(item: Item, memory: Memory) -> Performance:
    """Read the whole set, page after page, all at the first page's revision."""
    member, limit = verbs.at(item, memory), verbs.integer(item, "limit")
    start, rev = PREFIX, 0
    for _ in range(20):
        op = Range(
            start, _RANGE_END, rev=rev, limit=limit, serializable=verbs.flag(item, "serializable")
        )
        result = yield Ask(op, member)
        if not isinstance(result, RangeDone):
            return
        verbs.note(memory, result.kvs)
        if not result.more or not result.kvs:
            return
        start, rev = result.kvs[-1].key + "\0", rev or result.rev


def _count(item: Item, memory: Memory) -> Performance:
    op = Range(PREFIX, _RANGE_END, count_only=True, serializable=verbs.flag(item, "serializable"))
    yield from verbs.read(memory, op, verbs.at(item, memory))


WORKLOAD = Workload(
    "set",
    PREFIX,
    (
        Intent("set.add", 60, _add, {"n": n, "again": near(3)}),
        Intent("set.remove", 10, _remove, {"pick": near(1000), "prev": flag}),
        Intent("set.read", 20, _read, {"limit": between(3, 30), "serializable": seldom}),
        Intent("set.count", 10, _count, {"serializable": seldom}),
    ),
)
