"""Segments made ready before they are needed, by recycling dropped ones or by filling with zeros.

Rule of this file: a segment is handed out only when its name is durable and its blocks are written,
so using it costs one fdatasync and no metadata. Dropped segments leave in order, oldest first, each
removal durable before the next: a crash may bring back the youngest of them, never leave a gap.
Everything runs in bounded slices (`step`), in whatever thread the shell likes.
"""

from collections import deque
from contextlib import suppress
from threading import Lock

from net.disk import Disk, DiskFull, File
from net.journal.scan import segment_path

_SLICE_BYTES = 1 << 20
_READY = 1
"""Segments kept ready. One is enough: it takes longer to write a segment than to prepare it."""

FILLING_SUFFIX = ".new"
SPARING_SEGMENT_BYTES = 4 << 20
"""Size of a segment made while the disk is full: it comes out of the reserve."""


class Spares:
    """Owner of all segment files that are not part of the log, and of the numbering."""

    def __init__(self, disk: Disk, directory: str, *, segment_bytes: int, next_number: int) -> None:
        self._disk = disk
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._next_number = next_number
        self._ready: deque[tuple[int, File]] = deque()
        self._dropped: deque[int] = deque()
        self._filling: File | None = None
        self._filled_bytes = 0
        self._starved = False
        """The disk was full: filling waits until a segment is given back or needed at once."""
        self.is_sparing = False
        """While the disk is full: make nothing ready, give back what is dropped, make what is
        needed at once small. Else one segment would use up what the reserve gave back."""
        self._lock = Lock()

    @property
    def wants_step(self) -> bool:
        """Is there something to prepare or to give back?"""
        return bool(self._dropped) or self._wants_filling

    @property
    def _wants_filling(self) -> bool:
        return len(self._ready) < _READY and not self._starved and not self.is_sparing

    def adopt(self, number: int) -> None:
        """Take over a prepared segment that was never written."""
        path = segment_path(self._directory, number)
        if self._disk.size_bytes(path) == self._segment_bytes:
            self._ready.append((number, self._disk.open(path)))
        else:
            self._dropped.append(number)

    def give_back(self, number: int) -> None:
        """Take over a segment that the log needs no longer, and no one has open."""
        self._starved = False
        self._dropped.append(number)

    def step(self) -> bool:
        """Do one bounded piece of the work if there is room for it; return whether more is left."""
        with self._lock, suppress(DiskFull):
            self._step()
        return self.wants_step

    def take(self) -> tuple[int, File]:
        """Return the next segment, number and file; prepare it now if none is ready.

        Raises DiskFull if there is no room for it; nothing is left behind then.
        """
        with self._lock:
            self._starved = False
            while not self._ready:
                if self._dropped:
                    self._recycle(self._dropped[0], keep=True)
                    self._dropped.popleft()
                else:
                    self._fill()
            return self._ready.popleft()

    def recycle_all(self) -> None:
        """Deal with every segment given back, now."""
        with self._lock:
            while self._dropped:
                self._recycle(self._dropped[0], keep=not self.is_sparing)
                self._dropped.popleft()

    def close(self) -> None:
        with self._lock:
            while self._ready:
                self._ready.popleft()[1].close()
            if self._filling is not None:
                self._filling.close()
                self._filling = None

    def _step(self) -> None:
        if self._dropped:
            self._recycle(self._dropped[0], keep=not self.is_sparing)
            self._dropped.popleft()
        elif self._wants_filling:
            self._fill()

    def _recycle(self, number: int, *, keep: bool) -> None:
        """Give the file a new number, so that nothing in it verifies, or remove it."""
        path = segment_path(self._directory, number)
        fits = self._disk.size_bytes(path) == self._segment_bytes
        if not keep or not fits or len(self._ready) >= _READY:
            self._disk.unlink(path)
            self._disk.sync_directory(self._directory)
            return
        renewed = self._new_number()
        self._disk.rename(path, segment_path(self._directory, renewed))
        self._disk.sync_directory(self._directory)
        self._ready.append((renewed, self._disk.open(segment_path(self._directory, renewed))))

    def _fill(self) -> None:
        """Write a slice of zeros, durably: a big dirty file would stall the log's own fdatasync."""
        path = f"{self._directory}/segment{FILLING_SUFFIX}"
        if self._filling is None:
            self._filling = self._disk.create(path)
            self._filled_bytes = 0
        goal_bytes = self._segment_bytes
        if self.is_sparing:
            goal_bytes = min(goal_bytes, max(self._filled_bytes, SPARING_SEGMENT_BYTES))
        slice_bytes = min(_SLICE_BYTES, goal_bytes - self._filled_bytes)
        try:
            self._filling.write(self._filled_bytes, bytes(slice_bytes))
        except DiskFull:
            self._filling.close()
            self._filling = None
            self._starved = True
            self._disk.unlink(path)
            raise
        self._filling.datasync()
        self._filled_bytes += slice_bytes
        if self._filled_bytes >= goal_bytes:
            self._filling.close()
            self._filling = None
            number = self._new_number()
            self._disk.rename(path, segment_path(self._directory, number))
            self._disk.sync_directory(self._directory)
            self._ready.append((number, self._disk.open(segment_path(self._directory, number))))

    def _new_number(self) -> int:
        number = self._next_number
        self._next_number += 1
        return number
