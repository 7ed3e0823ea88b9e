"""A snapshot file is whole or refused, and grows into a store again."""

import hashlib
import os
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from net.disk import RealDisk
from net.store import check
from net.store.batch import Batch, Identity
from net.store.errors import StoreClosed, StoreError
from net.store.seal import Backup
from net.store.snapshot import Status, install, restore, status, verify
from net.store.store import retire
from tests.stores import IDENTITY, History, filled, new_store, open_store, rows_of

OTHER = Identity(cluster_id=1, member_id=2**64 - 1)


def _snapshot(directory: Path) -> Path:
    """Make a snapshot of 20 puts over ten keys, one lease, an alarm and a member."""
    (directory / "data").mkdir()
    with closing(filled(str(directory / "data"))) as store:
        store.write(
            Batch(
                index=21,
                term=5,
                revision=21,
                compact_revision=4,
                leases_put=[(9, 60, 4)],
                alarms=[(1, 1)],
                members=[(1, b"me")],
                notes={"n": 1},
            )
        )
        store.backup(str(directory / "snap.db"))
    return directory / "snap.db"


def test_a_backup_is_a_database_with_its_hash_behind_it(tmp_path: Path) -> None:
    with closing(filled(str(tmp_path))) as store:
        made = store.backup(str(tmp_path / "snap.db"))
    data = (tmp_path / "snap.db").read_bytes()
    digest = hashlib.sha256(data[:-32]).digest()
    assert made == Backup(str(tmp_path / "snap.db"), len(data), digest, 20, 3, 21)
    assert (len(data) % 512, data[-32:], data[18:20]) == (32, digest, b"\x01\x01")
    assert sorted(os.listdir(tmp_path)) == ["snap.db", "state-1.db"]


def test_a_store_whose_place_another_took_has_no_backup_and_leaves_no_part(tmp_path: Path) -> None:
    store = filled(str(tmp_path))
    store.close()
    retire(RealDisk(), str(tmp_path), store.generation)
    with pytest.raises(StoreClosed):
        store.backup(str(tmp_path / "snap.db"))
    assert os.listdir(tmp_path) == []


def test_an_earlier_attempt_at_a_backup_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "snap.db").write_bytes(b"half")
    (tmp_path / "snap.db-journal").write_bytes(b"half")
    with closing(filled(str(tmp_path))) as store:
        store.backup(str(tmp_path / "snap.db"))
    verify(str(tmp_path / "snap.db"))


