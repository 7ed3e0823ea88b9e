"""`trine snapshot`: save, status, restore."""

import hashlib
import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from net.disk import RealDisk
from net.etcd.pb import rpc_pb2
from net.store.batch import Identity
from net.store.store import Store
from server.identity import cluster_id, member_id
from tests.command import Told, member, trine
from tests.stores import History, new_store

DATA = bytes(range(256)) * 40
WHOLE = DATA + hashlib.sha256(DATA).digest()


@pytest.mark.parametrize("size", [1, 31, 32, 33, 1000, 1 << 20])
def test_a_snapshot_is_saved_as_it_was_sent(tmp_path: Path, size: int) -> None:
    parts = [WHOLE[at : at + size] for at in range(0, len(WHOLE), size)] if size > 30 else [
        WHOLE[:-1], WHOLE[-1:]]  # fmt: skip
    target = tmp_path / "s.db"
    with member(tmp_path, status=rpc_pb2.StatusResponse(), snapshot=parts) as url:
        told = trine("snapshot", "save", str(target), f"--endpoints={url}")
    assert told == Told(0, f"Snapshot saved at {target} (10.0 KiB)\n", "")
    assert target.read_bytes() == WHOLE


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ([], "it sent no snapshot."),
        ([b"x" * 32], "it sent no snapshot."),
        ([WHOLE[:-1]], "the SHA-256 at the end is not that of what it sent; try again."),
        ([b"x", WHOLE], "the SHA-256 at the end is not that of what it sent; try again."),
    ],
)
def test_a_broken_snapshot_leaves_nothing(
    tmp_path: Path, parts: list[bytes], sentence: str
) -> None:
    target = tmp_path / "s.db"
    with member(tmp_path, status=rpc_pb2.StatusResponse(), snapshot=parts) as url:
        told = trine("snapshot", "save", str(target), f"--endpoints={url}")
    assert told == Told(1, "", f"trine snapshot save: {url}: {sentence}\n")
    assert os.listdir(tmp_path) == []


def test_a_snapshot_that_fails_keeps_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "s.db"
    target.write_bytes(b"before")
    told = trine("snapshot", "save", str(target), f"--endpoints=unix://{tmp_path}/none")
    assert told.code == 1
    assert (target.read_bytes(), os.listdir(tmp_path)) == (b"before", ["s.db"])


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    target = tmp_path / "no" / "s.db"
    with member(tmp_path, status=rpc_pb2.StatusResponse(), snapshot=[WHOLE]) as url:
        told = trine("snapshot", "save", str(target), f"--endpoints={url}")
    assert told == Told(
        1, "", f"trine snapshot save: cannot write {target}: No such file or directory.\n"
    )


def test_a_snapshot_comes_from_one_member() -> None:
    told = trine("snapshot", "save", "x", "--endpoints=a:1,b:1")
    assert told.code == 2
    assert "a snapshot is taken from one member: give one of --endpoints." in told.err


def backup(tmp_path: Path) -> Path:
    (tmp_path / "old").mkdir()
    history = History()
    with closing(new_store(str(tmp_path / "old"))) as store:
        store.write(history.batch(history.put(b"/a", b"/b")))
        store.backup(str(tmp_path / "s.db"))
    return tmp_path / "s.db"


def test_status_shows_what_is_in_a_snapshot(tmp_path: Path) -> None:
    path = backup(tmp_path)
    told = trine("snapshot", "status", str(path), "-w", "json")
    found = json.loads(told.out)
    digest = hashlib.sha256(path.read_bytes()[:-32]).hexdigest()
    assert found == {
        "hash": int(digest[:8], 16),
        "revision": 2,
        "totalKey": 2,
        "totalSize": path.stat().st_size,
        "schemaVersion": found["schemaVersion"],
        "appliedIndex": 1,
        "term": 3,
        "sha256": digest,
    }
    row = [cell.strip() for cell in trine("snapshot", "status", str(path)).out.splitlines()[3]
           .strip("|").split("|")]  # fmt: skip
    assert row == [digest[:8], "2", "2", f"{path.stat().st_size / 1024:.1f} KiB", "1", "3"]


