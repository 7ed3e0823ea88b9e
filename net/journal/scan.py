"""Reading a journal back: where it ends, and whether what follows is a torn tail or damage.

Rule of this file: it reads and judges, and writes nothing. The journal ends where the first batch
fails to verify or to continue the chain. Every head that verifies, also those behind that end,
records an end that was synced when it was written; if one is above the end found, durable bytes are
gone: `Survey.damage`. Cost: one read of every segment; in memory, what one segment holds before the
zeros that end it.
"""

from collections.abc import Iterator

import attrs

from core.ids import Index, Term
from net.disk import Disk
from net.journal.errors import JournalDamaged, JournalUnreadable
from net.journal.layout import (
    BLOCK_BYTES,
    FORMAT_VERSION,
    HEAD_BYTES,
    HEADER_BYTES,
    PACK,
    SNAPSHOT_MARK,
    TOO_LONG,
    TRUNCATION,
    Batch,
    Frame,
    Header,
    Placed,
    Position,
    decode_batch,
    decode_header,
    header_chain,
    heads,
)
from net.journal.log import Log

START = Position(0, 0)
_SUFFIX = ".seg"
_DIGITS = 16
_SLICE_BYTES = 1 << 18
_BLANK = bytes(_SLICE_BYTES)


def segment_path(directory: str, number: int) -> str:
    return f"{directory}/{number:0{_DIGITS}d}{_SUFFIX}"


def segment_numbers(disk: Disk, directory: str) -> list[int]:
    """Return the numbers of all segment files, ascending."""
    names = disk.list_directory(directory)
    stems = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
    return sorted(int(stem) for stem in stems if len(stem) >= _DIGITS and stem.isdecimal())


@attrs.frozen
class SegmentReport:
    """What one segment file holds. `stop` says why reading ended; `torn_bytes` what lay behind."""

    number: int
    size_bytes: int
    used: bool
    end: int
    batches: int
    packs: tuple[Index, Index] | None
    stop: str
    torn_bytes: int


@attrs.define
class Survey:
    """The journal as found: accepted segments in order, what they say, and what is left over."""

    directory: str
    log: Log = attrs.Factory(lambda: Log(Index(0), Term(0)))
    latest: dict[int, Frame] = attrs.Factory(dict[int, Frame])
    """The newest frame of every type but pack and truncation."""
    accepted: list[int] = attrs.Factory(list[int])
    end: Position = START
    chain: int = 0
    synced: Position = START
    """The highest recorded synced end among accepted batches."""
    spare: list[int] = attrs.Factory(list[int])
    """Prepared segments that were never written."""
    leftover: list[int] = attrs.Factory(list[int])
    """Segments whose content does not belong to the log: to be used again under a new number."""
    torn: list[tuple[int, int, int]] = attrs.Factory(list[tuple[int, int, int]])
    """(segment, from, to) of accepted segments where torn batches were recognised."""
    torn_bytes: int = 0
    damage: JournalDamaged | None = None
    reports: list[SegmentReport] = attrs.Factory(list[SegmentReport])


@attrs.define
class _Evidence:
    """The highest synced end recorded by heads that are no part of the journal."""

    claim: Position = START
    claims: dict[int, Position] = attrs.Factory(dict[int, Position])
    """The same for each segment in which such heads stand."""

    def gather(self, image: "_Image", number: int, start: int) -> int:
        """Search a segment from `start`; return how many torn bytes there are at least."""
        found = heads(image.data, number, start)
        self.claims[number] = max((head.synced for head in found), default=START)
        self.claim = max(self.claim, self.claims[number])
        end = max((head.end for head in found), default=start)
        return min(end, image.size_bytes) - start


@attrs.define
class _Image:
    """A segment as read: all of it, or less by zeros at its end that nobody asked for yet.

    A prepared segment is zeros to its end, and the newest one mostly: making memory for them
    costs five times as much as looking at them.
    """

    data: bytes
    size_bytes: int

    def batch_at(self, number: int, offset: int, chain: int) -> Batch | str:
        """Return what `decode_batch` does for the whole segment."""
        batch = decode_batch(self.data, number, offset, chain)
        if batch == TOO_LONG and len(self.data) < self.size_bytes:
            # Its last payload may end with zeros.
            self.data = self.data.ljust(self.size_bytes, b"\0")
            batch = decode_batch(self.data, number, offset, chain)
        return batch


def survey(disk: Disk, directory: str) -> Survey:
    """Read all segments and judge.

    Raises what the disk raises, `JournalUnreadable`, and `JournalDamaged` only where frames that
    verify contradict each other; damage of bytes is told in the result.
    """
    result = Survey(directory)
    numbers = segment_numbers(disk, directory)
    present = frozenset(numbers)
    evidence = _Evidence()
    short: JournalDamaged | None = None
    for number in numbers:
        path = segment_path(directory, number)
        image = _image(disk, path)
        header = decode_header(image.data)
        short = short or _cut_off(image, header, number, path)
        if header is not None:
            _check_readable(header, path)
        if header is None or header.number != number:
            _set_aside(result, evidence, image, number, blank=True)
        elif _continues(result, header, present) and _begins(image, header):
            _accept(result, evidence, image, header)
        else:
            _set_aside(result, evidence, image, number, blank=False)
    result.damage = short or _judge(result, evidence)
    return result


