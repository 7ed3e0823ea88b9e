"""What the journal promises its owner, call by call."""

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import Index, MemberId, Term
from net.disk import DiskFull
from net.journal import (
    Frame,
    HardState,
    Journal,
    JournalFailed,
    JournalUnreadable,
    Recovered,
    SnapshotMark,
    StoreSwitch,
)
from net.journal.layout import Header, Position, encode_header
from sim.disk import SimDisk
from tests.journals import DIRECTORY, SEGMENT_BYTES, content, open_journal, pack, prepare_all


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(Random(0))


def filled(disk: SimDisk, last: int, size_bytes: int = 300) -> Journal:
    """Open a journal and sync packs 1 to `last` into it, one a batch."""
    journal, _ = open_journal(disk)
    for index in range(1, last + 1):
        journal.append([pack(index, bytes(size_bytes))])
    journal.sync()
    return journal


def reopened(disk: SimDisk) -> tuple[Journal, Recovered]:
    return open_journal(disk.restart("none"))


def test_a_new_journal_is_empty(disk: SimDisk) -> None:
    journal, recovered = open_journal(disk)
    assert recovered == Recovered(None, None, None, Index(1), Index(0), 0, 1)
    assert (content(journal), journal.term_at(Index(0))) == ([], 0)
    journal.close()


def test_what_is_synced_is_durable_and_what_is_not_is_not(disk: SimDisk) -> None:
    journal = filled(disk, 2)
    end = journal.append([pack(3)])
    assert journal.synced < end == journal.end
    again, recovered = reopened(disk)
    assert (recovered.last_index, again.synced) == (2, again.end)


def test_a_sync_covers_what_was_appended_before_it(disk: SimDisk) -> None:
    journal = filled(disk, 1)
    first = journal.append([pack(2)])
    assert journal.sync() == first == journal.synced
    assert journal.sync() == first
    journal.append([pack(3)])
    assert journal.synced == first


def test_a_batch_may_be_appended_while_another_is_synced(disk: SimDisk) -> None:
    journal = filled(disk, 1)
    journal.append([pack(2)])
    real = SimDisk.datasync

    def appending(self: SimDisk, path: str, inode: object) -> None:
        journal.append([pack(3)])
        real(self, path, inode)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimDisk, "datasync", appending)
        synced = journal.sync()
    assert synced == journal.synced < journal.end
    assert journal.last_index == 3


def test_packs_are_read_back_from_every_segment(disk: SimDisk) -> None:
    journal = filled(disk, 40)
    assert len(disk.list_directory(DIRECTORY)) > 3
    expected = [(index, 1, bytes(300)) for index in range(1, 41)]
    assert content(journal) == expected
    assert list(journal.read(Index(17), Index(17))) == expected[16:17]
    again, _ = reopened(disk)
    assert content(again) == expected


def test_a_pack_that_leaves_a_gap_is_refused_before_anything_is_written(disk: SimDisk) -> None:
    journal = filled(disk, 2)
    end = journal.end
    with pytest.raises(AssertionError, match="INV-JOURNAL-CONTIGUOUS"):
        journal.append([pack(4)])
    with pytest.raises(AssertionError, match="INV-JOURNAL-CONTIGUOUS"):
        journal.append([pack(3), pack(3)])
    assert journal.end == end


def test_truncated_packs_are_gone_at_once_and_durably_with_the_next_batch(disk: SimDisk) -> None:
    journal = filled(disk, 5)
    journal.truncate_from(Index(3))
    assert journal.last_index == 2
    journal.append([pack(3, b"new", term=2)])
    journal.sync()
    assert content(journal)[2:] == [(3, 2, b"new")]
    again, recovered = reopened(disk)
    assert (recovered.last_index, again.term_at(Index(3))) == (3, 2)
    assert content(again)[2:] == [(3, 2, b"new")]


def test_a_truncation_alone_is_written_by_an_empty_append(disk: SimDisk) -> None:
    journal = filled(disk, 5)
    end = journal.end
    assert journal.append(()) == end
    journal.truncate_from(Index(9))
    assert journal.append(()) == end
    journal.truncate_from(Index(5))
    journal.truncate_from(Index(3))
    assert journal.append(()) > end
    journal.sync()
    assert reopened(disk)[1].last_index == 2


def test_a_truncation_outlives_the_segment_it_reaches_into(disk: SimDisk) -> None:
    journal = filled(disk, 30)
    journal.truncate_from(Index(4))
    for index in range(4, 40):
        journal.append([pack(index, bytes(300), term=2)])
    journal.sync()
    journal.drop_to(Index(39))
    prepare_all(journal)
    again, recovered = reopened(disk)
    assert (recovered.first_index, recovered.last_index) == (journal.first_index, 39)
    assert recovered.first_index > 4
    assert again.term_at(Index(recovered.first_index - 1)) == 2


