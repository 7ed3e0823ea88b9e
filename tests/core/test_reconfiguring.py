"""What a command about members does to the table, and etcd's answers to what it cannot do."""

import pytest

from core.answers import MembersAnswer
from core.errors import (
    MEMBER_EXISTS,
    MEMBER_NOT_FOUND,
    MEMBER_NOT_LEARNER,
    NOT_ENOUGH_STARTED,
    PEER_URL_EXISTS,
    TOO_MANY_LEARNERS,
    UNHEALTHY,
    Failure,
)
from core.invariants import check
from core.machine import MembersNow, apply
from core.members import Change, ChangeKind, Member, MemberRole, from_rows
from core.operations import (
    AlarmKind,
    MemberAdd,
    MemberPromote,
    MemberPublish,
    MemberRemove,
    MembersChange,
    MemberUpdate,
    RoleAssign,
)
from core.ranges import PageCounts
from core.reconfiguring import change_of
from core.state import State

A = Member(1, "a", ("http://a:1",), ("http://a:2",))
B = Member(2, "", ("http://b:1",))
LEARNER = Member(3, "", ("http://c:1",), (), MemberRole.STAND_BY)
URL = ("http://new:1",)


def add(member: Member) -> MemberAdd:
    return MemberAdd(member.id, member.peer_urls, member.role, 1, member.name, member.client_urls)


def cluster(*members: Member) -> State:
    state = State()
    for index, member in enumerate(members or (A, B, LEARNER), start=1):
        apply(state, add(member), index, 1, PageCounts())
    check(state)
    return state


def table_after(state: State, command: MembersChange | MemberPublish) -> list[Member]:
    applied = apply(state, command, 9, 1, PageCounts())
    assert not isinstance(applied.answer, Failure)
    check(state)
    members = [each for _, each in sorted(state.members.items())]
    (fact,) = applied.facts
    assert isinstance(fact, MembersNow)
    assert from_rows(fact.rows) == (state.members, state.removed)
    if isinstance(applied.answer, MembersAnswer):
        assert applied.answer == MembersAnswer(1, 9, members)
    return members


def test_founders_and_learners_are_in_the_table() -> None:
    assert list(cluster().members.values()) == [A, B, LEARNER]


@pytest.mark.parametrize(
    ("command", "table"),
    [
        (MemberAdd(4, URL), [A, B, LEARNER, Member(4, "", URL)]),
        (
            MemberAdd(4, URL, MemberRole.SPARE, 2),
            [A, B, LEARNER, Member(4, "", URL, (), MemberRole.SPARE)],
        ),
        (MemberRemove(2), [A, LEARNER]),
        (MemberUpdate(1, URL), [A._replace(peer_urls=URL), B, LEARNER]),
        (MemberUpdate(1, A.peer_urls), [A, B, LEARNER]),
        (MemberPromote(3), [A, B, LEARNER._replace(role=MemberRole.VOTER)]),
        (MemberPublish(2, "b", URL), [A, B._replace(name="b", client_urls=URL), LEARNER]),
        (
            RoleAssign(2, MemberRole.SPARE, MemberRole.VOTER),
            [A, B._replace(role=MemberRole.SPARE), LEARNER],
        ),
        (
            RoleAssign(3, MemberRole.SPARE, MemberRole.STAND_BY),
            [A, B, LEARNER._replace(role=MemberRole.SPARE)],
        ),
    ],
)
def test_a_change_makes_the_next_table(
    command: MembersChange | MemberPublish, table: list[Member]
) -> None:
    assert table_after(cluster(), command) == table


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (MemberAdd(2, URL), MEMBER_EXISTS),
        (MemberAdd(4, B.peer_urls), PEER_URL_EXISTS),
        (MemberAdd(4, (*URL, *LEARNER.peer_urls)), PEER_URL_EXISTS),
        (MemberAdd(4, URL, MemberRole.STAND_BY), TOO_MANY_LEARNERS),
        (MemberRemove(7), MEMBER_NOT_FOUND),
        (MemberUpdate(7, URL), MEMBER_NOT_FOUND),
        (MemberUpdate(1, B.peer_urls), PEER_URL_EXISTS),
        (MemberPromote(7), MEMBER_NOT_FOUND),
        (MemberPromote(1), MEMBER_NOT_LEARNER),
        (RoleAssign(7, MemberRole.VOTER), MEMBER_NOT_FOUND),
        (RoleAssign(2, MemberRole.SPARE, MemberRole.STAND_BY), UNHEALTHY),
    ],
)
def test_what_the_table_does_not_take_changes_nothing(
    command: MembersChange, answer: Failure
) -> None:
    state = cluster()
    before = state.state_hash()
    assert apply(state, command, 9, 1, PageCounts()) == (answer, (), ())
    assert state.state_hash() == before


