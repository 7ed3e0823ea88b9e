"""Changes of members on their way into the log: one at a time, checked as etcd checks them."""

from collections.abc import Sequence

import attrs
import pytest

from core.answers import MembersAnswer
from core.codec import ProposalId, Proposed
from core.effects import AskLeader, Effect, Propose, ProposeChange, Reply
from core.errors import (
    LEARNER_NOT_READY,
    MEMBER_EXISTS,
    MEMBER_NOT_FOUND,
    MEMBER_NOT_LEARNER,
    MEMBERS_FIXED,
    NO_LEADER,
    NOT_ENOUGH_STARTED,
    TIMED_OUT,
    TIMED_OUT_LEADER,
    TOO_MANY_LEARNERS,
    UNHEALTHY,
    Failure,
)
from core.inputs import (
    ChangeOffered,
    Committed,
    Deposed,
    Elected,
    LeaderTold,
    Linked,
    Lost,
    PeerAsked,
    Progressed,
    Refused,
    Ticked,
)
from core.members import Change, ChangeKind, Member, MemberRole
from core.node import Node, NodeConfig
from core.operations import (
    MemberAdd,
    MemberPromote,
    MemberPublish,
    MemberRemove,
    MembersChange,
    MemberUpdate,
    Noop,
    RoleAssign,
)
from core.state import State, put_member

CONFIG = NodeConfig(1, 7, 1 << 40, 1 << 20, 1 << 20, 60_000, 7_000, 1_000, are_members_fixed=False)
TERM = 4
URL = ("http://new:1",)


def member(number: int, role: MemberRole = MemberRole.VOTER, name: str = "up") -> Member:
    return Member(number, name, (f"http://{number}:1",), (), role)


class World:
    """One node that leads a cluster, and what it asks for."""

    def __init__(self, *members: Member, config: NodeConfig = CONFIG) -> None:
        state = State()
        for each in members or (member(1), member(2), member(3)):
            put_member(state, each)
        self.node = Node(state, config)
        self.index = 0
        self.now_ms = 0

    def lead(self) -> "World":
        self.node.step(Elected(TERM))
        self.commit()
        return self

    def connect(self, *peers: int, for_ms: int = 6_000) -> "World":
        for peer in peers:
            self.node.step(Linked(peer, up=True))
        self.tick(for_ms)
        return self

    def tick(self, after_ms: int = 50) -> list[Effect]:
        self.now_ms += after_ms
        self.node.advance(self.now_ms)
        return list(self.node.step(Ticked(self.now_ms)))

    def commit(self, *proposals: ProposeChange | Propose) -> list[Effect]:
        self.index += 1
        commands = [Proposed(ProposalId(7, each.sequence), each.command) for each in proposals]
        commands = commands or [Proposed(ProposalId(9, 9), Noop())]
        return list(self.node.step(Committed(self.index, TERM, commands)))

    def ask(self, command: MembersChange, token: object = "client") -> list[Effect]:
        return list(self.node.step(ChangeOffered(token, command)))

    def refused(self, command: MembersChange) -> Failure | None:
        answers = replies(self.ask(command))
        if not answers:
            return None
        ((token, answer),) = answers
        assert token == "client"
        assert isinstance(answer, Failure)
        return answer


def replies(effects: Sequence[Effect]) -> list[tuple[object, object]]:
    return [(each.token, each.answer) for each in effects if isinstance(each, Reply)]


def change(effects: Sequence[Effect]) -> ProposeChange:
    (found,) = [each for each in effects if isinstance(each, ProposeChange)]
    return found


def test_a_change_is_offered_with_what_raft_is_told_and_answered_with_the_table() -> None:
    world = World(member(1)).lead()
    offered = change(world.ask(MemberAdd(2, URL, MemberRole.JOINING)))
    assert offered.change == Change(ChangeKind.ADD_LEARNER, 2)
    joined = Member(2, "", URL, (), MemberRole.JOINING)
    answer = MembersAnswer(1, 2, [member(1), joined])
    assert replies(world.commit(offered)) == [("client", answer)]
    assert not joined.is_learner


def test_where_raft_sees_nothing_the_change_is_a_usual_command() -> None:
    world = World(member(1)).lead()
    (offered,) = world.ask(MemberUpdate(1, URL))
    assert isinstance(offered, Propose)
    answer = MembersAnswer(1, 2, [member(1)._replace(peer_urls=URL)])
    assert replies(world.commit(offered)) == [("client", answer)]


def test_changes_wait_for_the_one_under_way_and_meet_its_table() -> None:
    world = World(member(1)).lead()
    first = change(world.ask(MemberAdd(2, URL, MemberRole.STAND_BY)))
    assert world.ask(MemberAdd(2, ("http://other:1",), MemberRole.STAND_BY), "second") == []
    assert world.ask(MemberUpdate(1, ("http://third:1",)), "third") == []
    world.commit(first)
    offered, refused = world.tick()
    assert refused == Reply("second", MEMBER_EXISTS)
    assert isinstance(offered, Propose)


