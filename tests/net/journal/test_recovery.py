"""Power loss at every operation: what was synced comes back, in order, and nothing else."""

from itertools import count
from random import Random

import pytest

from core.ids import Index
from net.journal import JournalDamaged
from net.journal.layout import HEADER_BYTES
from sim.disk import Directories, PowerLost, SimDisk
from sim.platter import Survival
from tests.journals import DIRECTORY, Life, Lost, content, open_journal, pack, prepare_all

DIRECTORIES: tuple[Directories, ...] = ("strict", "ordered")
SURVIVALS: tuple[Survival, ...] = ("none", "prefix", "subset")


def live_at_every_operation(life: Life) -> int:
    """Let the power go at each operation of the first generation; return how many lives it took."""
    for at in count(1):
        operations = Life(
            life.seed,
            at,
            life.survival,
            life.directories,
            sync_error=life.sync_error,
            capacity_bytes=life.capacity_bytes,
            lying_sync=life.lying_sync,
        ).run()
        if at > operations:
            return at
    raise AssertionError


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("directories", DIRECTORIES)
@pytest.mark.parametrize("survival", SURVIVALS)
def test_nothing_synced_is_lost_at_any_power_loss(
    survival: Survival, directories: Directories, seed: int
) -> None:
    assert live_at_every_operation(Life(seed, 0, survival, directories)) > 20


@pytest.mark.parametrize("directories", DIRECTORIES)
@pytest.mark.parametrize("survival", SURVIVALS)
def test_nothing_synced_is_lost_when_syncs_fail_between_power_losses(
    survival: Survival, directories: Directories
) -> None:
    for seed in range(60):
        Life(seed, seed + 5, survival, directories, sync_error=0.05).run()


@pytest.mark.parametrize("directories", DIRECTORIES)
@pytest.mark.parametrize("survival", SURVIVALS)
def test_nothing_synced_is_lost_on_a_disk_that_fills_up(
    survival: Survival, directories: Directories
) -> None:
    for seed in range(40):
        Life(seed, seed + 20, survival, directories, capacity_bytes=17_000).run()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 150))
def test_nothing_synced_is_lost_in_many_lives(seed: int) -> None:
    for directories in DIRECTORIES:
        for survival in SURVIVALS:
            live_at_every_operation(Life(seed, 0, survival, directories))
            live_at_every_operation(Life(seed, 0, survival, directories, sync_error=0.05))
            live_at_every_operation(Life(seed, 0, survival, directories, capacity_bytes=17_000))


@pytest.mark.parametrize("survival", SURVIVALS)
def test_a_disk_that_lies_about_syncs_is_seen(survival: Survival) -> None:
    caught = 0
    for at in range(10, 60):
        try:
            Life(0, at, survival, "ordered", lying_sync=True).run()
        except (Lost, JournalDamaged):
            caught += 1
    assert caught > 25


def test_what_a_kill_left_in_the_cache_is_durable_once_it_was_shown() -> None:
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    for index in range(1, 30):
        journal.append([pack(index, bytes(300))])
    killed = disk.restart("all")
    shown, _ = open_journal(killed)
    assert shown.last_index == 29
    again, _ = open_journal(killed.restart("none"))
    assert content(again) == [(index, 1, bytes(300)) for index in range(1, 30)]


def test_a_recycled_name_that_only_the_cache_knows_is_made_durable_before_use() -> None:
    disk = SimDisk(Random(0), directories="strict")
    journal, _ = open_journal(disk)
    for index in range(1, 30):
        journal.append([pack(index, bytes(300))])
    journal.sync()
    journal.drop_to(Index(29))
    before = disk.counts.copy()
    disk.faults.power_loss_at = disk.operations + 2
    with pytest.raises(PowerLost):
        prepare_all(journal)
    assert disk.counts - before == {"rename": 1, "sync": 1}
    killed = disk.restart("all")
    journal, _ = open_journal(killed)
    for index in range(30, 50):
        journal.append([pack(index, bytes(300))])
    journal.sync()
    assert open_journal(killed.restart("none"))[1].last_index == 49


def test_a_segment_of_which_only_the_header_survived_is_no_part_of_the_journal() -> None:
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    end = journal.end
    index = 0
    while journal.end.segment == end.segment:
        journal.sync()
        end, index = journal.end, index + 1
        journal.append([pack(index, bytes(300))])
    path = f"{DIRECTORY}/{journal.end.segment:016d}.seg"
    disk.damage(path, HEADER_BYTES, bytes(4096 - HEADER_BYTES))
    again, recovered = open_journal(disk.restart("all"))
    assert recovered.last_index == index - 1
    assert again.synced.segment != journal.end.segment


def test_a_tear_is_cut_and_reported_once() -> None:
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    journal.append([pack(1, b"kept")])
    journal.sync()
    torn = journal.end
    journal.append([pack(2, bytes(500))])
    journal.append([pack(3, bytes(500))])
    disk.damage(f"{DIRECTORY}/{torn.segment:016d}.seg", torn.offset + 100, b"\xff" * 8)
    killed = disk.restart("all")
    again, recovered = open_journal(killed)
    assert (recovered.last_index, recovered.torn_bytes) == (1, journal.end.offset - torn.offset)
    assert content(again) == [(1, 1, b"kept")]
    _, recovered = open_journal(killed.restart("none"))
    assert (recovered.last_index, recovered.torn_bytes) == (1, 0)


def test_a_stale_tail_does_not_come_back_behind_equal_bytes() -> None:
    """The batch after a tear is written again, byte for byte; the one behind it stays cut."""
    for size_bytes in (0, 8, 32, 300):
        disk = SimDisk(Random(0))
        journal, _ = open_journal(disk)
        journal.sync()
        torn = journal.end
        for index in (1, 2, 3, 4):
            journal.append([pack(index, bytes(size_bytes))])
        disk.damage(f"{DIRECTORY}/{torn.segment:016d}.seg", torn.offset + 60, b"\xff" * 8)
        for written in (1, 2, 3):
            killed = disk.restart("all")
            again, recovered = open_journal(killed)
            assert recovered.last_index == written - 1
            again.append([pack(written, bytes(size_bytes))])
            disk = killed
