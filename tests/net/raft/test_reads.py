"""Who confirms which round of reads."""

from net.raft.reads import Asker, ReadRounds

VOTERS = [1, 2, 3]
LEADER = 1


def test_a_follower_that_asks_confirms_its_own_reads_and_they_are_told_at_once() -> None:
    rounds = ReadRounds()
    rounds.held = [Asker(2, 70), Asker(2, 71)]
    rounds.begin_each(5, LEADER)
    assert rounds.confirmed(VOTERS, 2) == [(Asker(2, 70), 5), (Asker(2, 71), 5)]
    assert rounds.under_way == 0


def test_asking_says_nothing_about_rounds_that_began_while_the_question_was_on_its_way() -> None:
    # The follower may have voted for another since: its question is older than the leader's read.
    rounds = ReadRounds()
    rounds.held = [Asker(LEADER, 9)]
    rounds.begin_each(5, LEADER)
    rounds.held = [Asker(2, 70)]
    rounds.begin_each(5, LEADER)
    assert rounds.confirmed(VOTERS, 2) == [(Asker(2, 70), 5)]
    rounds.confirm(3, rounds.newest)
    assert rounds.confirmed(VOTERS, 2) == [(Asker(LEADER, 9), 5)]


def test_who_does_not_vote_confirms_nothing_by_asking() -> None:
    rounds = ReadRounds()
    rounds.held = [Asker(4, 70)]
    rounds.begin_each(5, LEADER)
    assert rounds.confirmed(VOTERS, 2) == []
    rounds.confirm(2, rounds.newest)
    assert rounds.confirmed(VOTERS, 2) == [(Asker(4, 70), 5)]


def test_reads_that_are_asked_at_once_by_several_are_rounds_of_their_own() -> None:
    rounds = ReadRounds()
    rounds.held = [Asker(2, 70), Asker(LEADER, 9), Asker(3, 71)]
    rounds.begin_each(5, LEADER)
    assert rounds.confirmed(VOTERS, 2) == [(Asker(2, 70), 5), (Asker(3, 71), 5)]
    assert rounds.under_way
