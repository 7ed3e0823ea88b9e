"""The change log: every change from the compact revision to the head, by revision.

An entry is one `Version`, or a tuple of them when a revision changed several keys. Entries
lie in chunks of 1024 revisions, so that reading by revision is two look-ups and forgetting a
prefix frees whole chunks. Beside each entry stand the bytes that a compaction at or past its
revision sets free, so that the account of resident bytes after a compaction is a sum of
chunk totals. INV-REV-DENSE.
"""

from array import array
from collections.abc import Iterator, Sequence

from core.limits import CHANGE_CHUNK_REVISIONS
from core.records import Version

Entry = Version | tuple[Version, ...]

_SHIFT = CHANGE_CHUNK_REVISIONS.bit_length() - 1
_MASK = CHANGE_CHUNK_REVISIONS - 1


class _Chunk:
    """1024 revisions: their entries and the bytes each set free."""

    __slots__ = ("buried", "buried_total", "entries", "superseded", "superseded_total")

    def __init__(self, offset: int) -> None:
        self.entries: list[Entry | None] = [None] * offset
        self.superseded = array("q", bytes(8 * offset))
        self.buried = array("q", bytes(8 * offset))
        self.superseded_total = 0
        self.buried_total = 0


class ChangeLog:
    """Changes by revision. Appends at the head, forgets at the tail."""

    __slots__ = ("_chunks", "_newest", "first", "last")

    def __init__(self) -> None:
        self._chunks: dict[int, _Chunk] = {}
        self._newest: _Chunk | None = None
        self.first = 2
        """The oldest revision that may have an entry."""
        self.last = 1
        """The newest revision appended; `first` - 1 when there is none."""

    def restart_at(self, revision: int) -> None:
        """Make an empty log's next entry belong to `revision`; for loading a store."""
        assert not self._chunks, "INV-REV-DENSE"
        self.first = revision
        self.last = revision - 1

    def append(self, entry: Entry, superseded: int, buried: int) -> None:
        """Add the next revision's changes.

        `superseded` are the bytes of the versions that these changes replaced (free once the
        compact revision is at least theirs), `buried` those of their tombstones (free once
        it is beyond).
        """
        revision = self.last + 1
        chunk = self._newest
        if chunk is None or not revision & _MASK:
            chunk = self._newest = self._chunks[revision >> _SHIFT] = _Chunk(revision & _MASK)
        chunk.entries.append(entry)
        chunk.superseded.append(superseded)
        chunk.buried.append(buried)
        chunk.superseded_total += superseded
        chunk.buried_total += buried
        self.last = revision

    def extend(self, changes: Sequence[Version]) -> None:
        """Add revisions of one change each that set nothing free: first versions of their keys."""
        done = 0
        while done < len(changes):
            revision = self.last + 1
            offset = revision & _MASK
            chunk = self._newest
            if chunk is None or not offset:
                chunk = self._newest = self._chunks[revision >> _SHIFT] = _Chunk(offset)
            part = changes[done : done + CHANGE_CHUNK_REVISIONS - offset]
            nothing = bytes(8 * len(part))
            chunk.entries += part
            chunk.superseded.frombytes(nothing)
            chunk.buried.frombytes(nothing)
            done += len(part)
            self.last += len(part)

    def at(self, revision: int) -> tuple[Version, ...]:
        """Return one revision's changes in order; empty if it is not in the log."""
        chunk = self._chunks.get(revision >> _SHIFT)
        if chunk is None:
            return ()
        offset = revision & _MASK
        entry = chunk.entries[offset] if offset < len(chunk.entries) else None
        if entry is None:
            return ()
        return (entry,) if isinstance(entry, Version) else entry

    def between(self, low: int, high: int) -> Iterator[Version]:
        """Yield the changes of revisions low..high inclusive, in order."""
        for revision in range(max(low, self.first), min(high, self.last) + 1):
            entry = self._chunks[revision >> _SHIFT].entries[revision & _MASK]
            if entry is None:
                continue
            if isinstance(entry, Version):
                yield entry
            else:
                yield from entry

    def replace(self, revision: int, entry: tuple[Version, ...]) -> None:
        """Put other changes at a revision: what a compaction at it left of them."""
        chunk = self._chunks[revision >> _SHIFT]
        chunk.entries[revision & _MASK] = entry

    def freed_bytes(self, compact_from: int, compact_to: int) -> int:
        """Return the bytes that moving the compact revision sets free.

        Sum over (from, to] of what was superseded and over [from, to) of what was buried.
        Cost O(revisions / 1024 + 1024).
        """
        return self._sum(compact_from + 1, compact_to + 1, buried=False) + self._sum(
            compact_from, compact_to, buried=True
        )

    def forget_before(self, revision: int) -> None:
        """Drop the entries below `revision`; whole chunks are freed."""
        low = self.first
        for number in range(low >> _SHIFT, revision >> _SHIFT):
            gone = self._chunks.pop(number, None)
            if gone is self._newest:
                self._newest = None
        chunk = self._chunks.get(revision >> _SHIFT)
        if chunk is not None:
            begin = max(low, (revision >> _SHIFT) << _SHIFT)
            for each in range(begin & _MASK, revision & _MASK):
                chunk.entries[each] = None
        self.first = max(self.first, revision)

    def _sum(self, begin: int, end: int, *, buried: bool) -> int:
        begin = max(begin, self.first)
        end = min(end, self.last + 1)
        total = 0
        while begin < end:
            number = begin >> _SHIFT
            chunk = self._chunks[number]
            chunk_end = min(end, (number + 1) << _SHIFT)
            whole = not begin & _MASK and chunk_end == (number + 1) << _SHIFT
            if whole:
                total += chunk.buried_total if buried else chunk.superseded_total
            else:
                part = chunk.buried if buried else chunk.superseded
                stop = (begin & _MASK) + (chunk_end - begin)
                total += sum(part[begin & _MASK : stop])
            begin = chunk_end
        return total
