"""Opening a data directory: first start, restart, a lost journal, a newer format."""

from pathlib import Path

import pytest

from core.answers import Done
from core.inputs import Offered
from core.machine import Applied, MembersNow
from core.members import Member, rows
from core.node import NodeConfig
from core.operations import Put
from core.state import drop_member
from net.disk import DiskLocked, RealDisk
from net.driver import Synced
from net.metrics import Metrics
from net.store.batch import Identity
from net.store.snapshot import restore
from net.telemetry import SILENT
from server.identity import cluster_id
from server.recover import Directory, Opened, RefusedToStartError, open_member

CONFIG = NodeConfig(
    member_id=0,
    origin=1,
    quota_bytes=1 << 30,
    request_bytes_max=1 << 20,
    fragment_bytes=1 << 20,
    progress_interval_ms=600_000,
)


def opened_at(path: Path) -> Opened:
    where = Directory(RealDisk(), str(path), str(path / "journal"), segment_bytes=1 << 20)
    return open_member(where, CONFIG, Metrics(), SILENT, identity=Identity(5, 6))


def turn(member: Opened, *inputs: object) -> list[object]:
    """Take turns until nothing is left to sync; return the answers."""
    driver = member.driver
    answers: list[object] = []
    pending = list(inputs)
    while True:
        io = driver.turn(driver.node.now_ms + 60, pending)  # type: ignore[arg-type]  # by test
        answers += [reply.answer for reply in io.replies]
        if not io.sync:
            return answers
        driver.journal.sync()
        pending = [Synced(io.sync)]


def put(member: Opened, key: bytes) -> None:
    turn(member, Offered("client", Put(key, b"v"), 10))


def test_what_was_written_is_there_after_a_clean_stop(tmp_path: Path) -> None:
    member = opened_at(tmp_path)
    turn(member)
    put(member, b"/a")
    member.close()
    again = opened_at(tmp_path)
    assert list(again.driver.node.state.index.live) == [b"/a"]
    assert again.driver.node.state.revision == 2
    again.close()


def test_what_was_synced_is_there_after_an_abrupt_end(tmp_path: Path) -> None:
    member = opened_at(tmp_path)
    turn(member)
    put(member, b"/a")
    put(member, b"/b")
    member.driver.store.close()
    member.driver.journal.close()
    member.lock.release()
    again = opened_at(tmp_path)
    assert sorted(again.driver.node.state.index.live) == [b"/a", b"/b"]
    again.close()


def test_a_second_member_on_the_directory_is_refused(tmp_path: Path) -> None:
    member = opened_at(tmp_path)
    with pytest.raises(DiskLocked):
        opened_at(tmp_path)
    member.close()


def test_a_deleted_journal_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    member = opened_at(tmp_path)
    turn(member)
    put(member, b"/a")
    member.close()
    for segment in (tmp_path / "journal").iterdir():
        segment.unlink()
    with pytest.raises(RefusedToStartError, match="INV-LOG-COVERS-STATE"):
        opened_at(tmp_path)


def test_a_restored_directory_begins_its_journal_once(tmp_path: Path) -> None:
    member = opened_at(tmp_path / "old")
    turn(member)
    put(member, b"/a")
    member.driver.flush_now(0)
    member.driver.store.backup(str(tmp_path / "snap"))
    member.close()
    restore(str(tmp_path / "snap"), str(tmp_path / "new"), identity=Identity(7, 8))
    restored = opened_at(tmp_path / "new")
    turn(restored)
    put(restored, b"/b")
    assert restored.driver.node.state.revision == 1_000_000_003
    restored.close()
    for segment in (tmp_path / "new" / "journal").iterdir():
        segment.unlink()
    with pytest.raises(RefusedToStartError, match="the journal was deleted"):
        opened_at(tmp_path / "new")


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "format").write_text("trine data directory, format 2\n")
    with pytest.raises(RefusedToStartError, match="this build reads format 1"):
        opened_at(tmp_path)


# Members.

