"""The SQL console reads the newest finished generation, and refuses writes by their kind."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from net.store.errors import StoreError
from net.store.schema import READ_ONLY
from net.store.sql import Console, open_newest, query, refusal, statements
from net.store.store import Store
from tests.stores import History, filled, new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(filled(str(tmp_path), puts=3)) as made:
        yield made


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM kine WHERE name LIKE 'gap-%' LIMIT 1000",
        "delete from kine where id in (select id from kine) order by id limit 5",
        "  -- why not\n /* really */ DeLeTe FROM kine",
        "WITH old AS (SELECT id FROM kine) DELETE FROM kine WHERE id IN old",
        "WITH RECURSIVE old(id) AS (VALUES(1)) INSERT INTO kine SELECT * FROM old",
        "EXPLAIN DELETE FROM change",
        "EXPLAIN QUERY PLAN UPDATE change SET value = NULL",
        "INSERT INTO kine VALUES(1)",
        "REPLACE INTO meta VALUES('revision', 1)",
        "UPDATE meta SET value = 1",
        "DROP TABLE change",
        "ALTER TABLE change RENAME TO rows",
        "CREATE TABLE t(a)",
        "VACUUM INTO '/tmp/x'",
        "REINDEX",
        "ANALYZE",
        "PRAGMA journal_mode = delete",
        "PRAGMA journal_mode(delete)",
        "PRAGMA wal_checkpoint",
        "PRAGMA user_version=9",
        "PRAGMA",
    ],
)
def test_a_write_is_refused_by_its_kind(store: Store, tmp_path: Path, statement: str) -> None:
    assert refusal(statement) == READ_ONLY
    with pytest.raises(StoreError, match="kine is a read-only view of replicated state"):
        list(Console(str(tmp_path)).answer(statement))


@pytest.mark.parametrize("statement", ["BEGIN", "ATTACH 'x' AS y", "COMMIT", "hello"])
def test_what_is_neither_query_nor_write_is_refused(statement: str) -> None:
    assert refusal(statement) == (
        "only queries run here: SELECT, VALUES, WITH, EXPLAIN and asking PRAGMAs"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 'delete from kine', replace('a', 'b', 'c') FROM kine",
        "WITH gone AS (SELECT 1) SELECT * FROM gone",
        'select "name" as "delete" from kine',
        "VALUES(1), (2)",
        "EXPLAIN QUERY PLAN SELECT * FROM kine",
        "PRAGMA table_info(change)",
        "PRAGMA page_count",
        "",
    ],
)
def test_a_query_is_not_refused(statement: str) -> None:
    assert refusal(statement) is None


def test_statements_end_at_semicolons_outside_quotes() -> None:
    text = "select ';' as \"a;b\"; -- no; end\n select 2 /* ; */ ;; "
    assert statements(text) == ["select ';' as \"a;b\"", "-- no; end\n select 2 /* ; */"]


def test_nothing_runs_behind_a_query(store: Store, tmp_path: Path) -> None:
    console = Console(str(tmp_path), mode="list")
    with pytest.raises(StoreError, match="read-only"):
        list(console.answer("select 1; delete from change"))
    assert list(console.answer("select count(*) from change; values(7)")) == ["3", "7"]


QUERY = "select id, name, value from kine where id > 2"
TABLE = """\
+----+------+-------+
| id | name | value |
+----+------+-------+
| 3  | /k/1 | v1    |
| 4  | /k/2 | v2    |
+----+------+-------+"""


@pytest.mark.parametrize(
    ("mode", "output"),
    [
        ("table", TABLE),
        ("list", "3|/k/1|v1\n4|/k/2|v2"),
        ("csv", "id,name,value\n3,/k/1,v1\n4,/k/2,v2"),
        (
            "json",
            '[{"id": 3, "name": "/k/1", "value": "v1"}\n'
            ',{"id": 4, "name": "/k/2", "value": "v2"}\n]',
        ),
        ("line", "   id = 3\n name = /k/1\nvalue = v1\n\n   id = 4\n name = /k/2\nvalue = v2\n"),
    ],
)
def test_rows_are_shown_in_the_chosen_mode(
    store: Store, tmp_path: Path, mode: str, output: str
) -> None:
    console = Console(str(tmp_path))
    assert list(console.answer(f".mode {mode}")) == []
    assert list(console.answer(".mode")) == [mode]
    assert "\n".join(console.answer(QUERY + ";")) == output


@pytest.mark.parametrize(
    ("mode", "output"),
    [("table", "+----+\n| id |\n+----+"), ("json", "[]"), ("list", ""), ("csv", "id")],
)
def test_a_query_without_rows_still_names_its_columns(
    store: Store, tmp_path: Path, mode: str, output: str
) -> None:
    console = Console(str(tmp_path))
    list(console.answer(f".mode {mode}"))
    assert "\n".join(console.answer("select id from kine where id > 99")) == output


def test_values_that_are_not_text_are_shown_as_hex(tmp_path: Path) -> None:
    history = History()
    with closing(new_store(str(tmp_path))) as store:
        store.write(history.batch(history.put(b"\x00\xff", value=b"k8s\x00\n\xc3\x28")))
        answer = list(Console(str(tmp_path), mode="list").answer("select key, value from change"))
    assert answer == ["x'00ff'|x'6b3873000ac328'"]


def test_dot_commands_describe_the_store(store: Store, tmp_path: Path) -> None:
    console = Console(str(tmp_path))
    tables = ["alarm", "auth", "change", "kine", "lease", "member", "meta"]
    assert list(console.answer(".tables")) == tables
    assert list(console.answer(".schema member")) == [
        "CREATE TABLE member(id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;"
    ]
    assert ".tables" in "\n".join(console.answer(".help"))
    for unknown in (".quit now", ".mode fancy", ".mode plain", "."):
        with pytest.raises(StoreError):
            list(console.answer(unknown))


def test_a_mistake_in_a_query_is_a_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such table: kin"):
        list(Console(str(tmp_path)).answer("select * from kin"))


def test_an_unfinished_generation_is_passed_over(store: Store, tmp_path: Path) -> None:
    (tmp_path / "state-2.db").write_bytes(b"")
    (tmp_path / "state-3.db").write_bytes(b"\x01" * 10000)
    with closing(open_newest(str(tmp_path))) as database:
        assert database.path == store.path


def test_a_directory_without_a_store_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        open_newest(str(tmp_path))


def test_reading_a_stopped_store_leaves_no_file_behind(tmp_path: Path) -> None:
    filled(str(tmp_path)).close()
    assert list(Console(str(tmp_path), mode="list").answer("select max(id) from kine")) == ["21"]
    assert os.listdir(tmp_path) == ["state-1.db"]


def test_a_console_beside_a_busy_store_never_meets_a_lock(tmp_path: Path) -> None:
    """Queries open and close all the time while batches are written and the WAL is emptied."""
    history = History()
    console = Console(str(tmp_path), mode="list")
    seen: list[int] = []

    def ask() -> None:
        for _ in range(60):
            seen.append(int(next(console.answer("select max(id) from kine"))))

    with closing(new_store(str(tmp_path))) as store:
        asking = threading.Thread(target=ask)
        asking.start()
        while asking.is_alive():
            store.write(history.batch(history.put(b"/k", value=bytes(2000))))
            store.checkpoint(truncate=history.index % 3 == 0)
        asking.join()
        assert store.meta.revision == history.revision
    assert len(seen) == 60
    assert seen == sorted(seen)


def test_rows_are_given_as_values_with_bytes_as_text(tmp_path: Path) -> None:
    history = History()
    with closing(new_store(str(tmp_path))) as store:
        store.write(history.batch(history.put(b"/a", value=b"1"), history.put(b"/b", value=b"2")))
    where = str(tmp_path)
    asked = "SELECT id, name, value FROM kine WHERE id > 1 ORDER BY id"
    columns, rows = query(where, asked, rows_max=2, bytes_max=100)
    assert (columns, rows) == (["id", "name", "value"], [(2, "/a", "1"), (3, "/b", "2")])
    for wrong, reason in (("DELETE FROM kine", "read-only view"), ("SELECT x", "no such column")):
        with pytest.raises(StoreError, match=reason):
            query(where, wrong, rows_max=2, bytes_max=100)
    for rows_max, bytes_max in ((1, 100), (2, 3)):
        with pytest.raises(StoreError, match="the answer is too long"):
            query(where, asked, rows_max=rows_max, bytes_max=bytes_max)
