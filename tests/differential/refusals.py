"""Requests that are refused on purpose: for each error text of etcd, ways to be told it.

The rule of this file: one function a text (two where two paths lead to it), each drawn equally
often. What etcd refuses by the state of the store is aimed with the oracle that plays along.
"""

from collections.abc import Callable

from google.protobuf.message import Message

from net.etcd.pb import rpc_pb2
from sim.oracle_checks import MESSAGE_BYTES_MAX, OPERATIONS_MAX, REQUEST_BYTES_MAX
from sim.oracle_members import PEER_URL, SELF
from tests.differential.operations import Call, Operation, Send
from tests.differential.requests import KEYS, Requests

Refusal = Callable[[Requests, int], list[Operation]]
DOWNGRADES = (
    rpc_pb2.DowngradeRequest.VALIDATE,
    rpc_pb2.DowngradeRequest.ENABLE,
    rpc_pb2.DowngradeRequest.CANCEL,
)


def _wrapped(r: Requests, method: str, request: Message) -> list[Operation]:
    """The request itself, or the same as one operation of a transaction, either branch."""
    if r.chance.random() < 0.5:
        return [Call(method, request)]
    operation = _as_operation(request)
    beside = [rpc_pb2.RequestOp(request_range=r.range())]
    if r.chance.random() < 0.3:
        operation = rpc_pb2.RequestOp(request_txn=rpc_pb2.TxnRequest(success=[operation]))
    if r.chance.random() < 0.5:
        return [Call("Txn", rpc_pb2.TxnRequest(success=[*beside, operation]))]
    return [Call("Txn", rpc_pb2.TxnRequest(compare=[r.compare()], failure=[operation]))]


def _as_operation(request: Message) -> rpc_pb2.RequestOp:
    match request:
        case rpc_pb2.RangeRequest():
            return rpc_pb2.RequestOp(request_range=request)
        case rpc_pb2.PutRequest():
            return rpc_pb2.RequestOp(request_put=request)
        case rpc_pb2.DeleteRangeRequest():
            return rpc_pb2.RequestOp(request_delete_range=request)
        case _:
            raise AssertionError(f"no operation of a transaction: {request}")


def empty_key(r: Requests, _: int) -> list[Operation]:
    match r.chance.randint(0, 3):
        case 0:
            return _wrapped(r, "Range", rpc_pb2.RangeRequest(range_end=b"\0"))
        case 1:
            return _wrapped(r, "Put", rpc_pb2.PutRequest(value=b"1"))
        case 2:
            return _wrapped(r, "DeleteRange", rpc_pb2.DeleteRangeRequest(range_end=b"b"))
        case _:
            return [Call("Txn", rpc_pb2.TxnRequest(compare=[r.compare(), rpc_pb2.Compare()]))]


def invalid_sort(r: Requests, _: int) -> list[Operation]:
    request = r.range()
    name = r.chance.choice(("sort_order", "sort_target"))
    setattr(request, name, r.chance.choice((5, 99, -1)))
    return _wrapped(r, "Range", request)


def value_provided(r: Requests, _: int) -> list[Operation]:
    request = r.put()
    request.ignore_value, request.value = True, b"given"
    return _wrapped(r, "Put", request)


def lease_provided(r: Requests, _: int) -> list[Operation]:
    request = r.put()
    request.ignore_lease, request.lease = True, r.lease_id()
    return _wrapped(r, "Put", request)


def key_not_found(r: Requests, _: int) -> list[Operation]:
    if r.chance.random() < 0.2:
        empty = rpc_pb2.RequestOp()
        return [Call("Txn", rpc_pb2.TxnRequest(failure=[rpc_pb2.RequestOp(), empty]))]
    newest = r.oracle.history.revision
    absent = [key for key in KEYS if r.oracle.history.newest(key, newest) is None]
    request = rpc_pb2.PutRequest(key=r.chance.choice(absent or KEYS))
    field = r.chance.choice(("ignore_value", "ignore_lease"))
    setattr(request, field, True)
    if r.chance.random() < 0.4 and field == "ignore_value":
        request.lease = r.chance.choice((r.lease_id(), 4_000))
    return _wrapped(r, "Put", request)


