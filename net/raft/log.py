"""One member's log as the engine holds it: entries behind a base, and how far they are durable.

Rule of this file: indexes and terms, no messages and no roles. What is appended or truncated
gathers until `take` hands it out as one persist; what the disk has is known by the sequence of that
persist. What is truncated is durable no longer.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from net.replicator import Entry

COUNT_MAX = 1 << 12
"""So many entries are counted together at most."""


class RaftLog:
    """Entries from `base_index` + 1 on. Cost O(1) but where a method says otherwise."""

    __slots__ = (
        "_entries", "_fresh", "_truncated", "_unsynced", "base_index", "base_term", "durable",
        "size_bytes",
    )  # fmt: skip

    def __init__(self, base: tuple[int, int], entries: Iterable[Entry]) -> None:
        self.base_index, self.base_term = base
        self._entries = list(entries)
        self._unsynced: deque[tuple[int, int, int | None]] = deque()
        """(sequence, last index that it makes durable, where it truncates)."""
        self._fresh: list[Entry] = []
        """Entries that no persist has taken yet."""
        self._truncated: int | None = None
        """From where on the disk holds what this log does not, and no persist has said so."""
        self.durable = self.last_index
        """The newest entry that the disk has for good."""
        self.size_bytes = sum(len(entry.payload) for entry in self._entries)

    @property
    def last_index(self) -> int:
        """The newest entry's index; the base's without any."""
        return self.base_index + len(self._entries)

    @property
    def last_term(self) -> int:
        """The newest entry's term; the base's without any."""
        return self._entries[-1].term if self._entries else self.base_term

    @property
    def last(self) -> tuple[int, int]:
        """The newest entry's index and term; the base's without any."""
        entries = self._entries
        if entries:
            newest = entries[-1]
            return newest.index, newest.term
        return self.base_index, self.base_term

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def entry_at(self, index: int) -> Entry | None:
        """Return an entry; None if the log is cut past it, or does not reach it."""
        if self.base_index < index <= self.last_index:
            return self._entries[index - self.base_index - 1]
        return None

    def between(self, first: int, last: int) -> list[Entry]:
        """Return the entries from one index to another, both included; both must be there."""
        base = self.base_index
        return self._entries[first - base - 1 : last - base]

    def nth(self, position: int) -> Entry:
        """Return the entry at a position behind the base, from 0 on."""
        return self._entries[position]

    def term_at(self, index: int) -> int:
        """Return an entry's or the base's term; 0 where the log does not say."""
        position = index - self.base_index - 1
        if position < 0:
            return self.base_term if position == -1 else 0
        return self._entries[position].term if position < len(self._entries) else 0

    def matches(self, index: int, term: int) -> bool:
        """Whether the log reaches an index and does not contradict its term."""
        if index > self.last_index:
            return False
        return index < self.base_index or self.term_at(index) == term

    def fresh_of(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries that are not held, of some that follow each other, from the first on.

        What is held already must truncate nothing. Cost O(entries held).
        """
        held = 0
        for entry in entries:
            if entry.index > self.base_index and self.term_at(entry.index) != entry.term:
                break
            held += 1
        return entries[held:] if held else entries

    def count_within(self, first: int, size_bytes: int) -> int:
        """Return how many entries from one on are no longer than that together; at least one."""
        position = first - self.base_index - 1
        count = 1
        size = len(self._entries[position].payload)
        for entry in self._entries[position + 1 : position + COUNT_MAX]:
            size += len(entry.payload)
            if size > size_bytes:
                break
            count += 1
        return count

    def retreat(self, index: int, term: int) -> int:
        """Return the newest index up to one whose term is not above a term.

        A leader whose entry at `index` has this term may match there, and nowhere behind.
        Cost O(entries passed over).
        """
        index = min(index, self.last_index)
        while index > self.base_index and self.term_at(index) > term:
            index -= 1
        return index

    # Changes.

    def append(self, entry: Entry) -> None:
        """Add an entry behind the last one."""
        assert entry.index == self.last_index + 1, "INV-LOG-DENSE"
        self._entries.append(entry)
        self._fresh.append(entry)
        self.size_bytes += len(entry.payload)

    def truncate_from(self, index: int) -> None:
        """Forget the entries from an index on. Cost O(entries forgotten)."""
        position = index - self.base_index - 1
        self.size_bytes -= sum(len(entry.payload) for entry in self._entries[position:])
        del self._entries[position:]
        self.durable = min(self.durable, index - 1)
        self._unsynced = deque(
            (each, min(upto, index - 1), truncated) for each, upto, truncated in self._unsynced
        )
        first_fresh = self._fresh[0].index if self._fresh else index + 1
        if index >= first_fresh:
            del self._fresh[index - first_fresh :]
        else:
            self._fresh.clear()
            self._truncated = index if self._truncated is None else min(self._truncated, index)

    def take(self, sequence: int) -> tuple[int | None, list[Entry]]:
        """Hand out what changed: (truncate from, entries to append), durable as `sequence`."""
        taken = self._truncated, self._fresh
        self._truncated, self._fresh = None, []
        self._unsynced.append((sequence, self.last_index, taken[0]))
        return taken

    @property
    def has_changed(self) -> bool:
        """Whether there are entries to hand out; a truncation goes with those that come for it."""
        return bool(self._fresh)

    def gate_of(self, index: int) -> int:
        """Return the sequence that makes an entry durable; 0 if it is. All changes are taken."""
        if index <= self.durable:
            return 0
        return next((sequence for sequence, upto, _ in self._unsynced if upto >= index), 0)

    def persisted(self, sequence: int) -> None:
        """Everything up to this sequence is durable."""
        while self._unsynced and self._unsynced[0][0] <= sequence:
            self.durable = max(self.durable, self._unsynced.popleft()[1])

    def withdraw(self, sequence: int) -> int:
        """Forget what from this sequence on was to be made durable; return the last index kept.

        What was truncated stays so, and is asked for again.
        """
        truncated = [] if self._truncated is None else [self._truncated]
        while self._unsynced and self._unsynced[-1][0] >= sequence:
            _, _, where = self._unsynced.pop()
            truncated += [] if where is None else [where]
        keep = max([self.durable, *(upto for _, upto, _ in self._unsynced)])
        position = keep - self.base_index
        self.size_bytes -= sum(len(entry.payload) for entry in self._entries[position:])
        del self._entries[position:]
        self._fresh.clear()
        self._truncated = min(truncated, default=None)
        return keep

    def cut(self, index: int) -> bool:
        """Let go of the entries up to an index; whether there were any. Cost O(entries)."""
        count = index - self.base_index
        if count <= 0:
            return False
        self.base_term = self.term_at(index)
        self.base_index = index
        self.size_bytes -= sum(len(entry.payload) for entry in self._entries[:count])
        del self._entries[:count]
        return True

    def restart(self, index: int, term: int) -> None:
        """Forget everything: the log begins behind this index."""
        self._entries.clear()
        self._unsynced.clear()
        self._fresh.clear()
        self._truncated = None
        self.base_index, self.base_term = index, term
        self.durable = index
        self.size_bytes = 0