def test_dropping_frees_whole_segments_and_never_the_newest(disk: SimDisk) -> None:
    journal = filled(disk, 40)
    journal.drop_to(Index(20))
    first = journal.first_index
    assert 10 < first <= 21
    assert journal.term_at(Index(first - 1)) == 1
    journal.drop_to(Index(40))
    assert first < journal.first_index <= 40
    prepare_all(journal)
    assert len(disk.list_directory(DIRECTORY)) == 2
    again, recovered = reopened(disk)
    assert (again.first_index, recovered.last_index) == (journal.first_index, 40)


def test_a_dropped_segment_stays_until_what_follows_is_durable(disk: SimDisk) -> None:
    journal, _ = open_journal(disk)
    for index in range(1, 40):
        journal.append([pack(index, bytes(300))])
    journal.drop_to(Index(39))
    assert journal.first_index == 1


def test_dropped_segments_are_used_again_and_their_old_packs_never_come_back(
    disk: SimDisk,
) -> None:
    journal = filled(disk, 20)
    for index in range(21, 300):
        journal.append([pack(index, bytes(300))])
        journal.sync()
        journal.drop_to(Index(index - 5))
        prepare_all(journal)
        assert len(disk.list_directory(DIRECTORY)) <= 4
    again, recovered = reopened(disk)
    assert recovered.last_index == 299
    assert [index for index, _, _ in content(again)] == list(range(recovered.first_index, 300))


def test_the_newest_promises_outlive_the_segments_that_held_them(disk: SimDisk) -> None:
    state = HardState(Term(3), MemberId(8), Index(0))
    mark = SnapshotMark(Index(1), Term(1), b"config")
    switch = StoreSwitch(4, Index(1))
    journal = filled(disk, 1)
    journal.append([state.frame(), mark.frame(), switch.frame()])
    for index in range(2, 60):
        journal.append([pack(index, bytes(300))])
    journal.sync()
    journal.drop_to(Index(59))
    prepare_all(journal)
    assert journal.first_index > 40
    _, recovered = reopened(disk)
    assert (recovered.hard_state, recovered.snapshot) == (state, mark)
    assert recovered.store_switch == switch


@pytest.mark.parametrize(("index", "term"), [(9, 1), (3, 2)])
def test_a_snapshot_mark_beyond_or_against_the_log_begins_it_anew(
    disk: SimDisk, index: int, term: int
) -> None:
    journal = filled(disk, 5)
    mark = SnapshotMark(Index(index), Term(term), b"")
    journal.append([mark.frame(), pack(index + 1, b"x", term)])
    journal.sync()
    assert content(journal) == [(index + 1, term, b"x")]
    again, recovered = reopened(disk)
    for held in (journal, again):
        assert (held.first_index, held.term_at(Index(index))) == (index + 1, term)
    assert content(again) == [(index + 1, term, b"x")]
    assert recovered.snapshot == mark


def test_a_snapshot_mark_inside_the_log_keeps_it(disk: SimDisk) -> None:
    journal = filled(disk, 5)
    journal.append([SnapshotMark(Index(3), Term(1), b"").frame()])
    assert (journal.first_index, journal.last_index) == (1, 5)
    with pytest.raises(AssertionError, match="INV-LOG-COVERS-STATE"):
        journal.truncate_from(Index(3))


def test_a_batch_larger_than_a_segment_makes_its_segment_larger(disk: SimDisk) -> None:
    journal = filled(disk, 1)
    journal.append([pack(2, bytes(20_000)), pack(3)])
    journal.append([pack(4, bytes(1000))])
    journal.sync()
    for held in (journal, reopened(disk)[0]):
        assert [held.first_index, held.last_index] == [1, 4]
    assert [len(payload) for _, _, payload in content(held)] == [300, 20_000, 0, 1000]


def test_opening_again_with_another_segment_size_keeps_everything(disk: SimDisk) -> None:
    journal = filled(disk, 30)
    expected = content(journal)
    journal.close()
    again, _ = open_journal(disk, segment_bytes=1 << 16)
    again.append([pack(31, bytes(5000))])
    assert content(again)[:30] == expected
    again.close()


def test_a_failed_sync_poisons_the_journal(disk: SimDisk) -> None:
    journal = filled(disk, 1)
    journal.append([pack(2)])
    disk.faults.sync_error = 1.0
    with pytest.raises(OSError, match="sync error"):
        journal.sync()
    disk.faults.sync_error = 0.0
    for call in (
        lambda: journal.append([pack(3)]),
        journal.sync,
        journal.prepare_next,
        journal.seal,
        lambda: journal.drop_to(Index(1)),
        lambda: journal.truncate_from(Index(1)),
        lambda: journal.read(Index(1), Index(1)),
    ):
        with pytest.raises(JournalFailed):
            call()
    journal.close()


def test_a_failed_write_poisons_the_journal(disk: SimDisk) -> None:
    journal = filled(disk, 1)
    disk.faults.write_error = 1.0
    with pytest.raises(OSError, match="write error"):
        journal.append([pack(2)])
    with pytest.raises(JournalFailed):
        journal.sync()
    journal.close()


