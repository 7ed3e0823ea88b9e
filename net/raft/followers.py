"""A leader's idea of each other member: what it has, what it was sent, what it owes an answer to.

Rule of this file: indexes, stamps and times; no messages.
"""

from collections import deque

from attrs import define, field

WINDOW_MESSAGES = 64
WINDOW_BYTES = 8 << 20
"""So much may be unanswered before no more entries are sent."""
SNAPSHOT_AGAIN_MS = 1_000
SNAPSHOT_LOST_MS = 30_000
"""A snapshot that nobody reported the end of is sent again after so long."""


@define
class Follower:
    """One of the others; `is_linked` is true of it whoever leads."""

    number: int
    is_linked: bool = False
    match: int = 0
    """It holds the log durably up to here."""
    next: int = 1
    """The first entry that it was not sent."""
    told: int = -1
    """The commit index that it was told."""
    stamp: int = 0
    """The stamp of the newest message to it."""
    rewound_at: int = 0
    """Its answers to messages up to this stamp say nothing new about where logs differ,"""
    rewound_after: int = 0
    """but for those behind this stamp that say: further back."""
    sent_ms: int = 0
    """When it was last sent an Append."""
    heard_ms: int = 0
    """When it last answered one."""
    offered: int = 0
    """The newest entry that it offered: clients of its own wait for that."""
    held_ms: int = 0
    """Since when it could be told of a commit; 0 if it was told of all."""
    confirmed: int = 0
    """The newest read round that it confirmed."""
    must_hear: bool = False
    """It is to be sent an Append though there is nothing to say."""
    wants_snapshot: bool = False
    """What it needs is cut off."""
    snapshot_ms: int = 0
    """When it may be sent another snapshot."""
    snapshot_index: int = 0
    """Whose log reaches so far has the one that it was sent last."""
    _flying: deque[tuple[int, int]] = field(factory=deque[tuple[int, int]])
    """(stamp, bytes) of entries that it has not answered for."""
    _flying_bytes: int = 0
    _rewound_to: int = 0

    def begin(self, now_ms: int, next_index: int) -> None:
        """A new leader knows nothing of it, and hopes that it has everything."""
        self.match = 0
        self.next, self.told = next_index, -1
        self.offered = self.held_ms = self.confirmed = 0
        self.rewound_at = self.rewound_after = self.stamp
        self.heard_ms = now_ms
        self.sent_ms = now_ms
        self.wants_snapshot = False
        self.must_hear = True
        self.snapshot_ms = self.snapshot_index = 0
        self.land_all()

    def reaches(self, upto: int) -> None:
        """It holds the log durably up to an index."""
        self.match = max(self.match, upto)
        self.next = max(self.next, self.match + 1)

    def rewinds(self, upto: int, stamp: int) -> bool:
        """It answers that logs match up to some index at most: go back there, if that is news.

        What was under way when it was last sent back is answered in vain. But answers may come
        in another order: one to the same round that goes further back must count, or two of
        them send the leader back and forth for ever (a storm did).
        """
        goal = max(upto, self.match) + 1
        if stamp > self.rewound_at:
            self.rewound_after, self.rewound_at = self.rewound_at, self.stamp
        elif stamp <= self.rewound_after or goal >= self._rewound_to:
            return False
        self.next = self._rewound_to = goal
        self.must_hear = True
        self.land_all()
        return True

    def flies(self, size_bytes: int) -> None:
        """Entries of this size were sent with the newest stamp."""
        self._flying.append((self.stamp, size_bytes))
        self._flying_bytes += size_bytes

    def landed(self, stamp: int) -> None:
        """It has answered a stamp: links keep order, so all before it arrived or never will."""
        while self._flying and self._flying[0][0] <= stamp:
            self._flying_bytes -= self._flying.popleft()[1]

    def land_all(self) -> None:
        """What was under way is lost, or as good as that."""
        self._flying.clear()
        self._flying_bytes = 0

    def gives_up(self, oldest_ms: int) -> None:
        """Wait no longer for answers to entries, if it has said nothing since then."""
        if self._flying and self.heard_ms <= oldest_ms:
            self.land_all()

    @property
    def is_full(self) -> bool:
        """Whether it is to be sent no more for now."""
        return len(self._flying) >= WINDOW_MESSAGES or self._flying_bytes >= WINDOW_BYTES

    def has_new_link(self, now_ms: int) -> None:
        """What was under way is lost; a snapshot that was may be sent anew, soon."""
        self.land_all()
        self.must_hear = True
        self.snapshot_ms = min(self.snapshot_ms, now_ms + SNAPSHOT_AGAIN_MS)

    def tells_end(self, upto: int) -> None:
        """Its log ends there, or differs from there on.

        Behind the snapshot that it was sent, it has that one: where the log was cut past it
        meanwhile, the next may go at once.
        """
        if 0 < self.snapshot_index <= upto:
            self.snapshot_ms = self.snapshot_index = 0

    def asks_snapshot(self, now_ms: int, index: int) -> bool:
        """Whether to send a snapshot of an index or later now; then not again for long."""
        if not self.wants_snapshot or now_ms < self.snapshot_ms:
            return False
        self.snapshot_ms, self.snapshot_index = now_ms + SNAPSHOT_LOST_MS, index
        return True

    def got_snapshot(self, now_ms: int, *, well: bool) -> None:
        """The sending of one ended."""
        self.snapshot_ms = now_ms + (10 * SNAPSHOT_AGAIN_MS if well else SNAPSHOT_AGAIN_MS)
