"""The oracle's store: a list of every change, and nothing clever.

The rule of this file: a question about a revision is answered by walking the changes of its keys,
each in order of (main, sub). `compacted` is -1 until the first compaction, as in etcd, and that
is visible: HashKV answers it, and a negative revision in a transaction is held against it.
"""

from collections.abc import Iterator

import attrs

from net.etcd.pb import kv_pb2


@attrs.frozen
class Row:
    """One change of one key. A tombstone has version 0 and create 0."""

    main: int
    sub: int
    key: bytes
    value: bytes = b""
    create: int = 0
    version: int = 0
    lease: int = 0

    @property
    def is_tombstone(self) -> bool:
        """Whether the change removed the key."""
        return self.version == 0

    def message(self) -> kv_pb2.KeyValue:
        """Return the record as etcd sends it; of a tombstone only key and mod_revision."""
        return kv_pb2.KeyValue(
            key=self.key,
            create_revision=self.create,
            mod_revision=self.main,
            version=self.version,
            value=self.value,
            lease=self.lease,
        )


def is_in(key: bytes, start: bytes, range_end: bytes) -> bool:
    """Whether `key` is selected by etcd's pair of key and range_end."""
    if not range_end:
        return key == start
    if range_end == b"\0":
        return key >= start
    return start <= key < range_end


class History:
    """All changes above the compact revision, and of each key the newest one at it."""

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = -1
        self._by_key: dict[bytes, list[Row]] = {}

    def add(self, row: Row) -> None:
        """Append a change. Its (main, sub) is above all others."""
        self._by_key.setdefault(row.key, []).append(row)

    def rows_of(self, key: bytes) -> list[Row]:
        """Return the changes of a key, oldest first: the list itself."""
        return self._by_key.get(key, [])

    def newest(self, key: bytes, at: int) -> Row | None:
        """Return the live record of `key` at revision `at`, or None."""
        for row in reversed(self.rows_of(key)):
            if row.main <= at:
                return None if row.is_tombstone else row
        return None

    def live(self, start: bytes, range_end: bytes, at: int) -> list[Row]:
        """Return the live records of a range at revision `at`, in order of their keys."""
        if not range_end:
            row = self.newest(start, at)
            return [] if row is None else [row]
        selected = sorted(key for key in self._by_key if is_in(key, start, range_end))
        found = [self.newest(key, at) for key in selected]
        return [row for row in found if row is not None]

    def changes(self, since: int) -> Iterator[Row]:
        """Yield the changes from revision `since` on, oldest first."""
        rows = [row for rows in self._by_key.values() for row in rows if row.main >= since]
        yield from sorted(rows, key=lambda row: (row.main, row.sub))

    def compact(self, at: int) -> None:
        """Forget what nobody may ask for any more, and set the compact revision."""
        self.compacted = at
        for key, rows in list(self._by_key.items()):
            kept = self.survivors(rows, at)
            if kept:
                self._by_key[key] = kept
            else:
                del self._by_key[key]

    def survivors(self, rows: list[Row], at: int) -> list[Row]:
        """Return what a compaction keeps of one key's changes.

        All newer ones, and the newest one at or below `at`, unless that is a tombstone below `at`.
        A tombstone at exactly `at` stays: a watch from there has to see it.
        """
        older = [row for row in rows if row.main <= at]
        newer = [row for row in rows if row.main > at]
        if older and (not older[-1].is_tombstone or older[-1].main == at):
            newer.insert(0, older[-1])
        return newer
