"""A member that leaves ends what clients would keep open for ever, and answers all else."""

from pathlib import Path

from net.etcd.pb import rpc_pb2 as pb
from tests.grpc_world import KEEPALIVE, KV, WATCH, GrpcWorld, put

STOPPED = (14, "etcdserver: server stopped")


def test_watches_and_renewals_end_and_a_put_under_way_is_answered(tmp_path: Path) -> None:
    world = GrpcWorld(tmp_path)
    client = world.connect()
    watch = client.watch(pb.WatchCreateRequest(key=b"a"))
    renewals = client.begin(KEEPALIVE)
    writing = client.begin(KV + "Put")
    client.send(writing, put(b"b"), ended=True)
    client.connection.drain(world.now_ms)
    world.port.leave()
    world.settle()
    assert client.streams[watch].status == STOPPED
    assert client.streams[renewals].status == STOPPED
    assert client.streams[writing].status == (0, "")
    assert (world.services.watch_calls, world.services.keepalive_calls) == ({}, {})
    assert world.inner.node.hub.streams == {}
    world.close()


def test_what_is_opened_while_a_member_leaves_ends_at_once(tmp_path: Path) -> None:
    world = GrpcWorld(tmp_path)
    client = world.connect()
    world.port.leave()
    streams = [client.begin(path) for path in (WATCH, KEEPALIVE)]
    world.settle()
    assert [client.streams[each].status for each in streams] == [STOPPED, STOPPED]
    client.call(KV + "Put", put(b"a"))
    world.close()
