"""A leader's idea of one follower: what it has, what it was sent, when to try again.

Rule of this file: indexes and times, no messages.
"""

from attrs import define

from net.replicator import Configuration
from sim.perfect_log import PerfectLog

RETRY_MS = 500
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
    told: int = -1
    """The commit index that it was told."""
    knows: int = 0
    """The commit index that it acknowledged."""
    heard_ms: int = 0
    """When it last acknowledged, or was asked again."""
    snapshot_ms: int = 0
    """When it may be sent another snapshot."""

    def begin(self, now_ms: int, log: PerfectLog) -> None:
        """A new leader knows nothing of it, and hopes that it has everything."""
        self.match, self.next, self.told, self.knows = 0, log.last_index + 1, -1, 0
        self.heard_ms, self.snapshot_ms = now_ms, 0

    def lags(self, log: PerfectLog, commit: int) -> bool:
        """Whether something is not acknowledged yet."""
        return self.match < log.last_index or self.knows < commit

    def again(self, log: PerfectLog) -> None:
        """Send anew what is not acknowledged; where nothing ever was, it must be asked first."""
        self.next = (self.match or log.last_index) + 1

    def wants_snapshot(self, now_ms: int) -> bool:
        """Whether to send a snapshot now; then not again for long."""
        if now_ms < self.snapshot_ms:
            return False
        self.snapshot_ms = now_ms + 10 * SNAPSHOT_MS
        return True

    def got_snapshot(self, now_ms: int, *, well: bool) -> None:
        """The sending of one ended."""
        self.snapshot_ms = now_ms + (SNAPSHOT_MS if well else RETRY_MS)

    def differs(self, hint: int) -> None:
        """It does not have what it was sent something behind of: go back."""
        self.next = min(self.next, max(hint, self.match) + 1)

    def matches(self, index: int) -> bool:
        """It holds the log up to an index; whether that is news."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
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
