"""Automatic compaction: which revision to compact to, and when. Decides; proposes nothing.

A target is reached when `compacted` says so, not when it is named: a proposal may be lost with its
leader, and is then made again when the next look is due.

`revision` mode keeps the newest N revisions, looking every five minutes. `periodic` mode
keeps the history of a period: it samples the head ten times a period (at most once an hour's
tenth) and compacts to the sample that is one period old.
Source: etcd server/etcdserver/api/v3compactor (behaviour, not code).
"""

from collections import deque

REVISION_INTERVAL_MS = 300_000
PERIODIC_INTERVAL_MS_MAX = 3_600_000
SAMPLES_PER_PERIOD = 10


class KeepNewest:
    """Compact to the head less a number of revisions, every five minutes."""

    def __init__(self, revisions: int) -> None:
        self._revisions = revisions
        self._last = 0
        self._due_ms: int | None = None

    def step(self, now_ms: int, revision: int) -> int | None:
        """Return the revision to compact to now, if any."""
        if self._due_ms is None:
            self._due_ms = now_ms + REVISION_INTERVAL_MS
        if now_ms < self._due_ms:
            return None
        self._due_ms = now_ms + REVISION_INTERVAL_MS
        target = revision - self._revisions
        return target if target > self._last else None

    def compacted(self, revision: int) -> None:
        """Take it that everything up to `revision` is compacted."""
        self._last = max(self._last, revision)


class KeepPeriod:
    """Compact to what was the head one period ago."""

    def __init__(self, retention_ms: int) -> None:
        self._retention_ms = retention_ms
        self._compact_every_ms = min(retention_ms, PERIODIC_INTERVAL_MS_MAX)
        self._sample_every_ms = max(1, self._compact_every_ms // SAMPLES_PER_PERIOD)
        self._samples: deque[tuple[int, int]] = deque()
        self._sample_due_ms: int | None = None
        self._compact_due_ms = 0
        self._asked_ms = 0
        self._last = 0

    def step(self, now_ms: int, revision: int) -> int | None:
        """Sample the head if it is time; return the revision to compact to now, if any."""
        if self._sample_due_ms is None:
            self._sample_due_ms = now_ms
            self._compact_due_ms = now_ms + self._retention_ms
        if now_ms >= self._sample_due_ms:
            self._sample_due_ms = now_ms + self._sample_every_ms
            self._samples.append((now_ms, revision))
        if now_ms < self._compact_due_ms:
            return None
        old_ms = now_ms - self._retention_ms
        while len(self._samples) > 1 and self._samples[1][0] <= old_ms:
            self._samples.popleft()
        sampled_ms, target = self._samples[0]
        if sampled_ms > old_ms or target <= max(1, self._last):
            self._compact_due_ms = now_ms + self._compact_every_ms
            return None
        self._asked_ms = now_ms
        self._compact_due_ms = now_ms + self._sample_every_ms
        return target

    def compacted(self, revision: int) -> None:
        """Take it that the revision last named is compacted: the next one is due in its time."""
        self._last = max(self._last, revision)
        self._compact_due_ms = self._asked_ms + self._compact_every_ms
