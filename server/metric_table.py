"""Which number of `net/metrics.py` stands under which name in /metrics.

Rule: names, types and buckets are etcd's to the letter, so that dashboards and alerts made for etcd
work; a family is here even while this build cannot move it from zero, if a dashboard would show a
gap without it. What etcd has no name for begins with `trine_`. Families whose samples have labels
are built in `server/metrics.py`.

Sources: etcd v3.7 server/**/metrics.go (names and bounds; the help texts are ours).
"""

from __future__ import annotations

from typing import Final

from net.metrics import DISK_US, PEER_US, TRANSFER_US

# (name, help, field of Metrics); counters end in _total but for the few etcd named otherwise.
Scalar = tuple[str, str, str]
# (name, help, field of Metrics, units in one of the name's unit)
Bucketed = tuple[str, str, str, int]

_US: Final = 1_000_000
_MS: Final = 1_000

COUNTERS: Final[tuple[Scalar, ...]] = (
    ("etcd_server_leader_changes_seen_total", "Leader changes seen.", "leader_changes_seen_total"),
    (
        "etcd_server_heartbeat_send_failures_total",
        "Heartbeats the leader could not send in time.",
        "heartbeat_send_failures_total",
    ),
    ("etcd_server_proposals_failed_total", "Proposals that failed.", "proposals_failed_total"),
    ("etcd_server_slow_apply_total", "Requests that were slow to apply.", "slow_apply_total"),
    (
        "etcd_server_slow_read_indexes_total",
        "Read index rounds that were slow or timed out.",
        "slow_read_indexes_total",
    ),
    (
        "etcd_server_read_indexes_failed_total",
        "Read index rounds that failed.",
        "read_indexes_failed_total",
    ),
    (
        "etcd_server_learner_promote_successes",
        "Learners promoted while this member led.",
        "learner_promote_successes",
    ),
    ("etcd_server_health_success", "Health probes answered well.", "health_success"),
    ("etcd_server_health_failures", "Health probes answered badly.", "health_failures"),
    (
        "etcd_debugging_server_lease_expired_total",
        "Leases that expired.",
        "lease_expired_total",
    ),
    ("etcd_mvcc_put_total", "Puts carried out.", "put_total"),
    ("etcd_mvcc_range_total", "Ranges carried out.", "range_total"),
    ("etcd_mvcc_txn_total", "Transactions carried out.", "txn_total"),
    ("etcd_mvcc_delete_total", "Deletes carried out.", "delete_total"),
    ("etcd_debugging_mvcc_events_total", "Events sent to watchers.", "events_total"),
    (
        "etcd_debugging_mvcc_db_compaction_keys_total",
        "Versions of keys removed by compaction.",
        "compaction_keys_total",
    ),
    ("etcd_debugging_lease_granted_total", "Leases granted.", "lease_granted_total"),
    ("etcd_debugging_lease_revoked_total", "Leases revoked.", "lease_revoked_total"),
    ("etcd_debugging_lease_renewed_total", "Leases renewed.", "lease_renewed_total"),
    (
        "etcd_network_client_grpc_received_bytes_total",
        "Bytes received from clients.",
        "client_received_bytes_total",
    ),
    (
        "etcd_network_client_grpc_sent_bytes_total",
        "Bytes sent to clients.",
        "client_sent_bytes_total",
    ),
    ("trine_connections_accepted_total", "Client connections accepted.", "connections_total"),
    ("trine_turns_total", "Turns of the driver.", "turns_total"),
    (
        "trine_log_lines_lost_total",
        "Log lines that an output did not take.",
        "log_lines_lost_total",
    ),
    (
        "trine_peer_frames_refused_total",
        "Messages of members that no member sends.",
        "peer_frames_refused_total",
    ),
)

