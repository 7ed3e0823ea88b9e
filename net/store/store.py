"""The store: derived state in SQLite, which may lose its unsynced tail and never anything else.

Rows and the applied index move in one transaction, so a power loss takes whole batches off the
end and nothing in between; the journal, which is the truth, gives them back. Journal segments
may be dropped only up to an index that `durable_applied` or `checkpoint` returned.

No one waits for a lock here: there is one writing connection, PASSIVE checkpoints and backups
on connections of their own never need the write lock, and TRUNCATE runs on the writer itself.

    any thread, beside write()  checkpoint() durable_applied() backup() vacuum_into()
                                wal_bytes() unmoved_bytes()
    the owner's thread only     everything else, checkpoint(truncate=True) too
    under a custom VFS          everything on the owner's thread, between writes

Invariants: INV-STORE-FORWARD (the applied index never goes back), INV-CHANGE-DENSE (change
numbers follow each other without a hole).
"""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter_ns
from typing import Any, Self

import apsw
import attrs

from core.piecemeal import Piecemeal, Piecework
from net.disk import Disk, DiskFull
from net.store import connection, files, meta, schema, seal
from net.store.batch import Batch, ChangeRow, Identity, Meta, signed, unsigned
from net.store.connection import Database
from net.store.errors import StoreClosed, StoreError, StoreHeld, disk_errors, unless_closed

_INSERT_CHANGE = "INSERT INTO change VALUES(?,?,?,?,?,?,?,?,?,?)"
_DELETE_CHANGE = "DELETE FROM change WHERE number = ?"
_PUT_LEASE = "INSERT OR REPLACE INTO lease VALUES(?,?,?)"
_DELETE_LEASE = "DELETE FROM lease WHERE id = ?"
_CHUNK = 512
_COPIED_PAGES = 64
"""Copied at once, and synced: 512 KiB. Gigabytes that nobody syncs are written when the kernel
finds that they are too many, and until then it holds up every writer, the journal too.

At 2 MiB a sync of the journal beside it took 1.3 ms in place of 0.7, and the put p99 rose to 20 ms;
at this size it is 0.65 ms, and 12.
"""
_CREATION_BYTES_MAX = 1 << 20
_COMMITS_KEPT = 64


@attrs.frozen
class Copy:
    """A finished next generation: what it holds is exactly the state at `index`."""

    path: str
    generation: int
    index: int
    term: int


class _Frames:
    """How much of the WAL is not in the database file yet. Noted by two threads, read by one:
    a count that is late by one commit makes a checkpoint come one flush later."""

    __slots__ = ("_moved", "_written")

    def __init__(self) -> None:
        self._written = 0
        self._moved = 0

    def committed(self, frames: int) -> None:
        """Note the frames in the WAL after a commit; fewer than before: it began anew."""
        if frames < self._written:
            self._moved = 0
        self._written = frames

    def checkpointed(self, frames: int, moved: int) -> None:
        """Note what a checkpoint found and moved."""
        if frames == moved == 0:
            self._written = 0
        self._moved = moved

    @property
    def written(self) -> int:
        """Frames in the WAL."""
        return self._written

    @property
    def unmoved(self) -> int:
        """Frames that a checkpoint would move."""
        return max(0, self._written - self._moved)


