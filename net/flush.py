"""What was applied and is not in the store yet: gathered as rows, written in batches.

Rows and applied index move in one transaction, so the store is always the state at some
index. Losing what is gathered here loses nothing: the journal holds it.

Rows that a compaction made invisible go last and in the order of the table, so that each page is
written once and not once for each of its rows: erased as they were found, 150,000 of them, three
times the CPU of all the puts that had replaced them (220 us an update against 66).
"""

from collections import deque
from collections.abc import Sequence

from attrs import frozen

from core.index import KeyIndex
from core.machine import AlarmsNow, Applied, CompactedTo, LeaseGone, LeaseGranted, MembersNow
from core.state import State
from net.disk import DiskFull
from net.faultpoint import faultpoint
from net.store.batch import Batch, ChangeRow
from net.store.errors import StoreHeld
from net.store.meta import STATE_NOTE
from net.store.store import Store


@frozen
class Pace:
    """How much is applied in a turn, when it goes to the store, and when its WAL is emptied."""

    apply_commands: int = 256
    """So many commands of packs that are committed are applied in one turn, or a pack more,"""
    apply_bytes: int = 1 << 20
    """and so many bytes of them."""
    flush_rows: int = 256
    """A batch this large is written at once (measured: 64 to 512 rows cost least per row)."""
    flush_delay_ms: int = 50
    erase_rows: int = 512
    """So many dead rows go with a batch."""
    erase_delay_ms: int = 10
    """While dead rows wait, a batch is due this soon."""
    checkpoint_bytes: int = 4 << 20
    """So much of the WAL not in the database yet: a PASSIVE checkpoint is due."""
    truncate_bytes: int = 64 << 20
    """Once the WAL is this long, nothing is written while it is moved: then it begins anew."""
    idle_ms: int = 50
    """Time alone makes a turn this often at least; where it is longer, also when something is due.

    Less than a second: a longer gap is taken for a paused machine, in which no lease ends.
    """
    retry_ms: int = 1000
    """After a full disk, or a file held by another process, the next attempt comes this late."""


