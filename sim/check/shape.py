"""What a request's own shape forbids, whatever the state, and what kind of request it is.

Rule of this file: pure questions about operations. Texts are etcd's, word for word.
"""

from sim.history import WatchSpec
from sim.ops import Delete, Grant, Op, Put, Range, Revoke, Txn, TxnOp

EMPTY_KEY = "etcdserver: key is not provided"
TOO_MANY = "etcdserver: too many operations in txn request"
DUPLICATE = "etcdserver: duplicate key given in txn request"
TTL_TOO_LARGE = "etcdserver: too large lease TTL"
COMPACTED = "etcdserver: mvcc: required revision has been compacted"
FUTURE = "etcdserver: mvcc: required revision is a future revision"
LEASE_NOT_FOUND = "etcdserver: requested lease not found"
LEASE_EXISTS = "etcdserver: lease already exists"
NO_SPACE = "etcdserver: mvcc: database space exceeded"
CORRUPT = "etcdserver: corrupt cluster"

OF_THE_DATA = frozenset((COMPACTED, FUTURE, LEASE_NOT_FOUND, LEASE_EXISTS))
"""Errors that say something of the state; all others may come at any time."""

OF_THE_SHAPE = frozenset((EMPTY_KEY, TOO_MANY, DUPLICATE, TTL_TOO_LARGE))

TTL_S_MAX = 9_000_000_000
OPERATIONS_MAX = 128
REST = "\0"
"""A range end that means every key from the first on."""


def refused(op: Op) -> str:
    """Return the error text that the operation deserves by its shape alone, or ""."""
    if isinstance(op, Put | Delete | Range):
        return "" if op.key else EMPTY_KEY
    if isinstance(op, Txn):
        return _refused_txn(op)
    if isinstance(op, Grant) and op.ttl_s > TTL_S_MAX:
        return TTL_TOO_LARGE
    return ""


def is_serializable(op: Op) -> bool:
    """Whether any state, of now or before, may answer: only serializable reads in it."""
    if isinstance(op, Range):
        return op.serializable
    if isinstance(op, Txn):
        parts = (*op.then, *op.orelse)
        # An empty one asks for nothing that must be fresh: etcd answers it from local state.
        return all(isinstance(each, Range) and each.serializable for each in parts)
    return False


def is_read(op: Op) -> bool:
    """Whether the operation can make no revision."""
    if isinstance(op, Txn):
        return all(isinstance(each, Range) for each in (*op.then, *op.orelse))
    return not isinstance(op, Put | Delete | Revoke)


def covers(key: str, end: str, name: str) -> bool:
    """Whether a range holds a key."""
    if not end:
        return name == key
    return key <= name and (end == REST or name < end)


def wants(spec: WatchSpec, name: str, *, is_delete: bool) -> bool:
    """Whether a watcher asked for changes of this kind of a key."""
    if ("nodelete" if is_delete else "noput") in spec.filters:
        return False
    return covers(spec.key or "\0", spec.end, name)


def _refused_txn(txn: Txn, operations_max: int = OPERATIONS_MAX) -> str:
    compare, then, orelse = txn
    is_small = len(compare) < 2 and len(then) < 2 and len(orelse) < 2
    if is_small and all([each[0] and type(each) is not Txn for each in (*compare, *then, *orelse)]):
        return ""
    text = _misshapen(txn, operations_max)
    if text:
        return text
    is_twice = _written(txn.then) is None or _written(txn.orelse) is None
    return DUPLICATE if is_twice else ""


def _misshapen(txn: Txn, operations_max: int) -> str:
    widest = max(len(txn.compare), len(txn.then), len(txn.orelse))
    if widest > operations_max:
        return TOO_MANY
    if any(not each.key for each in txn.compare):
        return EMPTY_KEY
    for each in (*txn.then, *txn.orelse):
        inner = operations_max - widest
        text = _misshapen(each, inner) if isinstance(each, Txn) else refused(each)
        if text:
            return text
    return ""


Span = tuple[str, str]
Written = tuple[set[str], list[Span]]


def _written(branch: tuple[TxnOp, ...]) -> Written | None:
    """Return the keys put and the ranges deleted by a branch; None if a put meets either.

    As in etcd: the branches of a nested transaction exclude each other; deletions of an earlier
    nested transaction meet puts of a later one and not the other way round; a deletion of all
    the rest (end "\\0") meets nothing.
    """
    deletes = [(each.key, each.end) for each in branch if isinstance(each, Delete)]
    puts: set[str] = set()
    for each in branch:
        if not isinstance(each, Txn):
            continue
        then, orelse = _written(each.then), _written(each.orelse)
        if then is None or orelse is None:
            return None
        inner = then[0] | orelse[0]
        if inner & puts or _is_hit(inner, deletes):
            return None
        puts |= inner
        deletes += then[1] + orelse[1]
    for each in branch:
        if isinstance(each, Put):
            if each.key in puts or _is_hit({each.key}, deletes):
                return None
            puts.add(each.key)
    return puts, deletes


def _is_hit(keys: set[str], spans: list[Span]) -> bool:
    return any(end != REST and covers(key, end, name) for key, end in spans for name in keys)
