"""What an operator does shows in the counters that etcd's dashboards and alerts read."""

import time
from contextlib import suppress
from pathlib import Path

import grpc

from net.etcd.pb import rpc_pb2 as pb
from net.etcd.pb import rpc_pb2_grpc
from tests.members import Member, running, trine

COUNTED = {
    "etcd_debugging_lease_granted_total": 2,
    "etcd_debugging_lease_revoked_total": 1,
    "etcd_debugging_lease_renewed_total": 1,
    "etcd_debugging_lease_ttl_total_count": 2,
    "etcd_debugging_mvcc_db_compaction_keys_total": 2,
    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds_count": 1,
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count": 1,
    "etcd_debugging_mvcc_compact_revision": 4,
    "etcd_debugging_mvcc_total_put_size_in_bytes": 6,
    "etcd_mvcc_hash_rev_duration_seconds_count": 1,
    'etcd_server_range_duration_seconds_count{success="true"}': 5,
    'etcd_server_range_duration_seconds_count{success="false"}': 1,
    "etcd_disk_backend_defrag_duration_seconds_count": 1,
    "etcd_disk_backend_snapshot_duration_seconds_count": 1,
    "etcd_server_leader_changes_seen_total": 1,
    "etcd_server_has_leader": 1,
    "etcd_server_is_leader": 1,
}


def work(member: Member) -> None:
    """One of each: leases, puts, gets, a hash, a compaction, a defragment, a snapshot."""
    with grpc.insecure_channel(member.endpoint) as channel:
        kv, lease, maintenance = (
            stub(channel)  # type: ignore[no-untyped-call]  # generated
            for stub in (
                rpc_pb2_grpc.KVStub,
                rpc_pb2_grpc.LeaseStub,
                rpc_pb2_grpc.MaintenanceStub,
            )
        )
        for number in (1, 2):
            lease.LeaseGrant(pb.LeaseGrantRequest(ID=number, TTL=600))
        list(lease.LeaseKeepAlive(iter([pb.LeaseKeepAliveRequest(ID=1)])))
        lease.LeaseRevoke(pb.LeaseRevokeRequest(ID=2))
        for _ in range(3):
            kv.Put(pb.PutRequest(key=b"k", value=b"v"))
        for _ in range(5):
            kv.Range(pb.RangeRequest(key=b"k"))
        with suppress(grpc.RpcError):
            kv.Range(pb.RangeRequest(key=b"k", revision=99))
        maintenance.HashKV(pb.HashKVRequest())
        kv.Compact(pb.CompactionRequest(revision=4, physical=True))
        maintenance.Defragment(pb.DefragmentRequest())
        list(maintenance.Snapshot(pb.SnapshotRequest()))


def test_what_is_done_is_counted_under_etcds_names(tmp_path: Path) -> None:
    with running(trine(tmp_path / "data")) as member:
        began_s = int(time.time())
        work(member)
        told = member.metrics()
        assert {name: told[name] for name in COUNTED} == COUNTED
        assert told["etcd_disk_backend_commit_duration_seconds_count"] > 0
        assert told["etcd_debugging_mvcc_db_compaction_last"] >= began_s
