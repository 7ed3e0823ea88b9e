"""Changing keys: the only functions that write the index, and the revision they make.

A `Writer` lives for one command. Everything was checked before, so nothing here can fail.
Changes share the main revision; hash, account and lease attachments move with each change.
"""

from core.changelog import Entry
from core.limits import KEY_COST_BYTES, VERSION_COST_BYTES
from core.records import Version, put_version, tombstone
from core.state import CHAIN_FACTOR, HASH_MASK, State, key_bytes, version_bytes


class Writer:
    """One command's changes to the keys, visible to it at once, final with `commit`."""

    __slots__ = ("_buried", "_superseded", "_tombstones", "changes", "main", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.main = state.revision + 1
        self.changes: list[Version] = []
        self._superseded = 0
        self._buried = 0
        self._tombstones: dict[bytes, int] = {}
        """Keys deleted by this command, with what their tombstones weigh."""

    @property
    def revision(self) -> int:
        """What a header inside this command says: the new revision once something changed."""
        return self.main if self.changes else self.main - 1

    def put(self, key: bytes, value: bytes, lease: int) -> Version | None:
        """Write a key and return the live version it replaces."""
        previous = self.state.index.live.get(key)
        self.changes.append(_place(self.state, self.main, key, value, lease, previous))
        if previous is not None:
            self._superseded += len(previous.framed) + VERSION_COST_BYTES
        elif self._tombstones:
            # A tombstone that its own revision replaces goes with a compaction at it, not beyond.
            weight = self._tombstones.pop(key, 0)
            self._buried -= weight
            self._superseded += weight
        return previous

    def delete(self, key: bytes) -> Version:
        """Delete a live key and return its last version."""
        state = self.state
        state.change_count = number = state.change_count + 1
        buried = tombstone(key, mod=self.main, number=number)
        previous = state.index.bury(buried)
        state.resident_bytes += version_bytes(buried)
        self._superseded += version_bytes(previous)
        # The key's own weight goes with its tombstone.
        self._tombstones[key] = version_bytes(buried)
        self._buried += version_bytes(buried)
        state.resident_bytes -= key_bytes(key)
        state.live_hash = (state.live_hash - previous.row_hash) & HASH_MASK
        state.chain_hash = (state.chain_hash * CHAIN_FACTOR + buried.row_hash) & HASH_MASK
        if previous.lease:
            _move_lease(state, key, previous.lease, 0)
        self.changes.append(buried)
        return previous

    def commit(self) -> tuple[Version, ...]:
        """Enter the changes into the log as one revision; none leave the revision as it was."""
        changes = self.changes
        if not changes:
            return ()
        state = self.state
        assert state.changes.last == self.main - 1, "INV-REV-DENSE"
        entry: Entry = changes[0] if len(changes) == 1 else tuple(changes)
        state.changes.append(entry, self._superseded, self._buried)
        state.revision = self.main
        state.logged_count = state.change_count
        return tuple(changes)


def put_one(state: State, key: bytes, value: bytes, lease: int) -> tuple[Version, Version | None]:
    """Write one key as a revision of its own; return the new version and the one it replaces.

    What a `Writer` with one put does, without the writer: most commands are this.
    """
    main = state.revision + 1
    previous = state.index.live.get(key)
    version = _place(state, main, key, value, lease, previous)
    superseded = 0 if previous is None else len(previous.framed) + VERSION_COST_BYTES
    state.changes.append(version, superseded, 0)
    state.revision = main
    state.logged_count = state.change_count
    return version, previous


def _place(
    state: State, main: int, key: bytes, value: bytes, lease: int, previous: Version | None
) -> Version:
    """Make a put's version and move index, account, hash and lease; the log is the caller's."""
    state.change_count = number = state.change_count + 1
    if previous is None:
        version = put_version(key, value, main, main, 1, lease, number)
        row_hash = version.row_hash
        state.resident_bytes += len(key) + len(version.framed) + _NEW_KEY_COST
        state.live_hash = (state.live_hash + row_hash) & HASH_MASK
        state.index.create(version)
        if lease:
            _move_lease(state, key, 0, lease)
    else:
        version = put_version(
            key, value, main, previous.create, previous.version + 1, lease, number
        )
        row_hash = version.row_hash
        state.resident_bytes += len(version.framed) + VERSION_COST_BYTES
        state.live_hash = (state.live_hash + row_hash - previous.row_hash) & HASH_MASK
        state.index.replace(version, previous)
        if lease != previous.lease:
            _move_lease(state, key, previous.lease, lease)
    state.chain_hash = (state.chain_hash * CHAIN_FACTOR + row_hash) & HASH_MASK
    return version


def _move_lease(state: State, key: bytes, old: int, new: int) -> None:
    leases = state.leases
    if old and (lease := leases.get(old)) is not None:
        lease.keys.pop(key, None)
    if new:
        leases[new].keys[key] = None


_NEW_KEY_COST = VERSION_COST_BYTES + KEY_COST_BYTES
