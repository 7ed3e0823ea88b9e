"""A received snapshot from its first byte to a generation that nothing refers to yet.

Rule: every function here runs in the helper thread, one after the other; what they share is a
`Part`, which nobody else touches while one runs. A snapshot that is not whole, not of this cluster,
or that contradicts itself is refused: it never becomes a generation that anybody hears of. It is
hashed and synced as it comes, and loaded here as well, in slices beside the turns, so that taking
it over costs no turn anything.
"""

import hashlib
from collections.abc import Callable

from attrs import define

from core.piecemeal import Piecemeal
from core.state import State
from net.disk import Disk, DiskFull, File
from net.peers.limits import SYNC_BYTES
from net.store import files, snapshot
from net.store.errors import StoreError
from net.store.seal import SECTOR_SIZE, TRAILER_SIZE
from net.store.store import Store, retire

Load = Callable[[Store], Piecemeal[tuple[State, list[int]]]]
"""Reads a store's rows: the state, and the rows that are dead. Raises StoreError."""


class Part:
    """A file that grows into the database of a snapshot of so many bytes, its hash included.

    Its name is one that a start sweeps away.
    """

    __slots__ = (
        "_digest",
        "_file",
        "_hashed",
        "_unsynced",
        "_written",
        "disk",
        "path",
        "size_bytes",
    )

    def __init__(self, disk: Disk, path: str, size_bytes: int) -> None:
        self.disk = disk
        self.path = path
        self.size_bytes = size_bytes
        self._file: File | None = None
        self._written = 0
        self._unsynced = 0
        self._hashed = hashlib.sha256()
        self._digest = b""
        """What came of the hash at the end."""

    def write(self, offset: int, data: bytes) -> None:
        """Write the next piece."""
        assert offset == self._written, "INV-SNAPSHOT-CONTIGUOUS"
        if self._file is None:
            self._file = self.disk.create(self.path)
        content = memoryview(data)[: max(0, self.size_bytes - TRAILER_SIZE - offset)]
        if content:
            self._file.write(offset, content)
            self._hashed.update(content)
        self._digest += data[len(content) :]
        self._written += len(data)
        self._unsynced += len(data)
        if self._unsynced >= SYNC_BYTES:
            self._file.datasync()
            self._unsynced = 0

    def finish(self) -> None:
        """Make it durable, and write no more. Raises StoreError if it is not what was sent."""
        assert self._file is not None, "INV-SNAPSHOT-CONTIGUOUS"
        assert self._written == self.size_bytes, "INV-SNAPSHOT-CONTIGUOUS"
        if self.size_bytes % SECTOR_SIZE != TRAILER_SIZE:
            raise StoreError(f"{self.size_bytes} bytes are no whole snapshot")
        if self._digest != self._hashed.digest():
            raise StoreError(
                f"it was damaged under way: it states SHA-256 {self._digest.hex()}, "
                f"its content has {self._hashed.hexdigest()}"
            )
        self._file.datasync()
        self.close()

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Delete it."""
        self.close()
        if self.disk.exists(self.path):
            self.disk.unlink(self.path)


@define(eq=False)
class Loaded:
    """A generation that was made of a snapshot, opened and read."""

    generation: int
    store: Store
    state: State
    dead: list[int]


@define(eq=False)
class Stager:
    """Makes generations in one member's directory."""

    disk: Disk
    directory: str
    vfs: str | None
    cluster_id: int
    member_id: int
    load: Load

    def staging(self, part: Part) -> Piecemeal[Loaded | str]:
        """Make a whole part a generation, durably, and load it; say why not if it cannot be one.

        Where there is no room for it nothing of it is left.
        """
        disk, directory = self.disk, self.directory
        generation = max(files.generations(disk, directory)) + 1
        try:
            store = self._opened(part, generation)
        except (StoreError, DiskFull) as error:
            files.sweep(disk, files.state_path(directory, generation))
            part.discard()
            return str(error)
        yield
        try:
            state, dead = yield from self.load(store)
        except StoreError as error:
            store.close()
            retire(disk, directory, generation)
            return str(error)
        return Loaded(generation, store, state, dead)

    def _opened(self, part: Part, generation: int) -> Store:
        disk, directory, vfs = self.disk, self.directory, self.vfs
        part.finish()
        facts = snapshot.install(
            disk,
            part.path,
            directory,
            generation=generation,
            member_id=self.member_id,
            vfs=vfs,
        )
        if facts.cluster_id != self.cluster_id:
            raise StoreError(f"it is of cluster {facts.cluster_id:x}")
        return Store.open(disk, directory, generation=generation, vfs=vfs, alone=False)

    def retire(self, loaded: Loaded) -> None:
        """Delete a generation that nobody wants."""
        loaded.store.close()
        retire(self.disk, self.directory, loaded.generation)
