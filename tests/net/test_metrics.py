"""Counting is adding integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.metrics import (
    APPLY_US,
    DISK_US,
    GRPC_CODES,
    HANDLING_US,
    Histogram,
    Metrics,
    RpcMetrics,
    doubling,
    rpc_table,
)


@pytest.mark.parametrize(
    ("value", "bucket"), [(0, 0), (9, 0), (10, 0), (11, 1), (20, 1), (40, 2), (41, 3), (10**9, 3)]
)
def test_a_value_falls_into_the_first_bucket_that_holds_it(value: int, bucket: int) -> None:
    histogram = Histogram(doubling(10, 3))
    histogram.observe(value)
    assert histogram.counts == [int(place == bucket) for place in range(4)]
    assert histogram.total == value


@given(st.lists(st.integers(0, 10**10)))
def test_no_observation_is_lost(values: list[int]) -> None:
    histogram = Histogram(DISK_US)
    for value in values:
        histogram.observe(value)
    assert (sum(histogram.counts), histogram.total) == (len(values), sum(values))


def test_bounds_double() -> None:
    assert doubling(100, 4) == (100, 200, 400, 800)


def test_durations_are_counted_by_operation_and_outcome() -> None:
    metrics = Metrics()
    metrics.observe_apply("Put", 150, ok=True)
    metrics.observe_apply("Put", 150, ok=True)
    metrics.observe_apply("Put", 50, ok=False)
    metrics.observe_request("unary", 5_000, ok=True)
    found = {key: (one.bounds, one.total) for key, one in metrics.apply_us.items()}
    assert found == {("Put", True): (APPLY_US, 300), ("Put", False): (APPLY_US, 50)}
    assert metrics.request_us["unary", True].total == 5_000


def test_every_method_has_its_counters_from_the_start() -> None:
    table = rpc_table(has_handling=False)
    kinds = {path: row.kind for path, row in table.items()}
    assert kinds["/etcdserverpb.KV/Put"] == "unary"
    assert kinds["/etcdserverpb.KV/RangeStream"] == "server_stream"
    assert kinds["/etcdserverpb.Watch/Watch"] == "bidi_stream"
    assert kinds["/etcdserverpb.Lease/LeaseKeepAlive"] == "bidi_stream"
    assert kinds["/etcdserverpb.Maintenance/Snapshot"] == "server_stream"
    assert kinds["/grpc.health.v1.Health/Check"] == "unary"
    assert all(path == f"/{row.service}/{row.method}" for path, row in table.items())
    assert all(row.handling_us is None for row in table.values())


def test_extensive_metrics_time_every_method() -> None:
    bounds = {one.handling_us.bounds for one in rpc_table(has_handling=True).values()
              if one.handling_us is not None}  # fmt: skip
    assert bounds == {HANDLING_US}


def test_a_method_counts_each_of_the_17_codes() -> None:
    assert RpcMetrics("s", "m", "unary").handled == [0] * 17
    assert (GRPC_CODES[0], GRPC_CODES[14], GRPC_CODES[16]) == (
        "OK",
        "Unavailable",
        "Unauthenticated",
    )
