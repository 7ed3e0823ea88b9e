"""Watches whose catch-up is longer than one message may be, on etcd and on Trine."""

from pathlib import Path

import pytest

from net.etcd.pb import rpc_pb2
from sim.oracle import Oracle
from tests.differential import peers
from tests.differential.endpoint import Endpoint
from tests.differential.operations import Call, Operation, Send
from tests.differential.play import Start, played_on_oracle
from tests.differential.players import EndpointPlayer
from tests.differential.trace import first_difference

NAMES = ("etcd", "trine")


@pytest.fixture(params=NAMES)
def start(request: pytest.FixtureRequest, start_etcd: Start) -> Start:
    return start_etcd if request.param == "etcd" else peers.trine


def long_story() -> list[Operation]:
    """Five revisions of 1.4 MB, then a watch of them all without fragments, and one with."""
    value = b"x" * 700_000
    puts: list[Operation] = [
        Call(
            "Txn",
            rpc_pb2.TxnRequest(
                success=[
                    rpc_pb2.RequestOp(
                        request_put=rpc_pb2.PutRequest(key=b"a/%d" % key, value=value)
                    )
                    for key in range(2)
                ]
            ),
        )
        for _ in range(5)
    ]
    return [
        *puts,
        *(
            Send(
                int(fragment),
                rpc_pb2.WatchRequest(
                    create_request=rpc_pb2.WatchCreateRequest(
                        key=b"a", range_end=b"b", start_revision=2, prev_kv=True, fragment=fragment
                    )
                ),
            )
            for fragment in (False, True)
        ),
    ]


def test_a_long_catch_up_comes_whole_and_in_fragments_only_where_asked(
    start: Start, tmp_path: Path
) -> None:
    operations = long_story()
    with start(tmp_path) as address:
        endpoint = Endpoint(address)
        try:
            answered = EndpointPlayer(endpoint, Oracle()).play(operations)
        finally:
            endpoint.close()
    expected = played_on_oracle(Oracle(), operations)
    assert first_difference(operations, expected, answered) is None
    assert answered.streams[0].fragments == 0
    assert answered.streams[1].fragments > 0
