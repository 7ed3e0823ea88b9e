"""The store keeps what it was given, whole batches at a time, under one name for ever."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from net.disk import RealDisk
from net.store.batch import Batch, Meta
from net.store.connection import plain
from net.store.errors import StoreError, StoreHeld
from net.store.store import Store, retire
from tests.stores import IDENTITY, History, filled, new_store, open_store, rows_of


def test_a_fresh_store_is_at_revision_one_with_nothing_applied(tmp_path: Path) -> None:
    with closing(new_store(str(tmp_path))) as store:
        assert store.meta == Meta(
            index=0,
            term=0,
            revision=1,
            compact_revision=0,
            scrubbed=0,
            last_number=0,
            chain_hash=b"",
            cluster_id=IDENTITY.cluster_id,
            member_id=IDENTITY.member_id,
        )


def test_a_batch_comes_back_after_a_restart(tmp_path: Path) -> None:
    history = History()
    rows = history.put(b"/a", b"\x00\xff", value=b"") + history.delete(b"/a")
    batch = attrs.evolve(
        history.batch(rows),
        leases_put=[(7, 60, 1), (-9, 5, 2)],
        alarms=[(2**64 - 1, 1)],
        members=[(2**63, b"me")],
        scrubbed=1,
        chain_hash=b"\x01" * 16,
        notes={"voters": "a,b", "count": 3},
    )
    with closing(new_store(str(tmp_path))) as store:
        store.write(batch)
    with closing(open_store(str(tmp_path))) as store:
        assert rows_of(store) == rows
        assert store.leases() == [(-9, 5, 2), (7, 60, 1)]
        assert store.alarms() == [(2**64 - 1, 1)]
        assert store.members() == [(2**63, b"me")]
        assert store.meta == Meta(
            index=1,
            term=3,
            revision=3,
            compact_revision=0,
            scrubbed=1,
            last_number=3,
            chain_hash=b"\x01" * 16,
            cluster_id=IDENTITY.cluster_id,
            member_id=IDENTITY.member_id,
            notes={"voters": "a,b", "count": 3},
        )


def test_what_a_batch_does_not_name_stays_as_it_was(tmp_path: Path) -> None:
    history = History()
    with closing(new_store(str(tmp_path))) as store:
        store.write(attrs.evolve(history.batch(), alarms=[(5, 1)], chain_hash=b"c", scrubbed=4))
        before = store.meta
        store.write(history.batch())
        assert store.meta == attrs.evolve(before, index=2)
        assert store.alarms() == [(5, 1)]
        store.write(attrs.evolve(history.batch(), alarms=[]))
        assert store.alarms() == []


def test_dead_rows_and_leases_go(tmp_path: Path) -> None:
    history = History()
    with closing(new_store(str(tmp_path))) as store:
        rows = history.put(b"/a") + history.put(b"/a") + history.put(b"/b")
        store.write(attrs.evolve(history.batch(rows), leases_put=[(1, 10, 1), (2, 10, 1)]))
        store.write(attrs.evolve(history.batch(dead=[1]), leases_gone=[1]))
        assert rows_of(store) == rows[1:]
        assert store.leases() == [(2, 10, 1)]
        assert store.meta.last_number == 3


def test_a_slice_of_physical_compaction_may_come_at_the_same_index(tmp_path: Path) -> None:
    with closing(filled(str(tmp_path))) as store:
        again = Batch(index=20, term=3, revision=21, compact_revision=15, dead=[1, 2], scrubbed=2)
        store.write(again)
        assert (len(rows_of(store)), store.applied) == (18, (20, 3))


@pytest.mark.parametrize(
    ("batch", "invariant"),
    [
        (Batch(index=19, term=3, revision=21, compact_revision=0), "INV-STORE-FORWARD"),
        (
            Batch(
                index=21,
                term=3,
                revision=22,
                compact_revision=0,
                changes=[(22, 22, 0, b"k", 22, 1, 0, 0, 0, b"")],
            ),
            "INV-CHANGE-DENSE",
        ),
    ],
)
def test_a_batch_that_does_not_follow_is_a_bug(
    tmp_path: Path, batch: Batch, invariant: str
) -> None:
    with closing(filled(str(tmp_path))) as store:
        with pytest.raises(AssertionError, match=invariant):
            store.write(batch)
        assert store.applied == (20, 3)


def test_a_batch_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    with closing(filled(str(tmp_path))) as store:
        before = rows_of(store)
        taken = (21, 22, 0, b"k", 22, 1, 0, 0, 0, b"")
        bad = Batch(
            index=21,
            term=3,
            revision=22,
            compact_revision=0,
            changes=[taken],
            alarms=[(1, 1), (1, 1)],
        )
        with pytest.raises(Exception, match="UNIQUE"):
            store.write(bad)
        assert rows_of(store) == before
        store.write(attrs.evolve(bad, alarms=[(1, 1)]))
        assert rows_of(store) == [*before, taken]


def test_sizes_tell_free_pages_from_used_ones(tmp_path: Path) -> None:
    history = History()
    with closing(new_store(str(tmp_path))) as store:
        rows = [history.put(b"/k", value=bytes(4000)) for _ in range(100)]
        store.write(history.batch(*rows))
        store.checkpoint(truncate=True)
        full = store.size_bytes()
        assert full == (tmp_path / "state-1.db").stat().st_size
        store.write(history.batch(dead=range(1, 91)))
        assert store.size_bytes() == full
        assert store.in_use_bytes() < full // 2


def test_a_store_in_use_is_never_made_anew(tmp_path: Path) -> None:
    filled(str(tmp_path)).close()
    with pytest.raises(StoreError, match="applied index 20"):
        new_store(str(tmp_path))
    with closing(open_store(str(tmp_path))) as store:
        assert len(rows_of(store)) == 20


@pytest.mark.parametrize("size_bytes", [0, 1, 100, 8192, 20000])
def test_the_remains_of_an_unfinished_creation_are_replaced(
    tmp_path: Path, size_bytes: int
) -> None:
    new_store(str(tmp_path)).close()
    path = tmp_path / "state-1.db"
    path.write_bytes(path.read_bytes()[:size_bytes])
    (tmp_path / "state-1.db-wal").write_bytes(b"stale")
    with closing(new_store(str(tmp_path))) as store:
        assert store.applied == (0, 0)


def test_a_large_file_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "state-1.db").write_bytes(b"\x01" * (2 << 20))
    with pytest.raises(StoreError, match="cannot be read"):
        new_store(str(tmp_path))
    assert (tmp_path / "state-1.db").stat().st_size == 2 << 20


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("PRAGMA user_version = 99", "has schema 99, this program knows up to 1"),
        ("PRAGMA user_version = 0", "has schema 0, which this program cannot bring on"),
        ("PRAGMA application_id = 7", r"is not a store of trine \(application id 0x7\)"),
        ("DELETE FROM meta WHERE name = 'applied_index'", "has no applied_index"),
    ],
)
def test_a_store_of_an_unknown_kind_is_refused(
    tmp_path: Path, statement: str, sentence: str
) -> None:
    filled(str(tmp_path)).close()
    with closing(plain(str(tmp_path / "state-1.db"), vfs=None)) as database:
        database.run(statement)
    (tmp_path / "state-2.db").write_bytes(b"next")
    with pytest.raises(StoreError, match=sentence):
        open_store(str(tmp_path))
    assert (tmp_path / "state-2.db").exists()


def test_a_store_whose_last_page_lost_its_end_is_refused(tmp_path: Path) -> None:
    """SQLite reads such a page as if it ended in zeros, and its checksum is not asked."""
    filled(str(tmp_path)).close()
    path = tmp_path / "state-1.db"
    whole = path.read_bytes()
    (tmp_path / "state-2.db").write_bytes(b"next")
    for lost in (1, 2, 7):
        path.write_bytes(whole[:-lost])
        with pytest.raises(StoreError, match=f"cut short: {len(whole) - lost} bytes of"):
            open_store(str(tmp_path))
    assert (tmp_path / "state-2.db").exists()


def test_a_missing_generation_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"state-4\.db is missing"):
        open_store(str(tmp_path), 4)
    assert os.listdir(tmp_path) == []


def test_a_generation_without_a_switch_is_removed_at_open(tmp_path: Path) -> None:
    with closing(filled(str(tmp_path))) as store:
        store.vacuum_into(2)
    (tmp_path / "state-2.db-wal").write_bytes(b"x")
    (tmp_path / "state-7.db").write_bytes(b"x")
    (tmp_path / "state-x.db").write_bytes(b"someone else's")
    with closing(open_store(str(tmp_path))):
        names = sorted(os.listdir(tmp_path))
    assert names == ["state-1.db", "state-1.db-shm", "state-1.db-wal", "state-x.db"]


def test_a_defragmented_generation_holds_the_same_state(tmp_path: Path) -> None:
    with closing(filled(str(tmp_path))) as store:
        store.write(Batch(index=21, term=4, revision=21, compact_revision=9, dead=range(1, 9)))
        rows, facts = rows_of(store), store.meta
        copy = store.vacuum_into(2)
        assert (copy.generation, copy.index, copy.term) == (2, 21, 4)
    with closing(open_store(str(tmp_path), 2)) as store:
        assert (rows_of(store), store.meta) == (rows, facts)
        assert store.path == copy.path
        store.write(Batch(index=22, term=4, revision=21, compact_revision=9))
    assert os.listdir(tmp_path) == ["state-2.db"]


def test_a_retired_generation_leaves_nothing(tmp_path: Path) -> None:
    store = filled(str(tmp_path))
    store.checkpoint()
    store.close()
    (tmp_path / "state-1.db-wal").write_bytes(b"x")
    retire(RealDisk(), str(tmp_path), 1)
    assert os.listdir(tmp_path) == []


def test_checkpoints_return_the_applied_index_and_truncate_empties_the_wal(tmp_path: Path) -> None:
    with closing(filled(str(tmp_path))) as store:
        assert store.durable_applied() == 20
        assert store.checkpoint() == 20
        assert store.wal_bytes() > 0
        assert store.checkpoint(truncate=True) == 20
        assert store.wal_bytes() == 0


READER = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("begin" + sys.argv[2])
print(c.execute("select count(*) from change").fetchone()[0], flush=True)
sys.stdin.read()
"""


