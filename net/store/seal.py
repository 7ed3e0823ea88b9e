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


def finish(disk: Disk, path: str, *, vfs: str | None) -> Backup:
    """Turn a copied database file into a snapshot file, durably."""
    # A database that was copied in WAL mode leaves it when it is opened without.
    database = connection.plain(path, vfs=vfs)
    try:
        facts = meta.read(database)
    finally:
        database.close()
    if vfs is None:
        pages.require_sealed(disk, path)
    file = disk.open(path)
    try:
        size = file.size_bytes()
        assert size % SECTOR_SIZE == 0, "INV-SNAPSHOT-SHAPE"
        digest = sha256_of(file, size)
        file.write(size, digest)
        file.datasync()
    finally:
        file.close()
    files.sync_parent(disk, path)
    return Backup(path, size + TRAILER_SIZE, digest, facts.index, facts.term, facts.revision)


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
