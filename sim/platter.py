"""What a platter holds, what only the cache holds, and what is left of both without power.

Rule of this file: values and their survival, no operations and no faults. Between the live and the
durable image of a file stand the ordered writes that no datasync has confirmed. Names are kept the
same way.

    survival | unsynced writes of a file                  | unsynced names
    ---------|--------------------------------------------|----------------------------------
    none     | all lost                                   | all lost
    prefix   | the first so many survive                  | the first so many survive
    subset   | any 512-byte sectors survive: torn, mixed  | strict: any; ordered: a prefix
    all      | a kill, not a power loss: nothing changes, nothing becomes durable either

`strict` is what POSIX promises: only `sync_directory` makes a name durable. `ordered` is ext4:
names become durable in order, and a datasync of a file takes its name (and all before) with it.
"""

from collections.abc import Callable
from random import Random
from typing import Literal

import attrs

Survival = Literal["none", "prefix", "subset", "all"]

SECTOR_BYTES = 512
PAGE_BYTES = 4096


@attrs.define(eq=False)
class Inode:
    """A file's content, whatever its names."""

    live: bytearray = attrs.Factory(bytearray)
    durable: bytearray = attrs.Factory(bytearray)
    unsynced: list[tuple[int, bytes | None]] = attrs.Factory(list[tuple[int, bytes | None]])
    """(offset, data) of writes, (size, None) of truncations, in order."""
    rotten: set[int] = attrs.Factory(set[int])
    """Pages in which a bit rotted since they were written: who has checksums sees it."""


@attrs.frozen(eq=False)
class NameChange:
    """One atomic change of names: each path now leads to that inode, or nowhere."""

    paths: tuple[tuple[str, Inode | None], ...]

    def is_in(self, directory: str) -> bool:
        return any(parent(path) == directory for path, _ in self.paths)

    def concerns(self, inode: Inode) -> bool:
        return any(other is inode for _, other in self.paths)


@attrs.define
class Names:
    """Which path leads to which file. Directories are durable at once: `make_directory` says so."""

    live: dict[str, Inode] = attrs.Factory(dict[str, Inode])
    durable: dict[str, Inode] = attrs.Factory(dict[str, Inode])
    unsynced: list[NameChange] = attrs.Factory(list[NameChange])
    directories: set[str] = attrs.Factory(lambda: {"", "."})

    def change(self, *paths: tuple[str, Inode | None]) -> None:
        change = NameChange(paths)
        _apply_names(self.live, change)
        self.unsynced.append(change)

    def confirm(self, which: Callable[[NameChange], bool], *, in_order: bool) -> None:
        """Make the changes durable that `which` names; `in_order` also all before the last one."""
        chosen = [at for at, change in enumerate(self.unsynced) if which(change)]
        if in_order and chosen:
            chosen = list(range(chosen[-1] + 1))
        for at in chosen:
            _apply_names(self.durable, self.unsynced[at])
        confirmed = frozenset(chosen)
        self.unsynced = [c for at, c in enumerate(self.unsynced) if at not in confirmed]


def survivors(names: Names, survival: Survival, chance: Random, *, ordered: bool) -> Names:
    """Return what the next generation finds: all of it durable. `names` is left alone."""
    changes = names.unsynced
    if survival == "none":
        kept: list[NameChange] = []
    elif survival == "prefix" or ordered:
        kept = changes[: chance.randint(0, len(changes))]
    else:
        kept = [change for change in changes if chance.random() < 0.5]
    found = dict(names.durable)
    for change in kept:
        _apply_names(found, change)
    renewed: dict[Inode, Inode] = {}
    for path in sorted(found):
        old = found[path]
        if old not in renewed:
            content = _surviving(old, survival, chance)
            renewed[old] = Inode(bytearray(content), content, rotten=set(old.rotten))
        found[path] = renewed[old]
    return Names(found, dict(found), [], set(names.directories))


def parent(path: str) -> str:
    """Return the directory of a path."""
    return path.rpartition("/")[0]


def _apply_names(names: dict[str, Inode], change: NameChange) -> None:
    for path, inode in change.paths:
        if inode is None:
            names.pop(path, None)
        else:
            names[path] = inode


def overwrite(image: bytearray, offset: int, data: bytes) -> None:
    """Write into an image; a hole before `offset` reads as zeros."""
    if offset > len(image):
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


def resize(image: bytearray, size_bytes: int) -> None:
    """Cut an image, or grow it with zeros."""
    if size_bytes < len(image):
        del image[size_bytes:]
    else:
        image.extend(bytes(size_bytes - len(image)))


def replay(image: bytearray, write: tuple[int, bytes | None]) -> None:
    """Let an unsynced write or truncation reach an image."""
    place, data = write
    if data is None:
        resize(image, place)
    else:
        overwrite(image, place, data)


def _surviving(inode: Inode, survival: Survival, chance: Random) -> bytearray:
    image = bytearray(inode.durable)
    if survival == "prefix":
        for write in inode.unsynced[: chance.randint(0, len(inode.unsynced))]:
            replay(image, write)
    elif survival == "subset":
        for write in inode.unsynced:
            _tear(image, write, chance)
    return image


def _tear(image: bytearray, write: tuple[int, bytes | None], chance: Random) -> None:
    """Let a write survive in full, in part by sectors, or not."""
    place, data = write
    fate = chance.random()
    if fate < 0.3:
        return
    if data is None or fate < 0.6:
        replay(image, write)
        return
    start, end = place, place + len(data)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if chance.random() < 0.5:
            overwrite(image, start, data[start - place : stop - place])
        start = stop