def test_a_snapshot_opens_in_a_foreign_sqlite(tmp_path: Path) -> None:
    command = ["sqlite3", str(_snapshot(tmp_path)), "select count(*) from kine"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"21\n"


def test_status_counts_live_keys(tmp_path: Path) -> None:
    history = History()
    with closing(new_store(str(tmp_path))) as store:
        store.write(history.batch(history.put(b"/a", b"/b", b"/c"), history.delete(b"/b")))
        made = store.backup(str(tmp_path / "snap.db"))
    assert status(made.path) == Status(
        hash=int.from_bytes(made.sha256[:4], "big"),
        revision=3,
        total_keys=2,
        size_bytes=made.size_bytes,
        schema_version=1,
        index=1,
        term=3,
        sha256=made.sha256,
    )


@pytest.mark.parametrize("where", [0, 100, 30000, -33, -32, -1])
def test_a_changed_byte_is_found(tmp_path: Path, where: int) -> None:
    path = _snapshot(tmp_path)
    data = bytearray(path.read_bytes())
    data[where] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged: it states SHA-256"):
        verify(str(path))
    with pytest.raises(StoreError, match="is damaged"):
        restore(str(path), str(tmp_path / "new"), identity=OTHER)


@pytest.mark.parametrize("size_bytes", [0, 31, 32, 4096, 8192 * 3])
def test_a_cut_file_is_not_a_snapshot(tmp_path: Path, size_bytes: int) -> None:
    path = _snapshot(tmp_path)
    path.write_bytes(path.read_bytes()[:size_bytes])
    with pytest.raises(StoreError, match="is not a whole snapshot"):
        verify(str(path))


def test_a_snapshot_of_etcd_itself_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "etcd.db"
    path.write_bytes(bytes(16) + (0xED0CDAED).to_bytes(4, "little") + bytes(4096))
    with pytest.raises(StoreError, match="is a snapshot of etcd itself"):
        verify(str(path))


def test_a_restored_store_is_of_a_new_cluster_with_its_history_compacted(tmp_path: Path) -> None:
    path = _snapshot(tmp_path)
    new = str(tmp_path / "new")
    made = restore(str(path), new, identity=OTHER)
    assert os.listdir(new) == ["state-1.db"]
    with closing(open_store(str(tmp_path / "data"))) as store:
        rows, before = rows_of(store), store.meta
    with closing(open_store(new)) as store:
        assert store.meta == made
        assert store.meta == attrs.evolve(
            before,
            revision=1_000_000_021,
            compact_revision=1_000_000_021,
            cluster_id=OTHER.cluster_id,
            member_id=OTHER.member_id,
            notes={**before.notes, "journal": "begins behind the applied index"},
        )
        assert rows_of(store) == rows
        assert (store.leases(), store.alarms(), store.members()) == ([(9, 60, 4)], [], [])
    assert check.check(new) == []


def test_a_restore_may_keep_revision_and_history(tmp_path: Path) -> None:
    path = _snapshot(tmp_path)
    made = restore(
        str(path), str(tmp_path / "new"), identity=OTHER, bump_revision=0, mark_compacted=False
    )
    assert (made.revision, made.compact_revision) == (21, 4)


@pytest.mark.parametrize(
    ("bump_revision", "mark_compacted", "sentence"),
    [
        (-1, True, "never goes down"),
        (10, False, "needs --mark-compacted"),
        (2**63 - 1, True, "cannot be raised"),
    ],
)
def test_a_revision_that_would_mislead_clients_is_refused(
    tmp_path: Path, bump_revision: int, mark_compacted: bool, sentence: str
) -> None:
    path = _snapshot(tmp_path)
    with pytest.raises(StoreError, match=sentence):
        restore(
            str(path),
            str(tmp_path / "new"),
            identity=OTHER,
            bump_revision=bump_revision,
            mark_compacted=mark_compacted,
        )


def test_a_restore_never_writes_into_a_directory_in_use(tmp_path: Path) -> None:
    path = _snapshot(tmp_path)
    with pytest.raises(StoreError, match="is not empty"):
        restore(str(path), str(tmp_path / "data"), identity=OTHER)


def test_a_lagging_member_installs_a_snapshot_as_its_next_generation(tmp_path: Path) -> None:
    path = _snapshot(tmp_path)
    lagging = tmp_path / "lagging"
    lagging.mkdir()
    with closing(new_store(str(lagging))):
        made = install(RealDisk(), str(path), str(lagging), generation=2, member_id=77)
    with closing(open_store(str(lagging), 2)) as store:
        assert (store.meta, store.applied) == (made, (21, 5))
        assert (store.meta.cluster_id, store.meta.member_id) == (IDENTITY.cluster_id, 77)
        assert (len(rows_of(store)), store.members()) == (20, [(1, b"me")])
    assert os.listdir(lagging) == ["state-2.db"]


def test_backups_checkpoints_and_copies_run_beside_writes(tmp_path: Path) -> None:
    """Every copy made in a thread while batches are written is the state at its own index."""
    history = History()
    backups: list[Backup] = []
    with closing(new_store(str(tmp_path))) as store:

        def copy_again_and_again() -> None:
            for number in range(5):
                backups.append(store.backup(str(tmp_path / f"snap-{number}.db")))
                store.checkpoint()
                assert store.vacuum_into(2).index >= backups[-1].index
                assert store.durable_applied() >= backups[-1].index

        copier = threading.Thread(target=copy_again_and_again)
        copier.start()
        while copier.is_alive():
            keys = [b"/k/%d" % (history.index % 50), b"/other"]
            store.write(history.batch(history.put(*keys, value=bytes(500))))
        copier.join()
    assert len(backups) == 5
    for made in backups:
        found = status(made.path)
        assert (found.index, found.revision) == (made.index, made.revision)
        assert check.check(made.path) == []
