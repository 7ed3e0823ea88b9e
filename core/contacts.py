"""Which other members this one is connected to, and since when; how far a leader's peers are.

Rule of this file: times are of this member's clock, in milliseconds; nothing here is replicated.
"""

from collections.abc import Mapping

HEALTHY_MS = 5_000
"""A connection is trusted with a change of members once it has stood for longer, as in etcd."""
READY_TENTHS = 9
"""A learner is in sync once it has so many tenths of the leader's log, as in etcd."""
SYNC_LAG_MAX = 4096
"""Who is to get a vote without anybody asking for it lacks no more entries than these."""


class Contacts:
    """Links and progress of the others, as the shell tells of them."""

    __slots__ = ("_began_ms", "_changed_ms", "_last_index", "_linked", "_matches")

    def __init__(self) -> None:
        self._linked: dict[int, bool] = {}
        self._changed_ms: dict[int, int] = {}
        self._began_ms = 0
        self._matches: Mapping[int, int] = {}
        self._last_index = 0

    def linked(self, peer: int, now_ms: int, *, up: bool) -> None:
        """Note that a connection stands, or is gone."""
        if self._linked.get(peer, False) != up:
            self._linked[peer] = up
            self._changed_ms[peer] = now_ms

    def elected(self, now_ms: int) -> None:
        """Forget how far others were: that was told by another term's leader."""
        self._began_ms = now_ms
        self._matches = {}
        self._last_index = 0

    def progressed(self, matches: Mapping[int, int], last_index: int) -> None:
        """Note how far the log of each other member is, and this one's own."""
        self._matches = matches
        self._last_index = last_index

    def is_linked(self, peer: int) -> bool:
        """Whether a connection stands."""
        return self._linked.get(peer, False)

    def is_healthy(self, peer: int, now_ms: int) -> bool:
        """Whether a connection has stood for long enough to count on it."""
        return self.is_linked(peer) and now_ms - self._changed_ms[peer] > HEALTHY_MS

    def linked_since_ms(self, peer: int) -> int | None:
        """Return since when a connection stands; None if none does."""
        return self._changed_ms[peer] if self.is_linked(peer) else None

    def missing_ms(self, peer: int, now_ms: int) -> int:
        """Return for how long this member, while it led, has had no connection to another."""
        if self.is_linked(peer):
            return 0
        return now_ms - max(self._changed_ms.get(peer, 0), self._began_ms)

    def is_ready(self, peer: int) -> bool:
        """Whether a member has enough of the log to be promoted by hand."""
        match = self._matches.get(peer, 0)
        return match > 0 and match * 10 >= self._last_index * READY_TENTHS

    def is_in_sync(self, peer: int) -> bool:
        """Whether a member has all but the newest of the log, and is there."""
        match = self._matches.get(peer, 0)
        return self.is_linked(peer) and match > 0 and self._last_index - match <= SYNC_LAG_MAX
