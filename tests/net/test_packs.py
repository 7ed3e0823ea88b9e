"""Packs from the commands that wait for one to their fate; what no leader is there for waits."""

from core.codec import ProposalId, Proposed, encode
from core.effects import Propose, ProposeChange
from core.members import Change, ChangeKind
from core.operations import Command, MemberRemove, Put
from net import replicator as raft
from net.changes import change_of, framed, pack_of
from net.packs import Packs, decode_entry

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
    packs = Packs(ORIGIN)
    packs.waiting += [propose(1), propose(2)]
    packs.changes.append(remove(3))
    assert packs.hold(0, 100) == []
    packs.waiting.append(propose(4))
    assert packs.hold(50, 100) == []
    packs.waiting.append(propose(5))
    packs.release()
    assert [each.sequence for each in packs.waiting] == [1, 2, 4, 5]
    assert [each.sequence for each in packs.changes] == [3]


def test_what_has_waited_too_long_for_a_leader_is_never_proposed() -> None:
    packs = Packs(ORIGIN)
    packs.waiting += [propose(1), propose(2)]
    packs.hold(0, 100)
    packs.waiting.append(propose(3))
    assert packs.hold(60, 100) == []
    assert packs.hold(100, 100) == [1, 2]
    packs.release()
    assert [each.sequence for each in packs.waiting] == [3]
