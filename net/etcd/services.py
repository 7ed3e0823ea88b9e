"""The etcd services: which method does what. Messages in, core inputs out; rules are the core's.

`METHODS` maps each path to its shape and its beginning; `Services` is the codec's handler.
What is answered outside the core (status, snapshots, membership) is `net.etcd.maintenance`
and `net.etcd.cluster`.
"""

from collections.abc import Callable, Mapping
from secrets import randbits
from typing import Protocol

from google.protobuf.message import DecodeError

from core import checks
from core.errors import INTERNAL, NOT_FOR_LEARNERS, STOPPED, Failure
from core.inputs import (
    Abandoned,
    Asked,
    Offered,
    WatchAsked,
    WatchCanceled,
    WatchClosed,
    WatchOpened,
    WatchProgressAsked,
)
from core.operations import (
    AlarmList,
    AlarmSet,
    Compact,
    HashKv,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseLeases,
    LeaseRevoke,
    LeaseTimeToLive,
    RangeStream,
    is_readonly,
)
from core.tuples import new
from core.watching import WatchCreate
from net.driver import DriverInput
from net.etcd import auth, decode
from net.etcd.calls import AnyConnection, AnyStream, Call, KeepAliveCall, StreamCall, WatchCall
from net.etcd.pb import rpc_pb2 as pb
from net.etcd.usual import usual_put, usual_txn
from net.http2.stream import Kind
from net.metrics import Metrics, RpcMetrics

RAFT_ENVELOPE_BYTES = 17
"""What etcd's raft entry adds to a request: header id, tags and lengths."""


class Administration(Protocol):
    """What the member answers itself, outside the core's log and state."""

    def begin(self, method: str, call: Call, message: bytes) -> None:
        """Take one request of Maintenance, Cluster or Health."""
        ...

    def ended(self, call: Call) -> None:
        """The client of a streaming request is gone."""
        ...


class Method:
    """One RPC: how it begins, and its counters."""

    __slots__ = ("begin", "metrics", "name")

    def __init__(
        self, name: str, begin: Callable[["Services", "Method", Call, bytes], None]
    ) -> None:
        self.name = name
        self.begin = begin
        self.metrics: RpcMetrics


