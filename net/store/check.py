"""Is a store whole? Everything that can be known from the file alone, for `trine check`.

Offline: no member may be running on the file. Findings are data, never exceptions; a check that
cannot go on says so as a finding. The journal has a check of its own.

    pages      every page's checksum, and SQLite's own structure check
    facts      the table meta is complete and its numbers agree with each other
    changes    change numbers, revisions and versions follow each other; see _Reading
    leases     every lease that a live key carries exists
    members    what the caller finds: their rows are bytes here
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import apsw
import attrs

from net.disk import Disk, RealDisk
from net.store import connection, files, meta, schema
from net.store.batch import ChangeRow, Meta, unsigned
from net.store.connection import Database
from net.store.errors import StoreError
from net.store.pages import bad_pages

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called now and then with (which check, done, total)."""

Members: TypeAlias = Callable[[Sequence[tuple[int, bytes]]], Iterable[str]]
"""What is wrong with the rows of members, in sentences."""

_EACH_MAX = 20
_ROWS_A_STEP = 4096


@attrs.frozen
class Finding:
    """One thing that is wrong: which check saw it, and a sentence."""

    check: str
    what: str


def check(
    path: str,
    *,
    progress: Progress | None = None,
    disk: Disk | None = None,
    members: Members | None = None,
) -> list[Finding]:
    """Return what is wrong with a database file, or with the newest one in a directory."""
    disk = RealDisk() if disk is None else disk
    report = progress or _silent
    if os.path.isdir(path):
        found = files.generations(disk, path)
        if not found:
            return [Finding("file", f"{path} holds no store")]
        path = files.state_path(path, found[-1])
    if not disk.exists(path):
        return [Finding("file", f"{path} is missing")]
    findings = list(_page_findings(disk, path, report))
    try:
        database = _opened(disk, path)
    except (apsw.Error, StoreError) as error:
        return [*findings, Finding("file", f"{path} cannot be opened: {error}")]
    try:
        findings.extend(_content_findings(database, report))
        faults = members or _nothing_wrong
        findings.extend(_limited("members", iter(faults(_member_rows(database)))))
    except (apsw.Error, StoreError) as error:
        findings.append(Finding("file", f"{path} cannot be read to its end: {error}"))
    finally:
        database.close()
    return findings


def _silent(_check: str, _done: int, _total: int) -> None:
    return


def _pending(disk: Disk, path: str) -> bool:
    wal = path + "-wal"
    return disk.exists(wal) and disk.size_bytes(wal) > 0


def _opened(disk: Disk, path: str) -> Database:
    return connection.reader(path) if _pending(disk, path) else connection.still(path)


def _page_findings(disk: Disk, path: str, report: Progress) -> Iterator[Finding]:
    """Check the raw pages. With frames in the WAL a page may rightly be half-written: the WAL
    covers it, and the structure check that follows reads the page that counts."""
    if _pending(disk, path):
        return
    file = disk.open(path, writable=False)
    try:
        size = file.size_bytes()
        total = size // connection.PAGE_SIZE
        bad = list(bad_pages(file, size, lambda done: report("pages", done, total)))
    finally:
        file.close()
    yield from _limited("pages", (f"page {page} fails its checksum" for page in bad))


def _content_findings(database: Database, report: Progress) -> Iterator[Finding]:
    version = schema.schema_version(database)
    if version != schema.SCHEMA_VERSION:
        yield Finding("file", f"schema {version} is not the one this program checks")
        return
    report("structure", 0, 1)
    said = [str(row[0]) for row in database.run(f"PRAGMA integrity_check({_EACH_MAX})")]
    yield from (Finding("structure", what) for what in said if what != "ok")
    report("structure", 1, 1)
    facts = meta.read(database)
    # The core says -1 while nothing was ever compacted.
    facts = attrs.evolve(facts, compact_revision=max(facts.compact_revision, 0))
    yield from _limited("facts", _fact_faults(facts))
    leases = {
        lease for chunk in database.chunks("SELECT id FROM lease", 4096) for (lease,) in chunk
    }
    reading = _Reading(facts)
    yield from _limited("changes", _change_faults(database, reading, report))
    yield from _limited("leases", reading.lease_faults(leases))


def _fact_faults(facts: Meta) -> Iterator[str]:
    if facts.index == 0 and facts.last_number:
        yield f"{facts.last_number} changes were stored but no applied index"
    if facts.term == 0 and facts.index:
        yield f"index {facts.index} was applied in term 0"
    if facts.revision < meta.FIRST_REVISION:
        yield f"revision {facts.revision} is below {meta.FIRST_REVISION}"
    if facts.compact_revision > facts.revision:
        yield f"compact revision {facts.compact_revision} is above revision {facts.revision}"
    if facts.scrubbed > facts.compact_revision:
        yield f"scrubbed up to {facts.scrubbed}, above compact revision {facts.compact_revision}"


