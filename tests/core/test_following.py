"""A core that shares its log: unknown fates, leaders that come and go, a state from elsewhere."""

from attrs import evolve

from core.answers import LeaseKeepAliveAnswer, LeaseTimeToLiveAnswer
from core.codec import ProposalId, Proposed
from core.effects import AskLeader, Effect, EndStream, Notify, Propose, ReadIndex, Reply
from core.errors import LEADER_CHANGED, NO_LEADER, TIMED_OUT, TIMED_OUT_LEADER
from core.inputs import (
    Asked,
    Committed,
    Deposed,
    Elected,
    Installed,
    LeaderTold,
    Lost,
    Offered,
    PeerAsked,
    ReadLost,
    ReadReady,
    Ticked,
    WatchAsked,
    WatchOpened,
)
from core.node import Node, NodeConfig
from core.operations import (
    Command,
    Compact,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseTimeToLive,
    Put,
    Range,
)
from core.state import State
from core.watching import Compacted, Events, WatchCreate, WatchStream

CONFIG = NodeConfig(2, 7, 1 << 40, 1 << 20, 1 << 20, 60_000, 7_000, 1_000)


def commit(node: Node, index: int, *commands: Command) -> list[Effect]:
    """Apply a pack of another member's commands."""
    proposed = [Proposed(ProposalId(99, index * 100 + n), each) for n, each in enumerate(commands)]
    return list(node.step(Committed(index, 1, proposed)))


def replies(effects: object) -> list[tuple[object, object]]:
    assert isinstance(effects, list | tuple)
    return [(each.token, each.answer) for each in effects if isinstance(each, Reply)]


def proposed(node: Node, token: object) -> int:
    (effect,) = node.step(Offered(token, Put(b"k", b"v"), 10))
    assert isinstance(effect, Propose)
    return effect.sequence


def test_a_lost_proposal_is_told_as_unknown_once_and_never_again() -> None:
    node = Node(State(), CONFIG)
    sequence = proposed(node, "client")
    assert replies(node.step(Lost([sequence]))) == [("client", TIMED_OUT_LEADER)]
    own = Proposed(ProposalId(CONFIG.origin, sequence), Put(b"k", b"v"))
    assert replies(node.step(Committed(1, 1, [own]))) == []
    assert node.proposals_waiting == 0


def test_who_has_waited_too_long_is_told_that_nobody_knows() -> None:
    node = Node(State(), CONFIG)
    proposed(node, "write")
    node.step(Asked("read", Range(b"k")))
    (round_,) = node.begin_reads()
    assert isinstance(round_, ReadIndex)
    node.step(Ticked(100))
    assert replies(node.step(Ticked(7_000))) == []
    assert replies(node.step(Ticked(7_100))) == [("write", TIMED_OUT), ("read", TIMED_OUT)]
    assert replies(node.step(ReadReady(round_.round, 0))) == []


def test_a_cluster_of_one_waits_for_ever() -> None:
    node = Node(State(), NodeConfig(2, 7, 1 << 40, 1 << 20, 1 << 20, 60_000))
    proposed(node, "write")
    for now_ms in range(0, 100_000, 500):
        assert replies(node.step(Ticked(now_ms))) == []


def test_reads_under_a_change_of_leader_are_not_answered() -> None:
    node = Node(State(), CONFIG)
    node.step(Asked("read", Range(b"k")))
    (effect,) = node.begin_reads()
    assert isinstance(effect, ReadIndex)
    assert replies(node.step(ReadLost(effect.round))) == [("read", LEADER_CHANGED)]


def test_a_follower_passes_lease_questions_on_and_answers_what_it_is_told() -> None:
    node = Node(State(), CONFIG)
    assert replies(node.step(Deposed(1, leader=5))) == []
    (asked,) = node.step(Asked("client", LeaseKeepAlive(9)))
    assert isinstance(asked, AskLeader)
    assert asked[1:] == (5, LeaseKeepAlive(9))
    answer = LeaseKeepAliveAnswer(3, 9, 10)
    assert replies(node.step(LeaderTold(asked.number, answer))) == [("client", answer)]
    assert replies(node.step(LeaderTold(asked.number, answer))) == []


def test_what_was_asked_in_another_life_answers_nothing_in_this_one() -> None:
    lives = [Node(State(), evolve(CONFIG, origin=origin)) for origin in (7 << 40, 5 << 40)]
    rounds: list[int] = []
    questions: list[int] = []
    for node in lives:
        node.step(Deposed(1, leader=5))
        (question,) = node.step(Asked("lease", LeaseKeepAlive(9)))
        assert isinstance(question, AskLeader)
        assert list(node.step(Asked("read", Range(b"k")))) == []
        (read,) = node.begin_reads()
        rounds.append(read.round)
        questions.append(question.number)
    newer = lives[1]
    assert replies(newer.step(LeaderTold(questions[0], LeaseKeepAliveAnswer(3, 8, 10)))) == []
    assert replies(newer.step(ReadReady(rounds[0], 0))) == []
    assert len(replies(newer.step(ReadReady(rounds[1], 0)))) == 1


