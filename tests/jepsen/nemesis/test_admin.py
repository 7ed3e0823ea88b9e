"""A snapshot is held against those revisions that can still be read."""

from pathlib import Path

import pytest

from jepsen.cluster import ClusterError
from jepsen.nemesis import admin
from jepsen.nemesis.admin import Admin
from jepsen.nemesis.blow import Blow, FindingError, IdleError
from net.etcd.pb import rpc_pb2 as pb
from tests.jepsen.nemesis.fake_cluster import FakeCluster

Contents = dict[bytes, tuple[bytes, int]]


def of(version: int) -> Contents:
    return {b"k": (b"%d" % version, version)}


def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: list[Contents | None]) -> str:
    """What comes of a snapshot of version 2, if the member was so at the revisions from 1 on.

    None: that revision was compacted.
    """
    revisions = iter((1, len(held)))

    def status(endpoint: str, patience_s: float) -> pb.StatusResponse:
        return pb.StatusResponse(header=pb.ResponseHeader(revision=next(revisions)))

    def contents(endpoint: str, revision: int = 0) -> Contents:
        if not revision:
            return of(2)
        found = held[revision - 1]
        if found is None:
            raise ClusterError("mvcc: required revision has been compacted")
        return found

    def save_snapshot(endpoint: str, path: Path) -> None:
        path.touch()

    monkeypatch.setattr(admin, "status", status)
    monkeypatch.setattr(admin, "contents", contents)
    monkeypatch.setattr(admin, "save_snapshot", save_snapshot)
    blow = Blow(0, 1, "admin", "snapshot", 1)
    return Admin().begin(blow, FakeCluster(tmp_path)).release()


def test_a_snapshot_may_be_of_any_revision_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "revision 2" in compared(tmp_path, monkeypatch, [of(1), of(2), of(3)])
    assert "revision 2" in compared(tmp_path, monkeypatch, [None, of(2), of(3)])


def test_a_snapshot_of_what_never_was_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FindingError, match="what it never held from 1 to 2"):
        compared(tmp_path, monkeypatch, [of(1), of(3)])


def test_a_snapshot_that_may_be_of_a_compacted_revision_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(IdleError, match="revision 1, which the snapshot may hold, was compacted"):
        compared(tmp_path, monkeypatch, [None, of(3)])
