"""Frames that decode, and that no faultless member would send: from one with a certificate.

Such a member can lie: that it holds what it does not, that it leads a later term. Against that Raft
has nothing. But no frame ends a member, takes back what it said, or changes what it has applied.
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from net import replicator as raft
from net.changes import framed
from net.raft import wire
from net.raft.wire import Append, Message, WireError, decode, encode
from net.replicator import Change, ChangeKind, Entry, HardState
from tests.raft_world import Member, RaftWorld

FRAMES = 1_000
FRAMES_A_LIFE = 250


class Standing(NamedTuple):
    """What a member may never take back."""

    term: int
    vote: int
    commit: int
    applied: list[bytes]


def _standing(member: Member) -> Standing:
    engine = member.engine
    assert engine is not None
    hard = engine._replica.hard_state
    return Standing(hard.term, hard.vote, engine.commit_index, list(member.applied))


def _goes_on(before: Standing, after: Standing) -> None:
    assert after.term >= before.term
    assert after.commit >= before.commit
    assert after.applied[: len(before.applied)] == before.applied
    if after.term == before.term and before.vote:
        assert after.vote == before.vote


def _recorded(world: RaftWorld) -> list[tuple[int, Message]]:
    """Return what members say to each other in a while with elections, reads and forwarding."""
    said: list[tuple[int, Message]] = []
    send = world.send

    def recorded(sender: int, peer: int, data: object) -> None:
        if isinstance(data, bytes):
            said.append((sender, decode(data)))
        send(sender, peer, data)

    world.send = recorded  # type: ignore[method-assign]  # it looks on
    for target in (1, 2, 3, 1):
        world.transfer(world.settle(), target)
        world.run(300)
        for member in world.members.values():
            if member.up:
                world.propose(member, b"%d at %d" % (member.id, world.now_us))
                world.read(member)
        world.run(200)
    leader = world.settle()
    leader.crash()
    world.run(2_500)
    leader.start()
    world.change(world.settle(), ChangeKind.ADD_LEARNER, 4)
    world.run(300)
    world.split([1, 4], [2, 3])
    world.run(3_000)
    world.propose(world.settle(), b"behind")
    world.heal()
    world.run(300)
    return said


class Liar:
    """Makes other messages of true ones."""

    def __init__(self, seed: int, said: Sequence[tuple[int, Message]]) -> None:
        self._chance = random.Random(seed)
        self._kinds: dict[type, list[tuple[int, Message]]] = {}
        for each in said:
            self._kinds.setdefault(type(each[1]), []).append(each)

    def frame(self, now: Standing, last_index: int) -> tuple[int, bytes]:
        """Return a sender and a frame that decodes, near to where a member stands."""
        chance = self._chance
        while True:
            sender, message = chance.choice(self._kinds[chance.choice(list(self._kinds))])
            for _ in range(chance.randrange(1, 4)):
                message = self._mutated(message, now, last_index)
            data = encode(message)
            try:
                decode(data)
            except WireError:
                continue
            return sender, data

    def _mutated(self, message: Message, now: Standing, last_index: int) -> Message:
        chance = self._chance
        field = chance.choice(message._fields)
        value = getattr(message, field)
        near = [0, 1, now.commit, last_index, now.term, now.term, int(value == 0)]
        if field == "entries":
            return message._replace(entries=self._entries(message, now))  # type: ignore[union-attr]
        if field == "payload":
            return message._replace(payload=self._payload())  # type: ignore[union-attr]
        if isinstance(value, bool):
            return message._replace(**{field: not value})
        if isinstance(value, int):
            near += [value + 1, value - 1]
        number = chance.choice(near) + chance.choice((-1, 0, 0, 0, 1, 2))
        if chance.random() < 0.02:
            number = chance.choice((wire.NUMBER_MAX - 1, 1 << 32))
        return message._replace(**{field: max(0, number)})

    def _entries(self, message: Message, now: Standing) -> list[Entry]:
        assert isinstance(message, Append)
        chance = self._chance
        entries = list(message.entries)
        spoilt: Callable[[], None] = chance.choice((
            lambda: entries.append(Entry(0, max(1, message.term), self._payload())),
            lambda: entries.insert(0, Entry(0, max(1, now.term), self._payload())),
            entries.clear,
            entries.reverse,
        ))  # fmt: skip
        spoilt()
        return entries

    def _payload(self) -> bytes:
        chance = self._chance
        if chance.random() < 0.5:
            return chance.randbytes(chance.randrange(20))
        kind = chance.choice(list(ChangeKind))
        return framed(Change(kind, chance.randrange(1, 6)), b"")


def _victim(role: str, seed: int) -> tuple[RaftWorld, Member, list[tuple[int, Message]]]:
    """Return a member that nobody answers, and what was said before."""
    world = RaftWorld(3, seed=seed, spare=1)
    world.members[4].start()
    said = _recorded(world)
    leader = world.leader
    assert leader is not None
    others = [each for each in world.members.values() if each is not leader]
    victim = leader if role == "leader" else others[0]
    for each in world.members.values():
        if each is not victim:
            each.crash()
    # What it is told from here on is not what the others hold: only it is judged.
    for name in ("judge_applied", "judge_read", "judge_resolved", "judge_role"):
        setattr(world, name, lambda *_: None)
    return world, victim, said


@pytest.mark.parametrize("role", ["leader", "follower"])
@pytest.mark.parametrize("seed", range(5))
def test_no_frame_that_decodes_ends_a_member_or_takes_back_what_it_said(
    role: str, seed: int
) -> None:
    tried = 0
    while tried < FRAMES:
        world, victim, said = _victim(role, seed * 1_000 + tried)
        liar = Liar(tried, said)
        before = _standing(victim)
        for _ in range(FRAMES_A_LIFE):
            assert victim.engine is not None
            sender, data = liar.frame(before, victim.engine._replica.log.last_index)
            victim.step(raft.LinkUp(sender), raft.Receive(sender, data))
            world.run(liar._chance.choice((0, 0, 1, 30, 300)))
            after = _standing(victim)
            _goes_on(before, after)
            before = after
            tried += 1
        # And what its disk has makes a life.
        hard: HardState = victim.disk.hard
        assert hard.term <= before.term
        victim.crash()
        victim.start()


def test_an_append_that_contradicts_what_is_committed_is_refused_and_its_sender_not_followed() -> (
    None
):
    world = RaftWorld(3)
    leader, two, _ = world.members.values()
    world.elect(leader)
    world.propose(leader, b"a")
    world.run(200)
    assert two.engine is not None
    role, refused = two.engine.role, two.engine.refused_frames
    lie = Append(role.term + 1, 1, 1, 2, 1_000, [Entry(2, role.term + 1, b"b")])
    two.step(raft.Receive(3, encode(lie)))
    assert (two.engine.role, two.engine.refused_frames) == (role, refused + 1)
    assert two.applied == [b"", b"a"]
    world.propose(leader, b"c")
    world.run(200)
    assert two.applied == [b"", b"a", b"c"]
