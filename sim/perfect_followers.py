"""A leader's idea of one follower: what it has, what it was sent, when to try again.

Rule of this file: indexes and times, no messages.
"""

from collections import deque

from attrs import define, field

from net.replicator import Configuration
from sim.perfect_log import PerfectLog

NEVER_MS = 1 << 62
RETRY_MS = 500
COMMIT_MS = 250
"""So long a commit waits for entries or a round to go with, where no client of the follower's does.

Told in a message of its own, it costs the follower one turn more for each entry.
"""
SNAPSHOT_MS = 1000
"""A follower that has a snapshot installs it within so long, or gets another."""


@define
class Follower:
    """One of the others; `is_linked` is true of it whoever leads."""

    is_linked: bool = False
    match: int = 0
    """It holds the log durably up to here."""
    next: int = 1
    """The first entry to send it."""
    lacks: int = 0
    """The entry that it said it lacks, until it has it: nothing behind is sent before; or 0."""
    told: int = -1
    """The commit index that it was told."""
    knows: int = 0
    """The commit index that it acknowledged."""
    offered: deque[int] = field(factory=deque[int])
    """Where its own clients' packs are, as far as it was not told that they are committed."""
    confirmed: int = 0
    """The last read round that it confirmed."""
    heard_ms: int = 0
    """When it last acknowledged, or was asked for what it owes."""
    owes: bool = False
    """Whether something was to be acknowledged when it was last looked at."""
    held_ms: int = NEVER_MS
    """Since when there is a commit that it was not told."""
    snapshot_ms: int = 0
    """When it may be sent another snapshot."""

    def begin(self, now_ms: int, log: PerfectLog) -> None:
        """A new leader knows nothing of it, and hopes that it has everything."""
        self.match, self.next, self.told, self.knows = 0, log.last_index + 1, -1, 0
        self.lacks = 0
        self.heard_ms, self.snapshot_ms = now_ms, 0
        self.confirmed, self.owes, self.held_ms = 0, False, NEVER_MS
        self.offered.clear()

    def again(self, log: PerfectLog) -> None:
        """Send anew what is not acknowledged; where nothing ever was, it must be asked first."""
        self.next, self.lacks = (self.match or log.last_index) + 1, 0

    def is_overdue(self, now_ms: int, *, waits: bool) -> bool:
        """Whether to ask again now for what is waited for; then not again for a while."""
        if waits and (not self.owes or self.heard_ms + RETRY_MS <= now_ms):
            is_overdue, self.owes = self.owes, True
            self.heard_ms = now_ms
            return is_overdue
        self.owes = waits
        return False

    def was_told(self, commit: int) -> None:
        """A message to it says what is committed."""
        if commit > self.told:
            self.told = commit
        self.held_ms = NEVER_MS
        while self.offered and self.offered[0] <= commit:
            self.offered.popleft()

    def must_hear(self, now_ms: int, commit: int) -> bool:
        """Whether to say now what is committed, with nothing else to say."""
        if now_ms < self.held_ms:
            self.held_ms = now_ms
        is_awaited = bool(self.offered) and self.offered[0] <= commit
        return is_awaited or self.told < 0 or self.held_ms + COMMIT_MS <= now_ms

    @property
    def due_ms(self) -> int:
        """When time alone has something to do for it."""
        retry_ms = self.heard_ms + RETRY_MS if self.owes else NEVER_MS
        commit_ms = self.held_ms + COMMIT_MS
        return retry_ms if retry_ms < commit_ms else commit_ms

    def wants_snapshot(self, now_ms: int, *, lossy: bool) -> bool:
        """Whether to send a snapshot now; then not again for long.

        Nobody says of a datagram that it was lost.
        """
        if now_ms < self.snapshot_ms:
            return False
        self.snapshot_ms = now_ms + (3 if lossy else 10) * SNAPSHOT_MS
        return True

    def got_snapshot(self, now_ms: int, *, well: bool) -> None:
        """The sending of one ended."""
        self.snapshot_ms = now_ms + (SNAPSHOT_MS if well else RETRY_MS)

    def differs(self, hint: int) -> None:
        """It does not have what it was sent something behind of: go back, once.

        It says so of each message that was on its way.
        """
        first = max(hint, self.match) + 1
        if first < self.next and (first < self.lacks or not self.lacks):
            self.next = self.lacks = first

    def matches(self, index: int) -> bool:
        """It holds the log up to an index; whether that is news."""
        if index <= self.match:
            return False
        self.match = index
        if self.lacks <= index:
            self.lacks = 0
        if self.next <= index:
            self.next = index + 1
        self.snapshot_ms = 0
        return True


class FixedMembership:
    """What the port asks of an engine about members, where they are the same for ever."""

    _me: int
    _peers: dict[int, Follower]

    @property
    def members(self) -> Configuration:
        """See Replicator."""
        return dict.fromkeys((self._me, *self._peers), True)

    @property
    def refused_frames(self) -> int:
        """See Replicator: what comes is taken for what it is."""
        return 0

    def match_of(self, member: int) -> int:
        """See Replicator."""
        return self._peers[member].match if member in self._peers else 0
