"""A schema is brought on step by step, each step whole or not at all."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from net.store.connection import Database, plain, writer
from net.store.errors import StoreError
from net.store.schema import APPLICATION_ID, SCHEMA_VERSION, migrate, schema_version
from tests.stores import filled

STEPS = {
    SCHEMA_VERSION: ("ALTER TABLE lease ADD COLUMN remaining_s INTEGER NOT NULL DEFAULT 0",),
    SCHEMA_VERSION + 1: ("CREATE TABLE key(name BLOB) STRICT", "DROP TABLE auth"),
}
NEWEST = SCHEMA_VERSION + 2


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    filled(str(tmp_path)).close()
    with closing(writer(str(tmp_path / "state-1.db"), vfs=None)) as opened:
        yield opened


def test_a_store_says_what_it_is_in_its_header(tmp_path: Path) -> None:
    filled(str(tmp_path)).close()
    header = (tmp_path / "state-1.db").read_bytes()[:100]
    assert int.from_bytes(header[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(header[60:64], "big") == SCHEMA_VERSION


def test_the_newest_schema_needs_no_step(database: Database) -> None:
    assert migrate(database) == 0


def test_steps_are_taken_in_order_and_rows_stay(database: Database) -> None:
    assert migrate(database, known=STEPS, newest=NEWEST) == 2
    assert schema_version(database) == NEWEST
    assert database.number("SELECT count(*) FROM change") == 20
    assert migrate(database, known=STEPS, newest=NEWEST) == 0


def test_a_step_that_fails_is_undone_and_those_before_it_stay(database: Database) -> None:
    broken = {**STEPS, SCHEMA_VERSION + 1: ("DROP TABLE auth", "DROP TABLE absent")}
    with pytest.raises(apsw.SQLError, match="no such table: absent"):
        migrate(database, known=broken, newest=NEWEST)
    assert schema_version(database) == SCHEMA_VERSION + 1
    assert database.number("SELECT count(*) FROM auth") == 0


def test_a_gap_in_the_table_of_steps_is_refused(tmp_path: Path) -> None:
    filled(str(tmp_path)).close()
    with closing(plain(str(tmp_path / "state-1.db"), vfs=None)) as database:
        database.run("PRAGMA user_version = 0")
        with pytest.raises(StoreError, match="which this program cannot bring on"):
            migrate(database)
