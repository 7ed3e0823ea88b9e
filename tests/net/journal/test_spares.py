"""Segments are ready before they are needed, and the reserve gives back what it took."""

from random import Random

import pytest

from core.ids import Index
from net.disk import DiskFull
from net.journal import Reserve
from net.journal.spares import Spares
from sim.disk import SimDisk
from tests.journals import DIRECTORY, open_journal, pack, prepare_all

MIB = 1 << 20


@pytest.fixture
def disk() -> SimDisk:
    disk = SimDisk(Random(0))
    disk.make_directory("/d")
    return disk


def test_a_segment_is_filled_in_slices_and_is_durable_when_it_is_handed_out(disk: SimDisk) -> None:
    spares = Spares(disk, "/d", segment_bytes=3 * MIB + 5, next_number=7)
    steps = 1
    while spares.step():
        steps += 1
        assert disk.list_directory("/d") == ["segment.new"]
    assert steps == 4
    number, file = spares.take()
    assert (number, file.size_bytes()) == (7, 3 * MIB + 5)
    assert disk.restart("none").image("/d/0000000000000007.seg") == bytes(3 * MIB + 5)
    spares.close()


def test_a_segment_that_is_needed_at_once_is_prepared_at_once(disk: SimDisk) -> None:
    spares = Spares(disk, "/d", segment_bytes=2 * MIB, next_number=1)
    assert [spares.take()[0], spares.take()[0]] == [1, 2]
    spares.close()


def test_a_full_disk_leaves_no_half_filled_segment(disk: SimDisk) -> None:
    disk.faults.capacity_bytes = 2 * MIB
    spares = Spares(disk, "/d", segment_bytes=3 * MIB, next_number=1)
    with pytest.raises(DiskFull):
        spares.take()
    assert disk.list_directory("/d") == []
    disk.faults.capacity_bytes = 3 * MIB
    assert spares.take()[0] == 1
    spares.close()


def test_on_a_full_disk_preparing_rests_until_a_segment_is_given_back_or_needed(
    disk: SimDisk,
) -> None:
    disk.faults.capacity_bytes = MIB
    spares = Spares(disk, "/d", segment_bytes=2 * MIB, next_number=1)
    assert spares.step()
    assert not spares.step()
    assert (spares.wants_step, disk.list_directory("/d")) == (False, [])
    operations = disk.operations
    assert not spares.step()
    assert disk.operations == operations
    disk.faults.capacity_bytes = 2 * MIB
    assert spares.take()[0] == 1
    assert spares.wants_step
    spares.close()


def test_while_room_is_spared_nothing_is_made_ready_and_what_is_needed_is_small(
    disk: SimDisk,
) -> None:
    spares = Spares(disk, "/d", segment_bytes=9 * MIB, next_number=1)
    spares.is_sparing = True
    assert not spares.step()
    assert (spares.wants_step, disk.list_directory("/d")) == (False, [])
    number, file = spares.take()
    assert (number, file.size_bytes()) == (1, 4 * MIB)
    spares.give_back(1)
    assert not spares.step()
    assert disk.list_directory("/d") == []
    spares.close()


def test_a_dropped_segment_is_used_again_though_room_is_spared(disk: SimDisk) -> None:
    spares = Spares(disk, "/d", segment_bytes=MIB, next_number=1)
    spares.take()[1].close()
    spares.is_sparing = True
    spares.give_back(1)
    assert spares.take()[0] == 2
    assert disk.list_directory("/d") == ["0000000000000002.seg"]
    spares.close()


def test_a_journal_goes_on_in_small_segments_and_is_opened_with_them(disk: SimDisk) -> None:
    journal, _ = open_journal(disk, segment_bytes=8 * MIB)
    journal.spare_room(True)
    for index in range(1, 40):
        journal.append([pack(index, bytes(MIB // 2))])
        journal.sync()
    sizes = {disk.size_bytes(f"{DIRECTORY}/{name}") for name in disk.list_directory(DIRECTORY)}
    assert sizes == {8 * MIB, 4 * MIB}
    assert open_journal(disk.restart("none"), segment_bytes=8 * MIB)[1].last_index == 39


def test_a_half_filled_segment_is_removed_at_the_next_start() -> None:
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk, segment_bytes=3 * MIB)
    assert journal.prepare_next()
    after = disk.restart("all")
    assert "segment.new" in after.list_directory(DIRECTORY)
    open_journal(after, segment_bytes=3 * MIB)
    assert "segment.new" not in after.list_directory(DIRECTORY)


def test_a_running_journal_uses_what_it_drops_and_fills_nothing_more() -> None:
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    for index in range(1, 400):
        journal.append([pack(index, bytes(300))])
        journal.sync()
        journal.drop_to(Index(index))
        prepare_all(journal)
    assert disk.counts["create"] <= 3
    assert disk.counts["rename"] > 30


def test_a_prepared_segment_costs_one_sync_when_it_is_taken_into_use() -> None:
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    prepare_all(journal)
    assert not journal.wants_preparation
    journal.sync()
    segment, index = journal.end.segment, 0
    while True:
        before = disk.counts.copy()
        index += 1
        journal.append([pack(index, bytes(300))])
        journal.sync()
        if journal.end.segment != segment:
            break
    used = disk.counts - before
    # The finished segment is in the range of the sync too, though nothing in it is new.
    assert used == {"write": 1, "datasync": 2}


def test_the_reserve_is_filled_once_and_given_back_once(disk: SimDisk) -> None:
    disk.faults.capacity_bytes = 10 * MIB
    reserve = Reserve(disk, "/d/reserve", size_bytes=2 * MIB)
    assert reserve.release() == 0
    assert reserve.fill()
    assert reserve.fill()
    assert (reserve.held_bytes, disk.free_bytes("/d")) == (2 * MIB, 8 * MIB)
    assert reserve.release() == 2 * MIB
    assert (reserve.held_bytes, disk.free_bytes("/d")) == (0, 10 * MIB)


def test_the_reserve_takes_nothing_where_space_is_scarce(disk: SimDisk) -> None:
    disk.faults.capacity_bytes = 3 * MIB
    assert not Reserve(disk, "/d/reserve", size_bytes=2 * MIB).fill()
    assert disk.list_directory("/d") == []


def test_a_reserve_that_was_cut_short_is_completed(disk: SimDisk) -> None:
    file = disk.create("/d/reserve")
    file.write(0, bytes(100))
    assert Reserve(disk, "/d/reserve", size_bytes=MIB).fill()
    assert disk.size_bytes("/d/reserve") == MIB


def test_a_member_with_a_full_disk_goes_on_with_its_reserve() -> None:
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    reserve = Reserve(disk, "/member/reserve", size_bytes=3 * 4096)
    assert reserve.fill()
    disk.faults.capacity_bytes = disk.used_bytes
    room = 4096 - journal.end.offset - 56 - 32
    journal.append([pack(1, bytes(room))])
    journal.sync()
    after = disk.restart("none")
    journal, recovered = open_journal(after)
    assert recovered.last_index == 1
    with pytest.raises(DiskFull):
        journal.append([pack(2, b"small")])
    Reserve(after, "/member/reserve", size_bytes=3 * 4096).release()
    journal.append([pack(2, b"small")])
    journal.sync()
    assert open_journal(after)[1].last_index == 2
