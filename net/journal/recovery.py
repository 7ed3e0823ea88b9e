"""Making a surveyed journal fit to be appended to.

Rule of this file: what is accepted becomes durable before anyone relies on it. Bytes read back may
live in the page cache only: after a kill because no one synced them, after a failed fdatasync
because the kernel drops its marks of unwritten pages and a later fdatasync would say nothing. So
everything above the last recorded synced end is written again, then synced. Recognised remains of a
torn tail are overwritten with zeros, so that a tear is reported once.
"""

import attrs

from net.disk import Disk, File
from net.journal.layout import Frame, Position
from net.journal.log import Log
from net.journal.scan import (
    Survey,
    segment_numbers,
    segment_path,
    survey,
    unsynced_stretches,
)
from net.journal.spares import FILLING_SUFFIX, Spares


@attrs.frozen
class Recovery:
    """A journal's parts, ready for their owner. `files` are open, ascending by number."""

    log: Log
    latest: dict[int, Frame]
    files: dict[int, File]
    spares: Spares
    end: Position
    chain: int
    torn_bytes: int


def recover(disk: Disk, directory: str, *, segment_bytes: int) -> Recovery:
    """Survey the directory, refuse damage, and make durable what was accepted."""
    disk.make_directory(directory)
    found = survey(disk, directory)
    if found.damage is not None:
        raise found.damage
    _remove_unfinished(disk, directory)
    # A kill leaves names behind that only the cache knows; from here on they are relied upon.
    disk.sync_directory(directory)
    numbers = segment_numbers(disk, directory)
    next_number = max(numbers, default=0) + 1
    spares = Spares(disk, directory, segment_bytes=segment_bytes, next_number=next_number)
    files: dict[int, File] = {}
    try:
        for number in found.accepted:
            files[number] = disk.open(segment_path(directory, number))
        _make_durable(found, files)
        for number in found.spare:
            spares.adopt(number)
        for number in found.leftover:
            spares.give_back(number)
        spares.recycle_all()
    except BaseException:
        for file in files.values():
            file.close()
        spares.close()
        raise
    return Recovery(
        found.log, found.latest, files, spares, found.end, found.chain, found.torn_bytes
    )


def _remove_unfinished(disk: Disk, directory: str) -> None:
    for name in disk.list_directory(directory):
        if name.endswith(FILLING_SUFFIX):
            disk.unlink(f"{directory}/{name}")


def _make_durable(found: Survey, files: dict[int, File]) -> None:
    touched: set[int] = set()
    for number, start, end in unsynced_stretches(found):
        file = files[number]
        end = file.size_bytes() if end < 0 else end
        file.write(start, file.read(start, end - start))
        touched.add(number)
    for number, start, end in found.torn:
        files[number].write(start, bytes(end - start))
        touched.add(number)
    for number in sorted(touched):
        files[number].datasync()
