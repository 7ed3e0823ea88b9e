"""How long a member of several waits: for its proposals and reads, and for a leader.

Rule of this file: time passes by `tick`, in milliseconds of the member's clock. What was asked is
numbered in order, so one mark a tick says of everything before it how old it is at least.
"""

from collections import deque
from typing import NamedTuple

NO_LEADER_ELECTIONS = 3
"""Streams that want a leader end after so many election timeouts without one, as in etcd."""


class Overdue(NamedTuple):
    """Proposals up to `sequence`, rounds of reads up to `round` and questions up to `question`."""

    sequence: int
    round: int
    question: int


class Patience:
    """Marks of what was asked when, and since when nobody leads. Limits of 0 mean for ever."""

    __slots__ = ("_election_ms", "_leaderless_ms", "_looked_ms", "_marks", "_request_ms")

    def __init__(self, *, request_ms: int, election_ms: int) -> None:
        self._request_ms = request_ms
        self._election_ms = election_ms
        self._marks: deque[tuple[int, Overdue]] = deque()
        self._leaderless_ms: int | None = 0
        self._looked_ms = -1
        """When all that was due by then was told."""

    def mark(self, now_ms: int, asked: Overdue) -> None:
        """Note what has been asked so far; `overdue` and `is_leaderless` are asked next."""
        self._looked_ms = now_ms
        if self._request_ms and (not self._marks or self._marks[-1][1] != asked):
            self._marks.append((now_ms, asked))

    def overdue(self, now_ms: int) -> Overdue | None:
        """Return what has waited too long by now, once."""
        found = None
        while self._marks and now_ms - self._marks[0][0] >= self._request_ms:
            found = self._marks.popleft()[1]
        return found

    def leader_known(self) -> None:
        """Somebody leads."""
        self._leaderless_ms = None

    def leader_lost(self, now_ms: int) -> None:
        """Nobody leads, as far as this member knows."""
        if self._leaderless_ms is None:
            self._leaderless_ms = now_ms

    def is_leaderless(self, now_ms: int) -> bool:
        """Whether nobody has led for too long."""
        since = self._leaderless_ms
        limit = self._election_ms * NO_LEADER_ELECTIONS
        return bool(limit) and since is not None and now_ms - since >= limit

    def wants_leader(self) -> bool:
        """Whether nobody leads now, where somebody should."""
        return bool(self._election_ms) and self._leaderless_ms is not None

    def next_due_ms(self) -> int | None:
        """Return when `overdue` or `is_leaderless` may change by time alone."""
        due = self._marks[0][0] + self._request_ms if self._marks else None
        if self._leaderless_ms is not None and self._election_ms:
            ends = self._leaderless_ms + self._election_ms * NO_LEADER_ELECTIONS
            # Over and told of: who comes now and wants a leader is told at once.
            if ends > self._looked_ms and (due is None or ends < due):
                due = ends
        return due
