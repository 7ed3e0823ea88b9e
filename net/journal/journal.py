"""The journal: what replication ordered and promised, in the order it was written. The truth.

Rule of this file: one owner appends, truncates and drops; `sync` and `prepare_next` may run beside
it, each in one thread. Nothing is durable before `sync` returned a position at or past it
(INV-REPLY-AFTER-PERSIST rests on that). Any error of the disk but `DiskFull` ends this journal: it
is poisoned, and the member recovers by opening it anew.

What remains: damage inside the batches that no later batch, seal or opening has recorded as synced
(the last one or two of a member that crashed) looks like a torn tail, and is cut.

    | call          | runs in  | blocks for                                      |
    |---------------|----------|-------------------------------------------------|
    | append        | owner    | one pwrite into blocks that were written before |
    | sync          | a thread | one fdatasync, two when a segment was finished  |
    | prepare_next  | a thread | 1 MiB of zeros, or one rename                   |
"""

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final

import attrs

from core.ids import Index, Term
from net.disk import Disk, DiskFull, File
from net.journal.errors import JournalFailed
from net.journal.layout import (
    BLOCK_BYTES,
    HARD_STATE,
    HEADER_BYTES,
    OPENING,
    PACK,
    SNAPSHOT_MARK,
    STORE_SWITCH,
    TRUNCATION,
    Encoded,
    Frame,
    HardState,
    Header,
    Placed,
    Position,
    SnapshotMark,
    StoreSwitch,
    encode_batch,
    encode_header,
    header_chain,
)
from net.journal.log import Log, Place
from net.journal.reading import packs
from net.journal.recovery import Recovery, recover
from net.journal.scan import replay
from net.journal.spares import Spares

SEGMENT_BYTES: Final = 32 << 20
_CARRIED: Final = (OPENING, HARD_STATE, SNAPSHOT_MARK, STORE_SWITCH)
_NOTHING: Final = b""


@attrs.frozen
class Recovered:
    """What a journal held when it was opened. Packs are read with `Journal.read`."""

    hard_state: HardState | None
    snapshot: SnapshotMark | None
    store_switch: StoreSwitch | None
    first_index: Index
    last_index: Index
    torn_bytes: int
    """Bytes of recognisable batches that were cut from the tail; they had never been synced."""
    openings: int
    """How often this journal was opened, this time included."""


