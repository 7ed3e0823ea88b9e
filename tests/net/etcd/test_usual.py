"""What is read by hand is what protobuf reads; every other message is left to protobuf.

The mutations know the wire: they cut, double, reorder and re-encode fields at any depth, so that
lengths stay true where a change of bytes alone would end at the first of them.
"""

import random
from collections.abc import Iterator

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from core.checks import check_put, check_txn
from core.operations import Put, Txn, is_readonly
from net.etcd import decode
from net.etcd.pb import rpc_pb2 as pb
from net.etcd.usual import usual_put, usual_txn

KEYS = (b"k", b"/registry/pods/default/pod-000123", b"\x12" * 9, b"n" * 110, b"n" * 124, b"n" * 200)
REVISIONS = (0, 1, 127, 128, 300, 16383, 16384, 123_456, 1 << 21, 1 << 35, (1 << 63) - 1, -1)
VALUES = (b"", b"v", b"v" * 80, b"v" * 127, b"v" * 128, b"v" * 512, b"v" * 17_000, b"v" * 2_100_000)
LEASES = (0, 1, 200, 7_587_869_362_023, (1 << 63) - 1, -5)


def put_of(key: bytes, value: bytes, lease: int) -> pb.PutRequest:
    return pb.PutRequest(key=key, value=value, lease=lease)


def txn_of(key: bytes, revision: int, put: pb.PutRequest | None, reads: bool) -> pb.TxnRequest:
    compare = pb.Compare(target=pb.Compare.MOD, key=key, mod_revision=revision)
    if put is None:
        done = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
    else:
        done = pb.RequestOp(request_put=put)
    get = pb.RequestOp(request_range=pb.RangeRequest(key=key))
    return pb.TxnRequest(compare=[compare], success=[done], failure=[get] if reads else [])


def judge_put(message: bytes) -> bool:
    """Hold one message against protobuf; whether it was read by hand."""
    found = usual_put(message)
    if found is None:
        return False
    assert repr(found) == repr(decode.put_command(pb.PutRequest.FromString(message)))
    assert check_put(found) is None
    return True


def judge_txn(message: bytes) -> bool:
    """Hold one message against protobuf; whether it was read by hand."""
    found = usual_txn(message)
    if found is None:
        return False
    assert repr(found) == repr(decode.txn_command(pb.TxnRequest.FromString(message)))
    assert check_txn(found, 1) is None
    assert not is_readonly(found)
    return True


@pytest.mark.parametrize("key", KEYS[:4])
@pytest.mark.parametrize("value", VALUES)
def test_what_clients_of_kubernetes_send_is_read_by_hand(key: bytes, value: bytes) -> None:
    for lease in LEASES[:-1]:
        put = put_of(key, value, lease)
        assert judge_put(put.SerializeToString())
        for revision in REVISIONS[:-1]:
            for reads in (False, True):
                assert judge_txn(txn_of(key, revision, put, reads).SerializeToString())
                assert judge_txn(txn_of(key, revision, None, reads).SerializeToString())


def test_other_forms_are_left_to_protobuf() -> None:
    put = put_of(b"k", b"v", 0)
    other = txn_of(b"k", 5, put, reads=True)
    other.compare[0].result = pb.Compare.GREATER
    longer = txn_of(b"k", 5, put, reads=True)
    longer.failure[0].request_range.range_end = b"l"
    elsewhere = txn_of(b"k", 5, put, reads=True)
    elsewhere.failure[0].request_range.key = b"j"
    negative = txn_of(b"k", -1, put, reads=True)
    twice = txn_of(b"k", 5, put, reads=True)
    twice.success.add().request_put.key = b"l"
    for message in (other, longer, elsewhere, negative, twice, pb.TxnRequest()):
        assert usual_txn(message.SerializeToString()) is None
    for flagged in (
        pb.PutRequest(key=b"k", prev_kv=True),
        pb.PutRequest(key=b"k", ignore_value=True),
        pb.PutRequest(key=b"k", lease=-5),
        pb.PutRequest(value=b"v"),
    ):
        assert usual_put(flagged.SerializeToString()) is None


def test_a_put_may_be_of_another_key_than_the_compare() -> None:
    message = txn_of(b"k", 5, put_of(b"other", b"v", 0), reads=True)
    found = usual_txn(message.SerializeToString())
    assert isinstance(found, Txn)
    assert found.success == (Put(b"other", b"v"),)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_protobuf_reads_them(message: bytes) -> None:
    judge_put(message)
    judge_txn(message)


