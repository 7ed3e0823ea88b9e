"""Operations as etcd's messages, and etcd's messages as results: both ways, nothing else.

Rule of this file: pure. `request` says which method an operation is and what is sent; `result`
reads the answer in the light of what was asked; `refusal` says what an error proves.
"""

from collections.abc import Sequence

from net.etcd.pb import kv_pb2
from net.etcd.pb import rpc_pb2 as pb
from sim.history import Event, Seen, WatchSpec
from sim.ops import (
    Admin,
    AdminDone,
    Compact,
    CompactDone,
    Compare,
    Delete,
    DeleteDone,
    Failed,
    Grant,
    GrantDone,
    KeepAlive,
    KeepAliveDone,
    Kv,
    Leases,
    LeasesDone,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Revoke,
    RevokeDone,
    TimeToLive,
    TimeToLiveDone,
    Txn,
    TxnDone,
    TxnOp,
    TxnResult,
    Unknown,
)
from sim.wire_codes import UNTAKEN

KV, LEASE = "/etcdserverpb.KV/", "/etcdserverpb.Lease/"
MAINTENANCE, CLUSTER = "/etcdserverpb.Maintenance/", "/etcdserverpb.Cluster/"
WATCH = "/etcdserverpb.Watch/Watch"

TARGETED = (
    "move_leader", "disarm", "member_add", "member_learn", "member_promote", "member_remove"
)  # fmt: skip
"""Administration of a member that is named by its id."""

PROOFS = frozenset({3, 5, 6, 7, 8, 9, 11, 12, 16, UNTAKEN})
"""gRPC codes that etcd gives before anything is applied, or as the answer itself."""

_SIGNS = {
    "=": pb.Compare.EQUAL, "!=": pb.Compare.NOT_EQUAL, "<": pb.Compare.LESS,
    ">": pb.Compare.GREATER,
}  # fmt: skip
_FILTERS = {"noput": pb.WatchCreateRequest.NOPUT, "nodelete": pb.WatchCreateRequest.NODELETE}


def request(op: Op) -> tuple[str, bytes]:
    """Return the method's path and the request's bytes."""
    match op:
        case Range():
            return KV + "Range", _range(op).SerializeToString()
        case Put():
            return KV + "Put", _put(op).SerializeToString()
        case Delete():
            return KV + "DeleteRange", _delete(op).SerializeToString()
        case Txn():
            return KV + "Txn", _txn(op).SerializeToString()
        case Compact(rev, physical):
            message = pb.CompactionRequest(revision=rev, physical=physical)
            return KV + "Compact", message.SerializeToString()
        case Grant(lease, ttl_s):
            return LEASE + "LeaseGrant", _bytes(pb.LeaseGrantRequest(ID=lease, TTL=ttl_s))
        case Revoke(lease):
            return LEASE + "LeaseRevoke", _bytes(pb.LeaseRevokeRequest(ID=lease))
        case KeepAlive(lease):
            return LEASE + "LeaseKeepAlive", _bytes(pb.LeaseKeepAliveRequest(ID=lease))
        case TimeToLive(lease, keys):
            asked = pb.LeaseTimeToLiveRequest(ID=lease, keys=keys)
            return LEASE + "LeaseTimeToLive", _bytes(asked)
        case Leases():
            return LEASE + "LeaseLeases", b""
        case Admin():
            return _admin(op)


def result(op: Op, answers: Sequence[bytes]) -> Result:
    """Return what an answer, or a stream of them, says."""
    if isinstance(op, Admin):
        return _admin_done(op, answers)
    (data,) = answers
    match op:
        case Range():
            ranged = pb.RangeResponse.FromString(data)
            return _ranged(ranged, ranged.header.revision)
        case Put():
            put = pb.PutResponse.FromString(data)
            return _was_put(put, put.header.revision)
        case Delete():
            deleted = pb.DeleteRangeResponse.FromString(data)
            return _deleted(deleted, deleted.header.revision)
        case Txn():
            txn = pb.TxnResponse.FromString(data)
            return _txn_done(txn, txn.header.revision)
        case Compact():
            return CompactDone(pb.CompactionResponse.FromString(data).header.revision)
        case Grant():
            granted = pb.LeaseGrantResponse.FromString(data)
            return GrantDone(granted.header.revision, granted.ID, granted.TTL)
        case Revoke():
            return RevokeDone(pb.LeaseRevokeResponse.FromString(data).header.revision)
        case KeepAlive():
            kept = pb.LeaseKeepAliveResponse.FromString(data)
            return KeepAliveDone(kept.header.revision, kept.ID, kept.TTL)
        case TimeToLive():
            left = pb.LeaseTimeToLiveResponse.FromString(data)
            keys = tuple(text(key) for key in left.keys)
            return TimeToLiveDone(left.header.revision, left.ID, left.TTL, left.grantedTTL, keys)
        case Leases():
            listed = pb.LeaseLeasesResponse.FromString(data)
            ids = tuple(sorted(each.ID for each in listed.leases))
            return LeasesDone(listed.header.revision, ids)


