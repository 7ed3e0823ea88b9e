"""The Disk port: all bytes that journal and store keep go through it, so a simulator can stand in.

Rule of this file: name what the shell needs of a file system and nothing more. A write is in no way
durable before `File.datasync` returned; a created, renamed or removed name is not before
`Disk.sync_directory` of its directory returned. Every failure is an `OSError` and ends the member,
with two exceptions that callers may handle: `DiskFull` and `DiskLocked`.
"""

import errno
import fcntl
import os
from typing import NoReturn, Protocol

Bytes = bytes | bytearray | memoryview

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFull(OSError):
    """No space is left: the bytes of the failed call may be written in part; count none of them."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOSPC, "no space left on the disk", path)


class DiskLocked(OSError):
    """Another process holds the lock file; its process id, where known, is in the message."""

    def __init__(self, path: str, owner: str) -> None:
        super().__init__(errno.EWOULDBLOCK, f"locked by {owner}: is it running already?", path)


class File(Protocol):
    """An open file, read and written by position; it has no cursor. One thread may sync it while
    another writes it."""

    @property
    def path(self) -> str: ...

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return up to `size_bytes` from `offset`; fewer only where the file ends."""
        ...

    def write(self, offset: int, data: Bytes) -> None:
        """Write all of `data`, growing the file with zeros if `offset` is past its end."""
        ...

    def size_bytes(self) -> int: ...

    def truncate(self, size_bytes: int) -> None: ...

    def datasync(self) -> None:
        """Return when everything written before is durable, with the size needed to read it.

        After an error nothing is known about the bytes written since the last success, and a
        later success proves nothing about them: never retry.
        """
        ...

    def close(self) -> None: ...


class Lock(Protocol):
    """A held lock file."""

    def release(self) -> None: ...


class Disk(Protocol):
    """A file system. Paths are plain strings with `/`."""

    def open(self, path: str, *, writable: bool = True) -> File:
        """Open an existing file; FileNotFoundError if there is none."""
        ...

    def create(self, path: str) -> File:
        """Create an empty file, open for writing; FileExistsError if the name is taken."""
        ...

    def make_directory(self, path: str) -> None:
        """Make a directory with its parents where missing, and their names durable."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name; a file of that name is replaced."""
        ...

    def unlink(self, path: str) -> None: ...

    def list_directory(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        ...

    def exists(self, path: str) -> bool: ...

    def size_bytes(self, path: str) -> int: ...

    def sync_directory(self, path: str) -> None:
        """Return when all names made, changed and removed in this directory are durable."""
        ...

    def free_bytes(self, path: str) -> int:
        """Return how many bytes may still be written on the file system that holds `path`."""
        ...

    def lock(self, path: str) -> Lock:
        """Take the lock file, or raise `DiskLocked`; the end of the process releases it."""
        ...


class RealFile:
    """`File` over a descriptor."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def read(self, offset: int, size_bytes: int) -> bytes:
        data = os.pread(self._descriptor, size_bytes, offset)
        if len(data) == size_bytes or not data:
            return data
        parts = [data]
        while data:  # One call reads at most 2 GiB, and a network file system may give less.
            size_bytes -= len(data)
            offset += len(data)
            data = os.pread(self._descriptor, size_bytes, offset)
            parts.append(data)
        return b"".join(parts)

    def write(self, offset: int, data: Bytes) -> None:
        try:
            written = os.pwrite(self._descriptor, data, offset)
            while written < len(data):
                more = os.pwrite(self._descriptor, memoryview(data)[written:], offset + written)
                if more == 0:
                    raise OSError(errno.EIO, "a write made no progress", self.path)
                written += more
        except OSError as error:
            _raise_known(error, self.path)

    def size_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def truncate(self, size_bytes: int) -> None:
        try:
            os.ftruncate(self._descriptor, size_bytes)
        except OSError as error:
            _raise_known(error, self.path)

    def datasync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class RealLock:
    """`Lock` by flock on a descriptor."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class RealDisk:
    """`Disk` over the operating system."""

    def open(self, path: str, *, writable: bool = True) -> RealFile:
        mode = os.O_RDWR if writable else os.O_RDONLY
        return RealFile(path, os.open(path, mode | os.O_CLOEXEC))

    def create(self, path: str) -> RealFile:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            _raise_known(error, path)
        return RealFile(path, descriptor)

    def make_directory(self, path: str) -> None:
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path) or "."
        self.make_directory(parent)
        try:
            os.mkdir(path, 0o700)
        except OSError as error:
            _raise_known(error, path)
        self.sync_directory(parent)

    def rename(self, old: str, new: str) -> None:
        try:
            os.rename(old, new)
        except OSError as error:
            _raise_known(error, new)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def list_directory(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def size_bytes(self, path: str) -> int:
        return os.stat(path).st_size

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: str) -> int:
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize

    def lock(self, path: str) -> RealLock:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise DiskLocked(path, f"process {owner}" if owner else "another process") from None
        except OSError:
            os.close(descriptor)
            raise
        try:
            os.pwrite(descriptor, b"%-31d\n" % os.getpid(), 0)
        except OSError as error:
            # The number only serves the error message; a member must start on a full disk too.
            if error.errno not in _NO_SPACE:
                os.close(descriptor)
                raise
        return RealLock(descriptor)


def _raise_known(error: OSError, path: str) -> NoReturn:
    """Raise `DiskFull` for want of space (or quota), anything else as it came."""
    if error.errno in _NO_SPACE:
        raise DiskFull(path) from error
    raise error
