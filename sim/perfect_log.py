"""One member's log as its engine holds it: entries behind a base, and how far they are durable.

Rule of this file: indexes and terms, no messages and no roles. What the disk has taken is known by
the sequence of its persist; what is truncated is durable no longer.
"""

from collections import deque
from collections.abc import Sequence

from net.replicator import Entry

KEPT_ENTRIES = 5
"""How many entries stay behind a cut, for followers a little behind."""


class PerfectLog:
    """Entries from `base_index` + 1 on."""

    __slots__ = ("_entries", "_unsynced", "base_index", "base_term", "durable", "last_index")

    def __init__(self, base: tuple[int, int], entries: Sequence[Entry]) -> None:
        self.base_index, self.base_term = base
        self._entries = list(entries)
        self.last_index = self.base_index + len(self._entries)
        """The newest entry's index; the base's without any."""
        self._unsynced: deque[tuple[int, int]] = deque()
        """(sequence, last index that it makes durable)."""
        self.durable = self.last_index
        """The newest entry that the disk has for good."""

    @property
    def has_unsynced(self) -> bool:
        """Whether the disk still owes something."""
        return bool(self._unsynced)

    def entry_at(self, index: int) -> Entry | None:
        """Return an entry; None if the log is cut past it, or does not reach it."""
        if self.base_index < index <= self.last_index:
            return self._entries[index - self.base_index - 1]
        return None

    def term_at(self, index: int) -> int:
        """Return an entry's or the base's term; 0 before the base."""
        if index <= self.base_index:
            return self.base_term if index == self.base_index else 0
        return self._entries[index - self.base_index - 1].term

    def matches(self, index: int, term: int) -> bool:
        """Whether the log reaches an index and does not contradict its term."""
        if index > self.last_index:
            return False
        return index < self.base_index or self.term_at(index) == term

    def fresh(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return those entries that the log does not hold, from the first one on."""
        found = [entry for entry in entries if entry.index > self.base_index]
        while found and found[0].index <= self.last_index:
            if self.term_at(found[0].index) != found[0].term:
                break
            del found[0]
        return found

    def chunk(self, first: int, size_max: int) -> list[Entry]:
        """Return entries from an index on: one, or as many as fit."""
        start = first - self.base_index - 1
        size, end = 0, start
        while end < len(self._entries) and (end == start or size < size_max):
            size += len(self._entries[end].payload)
            end += 1
        return self._entries[start:end]

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries behind the last one."""
        self._entries += entries
        self.last_index += len(entries)

    def truncate_from(self, index: int) -> None:
        """Forget the entries from an index on."""
        del self._entries[index - self.base_index - 1 :]
        self.last_index = index - 1
        self.durable = min(self.durable, index - 1)
        self._unsynced = deque(
            (sequence, min(upto, index - 1)) for sequence, upto in self._unsynced
        )

    def persist(self, sequence: int) -> None:
        """All that the log holds now is durable once this sequence is."""
        self._unsynced.append((sequence, self.last_index))

    def persisted(self, sequence: int) -> None:
        """Everything up to this sequence is durable."""
        unsynced = self._unsynced
        while unsynced and unsynced[0][0] <= sequence:
            upto = unsynced.popleft()[1]
            if upto > self.durable:
                self.durable = upto

    def withdraw(self, sequence: int) -> int:
        """Forget what from this sequence on was to be made durable; return the last index kept."""
        while self._unsynced and self._unsynced[-1][0] >= sequence:
            self._unsynced.pop()
        keep = max([self.durable, *(upto for _, upto in self._unsynced)])
        del self._entries[keep - self.base_index :]
        self.last_index = keep
        return keep

    def cut(self, index: int) -> bool:
        """Let go of the entries up to an index; whether there were any."""
        count = index - self.base_index
        if count <= 0:
            return False
        self.base_term = self.term_at(index)
        self.base_index = index
        del self._entries[:count]
        return True

    def restart(self, index: int, term: int) -> None:
        """Forget everything: the log begins behind this index."""
        self._entries.clear()
        self._unsynced.clear()
        self.base_index, self.base_term = index, term
        self.durable = self.last_index = index
