"""Each RPC of keys, leases, watches and alarms over the wire: the good way and every refusal."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from core.limits import LEASE_TTL_S_MAX
from net.etcd.pb import rpc_pb2 as pb
from net.http2.stream import Kind
from tests.arbitrary_messages import arbitrary
from tests.grpc_world import KEEPALIVE, KV, LEASE, MAINTENANCE, WATCH, Client, GrpcWorld, put

INVALID, NOT_FOUND, EXHAUSTED, FAILED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL = (
    3,
    5,
    8,
    9,
    11,
    12,
    13,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GrpcWorld]:
    made = GrpcWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(world: GrpcWorld) -> Client:
    return world.connect()


def header(revision: int) -> pb.ResponseHeader:
    return pb.ResponseHeader(cluster_id=77, member_id=1, revision=revision, raft_term=1)


def kv(key: bytes, mod: int, value: bytes = b"v") -> dict[str, object]:
    return {"key": key, "value": value, "mod_revision": mod, "create_revision": mod, "version": 1}


def response(kind: type[Message], revision: int, **fields: object) -> Message:
    made = kind(**fields)
    made.header.CopyFrom(header(revision))  # type: ignore[attr-defined]  # all have one
    return made


# The good way.


def test_keys_are_put_read_and_deleted(client: Client) -> None:
    assert client.call(KV + "Put", put(b"a")) == response(pb.PutResponse, 2)
    assert client.call(KV + "Put", put(b"b", lease=0)) == response(pb.PutResponse, 3)
    ranged = client.call(KV + "Range", pb.RangeRequest(key=b"a", range_end=b"z", limit=1))
    assert ranged == response(pb.RangeResponse, 3, kvs=[kv(b"a", 2)], more=True, count=2)
    deleted = client.call(KV + "DeleteRange", pb.DeleteRangeRequest(key=b"a", prev_kv=True))
    assert deleted == response(pb.DeleteRangeResponse, 4, deleted=1, prev_kvs=[kv(b"a", 2)])
    ranged = client.call(KV + "Range", pb.RangeRequest(key=b"a", revision=3, serializable=True))
    assert ranged == response(pb.RangeResponse, 4, kvs=[kv(b"a", 2)], count=1)


def test_a_transaction_is_answered_branch_by_branch(client: Client) -> None:
    request = pb.TxnRequest(
        compare=[pb.Compare(key=b"a", target=pb.Compare.VERSION, version=0)],
        success=[
            pb.RequestOp(request_put=put(b"a")),
            pb.RequestOp(request_range=pb.RangeRequest(key=b"a", count_only=True)),
        ],
        failure=[pb.RequestOp(request_range=pb.RangeRequest(key=b"a"))],
    )
    inner = pb.ResponseHeader(revision=2)
    assert client.call(KV + "Txn", request) == response(
        pb.TxnResponse,
        2,
        succeeded=True,
        responses=[
            pb.ResponseOp(response_put=pb.PutResponse(header=inner)),
            pb.ResponseOp(response_range=pb.RangeResponse(header=inner, count=1)),
        ],
    )
    ranged = pb.RangeResponse(
        header=inner, kvs=[pb.RangeResponse(kvs=[kv(b"a", 2)]).kvs[0]], count=1
    )
    assert client.call(KV + "Txn", request) == response(
        pb.TxnResponse, 2, succeeded=False, responses=[pb.ResponseOp(response_range=ranged)]
    )


def test_a_range_is_streamed(client: Client) -> None:
    for number in range(15):
        client.call(KV + "Put", put(b"k%02d" % number))
    heard = client.ask(KV + "RangeStream", pb.RangeRequest(key=b"k", range_end=b"l"))
    assert heard.status == (0, "")
    chunks = [pb.RangeStreamResponse.FromString(m).range_response for m in heard.messages()]
    assert [len(chunk.kvs) for chunk in chunks] == [10, 5]
    assert [chunk.HasField("header") for chunk in chunks] == [False, True]
    assert (chunks[-1].count, chunks[-1].header) == (15, header(16))


def test_a_compaction_forgets_history(client: Client) -> None:
    for _ in range(3):
        client.call(KV + "Put", put(b"a"))
    for request in (
        pb.CompactionRequest(revision=2),
        pb.CompactionRequest(revision=3, physical=True),
    ):
        assert client.call(KV + "Compact", request) == response(pb.CompactionResponse, 4)


def test_a_lease_lives(world: GrpcWorld, client: Client) -> None:
    granted = client.call(LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=9, TTL=60))
    assert granted == response(pb.LeaseGrantResponse, 1, ID=9, TTL=60)
    drawn = client.call(LEASE + "LeaseGrant", pb.LeaseGrantRequest(TTL=90))
    assert isinstance(drawn, pb.LeaseGrantResponse)
    assert drawn.ID > 0
    client.call(KV + "Put", put(b"a", lease=9))
    world.turn(after_ms=100)
    left = client.call(LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=9, keys=True))
    assert left == response(pb.LeaseTimeToLiveResponse, 2, ID=9, TTL=59, grantedTTL=60, keys=[b"a"])
    listed = client.call(LEASE + "LeaseLeases", pb.LeaseLeasesRequest())
    assert isinstance(listed, pb.LeaseLeasesResponse)
    assert [lease.ID for lease in listed.leases] == [9, drawn.ID]
    revoked = client.call(LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=9))
    assert revoked == response(pb.LeaseRevokeResponse, 3)
    gone = client.call(LEASE + "LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=9))
    assert gone == response(pb.LeaseTimeToLiveResponse, 3, ID=9, TTL=-1)


def test_keepalives_are_answered_in_order_to_the_end(world: GrpcWorld, client: Client) -> None:
    client.call(LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=9, TTL=60))
    stream = client.begin(KEEPALIVE)
    for lease_id in (9, 8, 9):
        client.send(stream, pb.LeaseKeepAliveRequest(ID=lease_id))
    client.half_close(stream)
    world.settle()
    heard = client.streams[stream]
    kept = [pb.LeaseKeepAliveResponse.FromString(m) for m in heard.messages()]
    assert [(each.ID, each.TTL) for each in kept] == [(9, 60), (8, 0), (9, 60)]
    assert heard.status == (0, "")


def test_a_watch_lives(world: GrpcWorld, client: Client) -> None:
    stream = client.watch(pb.WatchCreateRequest(key=b"a"))
    assert client.streams[stream].headers["content-type"] == "application/grpc"
    client.call(KV + "Put", put(b"a"))
    client.send(stream, pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
    cancel = pb.WatchCancelRequest(watch_id=0)
    client.send(stream, pb.WatchRequest(cancel_request=cancel))
    world.settle()
    created, events, progress, canceled = client.watched(stream)
    assert created == response(pb.WatchResponse, 1, created=True)
    assert [event.kv.mod_revision for event in events.events] == [2]
    assert progress == response(pb.WatchResponse, 2, watch_id=-1)
    assert canceled == response(pb.WatchResponse, 2, canceled=True)
    client.half_close(stream)
    world.settle()
    assert client.streams[stream].status == (0, "")


def test_a_watch_takes_filters_and_prev_kv_from_the_wire(world: GrpcWorld, client: Client) -> None:
    client.call(KV + "Put", put(b"a", b"1"))
    request = pb.WatchCreateRequest(
        key=b"a",
        start_revision=2,
        prev_kv=True,
        filters=[pb.WatchCreateRequest.NODELETE],
        watch_id=4,
    )
    stream = client.watch(request)
    client.call(KV + "DeleteRange", pb.DeleteRangeRequest(key=b"a"))
    client.call(KV + "Put", put(b"a", b"2"))
    client.call(KV + "Put", put(b"a", b"3"))
    _, *told = client.watched(stream)
    shown = [(e.kv.value, e.prev_kv.value) for each in told for e in each.events]
    assert shown == [(b"1", b""), (b"2", b""), (b"3", b"2")]
    assert {each.watch_id for each in told} == {4}


def test_an_alarm_is_raised_listed_and_cleared(client: Client) -> None:
    raised = pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, memberID=5, alarm=pb.NOSPACE)
    member = [pb.AlarmMember(memberID=5, alarm=pb.NOSPACE)]
    assert client.call(MAINTENANCE + "Alarm", raised) == response(
        pb.AlarmResponse, 1, alarms=member
    )
    listing = pb.AlarmRequest(action=pb.AlarmRequest.GET)
    assert client.call(MAINTENANCE + "Alarm", listing) == response(
        pb.AlarmResponse, 1, alarms=member
    )
    space = "etcdserver: mvcc: database space exceeded"
    assert client.refused(KV + "Put", put(b"a")) == (EXHAUSTED, space)
    assert client.refused(LEASE + "LeaseGrant", pb.LeaseGrantRequest(TTL=5)) == (EXHAUSTED, space)
    client.call(KV + "DeleteRange", pb.DeleteRangeRequest(key=b"a"))
    cleared = pb.AlarmRequest(action=pb.AlarmRequest.DEACTIVATE, memberID=5, alarm=pb.NOSPACE)
    client.call(MAINTENANCE + "Alarm", cleared)
    client.call(KV + "Put", put(b"a"))


def test_a_hash_is_the_same_however_often_it_is_asked(client: Client) -> None:
    client.call(KV + "Put", put(b"a"))
    one = client.call(MAINTENANCE + "HashKV", pb.HashKVRequest())
    assert isinstance(one, pb.HashKVResponse)
    assert (one.compact_revision, one.hash_revision) == (-1, 2)
    assert client.call(MAINTENANCE + "HashKV", pb.HashKVRequest(revision=2)) == one


# Every refusal.


def _op(**request: Message) -> pb.RequestOp:
    return pb.RequestOp(**request)  # type: ignore[arg-type]  # by field


def _txn(*ops: pb.RequestOp) -> pb.TxnRequest:
    return pb.TxnRequest(success=ops)


def _get(key: bytes = b"a", **fields: int) -> pb.RangeRequest:
    return pb.RangeRequest(key=key, **fields)  # type: ignore[arg-type]  # by field


REFUSALS: list[tuple[str, Message, int, str]] = [
    (KV + "Range", _get(b""), INVALID, "key is not provided"),
    (KV + "Range", _get(sort_order=7), INVALID, "invalid sort option"),
    (KV + "Range", _get(sort_target=7), INVALID, "invalid sort option"),
    (KV + "Range", _get(revision=99), OUT_OF_RANGE, "mvcc: required revision is a future revision"),
    (KV + "Range", _get(revision=1), OUT_OF_RANGE, "mvcc: required revision has been compacted"),
    (KV + "RangeStream", _get(b""), INVALID, "key is not provided"),
    (KV + "RangeStream", _get(revision=99), OUT_OF_RANGE,
     "mvcc: required revision is a future revision"),
    (KV + "RangeStream", _get(revision=1), OUT_OF_RANGE,
     "mvcc: required revision has been compacted"),
    (KV + "Put", put(b""), INVALID, "key is not provided"),
    (KV + "Put", put(b"a", lease=3), NOT_FOUND, "requested lease not found"),
    (KV + "Put", put(b"a", ignore_value=True), INVALID, "value is provided"),
    (KV + "Put", put(b"a", lease=3, ignore_lease=True), INVALID, "lease is provided"),
    (KV + "Put", put(b"none", b"", ignore_value=True), INVALID, "key not found"),
    (KV + "Put", put(b"none", ignore_lease=True), INVALID, "key not found"),
    (KV + "Put", put(b"a", b"v" * (1 << 22)), EXHAUSTED, ""),
    (KV + "DeleteRange", pb.DeleteRangeRequest(), INVALID, "key is not provided"),
    (KV + "Txn", _txn(*[_op(request_range=_get())] * 129), INVALID,
     "too many operations in txn request"),
    (KV + "Txn", _txn(*[_op(request_put=put(b"x"))] * 2), INVALID,
     "duplicate key given in txn request"),
    (KV + "Txn", _txn(_op(request_put=put(b"x")),
                      _op(request_delete_range=pb.DeleteRangeRequest(key=b"x"))), INVALID,
     "duplicate key given in txn request"),
    (KV + "Txn", _txn(pb.RequestOp()), INVALID, "key not found"),
    (KV + "Txn", _txn(_op(request_put=put(b""))), INVALID, "key is not provided"),
    (KV + "Txn", pb.TxnRequest(compare=[pb.Compare()]), INVALID, "key is not provided"),
    (KV + "Txn", _txn(_op(request_put=put(b"x", lease=3))), NOT_FOUND,
     "requested lease not found"),
    (KV + "Txn", _txn(_op(request_range=_get(revision=99)), _op(request_put=put(b"x"))),
     OUT_OF_RANGE, "mvcc: required revision is a future revision"),
    (KV + "Compact", pb.CompactionRequest(revision=2), OUT_OF_RANGE,
     "mvcc: required revision has been compacted"),
    (KV + "Compact", pb.CompactionRequest(revision=99), OUT_OF_RANGE,
     "mvcc: required revision is a future revision"),
    (LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=5, TTL=9), FAILED, "lease already exists"),
    (LEASE + "LeaseGrant", pb.LeaseGrantRequest(TTL=LEASE_TTL_S_MAX + 1), OUT_OF_RANGE,
     "too large lease TTL"),
    (LEASE + "LeaseRevoke", pb.LeaseRevokeRequest(ID=3), NOT_FOUND, "requested lease not found"),
    (MAINTENANCE + "HashKV", pb.HashKVRequest(revision=99), OUT_OF_RANGE,
     "mvcc: required revision is a future revision"),
    (MAINTENANCE + "HashKV", pb.HashKVRequest(revision=1), OUT_OF_RANGE,
     "mvcc: required revision has been compacted"),
]  # fmt: skip


def test_every_refusal_has_etcds_code_and_words(client: Client) -> None:
    client.call(LEASE + "LeaseGrant", pb.LeaseGrantRequest(ID=5, TTL=60))
    for _ in range(3):
        client.call(KV + "Put", put(b"a"))
    client.call(KV + "Compact", pb.CompactionRequest(revision=2))
    wrong: list[object] = []
    for path, request, code, text in REFUSALS:
        told = client.refused(path, request)
        if told[0] != code or (text and told[1] != f"etcdserver: {text}"):
            wrong.append((path, code, text, told))
    assert wrong == []


def test_what_a_stream_of_chunks_cannot_keep_is_not_there(client: Client) -> None:
    sorted_range = pb.RangeRequest(key=b"a", sort_order=pb.RangeRequest.DESCEND)
    text = "RangeStream does not support custom sort orders"
    assert client.refused(KV + "RangeStream", sorted_range) == (UNIMPLEMENTED, text)
    filtered = pb.RangeRequest(key=b"a", min_mod_revision=2)
    text = "RangeStream does not support revision filters"
    assert client.refused(KV + "RangeStream", filtered) == (UNIMPLEMENTED, text)


@pytest.mark.parametrize(
    "path", [KV + "Put", KV + "Txn", KV + "RangeStream", MAINTENANCE + "Alarm"]
)
def test_bytes_that_are_no_message_end_the_request_only(client: Client, path: str) -> None:
    code, text = client.refused(path, b"\xff\xff")
    assert code == INTERNAL
    assert text.startswith("grpc: error unmarshalling request")
    client.call(KV + "Put", put(b"a"))


@pytest.mark.parametrize("path", [WATCH, KEEPALIVE])
def test_bytes_that_are_no_message_end_a_stream(
    world: GrpcWorld, client: Client, path: str
) -> None:
    stream = client.begin(path)
    client.send(stream, b"\xff\xff")
    world.settle()
    assert client.streams[stream].status[0] == INTERNAL
    assert world.services.watch_calls == {}
    assert world.inner.node.hub.streams == {}


WATCH_REFUSALS = [
    (pb.WatchCreateRequest(key=b"a", start_revision=-1),
     "etcdserver: mvcc: required revision has been compacted"),
    (pb.WatchCreateRequest(key=b"b", range_end=b"a"), "mvcc: watcher range is empty"),
    (pb.WatchCreateRequest(key=b"a", watch_id=3),
     "mvcc: duplicate watch ID provided on the WatchStream"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "reason"), WATCH_REFUSALS)
def test_a_refused_watcher_leaves_its_stream_alive(
    world: GrpcWorld, client: Client, request_: pb.WatchCreateRequest, reason: str
) -> None:
    stream = client.watch(pb.WatchCreateRequest(key=b"a", watch_id=3))
    client.send(stream, pb.WatchRequest(create_request=request_))
    world.settle()
    refused = client.watched(stream)[-1]
    assert refused == response(
        pb.WatchResponse, 1, watch_id=-1, created=True, canceled=True, cancel_reason=reason
    )
    client.call(KV + "Put", put(b"a"))
    assert len(client.watched(stream)[-1].events) == 1


def test_an_unknown_request_on_a_watch_is_ignored(world: GrpcWorld, client: Client) -> None:
    stream = client.watch(pb.WatchCreateRequest(key=b"a"))
    client.send(stream, pb.WatchRequest())
    world.settle()
    assert len(client.watched(stream)) == 1
    assert not client.streams[stream].is_over


@pytest.mark.parametrize("seed", range(4))
def test_any_message_of_any_method_ends_no_member(
    world: GrpcWorld, client: Client, seed: int
) -> None:
    chance = random.Random(seed)
    for path, (kind, _) in world.services.methods.items():
        name = path.decode()
        service, method = name.rsplit("/", 1)
        found = pb.DESCRIPTOR.services_by_name.get(service.rsplit(".", 1)[-1])
        if kind is Kind.BIDI or found is None:
            continue
        asked = found.methods_by_name[method].input_type
        for _ in range(12):
            heard = client.ask(name, arbitrary(chance, GetMessageClass(asked)))
            world.settle(2)
            assert heard.is_over, name
    assert client.connection.streams == {}
