"""Damage to files: one bit, or an end that is gone, where there was something."""

from pathlib import Path
from random import Random

from jepsen.nemesis.corrupt import cut, flip, used

TEXT = b"something that was written" * 100


def laid(path: Path) -> Path:
    """A file with room made ready behind what is used."""
    path.write_bytes(TEXT + bytes(2 << 20))
    return path


def test_what_is_used_ends_where_zeros_begin(tmp_path: Path) -> None:
    assert used(laid(tmp_path / "file")) == len(TEXT)
    (tmp_path / "empty").write_bytes(bytes(100))
    assert used(tmp_path / "empty") == 0


def test_a_flip_changes_one_bit_of_what_is_used(tmp_path: Path) -> None:
    path = laid(tmp_path / "file")
    before = path.read_bytes()
    where = flip(path, Random(1))
    after = path.read_bytes()
    assert where < len(TEXT)
    assert [n for n in range(len(before)) if before[n] != after[n]] == [where]
    assert (before[where] ^ after[where]).bit_count() == 1


def test_a_cut_takes_some_of_the_second_half(tmp_path: Path) -> None:
    path = laid(tmp_path / "file")
    size_bytes = cut(path, Random(1))
    assert path.read_bytes() == TEXT[:size_bytes]
    assert len(TEXT) // 2 <= size_bytes < len(TEXT)
