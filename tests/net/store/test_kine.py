"""The view `kine` answers the queries of k8s-dqlite's operators, and refuses their writes."""

import subprocess
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from net.store.schema import READ_ONLY
from net.store.sql import open_newest
from net.store.store import Store
from tests.stores import History, new_store

KINE_COLUMNS = "id, name, created, deleted, create_revision, prev_revision, lease, value, old_value"
LAG = (
    "SELECT MAX(id) - (SELECT crkv.prev_revision FROM kine crkv"
    " WHERE crkv.name = 'compact_rev_key') FROM kine"
)


def _store(directory: Path) -> tuple[Store, History]:
    return new_store(str(directory)), History()


def _answer(directory: Path, query: str) -> list[tuple[object, ...]]:
    with closing(open_newest(str(directory))) as database:
        return list(database.run(query))


def test_every_change_is_a_row_with_what_came_before(tmp_path: Path) -> None:
    store, history = _store(tmp_path)
    with closing(store):
        rows = history.put(b"/a", value=b"1") + history.put(b"/a", value=b"2", lease=7)
        store.write(history.batch(rows, history.delete(b"/a"), history.put(b"/a", value=b"3")))
    assert _answer(tmp_path, f"SELECT {KINE_COLUMNS} FROM kine") == [
        (1, "compact_rev_key", 1, 0, 0, 0, 0, b"", b""),
        (2, "/a", 1, 0, 2, 0, 0, b"1", None),
        (3, "/a", 0, 0, 2, 2, 7, b"2", b"1"),
        (4, "/a", 0, 1, 0, 3, 0, None, b"2"),
        (5, "/a", 1, 0, 5, 4, 0, b"3", None),
    ]


def test_the_user_key_of_kubes_compactor_is_hidden_behind_the_synthetic_row(
    tmp_path: Path,
) -> None:
    store, history = _store(tmp_path)
    with closing(store):
        store.write(history.batch(history.put(b"compact_rev_key", value=b"224")))
        store.write(attrs.evolve(history.batch(), compact_revision=2))
    query = f"SELECT {KINE_COLUMNS} FROM kine WHERE name = 'compact_rev_key'"
    assert _answer(tmp_path, query) == [(1, "compact_rev_key", 1, 0, 0, 2, 0, b"", b"")]


def test_compaction_lag_is_revisions_since_the_compaction(tmp_path: Path) -> None:
    store, history = _store(tmp_path)
    with closing(store):
        assert _answer(tmp_path, LAG) == [(1,)]
        store.write(history.batch(*(history.put(b"/a") for _ in range(10))))
        assert _answer(tmp_path, LAG) == [(11,)]
        store.write(attrs.evolve(history.batch(), compact_revision=9))
        assert _answer(tmp_path, LAG) == [(2,)]
        # Restored with a bumped revision: no row carries it, and the lag is not negative.
        store.write(attrs.evolve(history.batch(), revision=1011, compact_revision=1011))
        assert _answer(tmp_path, LAG) == [(0,)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select id, name, value from kine limit 2", 2),
        ("SELECT COUNT(*) FROM kine WHERE name LIKE 'gap-%'", 1),
        ("SELECT name, COUNT(*) as cnt FROM kine GROUP BY name HAVING cnt >= 5 ORDER BY cnt", 2),
        ("select * from kine where name='/a'", 6),
        ("select * from kine where id=3", 2),
        ("SELECT COUNT(*) FROM kine WHERE deleted = 1", 1),
    ],
)
def test_operators_queries_run_unchanged(tmp_path: Path, query: str, expected: int) -> None:
    store, history = _store(tmp_path)
    with closing(store):
        store.write(history.batch(*(history.put(b"/a", b"/b") for _ in range(6))))
        assert len(_answer(tmp_path, query)) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM kine WHERE id < 9",
        "UPDATE kine SET value = NULL",
        "INSERT INTO kine(id, name) VALUES(9, 'gap-9')",
    ],
)
def test_a_foreign_sqlite_is_told_to_use_trine_compact(tmp_path: Path, statement: str) -> None:
    store, history = _store(tmp_path)
    with closing(store):
        store.write(history.batch(history.put(b"/a")))
        command = ["sqlite3", str(tmp_path / "state-1.db"), statement]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (answer.returncode != 0, READ_ONLY in answer.stderr) == (True, True)
