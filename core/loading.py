"""Making a state from stored rows: start-up and a received snapshot.

One pass over the change rows in number order, in slices where others wait. What a compaction made
invisible but nobody has deleted yet is left out and named, so that the caller deletes it.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain, islice
from operator import attrgetter

from attrs import frozen

from core.changelog import ChangeLog
from core.limits import KEY_COST_BYTES, VERSION_COST_BYTES
from core.members import BrokenMemberError, from_rows
from core.piecemeal import Piecemeal, Piecework
from core.records import Version, put_version, put_versions, tombstone
from core.state import (
    HASH_MASK,
    NOT_COMPACTED,
    Lease,
    State,
    add_lease,
    put_member,
    put_removed,
    version_bytes,
)

_SLICE = 8192
"""Versions looked at without a pause, once the rows are read: 2 to 5 ms."""

_key = attrgetter("key")
_mod = attrgetter("mod")
_put_number = attrgetter("version")
_framed = attrgetter("framed")
_row_hash = attrgetter("row_hash")
_lease = attrgetter("lease")

Row = tuple[int, int, int, bytes, int, int, int, int, int, bytes | None]
"""(number, main, sub, key, create, version, previous number, lease, is tombstone, value)."""


@frozen
class Facts:
    """What is stored beside the rows, as of one applied index."""

    index: int
    term: int
    revision: int
    compact_revision: int
    change_count: int
    chain_hash: int
    leases: Sequence[tuple[int, int, int]]
    """(id, granted TTL in seconds, index of the grant)."""
    alarms: Sequence[tuple[int, int]]
    members: Sequence[tuple[int, bytes]] = ()
    """Rows of `core.members`."""


class BrokenStateError(Exception):
    """The rows contradict each other: they are not a state that a member wrote."""


def load(facts: Facts, chunks: Iterable[Sequence[Row]]) -> tuple[State, list[int]]:
    """Return the state and the numbers of rows that are dead. Cost O(n log n)."""
    return Piecework(loading(facts, chunks)).whole()


def loading(facts: Facts, chunks: Iterable[Sequence[Row]]) -> Piecemeal[tuple[State, list[int]]]:
    """Do what `load` does in slices, of one chunk each while rows are read."""
    state = State(
        revision=facts.revision,
        compact_revision=facts.compact_revision,
        scrubbed_revision=facts.compact_revision,
        applied_index=facts.index,
        applied_term=facts.term,
        change_count=facts.change_count,
        logged_count=facts.change_count,
        chain_hash=facts.chain_hash,
    )
    for lease_id, ttl_s, generation in facts.leases:
        add_lease(state, Lease(lease_id, ttl_s, generation))
    state.alarms = set(facts.alarms)
    _fill_members(state, facts.members)
    loader = _Loader(state)
    for chunk in chunks:
        loader.take(chunk)
        yield
    yield from loader.finish()
    return state, loader.dead


def _fill_members(state: State, table: Sequence[tuple[int, bytes]]) -> None:
    try:
        members, removed = from_rows(table)
    except BrokenMemberError as error:
        raise BrokenStateError(str(error)) from error
    for member in members.values():
        put_member(state, member)
    for member_id in sorted(removed):
        put_removed(state, member_id)


def _versions_of(rows: Sequence[Row]) -> list[Version]:
    if not rows:
        return []
    numbers, mains, _, keys, creates, versions, _, leases, buried, values = zip(*rows, strict=True)
    plain = not any(leases) and not any(buried) and all(values)
    if plain and max(versions) < 128 and max(map(len, keys)) < 128:
        return put_versions(keys, values, mains, creates, versions, numbers)
    return [
        tombstone(key, mod=main, number=number)
        if gone
        else put_version(key, value or b"", main, create, version, lease, number)
        for number, main, _, key, create, version, _, lease, gone, value in rows
    ]


class _Loader:
    """The pass over the rows."""

    def __init__(self, state: State) -> None:
        self.dead: list[int] = []
        self._state = state
        self._compact = state.compact_revision
        self._newest: dict[bytes, Version] = {}
        self._history: dict[bytes, list[Version]] = {}
        self._entry: list[Version] = []
        self._main = 0
        self._superseded = 0
        self._buried = 0
        self._bytes = 0
        self._begun = False

    def take(self, rows: Sequence[Row]) -> None:
        """Enter one chunk: at once if all its keys are new, else row by row."""
        versions = _versions_of(rows)
        if not self._took_at_once(versions):
            for change in versions:
                self._take_one(change)

    def _took_at_once(self, versions: list[Version]) -> bool:
        """Enter a chunk of first versions; whether it was one.

        Most chunks of a store that was compacted lately are such; row by row they cost a half
        more.
        """
        if not versions:
            return True
        newest = self._newest
        fresh = dict(zip(map(_key, versions), versions, strict=True))
        if len(fresh) != len(versions) or not newest.keys().isdisjoint(fresh):
            return False
        first, last = versions[0].mod, versions[-1].mod
        if last >= self._compact:
            # Those above the compact revision also go into the log, one a revision.
            mods = list(map(_mod, versions))
            if first <= self._compact or mods != list(range(first, first + len(mods))):
                return False
            if first == self._main or not all(map(_put_number, versions)):
                return False
            self._close_revision()
            self._begin_log(first)
            # The last revision may have more changes in the next chunk.
            self._state.changes.extend(versions[:-1])
            self._entry = versions[-1:]
            self._main = last
        newest.update(fresh)
        return True

    def _take_one(self, change: Version) -> None:
        key, main = change.key, change.mod
        previous = self._newest.get(key)
        self._newest[key] = change
        if main <= self._compact:
            if previous is not None:
                self.dead.append(previous.number)
            if main == self._compact:
                self._enter(change, None)
            return
        if previous is not None:
            older = self._history.get(key)
            if older is None:
                self._history[key] = [previous]
            else:
                older.append(previous)
            self._bytes += version_bytes(previous)
        self._enter(change, previous)

    def _enter(self, change: Version, previous: Version | None) -> None:
        if change.mod != self._main:
            self._close_revision()
            self._main = change.mod
        self._entry.append(change)
        if previous is not None and previous.version:
            self._superseded += version_bytes(previous)
        elif previous is not None and previous.mod == change.mod:
            # Put again by the command that deleted it: see `core.writes`.
            self._buried -= version_bytes(previous)
            self._superseded += version_bytes(previous)
        if not change.version:
            self._buried += version_bytes(change)

    def _close_revision(self) -> None:
        entry = self._entry
        if not entry:
            return
        self._begin_log(entry[0].mod)
        self._state.changes.append(
            entry[0] if len(entry) == 1 else tuple(entry),
            self._superseded,
            self._buried,
        )
        self._entry = []
        self._superseded = 0
        self._buried = 0

    def _begin_log(self, revision: int) -> None:
        """Make sure that `revision` is the log's next one."""
        log: ChangeLog = self._state.changes
        if not self._begun:
            self._begun = True
            log.restart_at(revision)
        if log.last != revision - 1:
            raise BrokenStateError(f"revision {log.last + 1} has no change row")

    def finish(self) -> Piecemeal[None]:
        """Fill index, log, hash and account; check that the rows reach the stored revision."""
        self._close_revision()
        state = self._state
        if not self._begun:
            state.changes.restart_at(state.revision + 1)
        elif self._compact == NOT_COMPACTED and state.changes.first != 2:
            raise BrokenStateError(f"revision {state.changes.first - 1} has no change row")
        if state.changes.last != state.revision:
            raise BrokenStateError(
                f"rows end at revision {state.changes.last}, the store says {state.revision}"
            )
        dead_keys: list[bytes] = []
        newest = list(self._newest.values())
        for at in range(0, len(newest), _SLICE):
            self._enter_newest(newest[at : at + _SLICE], dead_keys)
            yield
        yield from self._drop_buried_history()
        state.resident_bytes += self._bytes
        keys = yield from _ascending(self._newest)
        state.index.fill(self._newest, self._history, keys, dead_keys)
        self.dead.sort()

    def _enter_newest(self, versions: list[Version], dead_keys: list[bytes]) -> None:
        """Count newest versions; keys that stay as dead ones are added to `dead_keys`."""
        live = [version for version in versions if version.version]
        if len(live) < len(versions):
            dead_keys += self._part_from_the_dead(versions)
        state = self._state
        state.live_hash = (state.live_hash + sum(map(_row_hash, live))) & HASH_MASK
        self._bytes += sum(map(len, map(_framed, live))) + sum(map(len, map(_key, live)))
        self._bytes += len(live) * (VERSION_COST_BYTES + KEY_COST_BYTES)
        for version in filter(_lease, live):
            self._attach(version)

    def _part_from_the_dead(self, versions: list[Version]) -> list[bytes]:
        """Take tombstones out of the newest versions; return the keys that stay as dead ones."""
        dead_keys: list[bytes] = []
        for version in versions:
            if version.version:
                continue
            key = version.key
            del self._newest[key]
            if version.mod < self._compact:
                self.dead.append(version.number)
            else:
                self._history.setdefault(key, []).append(version)
                dead_keys.append(key)
                self._bytes += version_bytes(version)
        return dead_keys

    def _drop_buried_history(self) -> Piecemeal[None]:
        """A tombstone older than the compact revision is invisible behind newer versions too."""
        for count, (key, older) in enumerate(list(self._history.items())):
            if count % _SLICE == _SLICE - 1:
                yield
            first = older[0]
            if not first.version and first.mod < self._compact:
                self.dead.append(first.number)
                self._bytes -= version_bytes(first)
                del older[0]
                if not older:
                    del self._history[key]

    def _attach(self, version: Version) -> None:
        lease = self._state.leases.get(version.lease)
        if lease is None:
            raise BrokenStateError(f"key {version.key!r} holds lease {version.lease}, not stored")
        lease.keys[version.key] = None


def _ascending(keys: Collection[bytes]) -> Piecemeal[list[bytes]]:
    """Return distinct keys in order. All at once that would hold the interpreter: 1 s a million.

    Runs are sorted, then merged two by two: `sorted` finds the two in their sum and merges them,
    50 ms a million.
    """
    waiting = iter(keys)
    runs: list[list[bytes]] = []
    while run := sorted(islice(waiting, _SLICE)):
        if runs and runs[-1][-1] < run[0]:
            runs[-1] += run
        else:
            runs.append(run)
        yield
    while len(runs) > 1:
        merged: list[list[bytes]] = []
        for at in range(0, len(runs), 2):
            merged.append(sorted(chain.from_iterable(runs[at : at + 2])))
            yield
        runs = merged
    return runs[0] if runs else []
