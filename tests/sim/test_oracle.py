"""What the oracle is, in sentences; that it is etcd is told by tests/differential."""

import pytest
from google.protobuf.message import Message

from net.etcd.pb import rpc_pb2
from sim.oracle import Oracle
from sim.oracle_errors import Code, OracleError
from sim.oracle_range import ETCD_3_7


def put(oracle: Oracle, key: bytes, value: bytes = b"1", lease: int = 0) -> int:
    """Put, and return the revision."""
    return oracle.put(rpc_pb2.PutRequest(key=key, value=value, lease=lease)).header.revision


def delete(oracle: Oracle, key: bytes, range_end: bytes = b"") -> rpc_pb2.DeleteRangeResponse:
    return oracle.delete_range(rpc_pb2.DeleteRangeRequest(key=key, range_end=range_end))


def read(oracle: Oracle, key: bytes, range_end: bytes = b"", revision: int = 0) -> list[str]:
    """Return key@create.mod.version=value of a range."""
    request = rpc_pb2.RangeRequest(key=key, range_end=range_end, revision=revision)
    return [
        f"{kv.key.decode()}@{kv.create_revision}.{kv.mod_revision}.{kv.version}={kv.value.decode()}"
        for kv in oracle.range(request).kvs
    ]


def refusal(oracle: Oracle, method: str, request: Message) -> tuple[Code, str]:
    with pytest.raises(OracleError) as raised:
        oracle.call(method, request)
    return raised.value.code, raised.value.text.removeprefix("etcdserver: ")


def watch(oracle: Oracle, start: int, key: bytes = b"a") -> list[str]:
    """Return what a watch from a revision is sent: kind and revision of each response."""
    stream = oracle.open_watch_stream()
    create = rpc_pb2.WatchCreateRequest(key=key, start_revision=start)
    stream.request(rpc_pb2.WatchRequest(create_request=create))
    return [
        f"compacted {response.compact_revision}"
        if response.compact_revision
        else ("created" if response.created else f"event {response.events[0].kv.mod_revision}")
        for response in stream.responses
    ]


def test_a_fresh_store_is_at_revision_1_and_was_never_compacted() -> None:
    response = Oracle().hash_kv(rpc_pb2.HashKVRequest())
    assert (response.header.revision, response.compact_revision) == (1, -1)


def test_a_deleted_key_begins_a_new_generation() -> None:
    oracle = Oracle()
    put(oracle, b"a")
    put(oracle, b"a", b"2")
    delete(oracle, b"a")
    put(oracle, b"a", b"3")
    assert read(oracle, b"a") == ["a@5.5.1=3"]
    assert read(oracle, b"a", revision=4) == []
    assert read(oracle, b"a", revision=3) == ["a@2.3.2=2"]


def test_a_deletion_that_finds_nothing_makes_no_revision() -> None:
    oracle = Oracle()
    put(oracle, b"a")
    response = delete(oracle, b"b", b"\0")
    assert (response.deleted, response.header.revision, oracle.history.revision) == (0, 2, 2)


def test_all_changes_of_a_transaction_share_a_revision_and_ranges_see_them() -> None:
    oracle = Oracle()
    ops = [
        rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"a")),
        rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"b")),
        rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=b"a", range_end=b"\0")),
    ]
    response = oracle.txn(rpc_pb2.TxnRequest(success=ops))
    assert [kv.mod_revision for kv in response.responses[2].response_range.kvs] == [2, 2]
    assert response.header.revision == 2


def test_a_compaction_keeps_its_own_revision_and_the_tombstone_at_it() -> None:
    oracle = Oracle()
    put(oracle, b"a")
    delete(oracle, b"a")
    put(oracle, b"b")
    oracle.compact(rpc_pb2.CompactionRequest(revision=3))
    assert watch(oracle, 3) == ["created", "event 3"]
    assert watch(oracle, 2) == ["created", "compacted 3"]
    assert read(oracle, b"\0", b"\0", revision=3) == []
    compacted = (Code.OUT_OF_RANGE, "mvcc: required revision has been compacted")
    assert refusal(oracle, "Range", rpc_pb2.RangeRequest(key=b"a", revision=2)) == compacted


def test_a_key_belongs_to_the_lease_of_its_newest_record() -> None:
    oracle = Oracle()
    for lease_id in (1, 2):
        oracle.lease_grant(rpc_pb2.LeaseGrantRequest(ID=lease_id, TTL=10))
    put(oracle, b"a", lease=1)
    put(oracle, b"a", lease=2)
    put(oracle, b"b", lease=2)
    put(oracle, b"b")
    assert (oracle.attached(1), oracle.attached(2)) == ([], [b"a"])


def test_a_lease_ends_at_its_deadline_unless_it_was_renewed() -> None:
    oracle = Oracle()
    for lease_id in (1, 2):
        oracle.lease_grant(rpc_pb2.LeaseGrantRequest(ID=lease_id, TTL=10))
        put(oracle, b"a/%d" % lease_id, lease=lease_id)
    oracle.tick(9_999)
    oracle.lease_keep_alive(rpc_pb2.LeaseKeepAliveRequest(ID=2))
    oracle.tick(10_000)
    assert read(oracle, b"a/", b"a0") == ["a/2@3.3.1=1"]
    assert oracle.history.revision == 4


def test_the_first_fault_of_a_request_is_told() -> None:
    oracle = Oracle()
    both = rpc_pb2.PutRequest(key=b"a", lease=9, ignore_value=True)
    in_txn = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=both)])
    no_lease = (Code.NOT_FOUND, "requested lease not found")
    no_key = (Code.INVALID_ARGUMENT, "key not found")
    assert refusal(oracle, "Put", both) == no_lease
    assert refusal(oracle, "Txn", in_txn) == no_key
    assert refusal(Oracle(ETCD_3_7), "Txn", in_txn) == no_lease


def test_an_alarm_forbids_writing_and_lets_delete() -> None:
    oracle = Oracle()
    put(oracle, b"a")
    raised = rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.ACTIVATE, alarm=rpc_pb2.NOSPACE)
    oracle.call("Alarm", raised)
    no_space = (Code.RESOURCE_EXHAUSTED, "mvcc: database space exceeded")
    assert refusal(oracle, "Put", rpc_pb2.PutRequest(key=b"a", lease=9)) == no_space
    assert delete(oracle, b"a").deleted == 1
