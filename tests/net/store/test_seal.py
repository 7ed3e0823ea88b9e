"""A copied database is read as the snapshot that it is, from anywhere, with its hash behind it."""

import hashlib
from contextlib import closing
from pathlib import Path

import pytest

from core.piecemeal import Piecework
from net.disk import RealDisk
from net.store.errors import StoreError
from net.store.seal import READ_SIZE, Copied, Sealing
from net.store.snapshot import verify
from tests.stores import History, new_store


def copied(directory: Path, rows: int = 0) -> Copied:
    """Copy a store of some rows of 10 kB."""
    data = directory / "data"
    data.mkdir()
    history = History()
    with closing(new_store(str(data))) as store:
        store.write(history.batch(history.put(b"a")))
        for number in range(rows):
            store.write(history.batch(history.put(b"%d" % number, value=bytes(10_000))))
        return Piecework(store.copying(str(directory / "copy.db"))).whole()


def sealing(made: Copied) -> Sealing:
    return Sealing(RealDisk().open(made.path, writable=False), checks=True)


def test_read_in_any_pieces_it_is_a_snapshot(tmp_path: Path) -> None:
    made = copied(tmp_path, rows=400)
    assert made.size_bytes > 2 * READ_SIZE
    for piece in (READ_SIZE, 1_000_003, 256 << 10):
        with closing(sealing(made)) as reading:
            offsets = range(0, reading.size_bytes, piece)
            whole = b"".join(
                reading.read(at, min(piece, reading.size_bytes - at)) for at in offsets
            )
            (tmp_path / "snapshot.db").write_bytes(whole)
        assert verify(str(tmp_path / "snapshot.db")) == hashlib.sha256(whole[:-32]).digest()


def test_it_goes_on_from_anywhere_and_can_be_read_again(tmp_path: Path) -> None:
    made = copied(tmp_path, rows=400)
    with closing(sealing(made)) as whole:
        data = whole.read(0, whole.size_bytes)
    with closing(sealing(made)) as reading:
        for at, size in ((1_500_000, 700_000), (0, 10), (len(data) - 40, 40), (1_499_990, 1_000)):
            assert reading.read(at, size) == data[at : at + size]


def test_a_page_that_was_not_written_whole_is_told_of(tmp_path: Path) -> None:
    made = copied(tmp_path)
    file = RealDisk().open(made.path)
    file.write(8192 + 5, b"\xff\xff\xff")
    file.close()
    with closing(sealing(made)) as reading, pytest.raises(StoreError, match="page 2 fails"):
        reading.read(0, 100)


def test_two_copies_of_different_states_have_different_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert copied(tmp_path / "a").name != copied(tmp_path / "b", rows=1).name
