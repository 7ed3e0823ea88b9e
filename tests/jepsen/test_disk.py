"""A member's own disk: full, failing and forgetful for real, by a mounted image."""

import errno
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from jepsen import disk

WHY_NOT = disk.is_possible()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "image"


@pytest.fixture
def mount(tmp_path: Path, image: Path) -> Generator[Path]:
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    mount = tmp_path / "mount"
    disk.make(image, mount, 32)
    try:
        yield mount
    finally:
        disk.unmount(mount)
    assert not os.path.ismount(mount)


def written(path: Path, data: bytes, *, synced: bool) -> None:
    """Write a file, and sync it or not."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        if synced:
            os.fsync(file.fileno())
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)


def test_a_disk_begins_empty(mount: Path) -> None:
    assert list(mount.iterdir()) == []
    assert not disk.is_lost(mount)


def test_a_filled_disk_has_no_room_until_it_is_given_back(mount: Path) -> None:
    disk.fill(mount, 100_000)
    with pytest.raises(OSError, match="No space left"):
        written(mount / "file", bytes(1_000_000), synced=True)
    disk.relieve(mount)
    written(mount / "file", bytes(1_000_000), synced=True)


def test_a_lost_disk_answers_with_errors_and_keeps_what_was_synced(
    mount: Path, image: Path
) -> None:
    written(mount / "kept", b"promised", synced=True)
    written(mount / "gone", b"not promised", synced=False)
    disk.lose(mount)
    assert disk.is_lost(mount)
    with pytest.raises(OSError, match="Input/output error") as error:
        written(mount / "file", b"late", synced=True)
    assert error.value.errno == errno.EIO
    disk.unmount(mount)
    disk.attach(image, mount)
    assert not disk.is_lost(mount)
    assert (mount / "kept").read_bytes() == b"promised"
    assert not (mount / "gone").exists() or (mount / "gone").read_bytes() == b""
