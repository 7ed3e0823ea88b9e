"""Finishing files that a copy has just written, before anything may refer to them.

A *backup* becomes one file in etcd's snapshot shape: the database, out of WAL mode so that
reading it makes no file beside it, and 32 bytes of SHA-256 over all before. A *generation*
becomes a WAL database whose file and name are durable.
"""

import hashlib

import attrs

from net.disk import Disk, File
from net.store import connection, files, meta, pages, schema
from net.store.batch import Meta

TRAILER_SIZE = 32
SECTOR_SIZE = 512
READ_SIZE = 1 << 20


@attrs.frozen
class Backup:
    """A finished snapshot file: `size_bytes` counts the 32 bytes of `sha256` at its end."""

    path: str
    size_bytes: int
    sha256: bytes
    index: int
    term: int
    revision: int


@attrs.frozen
class Copied:
    """A copied database file, which nothing has made durable or hashed yet."""

    path: str
    size_bytes: int
    index: int
    term: int
    revision: int
    name: bytes
    """32 bytes that tell this copy from others."""


class Sealing:
    """A copied database read as the snapshot that it is: its own bytes, then their SHA-256.

    Hash and pages' checksums are looked at as the bytes are first read, so that whoever sends it
    needs no pass of its own for them. It may be read from anywhere, again and again. One owner.
    Raises StoreError for a page that was not written whole; `checks` is False under another VFS.
    """

    __slots__ = ("_check", "_database_bytes", "_file", "_hashed", "_looked", "size_bytes")

    def __init__(self, file: File, *, checks: bool) -> None:
        self._file = file
        self._database_bytes = file.size_bytes()
        assert self._database_bytes % SECTOR_SIZE == 0, "INV-SNAPSHOT-SHAPE"
        self.size_bytes = self._database_bytes + TRAILER_SIZE
        self._check = pages.PageCheck() if checks else None
        self._hashed = hashlib.sha256()
        self._looked = 0

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return so many bytes; those before them are looked at first, if they were not."""
        end = offset + size_bytes
        pieces: list[bytes] = []
        if offset < self._looked:
            own = min(end, self._looked) - offset
            pieces.append(self._file.read(offset, own))
        while self._looked < min(end, self._database_bytes):
            at, data = self._looked, self._look()
            pieces.append(data[max(0, offset - at) : end - at])
        if end > self._database_bytes:
            beyond = max(0, offset - self._database_bytes)
            pieces.append(self.digest()[beyond : end - self._database_bytes])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def digest(self) -> bytes:
        """Return the SHA-256 of all; what was not looked at is looked at first."""
        while self._looked < self._database_bytes:
            self._look()
        return self._hashed.digest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._check is not None:
            self._check.close()

    def _look(self) -> bytes:
        """Read the next bytes, hash them, and look at their pages."""
        at = self._looked
        data = self._file.read(at, min(READ_SIZE, self._database_bytes - at))
        if self._check is not None and (bad := self._check.bad(data)):
            raise pages.broken(self._file.path, at // connection.PAGE_SIZE + bad[0] + 1)
        self._hashed.update(data)
        self._looked += len(data)
        return data


def copied(disk: Disk, path: str, *, vfs: str | None) -> Copied:
    """Take a copied database file out of WAL mode; return what it is."""
    # A database that was copied in WAL mode leaves it when it is opened without.
    database = connection.plain(path, vfs=vfs)
    try:
        facts = meta.read(database)
    finally:
        database.close()
    file = disk.open(path, writable=False)
    try:
        size = file.size_bytes()
        first = file.read(0, READ_SIZE)
    finally:
        file.close()
    known = f"{facts.member_id} {facts.index} {facts.term} {size} ".encode()
    name = hashlib.sha256(known + first).digest()
    return Copied(path, size, facts.index, facts.term, facts.revision, name)


def finish(disk: Disk, path: str, *, vfs: str | None) -> Backup:
    """Turn a copied database file into a snapshot file, durably."""
    made = copied(disk, path, vfs=vfs)
    file = disk.open(path)
    sealing = Sealing(file, checks=vfs is None)
    try:
        digest = sealing.digest()
        file.write(made.size_bytes, digest)
        file.datasync()
    finally:
        sealing.close()
    files.sync_parent(disk, path)
    return Backup(path, sealing.size_bytes, digest, made.index, made.term, made.revision)


def sha256_of(file: File, size_bytes: int) -> bytes:
    """Return the SHA-256 of a file's first bytes. It needs no lock on the interpreter."""
    hashed = hashlib.sha256()
    for offset in range(0, size_bytes, READ_SIZE):
        hashed.update(file.read(offset, min(READ_SIZE, size_bytes - offset)))
    return hashed.digest()


def lay_out(path: str, *, vfs: str | None) -> None:
    """Make an empty store of the newest schema, not durable and without facts."""
    database = connection.fresh(path, vfs=vfs)
    try:
        database.run("BEGIN IMMEDIATE")
        schema.lay_out(database)
        database.run("COMMIT")
    finally:
        database.close()


def settle(disk: Disk, path: str, *, vfs: str | None) -> Meta:
    """Turn a copied database file into a generation, durably; return its facts."""
    database = connection.writer(path, vfs=vfs)
    try:
        facts = meta.read(database)
    finally:
        database.close()
    if vfs is None:
        pages.require_sealed(disk, path)
    files.make_durable(disk, path)
    return facts
