"""Why a store cannot be used, each in one sentence, and SQLite's words for a disk's failures.

Nothing outside this folder knows SQLite: a full disk is `DiskFull`, a failing one an `OSError`,
as from any other file.
"""

import errno
from collections.abc import Callable, Generator
from contextlib import contextmanager

import apsw

from net.disk import DiskFull


class StoreError(Exception):
    """A store file is missing, damaged, of an unknown schema, or not where it may be written."""


class StoreHeld(Exception):
    """Another process holds the write lock of the file; nothing was written.

    Trine itself has one writer and never meets its own lock, so this takes a foreign program
    that began a write. The batch is still the caller's: it writes it again at its next flush.
    """


class StoreClosed(Exception):
    """Another store took this one's place before a job on it began; that one can be asked."""


@contextmanager
def unless_closed(path: str, is_closed: Callable[[], bool]) -> Generator[None, None, None]:
    """Raise StoreClosed for what SQLite says of a store that was closed, and maybe deleted."""
    try:
        yield
    except (apsw.ConnectionClosedError, apsw.CantOpenError) as error:
        if not is_closed():
            raise
        raise StoreClosed(path) from error


@contextmanager
def disk_errors(path: str) -> Generator[None, None, None]:
    """Let the disk's failures below SQLite come out as the `Disk` port says them."""
    try:
        yield
    except apsw.FullError as error:
        raise DiskFull(path) from error
    except (apsw.IOError, apsw.CantOpenError) as error:
        if _extended(error) == apsw.SQLITE_IOERR_DATA:
            # The disk gave bytes: they are not those that were written.
            raise _damaged(path, error) from error
        raise OSError(errno.EIO, f"SQLite: {error}", path) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise _damaged(path, error) from error


def _extended(error: apsw.Error) -> int:
    # The stubs leave this attribute out; apsw documents it for every error of SQLite.
    result: int = getattr(error, "extendedresult", 0)
    return result


def _damaged(path: str, error: apsw.Error) -> StoreError:
    return StoreError(f"{path} is damaged ({error}): see trine check")