GAUGES: Final[tuple[Scalar, ...]] = (
    ("etcd_server_has_leader", "1 if this member knows a leader.", "has_leader"),
    ("etcd_server_is_leader", "1 if this member leads.", "is_leader"),
    ("etcd_server_is_learner", "1 if this member is a learner.", "is_learner"),
    (
        "etcd_server_proposals_committed_total",
        "Index of the last committed proposal.",
        "proposals_committed",
    ),
    (
        "etcd_server_proposals_applied_total",
        "Index of the last applied proposal.",
        "proposals_applied",
    ),
    ("etcd_server_proposals_pending", "Proposals not yet committed.", "proposals_pending"),
    (
        "etcd_server_quota_backend_bytes",
        "Bytes of data this member holds before it takes no more.",
        "quota_backend_bytes",
    ),
    (
        "etcd_server_snapshot_apply_in_progress_total",
        "1 while a received snapshot is being loaded.",
        "snapshot_apply_in_progress",
    ),
    ("etcd_disk_defrag_inflight", "1 while a defragmentation runs.", "defrag_inflight"),
    ("etcd_disk_wal_write_bytes_total", "Bytes written to the journal.", "wal_write_bytes"),
    (
        "etcd_mvcc_db_total_size_in_bytes",
        "Bytes the store's file has on disk.",
        "db_size_bytes",
    ),
    (
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "Bytes of data held, as compared with the quota.",
        "db_size_in_use_bytes",
    ),
    (
        "etcd_mvcc_db_open_read_transactions",
        "Reads of the store that are under way.",
        "db_open_read_transactions",
    ),
    ("etcd_debugging_mvcc_keys_total", "Keys that exist now.", "keys"),
    ("etcd_debugging_mvcc_current_revision", "Newest revision.", "current_revision"),
    ("etcd_debugging_mvcc_compact_revision", "Compact revision.", "compact_revision"),
    (
        "etcd_debugging_mvcc_db_compaction_last",
        "Unix time of the last compaction, 0 if none since the start.",
        "compaction_last_s",
    ),
    ("etcd_debugging_mvcc_watcher_total", "Watchers.", "watchers"),
    ("etcd_debugging_mvcc_watch_stream_total", "Watch streams.", "watch_streams"),
    (
        "etcd_debugging_mvcc_slow_watcher_total",
        "Watchers that have not caught up.",
        "slow_watchers",
    ),
    ("etcd_debugging_mvcc_pending_events_total", "Events waiting to be sent.", "pending_events"),
    (
        "etcd_debugging_mvcc_total_put_size_in_bytes",
        "Bytes of keys and values put.",
        "put_size_bytes",
    ),
    ("etcd_debugging_auth_revision", "Revision of users and roles.", "auth_revision"),
    ("trine_connections", "Client connections that are open.", "connections"),
)

HISTOGRAMS: Final[tuple[Bucketed, ...]] = (
    (
        "etcd_disk_wal_fsync_duration_seconds",
        "Duration of a sync of the journal.",
        "wal_fsync_us",
        _US,
    ),
    (
        "etcd_disk_wal_write_duration_seconds",
        "Duration of a write to the journal.",
        "wal_write_us",
        _US,
    ),
    (
        "etcd_disk_backend_commit_duration_seconds",
        "Duration of a commit of the store.",
        "backend_commit_us",
        _US,
    ),
    (
        "etcd_debugging_disk_backend_commit_write_duration_seconds",
        "Duration of the writes of a commit of the store.",
        "backend_commit_write_us",
        _US,
    ),
    (
        "etcd_disk_backend_snapshot_duration_seconds",
        "Duration of a snapshot of the store.",
        "backend_snapshot_us",
        _US,
    ),
    (
        "etcd_disk_backend_defrag_duration_seconds",
        "Duration of a defragmentation of the store.",
        "backend_defrag_us",
        _US,
    ),
    ("etcd_mvcc_hash_duration_seconds", "Duration of Hash.", "hash_us", _US),
    ("etcd_mvcc_hash_rev_duration_seconds", "Duration of HashKV.", "hash_rev_us", _US),
    (
        "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
        "Duration of one slice of a compaction.",
        "compaction_pause_ms",
        1,
    ),
    (
        "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
        "Duration of a compaction with its pauses.",
        "compaction_total_ms",
        1,
    ),
    (
        "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
        "Duration of the compaction of the index.",
        "index_compaction_pause_us",
        _MS,
    ),
    ("etcd_debugging_lease_ttl_total", "TTLs of the leases granted.", "lease_ttl_s", 1),
    ("trine_turn_duration_seconds", "Duration of a turn of the driver.", "turn_us", _US),
    ("trine_batch_commands", "Commands in one journal batch.", "batch_commands", 1),
)

