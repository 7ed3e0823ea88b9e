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

_PAGES_A_STEP = 128


def bad_pages(file: File, size_bytes: int, report: Callable[[int], None]) -> Iterator[int]:
    """Yield the numbers of pages in a file's first bytes that fail; call `report` with progress.

    For files that no one writes: a page that is being written fails rightly.
    """
    total = size_bytes // PAGE_SIZE
    database = connection.memory()
    try:
        for first in range(0, total, _PAGES_A_STEP):
            report(first)
            data = file.read(first * PAGE_SIZE, min(_PAGES_A_STEP, total - first) * PAGE_SIZE)
            for place in range(len(data) // PAGE_SIZE):
                page = data[place * PAGE_SIZE : (place + 1) * PAGE_SIZE]
                if database.run("SELECT verify_checksum(?)", (page,)) != [(1,)]:
                    yield first + place + 1
        report(total)
    finally:
        database.close()


def require_sealed(disk: Disk, path: str) -> None:
    """Raise StoreError unless every page of a finished, closed file passes."""
    file = disk.open(path, writable=False)
    try:
        for page in bad_pages(file, file.size_bytes(), lambda _done: None):
            raise StoreError(f"{path} was not written whole: page {page} fails its checksum")
    finally:
        file.close()
