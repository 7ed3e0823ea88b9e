"""A disk that forgets: the `Disk` port in memory, with power loss, errors, rot and a seed.

Rule of this file: a file has two images. `live` is what the running system sees, `durable` what the
platter holds; `sim/platter.py` says what of the rest survives a loss of power.

Dead means dead: after the power went, every call on this generation raises `PowerLost` and changes
nothing; `restart` gives the next generation's disk. Everything is deterministic given `chance`.
"""

import errno
import hashlib
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Literal

import attrs

from net.disk import Bytes, DiskFull, DiskLocked
from sim.platter import (
    PAGE_BYTES,
    Inode,
    Names,
    Survival,
    overwrite,
    parent,
    replay,
    resize,
    survivors,
)

Directories = Literal["strict", "ordered"]
Operation = Literal[
    "open", "create", "read", "write", "truncate", "datasync", "rename", "unlink", "list", "sync"
]

_UNLIMITED_BYTES = 1 << 40


class PowerLost(BaseException):
    """The machine is off. Not an Exception: no handler of the member may take it for a fault."""


@attrs.define
class DiskFaults:
    """What goes wrong, and when. May be changed while the disk runs; it outlives restarts."""

    power_loss_at: int | None = None
    """The number of the operation during which the power goes; counted from 1 in each generation.
    Set back to None when it has happened."""
    errors_at: frozenset[int] = frozenset()
    """Numbers of operations that fail with EIO, if they read, write or sync."""
    read_error: float = 0.0
    write_error: float = 0.0
    sync_error: float = 0.0
    """Probabilities of EIO. A failed sync leaves the bytes readable and never durable."""
    next_error: Literal["", "read", "write", "sync"] = ""
    """The next operation of this kind fails with EIO. Set back to "" when it has happened."""
    error_from: int | None = None
    """The first operation from this number on that reads, writes or syncs fails with EIO. Set back
    to None when it has happened."""
    power_loss_naming: Literal["", "create", "rename", "unlink", "sync"] = ""
    """The power goes in the next such operation on names. Set back to "" when it has happened."""
    capacity_bytes: int | None = None
    lying_sync: bool = False
    """Syncs do nothing and say yes: only to prove that a harness sees it."""
    slow: float = 0.0
    slow_ms_max: int = 0
    """Probability and bound of a delay added to `SimDisk.delay_ms`; nothing here waits."""


