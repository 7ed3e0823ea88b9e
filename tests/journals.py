"""Driving a journal through scripted work and crashes, beside a model of what it must remember.

`Witness` keeps a picture per batch. After any crash the journal must equal one of the pictures from
the last synced batch on: nothing synced is lost, nothing is invented, nothing comes out of order,
and no batch counts in part.
"""

import errno
from contextlib import suppress
from random import Random

import attrs

from core.ids import Index, MemberId, Term
from net.disk import DiskFull
from net.journal import (
    PACK,
    Frame,
    HardState,
    Journal,
    JournalFailed,
    Recovered,
    SnapshotMark,
    StoreSwitch,
)
from sim.disk import Directories, DiskFaults, PowerLost, SimDisk
from sim.platter import Survival

DIRECTORY = "/member/journal"
SEGMENT_BYTES = 4096


def pack(index: int, payload: bytes = b"", term: int = 1) -> Frame:
    return Frame(PACK, Term(term), Index(index), payload)


def open_journal(disk: SimDisk, *, segment_bytes: int = SEGMENT_BYTES) -> tuple[Journal, Recovered]:
    return Journal.open(disk, DIRECTORY, segment_bytes=segment_bytes)


def prepare_all(journal: Journal) -> None:
    while journal.prepare_next():
        pass


def content(journal: Journal) -> list[tuple[int, int, bytes]]:
    return list(journal.read(journal.first_index, journal.last_index))


@attrs.frozen(str=False)
class Picture:
    """What a journal remembers after a batch."""

    base: int = 0
    packs: tuple[Frame, ...] = ()
    hard_state: HardState | None = None
    snapshot: SnapshotMark | None = None
    store_switch: StoreSwitch | None = None

    @property
    def last_index(self) -> int:
        return self.base + len(self.packs)

    def __str__(self) -> str:
        terms = [frame.term for frame in self.packs]
        known = (self.hard_state, self.snapshot, self.store_switch)
        return f"packs {self.base + 1} to {self.last_index}, terms {terms}, {known}"

    def truncated(self, index: int) -> "Picture":
        return attrs.evolve(self, packs=self.packs[: index - self.base - 1])

    def matches(self, journal: Journal, recovered: Recovered, dropped_to: int) -> bool:
        """Is this what the journal recovered, but for dropped packs?"""
        first = journal.first_index
        if not self.base < first <= max(self.base, dropped_to) + 1:
            return False
        known = (recovered.hard_state, recovered.snapshot, recovered.store_switch)
        if known != (self.hard_state, self.snapshot, self.store_switch):
            return False
        if journal.last_index != self.last_index:
            return False
        expected = [(p.index, p.term, p.payload) for p in self.packs[first - self.base - 1 :]]
        return content(journal) == expected


class Lost(AssertionError):
    """The journal recovered something that it may not have recovered."""


@attrs.define
class Witness:
    """What may be remembered: the newest synced picture first, then one per batch since."""

    pictures: list[Picture] = attrs.Factory(lambda: [Picture()])
    dropped_to: int = 0

    @property
    def newest(self) -> Picture:
        return self.pictures[-1]

    def appending(self, picture: Picture) -> None:
        self.pictures.append(picture)

    def refused(self) -> None:
        """The batch last announced does not count."""
        self.pictures.pop()

    def synced(self, count: int) -> None:
        """The first `count` pictures are behind a sync."""
        del self.pictures[: count - 1]

    def check(self, journal: Journal, recovered: Recovered) -> None:
        """Settle on what was recovered, which is durable from now on."""
        for picture in reversed(self.pictures):
            if picture.matches(journal, recovered, self.dropped_to):
                self.pictures = [picture]
                return
        raise Lost(f"{recovered} is none of:\n" + "\n".join(map(str, self.pictures)))


