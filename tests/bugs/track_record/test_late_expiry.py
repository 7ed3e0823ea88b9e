"""etcd #15247: an expiry that a leader proposed before it was deposed ended a renewed lease.

The rule of this file: the log holds the expiry, behind a grant and an election; nothing else is
needed to see whether it counts.
"""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from core import machine
from core.ids import LeaseId, Term
from core.machine import apply
from core.operations import Command, LeaseExpire, LeaseGrant, Put
from core.ranges import PageCounts
from core.state import State
from sim.swapping import swapped


def live_keys(*log: tuple[int, Command]) -> list[bytes]:
    """Apply commands, each with the term of its entry; return the keys there are then."""
    state = State()
    for index, (term, command) in enumerate(log, 1):
        apply(state, command, index, term, PageCounts())
    return sorted(state.index.live)


GRANT, HELD = LeaseGrant(LeaseId(7), 10), Put(b"held", b"x", LeaseId(7))
EXPIRE = LeaseExpire(LeaseId(7), Term(1), 1)


def test_an_expiry_counts_in_the_term_of_its_proposal() -> None:
    assert live_keys((1, GRANT), (1, HELD), (1, EXPIRE)) == []


def test_an_expiry_that_a_later_leader_finds_in_its_log_does_not() -> None:
    assert live_keys((1, GRANT), (1, HELD), (2, EXPIRE)) == [b"held"]


def test_an_expiry_of_a_lease_that_was_granted_anew_does_not() -> None:
    again = LeaseExpire(LeaseId(7), Term(1), 9)
    assert live_keys((1, GRANT), (1, HELD), (1, again)) == [b"held"]


def test_it_would_be_seen_if_it_were_here() -> None:
    with old_terms_count(), pytest.raises(AssertionError):
        test_an_expiry_that_a_later_leader_finds_in_its_log_does_not()


@contextmanager
def old_terms_count() -> Generator[None]:
    """Whoever proposed an expiry, and when, it ends the lease."""
    shipped = machine._expire

    def hasty(state: State, command: LeaseExpire, term: int) -> machine.Applied:
        return shipped(state, command._replace(term=Term(term)), term)

    with swapped(machine, "_expire", hasty):
        yield