def refusal(code: int, words: str) -> Failed | Unknown:
    """Return what a gRPC status proves: that nothing was applied, or nothing at all."""
    return Failed(words) if code in PROOFS else Unknown(words)


def watch_request(spec: WatchSpec) -> bytes:
    """Return the message that creates a watcher."""
    create = pb.WatchCreateRequest(
        key=raw(spec.key),
        range_end=raw(spec.end),
        start_revision=spec.rev,
        prev_kv=spec.prev_kv,
        progress_notify=spec.progress,
        fragment=spec.fragment,
        filters=[_FILTERS[name] for name in spec.filters],
    )
    return pb.WatchRequest(create_request=create).SerializeToString()


def progress_request() -> bytes:
    """Return the message that asks a watch stream how far it is."""
    return pb.WatchRequest(progress_request=pb.WatchProgressRequest()).SerializeToString()


def seen(data: bytes, time_us: int) -> Seen:
    """Return what a watch response shows."""
    response = pb.WatchResponse.FromString(data)
    rev = response.header.revision
    if response.canceled:
        reason = response.cancel_reason
        return Seen(time_us, "canceled", rev, (), response.compact_revision, reason)
    if response.created:
        return Seen(time_us, "created", rev)
    if not response.events:
        return Seen(time_us, "progress", rev)
    events = tuple(_event(event) for event in response.events)
    return Seen(time_us, "events", rev, events, fragment=response.fragment)


def raw(words: str) -> bytes:
    """Return the bytes that a text of this simulator stands for."""
    return words.encode("latin-1")


def text(data: bytes) -> str:
    """Invert `raw`."""
    return data.decode("latin-1")


def _bytes(message: pb.LeaseGrantRequest | pb.LeaseRevokeRequest | pb.LeaseKeepAliveRequest
           | pb.LeaseTimeToLiveRequest) -> bytes:  # fmt: skip
    return message.SerializeToString()


def _range(op: Range) -> pb.RangeRequest:
    return pb.RangeRequest(
        key=raw(op.key),
        range_end=raw(op.end),
        revision=op.rev,
        limit=op.limit,
        serializable=op.serializable,
        keys_only=op.keys_only,
        count_only=op.count_only,
    )


def _put(op: Put) -> pb.PutRequest:
    return pb.PutRequest(key=raw(op.key), value=raw(op.value), lease=op.lease, prev_kv=op.prev_kv)


def _delete(op: Delete) -> pb.DeleteRangeRequest:
    return pb.DeleteRangeRequest(key=raw(op.key), range_end=raw(op.end), prev_kv=op.prev_kv)


def _txn(op: Txn) -> pb.TxnRequest:
    return pb.TxnRequest(
        compare=[_compare(each) for each in op.compare],
        success=[_txn_op(each) for each in op.then],
        failure=[_txn_op(each) for each in op.orelse],
    )


def _txn_op(op: TxnOp) -> pb.RequestOp:
    match op:
        case Range():
            return pb.RequestOp(request_range=_range(op))
        case Put():
            return pb.RequestOp(request_put=_put(op))
        case Delete():
            return pb.RequestOp(request_delete_range=_delete(op))
        case Txn():
            return pb.RequestOp(request_txn=_txn(op))


def _compare(compare: Compare) -> pb.Compare:
    message = pb.Compare(
        result=_SIGNS[compare.sign], key=raw(compare.key), range_end=raw(compare.end)
    )
    operand = compare.operand
    if isinstance(operand, str):
        assert compare.target == "value", "a text is compared with a value only"
        message.target = pb.Compare.VALUE
        message.value = raw(operand)
        return message
    match compare.target:
        case "version":
            message.target = pb.Compare.VERSION
            message.version = operand
        case "create":
            message.target = pb.Compare.CREATE
            message.create_revision = operand
        case "mod":
            message.target = pb.Compare.MOD
            message.mod_revision = operand
        case "lease":
            message.target = pb.Compare.LEASE
            message.lease = operand
        case other:
            raise AssertionError(f"no comparison with {other}")
    return message


