"""Workload "compaction": history that is forgotten while it is read.

What it does: few keys written and deleted often; compactions near the newest revision, at
tombstones, again at the same revision, in the future; reads around the compacted revision: just
below (must fail everywhere and for ever), at it and above (must be as before).
Checked by: compaction, linear, watch (with the watchers that start at the compacted revision).
"""

from sim.clients import Ask, Memory, Performance
from sim.ops import Compact, Delete, DeleteDone, Put, Range
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import Intent, Workload, between, flag, key, n, near, seldom

PREFIX = "c/"
_KEY = key(PREFIX)
_END = verbs.prefix_end(PREFIX)


def _put(item: Item, memory: Memory) -> Performance:
    op = Put(verbs.text(item, "key"), verbs.value(item, memory))
    yield from verbs.put(memory, op, verbs.at(item, memory))


def _delete(item: Item, memory: Memory) -> Performance:
    result = yield Ask(Delete(verbs.text(item, "key")), verbs.at(item, memory))
    if isinstance(result, DeleteDone) and result.deleted:
        memory.numbers["tombstone"] = result.rev


def _compact(item: Item, memory: Memory) -> Performance:
    rev = verbs.past(memory, verbs.integer(item, "back"))
    yield Ask(Compact(rev, physical=verbs.flag(item, "physical")), verbs.at(item, memory))


def _compact_tombstone(item: Item, memory: Memory) -> Performance:
    """Compact at the last delete that this client did: the tombstone must stay to be watched."""
    rev = memory.numbers.get("tombstone", 0) or memory.common.newest
    yield Ask(Compact(rev), verbs.at(item, memory))


def _compact_again(item: Item, memory: Memory) -> Performance:
    rev = max(1, memory.common.compacted - verbs.integer(item, "back"))
    yield Ask(Compact(rev), verbs.at(item, memory))


def _compact_future(item: Item, memory: Memory) -> Performance:
    rev = memory.common.newest + verbs.integer(item, "ahead")
    yield Ask(Compact(rev), verbs.at(item, memory))


def _get_around(item: Item, memory: Memory) -> Performance:
    rev = _around(item, memory)
    serializable = verbs.flag(item, "serializable")
    op = Range(verbs.text(item, "key"), rev=rev, serializable=serializable)
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _list_around(item: Item, memory: Memory) -> Performance:
    rev = _around(item, memory)
    op = Range(PREFIX, _END, rev=rev, limit=verbs.integer(item, "limit"))
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _around(item: Item, memory: Memory) -> int:
    """Return a revision near the compacted one, hardly ever one to come."""
    rev = memory.common.compacted + verbs.integer(item, "offset")
    return max(1, min(rev, memory.common.newest))


def _get(item: Item, memory: Memory) -> Performance:
    op = Range(verbs.text(item, "key"), serializable=verbs.flag(item, "serializable"))
    yield from verbs.read(memory, op, verbs.at(item, memory))


WORKLOAD = Workload(
    "compaction",
    PREFIX,
    (
        Intent("compaction.put", 34, _put, {"key": _KEY, "n": n}),
        Intent("compaction.delete", 14, _delete, {"key": _KEY}),
        Intent("compaction.compact", 6, _compact, {"back": near(25), "physical": seldom}),
        Intent("compaction.compact_tombstone", 3, _compact_tombstone, {}),
        Intent("compaction.compact_again", 2, _compact_again, {"back": near(3)}),
        Intent("compaction.compact_future", 1, _compact_future, {"ahead": between(1, 500)}),
        Intent(
            "compaction.get_around",
            14,
            _get_around,
            {"key": _KEY, "offset": between(-2, 8), "serializable": flag},
        ),
        Intent(
            "compaction.list_around", 12, _list_around, {"offset": between(-2, 8), "limit": near(5)}
        ),
        Intent("compaction.get", 14, _get, {"key": _KEY, "serializable": seldom}),
    ),
)