def two_faults(r: Requests, _: int) -> list[Operation]:
    """A put that lacks both its key and its lease: which of them is told differs by release."""
    request = rpc_pb2.PutRequest(key=b"never put", lease=4_000, ignore_value=True)
    return _wrapped(r, "Put", request)


def too_many_operations(r: Requests, _: int) -> list[Operation]:
    absent = rpc_pb2.DeleteRangeRequest(key=b"never put")
    operations = [rpc_pb2.RequestOp(request_delete_range=absent)]
    few = r.chance.randint(1, OPERATIONS_MAX - 1)
    nested = rpc_pb2.TxnRequest(success=operations * (OPERATIONS_MAX + 1 - few))
    match r.chance.randint(0, 3):
        case 0:
            request = rpc_pb2.TxnRequest(compare=[r.compare()] * (OPERATIONS_MAX + 1))
        case 1:
            request = rpc_pb2.TxnRequest(failure=operations * (OPERATIONS_MAX + 1))
        case 2:
            request = rpc_pb2.TxnRequest(
                success=[*operations * (few - 1), rpc_pb2.RequestOp(request_txn=nested)]
            )
        case _:
            request = rpc_pb2.TxnRequest(success=operations * OPERATIONS_MAX)
    return [Call("Txn", request)]


def duplicate_key(r: Requests, _: int) -> list[Operation]:
    """Puts and deletions of one key, at one level or across levels; some of them are allowed."""
    key = r.key()
    put = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key, value=b"1"))
    end = KEYS[-1] + b"\0" if r.chance.random() < 0.5 else b""
    delete = rpc_pb2.RequestOp(
        request_delete_range=rpc_pb2.DeleteRangeRequest(key=key, range_end=end)
    )
    pair = [put, r.chance.choice((put, delete))]
    r.chance.shuffle(pair)
    for i, operation in enumerate(pair):
        if r.chance.random() < 0.4:
            branch = r.chance.choice(("success", "failure"))
            txn = rpc_pb2.TxnRequest(compare=[r.compare()], **{branch: [operation]})
            if r.chance.random() < 0.3:
                other = "failure" if branch == "success" else "success"
                getattr(txn, other).append(put)
            pair[i] = rpc_pb2.RequestOp(request_txn=txn)
    return [Call("Txn", rpc_pb2.TxnRequest(success=pair))]


def compacted_or_future(r: Requests, _: int) -> list[Operation]:
    history = r.oracle.history
    past = history.compacted - r.chance.randint(1, 2)
    revision = r.chance.choice((past, history.revision + 1, history.revision + 2))
    if r.chance.random() < 0.6:
        request = r.range()
        request.revision = revision
        return _wrapped(r, "Range", request)
    compact = r.chance.choice((history.compacted, past, history.revision + 1, 1 << 60))
    return [Call("Compact", rpc_pb2.CompactionRequest(revision=compact))]


def too_large(r: Requests, _: int) -> list[Operation]:
    """Far from the bounds: etcd counts an envelope of its own."""
    bound = r.chance.choice((REQUEST_BYTES_MAX, MESSAGE_BYTES_MAX))
    value = b"x" * (bound + 1000)
    return _wrapped(r, "Put", rpc_pb2.PutRequest(key=r.key(), value=value))


