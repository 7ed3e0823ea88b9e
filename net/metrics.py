"""What a member counts: plain integers that the shell adds to, and nothing else.

Rule: an update is one integer addition (`metrics.put_total += 1`) or one `Histogram.observe`; no
lock, label lookup or clock is on the way. Names follow etcd's metric names without their prefix;
a duration is kept in whole microseconds (`_us`) or milliseconds (`_ms`) and becomes seconds where
the text is written (`server/metrics.py`), the one reader. Gauges that the core knows anyway (keys,
revisions, sizes) are written by the member right before a scrape and not kept up to date.

One task owns a `Metrics`; a thread that measures hands its number to that task.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

import attrs

from net.etcd.pb import auth_pb2, health_pb2, rpc_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor

RpcKind = Literal["unary", "client_stream", "server_stream", "bidi_stream"]

# gRPC status codes in numeric order; an index into this is a code.
GRPC_CODES: Final = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)


def doubling(first: int, count: int) -> tuple[int, ...]:
    """Return `count` bucket bounds that start at `first` and double, as etcd's histograms do."""
    return tuple(first << step for step in range(count))


# Bounds by the shape of etcd's histograms; the unit is the last word.
DISK_US: Final = doubling(1_000, 14)
APPLY_US: Final = doubling(100, 20)
HASH_US: Final = doubling(10_000, 15)
SNAPSHOT_US: Final = doubling(10_000, 17)
DEFRAG_US: Final = doubling(100_000, 13)
TRANSFER_US: Final = doubling(100_000, 10)
PEER_US: Final = doubling(100, 16)
LEASE_TTL_S: Final = doubling(1, 24)
PAUSE_MS: Final = doubling(1, 13)
INDEX_PAUSE_US: Final = doubling(500, 14)
COMPACTION_MS: Final = doubling(100, 14)
HANDLING_US: Final = (
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
)  # fmt: skip


