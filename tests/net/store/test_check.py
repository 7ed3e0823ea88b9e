"""The offline check finds what is wrong and is silent about what is right."""

import random
import shutil
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from net.store.batch import Batch
from net.store.check import Finding, check
from net.store.connection import plain
from tests.stores import History, filled, new_store


def _lived(directory: Path) -> Path:
    """Make a store that was written, compacted and scrubbed up to revision 20."""
    history = History()
    with closing(new_store(str(directory))) as store:
        for number in range(30):
            keys = [b"/k/%d" % (number % 7), b"/o/%d" % (number % 3)]
            store.write(history.batch(history.put(*keys, value=b"v" * 2000, lease=5)))
        store.write(attrs.evolve(history.batch(history.delete(b"/k/0")), leases_put=[(5, 9, 3)]))
        dead = range(1, 26)
        last = Batch(index=32, term=3, revision=32, compact_revision=20, dead=dead, scrubbed=20)
        store.write(last)
    return directory / "state-1.db"


def _edited(directory: Path, *sql: str) -> Path:
    path = _lived(directory)
    with closing(plain(str(path), vfs=None)) as database:
        for statement in sql:
            database.run(statement)
    return path


def test_a_store_that_lived_is_whole(tmp_path: Path) -> None:
    path = _lived(tmp_path)
    assert check(str(path)) == []
    assert check(str(tmp_path)) == []


def test_a_fresh_store_is_whole(tmp_path: Path) -> None:
    new_store(str(tmp_path)).close()
    assert check(str(tmp_path)) == []


def test_a_store_with_frames_in_its_wal_is_whole(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with closing(filled(str(tmp_path))):
        for name in ("state-1.db", "state-1.db-wal"):
            shutil.copy(tmp_path / name, tmp_path / "copy" / name)
    assert check(str(tmp_path / "copy")) == []


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def note(name: str, done: int, total: int) -> None:
        seen[name] = (done, total)

    path = _lived(tmp_path)
    check(str(path), progress=note)
    pages = path.stat().st_size // 8192
    assert seen == {"pages": (pages, pages), "structure": (1, 1), "changes": (36, 36)}


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("DELETE FROM change WHERE number = 50", "changes between 49 and 51 are missing"),
        ("DELETE FROM change WHERE main = 25", "revisions between 24.1 and 26.0 are missing"),
        ("DELETE FROM change WHERE main = 21", "revisions between 20 and 22.0 are missing"),
        ("DELETE FROM change WHERE number = 61", "the last change is of revision 31, not 32"),
        ("UPDATE change SET version = 9 WHERE number = 51", "change 51 has version 9 after ver"),
        ("UPDATE change SET main = 24 WHERE main = 26", "change 49 is revision 24.0, after 25.1"),
        ("UPDATE change SET tombstone = 1 WHERE number = 30", "change 30 is neither a put nor a"),
        ("UPDATE change SET prev = 1 WHERE number = 60", "change 60 follows change 1 of its key"),
        ("UPDATE change SET prev = 99 WHERE number = 60", "change 60 follows change 99 of its"),
        ("UPDATE change SET lease = 7 WHERE number = 61", "change 61 is a tombstone with a"),
        ("UPDATE change SET create_revision = 99 WHERE number = 60", "created at 99 of 31"),
        ("UPDATE change SET number = 0 WHERE number = 26", "change 0 has no place"),
        ("DELETE FROM lease", "hangs on lease 5, which does not exist"),
        ("DELETE FROM meta WHERE name = 'applied_index'", "has no applied_index"),
        ("DELETE FROM meta WHERE name = 'chain_hash'", "has no chain_hash"),
        ("UPDATE meta SET value = '12' WHERE name = 'cluster_id'", "has no cluster_id"),
        ("UPDATE meta SET value = 0 WHERE name = 'applied_index'", "but no applied index"),
        ("UPDATE meta SET value = 0 WHERE name = 'applied_term'", "applied in term 0"),
        ("UPDATE meta SET value = 0 WHERE name = 'revision'", "revision 0 is below 1"),
        ("UPDATE meta SET value = 99 WHERE name = 'compact_revision'", "99 is above revision 32"),
        ("UPDATE meta SET value = 21 WHERE name = 'scrubbed'", "scrubbed up to 21, above compact"),
        ("UPDATE meta SET value = 9 WHERE name = 'last_number'", "above the last number 9"),
        ("PRAGMA user_version = 8", "schema 8 is not the one this program checks"),
        ("PRAGMA application_id = 8", "is not a store of trine"),
    ],
)
def test_what_does_not_follow_is_found(tmp_path: Path, sql: str, finding: str) -> None:
    found = check(str(_edited(tmp_path, sql)))
    assert any(finding in each.what for each in found), found


def test_many_findings_of_a_kind_are_counted(tmp_path: Path) -> None:
    found = check(str(_edited(tmp_path, "UPDATE change SET version = 0")))
    assert len(found) == 21
    assert found[-1].what.startswith("and ")


def test_what_is_no_store_is_a_finding(tmp_path: Path) -> None:
    missing = str(tmp_path / "state-1.db")
    assert check(missing) == [Finding("file", f"{missing} is missing")]
    assert check(str(tmp_path)) == [Finding("file", f"{tmp_path} holds no store")]
    (tmp_path / "state-1.db").write_bytes(b"text" * 5000)
    assert {each.check for each in check(missing)} == {"pages", "file"}


def test_every_flipped_bit_is_found_by_the_check_or_makes_reading_fail(tmp_path: Path) -> None:
    """80 flips: none may change what is read without an error, and the check sees each."""
    path = _lived(tmp_path)
    whole = path.read_bytes()
    chance = random.Random(20)
    unseen: list[int] = []
    for _ in range(80):
        place = chance.randrange(len(whole) * 8)
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        if not check(str(path)):
            unseen.append(place)
    assert unseen == []


def test_a_store_that_was_never_compacted_is_whole(tmp_path: Path) -> None:
    history = History()
    with closing(new_store(str(tmp_path))) as store:
        store.write(attrs.evolve(history.batch(history.put(b"/a")), compact_revision=-1))
    assert check(str(tmp_path / "state-1.db")) == []


def test_what_the_caller_finds_about_members_is_told_with_the_rest(tmp_path: Path) -> None:
    path = _edited(tmp_path, "INSERT INTO member VALUES (-1, x'07')")
    found = check(str(path), members=lambda rows: [f"{rows}"])
    assert found == [Finding("members", "[(18446744073709551615, b'\\x07')]")]
    assert check(str(path)) == []
