"""Changes of membership on the engine: learners, voters, removal, joining from nothing."""

from net.changes import framed
from net.replicator import Change, ChangeKind, Entry, HardState
from tests.raft_world import RaftWorld


def test_a_learner_receives_the_log_and_counts_for_nothing() -> None:
    world = RaftWorld(3, learners=[3])
    one, two, three = world.members.values()
    world.elect(one)
    world.propose(one, b"a")
    world.run(300)
    assert three.applied == [b"", b"a"]
    two.crash()
    world.propose(one, b"b")
    world.run(500)
    assert three.applied == [b"", b"a"]
    assert not three.is_leader


def test_a_newcomer_joins_by_a_snapshot_learns_and_is_promoted() -> None:
    world = RaftWorld(2, spare=1)
    one, _, three = world.members.values()
    world.elect(one)
    world.propose(one, b"a")
    world.run(100)
    one.flush()
    three.start()
    world.change(one, ChangeKind.ADD_LEARNER, 3)
    world.run(500)
    assert world.installs == 1
    assert one.engine is not None
    assert one.engine.match_of(3) == one.engine.commit_index
    world.change(one, ChangeKind.PROMOTE, 3)
    world.run(300)
    assert three.engine is not None
    assert three.engine.members == {1: True, 2: True, 3: True}
    one.crash()
    assert world.settle().id in (2, 3)


def test_a_newcomer_of_a_founded_cluster_needs_no_snapshot() -> None:
    world = RaftWorld(1, spare=1)
    one, two = world.members.values()
    one.crash()
    founder = Entry(1, 1, framed(Change(ChangeKind.ADD_VOTER, 1), b"founder"))
    one.disk.members, one.disk.entries, one.disk.hard = {}, [founder], HardState(1, 0, 0)
    one.start()
    world.settle()
    two.start()
    world.change(one, ChangeKind.ADD_VOTER, 2)
    world.run(500)
    assert world.installs == 0
    assert two.members == {1: True, 2: True}
    assert two.applied == one.applied


def test_a_removed_member_hears_of_it_and_disturbs_nobody() -> None:
    world = RaftWorld(3)
    one, _, three = world.members.values()
    world.elect(one)
    world.change(one, ChangeKind.REMOVE, 3)
    world.run(300)
    assert three.members == {1: True, 2: True}
    term = one.engine.role.term if one.engine else 0
    world.run(10_000)
    assert one.is_leader
    assert one.engine is not None
    assert one.engine.role.term == term


def test_a_leader_that_removes_itself_commits_that_and_leads_no_more() -> None:
    world = RaftWorld(3)
    one, two, three = world.members.values()
    world.elect(one)
    world.change(one, ChangeKind.REMOVE, 1)
    world.run(200)
    assert not one.is_leader
    leader = world.settle()
    assert leader in (two, three)
    assert one.members == {2: True, 3: True}
    world.run(5_000)
    assert not one.is_leader


def test_a_voter_can_be_demoted_and_promoted_again() -> None:
    world = RaftWorld(3)
    one, two, three = world.members.values()
    world.elect(one)
    world.change(one, ChangeKind.DEMOTE, 3)
    world.run(300)
    two.crash()
    world.propose(one, b"waits")
    world.run(300)
    assert b"waits" not in one.applied
    two.start()
    world.run(1_000)
    leader = world.settle()
    world.change(leader, ChangeKind.PROMOTE, 3)
    world.run(500)
    two.crash()
    leader = world.settle()
    world.propose(leader, b"b")
    world.run(300)
    assert leader.applied[-1] == b"b"
    assert three.applied[-1] == b"b"


def test_what_makes_no_sense_is_refused_at_once() -> None:
    world = RaftWorld(3)
    one, two, _ = world.members.values()
    world.elect(one)
    world.propose(one, b"a")
    world.run(100)
    for member, kind, target in (
        (one, ChangeKind.ADD_VOTER, 2),
        (one, ChangeKind.ADD_LEARNER, 1),
        (one, ChangeKind.PROMOTE, 2),
        (one, ChangeKind.REMOVE, 9),
        (one, ChangeKind.DEMOTE, 1),
        (two, ChangeKind.REMOVE, 3),
    ):
        world.change(member, kind, target)
    assert len(world.refused) == 6
    assert one.engine is not None
    assert one.engine.members == {1: True, 2: True, 3: True}


def test_a_change_that_is_truncated_takes_its_configuration_with_it() -> None:
    world = RaftWorld(3, spare=1)
    one, two, _, four = world.members.values()
    world.elect(one)
    world.run(100)
    four.start()
    world.split([1], [2, 3], [4])
    world.change(one, ChangeKind.ADD_VOTER, 4)
    assert one.engine is not None
    assert 4 in one.engine.members
    world.elect(two)
    world.propose(two, b"b")
    world.heal()
    world.run(2_000)
    assert dict(one.engine.members) == {1: True, 2: True, 3: True}
    assert one.applied == two.applied


def test_leadership_is_handed_over_and_nothing_proposed_meanwhile_is_lost() -> None:
    world = RaftWorld(3)
    one, two, _ = world.members.values()
    world.elect(one)
    token = world.transfer(one, 2)
    for number in range(5):
        world.propose(one, b"%d" % number)
    world.run(100)
    assert world.transferred == [(token, True)]
    assert two.is_leader
    world.run(300)
    assert [payload for payload in one.applied if payload] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_handover_to_one_that_cannot_fails_in_time_and_the_leader_goes_on() -> None:
    world = RaftWorld(3)
    one, _, three = world.members.values()
    world.elect(one)
    world.run(100)
    world.links[1, 3].held = []
    world.propose(one, b"a")
    token = world.transfer(one, 3)
    world.propose(one, b"b")
    world.run(1_500)
    assert world.transferred == [(token, False)]
    assert one.is_leader
    assert one.applied[-2:] == [b"a", b"b"]
    assert not three.is_leader
