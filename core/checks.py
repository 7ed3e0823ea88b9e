"""What is refused before it is proposed: the shape of a request, in etcd's order of checks.

Source: etcd server/etcdserver/api/v3rpc/key.go (behaviour, not code).
"""

from core.errors import (
    DUPLICATE_KEY,
    EMPTY_KEY,
    INVALID_SORT_OPTION,
    KEY_NOT_FOUND,
    LEASE_PROVIDED,
    STREAM_NO_FILTERS,
    STREAM_NO_SORT,
    TOO_MANY_OPS,
    VALUE_PROVIDED,
    Failure,
)
from core.operations import DeleteRange, Operation, Put, Range, SortOrder, SortTarget, Txn

KeySpan = tuple[bytes, bytes]
"""[begin, end) with b"" as an end beyond every key."""


def check_range(query: Range) -> Failure | None:
    """Refuse an empty key and unknown sort numbers."""
    if not query.key:
        return EMPTY_KEY
    if query.sort_order not in (0, 1, 2) or not 0 <= query.sort_target <= 4:
        return INVALID_SORT_OPTION
    return None


def check_range_stream(query: Range) -> Failure | None:
    """Refuse what a stream of chunks cannot keep: other orders and revision filters."""
    if failure := check_range(query):
        return failure
    if not has_default_order(query):
        return STREAM_NO_SORT
    if has_revision_filters(query):
        return STREAM_NO_FILTERS
    return None


def check_put(command: Put) -> Failure | None:
    """Refuse an empty key, and a value or lease beside the flag that ignores it."""
    if not command.key:
        return EMPTY_KEY
    if command.ignore_value and command.value:
        return VALUE_PROVIDED
    if command.ignore_lease and command.lease:
        return LEASE_PROVIDED
    return None


def check_delete(command: DeleteRange) -> Failure | None:
    """Refuse an empty key."""
    return None if command.key else EMPTY_KEY


def check_txn(txn: Txn, ops_max: int) -> Failure | None:
    """Refuse a transaction that is too long, holds a bad operation, or puts a key twice.

    The duplicate check runs after the others, over `success` and then `failure`.
    """
    return (
        _check_operations(txn, ops_max)
        or _check_duplicates(txn.success)
        or _check_duplicates(txn.failure)
    )


def has_default_order(query: Range) -> bool:
    """Whether the answer is in key order anyway: no order, or ascending by key."""
    order = query.sort_order
    return order == SortOrder.NONE or (
        query.sort_target == SortTarget.KEY and order == SortOrder.ASCEND
    )


def has_revision_filters(query: Range) -> bool:
    """Whether any bound on mod or create revision is set."""
    return bool(query.min_mod or query.max_mod or query.min_create or query.max_create)


def _check_operations(txn: Txn, ops_max: int) -> Failure | None:
    count = max(len(txn.compares), len(txn.success), len(txn.failure))
    if count > ops_max:
        return TOO_MANY_OPS
    for compare in txn.compares:
        if not compare.key:
            return EMPTY_KEY
    for op in (*txn.success, *txn.failure):
        if failure := _check_operation(op, ops_max - count):
            return failure
    return None


def _check_operation(op: Operation | None, ops_max: int) -> Failure | None:
    match op:
        case Range():
            return check_range(op)
        case Put():
            return check_put(op)
        case DeleteRange():
            return check_delete(op)
        case Txn():
            return _check_operations(op, ops_max)
        case None:
            return KEY_NOT_FOUND


def _check_duplicates(ops: tuple[Operation, ...]) -> Failure | None:
    if len(ops) == 1 and type(ops[0]) is not Txn:
        return None
    return None if _intervals(ops) is not None else DUPLICATE_KEY


def _intervals(ops: tuple[Operation, ...]) -> tuple[set[bytes], list[KeySpan]] | None:
    """Return the keys put and the spans deleted by one branch, or None if they collide.

    Deletes of this level and of nested branches may overlap each other. A delete with the
    range end "\\0" meets no put here, as in etcd, whose interval for it is inverted.
    """
    spans = [_span(op) for op in ops if type(op) is DeleteRange]
    puts: set[bytes] = set()
    for op in ops:
        if type(op) is Txn:
            taken = _intervals(op.success)
            other = _intervals(op.failure) if taken is not None else None
            if taken is None or other is None:
                return None
            # Branches exclude each other, so a key in both is put once.
            for key in taken[0] | other[0]:
                if key in puts or _covered(key, spans):
                    return None
            puts |= taken[0] | other[0]
            spans += taken[1] + other[1]
    for op in ops:
        if type(op) is Put:
            if op.key in puts or _covered(op.key, spans):
                return None
            puts.add(op.key)
    return puts, spans


def _span(op: DeleteRange) -> KeySpan:
    return op.key, op.range_end or op.key + b"\x00"


def _covered(key: bytes, spans: list[KeySpan]) -> bool:
    return any(begin <= key < end for begin, end in spans)