class Services:
    """The handler that the codecs of all client connections call."""

    def __init__(
        self,
        metrics: Metrics,
        administration: Administration,
        *,
        txn_ops_max: int,
        watch_jitter_ms_max: int,
        bits: Callable[[int], int] = randbits,
    ) -> None:
        self.inputs: list[DriverInput] = []
        self.now_ms = 0
        self.is_mute = False
        """A learner in etcd's sense: it answers status and local reads, and nothing else."""
        self._metrics = metrics
        self._administration = administration
        self._txn_ops_max = txn_ops_max
        self._watch_jitter_ms_max = watch_jitter_ms_max
        self._bits = bits
        self.watch_calls: dict[WatchCall, None] = {}
        self.keepalive_calls: dict[KeepAliveCall, None] = {}
        self._is_leaving = False
        self.methods: Mapping[bytes, tuple[Kind, Method]] = self._table()

    def _table(self) -> dict[bytes, tuple[Kind, Method]]:
        table: dict[bytes, tuple[Kind, Method]] = {}
        for path, (kind, begin) in _PATHS.items():
            method = Method(path, begin)
            method.metrics = self._metrics.rpc[path]
            table[path.encode()] = (kind, method)
        return table

    # The codec's handler.

    def request(self, connection: AnyConnection, stream: AnyStream, message: bytes) -> None:
        """Begin a unary or server-streaming request."""
        method: Method = stream.method
        metrics = method.metrics
        metrics.started += 1
        metrics.received += 1
        self._count_client("unary", stream)
        shape = Call if stream.kind is _UNARY else StreamCall
        call = shape(connection, stream, metrics, self.now_ms, message)
        stream.state = call
        if self.is_mute and method.name not in _FOR_LEARNERS:
            call.fail(NOT_FOR_LEARNERS)
            return
        try:
            method.begin(self, method, call, message)
        except DecodeError as error:
            text = f"grpc: error unmarshalling request: {error}"
            call.fail(Failure(INTERNAL, text))

    def opened(self, connection: AnyConnection, stream: AnyStream) -> None:
        """Begin a bidirectional stream: a watch or lease renewals."""
        method: Method = stream.method
        method.metrics.started += 1
        self._count_client("stream", stream)
        if self.is_mute or self._is_leaving:
            why = STOPPED if self._is_leaving else NOT_FOR_LEARNERS
            Call(connection, stream, method.metrics, self.now_ms).fail(why)
        elif method.name == _WATCH:
            call = WatchCall(connection, stream, method.metrics, self.now_ms)
            stream.state = call
            jitter_ms = self._bits(16) * self._watch_jitter_ms_max >> 16
            self.watch_calls[call] = None
            connection.open(stream)
            wants_leader = stream.headers.get(b"hasleader") == b"true"
            self.inputs.append(WatchOpened(call.watch_stream, jitter_ms, wants_leader))
        else:
            renewals = KeepAliveCall(
                connection, stream, method.metrics, self.now_ms, self.keepalive_calls
            )
            stream.state = renewals
            self.keepalive_calls[renewals] = None

    def _count_client(self, kind: str, stream: AnyStream) -> None:
        version = stream.headers.get(b"client-api-version", b"unknown")
        counts = self._metrics.client_requests
        key = (kind, version[:16].decode("ascii", "replace"))
        counts[key] = counts.get(key, 0) + 1

    def message(self, connection: AnyConnection, stream: AnyStream, message: bytes) -> None:
        """Take one message of a bidirectional stream."""
        call = stream.state
        assert isinstance(call, WatchCall | KeepAliveCall), "INV-STREAM-STATE"
        call.metrics.received += 1
        try:
            if isinstance(call, WatchCall):
                self._watch_message(call, message)
            else:
                request = pb.LeaseKeepAliveRequest.FromString(message)
                call.asked += 1
                self.inputs.append(Asked(call, LeaseKeepAlive(request.ID)))
        except DecodeError as error:
            self._end(call)
            call.fail(Failure(INTERNAL, f"grpc: error unmarshalling request: {error}"))

    def half_closed(self, connection: AnyConnection, stream: AnyStream) -> None:
        """The client sends no more: renewals are answered to the end, a watch is over."""
        call = stream.state
        if isinstance(call, KeepAliveCall):
            call.ended = True
            call.finish_if_done()
        elif isinstance(call, WatchCall):
            self._end(call)
            call.finish()

    def cancelled(self, connection: AnyConnection, stream: AnyStream) -> None:
        """The client does not wait any more."""
        call = stream.state
        assert isinstance(call, Call), "INV-STREAM-STATE"
        call.end()
        call.metrics.handled[1] += 1
        self._end(call)

    def leave(self) -> None:
        """End the streams that have no end of their own, and those that are still opened.

        Their clients, told before to go elsewhere, open them again there and miss nothing: etcd's
        client takes this status for a connection that broke.
        """
        self._is_leaving = True
        for call in (*self.watch_calls, *self.keepalive_calls):
            self._end(call)
            call.fail(STOPPED)

    def ended(self, call: WatchCall, failure: Failure) -> None:
        """End a Watch RPC that the core has let go of."""
        self.watch_calls.pop(call, None)
        call.fail(failure)

    def _end(self, call: Call) -> None:
        if isinstance(call, WatchCall):
            if self.watch_calls.pop(call, call) is None:
                self.inputs.append(WatchClosed(call.watch_stream))
        elif isinstance(call, StreamCall):
            self.inputs.append(Abandoned(call))
            self._administration.ended(call)

    def _watch_message(self, call: WatchCall, message: bytes) -> None:
        request = pb.WatchRequest.FromString(message)
        kind = request.WhichOneof("request_union")
        stream = call.watch_stream
        if kind == "create_request":
            create = request.create_request
            filters = create.filters
            want = WatchCreate(
                create.key,
                create.range_end,
                create.start_revision,
                create.progress_notify,
                pb.WatchCreateRequest.NOPUT in filters,
                pb.WatchCreateRequest.NODELETE in filters,
                create.prev_kv,
                create.watch_id,
                create.fragment,
            )
            self.inputs.append(WatchAsked(stream, want))
        elif kind == "cancel_request":
            self.inputs.append(WatchCanceled(stream, request.cancel_request.watch_id))
        elif kind == "progress_request":
            self.inputs.append(WatchProgressAsked(stream))

    # The beginnings of the unary methods.

    def range(self, method: Method, call: Call, message: bytes) -> None:
        """KV.Range."""
        query = decode.range_query(pb.RangeRequest.FromString(message))
        if failure := checks.check_range(query):
            call.fail(failure)
            return
        if self.is_mute and not query.serializable:
            call.fail(NOT_FOR_LEARNERS)
            return
        self._metrics.range_total += 1
        self.inputs.append(Asked(call, query))

    def range_stream(self, method: Method, call: Call, message: bytes) -> None:
        """KV.RangeStream."""
        query = decode.range_query(pb.RangeRequest.FromString(message))
        if failure := checks.check_range_stream(query):
            call.fail(failure)
            return
        self.inputs.append(Asked(call, RangeStream(query)))

    def put(self, method: Method, call: Call, message: bytes) -> None:
        """KV.Put."""
        command = usual_put(message)
        if command is None:
            command = decode.put_command(pb.PutRequest.FromString(message))
            if failure := checks.check_put(command):
                call.fail(failure)
                return
        self._metrics.put_total += 1
        self.inputs.append(new(Offered, (call, command, len(message) + RAFT_ENVELOPE_BYTES)))

    def delete_range(self, method: Method, call: Call, message: bytes) -> None:
        """KV.DeleteRange."""
        command = decode.delete_command(pb.DeleteRangeRequest.FromString(message))
        if failure := checks.check_delete(command):
            call.fail(failure)
            return
        self._metrics.delete_total += 1
        self.inputs.append(Offered(call, command, len(message) + RAFT_ENVELOPE_BYTES))

    def txn(self, method: Method, call: Call, message: bytes) -> None:
        """KV.Txn; one that only reads does not enter the log."""
        command = usual_txn(message)
        if command is None:
            command = decode.txn_command(pb.TxnRequest.FromString(message))
            if failure := checks.check_txn(command, self._txn_ops_max):
                call.fail(failure)
                return
            if is_readonly(command):
                self._metrics.txn_total += 1
                self.inputs.append(Asked(call, command))
                return
        self._metrics.txn_total += 1
        self.inputs.append(new(Offered, (call, command, len(message) + RAFT_ENVELOPE_BYTES)))

    def compact(self, method: Method, call: Call, message: bytes) -> None:
        """KV.Compact."""
        request = pb.CompactionRequest.FromString(message)
        self.inputs.append(Offered(call, Compact(request.revision, request.physical), len(message)))

    def lease_grant(self, method: Method, call: Call, message: bytes) -> None:
        """Lease.LeaseGrant; an id of 0 asks for one, drawn here."""
        request = pb.LeaseGrantRequest.FromString(message)
        lease_id = request.ID or self._bits(62) + 1
        self.inputs.append(Offered(call, LeaseGrant(lease_id, request.TTL), len(message)))

    def lease_revoke(self, method: Method, call: Call, message: bytes) -> None:
        """Lease.LeaseRevoke."""
        request = pb.LeaseRevokeRequest.FromString(message)
        self.inputs.append(Offered(call, LeaseRevoke(request.ID), len(message)))

    def lease_time_to_live(self, method: Method, call: Call, message: bytes) -> None:
        """Lease.LeaseTimeToLive."""
        request = pb.LeaseTimeToLiveRequest.FromString(message)
        self.inputs.append(Asked(call, LeaseTimeToLive(request.ID, request.keys)))

    def lease_leases(self, method: Method, call: Call, message: bytes) -> None:
        """Lease.LeaseLeases."""
        pb.LeaseLeasesRequest.FromString(message)
        self.inputs.append(Asked(call, LeaseLeases()))

    def alarm(self, method: Method, call: Call, message: bytes) -> None:
        """Maintenance.Alarm; listing does not enter the log."""
        request = pb.AlarmRequest.FromString(message)
        if request.action == pb.AlarmRequest.GET:
            self.inputs.append(Asked(call, AlarmList(request.alarm)))
            return
        raised = request.action == pb.AlarmRequest.ACTIVATE
        command = AlarmSet(request.memberID, request.alarm & 0xFF, raised)
        self.inputs.append(Offered(call, command, len(message)))

    def hash_kv(self, method: Method, call: Call, message: bytes) -> None:
        """Maintenance.HashKV: this member's own state, no agreement asked."""
        request = pb.HashKVRequest.FromString(message)
        self.inputs.append(Asked(call, HashKv(request.revision)))

    def administer(self, method: Method, call: Call, message: bytes) -> None:
        """Everything the member answers itself."""
        self._administration.begin(method.name, call, message)

    def unused(self, method: Method, call: Call, message: bytes) -> None:
        """Bidirectional methods begin in `opened`."""
        raise AssertionError("INV-STREAM-STATE: a bidirectional method has no single request")


