"""Who leads, for how long, and what is read of it."""

from net import replicator as raft
from net.raft.wire import Canvass, encode
from tests.raft_world import RaftWorld


def test_a_leader_without_a_majority_steps_down_within_two_election_timeouts() -> None:
    world = RaftWorld(3)
    one, *_ = world.members.values()
    world.elect(one)
    world.run(500)
    world.split([1], [2, 3])
    assert world.run(2_200, until=lambda: not one.is_leader)


def test_a_read_on_a_leader_that_is_none_any_more_is_lost_and_never_stale() -> None:
    world = RaftWorld(3)
    one, two, _ = world.members.values()
    world.elect(one)
    world.propose(one, b"a")
    world.run(200)
    world.split([1], [2, 3])
    world.elect(two)
    world.propose(two, b"b")
    world.run(100)
    assert one.is_leader
    token = world.read(one)
    world.run(2_500)
    assert world.reads_done == 0
    assert (1, token) not in world.reads


def test_a_new_leader_reads_nothing_before_its_term_has_committed() -> None:
    world = RaftWorld(3)
    one, *_ = world.members.values()
    world.elect(one)
    world.propose(one, b"a")
    world.run(200)
    world.split([1], [2], [3])
    world.read(one)
    world.run(200)
    assert world.reads_done == 0


def test_a_member_that_comes_back_from_isolation_deposes_nobody() -> None:
    world = RaftWorld(3)
    one, _, three = world.members.values()
    world.elect(one)
    world.split([1, 2], [3])
    world.run(20_000)
    assert three.engine is not None
    assert three.engine.role.term == 1
    world.heal()
    world.run(2_000)
    assert one.is_leader
    assert one.engine is not None
    assert one.engine.role.term == 1


def test_nobody_supports_a_campaign_against_a_leader_that_is_alive() -> None:
    world = RaftWorld(3)
    one, two, _ = world.members.values()
    world.elect(one)
    world.run(300)
    assert two.engine is not None
    out = two.engine.step(world.now_us // 1000, [raft.Receive(3, encode(Canvass(9, 99, 9)))])
    assert (out.send, out.persist) == ([], [])


def test_a_leader_that_dies_is_replaced_within_an_election_timeout() -> None:
    world = RaftWorld(3)
    first = world.settle()
    world.run(500)
    first.crash()
    assert world.run(1_000, until=lambda: world.leader is not None)


def test_a_lone_member_leads_at_once() -> None:
    world = RaftWorld(1)
    assert world.run(5, until=lambda: world.leader is not None)


def test_signs_of_life_do_not_wait_for_a_slow_disk() -> None:
    world = RaftWorld(3)
    one, two, three = world.members.values()
    world.elect(one)
    world.run(200)
    two.sync_us = three.sync_us = 5_000_000
    world.propose(one, b"a")
    world.run(4_000)
    assert one.is_leader
    world.run(4_000)
    assert one.applied == [b"", b"a"]


def test_a_full_disk_ends_a_leaders_term_and_another_goes_on() -> None:
    world = RaftWorld(3)
    one, *_ = world.members.values()
    world.elect(one)
    world.run(200)
    one.full = True
    world.propose(one, b"a")
    assert not one.is_leader
    leader = world.settle()
    assert leader is not one
    world.propose(leader, b"b")
    one.full = False
    world.run(3_000)
    assert one.applied == leader.applied
    assert world.unknown == {b"a"}


def test_a_proposal_that_found_no_leader_is_refused_and_one_that_lost_it_is_unknown() -> None:
    world = RaftWorld(3)
    one, two, _ = world.members.values()
    world.propose(two, b"early")
    assert world.refused == {b"early"}
    world.elect(one)
    world.run(200)
    world.links[2, 1].held = []
    world.propose(two, b"lost")
    one.crash()
    world.settle()
    assert world.unknown == {b"lost"}


def test_a_follower_far_behind_catches_up_without_being_sent_anything_twice() -> None:
    world = RaftWorld(3)
    one, _, three = world.members.values()
    world.elect(one)
    three.crash()
    for number in range(400):
        world.propose(one, b"%d" % number + bytes(60_000))
        world.run(1)
    world.run(200)
    sent = [0]
    send = world.send

    def counted(sender: int, peer: int, data: object) -> None:
        if peer == 3 and isinstance(data, bytes):
            sent[0] += len(data)
        send(sender, peer, data)

    world.send = counted  # type: ignore[method-assign]  # it looks on
    three.start()
    assert world.run(3_000, until=lambda: three.applied_index == one.applied_index)
    assert sent[0] < 1.2 * 400 * 60_000


def test_a_lone_member_with_a_full_disk_refuses_and_leads_again_at_once() -> None:
    world = RaftWorld(1)
    one = world.settle()
    one.full = True
    world.propose(one, b"a")
    one.full = False
    assert world.refused == {b"a"}
    world.run(20)
    world.propose(one, b"b")
    world.run(20)
    assert [payload for payload in one.applied if payload] == [b"b"]


def test_a_disk_without_room_makes_its_member_let_go_of_what_the_others_may_lack() -> None:
    """Behind a cut some entries stay for them; on a full disk they get a snapshot instead."""
    world = RaftWorld(3)
    one = world.settle()
    for number in range(20):
        world.propose(one, b"%d" % number)
    world.run(200)
    one.flush()
    assert one.disk.base[0] == 0
    one.full = True
    world.propose(one, b"no room")
    world.run(200)
    assert one.disk.base[0] > 20
    one.full = False
    world.settle()
    world.run(3_000)
    assert one.applied == world.settle().applied
