"""A client that does not read is fed no further; nobody else notices, and it loses nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.operations import Compact
from net.etcd.pb import rpc_pb2 as pb
from net.etcd.port import CONNECTION_BYTES_HIGH, INPUTS_PER_TURN, STREAM_BYTES_HIGH
from net.listen import PeerInfo
from tests.grpc_world import KV, MAINTENANCE, Client, GrpcWorld, put

VALUE = b"x" * 100_000
WINDOW = 64_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GrpcWorld]:
    made = GrpcWorld(tmp_path)
    yield made
    made.close()


def write(world: GrpcWorld, count: int) -> list[int]:
    """Put a large value that often; return how much the slowest stream held after each."""
    writer = world.connect()
    held: list[int] = []
    for number in range(count):
        writer.call(KV + "Put", put(b"k%04d" % number, VALUE))
        held.append(max(most_queued(client) for client in world.clients))
    return held


def most_queued(client: Client) -> int:
    return max((stream.queued_bytes for stream in client.connection.streams.values()), default=0)


def mods(client: Client, stream: int) -> list[int]:
    return [e.kv.mod_revision for m in client.watched(stream) for e in m.events]


def let_in(world: GrpcWorld, client: Client, stream: int) -> None:
    for _ in range(400):
        client.grant(stream, 1 << 16)
        world.turn()


def test_a_watch_that_is_not_read_holds_so_much_and_no_more(world: GrpcWorld) -> None:
    slow, fast = world.connect(WINDOW), world.connect()
    request = pb.WatchCreateRequest(key=b"k", range_end=b"l")
    slow_stream, fast_stream = slow.watch(request), fast.watch(request)
    held = write(world, 40)
    one_message = len(VALUE) + 200
    assert max(held) <= STREAM_BYTES_HIGH + one_message
    assert mods(fast, fast_stream) == list(range(2, 42)), "the fast one waits for nobody"
    assert mods(slow, slow_stream) == [], "not even one message fits the window"
    let_in(world, slow, slow_stream)
    assert mods(slow, slow_stream) == list(range(2, 42))
    # Up to date again, it is told at once.
    write(world, 1)
    assert mods(slow, slow_stream)[-1] == 42


def test_a_connection_that_is_not_read_holds_so_much_and_no_more(world: GrpcWorld) -> None:
    slow = world.connect()
    request = pb.WatchCreateRequest(key=b"k", range_end=b"l")
    streams = [slow.watch(request) for _ in range(20)]
    slow.reads = False
    write(world, 15)
    one_turn = len(streams) * (len(VALUE) + 200)
    assert slow.connection.pending_bytes <= CONNECTION_BYTES_HIGH + one_turn
    slow.reads = True
    world.settle(60)
    for stream in streams:
        assert mods(slow, stream) == list(range(2, 17))


def test_a_stream_of_chunks_that_is_not_read_holds_so_much_and_no_more(world: GrpcWorld) -> None:
    write(world, 60)
    slow = world.connect(WINDOW)
    stream = slow.begin(KV + "RangeStream")
    slow.send(stream, pb.RangeRequest(key=b"k", range_end=b"l"), ended=True)
    world.settle(20)
    assert STREAM_BYTES_HIGH < most_queued(slow) < STREAM_BYTES_HIGH + 3_500_000
    # What it reads is the revision it began with, whatever is written meanwhile.
    write(world, 3)
    let_in(world, slow, stream)
    heard = slow.streams[stream]
    assert heard.status == (0, "")
    chunks = [pb.RangeStreamResponse.FromString(m).range_response for m in heard.messages()]
    kvs = [each for chunk in chunks for each in chunk.kvs]
    assert [each.mod_revision for each in kvs] == list(range(2, 62))


def test_a_snapshot_that_is_not_read_holds_so_much_and_no_more(world: GrpcWorld) -> None:
    write(world, 30)
    slow = world.connect(WINDOW)
    stream = slow.begin(MAINTENANCE + "Snapshot")
    slow.send(stream, pb.SnapshotRequest(), ended=True)
    world.settle(20)
    assert most_queued(slow) <= STREAM_BYTES_HIGH + 40_000
    let_in(world, slow, stream)
    assert slow.streams[stream].status == (0, "")
    pieces = [pb.SnapshotResponse.FromString(m) for m in slow.streams[stream].messages()]
    assert sum(len(piece.blob) for piece in pieces) > 30 * len(VALUE)
    assert pieces[-1].remaining_bytes == 0


def test_a_watch_left_behind_a_compaction_is_told_so(world: GrpcWorld) -> None:
    slow = world.connect(WINDOW)
    stream = slow.watch(pb.WatchCreateRequest(key=b"k", range_end=b"l"))
    write(world, 30)
    world.connect().call(KV + "Compact", pb.CompactionRequest(revision=31))
    let_in(world, slow, stream)
    *told, last = slow.watched(stream)
    assert (last.canceled, last.compact_revision) == (True, 31)
    seen = [e.kv.mod_revision for m in told for e in m.events]
    assert seen == list(range(2, 2 + len(seen))), "what came before has no gap"


def test_a_client_that_leaves_while_it_is_held_back_is_forgotten(world: GrpcWorld) -> None:
    slow = world.connect(WINDOW)
    slow.watch(pb.WatchCreateRequest(key=b"k", range_end=b"l"))
    write(world, 15)
    assert world.port._blocked
    slow.leave()
    world.settle(3)
    assert not world.port._blocked
    assert world.inner.node.hub.streams == {}


# What else the port does in its turn.


def test_a_question_of_ones_own_is_answered_or_expires(world: GrpcWorld) -> None:
    verdicts: list[bool] = []
    world.port.ask_barrier(verdicts.append, world.now_ms + 100)
    world.settle(2)
    assert verdicts == [True]
    node = world.inner.node
    begin_reads, node.begin_reads = node.begin_reads, lambda: ()  # type: ignore[method-assign]
    world.port.ask_barrier(verdicts.append, world.now_ms + 100)
    world.settle(3)
    assert verdicts == [True]
    world.turn(after_ms=200)
    assert verdicts == [True, False]
    node.begin_reads = begin_reads  # type: ignore[method-assign]  # as it was
    world.settle(3)
    assert verdicts == [True, False], "a late answer changes nothing"


def test_a_command_of_ones_own_is_applied_or_not(world: GrpcWorld) -> None:
    verdicts: list[bool] = []
    world.port.offer(Compact(1), verdicts.append)
    world.settle()
    world.port.offer(Compact(1), verdicts.append)
    world.settle()
    assert verdicts == [True, False]


def test_an_idle_port_sleeps_to_the_next_tick(world: GrpcWorld) -> None:
    world.settle()
    due = world.port.turn(world.now_ms + 60)
    assert due is not None
    assert due > world.now_ms + 60


def test_requests_in_flight_end_with_their_connection(world: GrpcWorld) -> None:
    client = world.connect()
    world.syncer.is_slow = True
    for _ in range(5):
        client.send(client.begin(KV + "Put"), put(b"a"), ended=True)
    world.turn()
    client.leave()
    world.syncer.is_slow = False
    world.settle()
    assert world.metrics.rpc[KV + "Put"].handled[1] == 5
    assert world.inner.node.proposals_waiting == 0


def test_a_connection_is_counted_and_named_after_its_peer(world: GrpcWorld) -> None:
    before = world.metrics.connections_total
    connection = world.port.accepted(PeerInfo("192.0.2.9:1"), world.now_ms)
    assert connection.owner == "192.0.2.9:1"
    assert world.metrics.connections_total == before + 1


def test_the_port_is_full_once_clients_have_asked_enough_for_one_turn(world: GrpcWorld) -> None:
    client = world.connect()
    for count in range(1, INPUTS_PER_TURN + 1):
        assert not world.port.is_full
        client.send(client.begin(KV + "Range"), pb.RangeRequest(key=b"k"), ended=True)
        assert world.port.is_full == (count == INPUTS_PER_TURN)
    world.turn()
    assert not world.port.is_full
