"""A data directory made anew as a cluster of one member, from what one member of the old one holds.

    DIR/recovering/copy/      store and journal of the member; all the journal holds is applied
    DIR/recovering/new/       the new cluster's directory, whole and durable
    DIR/recovering/ready      from here on only names are moved, in this order:
    DIR/before-recover-<t>/   what was there, untouched
    DIR/recovering/moved      the old is away
    DIR/                      the new, and what people wrote (certificates, failure domain)

Rule: what was there is only ever renamed, after everything new is durable; a crash at any time
leaves either the old directory or a move that the same command finishes. A member does not start on
a directory whose move is unfinished (`is_interrupted`).

The whole journal counts, committed or not: what the lost majority may have acknowledged can only be
there. The new cluster has an id of its own, so the old one's members can never talk to it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Final

import attrs

from core.members import Member, MemberRole, from_rows, rows
from core.node import NodeConfig
from net.disk import RealDisk
from net.journal.scan import survey
from net.metrics import Metrics
from net.store import meta
from net.store.batch import Batch, Identity, Meta, unsigned
from net.store.snapshot import restore
from net.store.sql import open_newest
from net.store.store import Store
from net.telemetry import SILENT
from server import dqlite
from server.control import SOCKET
from server.dqlite import NodeInfo, address_of
from server.recover import FORMAT_TEXT, Directory, open_member
from server.writing import replace_file, sync_directory

WORK: Final = "recovering"
BACKUP: Final = "before-recover-"
LOCK: Final = "LOCK"
_KEPT: Final = frozenset({LOCK, WORK, dqlite.CERTIFICATE, dqlite.KEY, dqlite.FAILURE_DOMAIN,
                          dqlite.TUNING})  # fmt: skip
"""What stays where it is: what people wrote, and what is held open."""
_NOT_COPIED: Final = frozenset({LOCK, WORK, SOCKET, "reserve"})
_CONFIG: Final = NodeConfig(
    member_id=0,
    origin=0,
    quota_bytes=1 << 62,
    request_bytes_max=1 << 30,
    fragment_bytes=1 << 30,
    progress_interval_ms=600_000,
)


class RebuildError(Exception):
    """A directory out of which no cluster can be made; the text says why."""


@attrs.frozen
class Holding:
    """What a member's directory holds, as far as reading alone tells."""

    cluster_id: int
    member_id: int
    members: tuple[Member, ...]
    """As of what the store has applied."""
    revision: int
    applied_index: int
    last_index: int
    last_term: int
    """Of the journal: the survivor with the highest (term, index) has the most."""
    size_bytes: int

    @property
    def own(self) -> Member | None:
        """This member."""
        return next((each for each in self.members if each.id == self.member_id), None)


@attrs.frozen
class Places:
    """The directories of one member."""

    data: str
    journal: str

    def work(self, *names: str) -> str:
        """Return a path below the directory that the work is done in."""
        return os.path.join(self.data, WORK, *names)


def is_interrupted(data_dir: str) -> bool:
    """Say whether a move was begun and is not over: the directory is neither old nor new."""
    return os.path.exists(os.path.join(data_dir, WORK, "ready"))


def holding(places: Places) -> Holding:
    """Look into a directory. Raises RebuildError, StoreError, JournalDamaged, JournalUnreadable."""
    if not os.path.isdir(places.journal):
        raise RebuildError(f"{places.journal} is missing: the newest changes are not here")
    disk = RealDisk()
    database = open_newest(places.data)
    try:
        facts = meta.read(database)
        table = [(unsigned(int(str(number))), data) for number, data in
                 database.run("SELECT id, body FROM member")]  # fmt: skip
    finally:
        database.close()
    found = survey(disk, places.journal)
    if found.damage is not None:
        raise found.damage
    log = found.log
    members, _ = from_rows((number, data) for number, data in table if isinstance(data, bytes))
    return Holding(
        facts.cluster_id,
        facts.member_id,
        tuple(member for _, member in sorted(members.items())),
        facts.revision,
        facts.index,
        max(log.last_index, facts.index),
        log.term_at(log.last_index) if log.last_index else facts.term,
        sum(os.path.getsize(path) for path in _files(places)),
    )


