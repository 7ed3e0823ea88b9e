"""A segment is read without the zeros at its end; what is found must not depend on that."""

from random import Random

import pytest

from net.journal import scan
from net.journal.layout import HEAD_BYTES, Position
from sim.disk import SimDisk
from tests.journals import DIRECTORY, SEGMENT_BYTES, content, open_journal, pack

WHOLE = 4 * SEGMENT_BYTES
"""A slice that holds any segment of these tests: all of it is read unless all of it is blank."""


def found(disk: SimDisk, slice_bytes: int, patch: pytest.MonkeyPatch) -> list[object]:
    """Return everything that a survey says, read in slices of this size."""
    patch.setattr(scan, "_SLICE_BYTES", slice_bytes)
    patch.setattr(scan, "_BLANK", bytes(slice_bytes))
    result = scan.survey(disk, DIRECTORY)
    log = result.log
    places = [log.locate(index) for index in range(log.first_index, log.last_index + 1)]
    facts = [result.accepted, result.end, result.chain, result.synced, result.spare]
    facts += [result.leftover, result.torn, result.torn_bytes, str(result.damage)]
    return [*facts, result.latest, result.reports, places]


def written(seed: int) -> SimDisk:
    """Return a disk with a journal of payloads that end with zeros, cut or damaged by chance."""
    chance = Random(seed)
    disk = SimDisk(chance)
    journal, _ = open_journal(disk)
    for index in range(1, chance.randrange(2, 30)):
        zeros = bytes(chance.choice((0, 0, 60, 300, 5000)))
        journal.append([pack(index, chance.randbytes(chance.randrange(200)) + zeros)])
        if chance.random() < 0.7:
            journal.sync()
        if chance.random() < 0.3:
            journal.prepare_next()
    disk = disk.restart("subset")
    for number in scan.segment_numbers(disk, DIRECTORY):
        path = scan.segment_path(DIRECTORY, number)
        if chance.random() < 0.2:
            place = chance.randrange(disk.size_bytes(path))
            disk.damage(path, place, chance.choice((bytes(600), b"\xff" * 8)))
    return disk


@pytest.mark.parametrize("seed", range(60))
def test_a_survey_finds_the_same_in_slices_of_any_size(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = written(seed)
    whole = found(disk, WHOLE, monkeypatch)
    assert [found(disk, size, monkeypatch) for size in (64, 500, 4096)] == [whole] * 3


def test_a_payload_of_zeros_up_to_the_end_of_a_segment_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "_SLICE_BYTES", 64)
    monkeypatch.setattr(scan, "_BLANK", bytes(64))
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    journal.append([pack(1, bytes(3 * SEGMENT_BYTES))])
    journal.close()
    again, recovered = open_journal(disk.restart("none"))
    assert (content(again), recovered.torn_bytes) == ([(1, 1, bytes(3 * SEGMENT_BYTES))], 0)


def test_what_was_synced_behind_a_blank_header_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment is not taken for a prepared one because its beginning is blank."""
    monkeypatch.setattr(scan, "_SLICE_BYTES", 64)
    monkeypatch.setattr(scan, "_BLANK", bytes(64))
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    index = 0
    while journal.end.segment < 2 or journal.end.offset < SEGMENT_BYTES // 2:
        index += 1
        journal.append([pack(index, b"x" * 200)])
        journal.sync()
    disk.damage(scan.segment_path(DIRECTORY, 2), 0, bytes(1024))
    result = scan.survey(disk.restart("all"), DIRECTORY)
    assert result.end < Position(2, 0)
    assert "no valid record" in str(result.damage)


def test_a_head_whose_batch_is_blank_is_a_torn_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head's own last bytes are zeros, so that it stands across the end of what is read."""
    monkeypatch.setattr(scan, "_SLICE_BYTES", 4)
    monkeypatch.setattr(scan, "_BLANK", bytes(4))
    disk = SimDisk(Random(0))
    journal, _ = open_journal(disk)
    journal.append([pack(1, b"kept")])
    journal.sync()
    torn = journal.end
    journal.append([pack(2, b"lost" * 50)])
    path = scan.segment_path(DIRECTORY, torn.segment)
    disk.damage(path, torn.offset + HEAD_BYTES, bytes(SEGMENT_BYTES - torn.offset - HEAD_BYTES))
    result = scan.survey(disk.restart("all"), DIRECTORY)
    assert (result.end, result.torn_bytes) == (torn, journal.end.offset - torn.offset)
    assert result.damage is None
