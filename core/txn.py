"""Transactions: compare against the state before, check the taken branch, then do it.

All compares, nested ones too, are decided before anything is written; then the taken path is
checked whole, so that an error applies nothing; then it runs and cannot fail.
Source: etcd server/etcdserver/txn/txn.go (behaviour, not code).
"""

from core.answers import DeleteAnswer, OperationAnswer, PutAnswer, RangeAnswer, TxnAnswer
from core.errors import COMPACTED, FUTURE_REVISION, KEY_NOT_FOUND, LEASE_NOT_FOUND, Failure
from core.keys import span_end
from core.operations import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Put,
    Range,
    Txn,
)
from core.ranges import PageCounts, read
from core.records import Version
from core.state import State
from core.writes import Writer

_MOD = int(CompareTarget.MOD)
_EQUAL = int(CompareResult.EQUAL)

Path = tuple[bool, tuple["Path", ...]]
"""Whether the compares held, and the paths of the nested transactions of the taken branch."""


def run(state: State, txn: Txn, writer: Writer, counts: PageCounts) -> TxnAnswer | Failure:
    """Evaluate a transaction, writing through `writer`; the caller commits it."""
    path = _decide(state, txn)
    if failure := _check(state, txn, path):
        return failure
    answers = _execute(state, txn, path, writer, counts)
    return TxnAnswer(writer.revision, path[0], answers)


def check_put_against(state: State, command: Put) -> Failure | None:
    """Refuse a put whose lease does not exist or whose ignored fields have no key."""
    if command.lease and command.lease not in state.leases:
        return LEASE_NOT_FOUND
    if (command.ignore_value or command.ignore_lease) and command.key not in state.index.live:
        return KEY_NOT_FOUND
    return None


def put(command: Put, writer: Writer) -> Version | None:
    """Do a checked put and return the version it replaced, if it was asked for.

    A key that was there at the check may be gone: a deletion with range_end 0x00 earlier in the
    transaction is not seen as writing it (etcd panics here). Then there is nothing to keep.
    """
    value, lease = command.value, command.lease
    if command.ignore_value or command.ignore_lease:
        current = writer.state.index.live.get(command.key)
        if command.ignore_value:
            value = b"" if current is None else current.value
        if command.ignore_lease:
            lease = 0 if current is None else current.lease
    previous = writer.put(command.key, value, lease)
    return previous if command.prev_kv else None


def delete_range(command: DeleteRange, writer: Writer) -> tuple[int, list[Version]]:
    """Delete a range's keys in order; return how many, and their versions if asked for."""
    index = writer.state.index
    if not command.range_end:
        if command.key not in index.live:
            return 0, []
        previous = writer.delete(command.key)
        return 1, [previous] if command.prev_kv else []
    low, high = index.positions(command.key, span_end(command.key, command.range_end))
    gone = [writer.delete(key) for key in list(index.keys_between(low, high))]
    return len(gone), gone if command.prev_kv else []


def _decide(state: State, txn: Txn) -> Path:
    held = True
    for compare in txn.compares:
        if not holds(state, compare):
            held = False
            break
    nested: list[Path] = []
    for op in txn.success if held else txn.failure:
        if type(op) is Txn:
            nested.append(_decide(state, op))
    return held, tuple(nested)


def holds(state: State, compare: Compare) -> bool:
    """Whether a compare holds now, for a key or for every key of its range."""
    index = state.index
    result, target, key, range_end, operand = compare
    if not range_end:
        version = index.live.get(key)
        if target == _MOD and result == _EQUAL:
            # What clients of Kubernetes ask.
            return (version.mod if version is not None else 0) == operand
        if version is None:
            return target != CompareTarget.VALUE and _relates(compare, 0)
        return _relates(compare, _field(version, target))
    low, high = index.positions(key, span_end(key, range_end))
    if low == high:
        return target != CompareTarget.VALUE and _relates(compare, 0)
    live = index.live
    return all(
        _relates(compare, _field(live[each], target)) for each in index.keys_between(low, high)
    )


def _field(version: Version, target: int) -> int | bytes:
    match target:
        case CompareTarget.VERSION:
            return version.version
        case CompareTarget.CREATE:
            return version.create
        case CompareTarget.MOD:
            return version.mod
        case CompareTarget.VALUE:
            return version.value
        case CompareTarget.LEASE:
            return version.lease
        case _:
            # An unknown target compares nothing with nothing: equal.
            return 0


def _relates(compare: Compare, found: int | bytes) -> bool:
    operand = compare.operand
    equal = found == operand
    if isinstance(found, bytes):
        less = isinstance(operand, bytes) and found < operand
    else:
        less = isinstance(operand, int) and found < operand
    match compare.result:
        case CompareResult.EQUAL:
            return equal
        case CompareResult.NOT_EQUAL:
            return not equal
        case CompareResult.LESS:
            return less
        case CompareResult.GREATER:
            return not less and not equal
        case _:
            return True


def _check(state: State, txn: Txn, path: Path) -> Failure | None:
    nested = iter(path[1])
    for op in txn.success if path[0] else txn.failure:
        failure: Failure | None = None
        if type(op) is Range:
            failure = _check_range(state, op)
        elif type(op) is Put:
            failure = check_put_against(state, op)
        elif type(op) is Txn:
            failure = _check(state, op, next(nested))
        if failure is not None:
            return failure
    return None


def _check_range(state: State, query: Range) -> Failure | None:
    """Unlike a range alone, one in a transaction does not take a negative revision as the head."""
    if query.revision == 0:
        return None
    if query.revision > state.revision:
        return FUTURE_REVISION
    return COMPACTED if query.revision < state.compact_revision else None


def _execute(
    state: State, txn: Txn, path: Path, writer: Writer, counts: PageCounts
) -> tuple[OperationAnswer, ...]:
    nested = iter(path[1])
    answers: list[OperationAnswer] = []
    for op in txn.success if path[0] else txn.failure:
        if isinstance(op, Put):
            previous = put(op, writer)
            answers.append(PutAnswer(writer.main, previous))
        elif isinstance(op, Range):
            answer = read(state, op, counts, writer.revision)
            assert isinstance(answer, RangeAnswer), "INV-TXN-ATOMIC"
            answers.append(answer)
        elif isinstance(op, DeleteRange):
            deleted, gone = delete_range(op, writer)
            answers.append(DeleteAnswer(writer.revision, deleted, gone))
        else:
            inner = next(nested)
            answers.append(TxnAnswer(0, inner[0], _execute(state, op, inner, writer, counts)))
    return tuple(answers)
