"""Where a store's files are, and how they come and go.

A generation is one database file `state-<generation>.db` with the `-wal` and `-shm` that SQLite
keeps beside it. A database file is never replaced under its name: a `-wal` left over from
another file would be taken for its own. So before a file is made its name is swept, and the
sweep is durable before the first byte is written.
"""

import os.path
import re

from net.disk import Disk

_NAME = re.compile(r"state-([1-9][0-9]{0,17})\.db(-wal|-shm|-journal)?")
_COMPANIONS = ("", "-wal", "-shm", "-journal")


def state_path(directory: str, generation: int) -> str:
    """Return the path of a generation's database file."""
    return os.path.join(directory, f"state-{generation}.db")


def generations(disk: Disk, directory: str) -> list[int]:
    """Return the generations of which any file is there, ascending."""
    found: set[int] = set()
    for name in disk.list_directory(directory):
        if match := _NAME.fullmatch(name):
            found.add(int(match[1]))
    return sorted(found)


def sweep(disk: Disk, path: str) -> None:
    """Delete a database file and its companions, durably; harmless where there are none."""
    gone = False
    for companion in _COMPANIONS:
        if disk.exists(path + companion):
            disk.unlink(path + companion)
            gone = True
    if gone:
        sync_parent(disk, path)


def sweep_others(disk: Disk, directory: str, generation: int) -> list[int]:
    """Delete every generation but one; return those deleted."""
    others = [other for other in generations(disk, directory) if other != generation]
    for other in others:
        sweep(disk, state_path(directory, other))
    return others


def make_durable(disk: Disk, path: str) -> None:
    """Sync a file that no SQLite connection has open, and its name."""
    sync(disk, path)
    sync_parent(disk, path)


def sync(disk: Disk, path: str) -> None:
    """Sync a file that no SQLite connection has open, but for one that alone makes it."""
    file = disk.open(path)
    try:
        file.datasync()
    finally:
        file.close()


def sync_parent(disk: Disk, path: str) -> None:
    """Make the names in a file's directory durable."""
    disk.sync_directory(os.path.dirname(path) or ".")