def rebuild(
    places: Places,
    own: Member,
    *,
    cluster_id: int,
    bump_revision: int,
    mark_compacted: bool,
    stamp: str,
) -> Meta:
    """Make the new directory in the place of the old, which is kept; return the new one's facts.

    `own` is who the member will be: its id, name and URLs. Raises OSError, StoreError,
    RefusedToStartError, and what an unreadable journal raises; then nothing has changed.
    """
    shutil.rmtree(places.work(), ignore_errors=True)
    os.makedirs(places.work())
    _copy(places)
    snapshot = places.work("snapshot.db")
    _apply_all(places.work("copy"), snapshot)
    new = places.work("new")
    facts = restore(
        snapshot,
        new,
        identity=Identity(cluster_id, own.id),
        bump_revision=bump_revision,
        mark_compacted=mark_compacted,
    )
    _begin_membership(new, facts, own)
    _write_files(places, new, own)
    shutil.rmtree(places.work("copy"))
    os.unlink(snapshot)
    sync_directory(new)
    replace_file(places.work(), "ready", stamp)
    finish(places)
    return facts


def finish(places: Places) -> str:
    """Do what is left of a move; return where the old directory's content is."""
    with open(places.work("ready"), encoding="ascii") as file:
        backup = os.path.join(places.data, BACKUP + file.read().strip())
    if not os.path.exists(places.work("moved")):
        os.makedirs(backup, exist_ok=True)
        for name in os.listdir(places.data):
            if name not in _KEPT and not name.startswith(BACKUP):
                os.rename(os.path.join(places.data, name), os.path.join(backup, name))
        if _is_apart(places) and os.path.isdir(places.journal):
            os.rename(places.journal, f"{places.journal}.{os.path.basename(backup)}")
        sync_directory(places.data)
        replace_file(places.work(), "moved", "")
    for name in os.listdir(places.work("new")):
        os.rename(places.work("new", name), os.path.join(places.data, name))
    sync_directory(places.data)
    os.unlink(places.work("ready"))
    shutil.rmtree(places.work())
    sync_directory(places.data)
    return backup


def _copy(places: Places) -> None:
    os.makedirs(places.work("copy"))
    for name in os.listdir(places.data):
        path = os.path.join(places.data, name)
        if (
            name in _NOT_COPIED
            or name.startswith(BACKUP)
            or os.path.realpath(path) == (os.path.realpath(places.journal))
        ):
            continue
        if os.path.isfile(path):
            shutil.copy2(path, places.work("copy", name))
    shutil.copytree(places.journal, places.work("copy", "journal"))


def _apply_all(directory: str, snapshot: str) -> None:
    """Open a copy as a cluster of one, which applies all of its journal; save what it has."""
    where = Directory(RealDisk(), directory, os.path.join(directory, "journal"), reserve_bytes=0)
    opened = open_member(where, _CONFIG, Metrics(), SILENT, identity=Identity(0, 0))
    try:
        driver = opened.driver
        driver.flush_now(driver.node.now_ms)
        driver.store.backup(snapshot)
    finally:
        opened.close()


def _begin_membership(directory: str, facts: Meta, own: Member) -> None:
    """Make the one member the whole cluster, as of the restored index."""
    store = Store.open(RealDisk(), directory, generation=1)
    try:
        store.write(
            Batch(
                index=facts.index,
                term=facts.term,
                revision=facts.revision,
                compact_revision=facts.compact_revision,
                members=rows({own.id: own}, ()),
            )
        )
        store.checkpoint(truncate=True)
    finally:
        store.close()


def _write_files(places: Places, directory: str, own: Member) -> None:
    replace_file(directory, "format", FORMAT_TEXT)
    if os.path.exists(os.path.join(places.data, dqlite.INFO)):
        node = NodeInfo(own.id, address_of(own.peer_urls), MemberRole.VOTER)
        replace_file(directory, dqlite.INFO, dqlite.info_text(node))
        replace_file(directory, dqlite.CLUSTER, dqlite.cluster_text([node]))


def _files(places: Places) -> Iterator[str]:
    for directory in dict.fromkeys((places.data, places.journal)):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if os.path.isfile(path) and name not in _NOT_COPIED:
                yield path


def _is_apart(places: Places) -> bool:
    inside = os.path.realpath(places.data) + os.sep
    return not os.path.realpath(places.journal).startswith(inside)