def test_after_a_failed_sync_nothing_that_a_reopened_journal_shows_is_lost_again() -> None:
    for seed in range(30):
        disk = SimDisk(Random(seed))
        journal = filled(disk, 1)
        journal.append([pack(2, bytes(2000))])
        disk.faults.sync_error = 1.0
        with pytest.raises(OSError, match="sync error"):
            journal.sync()
        disk.faults.sync_error = 0.0
        killed = disk.restart("all")
        shown = open_journal(killed)[1].last_index
        assert shown == 2
        assert open_journal(killed.restart("none"))[1].last_index == shown


def test_a_full_disk_refuses_a_batch_and_nothing_of_it_counts(disk: SimDisk) -> None:
    journal = filled(disk, 1)
    disk.faults.capacity_bytes = disk.used_bytes
    last = 1
    with suppress(DiskFull):
        while last < 100:
            journal.append([pack(last + 1, bytes(300))])
            last += 1
    assert journal.last_index == last < 100
    assert not journal.prepare_next()
    assert len(disk.list_directory(DIRECTORY)) == 1
    journal.sync()
    disk.faults.capacity_bytes = None
    journal.append([pack(last + 1, bytes(300))])
    journal.sync()
    assert reopened(disk)[1].last_index == last + 1


def test_a_batch_that_outgrows_a_full_disk_leaves_the_journal_as_it_was(disk: SimDisk) -> None:
    journal = filled(disk, 1)
    prepare_all(journal)
    disk.faults.capacity_bytes = disk.used_bytes + 100
    with pytest.raises(DiskFull):
        journal.append([pack(2, bytes(9000))])
    journal.append([pack(2, b"small")])
    journal.sync()
    again, _ = reopened(disk)
    assert content(again)[1:] == [(2, 1, b"small")]


def test_a_journal_opens_on_a_full_disk(disk: SimDisk) -> None:
    filled(disk, 1)
    after = disk.restart("none")
    after.faults.capacity_bytes = 0
    assert open_journal(after)[1].last_index == 1


def test_a_full_segment_on_a_full_disk_can_be_opened_and_dropping_makes_room(
    disk: SimDisk,
) -> None:
    journal, last = filled(disk, 1), 1
    disk.faults.capacity_bytes = 2 * SEGMENT_BYTES + 100
    with suppress(DiskFull):
        while last < 1000:
            journal.append([pack(last + 1, b"small")])
            last += 1
    journal.sync()
    after = disk.restart("all")
    journal, recovered = open_journal(after)
    assert (recovered.last_index, recovered.openings) == (last, 2)
    assert content(journal)[-1] == (last, 1, b"small")
    with pytest.raises(DiskFull):
        journal.append([pack(last + 1, b"small")])
    journal.drop_to(Index(last))
    journal.append([pack(last + 1, b"small")])
    journal.sync()
    assert open_journal(after.restart("none"))[1].last_index == last + 1


def test_a_first_segment_needs_room(disk: SimDisk) -> None:
    disk.faults.capacity_bytes = 100
    with pytest.raises(DiskFull):
        open_journal(disk)
    disk.faults.capacity_bytes = None
    assert open_journal(disk)[1].openings == 1


def test_a_journal_of_a_later_format_is_not_touched(disk: SimDisk) -> None:
    filled(disk, 1).close()
    header = Header(1, Position(0, 0), 0, Term(0), Index(0), version=2)
    disk.damage(f"{DIRECTORY}/0000000000000001.seg", 0, encode_header(header))
    before = disk.digest()
    with pytest.raises(JournalUnreadable, match="journal format 2; this program reads 1"):
        open_journal(disk)
    assert disk.digest() == before


def test_an_encrypted_journal_is_not_touched(disk: SimDisk) -> None:
    filled(disk, 1).close()
    header = Header(1, Position(0, 0), 0, Term(0), Index(0), cipher=1, key_id=b"k" * 16)
    disk.damage(f"{DIRECTORY}/0000000000000001.seg", 0, encode_header(header))
    with pytest.raises(JournalUnreadable, match="cipher 1, key 6b6b"):
        open_journal(disk)


def test_openings_are_counted_and_cost_little(disk: SimDisk) -> None:
    filled(disk, 1).close()
    for opening in range(2, 30):
        journal, recovered = open_journal(disk)
        assert recovered.openings == opening
        journal.close()
    assert len(disk.list_directory(DIRECTORY)) <= 3


BATCHES = st.lists(st.lists(st.binary(max_size=900), max_size=4), max_size=25)


@given(BATCHES, st.integers(0, 3))
def test_any_batches_come_back_in_order(batches: list[list[bytes]], every: int) -> None:
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    expected: list[tuple[int, int, bytes]] = []
    for number, payloads in enumerate(batches):
        first = len(expected) + 1
        frames: list[Frame] = [pack(first + at, data) for at, data in enumerate(payloads)]
        expected += [(frame.index, 1, frame.payload) for frame in frames]
        journal.append(frames)
        if every and number % every == 0:
            journal.sync()
            prepare_all(journal)
    assert content(journal) == expected
    journal.close()
    again, _ = reopened(disk)
    assert content(again) == expected
    again.close()
