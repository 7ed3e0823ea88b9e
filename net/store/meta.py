"""The facts beside the rows: how `Meta` stands in the table `meta`, and what may follow what.

Most facts stay the same from batch to batch, so only those that changed are written.
"""

import attrs

from net.store.batch import Batch, Identity, Meta, Note
from net.store.connection import Database, SqlValue
from net.store.errors import StoreError

FIRST_REVISION = 1
_NOTE = "note:"
_PUT = "INSERT OR REPLACE INTO meta VALUES(?,?)"


def fresh(identity: Identity) -> Meta:
    """Return the facts of a store to which nothing was applied."""
    return Meta(
        index=0,
        term=0,
        revision=FIRST_REVISION,
        compact_revision=0,
        scrubbed=0,
        last_number=0,
        chain_hash=b"",
        cluster_id=identity.cluster_id,
        member_id=identity.member_id,
    )


def after(before: Meta, batch: Batch) -> Meta:
    """Return the facts once `batch` is in. A batch that does not follow is a bug: it asserts.

    A batch at the same index is allowed: a slice of physical compaction applies nothing.
    """
    assert batch.index >= before.index, "INV-STORE-FORWARD"
    last_number = before.last_number
    if batch.changes:
        first, last = batch.changes[0][0], batch.changes[-1][0]
        assert first == last_number + 1, "INV-CHANGE-DENSE"
        assert last - first + 1 == len(batch.changes), "INV-CHANGE-DENSE"
        last_number = last
    return Meta(
        index=batch.index,
        term=batch.term,
        revision=batch.revision,
        compact_revision=batch.compact_revision,
        scrubbed=before.scrubbed if batch.scrubbed is None else batch.scrubbed,
        last_number=last_number,
        chain_hash=before.chain_hash if batch.chain_hash is None else batch.chain_hash,
        cluster_id=before.cluster_id,
        member_id=before.member_id,
        notes={**before.notes, **batch.notes} if batch.notes else before.notes,
    )


JOURNAL_NOTE = "journal"
"""The note that says whether a journal must be there."""
STATE_NOTE = "state_hash"
"""The note with the hash of the state that the rows make, as sixteen hexadecimal digits."""
JOURNAL_BEGINS = "begins behind the applied index"
"""Only a restored directory says so, until its member has begun the journal."""


def write(database: Database, facts: Meta, *, before: Meta | None) -> None:
    """Write the facts that differ from `before`, inside the caller's transaction."""
    known = {} if before is None else _stored(before)
    changed = [
        (name, value)
        for name, value in _stored(facts).items()
        if name not in known or known[name] != value
    ]
    if changed:
        database.run_each(_PUT, changed)


def read(database: Database) -> Meta:
    """Read the facts. Raises StoreError where one is missing or not of its kind."""
    stored = {str(name): value for name, value in database.run("SELECT name, value FROM meta")}
    notes: dict[str, Note] = {
        name.removeprefix(_NOTE): value
        for name, value in stored.items()
        if name.startswith(_NOTE) and isinstance(value, (int, str, bytes))
    }
    path = database.path
    chain_hash = stored.get("chain_hash")
    if not isinstance(chain_hash, bytes):
        raise StoreError(f"{path} has no chain_hash in its table meta: see trine check")
    return Meta(
        index=_integer(stored, "applied_index", path),
        term=_integer(stored, "applied_term", path),
        revision=_integer(stored, "revision", path),
        compact_revision=_integer(stored, "compact_revision", path),
        scrubbed=_integer(stored, "scrubbed", path),
        last_number=_integer(stored, "last_number", path),
        chain_hash=chain_hash,
        cluster_id=_id(stored, "cluster_id", path),
        member_id=_id(stored, "member_id", path),
        notes=notes,
    )


def rename(facts: Meta, identity: Identity) -> Meta:
    """Return the facts as another member, or another cluster, holds them."""
    return attrs.evolve(facts, cluster_id=identity.cluster_id, member_id=identity.member_id)


def _stored(facts: Meta) -> dict[str, SqlValue]:
    stored: dict[str, SqlValue] = {
        "applied_index": facts.index,
        "applied_term": facts.term,
        "revision": facts.revision,
        "compact_revision": facts.compact_revision,
        "scrubbed": facts.scrubbed,
        "last_number": facts.last_number,
        "chain_hash": facts.chain_hash,
        # Hexadecimal as etcdctl prints ids: unsigned 64 bits do not fit SQLite's integers.
        "cluster_id": f"{facts.cluster_id:016x}",
        "member_id": f"{facts.member_id:016x}",
    }
    for name, value in facts.notes.items():
        stored[_NOTE + name] = value
    return stored


def _integer(stored: dict[str, SqlValue], name: str, path: str) -> int:
    value = stored.get(name)
    if not isinstance(value, int):
        raise StoreError(f"{path} has no {name} in its table meta: see trine check")
    return value


def _id(stored: dict[str, SqlValue], name: str, path: str) -> int:
    value = stored.get(name)
    if not isinstance(value, str) or len(value) != 16:
        raise StoreError(f"{path} has no {name} in its table meta: see trine check")
    return int(value, 16)
