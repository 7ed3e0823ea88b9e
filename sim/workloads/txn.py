"""Workload "txn": several keys in one step.

What it does: guarded writes of two keys, writes of many, delete and put in one transaction, nested
transactions (whose comparisons see the state before everything), reads between writes, comparisons
of every target and sign over keys and ranges, transactions without effect, and those that are
refused: a key put twice, a read of a compacted or future revision inside.
Checked by: linear (both branches' results), watch (a transaction's events are one revision).
"""

from sim.clients import Memory, Performance
from sim.ops import Compare, Delete, Put, Range, Txn, TxnOp
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import Drawer, Intent, Workload, between, flag, key, n, near, word

PREFIX = "t/"
_KEY = key(PREFIX)
_END = verbs.prefix_end(PREFIX)
_TWO: dict[str, Drawer] = {"a": _KEY, "b": _KEY}


def _value(item: Item, attempt: int) -> str:
    return f"{verbs.integer(item, 'n')}.{attempt}"


def _pair(item: Item) -> tuple[str, str]:
    """Return the two keys that an item names; never the same one twice."""
    a, b = verbs.text(item, "a"), verbs.text(item, "b")
    return (a, b) if a != b else (a, f"{b}x")


def _both(item: Item, memory: Memory) -> Performance:
    """Write both keys if neither changed."""
    a, b = _pair(item)
    compare = (verbs.unchanged(memory, a), verbs.unchanged(memory, b))
    op = Txn(compare, (Put(a, _value(item, 1)), Put(b, _value(item, 2))), (Range(a), Range(b)))
    yield from verbs.ask(memory, op, verbs.at(item, memory))


def _many(item: Item, memory: Memory) -> Performance:
    """Write many keys, whatever they hold."""
    puts: tuple[TxnOp, ...] = tuple(
        Put(f"{PREFIX}{index}", _value(item, index)) for index in range(verbs.integer(item, "many"))
    )
    yield from verbs.ask(memory, Txn((), puts), verbs.at(item, memory))


def _move(item: Item, memory: Memory) -> Performance:
    """Delete one key and write the other in one revision."""
    a, b = _pair(item)
    compare = (Compare(a, "version", ">", 0),)
    then = (Delete(a, prev_kv=verbs.flag(item, "prev")), Put(b, _value(item, 1), prev_kv=True))
    orelse = (Put(a, _value(item, 2)), Delete(b))
    yield from verbs.ask(memory, Txn(compare, then, orelse), verbs.at(item, memory))


def _nested(item: Item, memory: Memory) -> Performance:
    """Write, then compare again inside: it must see what was there before the write."""
    a, b = _pair(item)
    inner = Txn(
        (verbs.unchanged(memory, a),),
        (Put(b, _value(item, 2)), Range(a)),
        (Range(b), Txn((Compare(b, "create", "=", 0),), (Put(b, _value(item, 3)),), (Delete(b),))),
    )
    op = Txn((), (Put(a, _value(item, 1)), inner, Range(PREFIX, _END, count_only=True)))
    yield from verbs.ask(memory, op, verbs.at(item, memory))


def _inside(item: Item, memory: Memory) -> Performance:
    """Read between writes: each read sees what the same transaction did before it."""
    a, b = _pair(item)
    op = Txn(
        (),
        (
            Range(PREFIX, _END),
            Put(a, _value(item, 1)),
            Range(PREFIX, _END, limit=verbs.integer(item, "limit")),
            Delete(b, prev_kv=True),
            Range(PREFIX, _END, keys_only=True),
        ),
    )
    yield from verbs.ask(memory, op, verbs.at(item, memory))


def _compare(item: Item, memory: Memory) -> Performance:
    """Compare a key or all keys by any target and sign, near to what was last seen."""
    a, b = _pair(item)
    target, slip = verbs.text(item, "target"), verbs.integer(item, "slip")
    operand: int | str
    if target == "value":
        operand = memory.values.get(a, "")
    elif target in ("mod", "create"):
        operand = max(0, memory.mods.get(a, 0) + slip)
    else:
        operand = max(0, slip)
    end = _END if verbs.flag(item, "all") else ""
    compare = Compare(PREFIX if end else a, target, verbs.text(item, "sign"), operand, end)
    op = Txn((compare,), (Put(b, _value(item, 1)),), (Range(a),))
    yield from verbs.ask(memory, op, verbs.at(item, memory))


def _wipe(item: Item, memory: Memory) -> Performance:
    """Delete a range: one revision, one event a key."""
    start = verbs.text(item, "a")
    op = Delete(start, _END, prev_kv=verbs.flag(item, "prev"))
    yield from verbs.delete(memory, op, verbs.at(item, memory))


def _twice(item: Item, memory: Memory) -> Performance:
    """Put a key twice, or put one inside a deleted range: refused, whole."""
    a, _ = _pair(item)
    first: TxnOp = Delete(PREFIX, _END) if verbs.flag(item, "range") else Put(a, _value(item, 1))
    yield from verbs.ask(memory, Txn((), (first, Put(a, _value(item, 2)))), verbs.at(item, memory))


def _idle(item: Item, memory: Memory) -> Performance:
    """Do nothing at all, or nothing but reading: no new revision."""
    a, _ = _pair(item)
    then: tuple[TxnOp, ...] = (Range(a), Delete(f"{a}y")) if verbs.flag(item, "reads") else ()
    yield from verbs.ask(memory, Txn((), then), verbs.at(item, memory))


def _old(item: Item, memory: Memory) -> Performance:
    """Write, and read another revision inside; if that is not to be had, nothing is written."""
    a, b = _pair(item)
    rev = max(1, memory.common.newest - verbs.integer(item, "back"))
    op = Txn((), (Put(a, _value(item, 1)), Range(b, rev=rev)))
    yield from verbs.ask(memory, op, verbs.at(item, memory))


def _list(item: Item, memory: Memory) -> Performance:
    back = verbs.integer(item, "back")
    op = Range(PREFIX, _END, rev=verbs.past(memory, back) if back else 0)
    yield from verbs.read(memory, op, verbs.at(item, memory))


WORKLOAD = Workload(
    "txn",
    PREFIX,
    (
        Intent("txn.both", 25, _both, {**_TWO, "n": n}),
        Intent("txn.many", 8, _many, {"n": n, "many": between(2, 8)}),
        Intent("txn.move", 15, _move, {**_TWO, "n": n, "prev": flag}),
        Intent("txn.nested", 10, _nested, {**_TWO, "n": n}),
        Intent("txn.inside", 8, _inside, {**_TWO, "n": n, "limit": near(4)}),
        Intent(
            "txn.compare",
            12,
            _compare,
            {
                **_TWO,
                "n": n,
                "target": word("version", "create", "mod", "value", "lease"),
                "sign": word("=", "!=", "<", ">"),
                "slip": between(-1, 2),
                "all": flag,
            },
        ),
        Intent("txn.wipe", 4, _wipe, {"a": _KEY, "prev": flag}),
        Intent("txn.twice", 2, _twice, {**_TWO, "n": n, "range": flag}),
        Intent("txn.idle", 3, _idle, {**_TWO, "reads": flag}),
        Intent("txn.old", 4, _old, {**_TWO, "n": n, "back": between(-2, 20)}),
        Intent("txn.list", 9, _list, {"back": near(12)}),
    ),
)
