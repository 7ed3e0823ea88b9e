"""Packs from the commands that wait for one to their fate; what no leader is there for waits."""

from core.codec import ProposalId, Proposed, encode
from core.effects import Propose, ProposeChange
from core.members import Change, ChangeKind
from core.operations import Command, MemberRemove, Put
from net import replicator as raft
from net.changes import change_of, framed, pack_of
from net.packs import AGAIN_MS, Packs, decode_entry

ORIGIN = 7
CHANGE = Change(ChangeKind.REMOVE, 3)


def propose(sequence: int) -> Propose:
    command = Put(b"k%d" % sequence, b"v")
    return Propose(sequence, encode((ORIGIN, sequence), command), command)


def remove(sequence: int) -> ProposeChange:
    command = MemberRemove(3)
    return ProposeChange(sequence, encode((ORIGIN, sequence), command), command, CHANGE)


def proposed(sequence: int, command: Command) -> Proposed:
    return Proposed(ProposalId(ORIGIN, sequence), command)


def test_a_change_is_alone_in_its_pack_behind_the_mark_for_the_engine() -> None:
    packs = Packs(ORIGIN)
    packs.waiting.append(propose(1))
    packs.changes += [remove(2), remove(3)]
    (usual,) = packs.make()
    first, second = packs.make_changes()
    assert usual.token == 1
    assert (first.token, first.change, change_of(first.payload)) == (2, CHANGE, CHANGE)
    assert decode_entry(raft.Entry(9, 1, second.payload)) == [proposed(3, MemberRemove(3))]
    assert list(packs.make_changes()) == []


def test_a_change_is_known_again_as_the_very_bytes_and_as_a_copy() -> None:
    packs = Packs(ORIGIN)
    packs.verify = True
    packs.changes += [remove(2), remove(3)]
    own, copied = (made.payload for made in packs.make_changes())
    copy = framed(CHANGE, bytes(bytearray(pack_of(copied))))
    assert packs.commands(raft.Entry(1, 1, own)) == [proposed(2, MemberRemove(3))]
    assert packs.commands(raft.Entry(2, 1, copy)) == [proposed(3, MemberRemove(3))]
    assert packs.give_up(2) == packs.give_up(3) == []


def test_a_change_that_is_refused_is_given_up_by_its_sequence() -> None:
    packs = Packs(ORIGIN)
    packs.changes.append(remove(2))
    (made,) = packs.make_changes()
    assert packs.give_up(made.token) == [2]


def test_what_waits_for_a_leader_keeps_its_order() -> None:
    packs = Packs(ORIGIN, 100)
    packs.waiting += [propose(1), propose(2)]
    packs.hold(0)
    packs.waiting.append(propose(3))
    packs.hold(50)
    packs.waiting.append(propose(4))
    packs.release(60)
    assert packs.waiting == [propose(1), propose(2), propose(3), propose(4)]


def test_what_has_waited_too_long_for_a_leader_is_never_proposed() -> None:
    packs = Packs(ORIGIN, 100)
    packs.waiting += [propose(1), propose(2)]
    packs.hold(0)
    packs.waiting.append(propose(3))
    packs.hold(60)
    assert packs.late(99) == []
    assert packs.late(100) == [1, 2]
    packs.release(100)
    assert packs.waiting == [propose(3)]


def test_a_pack_that_was_refused_is_offered_again_after_a_while() -> None:
    packs = Packs(ORIGIN, 100)
    packs.waiting += [propose(1), propose(2)]
    (made,) = packs.make()
    assert packs.take_back(made.token, 1_000)
    packs.release(1_000 + AGAIN_MS - 1)
    assert packs.waiting == []
    packs.release(1_000 + AGAIN_MS)
    (again,) = packs.make()
    assert (again.token, again.payload) == (made.token, made.payload)
    assert packs.take_back(again.token, 2_000)
    # It has waited since it was refused first.
    assert packs.late(2_000) == [1, 2]
    assert packs.give_up(made.token) == []


def test_changes_of_members_do_not_outlive_the_leader_that_judged_them() -> None:
    packs = Packs(ORIGIN, 100)
    packs.changes += [remove(2), remove(3)]
    (first, _) = packs.make_changes()
    packs.changes.append(remove(4))
    assert packs.outdated() == [4]
    assert not packs.take_back(first.token, 0)
    assert packs.give_up(first.token) == [2]


def test_what_is_applied_is_no_longer_waited_for() -> None:
    packs = Packs(ORIGIN, 100)
    packs.waiting.append(propose(1))
    packs.hold(0)
    packs.release(10)
    (made,) = packs.make()
    packs.commands(raft.Entry(1, 1, made.payload))
    packs.waiting.append(propose(1))
    packs.hold(500)
    assert packs.late(500) == []
