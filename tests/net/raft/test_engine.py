"""The Raft engine in a world without faults: it elects, replicates, commits, reads."""

from tests.raft_world import RaftWorld


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
