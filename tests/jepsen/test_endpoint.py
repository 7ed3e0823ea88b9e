"""Members as clients reach them: every answer once, in the clients' thread; errors as they are."""

import queue
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
import pytest

from jepsen.clock import RealTime
from jepsen.endpoint import GrpcEndpoint
from net.etcd.pb import rpc_pb2 as pb
from sim.clients import Stream
from sim.history import Seen, WatchSpec
from sim.ops import (
    Admin,
    AdminDone,
    Delete,
    Failed,
    KeepAlive,
    KeepAliveDone,
    Op,
    Put,
    Range,
    RangeDone,
    Result,
    Txn,
    Unknown,
)

FAR_US = 30_000_000
DEADLINE_MS = 10_000

Context = grpc.ServicerContext


class Script:
    """What a stand-in for a member answers, by method."""

    def __init__(self) -> None:
        self.to_watchers: queue.SimpleQueue[pb.WatchResponse | None] = queue.SimpleQueue()
        self.asked: queue.SimpleQueue[pb.WatchRequest] = queue.SimpleQueue()

    def put(self, data: bytes, context: Context) -> bytes:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests")

    def txn(self, data: bytes, context: Context) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")

    def ranged(self, data: bytes, context: Context) -> bytes:
        return pb.RangeResponse(header=pb.ResponseHeader(revision=7)).SerializeToString()

    def status(self, data: bytes, context: Context) -> bytes:
        return pb.StatusResponse(header=pb.ResponseHeader(member_id=99)).SerializeToString()

    def moved(self, data: bytes, context: Context) -> bytes:
        assert pb.MoveLeaderRequest.FromString(data).targetID == 99
        return b""

    def silent(self, data: bytes, context: Context) -> bytes:
        self.asked.get()
        return b""

    def kept(self, asked: Iterator[bytes], context: Context) -> Iterator[bytes]:
        for data in asked:
            lease = pb.LeaseKeepAliveRequest.FromString(data).ID
            yield pb.LeaseKeepAliveResponse(ID=lease, TTL=5).SerializeToString()

    def snapshot(self, data: bytes, context: Context) -> Iterator[bytes]:
        for blob in (b"one", b"three"):
            yield pb.SnapshotResponse(blob=blob).SerializeToString()

    def watch(self, asked: Iterator[bytes], context: Context) -> Iterator[bytes]:
        self.asked.put(pb.WatchRequest.FromString(next(asked)))
        while (message := self.to_watchers.get()) is not None:
            yield message.SerializeToString()
            if not message.events:
                self.asked.put(pb.WatchRequest.FromString(next(asked)))


class Served(grpc.GenericRpcHandler):
    """A script as a grpc server's handler."""

    def __init__(self, script: Script) -> None:
        one, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        self._methods = {
            "KV/Range": one(script.ranged),
            "KV/Put": one(script.put),
            "KV/Txn": one(script.txn),
            "KV/DeleteRange": one(script.silent),
            "Maintenance/Status": one(script.status),
            "Maintenance/MoveLeader": one(script.moved),
            "Maintenance/Snapshot": grpc.unary_stream_rpc_method_handler(script.snapshot),
            "Lease/LeaseKeepAlive": stream(script.kept),
            "Watch/Watch": stream(script.watch),
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._methods.get(details.method.removeprefix("/etcdserverpb."))


class World:
    """One stand-in, one endpoint, and the thread that its answers come to."""

    def __init__(self, script: Script, address: str) -> None:
        self.script = script
        self.real = RealTime()
        self.endpoint = GrpcEndpoint([address], self.real.post)

    def asked(self, op: Op, deadline_ms: int = DEADLINE_MS) -> Result:
        """Ask, and wait for the answer."""
        told: list[Result] = []
        self.endpoint.ask(0, op, deadline_ms, told.append)
        assert not told, "answers come at a later event"
        self.real.run_until(FAR_US, lambda: bool(told))
        (result,) = told
        return result

    def await_seen(self, seen: list[Seen], count: int) -> list[Seen]:
        """Wait until a watcher has seen so much."""
        self.real.run_until(FAR_US, lambda: len(seen) >= count)
        return seen


@contextmanager
def served(script: Script) -> Generator[str]:
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((Served(script),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


@pytest.fixture
def world() -> Generator[World]:
    with ExitStack() as stack:
        script = Script()
        made = World(script, stack.enter_context(served(script)))
        stack.callback(script.asked.put, pb.WatchRequest())
        stack.callback(script.to_watchers.put, None)
        stack.callback(made.endpoint.close)
        yield made


def test_an_answer_is_told_in_the_simulators_words(world: World) -> None:
    assert world.asked(Range("a")) == RangeDone(7, (), 0)


@pytest.mark.parametrize(
    ("op", "told"),
    [
        (Put("a", "1"), Failed("etcdserver: too many requests")),
        (Txn((), ()), Unknown("etcdserver: no leader")),
    ],
)
def test_an_error_proves_only_what_its_code_proves(world: World, op: Op, told: Result) -> None:
    assert world.asked(op) == told


def test_what_is_not_answered_in_time_is_unknown(world: World) -> None:
    assert isinstance(world.asked(Delete("a"), deadline_ms=100), Unknown)


def test_a_renewal_is_a_stream_of_one(world: World) -> None:
    assert world.asked(KeepAlive(12)) == KeepAliveDone(0, 12, 5)


def test_a_snapshot_is_taken_to_its_end(world: World) -> None:
    assert world.asked(Admin("snapshot")) == AdminDone(0, (("size_bytes", 8),))


def test_a_member_is_named_by_the_id_that_it_told(world: World) -> None:
    assert world.asked(Admin("move_leader", 0)) == Failed("nobody knows the id of member 0")
    world.endpoint.learn_ids()
    assert world.asked(Admin("move_leader", 0)) == AdminDone(0)


def test_a_watch_tells_what_comes_and_asks_how_far_it_is(world: World) -> None:
    seen: list[Seen] = []
    close = world.endpoint.watch(0, WatchSpec("a", "b", 3), seen.append)
    asked = world.script.asked.get().create_request
    assert (asked.key, asked.range_end, asked.start_revision) == (b"a", b"b", 3)
    header = pb.ResponseHeader(revision=9)
    world.script.to_watchers.put(pb.WatchResponse(header=header, created=True))
    assert [each.kind for each in world.await_seen(seen, 1)] == ["created"]
    assert isinstance(close, Stream)
    close.ask_progress()
    assert world.script.asked.get().HasField("progress_request")
    world.script.to_watchers.put(None)
    assert [each.kind for each in world.await_seen(seen, 2)] == ["created", "lost"]


def test_a_watch_that_was_closed_tells_nothing_more(world: World) -> None:
    seen: list[Seen] = []
    close = world.endpoint.watch(0, WatchSpec("a"), seen.append)
    world.script.asked.get()
    close()
    world.endpoint.close()
    world.real.run_until(world.real.now_us + 1_000)
    assert [each for each in seen if each.kind != "lost"] == []


def test_nobody_there_is_unknown_and_a_lost_watch(world: World) -> None:
    real = RealTime()
    endpoint = GrpcEndpoint(["127.0.0.1:1"], real.post)
    told: list[Result] = []
    seen: list[Seen] = []
    endpoint.ask(0, Put("a", "1"), DEADLINE_MS, told.append)
    endpoint.watch(0, WatchSpec("a"), seen.append)
    real.run_until(FAR_US, lambda: bool(told and seen))
    endpoint.close()
    assert isinstance(told[0], Unknown)
    assert [each.kind for each in seen] == ["lost"]
