"""What etcd refuses by looking at a request alone, in the order in which it looks.

The rule of this file: no state. Each check raises the first `OracleError` that etcd would answer,
or returns nothing. The order is part of the contract: a request with two faults has one answer.
Source: etcd v3.6 server/etcdserver/api/v3rpc/key.go (behaviour, not code).
"""

from collections.abc import Iterable

from net.etcd.pb import rpc_pb2
from sim import oracle_errors as errors

OPERATIONS_MAX = 128
REQUEST_BYTES_MAX = 1_572_864
MESSAGE_BYTES_MAX = REQUEST_BYTES_MAX + 512 * 1024

Deletion = tuple[bytes, bytes]


def check_message(size: int) -> None:
    """Refuse what the transport refuses before etcd sees it."""
    if size > MESSAGE_BYTES_MAX:
        raise errors.message_too_large(size, MESSAGE_BYTES_MAX)


def check_proposal(size: int) -> None:
    """Refuse what is too large to be replicated.

    etcd counts some twenty bytes of its own envelope: sizes so near the bound are not modelled.
    """
    if size > REQUEST_BYTES_MAX:
        raise errors.request_too_large()


def check_range(request: rpc_pb2.RangeRequest) -> None:
    """Key, then sort order, then sort target."""
    if not request.key:
        raise errors.empty_key()
    if request.sort_order not in rpc_pb2.RangeRequest.SortOrder.values():
        raise errors.invalid_sort_option()
    if request.sort_target not in rpc_pb2.RangeRequest.SortTarget.values():
        raise errors.invalid_sort_option()


def check_range_stream(request: rpc_pb2.RangeRequest) -> None:
    """A range that can be sent in chunks: plain order, then no filter."""
    check_range(request)
    if request.sort_order != request.NONE and not is_plain_order(request):
        raise errors.unsupported_by_range_stream("custom sort orders")
    if is_filtered(request):
        raise errors.unsupported_by_range_stream("revision filters")


def is_plain_order(request: rpc_pb2.RangeRequest) -> bool:
    """Whether the order asked for is that of the keys, ascending, which needs no sort."""
    return request.sort_target == request.KEY and request.sort_order != request.DESCEND


def is_filtered(request: rpc_pb2.RangeRequest) -> bool:
    """Whether one of the four revision bounds is given."""
    bounds = (
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )
    return any(bounds)


def check_put(request: rpc_pb2.PutRequest) -> None:
    """Key, then the value beside ignore_value, then the lease beside ignore_lease."""
    if not request.key:
        raise errors.empty_key()
    if request.ignore_value and request.value:
        raise errors.value_provided()
    if request.ignore_lease and request.lease:
        raise errors.lease_provided()


def check_delete(request: rpc_pb2.DeleteRangeRequest) -> None:
    """A deletion needs a key."""
    if not request.key:
        raise errors.empty_key()


def check_txn(request: rpc_pb2.TxnRequest) -> None:
    """Shape of the whole tree first, then duplicate keys of `success`, then of `failure`."""
    _check_txn_shape(request, OPERATIONS_MAX)
    written_keys(request.success)
    written_keys(request.failure)


def _check_txn_shape(request: rpc_pb2.TxnRequest, operations_max: int) -> None:
    widest = max(len(request.compare), len(request.success), len(request.failure))
    if widest > operations_max:
        raise errors.too_many_operations()
    if any(not compare.key for compare in request.compare):
        raise errors.empty_key()
    for operation in (*request.success, *request.failure):
        _check_operation(operation, operations_max - widest)


def _check_operation(operation: rpc_pb2.RequestOp, operations_max: int) -> None:
    match operation.WhichOneof("request"):
        case "request_range":
            check_range(operation.request_range)
        case "request_put":
            check_put(operation.request_put)
        case "request_delete_range":
            check_delete(operation.request_delete_range)
        case "request_txn":
            _check_txn_shape(operation.request_txn, operations_max)
        case _:
            raise errors.key_not_found()


def written_keys(
    operations: Iterable[rpc_pb2.RequestOp],
) -> tuple[set[bytes], list[Deletion]]:
    """Return the keys put and the ranges deleted by a branch, or raise `duplicate_key`.

    A put may not meet another put or a deletion of its own branch, but then and else of a nested
    transaction exclude each other. Two peculiarities of etcd are kept: of two sibling transactions
    the deletions of the earlier one meet the puts of the later one and not the other way round, and
    a deletion up to the end of the key space (range_end = 0x00) meets nothing, because the check
    reads its end as a key.
    """
    branch = list(operations)
    deletions = [
        (op.request_delete_range.key, op.request_delete_range.range_end)
        for op in branch
        if op.WhichOneof("request") == "request_delete_range"
    ]
    puts: set[bytes] = set()
    for op in branch:
        if op.WhichOneof("request") != "request_txn":
            continue
        puts_then, deletions_then = written_keys(op.request_txn.success)
        puts_else, deletions_else = written_keys(op.request_txn.failure)
        for key in (*puts_then, *puts_else):
            if key in puts or _is_deleted(key, deletions):
                raise errors.duplicate_key()
        puts |= puts_then | puts_else
        deletions += deletions_then + deletions_else
    for op in branch:
        if op.WhichOneof("request") != "request_put":
            continue
        key = op.request_put.key
        if key in puts or _is_deleted(key, deletions):
            raise errors.duplicate_key()
        puts.add(key)
    return puts, deletions


def _is_deleted(key: bytes, deletions: Iterable[Deletion]) -> bool:
    return any(key == start if not end else start <= key < end for start, end in deletions)