# What etcd measures inside bbolt, snapshot files and watch loops, which have no counterpart here:
# always empty, for dashboards that list it. (name, help, bounds, units in one of the name's)
UNUSED_HISTOGRAMS: Final = tuple(
    (name, "Always empty: there is no counterpart here.", bounds, _US)
    for name, bounds in (
        ("etcd_debugging_disk_backend_commit_rebalance_duration_seconds", DISK_US),
        ("etcd_debugging_disk_backend_commit_spill_duration_seconds", DISK_US),
        ("etcd_debugging_snap_save_marshalling_duration_seconds", DISK_US),
        ("etcd_debugging_snap_save_total_duration_seconds", DISK_US),
        ("etcd_snap_fsync_duration_seconds", DISK_US),
        ("etcd_snap_db_fsync_duration_seconds", DISK_US),
        ("etcd_snap_db_save_total_duration_seconds", TRANSFER_US),
        ("etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds", DISK_US),
        ("etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds", DISK_US),
        ("etcd_debugging_server_watch_send_loop_control_stream_duration_seconds", DISK_US),
        ("etcd_debugging_server_watch_send_loop_progress_duration_seconds", DISK_US),
    )
)

RPC_COUNTERS: Final[tuple[Scalar, ...]] = (
    ("grpc_server_started_total", "RPCs started.", "started"),
    ("grpc_server_msg_received_total", "Messages received on streams.", "received"),
    ("grpc_server_msg_sent_total", "Messages sent on streams.", "sent"),
)
# (name, type, help, field of PeerMetrics, label that has the other member's id)
PEER_FAMILIES: Final[tuple[tuple[str, str, str, str, str], ...]] = (
    ("etcd_network_active_peers", "gauge", "1 if the link is up.", "is_active", "Remote"),
    (
        "etcd_network_disconnected_peers_total",
        "counter",
        "Times the link went down.",
        "disconnected_total",
        "Remote",
    ),
    ("etcd_network_peer_sent_bytes_total", "counter", "Bytes sent.", "sent_bytes_total", "To"),
    (
        "etcd_network_peer_received_bytes_total",
        "counter",
        "Bytes received.",
        "received_bytes_total",
        "From",
    ),
    (
        "etcd_network_peer_sent_failures_total",
        "counter",
        "Messages that could not be sent.",
        "sent_failures_total",
        "To",
    ),
    (
        "etcd_network_peer_received_failures_total",
        "counter",
        "Messages that could not be read.",
        "received_failures_total",
        "From",
    ),
    (
        "etcd_network_snapshot_send_success",
        "counter",
        "Snapshots sent.",
        "snapshot_send_success",
        "To",
    ),
    (
        "etcd_network_snapshot_send_failures",
        "counter",
        "Snapshots that could not be sent.",
        "snapshot_send_failures",
        "To",
    ),
    (
        "etcd_network_snapshot_send_inflights_total",
        "gauge",
        "Snapshots on their way out.",
        "snapshot_send_inflights",
        "To",
    ),
    (
        "etcd_network_snapshot_receive_success",
        "counter",
        "Snapshots received.",
        "snapshot_receive_success",
        "From",
    ),
    (
        "etcd_network_snapshot_receive_failures",
        "counter",
        "Snapshots that could not be received.",
        "snapshot_receive_failures",
        "From",
    ),
    (
        "etcd_network_snapshot_receive_inflights_total",
        "gauge",
        "Snapshots on their way in.",
        "snapshot_receive_inflights",
        "From",
    ),
)
PEER_HISTOGRAMS: Final = (
    (
        "etcd_network_peer_round_trip_time_seconds",
        "Round trips to a member.",
        "round_trip_us",
        "To",
        PEER_US,
    ),
    (
        "etcd_network_snapshot_send_total_duration_seconds",
        "Duration of sending a snapshot.",
        "snapshot_send_us",
        "To",
        TRANSFER_US,
    ),
    (
        "etcd_network_snapshot_receive_total_duration_seconds",
        "Duration of receiving a snapshot.",
        "snapshot_receive_us",
        "From",
        TRANSFER_US,
    ),
)
