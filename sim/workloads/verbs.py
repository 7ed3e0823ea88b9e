"""Verbs that performers share: reading arguments, remembering answers, making values.

Rule of this file: no intent of its own. Values are unique in a run: they carry the item's number,
and the attempt where one item may write more than once.
"""

from collections.abc import Iterable

from sim.clients import Ask, Memory, Performance
from sim.ops import (
    Compare,
    Delete,
    DeleteDone,
    Kv,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Txn,
    TxnDone,
    TxnOp,
    TxnResult,
)
from sim.plan import Item

EVERYTHING = Range("\0", "\0")


def integer(item: Item, name: str, default: int = 0) -> int:
    """Return a whole number that the item carries. Rejects any other thing."""
    value = item.args.get(name, default)
    assert isinstance(value, int), f"{item.do}: {name} is a number"
    return value


def text(item: Item, name: str) -> str:
    """Return a word that the item carries. Rejects any other thing."""
    value = item.args[name]
    assert isinstance(value, str), f"{item.do}: {name} is a text"
    return value


def flag(item: Item, name: str) -> bool:
    """Return whether the item says yes."""
    return bool(item.args.get(name, False))


def at(item: Item, memory: Memory) -> int:
    """Return the member to ask."""
    return memory.member(integer(item, "member"))


def value(item: Item, memory: Memory, attempt: int = 0) -> str:
    """Return a value that nobody else writes; large ones are few, so that runs stay small."""
    number = integer(item, "n")
    plain = f"{number}.{attempt}" if attempt else str(number)
    size = memory.options.value_bytes
    if size > 65_536:
        every = 40
    elif size > 64:
        every = 8
    else:
        every = 1
    return plain.ljust(size, "-") if number % every == 0 else plain


def prefix_end(prefix: str) -> str:
    """Return the end of the range of all keys with a prefix; its last character is no \\xff."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def past(memory: Memory, back: int) -> int:
    """Return a revision so far behind the newest anybody saw, never below 1."""
    return max(1, memory.common.newest - back)


def note(memory: Memory, kvs: Iterable[Kv]) -> None:
    """Remember keys as they were seen."""
    for kv in kvs:
        memory.mods[kv.key] = kv.mod
        memory.values[kv.key] = kv.value


def unchanged(memory: Memory, key: str) -> Compare:
    """Compare a key with what was last seen of it; absent where nothing was."""
    return Compare(key, "mod", "=", memory.mods.get(key, 0))


def guarded(memory: Memory, key: str, then: TxnOp, member: int) -> Performance:
    """Change a key if it is as last seen, else read it. What it is told is remembered."""
    result = yield Ask(Txn((unchanged(memory, key),), (then,), (Range(key),)), member)
    if isinstance(result, TxnDone):
        remember(memory, key, then, result)


def remember(memory: Memory, key: str, then: TxnOp, result: TxnDone) -> None:
    """Remember what a guarded change of one key came to."""
    match result.results:
        case (PutDone(rev=rev),):
            memory.mods[key] = rev
            if isinstance(then, Put):
                memory.values[key] = then.value
        case (DeleteDone(),):
            forget(memory, key)
        case (RangeDone(kvs=kvs),):
            if not kvs:
                forget(memory, key)
            note(memory, kvs)
        case _:
            pass


def forget(memory: Memory, key: str) -> None:
    """Remember that a key is not there."""
    memory.mods.pop(key, None)
    memory.values.pop(key, None)


def note_results(memory: Memory, results: Iterable[TxnResult]) -> None:
    """Remember every key that a transaction read at its own revision."""
    for result in results:
        if isinstance(result, RangeDone):
            note(memory, result.kvs)
        elif isinstance(result, TxnDone):
            note_results(memory, result.results)


def read(memory: Memory, op: Range, member: int) -> Performance:
    """Read, and remember what was found if it is of now."""
    result = yield Ask(op, member)
    if isinstance(result, RangeDone) and not op.rev and not op.keys_only and not op.count_only:
        if not op.end and not result.kvs:
            forget(memory, op.key)
        note(memory, result.kvs)


def put(memory: Memory, op: Put, member: int) -> Performance:
    """Write, and remember the revision."""
    result = yield Ask(op, member)
    if isinstance(result, PutDone):
        memory.mods[op.key] = result.rev
        memory.values[op.key] = op.value


def delete(memory: Memory, op: Delete, member: int) -> Performance:
    """Delete, and forget the one key."""
    result = yield Ask(op, member)
    if isinstance(result, DeleteDone) and not op.end:
        forget(memory, op.key)


def ask(memory: Memory, op: Op, member: int) -> Performance:
    """Ask for anything; remember what a transaction's reads found."""
    result = yield Ask(op, member)
    if isinstance(result, TxnDone):
        note_results(memory, result.results)