_UNARY = Kind.UNARY
_WATCH = "/etcdserverpb.Watch/Watch"
_KV = "/etcdserverpb.KV/"
_LEASE = "/etcdserverpb.Lease/"
_MAINTENANCE = "/etcdserverpb.Maintenance/"
_CLUSTER = "/etcdserverpb.Cluster/"
_HEALTH = "/grpc.health.v1.Health/"

_FOR_LEARNERS = frozenset((_KV + "Range", _MAINTENANCE + "Status", _MAINTENANCE + "Snapshot"))
"""What etcd's learners answer; a range only where it is serializable."""

_Begin = Callable[[Services, Method, Call, bytes], None]

_PATHS: dict[str, tuple[Kind, _Begin]] = {
    _KV + "Range": (Kind.UNARY, Services.range),
    _KV + "RangeStream": (Kind.SERVER_STREAM, Services.range_stream),
    _KV + "Put": (Kind.UNARY, Services.put),
    _KV + "DeleteRange": (Kind.UNARY, Services.delete_range),
    _KV + "Txn": (Kind.UNARY, Services.txn),
    _KV + "Compact": (Kind.UNARY, Services.compact),
    _WATCH: (Kind.BIDI, Services.unused),
    _LEASE + "LeaseGrant": (Kind.UNARY, Services.lease_grant),
    _LEASE + "LeaseRevoke": (Kind.UNARY, Services.lease_revoke),
    _LEASE + "LeaseKeepAlive": (Kind.BIDI, Services.unused),
    _LEASE + "LeaseTimeToLive": (Kind.UNARY, Services.lease_time_to_live),
    _LEASE + "LeaseLeases": (Kind.UNARY, Services.lease_leases),
    _MAINTENANCE + "Alarm": (Kind.UNARY, Services.alarm),
    _MAINTENANCE + "Status": (Kind.UNARY, Services.administer),
    _MAINTENANCE + "Defragment": (Kind.UNARY, Services.administer),
    _MAINTENANCE + "Hash": (Kind.UNARY, Services.administer),
    _MAINTENANCE + "HashKV": (Kind.UNARY, Services.hash_kv),
    _MAINTENANCE + "Snapshot": (Kind.SERVER_STREAM, Services.administer),
    _MAINTENANCE + "MoveLeader": (Kind.UNARY, Services.administer),
    _MAINTENANCE + "Downgrade": (Kind.UNARY, Services.administer),
    _CLUSTER + "MemberAdd": (Kind.UNARY, Services.administer),
    _CLUSTER + "MemberRemove": (Kind.UNARY, Services.administer),
    _CLUSTER + "MemberUpdate": (Kind.UNARY, Services.administer),
    _CLUSTER + "MemberList": (Kind.UNARY, Services.administer),
    _CLUSTER + "MemberPromote": (Kind.UNARY, Services.administer),
    **{path: (Kind.UNARY, Services.administer) for path in auth.METHODS},
    _HEALTH + "Check": (Kind.UNARY, Services.administer),
    _HEALTH + "Watch": (Kind.SERVER_STREAM, Services.administer),
}
