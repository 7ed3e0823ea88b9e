"""Packs back from the disk, one by one, each verified against the chain.

Rule of this file: it holds a window of one segment, never a whole log.
"""

from collections.abc import Iterator, Mapping

from core.ids import Index, Term
from net.disk import File
from net.journal.errors import JournalDamaged
from net.journal.layout import decode_frame, frame_bytes
from net.journal.log import Log

_WINDOW_BYTES = 1 << 18


def packs(
    log: Log, files: Mapping[int, File], first: Index, last: Index
) -> Iterator[tuple[Index, Term, bytes]]:
    """Yield the packs of an inclusive range of indexes."""
    window, window_segment, window_start = b"", 0, 0
    ahead = 0 if first == last else _WINDOW_BYTES
    for number in range(first, last + 1):
        segment, offset, seed = log.locate(number)
        at = offset - window_start
        if segment != window_segment or at < 0 or not _holds_frame(window, at):
            window = _read_frame(files[segment], offset, ahead)
            window_segment, window_start, at = segment, offset, 0
        decoded = decode_frame(window, at, seed)
        if decoded is None or decoded[0].index != number:
            raise JournalDamaged(files[segment].path, offset, f"pack {number} does not verify")
        frame = decoded[0]
        yield frame.index, frame.term, frame.payload


def _holds_frame(window: bytes, at: int) -> bool:
    size_bytes = frame_bytes(0)
    if at + size_bytes > len(window):
        return False
    length = int.from_bytes(window[at + 4 : at + 8], "little")
    return at + size_bytes + length <= len(window)


def _read_frame(file: File, offset: int, ahead: int) -> bytes:
    """Return the bytes of a frame at least, and as many more as `ahead` allows."""
    window = file.read(offset, max(ahead, 4096))
    length = int.from_bytes(window[4:8], "little")
    missing = frame_bytes(length) - len(window)
    if missing > 0:
        window += file.read(offset + len(window), missing)
    return window
