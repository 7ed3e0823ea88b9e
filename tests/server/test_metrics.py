"""/metrics has etcd's names, types and buckets."""

from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from net.metrics import Metrics, PeerMetrics, rpc_table
from server.metrics import Exposition, bound_text

# Families of etcd 3.6.16 as `type name`, without the Go runtime, the v2 store and the proxy.
ETCD_FAMILIES = (Path(__file__).parent / "etcd_families.txt").read_text().splitlines()

# What the mixin and the Grafana dashboards of etcd read.
DASHBOARD_SERIES = {
    "etcd_disk_backend_commit_duration_seconds_bucket",
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_network_client_grpc_received_bytes_total",
    "etcd_network_client_grpc_sent_bytes_total",
    "etcd_network_peer_received_bytes_total",
    "etcd_network_peer_round_trip_time_seconds_bucket",
    "etcd_network_peer_sent_bytes_total",
    "etcd_network_peer_sent_failures_total",
    "etcd_server_has_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_applied_total",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_failed_total",
    "etcd_server_proposals_pending",
    "etcd_server_quota_backend_bytes",
    "grpc_server_handled_total",
    "grpc_server_handling_seconds_bucket",
    "grpc_server_started_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
}


def text_of(metrics: Metrics) -> str:
    return Exposition(metrics, member_id=0xAB, cluster_version="3.7.0").text().decode()


def families(metrics: Metrics) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text_of(metrics))}


def busy() -> Metrics:
    metrics = Metrics(rpc=rpc_table(has_handling=True))
    metrics.observe_apply("Put", 150, ok=True)
    metrics.client_requests["unary", "3.6"] = 2
    metrics.peers[0xCD] = PeerMetrics(sent_bytes_total=7, is_active=1)
    return metrics


def lines(metrics: Metrics, start: str) -> list[str]:
    return [line for line in text_of(metrics).splitlines() if line.startswith(start)]


def test_every_family_of_etcd_is_there_with_its_type() -> None:
    declared = {
        f"{kind} {name}"
        for _, word, name, kind in (
            line.split() for line in text_of(busy()).splitlines() if line.startswith("# TYPE")
        )
        if word == "TYPE"
    }
    assert [family for family in ETCD_FAMILIES if family not in declared] == []


def test_every_series_that_dashboards_read_is_there() -> None:
    names = {line.partition(" ")[0].partition("{")[0] for line in text_of(busy()).splitlines()}
    assert DASHBOARD_SERIES - names == set()


def test_a_duration_is_in_seconds_with_etcds_buckets() -> None:
    metrics = Metrics()
    metrics.wal_fsync_us.observe(1_500)
    name = "etcd_disk_wal_fsync_duration_seconds"
    assert lines(metrics, name) == [
        f'{name}_bucket{{le="0.001"}} 0.0',
        *(
            f'{name}_bucket{{le="{bound}"}} 1.0'
            for bound in ("0.002", "0.004", "0.008", "0.016", "0.032", "0.064", "0.128", "0.256",
                          "0.512", "1.024", "2.048", "4.096", "8.192", "+Inf")
        ),
        f"{name}_sum 0.0015",
        f"{name}_count 1.0",
    ]  # fmt: skip


def test_an_apply_duration_has_its_operation_and_outcome() -> None:
    name = "etcd_server_apply_duration_seconds_count"
    assert lines(busy(), name) == [f'{name}{{op="Put",success="true",version="v3"}} 1.0']


def test_counters_without_the_usual_ending_keep_their_type() -> None:
    metrics = Metrics(health_success=3)
    assert "# TYPE etcd_server_health_success counter" in text_of(metrics)
    assert lines(metrics, "etcd_server_health_success") == ["etcd_server_health_success 3.0"]


def test_an_rpc_is_counted_by_method_and_code() -> None:
    metrics = Metrics()
    row = metrics.rpc["/etcdserverpb.KV/Put"]
    row.started, row.handled[14] = 5, 2
    labels = 'grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"'
    assert f"grpc_server_started_total{{{labels}}} 5.0" in text_of(metrics)
    handled = f'grpc_server_handled_total{{grpc_code="Unavailable",{labels}}} 2.0'
    assert handled in text_of(metrics)


def test_handling_times_are_there_only_if_asked_for() -> None:
    assert "grpc_server_handling_seconds" not in families(Metrics())
    assert "grpc_server_handling_seconds" in families(busy())


def test_a_peer_has_series_of_its_own() -> None:
    assert lines(busy(), "etcd_network_peer_sent_bytes_total") == [
        'etcd_network_peer_sent_bytes_total{To="cd"} 7.0'
    ]
    assert lines(busy(), "etcd_network_active_peers") == [
        'etcd_network_active_peers{Local="ab",Remote="cd"} 1.0'
    ]
    assert lines(busy(), "etcd_network_known_peers") == [
        'etcd_network_known_peers{Local="ab",Remote="ab"} 1.0',
        'etcd_network_known_peers{Local="ab",Remote="cd"} 1.0',
    ]


def test_versions_and_ids_are_labels() -> None:
    text = text_of(Metrics())
    assert 'etcd_server_version{server_version="3.7.0"} 1.0' in text
    assert 'etcd_cluster_version{cluster_version="3.7"} 1.0' in text
    assert 'etcd_server_id{server_id="ab"} 1.0' in text


def test_gauges_are_refreshed_before_they_are_read() -> None:
    metrics = Metrics()

    def refresh() -> None:
        metrics.keys = 9

    text = Exposition(metrics, refresh=refresh).text().decode()
    assert "etcd_debugging_mvcc_keys_total 9.0" in text


def test_the_text_can_be_written_family_by_family() -> None:
    exposition = Exposition(busy(), member_id=1)
    slices = list(exposition.slices())
    assert [part.count(b"# TYPE ") for part in slices] == [1] * len(slices)


def test_the_process_is_described() -> None:
    found = families(Metrics())
    assert found["os_fd_used"].samples[0].value > 0
    assert found["process_resident_memory_bytes"].samples[0].value > 1 << 20


def test_bounds_are_written_as_go_writes_them() -> None:
    bounds = [0.0001, 0.5, 1.0, 524_288.0, 1_048_576.0, 8_388_608.0]
    assert [bound_text(bound) for bound in bounds] == [
        "0.0001",
        "0.5",
        "1",
        "524288",
        "1.048576e+06",
        "8.388608e+06",
    ]