class Journal:
    """An open journal. Create it with `Journal.open`."""

    def __init__(self, disk: Disk, directory: str, recovery: Recovery) -> None:
        self._disk = disk
        self._directory = directory
        self._log: Log = recovery.log
        self._latest: dict[int, Frame] = recovery.latest
        self._files: dict[int, File] = recovery.files
        self._spares: Spares = recovery.spares
        self._end: Position = recovery.end
        self._synced: Position = recovery.end
        self._chain: int = recovery.chain
        self._sealed: Position | None = None
        self._truncation: Frame | None = None
        self._failure: OSError | None = None
        self._syncing = Lock()
        active = self._files.get(self._end.segment)
        self._capacity = 0 if active is None else active.size_bytes()

    @classmethod
    def open(
        cls, disk: Disk, directory: str, *, segment_bytes: int = SEGMENT_BYTES
    ) -> tuple["Journal", Recovered]:
        """Open the journal of a directory, or begin one there, and make its content durable.

        Raises JournalDamaged if bytes that had been synced are gone, and DiskFull if there is no
        room for a first segment. A later opening without room is not recorded: what is there can
        be read, and dropping some of it makes room. Cost: one read of all segments, two fdatasyncs.
        """
        recovery = recover(disk, directory, segment_bytes=segment_bytes)
        journal = cls(disk, directory, recovery)
        try:
            opened = journal._latest.get(OPENING)
            openings = 1 if opened is None else opened.index + 1
            try:
                journal.append([Frame(OPENING, Term(0), Index(openings), _NOTHING)])
            except DiskFull:
                if opened is None:
                    raise
            journal.sync()
        except BaseException:
            journal._close_files()
            raise
        latest = journal._latest
        hard_state, mark = latest.get(HARD_STATE), latest.get(SNAPSHOT_MARK)
        switch = latest.get(STORE_SWITCH)
        return journal, Recovered(
            hard_state=None if hard_state is None else HardState.of(hard_state),
            snapshot=None if mark is None else SnapshotMark.of(mark),
            store_switch=None if switch is None else StoreSwitch.of(switch),
            first_index=journal.first_index,
            last_index=journal.last_index,
            torn_bytes=recovery.torn_bytes,
            openings=openings,
        )

    @property
    def first_index(self) -> Index:
        """The oldest pack held; `last_index` + 1 if there is none."""
        return self._log.first_index

    @property
    def last_index(self) -> Index:
        return self._log.last_index

    @property
    def end(self) -> Position:
        """Where the next batch will stand."""
        return self._end

    @property
    def synced(self) -> Position:
        """Everything before this is durable."""
        return self._synced

    @property
    def wants_preparation(self) -> bool:
        """Is there work for `prepare_next`?"""
        return self._spares.wants_step

    def spare_room(self, sparing: bool) -> None:
        """While the disk is full, make no segment ready, and small ones only."""
        self._spares.is_sparing = sparing

    def term_at(self, index: Index) -> Term:
        """Return the term of a pack between `first_index` - 1 and `last_index`."""
        return self._log.term_at(index)

    def locate(self, index: Index) -> Place:
        """Return where a pack between `first_index` and `last_index` stands."""
        return self._log.locate(index)

    def read(self, first: Index, last: Index) -> Iterator[tuple[Index, Term, bytes]]:
        """Yield the packs from `first` to `last`, both included, verified, from disk.

        The owner may append meanwhile, but not truncate or drop what is still to be yielded.
        """
        self._check_usable()
        return packs(self._log, self._files, first, last)

    def append(self, frames: Sequence[Frame]) -> Position:
        """Write one batch and return its end; durable when `synced` has reached that.

        After a crash a batch is there as a whole or not at all. Packs continue the log, or begin
        behind a snapshot mark in front of them. On DiskFull nothing of the batch counts.
        """
        self._check_usable()
        if self._truncation is not None:
            frames = [self._truncation, *frames]
        elif not frames:
            return self._end
        self._check_order(frames)
        self._write_batch(frames)
        self._truncation = None
        return self._end

    def sync(self) -> Position:
        """Make everything appended before this call durable; may run beside `append`.

        A failure poisons the journal: nothing is known then, and nothing is tried again.
        """
        self._check_usable()
        with self._syncing:
            target, synced = self._end, self._synced
            if target == synced:
                return synced
            try:
                for number, file in tuple(self._files.items()):
                    if synced.segment <= number <= target.segment:
                        file.datasync()
            except OSError as error:
                self._failure = error
                raise
            self._synced = target
            return target

    def truncate_from(self, index: Index) -> None:
        """Forget the packs from `index` on: at once here, durably with the next batch."""
        self._check_usable()
        if index > self.last_index:
            return
        assert index >= self.first_index, "INV-JOURNAL-CONTIGUOUS"
        mark = self._latest.get(SNAPSHOT_MARK)
        assert mark is None or index > mark.index, "INV-LOG-COVERS-STATE"
        term_before = self._log.term_at(Index(index - 1))
        self._log.truncate_from(index, term_before=term_before)
        self._truncation = Frame(TRUNCATION, term_before, index, _NOTHING)

    def drop_to(self, index: Index) -> None:
        """Give up the segments that hold nothing above `index`, except the newest.

        The caller guarantees that everything up to `index` is durable in the store.
        """
        self._check_usable()
        while (number := self._log.droppable(index)) is not None:
            if number >= self._synced.segment:
                return  # What supersedes it is not durable yet.
            self._log.drop_oldest()
            self._files.pop(number).close()
            self._spares.give_back(number)

    def prepare_next(self) -> bool:
        """Prepare or recycle a segment by one bounded slice; return whether there is more to do.

        On a full disk it stops wanting to: the next segment is then made when `append` needs it,
        and that is the call which raises DiskFull.
        """
        self._check_usable()
        try:
            return self._spares.step()
        except OSError as error:
            self._failure = error
            raise

    def seal(self) -> None:
        """Record the synced end although no batch follows: damage below is then told from a tear.

        For a journal at rest. Does nothing if something is unsynced, or the segment is full.
        """
        self._check_usable()
        if self._end != self._synced or self._sealed == self._end:
            return
        batch = encode_batch((), self._end, self._chain, self._synced)
        if self._end.offset + len(batch.data) > self._capacity:
            return
        self._write(self._files[self._end.segment], self._end.offset, batch.data)
        self._chain = batch.chain
        self._end = Position(self._end.segment, self._end.offset + len(batch.data))
        self._sealed = self._end

    def close(self) -> None:
        """Make everything durable, seal, and close the files. A poisoned journal only closes."""
        try:
            if self._failure is None:
                self.append(())
                self.sync()
                self.seal()
                self.sync()
        finally:
            self._close_files()

    def abandon(self) -> None:
        """Close the files and leave them as they are: for a start that failed elsewhere."""
        self._close_files()

    def _check_order(self, frames: Sequence[Frame]) -> None:
        """Refuse, before anything is written, packs that would leave a gap."""
        expected = self._log.last_index + 1
        for frame in frames:
            if frame.type == PACK:
                assert frame.index == expected, "INV-JOURNAL-CONTIGUOUS"
                expected += 1
            elif frame.type == SNAPSHOT_MARK and self._log.restarts(frame.index, frame.term):
                expected = frame.index + 1

    def _write_batch(self, frames: Sequence[Frame]) -> None:
        end = self._end
        batch = encode_batch(frames, end, self._chain, self._synced)
        if end.offset + len(batch.data) > self._capacity:
            self._begin_segment(frames)
            return
        self._write(self._files[end.segment], end.offset, batch.data)
        self._enter(frames, batch, end)

    def _begin_segment(self, frames: Sequence[Frame]) -> None:
        """Write the batch as the first of a new segment, with what dropping old ones would lose.

        A batch larger than a segment makes its segment larger.
        """
        number, file = self._take_spare()
        base = self._log.last_index
        made = file.size_bytes() // BLOCK_BYTES
        header = encode_header(
            Header(number, self._end, self._chain, self._log.term_at(base), base, made)
        )
        carried = [self._latest[kind] for kind in _CARRIED if kind in self._latest]
        frames = [*carried, *frames]
        start = Position(number, HEADER_BYTES)
        batch = encode_batch(frames, start, header_chain(header), self._synced)
        try:
            self._write(file, 0, header + batch.data)
        except DiskFull:
            file.close()
            self._spares.give_back(number)
            raise
        self._files[number] = file
        self._capacity = file.size_bytes()
        self._log.begin_segment(number)
        self._enter(frames, batch, start)

    def _take_spare(self) -> tuple[int, File]:
        try:
            return self._spares.take()
        except DiskFull:
            raise
        except OSError as error:
            self._failure = error
            raise

    def _write(self, file: File, offset: int, data: bytes) -> None:
        try:
            file.write(offset, data)
        except DiskFull:
            raise
        except OSError as error:
            self._failure = error
            raise

    def _enter(self, frames: Sequence[Frame], batch: Encoded, start: Position) -> None:
        """Note what was written; the end moves last, for the thread that syncs."""
        log, latest = self._log, self._latest
        for frame, (offset, seed) in zip(frames, batch.places, strict=True):
            if frame.type == PACK:
                log.add(frame.index, frame.term, offset, seed)
            else:
                replay(Placed(frame, offset, seed), log, latest, self._directory)
        self._chain = batch.chain
        self._end = Position(start.segment, start.offset + len(batch.data))

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise JournalFailed("the journal failed earlier; open it anew") from self._failure

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._spares.close()