class Store:
    """One generation's database file, open for writing. One owner; see the file's rule."""

    def __init__(
        self, disk: Disk, database: Database, directory: str, *, generation: int, facts: Meta
    ) -> None:
        self.generation = generation
        self.path = database.path
        self._disk = disk
        self._directory = directory
        self._database = database
        self._vfs = database.vfs
        self._meta = facts
        self._side: Database | None = None
        self._checkpointing = threading.Lock()
        self._is_closed = False
        self._frames = _Frames()
        self._found_wal = False
        database.on_commit(self._frames.committed)
        self.commits_us: deque[int] = deque(maxlen=_COMMITS_KEPT)
        """How long the last commits took, for whoever counts them and takes them away."""

    @classmethod
    def create(
        cls,
        disk: Disk,
        directory: str,
        *,
        identity: Identity,
        generation: int = 1,
        vfs: str | None = None,
    ) -> Self:
        """Make an empty store at index 0 and revision 1, and open it.

        WAL, checkpoint, close, sync of file and directory, and only then open: a strict file
        system may otherwise roll the whole file back. What an unfinished creation left is
        removed; a store that has applied anything is refused with StoreError.
        """
        path = files.state_path(directory, generation)
        if disk.exists(path) and (index := _found_index(disk, path, vfs)):
            raise StoreError(f"{path} exists and has applied index {index}: it is not made anew")
        files.sweep(disk, path)
        with disk_errors(path):
            database = connection.writer(path, vfs=vfs, create=True)
            try:
                database.run("BEGIN IMMEDIATE")
                schema.lay_out(database)
                meta.write(database, meta.fresh(identity), before=None)
                database.run("COMMIT")
                database.checkpoint(truncate=True)
            finally:
                database.close()
        files.make_durable(disk, path)
        return cls.open(disk, directory, generation=generation, vfs=vfs)

    @classmethod
    def open(
        cls,
        disk: Disk,
        directory: str,
        *,
        generation: int,
        vfs: str | None = None,
        alone: bool = True,
    ) -> Self:
        """Open a generation, bring its schema up to date, and delete all other generations.

        Raises StoreError where the file is missing, no store, damaged, or of a newer schema;
        the other generations are then left alone, and so they are where this one is not `alone`:
        a received snapshot is opened before it counts.
        """
        path = files.state_path(directory, generation)
        if not disk.exists(path):
            raise StoreError(f"{path} is missing: restore a snapshot, or let a peer send one")
        with disk_errors(path):
            database = connection.writer(path, vfs=vfs)
            try:
                schema.migrate(database)
                facts = meta.read(database)
                # The -wal was made by the first read. Its name is made durable before the first
                # write: an older -wal that comes back after a power loss would be replayed over
                # pages newer than it.
                disk.sync_directory(directory)
                store = cls(disk, database, directory, generation=generation, facts=facts)
                store._move_found_wal()
                store._require_whole()
                if alone:
                    files.sweep_others(disk, directory, generation)
            except BaseException:
                database.close()
                raise
        return store

    @classmethod
    def is_created(
        cls, disk: Disk, directory: str, *, generation: int = 1, vfs: str | None = None
    ) -> bool:
        """Whether a finished store is there; not so for the remains of an unfinished creation.

        Raises StoreError for a file that cannot be read and is too large to be such remains.
        """
        path = files.state_path(directory, generation)
        return disk.exists(path) and _found_index(disk, path, vfs) is not None

    @property
    def meta(self) -> Meta:
        """The facts as of the last committed batch."""
        return self._meta

    @property
    def applied(self) -> tuple[int, int]:
        """Index and term of the last committed batch."""
        return self._meta.index, self._meta.term

    def rows(self, chunk: int = _CHUNK) -> Iterator[list[ChangeRow]]:
        """Yield all change rows in change-number order, for start-up. Collect no garbage beside
        it: a million tuples cost more in collections than in reading."""
        return self._chunks("SELECT * FROM change ORDER BY number", chunk)

    def leases(self) -> list[tuple[int, int, int]]:
        """Return (id, granted TTL in seconds, index of the grant) of each lease, by id."""
        return self._all("SELECT id, ttl_s, granted FROM lease ORDER BY id")

    def alarms(self) -> list[tuple[int, int]]:
        """Return the raised alarms as (member id, kind)."""
        rows = self._all("SELECT member, kind FROM alarm")
        return sorted((unsigned(member), kind) for member, kind in rows)

    def members(self) -> list[tuple[int, bytes]]:
        """Return (member id, what the caller stored for it)."""
        rows = self._all("SELECT id, body FROM member")
        return sorted((unsigned(member), body) for member, body in rows)

    def write(self, batch: Batch) -> None:
        """Commit one batch: rows, leases, alarms and the applied index together or not at all.

        Not durable before a later `durable_applied` or `checkpoint` returns its index. Raises
        StoreHeld, with nothing written, where another process is writing to the file, and
        DiskFull, with nothing written.
        """
        began_ns = perf_counter_ns()
        before = self._meta
        after = meta.after(before, batch)
        database = self._database
        with disk_errors(self.path):
            try:
                database.run("BEGIN IMMEDIATE")
            except apsw.BusyError as error:
                raise StoreHeld(f"another process is writing to {self.path}") from error
            try:
                _write_rows(database, batch)
                meta.write(database, after, before=before)
                database.run("COMMIT")
            finally:
                if database.in_transaction:
                    database.run("ROLLBACK")
        self._meta = after
        self.commits_us.append((perf_counter_ns() - began_ns) // 1000)

    def durable_applied(self) -> int:
        """Sync the WAL and return the applied index that no power loss can take back.

        0 while an earlier life's WAL is still relied upon: see `_move_found_wal`.
        """
        if self._found_wal:
            return 0
        # Read first: what is committed after this line may miss the sync.
        index = self._meta.index
        wal = self.path + "-wal"
        if self._disk.exists(wal):
            file = self._disk.open(wal)
            try:
                file.datasync()
            finally:
                file.close()
        return index

    def checkpoint(self, *, truncate: bool = False) -> int:
        """Move the WAL into the database file; return the durable applied index afterwards.

        PASSIVE, in any thread, beside writes; 0 once it is closed. With `truncate` it also empties
        the WAL, on the owner's thread; a foreign reader may prevent that: then it is not empty yet.
        Raises DiskFull where the database file cannot grow: all is kept, in the WAL.
        """
        if self._checkpointing.acquire(blocking=False):
            try:
                if self._is_closed:
                    # A received snapshot took its place while this waited for its thread.
                    return 0
                # Busy is a reader or a checkpoint of another process. Nothing depends on this
                # attempt: the next one finds the same frames.
                with disk_errors(self.path), suppress(apsw.BusyError):
                    checkpointer = self._checkpointer(truncate=truncate)
                    frames, moved = checkpointer.checkpoint(truncate=truncate)
                    self._frames.checkpointed(frames, moved)
                    if frames == moved:
                        self._found_wal = False
            finally:
                self._checkpointing.release()
        return self.durable_applied()

    def unmoved_bytes(self) -> int:
        """Return how much of the WAL waits for a checkpoint: what makes a PASSIVE one due."""
        return self._frames.unmoved * connection.PAGE_SIZE

    def wal_used_bytes(self) -> int:
        """Return how much of the WAL holds commits: it begins anew once all of it is moved."""
        return self._frames.written * connection.PAGE_SIZE

    def wal_bytes(self) -> int:
        """Return the size of the WAL file: what makes a TRUNCATE due. It never shrinks before."""
        wal = self.path + "-wal"
        return self._disk.size_bytes(wal) if self._disk.exists(wal) else 0

    def size_bytes(self) -> int:
        """Return the size of the database: what `dbSize` reports."""
        with disk_errors(self.path):
            return self._database.number("PRAGMA page_count") * connection.PAGE_SIZE

    def in_use_bytes(self) -> int:
        """Return the size without the pages that deleted rows left free."""
        free = self._database.number("PRAGMA freelist_count") * connection.PAGE_SIZE
        return self.size_bytes() - free

    def backup(self, target: str) -> seal.Backup:
        """Write the state as of now to a new file of etcd's snapshot shape, durably.

        `target` must not exist or be the remains of an earlier attempt. Raises StoreClosed.
        """
        Piecework(self.copying(target)).whole()
        with self._room_for(target):
            return seal.finish(self._disk, target, vfs=self._vfs)

    def copying(self, target: str) -> Piecemeal[seal.Copied]:
        """Write the state as of now to a new database file, in slices; its end is not durable.

        Other jobs may run between slices, and writes beside them: it is the state as it is at the
        first one. As `backup`; closed before its end, it leaves a part of the target.
        """
        files.sweep(self._disk, target)
        with self._room_for(target):
            copy = connection.fresh(target, vfs=self._vfs)
            try:
                yield from self._copy_to(copy)
            finally:
                copy.close()
            return seal.copied(self._disk, target, vfs=self._vfs)

    def _copy_to(self, copy: Database) -> Piecemeal[None]:
        if self._vfs is not None:
            # Its one connection writes between slices as well.
            yield from self._database.copying(copy, -1)
            return
        source = connection.reader(self.path)
        try:
            for _ in source.copying(copy, _COPIED_PAGES):
                files.sync(self._disk, copy.path)
                yield
        finally:
            source.close()

    def vacuum_into(self, generation: int) -> Copy:
        """Write a defragmented copy as another generation, durably; nothing refers to it yet.

        The caller switches by a journal frame and opens it. What is written to this generation
        after the copy's index is not in the copy: hold it back, or replay it from the journal.
        """
        assert generation != self.generation, "INV-STORE-NEVER-REPLACED"
        path = files.state_path(self._directory, generation)
        files.sweep(self._disk, path)
        with self._room_for(path):
            seal.lay_out(path, vfs=self._vfs)
            source = self._database if self._vfs is not None else connection.checkpointer(self.path)
            try:
                _copy_tables(source, path)
            finally:
                if source is not self._database:
                    source.close()
            facts = seal.settle(self._disk, path, vfs=self._vfs)
            return Copy(path, generation, facts.index, facts.term)

    @contextmanager
    def _room_for(self, path: str) -> Generator[None, None, None]:
        """Turn SQLite's word for what hinders a copy into ours, and leave no half copy behind."""
        try:
            with disk_errors(path), unless_closed(self.path, lambda: self._is_closed):
                yield
        except (DiskFull, StoreClosed):
            files.sweep(self._disk, path)
            raise

    def close(self) -> None:
        """Close all connections; the last one moves the WAL into the file and deletes it.

        Where the disk is full the WAL stays, and belongs to the file as before.
        """
        with self._checkpointing, suppress(DiskFull), disk_errors(self.path):
            self._is_closed = True
            if self._side is not None:
                self._side.close()
                self._side = None
            self._database.close()

    def _move_found_wal(self) -> None:
        """Move what an earlier life left in the WAL into the database file, durably.

        A sync that failed leaves bytes that can be read and never become durable, whatever a
        later sync says: only bytes written again can be relied upon. A reader of another process
        or a full disk may prevent it for now; the checkpoints of this life will do it.
        """
        self._found_wal = self.wal_bytes() > 0
        if self._found_wal:
            with suppress(DiskFull):
                self.checkpoint(truncate=True)

    def _require_whole(self) -> None:
        """Refuse a file whose last page lost its end: SQLite fills it up with zeros, and neither
        its checksum nor the state's hash, which superseded versions are not in, is asked."""
        found, due = self._disk.size_bytes(self.path), self.size_bytes()
        if found < due and not self._found_wal:
            raise StoreError(
                f"{self.path} is cut short: {found} bytes of {due}; "
                "see trine check, restore a snapshot"
            )

    def _checkpointer(self, *, truncate: bool) -> Database:
        if truncate or self._vfs is not None:
            return self._database
        if self._side is None:
            self._side = connection.checkpointer(self.path)
        return self._side

    def _all(self, sql: str) -> list[Any]:
        # Any: a STRICT table's columns have the types that the schema gives them.
        return [row for chunk in self._chunks(sql, _CHUNK) for row in chunk]

    def _chunks(self, sql: str, size: int) -> Iterator[list[Any]]:
        with disk_errors(self.path):
            yield from self._database.chunks(sql, size)


def retire(disk: Disk, directory: str, generation: int) -> None:
    """Delete a generation that was switched away from and is closed, with its companions."""
    files.sweep(disk, files.state_path(directory, generation))


def _write_rows(database: Database, batch: Batch) -> None:
    if batch.changes:
        database.run_each(_INSERT_CHANGE, batch.changes)
    if batch.dead:
        database.run_each(_DELETE_CHANGE, [(number,) for number in batch.dead])
    if batch.leases_put:
        database.run_each(_PUT_LEASE, batch.leases_put)
    if batch.leases_gone:
        database.run_each(_DELETE_LEASE, [(lease,) for lease in batch.leases_gone])
    if batch.alarms is not None:
        database.run("DELETE FROM alarm")
        database.run_each(
            "INSERT INTO alarm VALUES(?,?)",
            [(signed(member), kind) for member, kind in batch.alarms],
        )
    if batch.members is not None:
        database.run("DELETE FROM member")
        database.run_each(
            "INSERT INTO member VALUES(?,?)",
            [(signed(member), body) for member, body in batch.members],
        )


def _copy_tables(source: Database, path: str) -> None:
    """Copy all rows into an empty store, as of one moment, in the order of their keys."""
    source.run("ATTACH ? AS next", (path,))
    try:
        source.run("PRAGMA next.journal_mode = off")
        source.run("PRAGMA next.synchronous = 0")
        source.run("BEGIN")
        try:
            for table in schema.TABLES:
                source.run(f"INSERT INTO next.{table} SELECT * FROM main.{table}")
            source.run("COMMIT")
        finally:
            if source.in_transaction:
                source.run("ROLLBACK")
    finally:
        source.run("DETACH next")


def _found_index(disk: Disk, path: str, vfs: str | None) -> int | None:
    """Return the applied index of the store at `path`; None for an unfinished creation."""
    try:
        with disk_errors(path):
            database = connection.writer(path, vfs=vfs)
            try:
                schema.schema_version(database)
                return meta.read(database).index
            finally:
                database.close()
    except (apsw.Error, StoreError) as error:
        # Creation writes a few dozen pages; anything larger was in use and is now damaged.
        if disk.size_bytes(path) > _CREATION_BYTES_MAX:
            raise StoreError(f"{path} exists and cannot be read ({error})") from error
        return None
