"""The checksums of a database file's pages, read raw.

cksumvfs seals a page when it is written to the database file, and only on a connection that has
already read or written page 1 of that file: that is where the reserved bytes are announced. A
copy that spills its cache before page 1 is written leaves pages with bad checksums behind it,
unreadable ever after. `VACUUM INTO` does just that (measured: every page of a 36 MB copy), so it
is not used; `connection.fresh` writes page 1 first; and every finished copy is read through here
before anything may refer to it.
"""

from collections.abc import Callable, Iterator

from net.disk import Disk, File
from net.store import connection
from net.store.connection import PAGE_SIZE
from net.store.errors import StoreError

PAGES_AT_ONCE = 128
_LOOK = (
    "SELECT place FROM page WHERE place < ?2"
    f" AND NOT verify_checksum(substr(?1, 1 + place * {PAGE_SIZE}, {PAGE_SIZE}))"
)


class PageCheck:
    """Looks at the checksums of pages in memory. It may move between threads.

    One statement looks at many pages, and the interpreter is free meanwhile: 0.35 ms a MiB.
    """

    __slots__ = ("_database",)

    def __init__(self) -> None:
        self._database = connection.memory()
        self._database.run("CREATE TABLE page(place INTEGER PRIMARY KEY)")
        self._database.run_each(
            "INSERT INTO page VALUES(?)", [(place,) for place in range(PAGES_AT_ONCE)]
        )

    def bad(self, data: bytes) -> list[int]:
        """Return the places of pages that fail, of at most `PAGES_AT_ONCE` whole ones."""
        found = self._database.run(_LOOK, (data, len(data) // PAGE_SIZE))
        return [place for (place,) in found if isinstance(place, int)]

    def close(self) -> None:
        """Let go of its memory; harmless twice."""
        self._database.close()


def bad_pages(file: File, size_bytes: int, report: Callable[[int], None]) -> Iterator[int]:
    """Yield the numbers of pages in a file's first bytes that fail; call `report` with progress.

    For files that no one writes: a page that is being written fails rightly.
    """
    total = size_bytes // PAGE_SIZE
    check = PageCheck()
    try:
        for first in range(0, total, PAGES_AT_ONCE):
            report(first)
            data = file.read(first * PAGE_SIZE, min(PAGES_AT_ONCE, total - first) * PAGE_SIZE)
            for place in check.bad(data):
                yield first + place + 1
        report(total)
    finally:
        check.close()


def require_sealed(disk: Disk, path: str) -> None:
    """Raise StoreError unless every page of a finished, closed file passes."""
    file = disk.open(path, writable=False)
    try:
        for page in bad_pages(file, file.size_bytes(), lambda _done: None):
            raise broken(path, page)
    finally:
        file.close()


def broken(path: str, page: int) -> StoreError:
    """Return what is wrong with a finished file that has such a page."""
    return StoreError(f"{path} was not written whole: page {page} fails its checksum")