def no_such_lease(r: Requests, _: int) -> list[Operation]:
    absent = 4_000 + r.chance.randint(0, 9)
    if r.chance.random() < 0.5:
        return [Call("LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=absent))]
    return _wrapped(r, "Put", rpc_pb2.PutRequest(key=r.key(), lease=absent))


def lease_exists(r: Requests, _: int) -> list[Operation]:
    grant = rpc_pb2.LeaseGrantRequest(ID=r.granted_lease_id() or 1, TTL=60_000)
    return [Call("LeaseGrant", grant)]


def ttl_too_large(r: Requests, _: int) -> list[Operation]:
    ttl = 9_000_000_000 + r.chance.choice((1, 2, 1 << 40))
    return [Call("LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=r.lease_id(), TTL=ttl))]


def member_missing(r: Requests, _: int) -> list[Operation]:
    absent = 12_345 + r.chance.randint(0, 9)
    match r.chance.randint(0, 2):
        case 0:
            update = rpc_pb2.MemberUpdateRequest(ID=absent, peerURLs=["http://127.0.0.1:9"])
            return [Call("MemberUpdate", update)]
        case 1:
            return [Call("MemberPromote", rpc_pb2.MemberPromoteRequest(ID=absent))]
        case _:
            return [Call("MemberRemove", rpc_pb2.MemberRemoveRequest(ID=absent))]


def member_addition(r: Requests, _: int) -> list[Operation]:
    wrong = r.chance.choice(([], ["nonsense"], ["ftp://127.0.0.1:1"], ["http://127.0.0.1"]))
    urls = [PEER_URL] if r.chance.random() < 0.5 else wrong
    learner = r.chance.random() < 0.5
    return [Call("MemberAdd", rpc_pb2.MemberAddRequest(peerURLs=urls, isLearner=learner))]


def own_member(r: Requests, _: int) -> list[Operation]:
    if r.chance.random() < 0.5:
        return [Call("MemberRemove", rpc_pb2.MemberRemoveRequest(ID=SELF))]
    return [Call("MemberPromote", rpc_pb2.MemberPromoteRequest(ID=SELF))]


def bad_transferee(r: Requests, _: int) -> list[Operation]:
    return [Call("MoveLeader", rpc_pb2.MoveLeaderRequest(targetID=9 + r.chance.randint(0, 9)))]


def bad_downgrade(r: Requests, _: int) -> list[Operation]:
    action = r.chance.choice(DOWNGRADES)
    version = r.chance.choice(("", "abc", "3", "2.0.0", "3.1.0", "4.0.0"))
    return [Call("Downgrade", rpc_pb2.DowngradeRequest(action=action, version=version))]


def bad_watch(r: Requests, stream: int) -> list[Operation]:
    """A negative start, an empty range, an id in use."""
    create = r.watch_create(stream).create_request
    known = r.watch_ids(stream)
    match r.chance.randint(0, 2):
        case 0:
            create.start_revision = r.negative_start()
        case 1:
            create.key, create.range_end = b"b", r.chance.choice((b"b", b"a"))
        case _ if known:
            create.watch_id = r.chance.choice(known) or 1
        case _:
            create.key, create.range_end = b"a/1", b"a"
    return [Send(stream, rpc_pb2.WatchRequest(create_request=create))]


def compacted_watch(r: Requests, stream: int) -> list[Operation]:
    """A start below the compact revision: created, then cancelled. Then the client cancels, too."""
    if r.oracle.history.compacted < 2:
        return []
    watch_id = 500 + r.chance.randint(0, 10_000)
    create = rpc_pb2.WatchCreateRequest(
        key=r.key(), start_revision=r.oracle.history.compacted - 1, watch_id=watch_id
    )
    cancel = rpc_pb2.WatchCancelRequest(watch_id=watch_id)
    return [
        Send(stream, rpc_pb2.WatchRequest(create_request=create)),
        Send(stream, rpc_pb2.WatchRequest(cancel_request=cancel)),
    ]


def cancel_of_nothing(_: Requests, stream: int) -> list[Operation]:
    cancel = rpc_pb2.WatchCancelRequest(watch_id=77_777)
    return [Send(stream, rpc_pb2.WatchRequest(cancel_request=cancel))]


def compaction_again(r: Requests, _: int) -> list[Operation]:
    again = rpc_pb2.CompactionRequest(revision=r.oracle.history.compacted)
    return [Call("Compact", again)]


def strange_watch_request(_: Requests, stream: int) -> list[Operation]:
    return [Send(stream, rpc_pb2.WatchRequest())]


REFUSALS: tuple[Refusal, ...] = (
    empty_key,
    invalid_sort,
    value_provided,
    lease_provided,
    key_not_found,
    key_not_found,
    two_faults,
    too_many_operations,
    duplicate_key,
    duplicate_key,
    compacted_or_future,
    too_large,
    no_such_lease,
    lease_exists,
    ttl_too_large,
    member_missing,
    member_addition,
    own_member,
    bad_transferee,
    bad_downgrade,
    bad_watch,
    compacted_watch,
    cancel_of_nothing,
    compaction_again,
    strange_watch_request,
)
