"""Frames between members: one form each, and no bytes that do harm."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net import replicator as raft
from net.changes import framed
from net.raft import wire
from net.raft.wire import Append, Message, WireError, decode, encode
from net.replicator import Change, ChangeKind, Entry
from tests.raft_world import RaftWorld

NUMBERS = st.integers(0, wire.NUMBER_MAX - 1)
TERMS = st.integers(1, wire.NUMBER_MAX - 1)
PAYLOADS = st.binary(max_size=50).filter(lambda payload: payload[:1] != b"\xc1")


@st.composite
def appends(draw: st.DrawFn) -> Append:
    terms = sorted(draw(st.lists(st.integers(1, 1000), min_size=2, max_size=6)))
    previous = draw(st.integers(0, 1 << 40))
    entries = [
        Entry(previous + 1 + number, term, draw(PAYLOADS))
        for number, term in enumerate(terms[1:-1])
    ]
    return Append(terms[-1], previous, terms[0], draw(NUMBERS), draw(NUMBERS), entries)


MESSAGES: st.SearchStrategy[Message] = st.one_of(
    appends(),
    st.builds(wire.Ack, TERMS, NUMBERS, st.booleans(), NUMBERS, NUMBERS),
    st.builds(wire.Newcomer, TERMS, NUMBERS),
    st.builds(wire.Canvass, TERMS, NUMBERS, NUMBERS),
    st.builds(wire.Support, TERMS),
    st.builds(wire.AskVote, TERMS, NUMBERS, NUMBERS, st.booleans()),
    st.builds(wire.Vote, TERMS),
    st.builds(wire.StepUp, TERMS),
    st.builds(wire.Newer, TERMS),
    st.builds(wire.Ping, TERMS, NUMBERS),
    st.builds(wire.Pong, TERMS, NUMBERS),
    st.builds(wire.Ask, TERMS, NUMBERS),
    st.builds(wire.Told, TERMS, NUMBERS, NUMBERS),
    st.builds(wire.Offer, TERMS, NUMBERS, PAYLOADS),
    st.builds(wire.Taken, TERMS, NUMBERS, NUMBERS),
)


@given(MESSAGES)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert decode(encode(message)) == message


@given(MESSAGES)
def test_a_part_of_a_message_or_more_than_one_is_none(message: Message) -> None:
    data = encode(message)
    extends = not isinstance(message, wire.Offer)
    for other in [data[:cut] for cut in range(len(data))] + [data + b"\0"] * extends:
        if not (isinstance(message, wire.Offer) and len(other) >= 17):
            with pytest.raises(WireError):
                decode(other)


@pytest.mark.parametrize(
    "message",
    [
        wire.Vote(0),
        wire.Vote(wire.NUMBER_MAX),
        wire.Ack(1, wire.NUMBER_MAX, False, 0),
        Append(1, 5, 2, 0, 0, ()),
        Append(2, 5, 1, 0, 0, [Entry(6, 3, b"")]),
        Append(3, 5, 2, 0, 0, [Entry(6, 1, b"")]),
        Append(3, wire.NUMBER_MAX - 1, 2, 0, 0, [Entry(6, 2, b"")]),
        wire.Offer(1, 1, b"\xc1"),
        wire.Offer(1, 1, b"\xc1\x09" + bytes(7) + b"\x01"),
        wire.Offer(1, 1, framed(Change(ChangeKind.REMOVE, 0), b"")),
        wire.Offer(1, 1, bytes(wire.ENTRY_BYTES_MAX + 1)),
    ],
    ids=str,
)
def test_numbers_out_of_bounds_are_refused(message: Message) -> None:
    with pytest.raises(WireError):
        decode(encode(message))


def test_a_pickle_is_no_message() -> None:
    with pytest.raises(WireError):
        decode(b"\x80\x02cos\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.")


def _garbage(chance: random.Random, frames: list[bytes]) -> Iterator[bytes]:
    """Yield frames that no member sends: noise, and real ones with a part changed."""
    while True:
        if chance.random() < 0.3:
            yield chance.randbytes(chance.randrange(200))
            continue
        frame = bytearray(chance.choice(frames))
        for _ in range(chance.randrange(1, 4)):
            where = chance.randrange(len(frame) + 1)
            match chance.randrange(4):
                case 0:
                    del frame[where:]
                case 1:
                    frame[where:where] = chance.randbytes(chance.randrange(1, 9))
                case 2 if where < len(frame):
                    frame[where] ^= 1 << chance.randrange(8)
                case _:
                    frame[where : where + 8] = b"\xff" * 8
            if not frame:
                break
        yield bytes(frame)


def test_ten_thousand_garbage_frames_change_nothing() -> None:
    world = RaftWorld(3)
    frames: list[bytes] = []
    send = world.send

    def recorded(sender: int, peer: int, data: object) -> None:
        if isinstance(data, bytes):
            frames.append(data)
        send(sender, peer, data)

    world.send = recorded  # type: ignore[method-assign]  # it looks on
    leader = world.settle()
    for number in range(20):
        world.propose(leader, b"%d" % number)
    world.run(300)
    chance = random.Random(4)
    sender = next(each for each in world.members.values() if each is not leader)
    assert leader.engine is not None
    engine, before = leader.engine, (leader.engine.role, leader.applied_index)
    tried = 0
    for frame in _garbage(chance, frames):
        try:
            decode(frame)
        except WireError:
            out = engine.step(world.now_us // 1000, [raft.Receive(sender.id, frame)])
            asked = (out.persist, out.apply, out.resolved, out.read_ready, out.role)
            assert asked == ([], [], [], [], None)
            tried += 1
            if tried == 10_000:
                break
    assert engine.refused_frames == 10_000
    assert (engine.role, leader.applied_index) == before


def test_frames_that_come_again_change_nothing() -> None:
    world = RaftWorld(3)
    frames: list[tuple[int, int, bytes]] = []
    send = world.send

    def recorded(sender: int, peer: int, data: object) -> None:
        if isinstance(data, bytes):
            frames.append((sender, peer, data))
        send(sender, peer, data)

    world.send = recorded  # type: ignore[method-assign]  # it looks on
    leader = world.settle()
    for number in range(20):
        world.propose(world.members[1 + number % 3], b"%d" % number)
    world.run(300)
    once = list(frames)
    applied = [list(each.applied) for each in world.members.values()]
    role = leader.engine.role if leader.engine else None
    for sender, peer, data in once:
        world.members[peer].step(raft.Receive(sender, data))
    world.run(300)
    assert [each.applied for each in world.members.values()] == applied
    assert leader.engine is not None
    assert leader.engine.role == role
