"""`trine recover`: what it tells, what it keeps, what the new cluster has; and a crash between."""

import os
import re
from pathlib import Path

import pytest

from core.inputs import Offered
from core.members import Member
from core.node import NodeConfig
from core.operations import Put
from net.disk import RealDisk
from net.driver import Synced
from net.metrics import Metrics
from net.store.batch import Identity
from net.store.snapshot import BUMP_REVISION
from net.telemetry import SILENT
from server.config import ConfigError
from server.preflight import preflight
from server.rebuilding import Places, finish, is_interrupted
from server.recover import Directory, Opened, open_member
from tests.command import trine
from tests.configured import configured

CONFIG = NodeConfig(
    member_id=0,
    origin=1,
    quota_bytes=1 << 30,
    request_bytes_max=1 << 20,
    fragment_bytes=1 << 20,
    progress_interval_ms=600_000,
)
MEMBERS = [
    Member(number, name, (f"https://10.0.0.{number}:2380",))
    for number, name in ((1, "a"), (2, "b"), (3, "c"))
]


def opened(path: Path, *founders: Member) -> Opened:
    where = Directory(
        RealDisk(), str(path), str(path / "journal"), segment_bytes=1 << 20, reserve_bytes=0
    )
    identity = Identity(0xCC, 2)
    return open_member(where, CONFIG, Metrics(), SILENT, identity=identity, founders=founders)


def put(member: Opened, *keys: bytes) -> None:
    driver = member.driver
    for inputs in ([], [Offered("client", Put(key, b"v"), 10) for key in keys]):
        pending: list[object] = list(inputs)
        while (io := driver.turn(driver.node.now_ms + 60, pending)).sync:  # type: ignore[arg-type]  # by test
            driver.journal.sync()
            pending = [Synced(io.sync)]


def lost(path: Path) -> Path:
    """Make the directory of the second of three members, with two keys; return it."""
    member = opened(path, *MEMBERS)
    put(member, b"/a", b"/b")
    member.close()
    return path


def keys(path: Path) -> tuple[list[bytes], int, list[Member], int, int]:
    """Open a directory; return its keys, revision, members, cluster and member."""
    member = opened(path)
    state = member.driver.node.state
    found = (list(state.index.live), state.revision, list(state.members.values()),
             member.identity.cluster_id, member.identity.member_id)  # fmt: skip
    member.close()
    return found


def content(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes()
            for each in path.rglob("*") if each.is_file()}  # fmt: skip


def test_nothing_is_changed_unless_it_is_meant(tmp_path: Path) -> None:
    where = lost(tmp_path / "d")
    before = content(where)
    told = trine("recover", str(where))
    assert (told.code, told.err) == (0, "")
    assert f"{where}: member 2 of cluster cc" in told.out
    for member in ("1 a at https://10.0.0.1:2380", "2 b at https://10.0.0.2:2380"):
        assert f" {member}\n" in told.out
    assert re.search(r"journal +up to term \d+, index \d+\n", told.out)
    assert "What is lost for good:" in told.out
    assert told.out.endswith(f"Nothing was changed. To do it: trine recover {where} --yes\n")
    assert content(where) == before


def test_the_new_cluster_has_one_member_and_all_it_had(tmp_path: Path) -> None:
    where = lost(tmp_path / "d")
    before = content(where)
    told = trine("recover", str(where), "--yes")
    assert (told.code, told.err) == (0, "")
    assert f"Done: a cluster of one member at revision {BUMP_REVISION + 3}." in told.out
    found, revision, members, cluster_id, member_id = keys(where)
    assert (found, revision, member_id) == ([b"/a", b"/b"], BUMP_REVISION + 3, 2)
    assert members == [Member(2, "b", ("https://10.0.0.2:2380",))]
    assert cluster_id != 0xCC
    backups = [each for each in where.iterdir() if each.name.startswith("before-recover-")]
    assert len(backups) == 1
    # What was there is there as it was, but for the lock, which never moves.
    del before["LOCK"]
    assert content(backups[0]) == before