class Work:
    """Random work on one journal, told to a witness first. The same seed does the same work."""

    def __init__(self, journal: Journal, witness: Witness, chance: Random) -> None:
        self.journal = journal
        self.witness = witness
        self._chance = chance
        self._term = 1
        self._truncated_from: int | None = None
        """Truncated in memory by a batch that the full disk then refused."""

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._step()

    def close(self) -> None:
        self.witness.appending(self._picture())
        self.journal.close()
        self.witness.synced(len(self.witness.pictures))

    def _step(self) -> None:
        dice = self._chance.random()
        if dice < 0.45:
            self._append()
        elif dice < 0.70:
            self._sync()
        elif dice < 0.76:
            self._append_truncating()
        elif dice < 0.80:
            self._append_mark()
        elif dice < 0.84:
            self._append_switch()
        elif dice < 0.90:
            self.journal.prepare_next()
        elif dice < 0.93:
            self.journal.seal()
        else:
            self._drop()

    def _packs(self, first: int) -> list[Frame]:
        chance = self._chance
        self._term += chance.random() < 0.1
        sizes = [chance.choice((0, 7, 40, 300, 1100)) for _ in range(chance.randint(1, 3))]
        # A crash and a new try often write the same bytes: a stale tail must not count for that.
        fill = chance.choice((b"a", b"b"))
        return [pack(first + at, fill * size, self._term) for at, size in enumerate(sizes)]

    def _append(self) -> None:
        picture = self._picture()
        frames: list[Frame] = []
        if self._chance.random() < 0.3:
            state = HardState(
                Term(self._term), MemberId(self._chance.randint(0, 3)), Index(picture.last_index)
            )
            frames.append(state.frame())
            picture = attrs.evolve(picture, hard_state=state)
        packs = self._packs(picture.last_index + 1)
        picture = attrs.evolve(picture, packs=picture.packs + tuple(packs))
        self._write([*frames, *packs], picture)

    def _append_truncating(self) -> None:
        picture = self._picture()
        floor = max(self.journal.first_index, picture.snapshot.index + 1 if picture.snapshot else 1)
        if floor > picture.last_index:
            return
        index = self._chance.randint(floor, picture.last_index)
        self.journal.truncate_from(Index(index))
        self._truncated_from = index
        self._term += 1
        picture = picture.truncated(index)
        packs = self._packs(index) if self._chance.random() < 0.7 else []
        self._write(packs, attrs.evolve(picture, packs=picture.packs + tuple(packs)))

    def _append_mark(self) -> None:
        picture = self._picture()
        if self._chance.random() < 0.5:
            self._term += 1
            mark = SnapshotMark(Index(picture.last_index + 3), Term(self._term), b"config")
            picture = attrs.evolve(picture, base=mark.index, packs=())
        else:
            last = self.journal.last_index
            mark = SnapshotMark(last, self.journal.term_at(last), b"config of %d" % last)
        self._write([mark.frame()], attrs.evolve(picture, snapshot=mark))

    def _append_switch(self) -> None:
        picture = self._picture()
        before = 0 if picture.store_switch is None else picture.store_switch.generation
        switch = StoreSwitch(before + 1, Index(picture.last_index))
        self._write([switch.frame()], attrs.evolve(picture, store_switch=switch))

    def _write(self, frames: list[Frame], picture: Picture) -> None:
        self.witness.appending(picture)
        try:
            self.journal.append(frames)
        except DiskFull:
            self.witness.refused()
        else:
            self._truncated_from = None

    def _picture(self) -> Picture:
        """Return what the journal holds in memory."""
        index = self._truncated_from
        newest = self.witness.newest
        return newest if index is None else newest.truncated(index)

    def _sync(self) -> None:
        self.journal.sync()
        self.witness.synced(len(self.witness.pictures))

    def _drop(self) -> None:
        synced = self.witness.pictures[0].last_index
        index = self._chance.randint(max(0, synced - 4), synced)
        self.witness.dropped_to = max(self.witness.dropped_to, index)
        self.journal.drop_to(Index(index))


@attrs.frozen
class Life:
    """Several generations of one journal, each ended by a fault. A value, to be printed."""

    seed: int
    power_loss_at: int
    """In the first generation; later ones draw theirs."""
    survival: Survival
    directories: Directories
    sync_error: float = 0.0
    capacity_bytes: int | None = None
    lying_sync: bool = False
    generations: int = 5
    steps: int = 20

    def run(self) -> int:
        """Live it; return how many disk operations the first generation made. Raises `Lost`."""
        disk = SimDisk(Random(f"{self.seed}/disk"), directories=self.directories)
        disk.faults.capacity_bytes = self.capacity_bytes
        disk.faults.lying_sync = self.lying_sync
        chance = Random(f"{self.seed}/work")
        witness = Witness()
        operations = 0
        for generation in range(self.generations):
            again = chance.choice((1, 2)) * chance.randint(1, 40)
            disk.faults.power_loss_at = again if generation else self.power_loss_at
            disk.faults.sync_error = self.sync_error
            with suppress(PowerLost, DiskFull, JournalFailed):
                try:
                    self._live(disk, witness, chance)
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
            if generation == 0:
                operations = disk.operations
            disk = disk.restart(self.survival if chance.random() < 0.7 else "all")
        disk.faults = DiskFaults(lying_sync=self.lying_sync)
        journal, recovered = open_journal(disk)
        witness.check(journal, recovered)
        journal.close()
        return operations

    def _live(self, disk: SimDisk, witness: Witness, chance: Random) -> None:
        journal, recovered = open_journal(disk)
        witness.check(journal, recovered)
        work = Work(journal, witness, chance)
        work.run(self.steps)
        if chance.random() < 0.3:
            work.close()
