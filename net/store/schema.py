"""The tables of a store, the read-only view `kine`, and how one version becomes the next.

The version stands in the file's header (PRAGMA user_version) beside an application id, so that
`file state-1.db` and a foreign `sqlite3` can tell what they hold. A version is raised by one
entry in MIGRATIONS and never otherwise; `DDL` is always the newest.
"""

from collections.abc import Mapping, Sequence

from net.store.connection import Database
from net.store.errors import StoreError

APPLICATION_ID = 0x5472_696E
"""ASCII "Trin"."""

SCHEMA_VERSION = 1

READ_ONLY = "kine is a read-only view of replicated state; use: trine compact"

COMPACT_ROW = "compact_rev_key"
"""The name under which kine keeps its compact revision. kube-apiserver writes a key of the
same name: that user row is hidden from the view, which shows the synthetic row instead."""

# A change row has no secondary index: one costs 4.6 times the CPU and 14 times the bytes of a
# put (measured), and nothing on the request path reads this table.
_TABLES = """
CREATE TABLE change(
  number INTEGER PRIMARY KEY,
  main INTEGER NOT NULL,
  sub INTEGER NOT NULL,
  key BLOB NOT NULL,
  create_revision INTEGER NOT NULL,
  version INTEGER NOT NULL,
  prev INTEGER NOT NULL,
  lease INTEGER NOT NULL,
  tombstone INTEGER NOT NULL,
  value BLOB
) STRICT;
CREATE TABLE lease(id INTEGER PRIMARY KEY, ttl_s INTEGER NOT NULL, granted INTEGER NOT NULL)
  STRICT;
CREATE TABLE alarm(member INTEGER NOT NULL, kind INTEGER NOT NULL, PRIMARY KEY(member, kind))
  STRICT, WITHOUT ROWID;
CREATE TABLE member(id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE auth(kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY(kind, name)) STRICT, WITHOUT ROWID;
CREATE TABLE meta(name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
"""

# The synthetic row is first, as in kine, where it is row 1: revision 1 has no change of its
# own in etcd, so the id is free. After a restore that bumped the revision no row carries the
# newest one; there the synthetic row does, or MAX(id) minus the compact revision, which is how
# operators compute the compaction lag, would be negative.
_VIEW = f"""
CREATE VIEW kine(id, name, created, deleted, create_revision, prev_revision, lease, value,
  old_value) AS
SELECT CASE WHEN m.value > coalesce((SELECT main FROM change ORDER BY number DESC LIMIT 1), 1)
    THEN m.value ELSE 1 END,
  '{COMPACT_ROW}', 1, 0, 0, m.value, 0, x'', x''
  FROM meta m WHERE m.name = 'compact_revision'
UNION ALL
SELECT c.main, CAST(c.key AS TEXT), c.version = 1, c.tombstone, c.create_revision,
  coalesce((SELECT p.main FROM change p WHERE p.number = c.prev), 0), c.lease, c.value,
  (SELECT p.value FROM change p WHERE p.number = c.prev)
  FROM change c WHERE c.key <> CAST('{COMPACT_ROW}' AS BLOB);
"""

_TRIGGERS = "".join(
    f"CREATE TRIGGER kine_{verb.lower()} INSTEAD OF {verb} ON kine "
    f"BEGIN SELECT raise(abort, '{READ_ONLY}'); END;\n"
    for verb in ("INSERT", "UPDATE", "DELETE")
)

DDL = _TABLES + _VIEW + _TRIGGERS

TABLES = ("change", "lease", "alarm", "member", "auth", "meta")

MIGRATIONS: Mapping[int, Sequence[str]] = {}
"""Statements that turn version n into n + 1, by n."""


def lay_out(database: Database) -> None:
    """Create the newest schema in an empty database, inside the caller's transaction."""
    database.run(DDL)
    _stamp(database, SCHEMA_VERSION)


def schema_version(database: Database) -> int:
    """Return a store's schema version. Raises StoreError for a file that is no store."""
    application = database.number("PRAGMA application_id")
    if application != APPLICATION_ID:
        raise StoreError(
            f"{database.path} is not a store of trine (application id {application:#x})"
        )
    return database.number("PRAGMA user_version")


def migrate(
    database: Database,
    *,
    known: Mapping[int, Sequence[str]] = MIGRATIONS,
    newest: int = SCHEMA_VERSION,
) -> int:
    """Bring a store to the newest schema, one transaction a step; return the steps taken.

    Raises StoreError for a version that this program does not know.
    """
    version = schema_version(database)
    if version > newest:
        raise StoreError(
            f"{database.path} has schema {version}, this program knows up to {newest}: "
            "start the version that wrote it, or restore a snapshot"
        )
    for step in range(version, newest):
        if step not in known:
            raise StoreError(
                f"{database.path} has schema {version}, which this program cannot bring on"
            )
        database.run("BEGIN IMMEDIATE")
        try:
            for statement in known[step]:
                database.run(statement)
            _stamp(database, step + 1)
            database.run("COMMIT")
        finally:
            if database.in_transaction:
                database.run("ROLLBACK")
    return newest - version


def _stamp(database: Database, version: int) -> None:
    database.run(f"PRAGMA application_id = {APPLICATION_ID}")
    database.run(f"PRAGMA user_version = {version}")