ME = Member(6, "me", ("http://127.0.0.1:2380",), ("http://127.0.0.1:2379",))
OTHER = Member(9, "other", ("http://127.0.0.2:2380",))


def founded_at(path: Path, *founders: Member) -> Opened:
    where = Directory(RealDisk(), str(path), str(path / "journal"), segment_bytes=1 << 20)
    identity = Identity(5, 6)
    return open_member(where, CONFIG, Metrics(), SILENT, identity=identity, founders=founders)


def members_of(member: Opened) -> list[Member]:
    return sorted(member.driver.node.state.members.values())


def test_a_founder_knows_its_cluster_from_its_log_and_later_from_its_store(tmp_path: Path) -> None:
    for _ in range(3):
        member = founded_at(tmp_path, OTHER, ME)
        assert members_of(member) == [ME, OTHER]
        turn(member)
        member.close()
    again = founded_at(tmp_path, ME._replace(name="renamed"))
    assert members_of(again) == [ME, OTHER]
    again.close()


def test_a_directory_from_before_members_were_stored_is_a_cluster_of_one(tmp_path: Path) -> None:
    member = opened_at(tmp_path)
    turn(member)
    put(member, b"/a")
    assert members_of(member) == []
    member.close()
    for _ in range(2):
        again = founded_at(tmp_path, ME, OTHER)
        assert members_of(again) == [ME]
        assert list(again.driver.node.state.index.live) == [b"/a"]
        turn(again)
        again.close()


def test_a_crash_before_the_first_flush_founds_nothing_twice(tmp_path: Path) -> None:
    member = founded_at(tmp_path, ME, OTHER)
    index = member.driver.journal.last_index
    # Nothing is flushed: what is known of members is in the journal alone.
    member.driver.store.close()
    member.driver.journal.close()
    member.lock.release()
    again = founded_at(tmp_path, ME, OTHER)
    assert members_of(again) == [ME, OTHER]
    assert again.driver.journal.last_index == index
    again.close()


THIRD = Member(11, "third", ("http://127.0.0.3:2380",))


def restored_at(path: Path, identity: Identity) -> None:
    """Write a directory for this member out of a snapshot of a cluster of two."""
    member = founded_at(path.parent / "old", ME, OTHER)
    turn(member)
    put(member, b"/a")
    member.driver.flush_now(0)
    member.driver.store.backup(str(path.parent / "snapshot"))
    member.close()
    restore(str(path.parent / "snapshot"), str(path), identity=identity)


def test_a_restored_snapshot_is_founded_anew(tmp_path: Path) -> None:
    restored_at(tmp_path / "new", Identity(cluster_id([ME.id, THIRD.id]), ME.id))
    again = founded_at(tmp_path / "new", ME, THIRD)
    assert members_of(again) == [ME, THIRD]
    assert again.driver.node.state.removed == set()
    again.close()


def test_a_snapshot_restored_for_one_member_is_alone_whatever_flags_list(tmp_path: Path) -> None:
    restored_at(tmp_path / "new", Identity(cluster_id([ME.id]), ME.id))
    again = founded_at(tmp_path / "new", ME, THIRD)
    assert members_of(again) == [ME]
    again.close()


def test_founders_of_another_start_are_this_member_alone(tmp_path: Path) -> None:
    """A crash came between identity and founders, and the next start drew another id."""
    opened_at(tmp_path).close()
    again = founded_at(tmp_path, ME._replace(id=77))
    assert members_of(again) == [ME]
    again.close()


def test_a_member_that_was_removed_does_not_start(tmp_path: Path) -> None:
    member = founded_at(tmp_path, ME, OTHER)
    turn(member)
    drop_member(member.driver.node.state, ME.id)
    applied = Applied(Done(1), (), (MembersNow(rows(member.driver.node.state.members, {ME.id})),))
    member.driver.buffer.add(applied, 0)
    member.close()
    with pytest.raises(RefusedToStartError, match="permanently removed from the cluster"):
        founded_at(tmp_path, ME)
