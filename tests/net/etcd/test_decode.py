"""Requests come out field for field; what a client leaves out, or adds, is no fault."""

import random

import pytest
from google.protobuf.message import DecodeError, Message

from core.operations import Compare, DeleteRange, Put, Range, Txn
from net.etcd import decode
from net.etcd.pb import rpc_pb2 as pb
from tests.arbitrary_messages import arbitrary

UNKNOWN_FIELDS = b"\xfa\x3e\x03new" + b"\xf0\x3e\x07" + b"\xfd\x3e\1\2\3\4"
"""Fields 1006 to 1007, of three wire types, that no version of etcd knows."""


def again(message: Message, extra: bytes = b"") -> Message:
    """The message as it comes from the wire, with fields that nobody knows behind it."""
    return type(message).FromString(message.SerializeToString() + extra)


def test_a_range_has_all_its_fields() -> None:
    message = pb.RangeRequest(
        key=b"k",
        range_end=b"l",
        limit=3,
        revision=4,
        sort_order=pb.RangeRequest.DESCEND,
        sort_target=pb.RangeRequest.MOD,
        serializable=True,
        keys_only=False,
        count_only=True,
        min_mod_revision=5,
        max_mod_revision=6,
        min_create_revision=7,
        max_create_revision=8,
    )
    expected = Range(b"k", b"l", 3, 4, 2, 3, True, False, True, 5, 6, 7, 8)
    assert decode.range_query(message) == expected
    message = pb.RangeRequest(key=b"k", keys_only=True)
    assert decode.range_query(message) == Range(b"k", keys_only=True)


def test_a_put_has_all_its_fields() -> None:
    message = pb.PutRequest(key=b"k", value=b"v", lease=-3, prev_kv=True)
    assert decode.put_command(message) == Put(b"k", b"v", -3, True, False, False)
    message = pb.PutRequest(key=b"k", ignore_value=True)
    assert decode.put_command(message) == Put(b"k", b"", 0, False, True, False)
    message = pb.PutRequest(key=b"k", ignore_lease=True)
    assert decode.put_command(message) == Put(b"k", b"", 0, False, False, True)


def test_a_delete_has_all_its_fields() -> None:
    message = pb.DeleteRangeRequest(key=b"k", range_end=b"l", prev_kv=True)
    assert decode.delete_command(message) == DeleteRange(b"k", b"l", True)


def test_a_transaction_keeps_the_order_of_its_operations_and_their_branches() -> None:
    get = pb.RequestOp(request_range=pb.RangeRequest(key=b"g"))
    put = pb.RequestOp(request_put=pb.PutRequest(key=b"p"))
    delete = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"d"))
    inner = pb.RequestOp(request_txn=pb.TxnRequest(success=[put], failure=[delete]))
    txn = decode.txn_command(pb.TxnRequest(success=[get, inner, put], failure=[delete]))
    nested = Txn((), (Put(b"p"),), (DeleteRange(b"d"),))
    assert txn == Txn((), (Range(b"g"), nested, Put(b"p")), (DeleteRange(b"d"),))


@pytest.mark.parametrize(
    ("message", "operand"),
    [
        (pb.Compare(target=pb.Compare.VERSION, version=3), 3),
        (pb.Compare(target=pb.Compare.CREATE, create_revision=-4), -4),
        (pb.Compare(target=pb.Compare.MOD, mod_revision=5), 5),
        (pb.Compare(target=pb.Compare.VALUE, value=b"v"), b"v"),
        (pb.Compare(target=pb.Compare.VALUE, value=b""), b""),
        (pb.Compare(target=pb.Compare.LEASE, lease=1 << 62), 1 << 62),
        (pb.Compare(target=pb.Compare.MOD, mod_revision=0), 0),
    ],
)
def test_a_compare_has_the_operand_of_its_target(message: pb.Compare, operand: object) -> None:
    message.key, message.range_end, message.result = b"k", b"l", pb.Compare.LESS
    (compare,) = decode.txn_command(pb.TxnRequest(compare=[message])).compares
    assert compare == Compare(2, message.target, b"k", b"l", operand)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "operand"),
    [
        (pb.Compare(target=pb.Compare.VALUE), b""),
        (pb.Compare(target=pb.Compare.VALUE, version=3), b""),
        (pb.Compare(target=pb.Compare.MOD), 0),
        (pb.Compare(target=pb.Compare.MOD, value=b"v"), 0),
        (pb.Compare(target=pb.Compare.MOD, version=3), 0),
        (pb.Compare(target=pb.Compare.VERSION, mod_revision=3), 0),
    ],
)
def test_an_operand_of_another_target_counts_as_unset(message: pb.Compare, operand: object) -> None:
    (compare,) = decode.txn_command(pb.TxnRequest(compare=[message])).compares
    assert compare.operand == operand


def test_numbers_that_no_enum_has_are_handed_on() -> None:
    # upb keeps what the wire says, also where no name belongs to it.
    message = pb.RangeRequest.FromString(b"\x0a\x01k\x28\x63\x30\x62")
    query = decode.range_query(message)
    assert (query.sort_order, query.sort_target) == (99, 98)
    compare = pb.Compare.FromString(b"\x08\x63\x10\x62\x1a\x01k\x20\x05")
    (found,) = decode.txn_command(pb.TxnRequest(compare=[compare])).compares
    assert found == Compare(99, 98, b"k", b"", 0)


def test_an_operation_with_nothing_set_is_none() -> None:
    txn = decode.txn_command(pb.TxnRequest(success=[pb.RequestOp()], failure=[pb.RequestOp()]))
    assert txn == Txn((), (None,), (None,))  # type: ignore[arg-type]  # what checks refuse


def test_what_is_not_there_is_nothing() -> None:
    assert decode.range_query(pb.RangeRequest()) == Range(b"")
    assert decode.put_command(pb.PutRequest()) == Put(b"")
    assert decode.delete_command(pb.DeleteRangeRequest()) == DeleteRange(b"")
    assert decode.txn_command(pb.TxnRequest()) == Txn((), (), ())


@pytest.mark.parametrize("seed", range(30))
def test_fields_that_nobody_knows_change_nothing(seed: int) -> None:
    chance = random.Random(seed)
    for kind, into in (
        (pb.RangeRequest, decode.range_query),
        (pb.PutRequest, decode.put_command),
        (pb.DeleteRangeRequest, decode.delete_command),
        (pb.TxnRequest, decode.txn_command),
    ):
        message = arbitrary(chance, kind)
        assert into(again(message, UNKNOWN_FIELDS)) == into(message)  # type: ignore[arg-type]  # each its own


def test_the_last_of_a_field_that_comes_twice_counts() -> None:
    put = pb.PutRequest.FromString(b"\x0a\x01a\x0a\x01b")
    assert decode.put_command(put) == Put(b"b")


@pytest.mark.parametrize("data", [b"\x0a\x05k", b"\xff", b"\x0b", b"\x0a\xff\xff\xff\xff\x0f"])
def test_bytes_that_are_no_message_are_refused_by_the_parser(data: bytes) -> None:
    with pytest.raises(DecodeError):
        pb.PutRequest.FromString(data)