@attrs.define(eq=False)
class Histogram:
    """Counts of observations by bucket, and their sum; all integers in one unit.

    `counts` has one place more than `bounds`: the observations above the last bound.
    """

    bounds: tuple[int, ...]
    counts: list[int] = attrs.field(init=False)
    total: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: int) -> None:
        """Count one value; a value equal to a bound belongs to that bound's bucket."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_each(self, value: int, count: int) -> None:
        """Count a value that was met so often."""
        self.counts[bisect_left(self.bounds, value)] += count
        self.total += value * count


@attrs.define(eq=False)
class RpcMetrics:
    """The counters of one gRPC method; `handled` is indexed by status code (0 to 16).

    `handling_us` is there when `--metrics=extensive` was asked for.
    """

    service: str
    method: str
    kind: RpcKind
    started: int = 0
    received: int = 0
    sent: int = 0
    handled: list[int] = attrs.field(factory=lambda: [0] * len(GRPC_CODES))
    handling_us: Histogram | None = None


@attrs.define(eq=False)
class PeerMetrics:
    """The counters of the link to one other member."""

    is_active: int = 0
    disconnected_total: int = 0
    sent_bytes_total: int = 0
    received_bytes_total: int = 0
    sent_failures_total: int = 0
    received_failures_total: int = 0
    snapshot_send_success: int = 0
    snapshot_send_failures: int = 0
    snapshot_send_inflights: int = 0
    snapshot_receive_success: int = 0
    snapshot_receive_failures: int = 0
    snapshot_receive_inflights: int = 0
    round_trip_us: Histogram = attrs.field(factory=lambda: Histogram(PEER_US))
    snapshot_send_us: Histogram = attrs.field(factory=lambda: Histogram(TRANSFER_US))
    snapshot_receive_us: Histogram = attrs.field(factory=lambda: Histogram(TRANSFER_US))


def _disk_histogram() -> Histogram:
    return Histogram(DISK_US)


@attrs.define(eq=False)
class Metrics:
    """Everything one member counts. Fields without `_total` that end in no unit are gauges."""

    # etcd_server_*
    has_leader: int = 0
    is_leader: int = 0
    is_learner: int = 0
    leader_changes_seen_total: int = 0
    heartbeat_send_failures_total: int = 0
    proposals_committed: int = 0
    proposals_applied: int = 0
    proposals_pending: int = 0
    proposals_failed_total: int = 0
    slow_apply_total: int = 0
    slow_read_indexes_total: int = 0
    read_indexes_failed_total: int = 0
    quota_backend_bytes: int = 0
    snapshot_apply_in_progress: int = 0
    learner_promote_successes: int = 0
    learner_promote_failures: dict[str, int] = attrs.field(factory=dict[str, int])
    health_success: int = 0
    health_failures: int = 0
    lease_expired_total: int = 0
    range_us: Histogram = attrs.field(factory=lambda: Histogram(APPLY_US))
    range_failed_us: Histogram = attrs.field(factory=lambda: Histogram(APPLY_US))
    apply_us: dict[tuple[str, bool], Histogram] = attrs.field(
        factory=dict[tuple[str, bool], Histogram]
    )
    request_us: dict[tuple[str, bool], Histogram] = attrs.field(
        factory=dict[tuple[str, bool], Histogram]
    )
    client_requests: dict[tuple[str, str], int] = attrs.field(factory=dict[tuple[str, str], int])
    healthcheck: dict[tuple[str, str], int] = attrs.field(factory=dict[tuple[str, str], int])
    healthchecks: dict[tuple[str, str, str], int] = attrs.field(
        factory=dict[tuple[str, str, str], int]
    )
    alarms: dict[tuple[int, str], int] = attrs.field(factory=dict[tuple[int, str], int])
    stream_failures: dict[tuple[str, str], int] = attrs.field(factory=dict[tuple[str, str], int])

    # etcd_mvcc_* and etcd_debugging_mvcc_*
    put_total: int = 0
    range_total: int = 0
    txn_total: int = 0
    delete_total: int = 0
    keys: int = 0
    current_revision: int = 0
    compact_revision: int = 0
    compaction_keys_total: int = 0
    compaction_last_s: int = 0
    db_size_bytes: int = 0
    db_size_in_use_bytes: int = 0
    db_open_read_transactions: int = 0
    watchers: int = 0
    watch_streams: int = 0
    slow_watchers: int = 0
    pending_events: int = 0
    events_total: int = 0
    put_size_bytes: int = 0
    hash_us: Histogram = attrs.field(factory=lambda: Histogram(HASH_US))
    hash_rev_us: Histogram = attrs.field(factory=lambda: Histogram(HASH_US))
    compaction_pause_ms: Histogram = attrs.field(factory=lambda: Histogram(PAUSE_MS))
    compaction_total_ms: Histogram = attrs.field(factory=lambda: Histogram(COMPACTION_MS))
    index_compaction_pause_us: Histogram = attrs.field(factory=lambda: Histogram(INDEX_PAUSE_US))

    # etcd_disk_*: the journal is etcd's wal, the store its backend
    wal_write_bytes: int = 0
    defrag_inflight: int = 0
    wal_fsync_us: Histogram = attrs.field(factory=_disk_histogram)
    wal_write_us: Histogram = attrs.field(factory=_disk_histogram)
    backend_commit_us: Histogram = attrs.field(factory=_disk_histogram)
    backend_commit_write_us: Histogram = attrs.field(factory=_disk_histogram)
    backend_snapshot_us: Histogram = attrs.field(factory=lambda: Histogram(SNAPSHOT_US))
    backend_defrag_us: Histogram = attrs.field(factory=lambda: Histogram(DEFRAG_US))

    # etcd_debugging_lease_*, _auth_*
    lease_granted_total: int = 0
    lease_revoked_total: int = 0
    lease_renewed_total: int = 0
    lease_ttl_s: Histogram = attrs.field(factory=lambda: Histogram(LEASE_TTL_S))
    auth_revision: int = 1

    # etcd_network_*
    client_received_bytes_total: int = 0
    client_sent_bytes_total: int = 0
    peers: dict[int, PeerMetrics] = attrs.field(factory=dict[int, PeerMetrics])

    # trine_*: what etcd has no name for
    connections: int = 0
    connections_total: int = 0
    turns_total: int = 0
    turn_us: Histogram = attrs.field(factory=lambda: Histogram(APPLY_US))
    batch_commands: Histogram = attrs.field(factory=lambda: Histogram(doubling(1, 13)))
    log_lines_lost_total: int = 0
    peer_frames_refused_total: int = 0

    rpc: dict[str, RpcMetrics] = attrs.field(factory=lambda: rpc_table(has_handling=False))

    def peer(self, member: int) -> PeerMetrics:
        """Return the counters of one other member."""
        counts = self.peers.get(member)
        if counts is None:
            counts = self.peers[member] = PeerMetrics()
        return counts

    def observe_apply(self, op: str, us: int, *, ok: bool) -> None:
        """Count one applied command under etcd's name of its operation ("Put", "Txn", ...)."""
        histogram = self.apply_us.get((op, ok))
        if histogram is None:
            histogram = self.apply_us[op, ok] = Histogram(APPLY_US)
        histogram.observe(us)

    def observe_request(self, kind: str, us: int, *, ok: bool) -> None:
        """Count one request of a kind ("unary", "stream") from its arrival to its answer."""
        histogram = self.request_us.get((kind, ok))
        if histogram is None:
            histogram = self.request_us[kind, ok] = Histogram(DISK_US)
        histogram.observe(us)


def rpc_table(*, has_handling: bool) -> dict[str, RpcMetrics]:
    """Return a counter set for every method that can be called, by its path on the wire.

    All are there from the start, as etcd's are: a rate over a series that first appears with its
    first error would miss that error.
    """
    table: dict[str, RpcMetrics] = {}
    for file in (rpc_pb2.DESCRIPTOR, auth_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR):
        for service, method in _methods(file):
            kind = _kind(client=method.client_streaming, server=method.server_streaming)
            row = RpcMetrics(service=service.full_name, method=method.name, kind=kind)
            if has_handling:
                row.handling_us = Histogram(HANDLING_US)
            table[f"/{service.full_name}/{method.name}"] = row
    return table


def _methods(file: FileDescriptor) -> Iterator[tuple[ServiceDescriptor, MethodDescriptor]]:
    for service in file.services_by_name.values():
        for method in service.methods:
            yield service, method


def _kind(*, client: bool, server: bool) -> RpcKind:
    if client:
        return "bidi_stream" if server else "client_stream"
    return "server_stream" if server else "unary"