class SimFile:
    """`File` on a `SimDisk`."""

    __slots__ = ("_disk", "_inode", "_writable", "path")

    def __init__(self, disk: "SimDisk", path: str, inode: Inode, *, writable: bool) -> None:
        self.path = path
        self._disk = disk
        self._inode = inode
        self._writable = writable

    def read(self, offset: int, size_bytes: int) -> bytes:
        self._disk.begin("read", self.path)
        return bytes(self._inode.live[offset : offset + size_bytes])

    def write(self, offset: int, data: Bytes) -> None:
        self._check_writable()
        self._disk.begin("write", self.path)
        fitting = self._disk.fitting_bytes(len(self._inode.live), offset + len(data))
        kept = bytes(data)[: max(0, fitting - offset)]
        overwrite(self._inode.live, offset, kept)
        if self._inode.rotten:
            first, end = -(-offset // PAGE_BYTES), (offset + len(kept)) // PAGE_BYTES
            self._inode.rotten.difference_update(range(first, end))
        self._inode.unsynced.append((offset, kept))
        self._disk.finish()
        if len(kept) < len(data):
            self._disk.met["full"] += 1
            raise DiskFull(self.path)

    def is_rotten(self, offset: int, size_bytes: int) -> bool:
        """Whether a page in this range would fail its checksum, if it has one."""
        rotten = self._inode.rotten
        last = (offset + size_bytes - 1) // PAGE_BYTES
        return any(page in rotten for page in range(offset // PAGE_BYTES, last + 1))

    def size_bytes(self) -> int:
        self._disk.check_alive()
        return len(self._inode.live)

    def truncate(self, size_bytes: int) -> None:
        self._check_writable()
        self._disk.begin("truncate", self.path)
        live = self._inode.live
        if self._disk.fitting_bytes(len(live), size_bytes) < size_bytes:
            self._disk.met["full"] += 1
            raise DiskFull(self.path)
        resize(live, size_bytes)
        self._inode.unsynced.append((size_bytes, None))
        self._disk.finish()

    def datasync(self) -> None:
        self._disk.datasync(self.path, self._inode)

    def close(self) -> None:
        """Closing is allowed when dead: it does nothing to a disk."""

    def _check_writable(self) -> None:
        if not self._writable:
            raise OSError(errno.EBADF, "opened for reading only", self.path)


class _SimLock:
    def __init__(self, held: set[str], path: str) -> None:
        self._held = held
        self._path = path

    def release(self) -> None:
        self._held.discard(self._path)


class SimDisk:
    """`Disk` in memory, for one member, until its power goes."""

    def __init__(
        self,
        chance: Random,
        *,
        faults: DiskFaults | None = None,
        directories: Directories = "ordered",
    ) -> None:
        self.chance = chance
        self.faults = DiskFaults() if faults is None else faults
        self.generation = 1
        self.operations = 0
        self.counts: Counter[Operation] = Counter()
        self.injected: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        """Faults that an operation, or a loss of power, really met."""
        self.delay_ms = 0
        """Time that slow operations took; the world adds it to its clock and sets it back."""
        self.on_power_loss: Callable[[], None] = _nothing
        """Called in the middle of the operation that the power goes in: nothing may leave then."""
        self._ordered = directories == "ordered"
        self._dead = False
        self._names = Names()
        self._locked: set[str] = set()

    @property
    def is_dead(self) -> bool:
        return self._dead

    def open(self, path: str, *, writable: bool = True) -> SimFile:
        self.begin("open", path)
        return SimFile(self, path, self._inode(path), writable=writable)

    def create(self, path: str) -> SimFile:
        self.begin("create", path)
        if path in self._names.live:
            raise FileExistsError(errno.EEXIST, "the file exists", path)
        self._check_directory(parent(path))
        inode = Inode()
        self._names.change((path, inode))
        self.finish()
        return SimFile(self, path, inode, writable=True)

    def make_directory(self, path: str) -> None:
        self.check_alive()
        while path not in self._names.directories:
            self._names.directories.add(path)
            path = parent(path)

    def rename(self, old: str, new: str) -> None:
        self.begin("rename", old)
        inode = self._inode(old)
        self._check_directory(parent(new))
        self._names.change((old, None), (new, inode))
        self.finish()

    def unlink(self, path: str) -> None:
        self.begin("unlink", path)
        self._inode(path)
        self._names.change((path, None))
        self.finish()

    def list_directory(self, path: str) -> list[str]:
        self.begin("list", path)
        self._check_directory(path)
        return sorted(name.rpartition("/")[2] for name in self._names.live if parent(name) == path)

    def exists(self, path: str) -> bool:
        self.check_alive()
        return path in self._names.live or path in self._names.directories

    def size_bytes(self, path: str) -> int:
        self.check_alive()
        return len(self._inode(path).live)

    def sync_directory(self, path: str) -> None:
        self.begin("sync", path)
        self._check_directory(path)
        if self._dies_now():
            self._die()
        if not self.faults.lying_sync:
            self._fail_perhaps(path, "sync", self.faults.sync_error)
            self._names.confirm(lambda change: change.is_in(path), in_order=self._ordered)

    def free_bytes(self, path: str) -> int:
        self.check_alive()
        capacity = self.faults.capacity_bytes
        return _UNLIMITED_BYTES if capacity is None else max(0, capacity - self.used_bytes)

    def lock(self, path: str) -> _SimLock:
        self.check_alive()
        if path in self._locked:
            raise DiskLocked(path, "this generation")
        self._locked.add(path)
        return _SimLock(self._locked, path)

    @property
    def used_bytes(self) -> int:
        return sum(len(inode.live) for inode in self._names.live.values())

    def power_off(self) -> None:
        """Let the power go between two operations (a kill looks the same from inside)."""
        self._dead = True

    def restart(self, survival: Survival) -> "SimDisk":
        """Return the disk as the next generation finds it; this one is dead from now on.

        Survivors are durable, except after `all`: a kill leaves the page cache as it was.
        """
        self._dead = True
        after = SimDisk(self.chance, faults=self.faults)
        after._ordered = self._ordered
        after.generation = self.generation + 1
        after._names = self._names
        if survival != "all":
            if any(inode.unsynced for inode in self._names.live.values()):
                self.met["unsynced writes"] += 1
            if self._names.unsynced:
                self.met["unsynced names"] += 1
            after._names = survivors(self._names, survival, self.chance, ordered=self._ordered)
        return after

    def flip_bit(self, path: str, offset: int, bit: int) -> None:
        """Let one bit rot, on the platter and in the cache."""
        inode = self._names.live[path]
        inode.rotten.add(offset // PAGE_BYTES)
        for image in (inode.live, inode.durable):
            if offset < len(image):
                image[offset] ^= 1 << bit

    def damage(self, path: str, offset: int, data: bytes) -> None:
        """Overwrite bytes behind everyone's back."""
        inode = self._names.live[path]
        overwrite(inode.live, offset, data)
        overwrite(inode.durable, offset, data)

    def cut_silently(self, path: str, size_bytes: int) -> None:
        """Let a file have lost its tail, durably: a page that is written around later is rotten."""
        inode = self._names.live[path]
        inode.rotten.update(range(size_bytes // PAGE_BYTES, len(inode.live) // PAGE_BYTES + 1))
        for image in (inode.live, inode.durable):
            del image[size_bytes:]

    def remove_silently(self, path: str) -> None:
        """Let a file be gone, durably, as after an operator's mistake."""
        self._names.live.pop(path)
        self._names.durable.pop(path, None)

    def image(self, path: str) -> bytes:
        """Return what the running system would read, also of a dead disk, uncounted."""
        return bytes(self._names.live[path].live)

    def platter(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Return what no loss of power would take, also of a dead disk, uncounted."""
        inode = self._names.durable.get(path)
        return b"" if inode is None else bytes(inode.durable[offset : offset + size_bytes])

    def paths(self) -> list[str]:
        """Return all names, sorted, also of a dead disk, uncounted."""
        return sorted(self._names.live)

    def digest(self) -> str:
        """Return a hash of names, live and durable images: equal for equal runs."""
        state = hashlib.blake2b(digest_size=16)
        for names in (self._names.live, self._names.durable):
            for path in sorted(names):
                for part in (path.encode(), names[path].live, names[path].durable):
                    state.update(len(part).to_bytes(8, "little"))
                    state.update(part)
        return state.hexdigest()

    def begin(self, operation: Operation, path: str) -> None:
        """Count an operation and let it fail, if its time has come. For this package's files."""
        if self._dead:
            raise PowerLost(f"{operation} {path}")
        self.operations += 1
        self.counts[operation] += 1
        faults = self.faults
        if faults.slow and self.chance.random() < faults.slow:
            self.delay_ms += self.chance.randint(1, faults.slow_ms_max)
            self.injected["slow"] += 1
        if operation == faults.power_loss_naming:
            faults.power_loss_naming = ""
            faults.power_loss_at = self.operations
        if operation == "read":
            self._fail_perhaps(path, "read", faults.read_error)
        elif operation in ("write", "truncate"):
            self._fail_perhaps(path, "write", faults.write_error)
        if operation in ("open", "read", "list") and self._dies_now():
            self._die()

    def finish(self) -> None:
        """End an operation that changed something: the power may go behind it."""
        if self._dies_now():
            self._die()

    def check_alive(self) -> None:
        if self._dead:
            raise PowerLost

    def fitting_bytes(self, size_bytes: int, wanted_bytes: int) -> int:
        """Return up to which size a file may grow."""
        capacity = self.faults.capacity_bytes
        if capacity is None or wanted_bytes <= size_bytes:
            return wanted_bytes
        return min(wanted_bytes, size_bytes + max(0, capacity - self.used_bytes))

    def datasync(self, path: str, inode: Inode) -> None:
        self.begin("datasync", path)
        if self._dies_now():
            self._die()
        if self.faults.lying_sync:
            return
        try:
            self._fail_perhaps(path, "sync", self.faults.sync_error)
        except OSError:
            # The kernel takes the pages for clean from now on, written or not.
            lost = [write for write in inode.unsynced if self.chance.random() < 0.5]
            for write in inode.unsynced:
                if not any(write is other for other in lost):
                    replay(inode.durable, write)
            inode.unsynced.clear()
            raise
        for write in inode.unsynced:
            replay(inode.durable, write)
        inode.unsynced.clear()
        if self._ordered:
            self._names.confirm(lambda change: change.concerns(inode), in_order=True)

    def _fail_perhaps(self, path: str, name: str, probability: float) -> None:
        faults = self.faults
        is_next = faults.next_error == name
        if is_next:
            faults.next_error = ""
        elif faults.error_from is not None and self.operations >= faults.error_from:
            faults.error_from = None
            is_next = True
        if (
            is_next
            or self.operations in faults.errors_at
            or (probability and self.chance.random() < probability)
        ):
            self.injected[f"{name} error"] += 1
            self.met[f"{name} error"] += 1
            raise OSError(errno.EIO, f"simulated {name} error", path)

    def _dies_now(self) -> bool:
        due = self.faults.power_loss_at
        return due is not None and self.operations >= due

    def _die(self) -> None:
        self._dead = True
        self.faults.power_loss_at = None
        self.injected["power loss"] += 1
        self.on_power_loss()
        raise PowerLost

    def _inode(self, path: str) -> Inode:
        inode = self._names.live.get(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return inode

    def _check_directory(self, path: str) -> None:
        if path not in self._names.directories:
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)


def _nothing() -> None:
    return None
