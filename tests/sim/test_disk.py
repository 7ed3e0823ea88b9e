"""The forgetting disk keeps exactly what it says it keeps."""

import errno
from random import Random
from typing import Any

import pytest

from net.disk import DiskFull, DiskLocked
from sim.disk import Directories, DiskFaults, PowerLost, SimDisk
from sim.platter import SECTOR_BYTES, Survival


def disk_with(directories: Directories = "ordered", **faults: Any) -> SimDisk:
    disk = SimDisk(Random(7), faults=DiskFaults(**faults), directories=directories)
    disk.make_directory("/d")
    return disk


def written(disk: SimDisk, path: str, data: bytes) -> None:
    """Create a file whose content and name are durable."""
    file = disk.create(path)
    file.write(0, data)
    file.datasync()
    disk.sync_directory("/d")


@pytest.mark.parametrize("survival", ["none", "prefix", "subset", "all"])
def test_what_was_synced_survives_every_loss(survival: Survival) -> None:
    disk = disk_with()
    written(disk, "/d/a", b"kept" * 1000)
    assert disk.restart(survival).image("/d/a") == b"kept" * 1000


def test_without_survivors_the_last_synced_content_comes_back() -> None:
    disk = disk_with()
    written(disk, "/d/a", b"old")
    disk.open("/d/a").write(0, b"new")
    assert disk.image("/d/a") == b"new"
    assert disk.restart("none").image("/d/a") == b"old"


def test_a_kill_keeps_the_cache_but_makes_nothing_durable() -> None:
    disk = disk_with()
    written(disk, "/d/a", b"old")
    disk.open("/d/a").write(0, b"new")
    killed = disk.restart("all")
    assert killed.image("/d/a") == b"new"
    assert killed.restart("none").image("/d/a") == b"old"


def test_a_prefix_of_the_writes_survives_in_order() -> None:
    outcomes = set[bytes]()
    for seed in range(40):
        disk = SimDisk(Random(seed))
        file = disk.create("a")
        file.datasync()
        for at in range(3):
            file.write(at, b"x")
        outcomes.add(disk.restart("prefix").image("a"))
    assert outcomes == {b"", b"x", b"xx", b"xxx"}


def test_any_sectors_of_a_write_may_survive() -> None:
    outcomes = set[tuple[bool, ...]]()
    for seed in range(200):
        disk = SimDisk(Random(seed))
        file = disk.create("a")
        file.write(0, bytes(3 * SECTOR_BYTES))
        file.datasync()
        file.write(100, b"x" * (2 * SECTOR_BYTES))
        image = disk.restart("subset").image("a")
        sectors = (image[100:512], image[512:1024], image[1024:1124])
        assert all(set(sector) in ({0}, {ord("x")}) for sector in sectors)
        outcomes.add(tuple(b"x" in sector for sector in sectors))
    assert len(outcomes) == 8


def test_a_strict_directory_forgets_names_that_were_not_synced() -> None:
    disk = disk_with("strict")
    written(disk, "/d/old", b"1")
    file = disk.create("/d/new")
    file.write(0, b"2")
    file.datasync()
    disk.rename("/d/old", "/d/renamed")
    after = disk.restart("none")
    assert (after.paths(), after.image("/d/old")) == (["/d/old"], b"1")


def test_an_ordered_directory_keeps_the_name_of_a_synced_file_and_all_before() -> None:
    disk = disk_with("ordered")
    written(disk, "/d/old", b"1")
    disk.rename("/d/old", "/d/renamed")
    file = disk.create("/d/new")
    file.datasync()
    disk.unlink("/d/renamed")
    assert disk.restart("none").paths() == ["/d/new", "/d/renamed"]


def test_names_survive_in_any_mix_when_strict_and_in_order_when_ordered() -> None:
    def outcomes(directories: Directories) -> set[str]:
        found = set[str]()
        for seed in range(60):
            disk = SimDisk(Random(seed), directories=directories)
            disk.create("a")
            disk.create("b")
            found.add("".join(disk.restart("subset").paths()))
        return found

    assert outcomes("strict") == {"", "a", "b", "ab"}
    assert outcomes("ordered") == {"", "a", "ab"}


def test_a_file_removed_but_not_durably_comes_back_with_its_content() -> None:
    disk = disk_with("strict")
    written(disk, "/d/a", b"alive")
    disk.unlink("/d/a")
    assert disk.restart("none").image("/d/a") == b"alive"