def _foreign(path: Path, mode: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", READER, str(path / "state-1.db"), mode]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "20"
    return process


def test_a_foreign_reader_disturbs_neither_writes_nor_checkpoints(tmp_path: Path) -> None:
    history = History()
    with closing(filled(str(tmp_path))) as store, _foreign(tmp_path, "") as reader:
        history.index, history.revision, history.number = 20, 21, 20
        for _ in range(50):
            store.write(history.batch(history.put(b"/x")))
            store.checkpoint()
        assert store.checkpoint(truncate=True) == 70
        assert store.wal_bytes() > 0
        reader.communicate("")
        assert store.checkpoint(truncate=True) == 70
        assert store.wal_bytes() == 0
        assert len(rows_of(store)) == 70


def test_a_foreign_writer_makes_a_batch_wait_and_loses_nothing(tmp_path: Path) -> None:
    batch = Batch(index=21, term=3, revision=21, compact_revision=0)
    with closing(filled(str(tmp_path))) as store, _foreign(tmp_path, " immediate") as holder:
        with pytest.raises(StoreHeld, match="another process is writing to"):
            store.write(batch)
        assert store.applied == (20, 3)
        holder.communicate("")
        store.write(batch)
        assert store.applied == (21, 3)


def test_a_foreign_program_that_changes_pages_is_found_out(tmp_path: Path) -> None:
    filled(str(tmp_path)).close()
    command = ["sqlite3", str(tmp_path / "state-1.db"), "update meta set value = 7"]
    subprocess.run(command, check=True)
    with pytest.raises(StoreError, match="is damaged"):
        open_store(str(tmp_path))


def test_every_other_connection_may_read_while_the_store_is_open(tmp_path: Path) -> None:
    query = "select count(*), max(id) from kine"
    with closing(filled(str(tmp_path))):
        command = ["sqlite3", str(tmp_path / "state-1.db"), query]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert answer == "21|21\n"


def test_a_finished_creation_is_told_from_its_remains(tmp_path: Path) -> None:
    disk, directory = RealDisk(), str(tmp_path)
    assert not Store.is_created(disk, directory)
    new_store(directory).close()
    assert Store.is_created(disk, directory)
    path = tmp_path / "state-1.db"
    path.write_bytes(path.read_bytes()[:8192])
    assert not Store.is_created(disk, directory)
    path.write_bytes(b"")
    assert not Store.is_created(disk, directory)


def test_unmoved_bytes_are_what_a_checkpoint_has_to_do(tmp_path: Path) -> None:
    history = History()
    with closing(new_store(str(tmp_path))) as store:
        assert store.unmoved_bytes() == 0
        store.write(history.batch(history.put(b"/a", value=bytes(100_000))))
        first = store.unmoved_bytes()
        assert first >= 100_000
        store.checkpoint()
        assert store.unmoved_bytes() == 0
        assert store.wal_bytes() > first
        store.write(history.batch(history.put(b"/a", value=bytes(10))))
        assert 0 < store.unmoved_bytes() < first
        store.checkpoint(truncate=True)
        assert (store.unmoved_bytes(), store.wal_bytes()) == (0, 0)
