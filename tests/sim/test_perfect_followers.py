"""What a leader of the perfect log thinks of a follower."""

from sim.perfect_followers import Follower
from sim.perfect_log import PerfectLog


def told_of_a_gap() -> Follower:
    follower = Follower(match=4, next=40)
    follower.differs(9)
    return follower


def test_of_many_answers_that_something_lacks_the_first_sends_back() -> None:
    follower = told_of_a_gap()
    assert (follower.next, follower.lacks) == (10, 10)
    follower.next = 12
    follower.differs(9)
    follower.differs(20)
    assert follower.next == 12


def test_an_answer_that_more_lacks_sends_back_further() -> None:
    follower = told_of_a_gap()
    follower.next = 12
    follower.differs(6)
    assert (follower.next, follower.lacks) == (7, 7)


def test_what_lacked_is_forgotten_once_it_is_there_or_is_to_be_sent_again() -> None:
    follower = told_of_a_gap()
    assert follower.matches(10)
    assert follower.lacks == 0
    follower = told_of_a_gap()
    follower.again(PerfectLog((0, 0), []))
    assert (follower.next, follower.lacks) == (5, 0)