def test_a_new_leader_waits_until_it_has_applied_what_others_left_in_the_log() -> None:
    world = World(member(1))
    world.node.step(Elected(TERM))
    assert world.ask(MemberUpdate(1, URL)) == []
    world.commit()
    (offered,) = world.tick()
    assert isinstance(offered, Propose)


@pytest.mark.parametrize(
    ("fate", "answer"),
    [(Lost([1]), TIMED_OUT_LEADER), (Refused([1], disk_full=False), UNHEALTHY)],
)
def test_the_next_change_goes_on_once_the_fate_of_one_is_told(
    fate: Lost | Refused, answer: Failure
) -> None:
    world = World(member(1)).lead()
    offered = change(world.ask(MemberAdd(2, URL, MemberRole.STAND_BY)))
    world.ask(MemberUpdate(1, URL), "second")
    assert offered.sequence == 1
    assert replies(list(world.node.step(fate))) == [("client", answer)]
    (offered_next,) = world.tick()
    assert isinstance(offered_next, Propose)


def test_who_waits_when_the_leader_goes_is_told_that_nothing_was_offered() -> None:
    world = World(member(1)).lead()
    world.ask(MemberUpdate(1, URL))
    world.ask(MemberUpdate(1, URL), "second")
    assert replies(list(world.node.step(Deposed(TERM)))) == [("second", NO_LEADER)]


def test_nobody_waits_for_ever_behind_a_change_that_is_never_decided() -> None:
    world = World(member(1)).lead()
    world.tick()
    change(world.ask(MemberAdd(2, URL, MemberRole.STAND_BY)))
    world.ask(MemberUpdate(1, URL), "second")
    world.tick()
    assert sorted(map(str, replies(world.tick(7_000)))) == sorted(
        [str(("client", TIMED_OUT)), str(("second", TIMED_OUT))]
    )
    # Its fate is open still: nothing may be ordered beside it.
    assert world.ask(MemberUpdate(1, URL), "third") == []


# What others ask.


def test_a_follower_passes_a_change_on_and_answers_once_it_has_it_too() -> None:
    world = World()
    world.node.step(Deposed(TERM, leader=2))
    command = MemberRemove(3)
    (asked,) = world.ask(command)
    assert isinstance(asked, AskLeader)
    assert asked[1:] == (2, command)
    answer = MembersAnswer(1, 1, [member(1), member(2)])
    assert list(world.node.step(LeaderTold(asked.number, answer))) == []
    committed = Committed(1, TERM, [Proposed(ProposalId(9, 1), command)])
    assert replies(list(world.node.step(committed))) == [("client", answer)]


def test_a_change_whose_leader_is_lost_is_unknown() -> None:
    world = World()
    world.node.step(Deposed(TERM, leader=2))
    world.ask(MemberRemove(3))
    assert replies(list(world.node.step(Deposed(TERM)))) == [("client", TIMED_OUT_LEADER)]


def test_where_nobody_leads_no_change_is_asked_for() -> None:
    assert World().refused(MemberRemove(3)) == NO_LEADER


def test_the_leader_orders_what_a_follower_passes_on() -> None:
    world = World().lead().connect(2, 3)
    offered = change(list(world.node.step(PeerAsked("remote", MemberRemove(3)))))
    assert replies(world.commit(offered)) == [
        ("remote", MembersAnswer(1, 2, [member(1), member(2)]))
    ]


# etcd's strict reconfiguration check.

DOWN = member(3, name="")
LEARNER = member(4, MemberRole.STAND_BY)
VOTER = MemberAdd(9, URL, MemberRole.JOINING)
SECOND_LEARNER = MemberAdd(9, URL, MemberRole.STAND_BY)


