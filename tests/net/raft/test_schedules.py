"""V1 to V8: the schedules by which the stock library loses what clients were told, on the wrapped.

Each does what its namesake of the stock library's audit does, in this world; elections are steered
by patience alone. The names are those of the guards' table.
"""

from net import replicator as raft
from net.raft.wire import Ack, Append, decode, encode
from net.replicator import ChangeKind, HardState
from tests.raft_world import Member, RaftWorld


def _payloads(member: Member) -> list[bytes]:
    return [payload for payload in member.applied if payload]


def test_v1_what_comes_twice_truncates_nothing_that_was_acknowledged() -> None:
    world = RaftWorld(3)
    one, two, three = world.members.values()
    world.elect(one)
    three.crash()
    link = world.links[1, 2]
    link.held = held = []
    for number in range(60):
        world.propose(one, b"e%d" % number)
        world.run(1)
    for epoch, data in held:
        world.arrive(1, 2, epoch, data)
    world.run(50)
    assert len(_payloads(one)) == 60
    # The first message comes once more, alone; then the leader dies.
    again = next(each for each in held if _entries(each[1]))
    world.arrive(1, 2, *again)
    world.run(5)
    one.crash()
    three.start()
    world.elect(two)
    world.run(100)
    assert _payloads(two) == [b"e%d" % number for number in range(60)]


def _entries(data: object) -> int:
    message = decode(data) if isinstance(data, bytes) else None
    return len(message.entries) if isinstance(message, Append) else 0


def test_v2_an_acknowledgement_of_an_older_term_counts_for_nothing() -> None:
    world = RaftWorld(5)
    one, _, three, four, five = world.members.values()
    world.elect(one)
    world.split([1, 2], [3, 4, 5])
    world.links[2, 1].held = late = []
    for number in range(6):
        world.propose(one, b"old%d" % number)
    world.run(50)
    assert late
    world.elect(three)
    world.heal()
    world.run(400)
    three.crash()
    for each in (4, 5):
        world.disconnect(1, each)
    world.links[1, 2].held = []
    world.heal()
    world.elect(one)
    world.links[1, 5].held = []
    world.links[1, 4].held = []
    tokens = [world.propose(one, b"new%d" % number) for number in range(3)]
    world.run(50)
    before = one.applied_index
    for _, data in late:
        one.step(raft.Receive(2, data if isinstance(data, bytes) else b""))
    world.run(50)
    assert one.applied_index == before
    assert not {world.proposed[1, token] for token in tokens} & set(one.applied)
    assert four.up
    assert five.up


def test_v3_a_deposed_leader_learns_by_snapshot_what_became_of_its_tail() -> None:
    world = RaftWorld(3, kept_entries=2)
    one, two, three = world.members.values()
    world.elect(one)
    world.propose(one, b"before")
    world.run(100)
    world.split([1], [2, 3])
    tokens = [world.propose(one, b"LOST%d" % number) for number in range(5)]
    world.run(50)
    world.elect(two)
    for number in range(30):
        world.propose(two, b"new%d" % number)
        world.run(2)
    world.run(100)
    for each in (two, three):
        each.flush()
    world.heal()
    world.run(3_000)
    assert world.installs == 1
    assert _payloads(one) == _payloads(two)
    assert {b"LOST%d" % number for number in range(5)} == world.unknown
    assert not any((1, token) in world.proposed for token in tokens)


def test_v4_a_snapshot_lost_on_its_way_counts_for_nothing() -> None:
    world = RaftWorld(3, kept_entries=2)
    one, two, three = world.members.values()
    world.elect(three)
    world.split([3], [1, 2])
    for number in range(80):
        world.propose(three, b"tail%d" % number)
    world.run(50)
    world.elect(one)
    for number in range(30):
        world.propose(one, b"new%d" % number)
        world.run(2)
    world.run(100)
    for each in (one, two):
        each.flush()
    # The link breaks under the snapshot, and stands again at once.
    send = world.send

    def breaking(sender: int, peer: int, data: object) -> None:
        if not isinstance(data, bytes):
            world.disconnect(sender, peer)
            world.connect(sender, peer)
            return
        send(sender, peer, data)

    world.send = breaking  # type: ignore[method-assign]  # links that know snapshots
    world.heal()
    world.run(300)
    assert one.engine is not None
    assert one.engine.match_of(3) == 0
    world.split([1], [2], [3])
    before = one.applied_index
    world.propose(one, b"alone")
    world.run(300)
    assert one.applied_index == before


def test_v5_two_changes_of_membership_are_never_open_at_once() -> None:
    world = RaftWorld(3, spare=2)
    one, two, three, four, five = world.members.values()
    world.elect(one)
    world.propose(one, b"a")
    world.run(100)
    world.split([1, 4, 5], [2, 3])
    four.start()
    five.start()
    world.change(one, ChangeKind.ADD_VOTER, 4)
    world.run(30)
    world.change(one, ChangeKind.ADD_VOTER, 5)
    assert world.refused == {b"change 3"}
    world.propose(one, b"A-side")
    world.run(300)
    assert b"A-side" not in one.applied
    world.run(1_500)
    other = world.leader
    assert other is two or other is three
    world.propose(other, b"B-side")
    world.run(300)
    assert _payloads(other) == [b"a", b"B-side"]
    world.heal()
    world.run(3_000)
    assert _payloads(one) == [b"a", b"B-side"]


