"""A part of a snapshot takes bytes in order, once, and is finished only if they are those sent."""

import hashlib
from pathlib import Path

import pytest

from net.disk import RealDisk, RealFile
from net.peers.limits import SYNC_BYTES
from net.peers.staging import Part
from net.store.errors import StoreError

CONTENT = bytes(range(256)) * 4
SNAPSHOT = CONTENT + hashlib.sha256(CONTENT).digest()


def part_of(directory: Path, size_bytes: int = len(SNAPSHOT)) -> Part:
    return Part(RealDisk(), str(directory / "part.tmp"), size_bytes)


@pytest.mark.parametrize("piece", [1, 100, len(CONTENT), len(CONTENT) + 10, len(SNAPSHOT)])
def test_a_database_is_left_of_a_snapshot_in_whatever_pieces(tmp_path: Path, piece: int) -> None:
    part = part_of(tmp_path)
    for at in range(0, len(SNAPSHOT), piece):
        part.write(at, SNAPSHOT[at : at + piece])
    part.finish()
    assert (tmp_path / "part.tmp").read_bytes() == CONTENT


def test_a_byte_that_changed_under_way_is_told_of(tmp_path: Path) -> None:
    part = part_of(tmp_path)
    part.write(0, b"\xff" + SNAPSHOT[1:])
    with pytest.raises(StoreError, match="damaged under way"):
        part.finish()
    part.discard()
    assert not list(tmp_path.iterdir())


def test_what_has_no_room_for_a_hash_is_no_snapshot(tmp_path: Path) -> None:
    part = part_of(tmp_path, 100)
    part.write(0, bytes(100))
    with pytest.raises(StoreError, match="100 bytes are no whole snapshot"):
        part.finish()
    part.discard()


def test_a_piece_out_of_order_breaks_an_invariant(tmp_path: Path) -> None:
    part = part_of(tmp_path)
    part.write(0, SNAPSHOT[:10])
    with pytest.raises(AssertionError, match="INV-SNAPSHOT-CONTIGUOUS"):
        part.write(20, SNAPSHOT[20:])
    part.discard()


def test_a_large_snapshot_is_synced_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def note(file: RealFile) -> None:
        synced.append(file.size_bytes())

    monkeypatch.setattr(RealFile, "datasync", note)
    part = part_of(tmp_path, 3 * SYNC_BYTES)
    part.write(0, bytes(1))
    for at in range(1, 2 * SYNC_BYTES, SYNC_BYTES // 4):
        part.write(at, bytes(SYNC_BYTES // 4))
    assert [round(at / SYNC_BYTES) for at in synced] == [1, 2]
    part.discard()
