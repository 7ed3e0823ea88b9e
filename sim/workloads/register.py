"""Workload "register": single keys, read, written, compared, deleted, by everybody at any member.

What it does: linearizable and serializable reads, reads of the past and of the future, puts with
and without prev_kv, compare-and-swap on mod revision, value, version and create revision, deletes
of keys that are there or not, pages.
Checked by: linear (every response whole), serializable; durability by the values.
"""

from sim.clients import Memory, Performance
from sim.ops import Compare, Delete, Put, Range, Txn
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import Intent, Workload, between, flag, key, n, near, seldom, word

PREFIX = "r/"
_KEY = key(PREFIX)


def _get(item: Item, memory: Memory) -> Performance:
    op = Range(verbs.text(item, "key"), serializable=verbs.flag(item, "serializable"))
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _put(item: Item, memory: Memory) -> Performance:
    op = Put(verbs.text(item, "key"), verbs.value(item, memory), prev_kv=verbs.flag(item, "prev"))
    yield from verbs.put(memory, op, verbs.at(item, memory))


def _delete(item: Item, memory: Memory) -> Performance:
    op = Delete(verbs.text(item, "key"), prev_kv=verbs.flag(item, "prev"))
    yield from verbs.delete(memory, op, verbs.at(item, memory))


def _cas(item: Item, memory: Memory) -> Performance:
    name = verbs.text(item, "key")
    then = Put(name, verbs.value(item, memory))
    yield from verbs.guarded(memory, name, then, verbs.at(item, memory))


def _cad(item: Item, memory: Memory) -> Performance:
    name = verbs.text(item, "key")
    yield from verbs.guarded(memory, name, Delete(name), verbs.at(item, memory))


def _swap(item: Item, memory: Memory) -> Performance:
    """Compare something else than the mod revision, with what it was or something near."""
    name, target = verbs.text(item, "key"), verbs.text(item, "target")
    member, slip = verbs.at(item, memory), verbs.integer(item, "slip")
    operand: int | str
    if target == "value":
        operand = memory.values.get(name, "")
    elif target == "version":
        operand = max(0, 1 + slip)
    else:
        operand = max(0, memory.mods.get(name, 0) + slip)
    compare = Compare(name, target, verbs.text(item, "sign"), operand)
    then = (Put(name, verbs.value(item, memory)),)
    yield from verbs.ask(memory, Txn((compare,), then, (Range(name),)), member)


def _list(item: Item, memory: Memory) -> Performance:
    op = Range(
        PREFIX,
        verbs.prefix_end(PREFIX),
        limit=verbs.integer(item, "limit"),
        serializable=verbs.flag(item, "serializable"),
    )
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _count(item: Item, memory: Memory) -> Performance:
    keys_only = verbs.flag(item, "keys_only")
    op = Range(PREFIX, verbs.prefix_end(PREFIX), keys_only=keys_only, count_only=not keys_only)
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _get_past(item: Item, memory: Memory) -> Performance:
    op = Range(
        verbs.text(item, "key"),
        rev=verbs.past(memory, verbs.integer(item, "back")),
        serializable=verbs.flag(item, "serializable"),
    )
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _list_past(item: Item, memory: Memory) -> Performance:
    op = Range(
        PREFIX,
        verbs.prefix_end(PREFIX),
        rev=verbs.past(memory, verbs.integer(item, "back")),
        limit=verbs.integer(item, "limit"),
    )
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _get_future(item: Item, memory: Memory) -> Performance:
    rev = memory.common.newest + verbs.integer(item, "ahead")
    yield from verbs.read(memory, Range(verbs.text(item, "key"), rev=rev), verbs.at(item, memory))


def _delete_many(item: Item, memory: Memory) -> Performance:
    first = verbs.text(item, "key")
    op = Delete(first, verbs.prefix_end(first + "/"), prev_kv=verbs.flag(item, "prev"))
    yield from verbs.delete(memory, op, verbs.at(item, memory))


WORKLOAD = Workload(
    "register",
    PREFIX,
    (
        Intent("register.get", 22, _get, {"key": _KEY, "serializable": seldom}),
        Intent("register.put", 22, _put, {"key": _KEY, "n": n, "prev": seldom}),
        Intent("register.cas", 20, _cas, {"key": _KEY, "n": n}),
        Intent("register.cad", 4, _cad, {"key": _KEY}),
        Intent(
            "register.swap",
            6,
            _swap,
            {
                "key": _KEY,
                "n": n,
                "target": word("value", "version", "create", "mod"),
                "sign": word("=", "!=", "<", ">"),
                "slip": between(-1, 1),
            },
        ),
        Intent("register.delete", 7, _delete, {"key": _KEY, "prev": flag}),
        Intent("register.delete_many", 1, _delete_many, {"key": _KEY, "prev": flag}),
        Intent("register.list", 6, _list, {"limit": near(4), "serializable": seldom}),
        Intent("register.count", 2, _count, {"keys_only": flag}),
        Intent(
            "register.get_past", 5, _get_past, {"key": _KEY, "back": near(40), "serializable": flag}
        ),
        Intent("register.list_past", 3, _list_past, {"back": near(40), "limit": near(4)}),
        Intent("register.get_future", 1, _get_future, {"key": _KEY, "ahead": between(1, 2000)}),
    ),
)
