"""Leases that end by themselves, on etcd and on Trine: in seconds of the wall, so only when asked.

What time leaves open is the moment, within bounds.
"""

import time
from pathlib import Path

import pytest

from net.etcd.pb import rpc_pb2
from sim.oracle import Oracle
from tests.differential import peers
from tests.differential.endpoint import Endpoint
from tests.differential.play import Start
from tests.differential.trace import Seen, Trace, first_difference

TTL_S = 2
LATE_S_MAX = 8.0


@pytest.fixture(params=("etcd", "trine"))
def start(request: pytest.FixtureRequest, start_etcd: Start) -> Start:
    return start_etcd if request.param == "etcd" else peers.trine


@pytest.mark.slow
def test_a_lease_that_ends_deletes_its_keys_in_one_revision_and_not_early(
    start: Start, tmp_path: Path
) -> None:
    oracle, seen = Oracle(), Seen()
    watch = oracle.open_watch_stream()
    create = rpc_pb2.WatchCreateRequest(key=b"a", range_end=b"b", prev_kv=True)
    requests = [
        ("LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=7, TTL=TTL_S)),
        ("LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=8, TTL=1_000)),
        ("Put", rpc_pb2.PutRequest(key=b"a/2", value=b"ends", lease=7)),
        ("Put", rpc_pb2.PutRequest(key=b"a/1", value=b"ends", lease=7)),
        ("Put", rpc_pb2.PutRequest(key=b"a/3", value=b"stays", lease=7)),
        ("Put", rpc_pb2.PutRequest(key=b"a/3", value=b"stays", lease=8)),
    ]
    with start(tmp_path) as address:
        endpoint = Endpoint(address)
        try:
            endpoint.send(0, rpc_pb2.WatchRequest(create_request=create), seen.add)
            watch.request(rpc_pb2.WatchRequest(create_request=create))
            assert endpoint.wait(lambda: seen.tally[0] == 1, time.monotonic() + LATE_S_MAX)
            began = time.monotonic()
            for method, request in requests:
                oracle.call(method, request)
                endpoint.call(method, request)
            assert endpoint.wait(lambda: seen.tally[2] == 6, began + TTL_S + LATE_S_MAX)
            took = time.monotonic() - began
        finally:
            endpoint.close()
    oracle.tick(TTL_S * 1000)
    owed = Seen()
    for response in watch.responses:
        owed.add(response)
    assert first_difference([], Trace(streams={0: owed}), Trace(streams={0: seen})) is None
    assert took >= TTL_S
