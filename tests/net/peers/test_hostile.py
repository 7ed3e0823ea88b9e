"""A certified member that says what no member says: it changes nothing, and costs little."""

import gc
import json
import tracemalloc
from pathlib import Path
from random import Random

import pytest

from core.operations import Put
from net.peers.connection import PeerConnection
from net.peers.frames import framed
from net.peers.hello import HELLO, SNAPSHOT, Hello, encode_hello
from net.peers.stream import Accept, Chunk, End, Offer, Stop, Taken, encode
from net.turns import ASK, RAFT, TELL
from tests.mesh_world import CLUSTER, shown
from tests.peer_world import PeerWorld, Whole

FRAMES = 10_000


def facts(whole: Whole) -> tuple[object, ...]:
    """What must not change."""
    state = whole.driver.node.state
    engine = whole.driver.engine
    return (
        state.state_hash(), state.revision, state.applied_index, dict(state.members),
        engine.commit_index, dict(engine.members), whole.driver.store.applied,
    )  # fmt: skip


def certified(world: PeerWorld, target: int, sender: int) -> PeerConnection:
    """Connect to a member as another one, with its certificate, in a later life."""
    codec = world.nodes[target].mesh.accepted(shown(sender), world.now_ms)
    assert isinstance(codec, PeerConnection)
    hello = Hello(CLUSTER, sender, target, world.chance.getrandbits(64))
    codec.feed(framed(HELLO, encode_hello(hello)), world.now_ms)
    assert codec.is_open
    codec.take(1 << 20)
    return codec


def say(world: PeerWorld, target: int, sender: int, frames: list[bytes]) -> int:
    """Say all of it, on as many connections as it takes; return how many it took."""
    whole = world.wholes[target]
    codec = certified(world, target, sender)
    connections = 1
    for number, frame in enumerate(frames):
        if codec.closing:
            codec = certified(world, target, sender)
            connections += 1
        codec.feed(frame, world.now_ms)
        if number % 10 == 0:
            for _ in range(3):
                whole.turn(world.now_ms)
            codec.take(1 << 24)
    return connections


@pytest.fixture
def world(tmp_path: Path) -> PeerWorld:
    """Three members that have agreed on something; the second one is about to turn bad."""
    world = PeerWorld(tmp_path, 3)
    leader = world.leader()
    for number in range(20):
        leader.offer(Put(b"k%d" % number, b"v"))
        world.run(10)
    world.run(200)
    return world


def test_garbage_of_a_member_changes_nothing(world: PeerWorld) -> None:
    leader = world.leader()
    bad = next(each for each in world.wholes if each != leader.id)
    before = facts(leader)
    chance = Random(5)
    frames: list[bytes] = []
    for _ in range(FRAMES):
        body = chance.randbytes(chance.choice((0, 1, 5, 17, 40, 300)))
        if chance.random() < 0.5:
            body = bytes((chance.randrange(16),)) + body
        frames.append(framed(chance.choice((RAFT, ASK, TELL, SNAPSHOT)), body))
    world.wires.clear()
    say(world, leader.id, bad, frames)
    assert facts(leader) == before
    world.close()


def test_what_the_engine_refuses_is_counted_and_told_once_in_a_while(world: PeerWorld) -> None:
    leader = world.leader()
    bad = next(each for each in world.wholes if each != leader.id)
    say(world, leader.id, bad, [framed(RAFT, b"\xffnothing")] * 7)
    world.run(10)
    assert leader.driver.metrics.peer_frames_refused_total == 7
    told = [json.loads(line)["msg"] for line in world.nodes[leader.id].lines]
    assert told.count("refused a message that no member sends") == 1
    world.close()


def test_what_a_member_says_of_snapshots_that_nobody_sends_changes_nothing(
    world: PeerWorld,
) -> None:
    leader = world.leader()
    bad = next(each for each in world.wholes if each != leader.id)
    before = facts(leader)
    chance = Random(6)
    frames: list[bytes] = []
    for _ in range(3_000):
        stream, offset = chance.randrange(3), chance.choice((0, 1, 5, 1 << 63))
        message = chance.choice(
            (
                Offer(stream, offset, 1, chance.choice((1, 100, 1 << 60)), bytes(32)),
                Accept(stream, offset),
                Chunk(stream, offset, chance.randbytes(chance.choice((0, 1, 100)))),
                Taken(stream, offset),
                End(stream, chance.random() < 0.5),
                Stop(stream),
            )
        )
        frames.append(framed(SNAPSHOT, encode(message)))
    world.wires.clear()
    say(world, leader.id, bad, frames)
    leader.do_jobs()
    assert facts(leader) == before
    assert leader.driver.store.generation == 1
    world.close()


def test_frames_replayed_by_a_member_change_nothing(
    world: PeerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = world.leader()
    follower, bad = sorted(set(world.wholes) - {leader.id})
    recorded: list[tuple[int, bytes]] = []
    mesh_type = type(world.nodes[follower].mesh)
    send = mesh_type.send

    def noted(mesh: object, peer: int, channel: int, body: bytes) -> bool:
        if peer == follower and channel == RAFT:
            recorded.append((channel, body))
        return send(mesh, peer, channel, body)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a mesh

    monkeypatch.setattr(mesh_type, "send", noted)
    for number in range(200):
        leader.offer(Put(b"r%d" % number, b"v"))
        world.run(10)
    world.run(2_000)
    whole = world.wholes[follower]
    before = facts(whole)
    chance = Random(8)
    frames = [framed(*chance.choice(recorded)) for _ in range(FRAMES)]
    world.wires.clear()
    say(world, follower, bad, frames)
    assert facts(whole) == before
    world.close()


def test_a_member_that_says_much_that_is_nothing_costs_no_memory(world: PeerWorld) -> None:
    leader = world.leader()
    bad = next(each for each in world.wholes if each != leader.id)
    world.wires.clear()
    chance = Random(9)
    frames = [
        framed(chance.choice((RAFT, TELL)), bytes(13) + chance.randbytes(300)) for _ in range(2_000)
    ]
    say(world, leader.id, bad, frames[:200])
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(3):
            say(world, leader.id, bad, frames)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1 << 20
    world.close()
