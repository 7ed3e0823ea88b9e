"""A journal and a store in memory, for tier 1: what the driver uses of each, and how they die.

Rule of this file: the durability that the real ones promise, no more. What was appended and not
synced may be gone after a crash: from some batch on, each as a whole or not at all. The store may
lose its newest transactions, and never one before them. Reading them back gives what is durable.
"""

from collections.abc import Sequence
from random import Random

from attrs import define, field

from core.loading import Facts, Row, load
from core.members import configuration, from_rows
from core.state import NOT_COMPACTED, State
from net.disk import DiskFull
from net.journal import (
    HARD_STATE,
    PACK,
    SNAPSHOT_MARK,
    STORE_SWITCH,
    Frame,
    HardState,
    SnapshotMark,
    StoreSwitch,
)
from net.replicator import Configuration, Entry
from net.store.batch import Batch
from sim.platter import Survival

RESERVE_BATCHES = 20
"""What the reserve has room for, on a full disk."""


class EndedError(OSError):
    """The member that runs was ended where it is: nothing of its turn goes on."""


class DiskError(OSError):
    """The disk failed: the member must end."""


@define
class LogImage:
    """What a journal holds: packs behind a base, and the newest of the other frames."""

    base_index: int = 0
    base_term: int = 0
    entries: list[Entry] = field(factory=list[Entry])
    hard: HardState | None = None
    switch: StoreSwitch | None = None

    @property
    def last_index(self) -> int:
        """The newest pack; the base's if there is none."""
        return self.base_index + len(self.entries)

    def take(self, frame: Frame) -> None:
        """Enter one frame."""
        if frame.type == PACK:
            assert frame.index == self.last_index + 1, "INV-JOURNAL-CONTIGUOUS"
            self.entries.append(Entry(frame.index, frame.term, frame.payload))
        elif frame.type == HARD_STATE:
            self.hard = HardState.of(frame)
        elif frame.type == STORE_SWITCH:
            self.switch = StoreSwitch.of(frame)
        elif frame.type == SNAPSHOT_MARK:
            mark = SnapshotMark.of(frame)
            if mark.index > self.last_index or self.term_at(mark.index) not in (None, mark.term):
                self.entries.clear()
                self.base_index, self.base_term = mark.index, mark.term

    def term_at(self, index: int) -> int | None:
        """Return a pack's term; None before the base."""
        if index == self.base_index:
            return self.base_term
        if index < self.base_index:
            return None
        return self.entries[index - self.base_index - 1].term

    def truncate_from(self, index: int) -> None:
        """Forget the packs from an index on."""
        del self.entries[max(0, index - self.base_index - 1) :]

    def drop_to(self, index: int) -> None:
        """Forget the packs up to an index."""
        count = min(index, self.last_index) - self.base_index
        if count > 0:
            self.base_term = self.entries[count - 1].term
            self.base_index += count
            del self.entries[:count]


@define
class _Batch:
    """Frames of one batch, behind what was truncated before it."""

    truncate_from: int | None
    frames: Sequence[Frame]

    def enter(self, image: LogImage) -> None:
        if self.truncate_from is not None:
            image.truncate_from(self.truncate_from)
        for frame in self.frames:
            image.take(frame)


class JournalModel:
    """One life of a journal on a `LogImage` that stays."""

    def __init__(self, durable: LogImage) -> None:
        self.durable = durable
        self.is_full = False
        self._reserve = 0
        self._unsynced: list[_Batch] = []
        self._appended = 0
        self._synced = 0
        self._truncated: int | None = None
        self._last_index = durable.last_index

    wants_preparation = False

    @property
    def last_index(self) -> int:
        """The newest pack's index, durable or not."""
        return self._last_index

    def append(self, frames: Sequence[Frame]) -> None:
        """Write one batch. Raises DiskFull where there is no room, not even a reserve's."""
        if self.is_full:
            if not self._reserve:
                raise DiskFull("journal")
            self._reserve -= 1
        batch = _Batch(self._truncated, frames)
        self._truncated = None
        self._unsynced.append(batch)
        self._appended += 1
        for frame in frames:
            if frame.type == PACK:
                assert frame.index == self._last_index + 1, "INV-JOURNAL-CONTIGUOUS"
                self._last_index = frame.index
            elif frame.type == SNAPSHOT_MARK:
                self._last_index = frame.index

    def sync_began(self) -> int:
        """Return what a sync that begins now will make durable."""
        return self._appended

    def synced(self, upto: int) -> None:
        """A sync that began at `upto` is done."""
        count = upto - self._synced
        for batch in self._unsynced[:count]:
            batch.enter(self.durable)
        del self._unsynced[:count]
        self._synced = max(self._synced, upto)

    def truncate_from(self, index: int) -> None:
        """Forget the packs from an index on, durably with the next batch."""
        if index <= self._last_index:
            self._last_index = index - 1
            self._truncated = index

    def drop_to(self, index: int) -> None:
        """Let go of the packs up to an index, as far as what supersedes them is durable."""
        self.durable.drop_to(index)

    def give_up_reserve(self) -> None:
        """Find room for some more batches."""
        self._reserve = RESERVE_BATCHES

    def spare_room(self, sparing: bool) -> None:
        """Nothing is made ready here."""

    def prepare_next(self) -> bool:
        """Nothing is made ready here."""
        return False

    def crash(self, survival: Survival, chance: Random) -> None:
        """End this life: some of what was not synced may have become durable."""
        keep = _survivors(len(self._unsynced), survival, chance)
        for batch in self._unsynced[:keep]:
            batch.enter(self.durable)
        self._unsynced.clear()


