"""The perfect log on its own: elections, partitions, unknown fates, reads, snapshots."""

import pytest

from net import replicator as raft
from sim.ledger import RaftBrokenError
from sim.network import Noise
from sim.perfect_followers import COMMIT_MS, RETRY_MS, SNAPSHOT_MS, Follower
from tests.engine_world import EngineWorld


def test_what_any_member_proposes_is_applied_by_all_in_one_order() -> None:
    world = EngineWorld().settle()
    for number, member in enumerate([*world.members.values()] * 4):
        world.propose(member, b"%d" % number)
        world.run(3)
    world.run(1000)
    logs = world.logs()
    assert sorted(logs[0]) == sorted(b"%d" % number for number in range(12))
    assert logs[1:] == [logs[0], logs[0]]


def test_nothing_is_applied_that_this_member_has_not_durably() -> None:
    world = EngineWorld().settle()
    slow = world.followers[0]
    slow.sync_us = 300_000
    world.propose(world.leader, b"x")
    world.run(200)
    assert (world.leader.applied[-1], slow.applied[-1:]) == (b"x", [b""])
    world.run(500)
    assert slow.applied[-1] == b"x"


def test_a_majority_is_enough_and_a_minority_is_not() -> None:
    world = EngineWorld(5).settle()
    for member in world.followers[:2]:
        member.crash()
    world.propose(world.leader, b"most")
    world.run(500)
    assert world.leader.applied[-1] == b"most"
    world.followers[2].crash()
    world.propose(world.leader, b"few")
    world.run(500)
    assert world.leader.applied[-1] == b"most"


def test_a_deposed_leader_learns_it_and_its_proposal_has_no_known_fate() -> None:
    world = EngineWorld().settle()
    old = world.leader
    world.cut_off(old, on=True)
    token = world.propose(old, b"lost")
    world.run(6000)
    assert world.leader is not old
    assert not old.roles[-1].is_leader
    assert raft.Outcome(token, refused=False) in old.resolved
    world.propose(world.leader, b"kept")
    world.cut_off(old, on=False)
    world.run(3000)
    assert world.logs() == [[b"kept"]] * 3
    assert world.world.marks["conflict truncated"] == 1


def test_a_leader_may_be_deposed_though_nothing_is_wrong() -> None:
    world = EngineWorld().settle()
    old, term = world.leader, world.leader.roles[-1].term
    world.ledger.depose(500)
    world.run(100)
    assert (world.ledger.leader(), old.roles[-1].leader) == (0, 0)
    world.run(2000)
    assert world.leader.roles[-1].term > term


def test_leadership_goes_to_the_member_that_is_named() -> None:
    world = EngineWorld().settle()
    target = world.followers[1]
    world.ledger.transfer(target.id)
    world.run(500)
    assert world.leader is target
    assert target.roles[-1].is_leader


def test_without_a_leader_a_proposal_is_refused() -> None:
    world = EngineWorld()
    member = world.members[1]
    token = world.propose(member, b"x")
    assert member.resolved == [raft.Outcome(token, refused=True)]


def test_what_is_forwarded_when_the_link_breaks_has_no_known_fate() -> None:
    world = EngineWorld().settle()
    follower, leader = world.followers[0], world.leader
    token = world.propose(follower, b"x")
    world.network.reset(follower.id - 1, leader.id - 1)
    world.run(100)
    assert follower.resolved == [raft.Outcome(token, refused=False)]


def test_a_read_index_covers_all_that_was_committed_before_it_was_asked() -> None:
    world = EngineWorld().settle()
    world.propose(world.leader, b"x")
    world.run(100)
    for member in world.members.values():
        member.step(raft.ReadIndex(7))
    world.run(100)
    assert [each.ready for each in world.members.values()] == [[(7, 2)]] * 3


def test_a_follower_that_asks_for_an_index_confirms_it_by_asking() -> None:
    world = EngineWorld().settle()
    asker = world.followers[0]
    world.run(1000)
    before = world.network.messages
    asker.step(raft.ReadIndex(7))
    world.run(1000)
    assert (asker.ready, world.network.messages - before) == ([(7, 1)], 2)


def test_a_leader_asks_as_few_as_must_confirm_its_read_and_later_all() -> None:
    world = EngineWorld().settle()
    leader = world.leader
    world.run(1000)
    before = world.network.messages
    leader.step(raft.ReadIndex(7))
    world.run(100)
    assert (leader.ready, world.network.messages - before) == ([(7, 1)], 2)
    for follower in world.followers:
        world.network.hold(follower.id - 1, leader.id - 1, on=True)
        leader.step(raft.ReadIndex(8))
        world.run(2 * RETRY_MS)
        assert leader.ready[-1] == (8, 1)
        leader.ready.clear()
        world.network.hold(follower.id - 1, leader.id - 1, on=False)
        world.run(1000)


