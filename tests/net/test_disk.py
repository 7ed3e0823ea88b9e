"""What journal and store may rely on: the same for the real disk and the simulated one."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from net.disk import Disk, DiskFull, DiskLocked, RealDisk
from sim.disk import SimDisk


@pytest.fixture(params=["real", "simulated"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return RealDisk() if request.param == "real" else SimDisk(Random(0))


@pytest.fixture
def home(disk: Disk, tmp_path: Path) -> str:
    directory = f"{tmp_path}/member/journal"
    disk.make_directory(directory)
    return directory


def test_a_file_reads_back_what_was_written_at_each_position(disk: Disk, home: str) -> None:
    file = disk.create(f"{home}/a")
    file.write(0, b"hello world")
    file.write(6, bytearray(b"there"))
    file.write(14, memoryview(b"far"))
    file.datasync()
    assert file.read(0, 100) == b"hello there\0\0\0far"
    assert file.read(3, 4) == b"lo t"
    assert file.read(100, 4) == b""
    assert file.size_bytes() == disk.size_bytes(f"{home}/a") == 17
    file.close()


def test_truncating_cuts_and_grows_with_zeros(disk: Disk, home: str) -> None:
    file = disk.create(f"{home}/a")
    file.write(0, b"123456")
    file.truncate(2)
    file.truncate(4)
    assert file.read(0, 9) == b"12\0\0"
    file.close()


def test_creating_an_existing_file_and_opening_a_missing_one_fail(disk: Disk, home: str) -> None:
    disk.create(f"{home}/a").close()
    with pytest.raises(FileExistsError):
        disk.create(f"{home}/a")
    with pytest.raises(FileNotFoundError):
        disk.open(f"{home}/b")
    with pytest.raises(FileNotFoundError):
        disk.unlink(f"{home}/b")


def test_names_are_listed_sorted_and_follow_renames_and_removals(disk: Disk, home: str) -> None:
    for name in ("c", "a", "b"):
        disk.create(f"{home}/{name}").close()
    disk.rename(f"{home}/c", f"{home}/a")
    disk.unlink(f"{home}/b")
    disk.sync_directory(home)
    assert disk.list_directory(home) == ["a"]
    assert disk.exists(f"{home}/a")
    assert not disk.exists(f"{home}/c")


def test_a_file_opened_for_reading_refuses_to_be_written(disk: Disk, home: str) -> None:
    disk.create(f"{home}/a").close()
    file = disk.open(f"{home}/a", writable=False)
    with pytest.raises(OSError, match="a"):
        file.write(0, b"x")
    file.close()


def test_making_a_directory_that_is_there_changes_nothing(disk: Disk, home: str) -> None:
    disk.create(f"{home}/a").close()
    disk.make_directory(home)
    assert disk.list_directory(home) == ["a"]


def test_a_lock_is_held_once_and_can_be_taken_again_after_release(disk: Disk, home: str) -> None:
    lock = disk.lock(f"{home}/LOCK")
    with pytest.raises(DiskLocked, match="LOCK"):
        disk.lock(f"{home}/LOCK")
    lock.release()
    disk.lock(f"{home}/LOCK").release()


def test_there_is_room_on_the_disk(disk: Disk, home: str) -> None:
    assert disk.free_bytes(home) > 0


def test_a_lock_of_another_process_is_refused_with_its_number(tmp_path: Path) -> None:
    held = "import sys; from net.disk import RealDisk; lock = RealDisk().lock(sys.argv[1]); input()"
    path = f"{tmp_path}/LOCK"
    with subprocess.Popen(
        [sys.executable, "-c", held, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdin is not None
        while not (os.path.exists(path) and Path(path).read_bytes().strip()):
            os.sched_yield()
        with pytest.raises(DiskLocked, match=f"process {holder.pid}: is it running already"):
            RealDisk().lock(path)
        holder.stdin.close()
    RealDisk().lock(path).release()


def test_the_end_of_space_is_told_apart_from_other_errors() -> None:
    full = RealDisk().open("/dev/full")
    with pytest.raises(DiskFull):
        full.write(0, b"x" * 9000)
    full.close()