@given(st.data())
def test_changed_bytes_are_read_as_protobuf_reads_them(data: st.DataObject) -> None:
    key, value = data.draw(st.binary(max_size=8)), data.draw(st.binary(max_size=8))
    put = put_of(key, value, data.draw(st.integers(0, 300)))
    kept = txn_of(key, data.draw(st.integers(0, 1 << 20)), put, data.draw(st.booleans()))
    for message, judge in ((put, judge_put), (kept, judge_txn)):
        changed = bytearray(message.SerializeToString())
        for _ in range(data.draw(st.integers(0, 3))):
            if changed:
                at = data.draw(st.integers(0, len(changed) - 1))
                changed[at] = data.draw(st.integers(0, 255))
        judge(bytes(changed))


def test_changed_fields_are_read_as_protobuf_reads_them() -> None:
    chance = random.Random(7)
    assert sum(mutants_read(chance, 4_000)) > 400


def mutants_read(chance: random.Random, count: int) -> Iterator[bool]:
    """Judge mutants; of each, whether it was still read by hand."""
    for _ in range(count):
        key = chance.choice(KEYS[:5])
        put = put_of(key, chance.choice(VALUES[:-2]), chance.choice(LEASES))
        if chance.random() < 0.3:
            yield judge_put(mutated(chance, put.SerializeToString(), ""))
        else:
            whole = None if chance.random() < 0.2 else put
            kept = txn_of(key, chance.choice(REVISIONS), whole, chance.random() < 0.7)
            yield judge_txn(mutated(chance, kept.SerializeToString(), "mmm"))


def mutated(chance: random.Random, message: bytes, nested: str) -> bytes:
    """Return a message with up to two of its fields changed, at any depth that is messages."""
    fields = list(split(message))
    for _ in range(chance.choice((0, 1, 1, 2))):
        at = chance.randrange(len(fields)) if fields else 0
        match chance.randrange(8):
            case 0 if fields:
                del fields[at]
            case 1 if fields:
                fields.insert(chance.randrange(len(fields)), fields[at])
            case 2:
                chance.shuffle(fields)
            case 3 if fields:
                tag, body = fields[at]
                fields[at] = (tag ^ 1 << chance.randrange(7), body)
            case 4 if fields:
                tag, body = fields[at]
                fields[at] = (tag, body if isinstance(body, int) else body[:-1])
            case 5:
                fields.insert(at, (chance.choice((8, 16, 24, 26, 32, 40, 50)), b"x"))
            case _ if fields:
                tag, body = fields[at]
                if nested and isinstance(body, bytes):
                    fields[at] = (tag, mutated(chance, body, nested[1:]))
                elif isinstance(body, int):
                    fields[at] = (tag, chance.choice((0, 1, 2, 3, 127, 128, 1 << 31, 1 << 63)))
            case _:
                pass
    out = bytearray()
    for tag, body in fields:
        if isinstance(body, int):
            out += number(chance, tag & ~7) + number(chance, body)
        else:
            out += number(chance, tag) + number(chance, len(body)) + body
    if chance.random() < 0.02:
        del out[chance.randrange(len(out) + 1) :]
    return bytes(out)


def split(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield tag and body of each field; all are numbers or have a length."""
    at = 0
    while at < len(message):
        tag, at = number_at(message, at)
        body, at = number_at(message, at)
        if tag & 7 == 0:
            yield tag, body
        elif tag & 7 == 2:
            yield tag, message[at : at + body]
            at += body
        else:
            return


def number_at(message: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while at < len(message):
        byte = message[at]
        found |= (byte & 127) << shift
        shift += 7
        at += 1
        if byte < 128:
            break
    return found, at


def number(chance: random.Random, value: int) -> bytes:
    """Return a number, now and then longer than it need be."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    if chance.random() < 0.01:
        out += bytes((value | 128, *(128,) * chance.randrange(9), 0))
    else:
        out.append(value)
    return bytes(out)


def test_what_protobuf_refuses_is_not_read_by_hand() -> None:
    chance = random.Random(11)
    refused = 0
    for _ in range(2_000):
        kept = txn_of(b"key", 77, put_of(b"key", b"value", 9), reads=True).SerializeToString()
        cut = kept[: chance.randrange(len(kept))] + chance.randbytes(chance.randrange(3))
        try:
            pb.TxnRequest.FromString(cut)
        except DecodeError:
            refused += 1
            assert usual_txn(cut) is None
            assert usual_put(cut) is None or pb.PutRequest.FromString(cut)
    assert refused > 1_000
