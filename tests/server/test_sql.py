"""`trine sql` reads and never writes."""

import json
from contextlib import closing
from pathlib import Path

from tests.command import Told, trine
from tests.doors import door
from tests.stores import History, new_store

READ_ONLY = "kine is a read-only view of replicated state; use: trine compact"


def directory(tmp_path: Path) -> str:
    history = History()
    with closing(new_store(str(tmp_path))) as store:
        store.write(history.batch(history.put(b"/a", value=b"1"), history.put(b"/b", value=b"2")))
    return str(tmp_path)


def test_one_statement_is_answered_as_a_table(tmp_path: Path) -> None:
    told = trine("sql", f"--data-dir={directory(tmp_path)}", "SELECT name FROM kine WHERE id > 1")
    assert told == Told(0, "+------+\n| name |\n+------+\n| /a   |\n| /b   |\n+------+\n", "")


def test_json_is_one_document(tmp_path: Path) -> None:
    told = trine(
        "sql", f"--storage-dir={directory(tmp_path)}", "-f", "json",
        "SELECT name, value FROM kine WHERE id > 1",
    )  # fmt: skip
    assert json.loads(told.out) == [
        {"name": "/a", "value": "1"},
        {"name": "/b", "value": "2"},
    ]


def test_dqlites_word_for_a_table_is_understood(tmp_path: Path) -> None:
    told = trine("sql", f"--state-dir={directory(tmp_path)}", "-f", "tabular", "SELECT 1 AS one")
    assert told.out == "+-----+\n| one |\n+-----+\n| 1   |\n+-----+\n"


def test_a_write_is_refused_with_what_to_do(tmp_path: Path) -> None:
    told = trine("sql", f"--data-dir={directory(tmp_path)}", "DELETE FROM kine LIMIT 1")
    assert told == Told(1, "", f"trine sql: {READ_ONLY}\n")


def test_lines_of_standard_input_are_answered_one_by_one(tmp_path: Path) -> None:
    told = trine(
        "sql", f"--data-dir={directory(tmp_path)}", "-w", "list",
        stdin="SELECT 1;\n\nDELETE FROM kine;\n.mode csv\nSELECT 2, 3;\n",
    )  # fmt: skip
    assert (told.code, told.err) == (1, f"trine sql: {READ_ONLY}\n")
    assert told.out.splitlines()[-1] == "2,3"


def test_a_directory_without_a_store_is_told(tmp_path: Path) -> None:
    told = trine("sql", f"--data-dir={tmp_path}", "SELECT 1")
    assert told == Told(1, "", f"trine sql: {tmp_path} holds no store\n")


def test_a_running_member_is_asked_from_afar() -> None:
    def answer(method: str, path: str, fields: object) -> tuple[int, object, dict[str, str]]:
        return 200, {"columns": ["id", "name"], "rows": [[1, "/a"]]}, {}

    with door(answer) as at:
        told = trine("sql", "-s", at.address, "-w", "csv", "select id, name from kine")
        assert told == Told(0, "id,name\n1,/a\n", "")
        assert trine("sql", "-s", at.address).code == 2
    assert at.asked[0][2] == {"statement": "select id, name from kine"}
    assert trine("sql", "-s", "127.0.0.1:1", "select 1").code == 1


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = trine("sql", f"--data-dir={tmp_path}/none", "select 1")
    assert told.code == 2
    assert "does not exist: give --data-dir, or -s." in told.err