def test_a_commit_waits_for_what_goes_out_anyway_but_not_long() -> None:
    world = EngineWorld().settle()
    leader, (asker, other) = world.leader, world.followers
    world.propose(asker, b"x")
    world.run(20)
    assert (asker.applied[-1], other.applied[-1]) == (b"x", b"")
    world.propose(leader, b"y")
    world.run(20)
    assert (leader.applied[-1], other.applied[-1]) == (b"y", b"x")
    world.run(COMMIT_MS)
    assert (asker.applied[-1], other.applied[-1]) == (b"y", b"y")


def test_a_snapshot_that_was_lost_untold_is_sent_again_before_long() -> None:
    follower = Follower(is_linked=True)
    sent = [
        now_ms for now_ms in range(0, 20_000, 500) if follower.wants_snapshot(now_ms, lossy=True)
    ]
    assert sent[:3] == [0, 3 * SNAPSHOT_MS, 6 * SNAPSHOT_MS]


def test_an_isolated_leader_confirms_no_read() -> None:
    world = EngineWorld().settle()
    old = world.leader
    world.cut_off(old, on=True)
    old.step(raft.ReadIndex(1))
    world.run(6000)
    assert (old.ready, old.lost) == ([], [1])


def test_a_new_leader_answers_reads_only_once_its_term_has_committed() -> None:
    world = EngineWorld().settle()
    world.propose(world.leader, b"x")
    world.run(100)
    target = world.followers[0]
    target.sync_us = 400_000
    for other in world.followers[1:]:
        other.sync_us = 400_000
    world.ledger.transfer(target.id)
    target.step(raft.ReadIndex(3))
    world.run(200)
    assert target.ready == []
    world.run(2000)
    ((_, index),) = target.ready
    assert index >= 3


def test_a_member_that_lags_behind_a_cut_log_gets_a_snapshot() -> None:
    world = EngineWorld().settle()
    behind = world.followers[0]
    behind.crash()
    for number in range(30):
        world.propose(world.leader, b"%d" % number)
        world.run(20)
    for member in [world.leader, *world.followers[1:]]:
        member.step(raft.SnapshotTaken(member.applied_index, 0))
    behind.start()
    world.run(3000)
    assert world.world.marks["snapshot installed"] == 1
    world.propose(world.leader, b"after")
    world.run(1000)
    assert behind.applied == world.leader.applied


def test_a_crashed_member_comes_back_with_what_it_persisted_and_catches_up() -> None:
    world = EngineWorld().settle()
    leader = world.leader
    world.propose(leader, b"before")
    world.run(100)
    leader.crash()
    world.run(5000)
    world.propose(world.leader, b"meanwhile")
    leader.start()
    world.run(3000)
    assert leader.applied == world.leader.applied
    assert leader.applied[-1] == b"meanwhile"


@pytest.mark.parametrize("seed", range(6))
def test_datagrams_that_are_lost_doubled_and_swapped_break_nothing(seed: int) -> None:
    world = EngineWorld(datagrams=True, seed=seed)
    for a in range(3):
        for b in range(3):
            if a != b:
                world.network.noise(a, b, Noise(drop=10, twice=10, swap=20), on=True)
    world.settle()
    for number in range(60):
        world.propose(world.members[1 + number % 3], b"%d" % number)
        world.run(25)
        if number % 20 == 10:
            world.ledger.depose(100)
    for a in range(3):
        for b in range(3):
            if a != b:
                world.network.noise(a, b, Noise(drop=10, twice=10, swap=20), on=False)
    world.run(8000)
    logs = world.logs()
    assert logs[1:] == [logs[0], logs[0]]
    assert len(set(logs[0])) == len(logs[0]), "a proposal was applied twice"
    assert len(logs[0]) > 20


def test_a_member_that_forgets_what_it_acknowledged_is_found_out() -> None:
    world = EngineWorld().settle()
    follower, leader = world.followers[0], world.leader
    other = world.followers[1]
    world.cut_off(other, on=True)
    world.propose(leader, b"promised")
    world.run(500)
    assert follower.applied[-1] == b"promised"
    leader.crash()
    follower.crash()
    follower.log.truncate_from(2)
    follower.applied_index = 1
    follower.start()
    world.cut_off(other, on=False)
    with pytest.raises(RaftBrokenError, match="INV-LEADER-COMPLETE"):
        world.run(6000)