def test_v6_a_commit_index_on_the_disk_is_believed_by_nobody() -> None:
    world = RaftWorld(3)
    members = list(world.members.values())
    one, two, _ = members
    world.elect(one)
    for number in range(40):
        world.propose(one, b"a%d" % number)
    world.run(300)
    for each in members:
        each.crash()
        disk = each.disk
        disk.hard = HardState(disk.hard.term, disk.hard.vote, 42)
        del disk.entries[20:]
    world.committed = {index: each for index, each in world.committed.items() if index <= 20}
    for each in members:
        each.start()
    world.elect(one)
    world.split([1], [2, 3])
    before = one.applied_index
    for number in range(5):
        world.propose(one, b"solo%d" % number)
    world.run(200)
    assert one.applied_index == before
    world.elect(two)
    world.propose(two, b"z")
    world.run(100)
    world.heal()
    world.run(2_000)
    assert _payloads(one) == _payloads(two)
    assert b"solo0" not in one.applied


def test_v7_a_conflicting_tail_under_many_messages_of_newer_log_is_overwritten_soon() -> None:
    world = RaftWorld(3)
    one, two, three = world.members.values()
    world.elect(one)
    world.split([1], [2, 3])
    for number in range(5):
        world.propose(one, b"tail%d" % number)
    world.run(50)
    world.elect(two)
    for number in range(300):
        world.propose(two, b"%d" % number + bytes(20_000))
        world.run(1)
    world.run(500)
    two.crash()
    two.start()
    world.elect(two)
    world.run(100)
    world.heal()
    assert world.run(2_000, until=lambda: one.applied_index == two.applied_index)
    three.crash()
    world.propose(two, b"after")
    world.run(300)
    assert _payloads(two)[-1] == b"after"


def test_v8_a_log_that_is_cut_keeps_what_comes_behind_through_restarts() -> None:
    world = RaftWorld(1, kept_entries=2)
    (one,) = world.members.values()
    world.settle()
    for number in range(100):
        world.propose(one, b"%d" % number)
        if number % 30 == 29:
            world.run(10)
            one.flush()
    world.run(10)
    assert one.disk.base[0] > 80
    one.crash()
    one.start()
    world.settle()
    assert _payloads(one) == [b"%d" % number for number in range(100)]


def test_a_leader_counts_itself_only_once_its_disk_has_it() -> None:
    world = RaftWorld(3)
    one, _, three = world.members.values()
    world.elect(one)
    three.crash()
    one.sync_us = 100_000
    world.propose(one, b"a")
    world.run(50)
    assert one.engine is not None
    assert one.engine.match_of(2) == 2
    assert one.engine.commit_index == 1
    world.run(100)
    assert one.engine.commit_index == 2


def test_others_need_not_wait_for_the_leaders_disk() -> None:
    world = RaftWorld(3)
    one, two, three = world.members.values()
    world.elect(one)
    world.run(100)
    one.sync_us = 100_000
    world.propose(one, b"a")
    world.run(50)
    assert (one.applied, two.applied, three.applied) == ([b""], [b"", b"a"], [b"", b"a"])


def test_an_answer_of_one_who_is_no_member_counts_for_nothing() -> None:
    world = RaftWorld(3, spare=1)
    one = world.members[1]
    world.elect(one)
    world.split([1], [2, 3], [4])
    world.propose(one, b"a")
    assert one.engine is not None
    term = one.engine.role.term
    for peer in (4, 9):
        one.step(raft.Receive(peer, encode(Ack(term, 2, False, 1))))
    world.run(50)
    assert one.applied == [b""]


def test_a_snapshot_that_the_log_was_cut_past_meanwhile_is_followed_by_the_next() -> None:
    world = RaftWorld(3, kept_entries=2)
    one, _, three = world.members.values()
    world.elect(one)
    world.split([1, 2], [3])
    cut_past(world, one, b"while it is away")
    world.heal()
    assert world.run(3_000, lambda: world.installs == 1)
    there, back = world.links[1, 3], world.links[3, 1]
    there.held = back.held = []
    cut_past(world, one, b"while it installs")
    there.held = back.held = None
    assert world.run(1_000, lambda: three.applied == one.applied)
    assert world.installs == 2


def cut_past(world: RaftWorld, leader: Member, what: bytes) -> None:
    """Commit so much that nobody who misses all of it finds its beginning in the log."""
    for number in range(30):
        world.propose(leader, what + b" %d" % number)
    assert world.run(100, lambda: leader.applied[-1] == what + b" 29")
    leader.flush()