def _member_rows(database: Database) -> list[tuple[int, bytes]]:
    return [
        (unsigned(member), body)
        for chunk in database.chunks("SELECT id, body FROM member", _ROWS_A_STEP)
        for member, body in chunk
    ]


def _nothing_wrong(_rows: Sequence[tuple[int, bytes]]) -> Iterable[str]:
    return ()


def _change_faults(database: Database, reading: "_Reading", report: Progress) -> Iterator[str]:
    total = database.number("SELECT count(*) FROM change")
    done = 0
    for chunk in database.chunks("SELECT * FROM change ORDER BY number", _ROWS_A_STEP):
        report("changes", done, total)
        for row in chunk:
            yield from reading.faults(row)
        done += len(chunk)
    yield from reading.end_faults()
    report("changes", total, total)


@attrs.define
class _Last:
    """The newest row of a key so far."""

    number: int
    create: int
    version: int
    lease: int


class _Reading:
    """Follows the change rows in order and says what does not follow.

    Above the compact revision every row must be there: numbers and revisions without a hole,
    each version one above the key's last. At or below it, compaction has taken rows out, and
    only order can be checked.
    """

    def __init__(self, facts: Meta) -> None:
        self._facts = facts
        self._number = 0
        self._main = 0
        self._sub = 0
        self._keys: dict[bytes, _Last] = {}

    def faults(self, row: ChangeRow) -> Iterator[str]:
        number, main, sub, key, create, version, _prev, lease, tombstone, value = row
        if number <= 0:
            yield f"change {number} has no place: numbers start at 1"
        yield from self._order_faults(number, main, sub)
        if tombstone not in (0, 1) or (tombstone == 1) != (value is None):
            yield f"change {number} is neither a put nor a tombstone"
        elif tombstone:
            if (create, version, lease) != (0, 0, 0):
                yield f"change {number} is a tombstone with a version or a lease"
        else:
            yield from self._put_faults(row)
        yield from self._prev_faults(row)
        self._number, self._main, self._sub = number, main, sub
        self._keys[key] = _Last(number, create, version, lease)

    def end_faults(self) -> Iterator[str]:
        facts = self._facts
        if self._number > facts.last_number:
            yield f"change {self._number} is above the last number {facts.last_number}"
        if facts.revision > facts.compact_revision:
            if self._main != facts.revision and facts.revision > meta.FIRST_REVISION:
                yield f"the last change is of revision {self._main}, not {facts.revision}"
            if self._number != facts.last_number:
                yield f"the last change is {self._number}, not {facts.last_number}"

    def lease_faults(self, leases: set[int]) -> Iterator[str]:
        for key, last in self._keys.items():
            if last.lease and last.lease not in leases:
                yield f"{key!r} hangs on lease {last.lease:x}, which does not exist"

    def _order_faults(self, number: int, main: int, sub: int) -> Iterator[str]:
        if (main, sub) <= (self._main, self._sub):
            yield f"change {number} is revision {main}.{sub}, after {self._main}.{self._sub}"
        if main > self._facts.revision:
            yield f"change {number} is of revision {main}, above {self._facts.revision}"
        if main <= self._facts.compact_revision:
            return
        # The revision before may be the compact one, of which rows are gone.
        if self._main > self._facts.compact_revision:
            follows = (main, sub) in ((self._main, self._sub + 1), (self._main + 1, 0))
            if not follows and (main, sub) > (self._main, self._sub):
                yield f"revisions between {self._main}.{self._sub} and {main}.{sub} are missing"
            if number != self._number + 1:
                yield f"changes between {self._number} and {number} are missing"
        elif (main, sub) != (max(self._facts.compact_revision, meta.FIRST_REVISION) + 1, 0):
            yield f"revisions between {self._facts.compact_revision} and {main}.{sub} are missing"

    def _put_faults(self, row: ChangeRow) -> Iterator[str]:
        number, main, _sub, key, create, version = row[:6]
        if version < 1 or not 0 < create <= main or (version == 1) != (create == main):
            yield f"change {number} has version {version}, created at {create} of {main}"
        last = self._keys.get(key)
        if last is None or main <= self._facts.compact_revision:
            return
        if last.version == 0:
            if version != 1:
                yield f"change {number} has version {version} right after a tombstone"
        elif (create, version) != (last.create, last.version + 1):
            yield f"change {number} has version {version} after version {last.version}"

    def _prev_faults(self, row: ChangeRow) -> Iterator[str]:
        number, main, key, prev = row[0], row[1], row[3], row[6]
        last = self._keys.get(key)
        if prev >= number:
            yield f"change {number} follows change {prev} of its key"
        elif last is not None and main > self._facts.compact_revision and prev != last.number:
            yield f"change {number} follows change {prev} of its key, not {last.number}"


def _limited(name: str, faults: Iterator[str]) -> Iterator[Finding]:
    """Yield the first findings of one check, and the count of the others."""
    more = 0
    for place, what in enumerate(faults):
        if place < _EACH_MAX:
            yield Finding(name, what)
        else:
            more += 1
    if more:
        yield Finding(name, f"and {more} more of this kind")