@pytest.mark.parametrize(
    "command",
    [
        MemberRemove(1),
        RoleAssign(1, MemberRole.STAND_BY, MemberRole.VOTER),
        RoleAssign(1, MemberRole.SPARE, MemberRole.VOTER),
    ],
)
def test_the_last_vote_cannot_be_taken_away(command: MembersChange) -> None:
    state = cluster(A, LEARNER)
    assert apply(state, command, 9, 1, PageCounts()).answer == NOT_ENOUGH_STARTED


def test_a_removed_id_is_never_given_again() -> None:
    state = cluster()
    table_after(state, MemberRemove(2))
    assert state.removed == {2}
    for command in (MemberAdd(2, URL), MemberUpdate(2, URL), MemberRemove(2)):
        assert apply(state, command, 10, 1, PageCounts()).answer == MEMBER_NOT_FOUND


def test_what_a_removed_member_tells_of_itself_is_not_heard() -> None:
    state = cluster()
    table_after(state, MemberRemove(2))
    assert apply(state, MemberPublish(2, "b", URL), 10, 1, PageCounts()).facts == ()


def test_a_table_has_one_hash_whatever_the_way_to_it() -> None:
    one, other = cluster(), cluster(A, B)
    table_after(one, MemberRemove(3))
    table_after(other, MemberAdd(3, LEARNER.peer_urls, MemberRole.STAND_BY))
    assert one.state_hash() != other.state_hash()
    table_after(other, MemberRemove(3))
    assert one.state_hash() == other.state_hash()


@pytest.mark.parametrize(
    ("command", "change"),
    [
        (MemberAdd(4, URL), Change(ChangeKind.ADD_VOTER, 4)),
        (MemberAdd(4, URL, MemberRole.SPARE), Change(ChangeKind.ADD_LEARNER, 4)),
        (MemberRemove(2), Change(ChangeKind.REMOVE, 2)),
        (MemberUpdate(1, URL), None),
        (MemberPromote(3), Change(ChangeKind.PROMOTE, 3)),
        (RoleAssign(3, MemberRole.VOTER, MemberRole.STAND_BY), Change(ChangeKind.PROMOTE, 3)),
        (RoleAssign(2, MemberRole.SPARE, MemberRole.VOTER), Change(ChangeKind.DEMOTE, 2)),
        (RoleAssign(3, MemberRole.SPARE, MemberRole.STAND_BY), None),
        (RoleAssign(2, MemberRole.VOTER, MemberRole.VOTER), None),
    ],
)
def test_raft_is_told_what_changes_votes(command: MembersChange, change: Change | None) -> None:
    assert change_of(cluster().members, command) == change


def test_an_alarm_does_not_hold_back_what_raft_has_done_already() -> None:
    state = cluster()
    state.alarms.add((1, int(AlarmKind.CORRUPT)))
    state.alarms.add((1, int(AlarmKind.NOSPACE)))
    assert table_after(state, MemberRemove(2)) == [A, LEARNER]
