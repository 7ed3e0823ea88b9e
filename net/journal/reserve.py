"""Bytes held back, so that a member whose disk is full can still start, compact and defragment.

Rule of this file: the reserve is filled only when as much again stays free, and released only on
request. It holds real bytes: a sparse file would give nothing back.
"""

from net.disk import Disk, DiskFull, File

RESERVE_BYTES = 64 << 20
_SLICE_BYTES = 1 << 20


class Reserve:
    """The reserve file of one member, at `path`."""

    def __init__(self, disk: Disk, path: str, *, size_bytes: int = RESERVE_BYTES) -> None:
        self._disk = disk
        self._path = path
        self._size_bytes = size_bytes

    @property
    def held_bytes(self) -> int:
        """How much a release would give back."""
        return self._disk.size_bytes(self._path) if self._disk.exists(self._path) else 0

    def fill(self) -> bool:
        """Hold the full size, going on where an earlier call stopped; return whether it does.

        Blocks for the whole of it: call it in a thread. Leaves things as they are where space is
        scarce.
        """
        missing = self._size_bytes - self.held_bytes
        if missing <= 0:
            return True
        directory = self._path.rpartition("/")[0] or "."
        if self._disk.free_bytes(directory) < missing + self._size_bytes:
            return False
        exists = self._disk.exists(self._path)
        file = self._disk.open(self._path) if exists else self._disk.create(self._path)
        try:
            self._write(file)
        except DiskFull:
            return False
        finally:
            file.close()
        self._disk.sync_directory(directory)
        return True

    def release(self) -> int:
        """Give the bytes back to the file system; return how many."""
        held = self.held_bytes
        if self._disk.exists(self._path):
            self._disk.unlink(self._path)
            self._disk.sync_directory(self._path.rpartition("/")[0] or ".")
        return held

    def _write(self, file: File) -> None:
        offset = file.size_bytes()
        while offset < self._size_bytes:
            size_bytes = min(_SLICE_BYTES, self._size_bytes - offset)
            file.write(offset, bytes(size_bytes))
            file.datasync()
            offset += size_bytes