def test_a_question_is_lost_with_the_leader_it_went_to() -> None:
    node = Node(State(), CONFIG)
    node.step(Deposed(1, leader=5))
    node.step(Asked("client", LeaseTimeToLive(9)))
    assert replies(node.step(Deposed(2, leader=6))) == [("client", LEADER_CHANGED)]


def test_only_a_leader_answers_other_members_and_after_a_round() -> None:
    node = Node(State(), CONFIG)
    commit(node, 1, LeaseGrant(9, 10))
    assert replies(node.step(PeerAsked("peer", LeaseTimeToLive(9)))) == [("peer", NO_LEADER)]
    node.step(Elected(2))
    assert replies(node.step(PeerAsked("peer", LeaseTimeToLive(9)))) == []
    (effect,) = node.begin_reads()
    assert isinstance(effect, ReadIndex)
    ((_, answer),) = replies(node.step(ReadReady(effect.round, 1)))
    assert answer == LeaseTimeToLiveAnswer(1, 9, 10, 10, ())


def test_streams_that_want_a_leader_end_after_three_election_timeouts_without_one() -> None:
    node = Node(State(), CONFIG)
    node.step(Deposed(1, leader=5))
    patient, other = WatchStream(), WatchStream()
    node.step(WatchOpened(patient, 0, wants_leader=True))
    node.step(WatchOpened(other, 0))
    node.step(Ticked(1_000))
    node.step(Deposed(2))
    assert node.next_due_ms() == 4_000
    assert EndStream(patient, NO_LEADER) not in node.step(Ticked(3_900))
    assert list(node.step(Ticked(4_000))) == [EndStream(patient, NO_LEADER)]
    late = WatchStream()
    assert list(node.step(WatchOpened(late, 0, wants_leader=True))) == [EndStream(late, NO_LEADER)]
    assert list(node.hub.streams) == [other]


def ahead(node: Node, *, compacted: bool) -> State:
    """A state further on than the node's, as a received snapshot holds it."""
    other = Node(State(), CONFIG)
    for index in range(1, 10):
        commit(other, index, Put(b"k", b"%d" % index))
    if compacted:
        commit(other, 10, Compact(8))
    assert node.state.applied_index < 9
    return other.state


def watching(node: Node) -> WatchStream:
    stream = WatchStream()
    node.step(WatchOpened(stream, 0))
    node.step(WatchAsked(stream, WatchCreate(b"k")))
    return stream


def told(node: Node) -> list[object]:
    messages: list[object] = []
    while node.has_work():
        messages += [each.message for each in node.work() if isinstance(each, Notify)]
    return messages


def test_an_installed_state_is_caught_up_with_by_every_watcher() -> None:
    node = Node(State(), CONFIG)
    commit(node, 1, Put(b"k", b"1"))
    watching(node)
    node.step(Installed(ahead(node, compacted=False)))
    (message,) = told(node)
    assert isinstance(message, Events)
    assert (message.revision, message.event_count) == (10, 8)


def test_a_watcher_that_an_installed_state_cannot_serve_is_cancelled() -> None:
    node = Node(State(), CONFIG)
    commit(node, 1, Put(b"k", b"1"))
    watching(node)
    node.step(Installed(ahead(node, compacted=True)))
    assert told(node) == [Compacted(0, 8)]


def test_a_read_that_waited_for_an_index_is_answered_by_an_installed_state() -> None:
    node = Node(State(), CONFIG)
    node.step(Asked("read", Range(b"k")))
    (effect,) = node.begin_reads()
    assert isinstance(effect, ReadIndex)
    assert replies(node.step(ReadReady(effect.round, 5))) == []
    ((token, _),) = replies(node.step(Installed(ahead(node, compacted=False))))
    assert token == "read"


def test_a_lease_granted_between_ticks_has_its_whole_time_from_then() -> None:
    node = Node(State(), CONFIG)
    node.step(Elected(1))
    node.step(Ticked(1_000))
    node.advance(1_900)
    commit(node, 1, LeaseGrant(9, 2))
    node.advance(2_800)
    assert not [each for each in node.step(Ticked(3_700)) if isinstance(each, Propose)]
    (effect,) = node.step(Ticked(3_900))
    assert isinstance(effect, Propose)
