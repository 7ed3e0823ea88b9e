"""What a loss of power would take from a real process: undone when the member starts again.

Rule of this file: a killed process loses nothing that it wrote, for the kernel keeps it; a machine
without power loses all that was not synced. So each write first notes what it overwrites, in a file
beside the data directory; a sync strikes out the notes on its file; at the next start what is left
of them is put back, the newest first. Syncs are slowed down, so that there is something to lose.

A rename or a removal counts as durable at once. The store's write-ahead log goes as a whole: the
store is derived from the journal, and may lose its end.
"""

# It stands between the disk port and the operating system.
# pyright: reportPrivateUsage=false

import os
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from net.disk import Bytes, RealDisk, RealFile
from sim.swapping import swapped

SLOW_S: Final = 0.05
_HEAD: Final = struct.Struct("<BQQQII")
_WRITE, _SYNCED = 0, 1


class Note(NamedTuple):
    """What a write overwrote, or (without data) up to which note a file is synced."""

    kind: int
    number: int
    offset: int
    size_before: int
    path: str
    data: bytes


class Notes:
    """The file of notes. Any thread may add to it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._number = 0
        self._unsynced: dict[str, int] = {}
        """By file: the number of its newest note that no sync has struck out."""

    def close(self) -> None:
        """Close the file; the notes stay."""
        os.close(self._descriptor)

    def about_to_write(self, path: str, descriptor: int, offset: int, size: int) -> None:
        """Note the bytes that a write of this size will overwrite."""
        with self._lock:
            size_before = os.fstat(descriptor).st_size
            data = os.pread(descriptor, size, offset)
            self._add(_WRITE, path, offset, size_before, data)
            self._unsynced[path] = self._number

    def newest(self) -> int:
        """Return the number of the newest note: what a sync that begins now will cover."""
        with self._lock:
            return self._number

    def synced(self, path: str, upto: int) -> None:
        """Strike out the notes on a file, up to this one."""
        with self._lock:
            if self._unsynced.get(path, upto + 1) <= upto:
                del self._unsynced[path]
            if self._unsynced:
                self._add(_SYNCED, path, upto, 0, b"")
            else:
                os.ftruncate(self._descriptor, 0)

    def _add(self, kind: int, path: str, offset: int, size_before: int, data: bytes) -> None:
        self._number += 1
        name = os.fsencode(path)
        head = _HEAD.pack(kind, self._number, offset, size_before, len(name), len(data))
        os.write(self._descriptor, head + name + data)

    def take(self) -> list[Note]:
        """Return the notes that no sync has struck out, oldest first, and forget them all."""
        whole = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        os.ftruncate(self._descriptor, 0)
        notes = list(_parsed(whole))
        synced: dict[str, int] = {}
        for note in notes:
            if note.kind == _SYNCED:
                synced[note.path] = note.offset
        return [
            note for note in notes if note.kind == _WRITE and note.number > synced.get(note.path, 0)
        ]


def _parsed(data: bytes) -> Iterator[Note]:
    """Yield notes; one that was cut by the kill belongs to a write that never happened."""
    at = 0
    while at + _HEAD.size <= len(data):
        kind, number, offset, size_before, name_size, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if at + name_size + size > len(data):
            return
        name, content = data[at : at + name_size], data[at + name_size : at + name_size + size]
        at += name_size + size
        yield Note(kind, number, offset, size_before, os.fsdecode(name), content)


def lose(directory: Path, notes: Notes) -> int:
    """Put back what unsynced writes overwrote; return how many there were."""
    lost = notes.take()
    for note in reversed(lost):
        if not os.path.exists(note.path):
            continue
        descriptor = os.open(note.path, os.O_RDWR)
        try:
            os.pwrite(descriptor, note.data, note.offset)
            os.ftruncate(descriptor, note.size_before)
        finally:
            os.close(descriptor)
    if lost:
        for file in (*directory.glob("*.db-wal"), *directory.glob("*.db-shm")):
            file.unlink()
    return len(lost)


@contextmanager
def losing(directory: Path, say: Callable[[str], None], slow_s: float = SLOW_S) -> Generator[None]:
    """Lose what was not synced when this ran last, then let every write be noted."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    notes = Notes(directory.with_name(f"{directory.name}.unsynced"))
    try:
        say(f"{lose(directory, notes)} writes were not synced and are lost")
        with ExitStack() as stack:
            for patch in _patches(notes, slow_s):
                stack.enter_context(swapped(*patch))
            yield
    finally:
        notes.close()


def _patches(notes: Notes, slow_s: float) -> list[tuple[object, str, object]]:
    """Return what stands for what while writes are noted."""
    write, truncate, datasync = RealFile.write, RealFile.truncate, RealFile.datasync
    rename, unlink = RealDisk.rename, RealDisk.unlink

    def noted_write(self: RealFile, offset: int, data: Bytes) -> None:
        notes.about_to_write(self.path, self._descriptor, offset, len(data))
        write(self, offset, data)

    def noted_truncate(self: RealFile, size_bytes: int) -> None:
        rest = max(0, self.size_bytes() - size_bytes)
        notes.about_to_write(self.path, self._descriptor, size_bytes, rest)
        truncate(self, size_bytes)

    def noted_datasync(self: RealFile) -> None:
        newest = notes.newest()
        time.sleep(slow_s)
        datasync(self)
        notes.synced(self.path, newest)

    def noted_rename(self: RealDisk, old: str, new: str) -> None:
        rename(self, old, new)
        notes.synced(old, notes.newest())

    def noted_unlink(self: RealDisk, path: str) -> None:
        unlink(self, path)
        notes.synced(path, notes.newest())

    return [
        (RealFile, "write", noted_write),
        (RealFile, "truncate", noted_truncate),
        (RealFile, "datasync", noted_datasync),
        (RealDisk, "rename", noted_rename),
        (RealDisk, "unlink", noted_unlink),
    ]
