"""The key index: the live version of each key in order, and the older ones per key.

    live     key -> newest version, if it is not a tombstone
    history  key -> older versions, oldest first; of a dead key also its last tombstone
    _keys    live keys, sorted, with positions in O(log n): counting a range is two bisects
    _dead    keys whose newest version is a tombstone that no compaction has removed yet

Reads at an old revision merge `_keys` and `_dead`, so they pass over at most the keys of the
range that were created or deleted since.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter

from core.ordered import OrderedKeys, ordered
from core.records import Version

_mod = attrgetter("mod")


class KeyIndex:
    """All uncompacted versions by key. One owner: `core.state.State`."""

    __slots__ = ("_dead", "_keys", "history", "live")

    def __init__(self) -> None:
        self.live: dict[bytes, Version] = {}
        self.history: dict[bytes, list[Version]] = {}
        self._keys: OrderedKeys = ordered()
        self._dead: OrderedKeys = ordered()

    def fill(
        self,
        live: dict[bytes, Version],
        history: dict[bytes, list[Version]],
        keys: list[bytes],
        dead: list[bytes],
    ) -> None:
        """Take over a loaded index: `keys` are the live ones in order, `dead` those whose history
        ends with a tombstone.
        """
        assert not self.live, "INV-LOADED-ONCE"
        assert not self.history, "INV-LOADED-ONCE"
        self.live = live
        self.history = history
        self._keys = ordered(keys)
        self._dead = ordered(dead)

    def create(self, version: Version) -> None:
        """Enter the first version of a key that is not live."""
        key = version.key
        self.live[key] = version
        self._keys.add(key)
        if key in self.history:
            self._dead.discard(key)

    def replace(self, version: Version, previous: Version) -> None:
        """Make `version` the live one instead of `previous`, which stays as history."""
        key = version.key
        self.live[key] = version
        older = self.history.get(key)
        if older is None:
            self.history[key] = [previous]
        else:
            older.append(previous)

    def bury(self, tombstone: Version) -> Version:
        """Make `tombstone` the newest version of a live key and return the one it replaces."""
        key = tombstone.key
        previous = self.live.pop(key)
        self._keys.remove(key)
        self._dead.add(key)
        older = self.history.get(key)
        if older is None:
            self.history[key] = [previous, tombstone]
        else:
            older += (previous, tombstone)
        return previous

    def at(self, key: bytes, revision: int) -> Version | None:
        """Return the version of a key that was live at a revision not yet compacted."""
        version = self.live.get(key)
        if version is not None and version.mod <= revision:
            return version
        older = self.history.get(key)
        if older is None:
            return None
        position = bisect_right(older, revision, key=_mod)
        if not position:
            return None
        found = older[position - 1]
        return found if found.version else None

    def positions(self, key: bytes, end: bytes | None) -> tuple[int, int]:
        """Return the slice of the live keys in [key, end); None for an end beyond all."""
        low = self._keys.bisect_left(key)
        high = len(self._keys) if end is None else self._keys.bisect_left(end)
        return low, max(low, high)

    def keys_between(self, low: int, high: int) -> Iterator[bytes]:
        """Yield the live keys at positions [low, high)."""
        keys: Iterator[bytes] = self._keys.islice(low, high)
        return keys

    def versions_between(self, low: int, high: int) -> list[Version]:
        """Return the live versions at positions [low, high); cost O(their number)."""
        return list(map(self.live.__getitem__, self._keys.islice(low, high)))

    def scan_at(self, key: bytes, end: bytes | None, revision: int) -> Iterator[Version]:
        """Yield the versions live at an old revision in key order.

        Cost O(yielded + keys of the range created or deleted since).
        """
        low, high = self.positions(key, end)
        live: Iterator[bytes] = self._keys.islice(low, high)
        dead = self._dead_between(key, end)
        next_live = next(live, None)
        next_dead = next(dead, None)
        while next_live is not None or next_dead is not None:
            if next_dead is None or (next_live is not None and next_live < next_dead):
                assert next_live is not None
                version = self.at(next_live, revision)
                next_live = next(live, None)
            else:
                version = self.at(next_dead, revision)
                next_dead = next(dead, None)
            if version is not None:
                yield version

    def slice_at(
        self, key: bytes, end: bytes | None, revision: int, count: int
    ) -> tuple[list[Version], bytes | None]:
        """Look at up to `count` keys of [key, end), live or dead, in order.

        Returns the versions live at `revision`, and where to go on; None once all were seen.
        """
        keys = list(islice(self._keys.irange(key, end, (True, False)), count))
        dead = list(islice(self._dead_between(key, end), count))
        if dead:
            keys = sorted(keys + dead)[:count]
        at = self.at
        versions = [found for each in keys if (found := at(each, revision)) is not None]
        return versions, keys[-1] + b"\x00" if len(keys) == count else None

    def population(self, key: bytes, end: bytes | None) -> int:
        """Return how many live and dead keys lie in [key, end): the cost of scanning it."""
        low, high = self.positions(key, end)
        dead_low: int = self._dead.bisect_left(key)
        dead_high: int = len(self._dead) if end is None else self._dead.bisect_left(end)
        return high - low + max(0, dead_high - dead_low)

    def before(self, version: Version) -> Version | None:
        """Return the change of the same key just before this one, tombstones included."""
        key = version.key
        older = self.history.get(key)
        if older is None:
            return None
        if self.live.get(key) is version:
            return older[-1]
        position = bisect_right(older, version.number - 1, key=attrgetter("number"))
        return older[position - 1] if position else None

    def forget_before(self, version: Version) -> list[Version]:
        """Drop the key's versions older than this change and return them; oldest first."""
        older = self.history.get(version.key)
        if older is None:
            return []
        count = bisect_right(older, version.number - 1, key=attrgetter("number"))
        gone = older[:count]
        del older[:count]
        if not older:
            del self.history[version.key]
        return gone

    def forget_tombstone(self, tombstone: Version) -> bool:
        """Drop a tombstone that is its key's oldest remaining version; whether it was there."""
        older = self.history.get(tombstone.key)
        if not older or older[0] is not tombstone:
            return False
        del older[0]
        if not older:
            del self.history[tombstone.key]
            if tombstone.key not in self.live:
                self._dead.discard(tombstone.key)
        return True

    def all_versions(self, key: bytes) -> list[Version]:
        """Return every stored version of a key, oldest first."""
        live = self.live.get(key)
        older = self.history.get(key, [])
        return older if live is None else [*older, live]

    def next_keys(self, after: bytes, count: int) -> list[bytes]:
        """Return up to `count` keys, live or dead, at or beyond `after`, in order."""
        live = list(islice(self._keys.irange(after), count))
        dead = list(islice(self._dead.irange(after), count))
        return sorted(live + dead)[:count]

    def _dead_between(self, key: bytes, end: bytes | None) -> Iterator[bytes]:
        dead: Iterator[bytes] = self._dead.irange(key, end, (True, False))
        return dead

    @property
    def key_count(self) -> int:
        """How many keys are live."""
        return len(self.live)

    @property
    def dead_count(self) -> int:
        """How many keys are dead but not yet compacted away."""
        return len(self._dead)
