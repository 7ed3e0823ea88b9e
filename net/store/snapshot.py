"""Snapshot files: what they are, whether they are whole, and how a store grows out of one.

    +---------------------------+-----------------+
    | SQLite database, not WAL  | SHA-256 of that |   size % 512 == 32, as etcdctl checks
    +---------------------------+-----------------+

A snapshot becomes a store in two ways. *Install* takes its database as it is, for a member of the
same cluster that lags. *Restore* begins a new cluster: new identity, no members, no alarms, and a
revision raised so far that no client has seen a higher one, with all history marked compacted,
so that every watch starts over instead of missing changes (kube-apiserver lists again).
"""

import os.path

import attrs

from net.disk import Disk, File, RealDisk
from net.store import connection, files, meta, schema, seal
from net.store.batch import Identity, Meta
from net.store.connection import Database
from net.store.errors import StoreError, disk_errors

BUMP_REVISION = 1_000_000_000
_BBOLT_MAGIC = (0xED0CDAED).to_bytes(4, "little")
_BBOLT_MAGIC_OFFSET = 16
_REVISION_MAX = (1 << 63) - 1


@attrs.frozen(kw_only=True)
class Status:
    """What `snapshot status` prints; `hash` is the first 32 bits of the SHA-256."""

    hash: int
    revision: int
    total_keys: int
    size_bytes: int
    schema_version: int
    index: int
    term: int
    sha256: bytes


def verify(path: str, *, disk: Disk | None = None) -> bytes:
    """Return the SHA-256 that a snapshot file carries; StoreError unless it is the content's."""
    disk = RealDisk() if disk is None else disk
    file = disk.open(path, writable=False)
    try:
        return _verified(file, path)
    finally:
        file.close()


def status(path: str) -> Status:
    """Verify a snapshot file and count what is in it. Cost O(rows)."""
    digest = verify(path)
    database = connection.still(path)
    try:
        version = schema.schema_version(database)
        facts = meta.read(database)
        keys = database.number(
            "SELECT count(*) FROM (SELECT tombstone, max(number) FROM change GROUP BY key)"
            " WHERE tombstone = 0"
        )
    finally:
        database.close()
    return Status(
        hash=int.from_bytes(digest[:4], "big"),
        revision=facts.revision,
        total_keys=keys,
        size_bytes=os.path.getsize(path),
        schema_version=version,
        index=facts.index,
        term=facts.term,
        sha256=digest,
    )


def install(
    disk: Disk,
    source: str,
    directory: str,
    *,
    generation: int,
    member_id: int,
    vfs: str | None = None,
) -> Meta:
    """Make a received database the given generation, durably; nothing refers to it yet.

    `source` is what a snapshot holds before its hash: whole, verified and durable. It moves, and
    whatever fails here leaves a part of a generation, for its sweeper. Raises StoreError for a file
    that is no store.
    """
    path = files.state_path(directory, generation)
    files.sweep(disk, path)
    disk.rename(source, path)
    files.sync_parent(disk, path)
    with disk_errors(path):
        facts = _renamed(path, member_id, vfs)
    files.make_durable(disk, path)
    return facts


def _renamed(path: str, member_id: int, vfs: str | None) -> Meta:
    """Give a database its new owner."""
    database = connection.writer(path, vfs=vfs)
    try:
        schema.migrate(database)
        before = meta.read(database)
        after = meta.rename(before, Identity(before.cluster_id, member_id))
        _rewrite(database, before, after)
    finally:
        database.close()
    return after


def restore(
    source: str,
    directory: str,
    *,
    identity: Identity,
    bump_revision: int = BUMP_REVISION,
    mark_compacted: bool = True,
    disk: Disk | None = None,
    vfs: str | None = None,
) -> Meta:
    """Write a data directory of a new cluster whose store is generation 1; return its facts.

    The applied index and term stay the snapshot's: a journal made for it starts behind them.
    Raises StoreError for a directory in use, a file that is not whole, or a revision that would
    be bumped without being marked compacted, since revisions without changes would show.
    """
    disk = RealDisk() if disk is None else disk
    if bump_revision < 0:
        raise StoreError("a revision never goes down: --bump-revision must be 0 or more")
    if bump_revision and not mark_compacted:
        raise StoreError("--bump-revision needs --mark-compacted: the revisions between are empty")
    disk.make_directory(directory)
    if disk.list_directory(directory):
        raise StoreError(f"{directory} is not empty: restore writes a new directory only")
    path = _copied(disk, source, directory, 1)
    database = connection.writer(path, vfs=vfs)
    try:
        schema.migrate(database)
        before = meta.read(database)
        after = _bumped(meta.rename(before, identity), bump_revision, mark_compacted)
        _rewrite(database, before, after, new_cluster=True)
    finally:
        database.close()
    files.make_durable(disk, path)
    return after


def _bumped(facts: Meta, bump: int, mark_compacted: bool) -> Meta:
    revision = facts.revision + bump
    if revision > _REVISION_MAX:
        raise StoreError(f"revision {facts.revision} cannot be raised by {bump}")
    compact_revision = revision if mark_compacted else facts.compact_revision
    # The state is another one now: its hash is written anew with the first batch.
    notes = {**facts.notes, meta.JOURNAL_NOTE: meta.JOURNAL_BEGINS}
    if meta.STATE_NOTE in notes:
        notes[meta.STATE_NOTE] = ""
    return attrs.evolve(facts, revision=revision, compact_revision=compact_revision, notes=notes)


def _rewrite(database: Database, before: Meta, after: Meta, *, new_cluster: bool = False) -> None:
    database.run("BEGIN IMMEDIATE")
    try:
        if new_cluster:
            # Both name members of the cluster that was.
            database.run("DELETE FROM member")
            database.run("DELETE FROM alarm")
        meta.write(database, after, before=before)
        database.run("COMMIT")
    finally:
        if database.in_transaction:
            database.run("ROLLBACK")


def _copied(disk: Disk, source: str, directory: str, generation: int) -> str:
    """Copy a verified snapshot's database to a generation's name, durably."""
    path = files.state_path(directory, generation)
    original = disk.open(source, writable=False)
    try:
        _verified(original, source)
        size = original.size_bytes() - seal.TRAILER_SIZE
        files.sweep(disk, path)
        target = disk.create(path)
        try:
            for offset in range(0, size, seal.READ_SIZE):
                target.write(offset, original.read(offset, min(seal.READ_SIZE, size - offset)))
            target.datasync()
        finally:
            target.close()
    finally:
        original.close()
    return path


def _verified(file: File, path: str) -> bytes:
    size = file.size_bytes() - seal.TRAILER_SIZE
    if file.read(_BBOLT_MAGIC_OFFSET, len(_BBOLT_MAGIC)) == _BBOLT_MAGIC:
        raise StoreError(f"{path} is a snapshot of etcd itself, which cannot be imported yet")
    if size <= 0 or size % seal.SECTOR_SIZE:
        raise StoreError(f"{path} is not a whole snapshot: its size has no room for a SHA-256")
    stated = file.read(size, seal.TRAILER_SIZE)
    actual = seal.sha256_of(file, size)
    if stated != actual:
        raise StoreError(
            f"{path} is damaged: it states SHA-256 {stated.hex()}, its content has {actual.hex()}"
        )
    return actual