def _admin(op: Admin) -> tuple[str, bytes]:
    match op.what:
        case "status":
            return MAINTENANCE + "Status", b""
        case "hash":
            return MAINTENANCE + "HashKV", b""
        case "defragment":
            return MAINTENANCE + "Defragment", b""
        case "snapshot":
            return MAINTENANCE + "Snapshot", b""
        case "members":
            return CLUSTER + "MemberList", b""
        case "member_add" | "member_learn":
            added = pb.MemberAddRequest(
                peerURLs=[peer_url(op.target)], isLearner=op.what == "member_learn"
            )
            return CLUSTER + "MemberAdd", added.SerializeToString()
        case "member_promote":
            promoted = pb.MemberPromoteRequest(ID=op.target)
            return CLUSTER + "MemberPromote", promoted.SerializeToString()
        case "member_remove":
            removed = pb.MemberRemoveRequest(ID=op.target)
            return CLUSTER + "MemberRemove", removed.SerializeToString()
        case "move_leader":
            moved = pb.MoveLeaderRequest(targetID=op.target)
            return MAINTENANCE + "MoveLeader", moved.SerializeToString()
        case "alarms":
            return MAINTENANCE + "Alarm", b""
        case "disarm":
            cleared = pb.AlarmRequest(
                action=pb.AlarmRequest.DEACTIVATE, memberID=op.target, alarm=pb.NOSPACE
            )
            return MAINTENANCE + "Alarm", cleared.SerializeToString()
        case other:
            raise AssertionError(f"no administration is called {other}")


def peer_url(member_id: int) -> str:
    """Return where a member listens for its peers, in names only."""
    return f"http://m{member_id}:2380"


def numbered(peer_urls: Sequence[str], _salt: str) -> int:
    """Return the id of the member that listens there: what `peer_url` was given."""
    return int(peer_urls[0].split("//m")[1].split(":")[0])


def _admin_done(op: Admin, answers: Sequence[bytes]) -> AdminDone:
    match op.what:
        case "status":
            status = pb.StatusResponse.FromString(answers[0])
            return _facts(
                status.header.revision,
                leader=status.leader,
                term=status.raftTerm,
                applied=status.raftAppliedIndex,
                size_bytes=status.dbSize,
            )
        case "hash":
            hashed = pb.HashKVResponse.FromString(answers[0])
            return _facts(
                hashed.header.revision,
                hash=hashed.hash,
                compacted=hashed.compact_revision,
                hash_revision=hashed.hash_revision,
            )
        case "snapshot":
            size = sum(len(pb.SnapshotResponse.FromString(each).blob) for each in answers)
            return _facts(0, size_bytes=size)
        case "members":
            listed = pb.MemberListResponse.FromString(answers[0])
            return _facts(listed.header.revision, members=len(listed.members))
        case "alarms" | "disarm":
            alarms = pb.AlarmResponse.FromString(answers[0])
            return _facts(alarms.header.revision, alarms=len(alarms.alarms))
        case _:
            return _facts(0)


def _facts(rev: int, **facts: int) -> AdminDone:
    return AdminDone(rev, tuple(facts.items()))


def _kv(kv: kv_pb2.KeyValue) -> Kv:
    return Kv(
        text(kv.key), text(kv.value), kv.create_revision, kv.mod_revision, kv.version, kv.lease
    )


def _ranged(response: pb.RangeResponse, rev: int) -> RangeDone:
    return RangeDone(rev, tuple(_kv(kv) for kv in response.kvs), response.count, response.more)


def _was_put(response: pb.PutResponse, rev: int) -> PutDone:
    return PutDone(rev, _kv(response.prev_kv) if response.HasField("prev_kv") else None)


def _deleted(response: pb.DeleteRangeResponse, rev: int) -> DeleteDone:
    return DeleteDone(rev, response.deleted, tuple(_kv(kv) for kv in response.prev_kvs))


def _txn_done(response: pb.TxnResponse, rev: int) -> TxnDone:
    results = tuple(_txn_result(each, rev) for each in response.responses)
    return TxnDone(rev, response.succeeded, results)


def _txn_result(response: pb.ResponseOp, rev: int) -> TxnResult:
    match response.WhichOneof("response"):
        case "response_range":
            return _ranged(response.response_range, rev)
        case "response_put":
            return _was_put(response.response_put, rev)
        case "response_delete_range":
            return _deleted(response.response_delete_range, rev)
        case _:
            return _txn_done(response.response_txn, rev)


def _event(event: kv_pb2.Event) -> Event:
    kv = event.kv
    prev = _kv(event.prev_kv) if event.HasField("prev_kv") else None
    if event.type == kv_pb2.Event.PUT:
        return Event("put", _kv(kv), prev)
    return Event("delete", Kv(text(kv.key), "", 0, kv.mod_revision, 0), prev)
