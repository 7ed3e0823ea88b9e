"""`trine check` tells whole from damaged."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from core.members import Member, MemberRole, body
from net.disk import RealDisk
from net.journal import PACK, Frame, Journal
from net.store.connection import plain
from server.check import member_faults
from tests.command import Told, trine
from tests.stores import History, new_store


def directory(tmp_path: Path) -> Path:
    """Make a data directory in which a little was written."""
    path = tmp_path / "d"
    path.mkdir()
    history = History()
    with closing(new_store(str(path))) as store:
        store.write(history.batch(history.put(b"/a")))
        store.backup(str(tmp_path / "s.db"))
    (path / "journal").mkdir()
    journal, _ = Journal.open(RealDisk(), str(path / "journal"), segment_bytes=1 << 20)
    journal.append([Frame(PACK, 3, 1, b"x")])  # type: ignore[arg-type]
    journal.sync()
    journal.close()
    return path


def test_a_whole_directory_is_whole(tmp_path: Path) -> None:
    path = directory(tmp_path)
    told = trine("check", str(path))
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines()[-1] == f"{path} is whole."


def test_json_output_has_every_finding(tmp_path: Path) -> None:
    path = directory(tmp_path)
    told = trine("check", str(path), "-w", "json")
    found = json.loads(told.out)
    assert (found["path"], found["isWhole"]) == (str(path), True)
    assert {one["part"] for one in found["found"]} == {"store", "journal"}


def test_damage_in_the_store_is_told(tmp_path: Path) -> None:
    path = directory(tmp_path)
    with closing(plain(str(path / "state-1.db"), vfs=None)) as database:
        database.run("DELETE FROM change")
    told = trine("check", str(path))
    assert told.code == 1
    assert "DAMAGE  store changes: " in told.out
    assert told.out.splitlines()[-1] == f"{path} is damaged."


def test_damage_in_the_journal_is_told(tmp_path: Path) -> None:
    path = directory(tmp_path)
    for segment in (path / "journal").glob("*.seg"):
        data = bytearray(segment.read_bytes())
        data[0:64] = b"\xff" * 64
        segment.write_bytes(data)
    told = trine("check", str(path))
    assert told.code == 1
    assert "DAMAGE  journal: " in told.out


def test_a_journal_elsewhere_is_found_by_its_flag(tmp_path: Path) -> None:
    path = directory(tmp_path)
    (path / "journal").rename(tmp_path / "w")
    assert "is missing: right after a restore" in trine("check", str(path)).out
    assert "is missing" not in trine("check", str(path), f"--wal-dir={tmp_path}/w").out


def test_a_snapshot_is_checked_by_its_digest(tmp_path: Path) -> None:
    directory(tmp_path)
    file = tmp_path / "s.db"
    assert trine("check", str(file)).out.splitlines()[-1] == f"{file} is whole."
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    told = trine("check", str(file))
    assert (told.code, told.out.startswith("DAMAGE  snapshot: ")) == (1, True)


def test_a_directory_whose_member_runs_is_refused(tmp_path: Path) -> None:
    path = directory(tmp_path)
    lock = RealDisk().lock(str(path / "LOCK"))
    told = trine("check", str(path))
    lock.release()
    assert told == Told(
        2,
        "",
        f"trine check: a member runs on {path}: stop it, or save a snapshot and check that.\n",
    )
    assert trine("check", str(path)).code == 0


def test_a_store_alone_can_be_checked(tmp_path: Path) -> None:
    path = directory(tmp_path) / "state-1.db"
    told = trine("check", str(path))
    assert told.out.splitlines() == [
        "ok      store: pages, structure and history follow each other",
        f"{path} is whole.",
    ]


VOTER = Member(1, "a", ("http://a:2380",))
LEARNER = VOTER._replace(id=2, role=MemberRole.STAND_BY)


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        ([], []),
        ([(1, body(VOTER)), (2, body(LEARNER)), (3, b"\0")], []),
        ([(2, body(LEARNER))], ["none of 1 members votes"]),
        ([(1, b"\7")], ["member 1: unpack_from requires a buffer"]),
    ],
)
def test_members_can_be_read_and_one_votes(
    rows: list[tuple[int, bytes]], faults: list[str]
) -> None:
    said = list(member_faults(rows))
    assert [text[: len(fault)] for text, fault in zip(said, faults, strict=True)] == faults