def test_status_refuses_a_damaged_snapshot(tmp_path: Path) -> None:
    path = backup(tmp_path)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    told = trine("snapshot", "status", str(path))
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith(f"trine snapshot status: {path} is damaged: ")


def test_restore_begins_a_cluster_far_above_the_old_revisions(tmp_path: Path) -> None:
    path, target = backup(tmp_path), tmp_path / "new"
    told = trine("snapshot", "restore", str(path), f"--data-dir={target}")
    assert told == Told(0, f"Restored {path} to {target}, revision 1000000002\n", "")
    with closing(Store.open(RealDisk(), str(target), generation=1)) as store:
        facts = store.meta
    member = member_id(["http://localhost:2380"], "etcd-cluster")
    assert (facts.revision, facts.compact_revision) == (1_000_000_002, 1_000_000_002)
    assert Identity(facts.cluster_id, facts.member_id) == Identity(cluster_id([member]), member)


def test_restore_can_leave_revisions_as_they_are(tmp_path: Path) -> None:
    path, target = backup(tmp_path), tmp_path / "new"
    told = trine(
        "snapshot", "restore", str(path), f"--data-dir={target}", "--bump-revision=0",
        "--no-mark-compacted", "--name=m", "--initial-cluster=m=http://10.0.0.1:2380",
        "--initial-cluster-token=t",
    )  # fmt: skip
    assert told.out == f"Restored {path} to {target}, revision 2\n"
    with closing(Store.open(RealDisk(), str(target), generation=1)) as store:
        assert store.meta.member_id == member_id(["http://10.0.0.1:2380"], "t")


def test_each_member_of_a_new_cluster_restores_for_itself(tmp_path: Path) -> None:
    path = backup(tmp_path)
    urls = {"a": "http://10.0.0.1:2380", "b": "http://10.0.0.2:2380"}
    listed = ",".join(f"{name}={url}" for name, url in urls.items())
    ids = {name: member_id([url], "etcd-cluster") for name, url in urls.items()}
    for name in urls:
        target = tmp_path / name
        told = trine(
            "snapshot", "restore", str(path), f"--data-dir={target}", f"--name={name}",
            f"--initial-cluster={listed}", f"--initial-advertise-peer-urls={urls[name]}",
        )  # fmt: skip
        assert told.code == 0
        with closing(Store.open(RealDisk(), str(target), generation=1)) as store:
            facts = store.meta
        assert (facts.cluster_id, facts.member_id) == (cluster_id(list(ids.values())), ids[name])


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (("--no-mark-compacted",), 1,
         "trine snapshot restore: --bump-revision needs --mark-compacted"),
        (("--initial-cluster=a=http://h:1",), 2, 'couldn\'t find local name "default"'),
        (("--initial-cluster=a",), 2, '"a" is no pair; write name=URL.'),
        (("--initial-advertise-peer-urls=h",), 2, '"h" is no URL that others can use'),
        (("--bump-revision=-1",), 2, "-1 is not in the range"),
    ],
)  # fmt: skip
def test_restore_refuses_what_cannot_be_meant(
    tmp_path: Path, args: tuple[str, ...], code: int, sentence: str
) -> None:
    path, target = backup(tmp_path), tmp_path / "new"
    told = trine("snapshot", "restore", str(path), f"--data-dir={target}", *args)
    assert told.code == code
    assert sentence in told.err


def test_restore_writes_into_no_directory_in_use(tmp_path: Path) -> None:
    path = backup(tmp_path)
    told = trine("snapshot", "restore", str(path), f"--data-dir={tmp_path}/old")
    assert told.code == 1
    assert f"{tmp_path}/old is not empty" in told.err
