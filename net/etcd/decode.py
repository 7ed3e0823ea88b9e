"""Protobuf requests to core operations: parse once, decide nothing.

`DecodeError` of protobuf flies to the caller, which answers as grpc-go does for a message it
cannot unmarshal.
"""

from core.operations import (
    Compare,
    CompareTarget,
    DeleteRange,
    Operation,
    Put,
    Range,
    Txn,
)
from net.etcd.pb import rpc_pb2 as pb

_VALUE = CompareTarget.VALUE
_OPERANDS: dict[int, str] = {
    CompareTarget.VERSION: "version",
    CompareTarget.CREATE: "create_revision",
    CompareTarget.MOD: "mod_revision",
    CompareTarget.LEASE: "lease",
}


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
    union = message.WhichOneof("target_union")
    operand: int | bytes
    # An operand of another target than the one asked for counts as unset, as in etcd.
    if target == _VALUE:
        operand = message.value if union == "value" else b""
    elif union is not None and union == _OPERANDS.get(target):
        operand = getattr(message, union)
    else:
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