@define
class Rows:
    """What a store holds, as of one applied index."""

    index: int = 0
    term: int = 0
    revision: int = 1
    compact_revision: int = NOT_COMPACTED
    last_number: int = 0
    chain_hash: int = 0
    changes: dict[int, Row] = field(factory=dict[int, Row])
    leases: dict[int, tuple[int, int]] = field(factory=dict[int, tuple[int, int]])
    alarms: tuple[tuple[int, int], ...] = ()
    members: tuple[tuple[int, bytes], ...] = ()

    def take(self, batch: Batch) -> None:
        """Enter one transaction."""
        assert batch.index >= self.index, "INV-STORE-FORWARD"
        self.index, self.term = batch.index, batch.term
        self.revision, self.compact_revision = batch.revision, batch.compact_revision
        for row in batch.changes:
            self.changes[row[0]] = row
            self.last_number = row[0]
        for number in batch.dead:
            self.changes.pop(number, None)
        for lease_id, ttl_s, granted in batch.leases_put:
            self.leases[lease_id] = (ttl_s, granted)
        for lease_id in batch.leases_gone:
            self.leases.pop(lease_id, None)
        if batch.alarms is not None:
            self.alarms = tuple(batch.alarms)
        if batch.members is not None:
            self.members = tuple(batch.members)
        if batch.chain_hash is not None:
            self.chain_hash = int.from_bytes(batch.chain_hash, "big")

    def copy(self) -> "Rows":
        """Return the same rows, which nobody else changes."""
        return Rows(
            self.index,
            self.term,
            self.revision,
            self.compact_revision,
            self.last_number,
            self.chain_hash,
            dict(self.changes),
            dict(self.leases),
            self.alarms,
            self.members,
        )

    def state(self) -> tuple[State, list[int]]:
        """Load the state as a start does; also the numbers of rows that are dead."""
        facts = Facts(
            self.index,
            self.term,
            self.revision,
            self.compact_revision,
            self.last_number,
            self.chain_hash,
            [(lease, *found) for lease, found in sorted(self.leases.items())],
            list(self.alarms),
            self.members,
        )
        return load(facts, [[self.changes[number] for number in sorted(self.changes)]])

    @property
    def configuration(self) -> Configuration:
        """Who the cluster is, as an engine has it."""
        return configuration(from_rows(self.members)[0])

    @property
    def size_bytes(self) -> int:
        """About what a copy of it weighs."""
        values = sum(len(row[9] or b"") for row in self.changes.values())
        return 200 + 100 * len(self.changes) + 40 * len(self.leases) + values


class StoreModel:
    """One life of a store on `Rows` that stay. `generation` is the journal's name for it."""

    def __init__(self, durable: Rows, generation: int) -> None:
        self.durable = durable
        self.generation = generation
        self.batches: list[Batch] = []
        """Committed, and not durable yet."""
        self.applied = (durable.index, durable.term)
        self.is_closed = False

    def write(self, batch: Batch) -> None:
        """Commit one transaction."""
        assert not self.is_closed, "a closed store is written to"
        self.batches.append(batch)
        self.applied = (batch.index, batch.term)

    def unmoved_bytes(self) -> int:
        """Return how many packs are not durable yet: the unit of this model."""
        return self.applied[0] - self.durable.index

    def wal_used_bytes(self) -> int:
        """The log of this model never grows too long."""
        return 0

    def checkpoint(self) -> int:
        """Make all durable; return the applied index."""
        for batch in self.batches:
            self.durable.take(batch)
        self.batches.clear()
        return self.durable.index

    durable_applied = checkpoint

    def snapshot(self) -> Rows:
        """Return a copy of what is committed."""
        rows = self.durable.copy()
        for batch in self.batches:
            rows.take(batch)
        return rows

    def crash(self, survival: Survival, chance: Random) -> None:
        """End this life: the newest transactions may be lost."""
        keep = _survivors(len(self.batches), survival, chance)
        for batch in self.batches[:keep]:
            self.durable.take(batch)
        self.batches.clear()
        self.is_closed = True


def _survivors(count: int, survival: Survival, chance: Random) -> int:
    """Draw how many of what was not synced, the oldest first, became durable all the same."""
    if survival == "none":
        return 0
    return count if survival == "all" else chance.randrange(count + 1)
