"""How long a member waits, and when time alone has something to say of it."""

from core.patience import Overdue, Patience

ASKED = Overdue(1, 1, 0)


def test_what_was_asked_is_overdue_once_after_its_time() -> None:
    patience = Patience(request_ms=7_000, election_ms=0)
    patience.mark(100, ASKED)
    assert patience.next_due_ms() == 7_100
    assert patience.overdue(7_099) is None
    assert patience.overdue(7_100) == ASKED
    assert patience.overdue(7_200) is None


def test_without_a_leader_its_end_of_patience_is_due_until_somebody_looked() -> None:
    patience = Patience(request_ms=0, election_ms=1_000)
    patience.leader_known()
    patience.leader_lost(500)
    assert patience.next_due_ms() == 3_500
    patience.mark(3_499, ASKED)
    assert (patience.is_leaderless(3_499), patience.next_due_ms()) == (False, 3_500)
    patience.mark(3_500, ASKED)
    assert (patience.is_leaderless(3_500), patience.next_due_ms()) == (True, None)


def test_another_loss_of_the_leader_is_due_anew() -> None:
    patience = Patience(request_ms=0, election_ms=1_000)
    patience.mark(9_000, ASKED)
    patience.leader_known()
    assert patience.next_due_ms() is None
    patience.leader_lost(9_100)
    assert patience.next_due_ms() == 12_100