def test_what_people_wrote_stays_and_the_lists_follow(tmp_path: Path) -> None:
    where = lost(tmp_path / "d")
    for name in ("cluster.crt", "cluster.key", "failure-domain"):
        (where / name).write_text(name)
    (where / "info.yaml").write_text("ID: 2\nAddress: 10.0.0.2:2380\nRole: 1\n")
    (where / "cluster.yaml").write_text("- ID: 1\n  Address: 10.0.0.1:2380\n")
    assert trine("recover", str(where), "--yes", "--peer-urls=https://10.0.0.9:1").code == 0
    assert (where / "cluster.key").read_text() == "cluster.key"
    assert (where / "info.yaml").read_text() == "ID: 2\nAddress: 10.0.0.9:1\nRole: 0\n"
    assert (where / "cluster.yaml").read_text() == ("- ID: 2\n  Address: 10.0.0.9:1\n  Role: 0\n")


def test_a_revision_may_stay(tmp_path: Path) -> None:
    where = lost(tmp_path / "d")
    args = ("--yes", "--bump-revision=0", "--no-mark-compacted")
    assert trine("recover", str(where), *args).code == 0
    assert keys(where)[1] == 3


def test_a_journal_on_a_disk_of_its_own_is_kept_beside_it(tmp_path: Path) -> None:
    where = lost(tmp_path / "d")
    os.rename(where / "journal", tmp_path / "w")
    told = trine("recover", str(where), f"--wal-dir={tmp_path / 'w'}", "--yes")
    assert (told.code, told.err) == (0, "")
    assert len([each for each in tmp_path.iterdir() if each.name.startswith("w.before-")]) == 1
    assert keys(where)[0] == [b"/a", b"/b"]


def test_a_running_member_is_left_alone(tmp_path: Path) -> None:
    lost(tmp_path / "d")
    member = opened(tmp_path / "d")
    told = trine("recover", str(tmp_path / "d"), "--yes")
    member.close()
    assert told.code == 2
    assert "stop it first" in told.err


def test_a_directory_without_a_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    told = trine("recover", str(tmp_path))
    assert (told.code, told.err) == (1, f"trine recover: {tmp_path} holds no store.\n")
    told = trine("recover", str(tmp_path), f"--wal-dir={tmp_path}")
    assert told.code == 1
    assert trine("recover").code == 2


def test_a_directory_without_its_journal_is_refused(tmp_path: Path) -> None:
    where = lost(tmp_path / "d")
    os.rename(where / "journal", tmp_path / "j")
    told = trine("recover", str(where))
    assert told.code == 1
    assert "journal is missing" in told.err


def test_a_move_that_was_interrupted_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the process end at each rename in turn; the next run always ends well."""
    rename = os.rename
    left = [0]
    interrupted = 0

    def failing(source: str, target: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(5, "power failed", source)
        rename(source, target)

    for moves in range(1, 20):
        where = lost(tmp_path / str(moves))
        left[0] = moves
        monkeypatch.setattr(os, "rename", failing)
        told = trine("recover", str(where), "--yes")
        monkeypatch.setattr(os, "rename", rename)
        if told.code == 0:
            break
        if is_interrupted(str(where)):
            interrupted += 1
            with pytest.raises(ConfigError, match="a recovery of it was interrupted"):
                preflight(configured(f"--data-dir={where}"))
            assert trine("recover", str(where)).code == 1
        assert trine("recover", str(where), "--yes").code == 0
        assert keys(where)[0] == [b"/a", b"/b"]
    else:
        pytest.fail("it never got through")
    assert interrupted > 3


def test_a_copy_that_was_interrupted_is_begun_anew(tmp_path: Path) -> None:
    where = lost(tmp_path / "d")
    (where / "recovering" / "copy").mkdir(parents=True)
    (where / "recovering" / "copy" / "format").write_text("half")
    assert trine("recover", str(where), "--yes").code == 0
    assert not (where / "recovering").exists()
    with pytest.raises(FileNotFoundError):
        finish(Places(str(where), str(where / "journal")))
