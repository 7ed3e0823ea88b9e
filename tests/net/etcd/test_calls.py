"""What is over leaves nothing behind: no call, no stream, no cycle for a collector to find."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from net.etcd.calls import Call
from net.etcd.pb import rpc_pb2 as pb
from tests.grpc_world import CLUSTER, KEEPALIVE, KV, LEASE, MAINTENANCE, Client, GrpcWorld, put

REQUESTS = 1000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GrpcWorld]:
    made = GrpcWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(world: GrpcWorld) -> Client:
    return world.connect()


@pytest.fixture
def no_collector() -> Iterator[Callable[[], int]]:
    """The collector is off; what it would find is counted when asked."""
    gc.collect()
    gc.disable()
    yield gc.collect
    gc.enable()


def calls_alive() -> int:
    return sum(isinstance(each, Call) for each in gc.get_objects())


def unary(world: GrpcWorld, client: Client) -> None:
    client.ask(KV + "Range", pb.RangeRequest(key=b"a"))
    client.ask(KV + "Put", put(b"a"))
    client.ask(KV + "Txn", pb.TxnRequest(success=[pb.RequestOp(request_put=put(b"a"))]))


def refused(world: GrpcWorld, client: Client) -> None:
    client.ask(KV + "Range", pb.RangeRequest())
    client.ask(KV + "Put", put(b"a", lease=9))
    client.ask(KV + "Put", b"\xff")


def administered(world: GrpcWorld, client: Client) -> None:
    client.ask(MAINTENANCE + "Status", pb.StatusRequest())
    client.ask(CLUSTER + "MemberList", pb.MemberListRequest(linearizable=True))
    client.ask(LEASE + "LeaseLeases", pb.LeaseLeasesRequest())


def streamed(world: GrpcWorld, client: Client) -> None:
    client.ask(KV + "RangeStream", pb.RangeRequest(key=b"a", range_end=b"z"))


def watched_to_the_end(world: GrpcWorld, client: Client) -> None:
    stream = client.watch(pb.WatchCreateRequest(key=b"a"))
    client.half_close(stream)
    world.settle(2)
    del client.streams[stream]


def watch_cancelled(world: GrpcWorld, client: Client) -> None:
    stream = client.watch(pb.WatchCreateRequest(key=b"a", start_revision=1))
    client.reset(stream)
    world.settle(2)
    del client.streams[stream]


def watch_ended_by_garbage(world: GrpcWorld, client: Client) -> None:
    stream = client.watch(pb.WatchCreateRequest(key=b"a"))
    client.send(stream, b"\xff")
    world.settle(2)
    del client.streams[stream]


def renewed_to_the_end(world: GrpcWorld, client: Client) -> None:
    stream = client.begin(KEEPALIVE)
    client.send(stream, pb.LeaseKeepAliveRequest(ID=3))
    client.half_close(stream)
    world.settle(3)
    del client.streams[stream]


def renewal_cancelled(world: GrpcWorld, client: Client) -> None:
    stream = client.begin(KEEPALIVE)
    client.send(stream, pb.LeaseKeepAliveRequest(ID=3))
    client.reset(stream)
    world.settle(3)
    del client.streams[stream]


def put_cancelled(world: GrpcWorld, client: Client) -> None:
    stream = client.begin(KV + "Put")
    client.send(stream, put(b"a"), ended=True)
    world.turn()
    client.reset(stream)
    world.settle(4)
    del client.streams[stream]


def stream_of_chunks_cancelled(world: GrpcWorld, client: Client) -> None:
    stream = client.begin(KV + "RangeStream")
    client.send(stream, pb.RangeRequest(key=b"a", range_end=b"z"), ended=True)
    client.reset(stream)
    world.settle(3)
    del client.streams[stream]


def connection_lost(world: GrpcWorld, client: Client) -> None:
    lost = world.connect()
    stream = lost.watch(pb.WatchCreateRequest(key=b"a"))
    lost.begin(KEEPALIVE)
    lost.begin(KV + "Range")
    lost.leave()
    del lost.streams[stream]
    world.clients.remove(lost)
    world.settle(3)


KINDS = (
    unary,
    refused,
    administered,
    streamed,
    watched_to_the_end,
    watch_cancelled,
    watch_ended_by_garbage,
    renewed_to_the_end,
    renewal_cancelled,
    put_cancelled,
    stream_of_chunks_cancelled,
    connection_lost,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_request_is_freed_without_a_collector(
    world: GrpcWorld,
    client: Client,
    no_collector: Callable[[], int],
    kind: Callable[[GrpcWorld, Client], None],
) -> None:
    for _ in range(3):
        kind(world, client)
    no_collector()
    before = calls_alive()
    for _ in range(20):
        kind(world, client)
    assert calls_alive() == before, "calls that nobody waits for"
    assert no_collector() == 0, "cycles"
    assert world.services.watch_calls == {}
    assert world.inner.node.hub.streams == {}
    assert client.connection.streams == {}


def test_a_thousand_requests_are_freed_without_a_collector(
    world: GrpcWorld, client: Client, no_collector: Callable[[], int]
) -> None:
    unary(world, client)
    no_collector()
    for _ in range(REQUESTS // 50):
        streams = [client.begin(KV + "Range") for _ in range(50)]
        for stream in streams:
            client.send(stream, pb.RangeRequest(key=b"a"), ended=True)
        world.settle(3)
        assert all(client.streams.pop(stream).status == (0, "") for stream in streams)
    assert calls_alive() == 0
    assert no_collector() == 0


def test_an_answer_that_comes_late_is_dropped(world: GrpcWorld, client: Client) -> None:
    world.syncer.is_slow = True
    stream = client.begin(KV + "Put")
    client.send(stream, put(b"a"), ended=True)
    world.settle(3)
    client.reset(stream)
    world.settle(2)
    world.syncer.is_slow = False
    world.settle(4)
    assert world.inner.node.state.revision == 2, "it was proposed, so it happened"
    assert not client.streams[stream].is_over
    assert world.metrics.rpc[KV + "Put"].handled[1] == 1


def test_each_end_is_counted_once(world: GrpcWorld, client: Client) -> None:
    for kind in KINDS:
        kind(world, client)
    for path, metrics in world.metrics.rpc.items():
        assert metrics.started == sum(metrics.handled), path


def test_a_watch_of_a_closed_stream_hears_no_more(world: GrpcWorld, client: Client) -> None:
    stream = client.watch(pb.WatchCreateRequest(key=b"a"))
    other = client.begin(KV + "Put")
    client.send(other, put(b"a"), ended=True)
    world.turn()
    # The put is applied in the very turn that first hears of the cancellation.
    client.reset(stream)
    world.settle()
    assert len(client.watched(stream)) == 1
    assert client.streams[other].status == (0, "")