def _image(disk: Disk, path: str) -> _Image:
    file = disk.open(path, writable=False)
    try:
        size_bytes = end = file.size_bytes()
        while end:
            start = (end - 1) // _SLICE_BYTES * _SLICE_BYTES
            if file.read(start, end - start) != _BLANK[: end - start]:
                break
            end = start
        # A head that stands at the end of what is written may itself end with zeros.
        return _Image(file.read(0, min(end + HEAD_BYTES, size_bytes)), size_bytes)
    finally:
        file.close()


def _check_readable(header: Header, path: str) -> None:
    if header.version != FORMAT_VERSION:
        raise JournalUnreadable(
            f"{path}: journal format {header.version}; this program reads {FORMAT_VERSION}: "
            "run the version of trine that wrote it, or a newer one"
        )
    if header.cipher:
        raise JournalUnreadable(
            f"{path}: encrypted with cipher {header.cipher}, key {header.key_id.hex()}; "
            "this program reads plain journals only"
        )


def _cut_off(image: _Image, header: Header | None, number: int, path: str) -> JournalDamaged | None:
    """A file gets its name when all its blocks are durable: what is shorter was cut off."""
    made_blocks = header.made_blocks if header is not None and header.number == number else 1
    made_bytes = made_blocks * BLOCK_BYTES
    if image.size_bytes >= made_bytes:
        return None
    found = f"the file ends here, though it was at least {made_bytes} bytes long"
    return JournalDamaged(path, image.size_bytes, found)


def _continues(result: Survey, header: Header, present: frozenset[int]) -> bool:
    """Does this segment follow what was accepted, or begin the journal?

    The oldest one begins it if the segment before it was dropped, that is: is not there.
    """
    if not result.accepted:
        return header.previous.segment not in present
    return header.previous == result.end and header.previous_chain == result.chain


def _begins(image: _Image, header: Header) -> bool:
    """Is the first batch there? It carries what dropping segments loses: a header alone is none."""
    first = image.batch_at(header.number, HEADER_BYTES, header_chain(image.data))
    return isinstance(first, Batch)


def _accept(result: Survey, evidence: _Evidence, image: _Image, header: Header) -> None:
    """Take the segment into the log, up to its first batch that fails."""
    if not result.accepted:
        result.log = Log(header.base_index, header.base_term)
    result.accepted.append(header.number)
    result.log.begin_segment(header.number)
    offset, chain, count = HEADER_BYTES, header_chain(image.data), 0
    packs: list[Index] = []
    while isinstance(batch := image.batch_at(header.number, offset, chain), Batch):
        path = segment_path(result.directory, header.number)
        for placed in batch.frames:
            replay(placed, result.log, result.latest, path)
            if placed.frame.type == PACK:
                packs.append(placed.frame.index)
        result.synced = max(result.synced, batch.head.synced)
        offset, chain, count = batch.head.end, batch.chain, count + 1
    result.end, result.chain = Position(header.number, offset), chain
    torn_bytes = evidence.gather(image, header.number, offset)
    result.torn_bytes += torn_bytes
    if torn_bytes:
        result.torn.append((header.number, offset, offset + torn_bytes))
    span = (packs[0], packs[-1]) if packs else None
    stop = batch if torn_bytes else "the end"
    result.reports.append(
        SegmentReport(header.number, image.size_bytes, True, offset, count, span, stop, torn_bytes)
    )


def replay(placed: Placed, log: Log, latest: dict[int, Frame], path: str) -> None:
    """Apply one frame to the log's picture; the same for a frame read back and one just written."""
    frame = placed.frame
    if frame.type == PACK:
        if frame.index != log.last_index + 1:
            found = f"pack {frame.index} follows pack {log.last_index}"
            raise JournalDamaged(path, placed.offset, found)
        log.add(frame.index, frame.term, placed.offset, placed.seed)
    elif frame.type == TRUNCATION:
        log.truncate_from(frame.index, term_before=frame.term)
    else:
        latest[frame.type] = frame
        if frame.type == SNAPSHOT_MARK and log.restarts(frame.index, frame.term):
            log.restart(frame.index, frame.term)


def _set_aside(
    result: Survey, evidence: _Evidence, image: _Image, number: int, *, blank: bool
) -> None:
    torn_bytes = evidence.gather(image, number, 0)
    is_spare = blank and torn_bytes == 0 and bool(result.accepted)
    (result.spare if is_spare else result.leftover).append(number)
    result.torn_bytes += torn_bytes
    stop = "prepared, not written" if is_spare else "does not continue the journal"
    result.reports.append(
        SegmentReport(number, image.size_bytes, False, 0, 0, None, stop, torn_bytes)
    )


def _judge(result: Survey, evidence: _Evidence) -> JournalDamaged | None:
    if evidence.claim <= result.end:
        return None
    number, offset = result.end
    if evidence.claims.get(number, START) <= result.end:
        # This segment ended as it should: the next one there is, or should be, is at fault.
        number = min((n for n in result.leftover if n > number), default=number)
        offset = offset if number == result.end.segment else 0
    claim = f"{segment_path(result.directory, evidence.claim.segment)}:{evidence.claim.offset}"
    found = f"no valid record, though everything up to {claim} had been synced"
    return JournalDamaged(segment_path(result.directory, number), offset, found)


def unsynced_stretches(result: Survey) -> Iterator[tuple[int, int, int]]:
    """Yield (segment, from, to) of everything accepted above the last recorded synced end."""
    for number in result.accepted:
        if number < result.synced.segment:
            continue
        start = result.synced.offset if number == result.synced.segment else 0
        yield number, start, result.end.offset if number == result.end.segment else -1
