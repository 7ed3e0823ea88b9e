"""The Raft engine in a world without faults: it elects, replicates, commits, reads."""

import pytest

from net.raft.leading import ROUND_MS
from tests.raft_world import Member, RaftWorld


def test_three_members_elect_a_leader_and_order_what_is_proposed_anywhere() -> None:
    world = RaftWorld(3)
    world.settle()
    for member in world.members.values():
        world.propose(member, b"from %d" % member.id)
    world.run(500)
    applied = [[p for p in each.applied if p] for each in world.members.values()]
    assert sorted(applied[0]) == [b"from 1", b"from 2", b"from 3"]
    assert applied == [applied[0]] * 3


def test_a_read_anywhere_is_told_an_index() -> None:
    world = RaftWorld(3)
    leader = world.settle()
    world.propose(leader, b"a")
    world.run(500)
    for member in world.members.values():
        world.read(member)
    world.run(100)
    assert world.reads_done == 3


def test_a_cluster_of_one_leads_itself() -> None:
    world = RaftWorld(1)
    leader = world.settle()
    world.propose(leader, b"a")
    world.read(leader)
    world.run(100)
    assert (leader.applied, world.reads_done) == ([b"", b"a"], 1)


def test_a_leader_that_dies_is_replaced_and_loses_nothing() -> None:
    world = RaftWorld(3)
    first = world.settle()
    world.propose(first, b"a")
    world.run(100)
    first.crash()
    second = world.settle()
    world.propose(second, b"b")
    first.start()
    world.run(2000)
    assert [p for p in first.applied if p] == [b"a", b"b"]


def test_a_lone_command_takes_three_messages_with_each_follower() -> None:
    world = RaftWorld(3)
    leader = world.settle()
    world.propose(leader, b"a")
    world.run(60)
    before = world.sent
    world.propose(leader, b"b")
    world.run(30)
    # The entries, the answer, and that they are committed: which nobody answers.
    assert world.sent - before == 2 * 3
    assert all(each.applied[-1] == b"b" for each in world.members.values())


def _after_a_sign_of_life(world: RaftWorld) -> int:
    """Let time pass until signs of life were sent and answered; return how much was sent."""
    before = world.sent
    assert world.run(200, until=lambda: world.sent > before)
    world.run(20)
    return world.sent


def _order(world: RaftWorld, leader: Member, payload: bytes) -> None:
    """Propose something, and wait until its leader has applied it."""
    world.propose(leader, payload)
    assert world.run(60, until=lambda: leader.applied[-1] == payload)


def _read(world: RaftWorld, member: Member) -> int:
    """Read on a member; return how long that took, in us."""
    began_us, done = world.now_us, world.reads_done
    world.read(member)
    assert world.run(90, until=lambda: world.reads_done > done)
    return world.now_us - began_us


def test_a_command_that_follows_a_commit_tells_of_it_in_passing(decides: str) -> None:
    if decides != "own":
        pytest.skip("the library is not asked to wait")
    world = RaftWorld(3)
    leader = world.settle()
    before = _after_a_sign_of_life(world)
    for payload in (b"a", b"b", b"c", b"d", b"e"):
        _order(world, leader, payload)
    world.run(20)
    assert [each.applied[-1] for each in world.members.values()] == [b"e"] * 3
    # Entries and answers; of a commit of their own tell messages behind the first and the last.
    assert world.sent - before == 2 * (5 * 2 + 2)


def test_a_commit_is_told_soon_though_no_command_follows() -> None:
    world = RaftWorld(3)
    leader = world.settle()
    for payload in (b"a", b"b"):
        _order(world, leader, payload)
    began_us = world.now_us
    everybody = world.members.values()
    assert world.run(60, until=lambda: all(each.applied[-1] == b"b" for each in everybody))
    assert world.now_us - began_us < 20_000


def test_a_read_takes_one_question_and_one_answer_wherever_it_is_asked() -> None:
    world = RaftWorld(3)
    world.settle()
    before = _after_a_sign_of_life(world)
    for member in world.members.values():
        _read(world, member)
    # Who follows confirms by asking; a leader asks as few as make a majority with it.
    assert world.sent - before == 3 * 2


def test_a_read_round_that_nobody_answers_soon_is_asked_of_all() -> None:
    world = RaftWorld(3)
    leader = world.settle()
    others = [each for each in world.members.values() if each is not leader]
    for silent in others:
        silent.silent = True
        assert _read(world, leader) < (ROUND_MS + 10) * 1000
        silent.silent = False
        silent.step()
        world.run(50)