class StoreBuffer:
    """Gathers what commands did and writes it to the store."""

    def __init__(self, state: State, pace: Pace) -> None:
        self._state = state
        self._pace = pace
        self._changes: list[ChangeRow] = []
        self._dead: list[int] = []
        """Dead rows of the compaction that is being freed: as they are found, in no order."""
        self._doomed: deque[tuple[list[int], int]] = deque()
        """Of each freed compaction: its dead rows, the last first, and how far it freed."""
        self._leases: dict[int, tuple[int, int] | None] = {}
        self._alarms: tuple[tuple[int, int], ...] | None = None
        self._members: Sequence[tuple[int, bytes]] | None = None
        self._sealed: deque[Batch] = deque()
        self._since_ms: int | None = None
        self._not_before_ms = 0
        self.put_bytes = 0
        """Keys and values of all puts so far, for whoever counts them."""

    def add(self, applied: Applied, now_ms: int) -> None:
        """Gather one command's changes and facts."""
        if self._since_ms is None:
            self._since_ms = now_ms
        index = self._state.index
        for sub, change in enumerate(applied.changes):
            key, mod, create, version, lease, number, framed, size, _ = change
            previous = _previous_number(index, key, number)
            deleted = version == 0
            value = None
            if not deleted:
                value = framed[-size:] if size else b""
                self.put_bytes += len(key) + size
            self._changes.append(
                (number, mod, sub, key, create, version, previous, lease, deleted, value)
            )
        for fact in applied.facts:
            match fact:
                case LeaseGranted(lease_id, ttl_s, generation):
                    self._leases[lease_id] = (ttl_s, generation)
                case LeaseGone(lease_id):
                    self._leases[lease_id] = None
                case AlarmsNow(alarms):
                    self._alarms = alarms
                case MembersNow(rows):
                    self._members = rows
                case CompactedTo():
                    pass  # Every batch says the compact revision.

    def erase(self, numbers: list[int], *, scrubbed: int, done: bool, now_ms: int) -> None:
        """Gather rows that a compaction made invisible; they go once all of them are known."""
        self._dead += numbers
        if done:
            self._doomed.append((sorted(self._dead, reverse=True), scrubbed))
            self._dead = []
            if self._since_ms is None:
                self._since_ms = now_ms

    def is_due(self, now_ms: int) -> bool:
        """Whether it is time to write: enough rows, or waiting long enough."""
        due = self.due_at_ms()
        return due is not None and now_ms >= due

    def due_at_ms(self) -> int | None:
        """Return when `is_due` turns true by time alone, or since when it is; None for never."""
        since_ms = self._since_ms
        if self._sealed or (since_ms is not None and len(self._changes) >= self._pace.flush_rows):
            return self._not_before_ms
        if since_ms is None:
            return None
        pace = self._pace
        due = since_ms + (pace.erase_delay_ms if self._doomed else pace.flush_delay_ms)
        return due if due > self._not_before_ms else self._not_before_ms

    def wait(self, now_ms: int) -> None:
        """Take note of a turn in which the store must keep still: end a batch that is full.

        So that writing what gathers in that time is no longer a turn than any other.
        """
        if self._is_full():
            self._seal(now_ms)

    def flush(self, store: Store, now_ms: int) -> bool:
        """Write all changes gathered; False if another process holds the file: try again later.

        Dead rows that are left are erased later, or found again at the next start. Raises
        DiskFull. In both cases all stays gathered, and is due again after a while.
        """
        if self._since_ms is not None or self._newest_index(store) != self._state.applied_index:
            self._seal(now_ms)
        while self._sealed:
            if not self._write_oldest(store, now_ms):
                return False
        return True

    def flush_some(self, store: Store, now_ms: int) -> bool:
        """Write as much as one turn gathers: at least one batch. Otherwise as `flush`."""
        rows = max(self._pace.flush_rows, len(self._changes))
        if self._is_full() or not self._sealed:
            self._seal(now_ms)
        while self._sealed and rows > 0:
            rows -= max(len(self._sealed[0].changes), 1)
            if not self._write_oldest(store, now_ms):
                return False
        return True

    def _is_full(self) -> bool:
        return len(self._changes) >= self._pace.flush_rows

    def _next_doomed(self) -> tuple[list[int], int | None]:
        """Take the dead rows that go with one batch, ascending, and what is then freed."""
        if not self._doomed:
            return [], None
        waiting, scrubbed = self._doomed[0]
        dead = waiting[: -self._pace.erase_rows - 1 : -1]
        del waiting[-self._pace.erase_rows :]
        if waiting:
            return dead, None
        self._doomed.popleft()
        return dead, scrubbed

    def _newest_index(self, store: Store) -> int:
        return self._sealed[-1].index if self._sealed else store.applied[0]

    def _seal(self, now_ms: int) -> None:
        """End a batch: what is gathered, and the state's facts as of now."""
        state = self._state
        dead, scrubbed = self._next_doomed()
        batch = Batch(
            index=state.applied_index,
            term=state.applied_term,
            revision=state.revision,
            compact_revision=state.compact_revision,
            changes=self._changes,
            dead=dead,
            leases_put=[(lease_id, *found) for lease_id, found in self._leases.items() if found],
            leases_gone=[lease_id for lease_id, found in self._leases.items() if not found],
            alarms=self._alarms,
            members=self._members,
            scrubbed=scrubbed,
            chain_hash=state.chain_hash.to_bytes(8, "big"),
            notes={STATE_NOTE: f"{state.state_hash():016x}"},
        )
        self._sealed.append(batch)
        self._changes = []
        self._leases = {}
        self._alarms = None
        self._members = None
        self._since_ms = now_ms if self._doomed else None

    def _write_oldest(self, store: Store, now_ms: int) -> bool:
        try:
            faultpoint("store.before")
            store.write(self._sealed[0])
            faultpoint("store.after")
        except StoreHeld:
            self._not_before_ms = now_ms + self._pace.retry_ms
            return False
        except DiskFull:
            self._not_before_ms = now_ms + self._pace.retry_ms
            raise
        self._sealed.popleft()
        return True


def _previous_number(index: KeyIndex, key: bytes, number: int) -> int:
    older = index.history.get(key)
    if not older:
        return 0
    newest = older[-1]
    if newest.number < number:
        return newest.number
    # A tombstone or a later change of the same command is already behind this one.
    for version in reversed(older):
        if version.number < number:
            return version.number
    return 0
