"""What is in a journal, told to a human: `trine check`.

Rule of this file: it opens files for reading only, changes nothing, and never stops at a finding.
A journal in use may be inspected; its tail then looks torn.
"""

from collections.abc import Iterator

import attrs

from net.disk import Disk
from net.journal.errors import JournalDamaged, JournalUnreadable
from net.journal.scan import SegmentReport, segment_path, survey


@attrs.frozen
class Finding:
    """One sentence about one file. `is_damage` findings make the check fail."""

    path: str
    offset: int
    text: str
    is_damage: bool = False


def inspect(disk: Disk, directory: str) -> Iterator[Finding]:
    """Yield a finding per segment, one on the whole, and what is wrong."""
    try:
        found = survey(disk, directory)
    except JournalDamaged as damage:
        yield Finding(damage.path, damage.offset, str(damage), is_damage=True)
        return
    except JournalUnreadable as unreadable:
        yield Finding(directory, 0, str(unreadable), is_damage=True)
        return
    for report in found.reports:
        yield _of_segment(report, segment_path(directory, report.number))
    end = segment_path(directory, found.end.segment)
    if found.damage is not None:
        yield Finding(found.damage.path, found.damage.offset, str(found.damage), is_damage=True)
    elif not found.accepted:
        yield Finding(directory, 0, "an empty journal")
    else:
        log = found.log
        held = f"packs {log.first_index} to {log.last_index}"
        held = held if log.last_index >= log.first_index else f"no packs after {log.last_index}"
        yield Finding(end, found.end.offset, f"the journal ends here; it holds {held}")


def _of_segment(report: SegmentReport, path: str) -> Finding:
    if not report.used:
        torn = f", {report.torn_bytes} bytes of torn batches" if report.torn_bytes else ""
        return Finding(path, 0, report.stop + torn)
    packs = "no packs" if report.packs is None else f"packs {report.packs[0]} to {report.packs[1]}"
    text = f"{report.batches} batches, {packs}, {report.end} of {report.size_bytes} bytes used"
    if report.torn_bytes:
        text += f"; then {report.stop}, {report.torn_bytes} bytes of torn batches"
    return Finding(path, report.end, text)
