"""A received snapshot from its first byte to a generation that nothing refers to yet.

Rule: every function here runs in the helper thread, one after the other; what they share is a
`Part`, which nobody else touches while one runs. A snapshot that is not whole, not of this cluster,
or that contradicts itself is refused: it never becomes a generation that anybody hears of. Loading
its rows is done here as well, beside the turns, so that taking it over costs no turn anything.
"""

from collections.abc import Callable

from attrs import define

from core.state import State
from net.disk import Disk, DiskFull, File
from net.store import files, snapshot
from net.store.errors import StoreError
from net.store.store import Store, retire

Load = Callable[[Store], tuple[State, list[int]]]
"""Reads a store's rows: the state, and the rows that are dead. Raises StoreError."""


@define(eq=False)
class Part:
    """A file that grows into a snapshot; its name is one that a start sweeps away."""

    disk: Disk
    path: str
    _file: File | None = None

    def write(self, offset: int, data: bytes) -> None:
        """Write a piece."""
        if self._file is None:
            self._file = self.disk.create(self.path)
        self._file.write(offset, data)

    def finish(self) -> None:
        """Make it durable, and write no more."""
        assert self._file is not None, "INV-SNAPSHOT-CONTIGUOUS"
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

    def stage(self, part: Part) -> Loaded | str:
        """Make a whole part a generation, durably; say why not if it cannot be one.

        Where there is no room for it nothing of it is left.
        """
        disk, directory = self.disk, self.directory
        generation = max(files.generations(disk, directory)) + 1
        try:
            part.finish()
            facts = snapshot.install(
                disk,
                part.path,
                directory,
                generation=generation,
                member_id=self.member_id,
                vfs=self.vfs,
            )
            if facts.cluster_id != self.cluster_id:
                raise StoreError(f"it is of cluster {facts.cluster_id:x}")
            store = Store.open(disk, directory, generation=generation, vfs=self.vfs, alone=False)
        except (StoreError, DiskFull) as error:
            files.sweep(disk, files.state_path(directory, generation))
            part.discard()
            return str(error)
        part.discard()
        try:
            state, dead = self.load(store)
        except StoreError as error:
            store.close()
            retire(disk, directory, generation)
            return str(error)
        return Loaded(generation, store, state, dead)

    def retire(self, loaded: Loaded) -> None:
        """Delete a generation that nobody wants."""
        loaded.store.close()
        retire(self.disk, self.directory, loaded.generation)
