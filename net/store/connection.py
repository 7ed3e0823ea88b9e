"""Opening SQLite connections on a store, one way for each purpose.

On real files every connection goes through cksumvfs, which keeps eight checksum bytes at the
end of each page and makes a read of a damaged page fail; plain SQLite lets 165 of 200 flipped
bits pass unseen. Under a custom VFS (the simulator's) the pages have the same eight bytes
reserved, but the disk underneath answers for integrity: the shim wraps only the VFS that was
the default when it was loaded. See pages.py for what it takes to keep the pages sealed. Frames in
the WAL have SQLite's own checksums, which are looked at when a WAL is recovered.

NOTE: never open or close a live database file or its -shm by other means than SQLite. Closing
any descriptor of a file drops all of a process's POSIX locks on it. The -wal carries no locks.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, TypeAlias

import apsw
import apsw.sqlite_extra

from net.store.errors import StoreError

CHECKED_VFS = "cksmvfs"
PAGE_SIZE = 8192
RESERVE_SIZE = 8
CACHE_KIB = 16384

SqlValue: TypeAlias = int | float | str | bytes | None
SqlRow: TypeAlias = tuple[SqlValue, ...]

_NATIVE_VFS = "unix"
_loading = threading.Lock()


class Database:
    """One SQLite connection. It may move between threads, but serves one at a time."""

    __slots__ = ("_raw", "path", "vfs")

    def __init__(self, path: str, flags: int, vfs: str | None, *, uri: str | None = None) -> None:
        if vfs is None:
            load_checksums()
        # Any: apsw's stubs name collections.abc.Buffer, which Python 3.11 does not have.
        self._raw: Any = apsw.Connection(
            path if uri is None else uri, flags=flags, vfs=CHECKED_VFS if vfs is None else vfs
        )
        self.path = path
        self.vfs = vfs
        self._raw.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        self._raw.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        self._raw.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        self.pragma("temp_store", 2)

    def run(self, sql: str, bindings: Sequence[SqlValue] = ()) -> list[SqlRow]:
        """Run statements to their end and return the rows of all of them."""
        rows: list[SqlRow] = self._raw.execute(sql, bindings).fetchall()
        return rows

    def run_each(self, sql: str, rows: Iterable[Sequence[SqlValue]]) -> None:
        """Run one statement for each row of bindings."""
        self._raw.executemany(sql, rows)

    def chunks(self, sql: str, size: int) -> Iterator[list[Any]]:
        """Yield a query's rows in lists of `size`; their types are the caller's to state."""
        cursor: Iterator[Any] = iter(self._raw.execute(sql))
        while chunk := list(islice(cursor, size)):
            yield chunk

    def columns(self, sql: str) -> tuple[list[str], Iterator[SqlRow]]:
        """Return a query's column names and its rows."""
        names: list[str] = []

        def describe(cursor: Any, _sql: str, _bindings: object) -> bool:
            # Before the first step: a query without rows has no description after it.
            names.extend(column[0] for column in cursor.get_description())
            return True

        cursor = self._raw.cursor()
        cursor.exec_trace = describe
        rows: Iterator[SqlRow] = iter(cursor.execute(sql))
        return names, rows

    def number(self, sql: str, bindings: Sequence[SqlValue] = ()) -> int:
        """Return the one integer that a query yields."""
        ((value,),) = self.run(sql, bindings)
        if not isinstance(value, int):
            raise TypeError(f"{sql} gave {value!r}, not an integer")
        return value

    def pragma(self, name: str, value: int | str | None = None) -> int | str | None:
        """Read or set a pragma; return what it answers."""
        answer: int | str | None = self._raw.pragma(name, value)
        return answer

    def reserve(self, size_bytes: int) -> None:
        """Ask for spare bytes at the end of each page; matters before the first page only."""
        self._raw.reserve_bytes(None, size_bytes)

    def checkpoint(self, *, truncate: bool) -> tuple[int, int]:
        """Move frames from the WAL into the database file. Raises apsw.BusyError.

        Returns how many frames the WAL has, and how many of them are moved now.
        """
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE
        frames: tuple[int, int] = self._raw.wal_checkpoint(mode=mode)
        return frames

    def on_commit(self, note: Callable[[int], None]) -> None:
        """Let `note` have the number of frames in the WAL after each commit."""

        def hook(_connection: object, _name: str, frames: int) -> int:
            note(frames)
            return apsw.SQLITE_OK

        self._raw.set_wal_hook(hook)

    def copying(self, target: "Database", pages: int) -> Iterator[None]:
        """Copy the whole database as of now, so many pages a step; all in one for -1.

        A read transaction is held meanwhile: a writer elsewhere cannot make it begin anew.
        """
        self.run("BEGIN")
        try:
            self.run("SELECT count(*) FROM sqlite_schema")
            with target._raw.backup("main", self._raw, "main") as backup:
                while not backup.step(pages):
                    yield
        finally:
            self.run("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open on this connection."""
        return bool(self._raw.in_transaction)

    def close(self) -> None:
        """Close the connection; harmless twice."""
        self._raw.close()


def load_checksums() -> None:
    """Register cksumvfs, once a process, without making it the default VFS."""
    with _loading:
        names = apsw.vfs_names()
        if CHECKED_VFS in names:
            return
        # The shim wraps the default, which must then be SQLite's own and not a simulator's.
        default = names[0]
        if _NATIVE_VFS in names:
            apsw.set_default_vfs(_NATIVE_VFS)
        probe = apsw.Connection(":memory:")
        try:
            apsw.sqlite_extra.load(probe, "cksumvfs")
        finally:
            probe.close()
        apsw.set_default_vfs(default)


def writer(path: str, *, vfs: str | None, create: bool = False) -> Database:
    """Open the one writing connection: WAL, synchronous=NORMAL, no automatic checkpoint.

    It never waits for a lock: the file has no other writer.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    database = Database(path, flags, vfs)
    with _closed_on_error(database):
        if vfs is not None:
            # A Python VFS has no shared memory; exclusive locking keeps the wal-index on the
            # heap, and must be set before the journal mode.
            database.pragma("locking_mode", "exclusive")
        if create:
            database.reserve(RESERVE_SIZE)
            database.pragma("page_size", PAGE_SIZE)
            database.pragma("auto_vacuum", 0)
        if database.pragma("journal_mode", "wal") != "wal":
            raise StoreError(f"{path} cannot be put into WAL mode on this file system")
        database.pragma("synchronous", 1)
        database.pragma("wal_autocheckpoint", 0)
        database.pragma("cache_size", -CACHE_KIB)
    return database


def checkpointer(path: str) -> Database:
    """Open a second writing connection beside the writer, for checkpoints, on real files only."""
    database = Database(path, apsw.SQLITE_OPEN_READWRITE, None)
    with _closed_on_error(database):
        database.pragma("synchronous", 1)
        database.pragma("wal_autocheckpoint", 0)
    return database


def reader(path: str) -> Database:
    """Open a connection that only reads, beside a writer in this process or another."""
    return Database(path, apsw.SQLITE_OPEN_READONLY, None)


def plain(path: str, *, vfs: str | None) -> Database:
    """Open a database that no one else uses, without any journal.

    For files under construction: a crash leaves a file that nothing refers to.
    """
    return _unguarded(path, apsw.SQLITE_OPEN_READWRITE, vfs)


def fresh(path: str, *, vfs: str | None) -> Database:
    """Create a database like `plain` and write its page 1, so that all pages will be sealed."""
    database = _unguarded(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, vfs)
    with _closed_on_error(database):
        database.reserve(RESERVE_SIZE)
        database.pragma("page_size", PAGE_SIZE)
        database.pragma("auto_vacuum", 0)
        database.run("PRAGMA user_version = 1")
    return database


def still(path: str) -> Database:
    """Open a file that nothing changes: no locks, no file beside it, no WAL is looked at."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return Database(path, flags, None, uri=f"file:{escaped}?immutable=1")


def memory() -> Database:
    """Open an empty database in memory, for SQLite's functions."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    return Database(":memory:", flags, None)


def _unguarded(path: str, flags: int, vfs: str | None) -> Database:
    database = Database(path, flags, vfs)
    with _closed_on_error(database):
        database.pragma("locking_mode", "exclusive")
        database.pragma("journal_mode", "off")
        database.pragma("synchronous", 0)
    return database


@contextmanager
def _closed_on_error(database: Database) -> Generator[None, None, None]:
    """Close a connection whose preparation fails: left to itself it would close at any time."""
    with ExitStack() as stack:
        stack.callback(database.close)
        yield
        stack.pop_all()