def test_dead_means_dead() -> None:
    disk = disk_with()
    written(disk, "/d/a", b"old")
    file = disk.open("/d/a")
    disk.power_off()
    before = disk.digest()
    for attempt in (
        lambda: file.write(0, b"x"),
        lambda: file.truncate(0),
        lambda: file.read(0, 1),
        file.datasync,
        lambda: disk.create("/d/b"),
        lambda: disk.unlink("/d/a"),
        lambda: disk.rename("/d/a", "/d/b"),
        lambda: disk.sync_directory("/d"),
        lambda: disk.exists("/d/a"),
        lambda: disk.lock("/d/LOCK"),
    ):
        with pytest.raises(PowerLost):
            attempt()
    file.close()
    assert disk.digest() == before


def test_the_power_goes_at_the_operation_that_was_asked_for_and_once() -> None:
    disk = disk_with(power_loss_at=3)
    file = disk.create("/d/a")
    file.write(0, b"1")
    with pytest.raises(PowerLost):
        file.write(1, b"2")
    assert (disk.operations, disk.is_dead, disk.image("/d/a")) == (3, True, b"12")
    after = disk.restart("none")
    after.create("/d/b").datasync()
    after.create("/d/c").datasync()
    assert after.generation == 2


def test_a_sync_cut_by_the_power_syncs_nothing() -> None:
    disk = disk_with(power_loss_at=3)
    file = disk.create("/d/a")
    file.write(0, b"1")
    with pytest.raises(PowerLost):
        file.datasync()
    assert disk.restart("none").paths() == []


def test_planned_errors_strike_the_named_operations() -> None:
    disk = disk_with(errors_at=frozenset({2, 4, 6}))
    file = disk.create("/d/a")
    attempts = (lambda: file.write(0, b"1"), lambda: file.read(0, 1), file.datasync)
    outcomes: list[tuple[int, int | None]] = []
    for attempt in (*attempts, *attempts):
        try:
            attempt()
        except OSError as error:
            outcomes.append((disk.operations, error.errno))
    assert outcomes == [(2, errno.EIO), (4, errno.EIO), (6, errno.EIO)]
    assert disk.injected == {"write error": 1, "sync error": 1, "read error": 1}


def test_after_a_failed_sync_the_bytes_are_readable_and_never_become_durable() -> None:
    lost = 0
    for seed in range(20):
        disk = SimDisk(Random(seed), faults=DiskFaults(errors_at=frozenset({4})))
        file = disk.create("a")
        disk.sync_directory("")
        file.write(0, b"1")
        with pytest.raises(OSError, match="sync"):
            file.datasync()
        file.datasync()
        assert file.read(0, 1) == b"1"
        lost += disk.restart("none").image("a") == b""
    assert 0 < lost < 20


def test_a_full_disk_refuses_growth_until_space_is_freed() -> None:
    disk = disk_with(capacity_bytes=10)
    written(disk, "/d/a", b"12345")
    file = disk.create("/d/b")
    with pytest.raises(DiskFull):
        file.write(0, b"123456")
    assert disk.image("/d/b") == b"12345"
    assert disk.free_bytes("/d") == 0
    file.write(0, b"54321")
    disk.unlink("/d/a")
    file.write(0, b"1234567890")
    with pytest.raises(DiskFull):
        file.truncate(11)


def test_a_lying_sync_loses_what_it_said_was_safe() -> None:
    disk = disk_with(lying_sync=True)
    written(disk, "/d/a", b"1")
    assert disk.restart("none").paths() == []


def test_a_flipped_bit_is_there_before_and_after_a_restart() -> None:
    disk = disk_with()
    written(disk, "/d/a", b"\0\0")
    disk.flip_bit("/d/a", 1, 3)
    assert disk.image("/d/a") == b"\0\x08"
    assert disk.restart("none").image("/d/a") == b"\0\x08"


def test_slow_operations_are_added_up_and_nothing_waits() -> None:
    disk = disk_with(slow=1.0, slow_ms_max=50)
    written(disk, "/d/a", b"1")
    assert disk.injected["slow"] == disk.operations == 4
    assert 4 <= disk.delay_ms <= 200


def test_a_lock_does_not_outlive_its_generation() -> None:
    disk = disk_with()
    disk.lock("/d/LOCK")
    with pytest.raises(DiskLocked):
        disk.lock("/d/LOCK")
    disk.restart("all").lock("/d/LOCK").release()


def test_the_same_seed_gives_the_same_disk() -> None:
    def run(seed: int) -> str:
        disk = SimDisk(Random(seed), faults=DiskFaults(sync_error=0.3), directories="strict")
        for name in "abcdef":
            file = disk.create(name)
            file.write(0, name.encode() * 5000)
            try:
                file.datasync()
            except OSError:
                disk.sync_directory("")
        return disk.restart("subset").digest()

    assert run(1) == run(1)
    assert run(1) != run(2)