@pytest.mark.parametrize(
    ("members", "connected", "command", "answer"),
    [
        ([member(1)], [], VOTER, None),
        ([member(1), member(2)], [2], VOTER, None),
        ([member(1), member(2)], [], VOTER, UNHEALTHY),
        ([member(1), member(2, name="")], [2], VOTER, NOT_ENOUGH_STARTED),
        ([member(1), member(2, MemberRole.JOINING, "")], [2], VOTER, NOT_ENOUGH_STARTED),
        ([member(1), member(2), DOWN], [2], VOTER, NOT_ENOUGH_STARTED),
        ([member(1), member(2), member(3)], [2], VOTER, UNHEALTHY),
        ([member(1), member(2), member(3)], [2, 3], VOTER, None),
        ([member(1), member(2), member(3)], [2], SECOND_LEARNER, UNHEALTHY),
        ([member(1), member(2), DOWN], [2, 3], SECOND_LEARNER, None),
        ([member(1), LEARNER], [], SECOND_LEARNER, TOO_MANY_LEARNERS),
        ([member(1)], [], MemberRemove(1), NOT_ENOUGH_STARTED),
        ([member(1)], [], MemberRemove(8), MEMBER_NOT_FOUND),
        ([member(1), member(2), DOWN], [2], MemberRemove(2), NOT_ENOUGH_STARTED),
        ([member(1), member(2), DOWN], [2], MemberRemove(3), None),
        ([member(1), member(2), member(3)], [2], MemberRemove(2), UNHEALTHY),
        ([member(1), member(2), member(3)], [2], MemberRemove(3), None),
        ([member(1), member(2), member(3)], [2, 3], MemberRemove(1), None),
        ([member(1), LEARNER], [], MemberRemove(4), None),
        ([member(1), LEARNER], [4], MemberPromote(4), LEARNER_NOT_READY),
        ([member(1)], [], MemberPromote(1), MEMBER_NOT_LEARNER),
        ([member(1)], [], MemberPromote(8), MEMBER_NOT_FOUND),
    ],
)
def test_what_would_cost_the_quorum_is_refused_in_etcds_words(
    members: list[Member], connected: list[int], command: MembersChange, answer: Failure | None
) -> None:
    world = World(*members).lead()
    world.node.step(Progressed(dict.fromkeys((2, 3, 4), 1), 100_000))
    world.connect(*connected)
    assert world.refused(command) == answer


@pytest.mark.parametrize(("match", "answer"), [(89, LEARNER_NOT_READY), (90, None)])
def test_a_learner_is_promoted_with_nine_tenths_of_the_log(
    match: int, answer: Failure | None
) -> None:
    world = World(member(1), LEARNER).lead()
    world.node.step(Progressed({4: match}, 100))
    assert world.refused(MemberPromote(4)) == answer


def test_a_new_leader_promotes_nobody_before_it_knows_how_far_they_are() -> None:
    world = World(member(1), LEARNER).lead()
    world.node.step(Progressed({4: 100}, 100))
    world.node.step(Deposed(TERM))
    world.lead()
    assert world.refused(MemberPromote(4)) == LEARNER_NOT_READY


def test_a_connection_counts_once_it_has_stood_for_five_seconds() -> None:
    world = World(member(1), member(2)).lead().connect(2, for_ms=5_000)
    assert world.refused(VOTER) == UNHEALTHY
    world.tick(1)
    assert world.refused(VOTER) is None


def test_without_the_strict_check_only_the_table_decides() -> None:
    world = World(config=attrs.evolve(CONFIG, is_strict=False)).lead()
    assert world.refused(VOTER) is None


def test_an_engine_for_one_orders_no_change_of_who_votes() -> None:
    world = World(member(1), config=attrs.evolve(CONFIG, are_members_fixed=True)).lead()
    assert world.refused(VOTER) == MEMBERS_FIXED
    assert world.refused(MemberUpdate(1, URL)) is None


# What a member does by itself.


def test_a_newcomer_gets_its_vote_once_it_is_in_sync_and_connected() -> None:
    world = World(member(1), member(2, MemberRole.JOINING)).lead()
    world.node.step(Progressed({2: 100}, 100))
    assert world.tick(1_000) == []
    world.node.step(Linked(2, up=True))
    offered = change(world.tick(1_000))
    assert offered.command == RoleAssign(2, MemberRole.VOTER, MemberRole.JOINING)
    assert offered.change == Change(ChangeKind.PROMOTE, 2)
    assert replies(world.commit(offered)) == []
    assert world.tick(1_000) == []


def test_a_member_tells_of_itself_until_the_table_says_so() -> None:
    config = attrs.evolve(CONFIG, name="one", client_urls=URL, failure_domain=3)
    world = World(config=config)
    assert world.tick(60_000) == []
    world.node.step(Deposed(TERM, leader=2))
    (told,) = world.tick()
    assert isinstance(told, Propose)
    assert told.command == MemberPublish(1, "one", URL, 3)
    assert world.tick() == []
    (again,) = world.tick(5_000)
    assert isinstance(again, Propose)
    world.commit(again)
    assert world.tick(5_000) == []
    known = world.node.state.members[1]
    assert (known.name, known.client_urls, known.failure_domain) == ("one", URL, 3)


def test_the_heir_is_the_voter_that_has_been_connected_for_longest() -> None:
    world = World(member(1), member(2), member(3), LEARNER).lead()
    membership, state = world.node.membership, world.node.state
    assert membership.heir(state) == 0
    world.connect(4).connect(3).connect(2)
    assert membership.heir(state) == 3
    world.node.step(Linked(3, up=False))
    assert membership.heir(state) == 2
