"""Protobuf requests to core operations: parse once, decide nothing.

`DecodeError` of protobuf flies to the caller, which answers as grpc-go does for a message it
cannot unmarshal.
"""

from core.operations import (
    Compare,
    DeleteRange,
    Operation,
    Put,
    Range,
    Txn,
)
from net.etcd.pb import rpc_pb2 as pb


def range_query(message: pb.RangeRequest) -> Range:
    """Return a range's fields."""
    return Range(
        message.key,
        message.range_end,
        message.limit,
        message.revision,
        message.sort_order,
        message.sort_target,
        message.serializable,
        message.keys_only,
        message.count_only,
        message.min_mod_revision,
        message.max_mod_revision,
        message.min_create_revision,
        message.max_create_revision,
    )


def put_command(message: pb.PutRequest) -> Put:
    """Return a put's fields."""
    return Put(
        message.key,
        message.value,
        message.lease,
        message.prev_kv,
        message.ignore_value,
        message.ignore_lease,
    )


def delete_command(message: pb.DeleteRangeRequest) -> DeleteRange:
    """Return a delete's fields."""
    return DeleteRange(message.key, message.range_end, message.prev_kv)


def txn_command(message: pb.TxnRequest) -> Txn:
    """Return a transaction's fields; an operation with nothing set becomes None."""
    return Txn(
        tuple(map(_compare, message.compare)),
        tuple(map(_operation, message.success)),
        tuple(map(_operation, message.failure)),
    )


def _compare(message: pb.Compare) -> Compare:
    target: int = message.target
    operand: int | bytes
    # An operand of another target than the one asked for counts as unset, as in etcd; reading a
    # member of the union that is not set gives its zero.
    match target:
        case 2:
            operand = message.mod_revision
        case 0:
            operand = message.version
        case 1:
            operand = message.create_revision
        case 3:
            operand = message.value
        case 4:
            operand = message.lease
        case _:
            operand = 0
    return Compare(message.result, target, message.key, message.range_end, operand)


def _operation(message: pb.RequestOp) -> Operation:
    kind = message.WhichOneof("request")
    if kind == "request_put":
        return put_command(message.request_put)
    if kind == "request_range":
        return range_query(message.request_range)
    if kind == "request_delete_range":
        return delete_command(message.request_delete_range)
    if kind == "request_txn":
        return txn_command(message.request_txn)
    return None  # type: ignore[return-value]  # refused by core.checks before it goes further
