"""Damage below a recorded synced end is refused; above it is a torn tail; never is it believed."""

from random import Random

import pytest

from core.ids import Index
from net.journal import JournalDamaged, inspect
from net.journal.layout import HEADER_BYTES
from sim.disk import SimDisk
from tests.journals import DIRECTORY, Picture, content, open_journal, pack

PACKS = 26


def path(number: int) -> str:
    return f"{DIRECTORY}/{number:016d}.seg"


def written(*, closed: bool) -> SimDisk:
    """Return a disk with three segments of packs, each batch synced, sealed if `closed`."""
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    for index in range(1, PACKS + 1):
        journal.append([pack(index, b"%02d" % index * 150)])
        journal.sync()
    assert journal.end.segment == 3
    if closed:
        journal.close()
    return disk.restart("none")


def outcome(disk: SimDisk) -> str:
    """Open the journal: "refused", "whole", "cut" (a true prefix), or "WRONG"."""
    try:
        journal, _ = open_journal(disk)
    except JournalDamaged:
        return "refused"
    truth = [(index, 1, b"%02d" % index * 150) for index in range(1, PACKS + 1)]
    held = content(journal)
    journal.close()
    if held == truth:
        return "whole"
    return "cut" if held == truth[: len(held)] else "WRONG"


def flips(disk_path: str, *, closed: bool, start: int, end: int, step: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for offset in range(start, end, step):
        disk = written(closed=closed)
        disk.flip_bit(disk_path, offset, offset % 8)
        result = outcome(disk)
        found[result] = found.get(result, 0) + 1
    return found


@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_flipped_bit_is_ever_believed_or_cuts_what_a_clean_stop_left(number: int) -> None:
    end = 4096 if number < 3 else ends(closed=True)
    found = flips(path(number), closed=True, start=0, end=end, step=29)
    assert set(found) <= {"refused", "whole"}
    assert found["refused"] > 0.5 * sum(found.values())


def test_a_flipped_bit_in_the_very_last_batch_cuts_that_batch_only() -> None:
    end = ends(closed=False)
    last_batch = 56 + 28 + 300
    found = flips(path(3), closed=False, start=end - last_batch, end=end, step=3)
    assert set(found) == {"cut"}
    before = flips(path(3), closed=False, start=HEADER_BYTES, end=end - last_batch - 8, step=31)
    assert set(before) <= {"refused", "whole"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_flipped_byte_anywhere_is_ever_believed(number: int) -> None:
    for closed in (True, False):
        found = flips(path(number), closed=closed, start=0, end=4096, step=1)
        assert "WRONG" not in found


def ends(*, closed: bool) -> int:
    """Return where the third segment's batches end."""
    findings = list(inspect(written(closed=closed), DIRECTORY))
    return findings[-1].offset


def test_a_missing_segment_in_the_middle_is_refused() -> None:
    disk = written(closed=False)
    disk.remove_silently(path(2))
    with pytest.raises(JournalDamaged, match=r"0000000000000003\.seg, offset 0: no valid record"):
        open_journal(disk)


def test_a_truncated_segment_is_refused() -> None:
    disk = written(closed=False)
    disk.open(path(2)).truncate(2000)
    with pytest.raises(JournalDamaged, match="This is damage, not a torn write"):
        open_journal(disk)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("size_bytes", [0, 100, 512, 900, 2000, -1])
def test_a_newest_segment_that_was_cut_off_is_refused_however_little_is_gone(
    size_bytes: int, closed: bool
) -> None:
    disk = written(closed=closed)
    file = disk.open(path(3))
    kept = size_bytes if size_bytes >= 0 else file.size_bytes() - 512
    file.truncate(kept)
    found = rf"0000000000000003\.seg, offset {kept}: the file ends here, though it was at least"
    with pytest.raises(JournalDamaged, match=found):
        open_journal(disk)


def test_a_prepared_segment_that_was_emptied_is_refused() -> None:
    disk = written(closed=True)
    disk.create(path(4)).close()
    with pytest.raises(JournalDamaged, match=r"0000000000000004\.seg, offset 0: the file ends"):
        open_journal(disk)


def test_a_zeroed_header_of_the_oldest_segment_is_refused() -> None:
    disk = written(closed=False)
    disk.damage(path(1), 0, bytes(512))
    with pytest.raises(JournalDamaged, match=r"0000000000000001\.seg"):
        open_journal(disk)


def test_a_refused_journal_is_left_as_it_was() -> None:
    disk = written(closed=False)
    disk.flip_bit(path(1), 1000, 1)
    before = disk.digest()
    with pytest.raises(JournalDamaged):
        open_journal(disk)
    assert disk.digest() == before


def test_rot_after_the_start_is_found_when_the_pack_is_read() -> None:
    disk = written(closed=False)
    journal, _ = open_journal(disk)
    disk.flip_bit(path(1), 1500, 1)
    with pytest.raises(JournalDamaged, match=r"pack \d does not verify"):
        content(journal)
    assert journal.last_index == PACKS


def test_an_inspection_describes_a_sound_journal_and_changes_nothing() -> None:
    disk = written(closed=True)
    before = disk.digest()
    findings = list(inspect(disk, DIRECTORY))
    assert not any(finding.is_damage for finding in findings)
    assert [finding.path for finding in findings] == [path(1), path(2), path(3), path(3)]
    assert findings[0].text.startswith("10 batches, packs 1 to 9,")
    assert findings[-1].text == f"the journal ends here; it holds packs 1 to {PACKS}"
    assert disk.digest() == before


def test_an_inspection_names_the_damaged_place_and_goes_on() -> None:
    disk = written(closed=True)
    disk.flip_bit(path(2), 1500, 1)
    before = disk.digest()
    findings = list(inspect(disk, DIRECTORY))
    assert [finding.path for finding in findings if finding.is_damage] == [path(2)]
    assert len(findings) == 4
    assert disk.digest() == before


def test_an_inspection_of_a_new_directory_finds_an_empty_journal() -> None:
    disk = SimDisk(Random(0))
    disk.make_directory(DIRECTORY)
    assert [finding.text for finding in inspect(disk, DIRECTORY)] == ["an empty journal"]


def test_the_picture_used_by_the_crash_tests_tells_journals_apart() -> None:
    disk = SimDisk(Random(0))
    journal, recovered = open_journal(disk)
    journal.append([pack(1, b"a")])
    assert Picture(packs=(pack(1, b"a"),)).matches(journal, recovered, 0)
    for other in (pack(1, b"b"), pack(1, b"a", term=2)):
        assert not Picture(packs=(other,)).matches(journal, recovered, 0)
    assert not Picture().matches(journal, recovered, 0)
    assert journal.last_index == Index(1)
