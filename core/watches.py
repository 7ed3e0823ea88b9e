"""The watch hub: tells every watcher of every change, once, in order, whole revisions.

A synced watcher gets changes as they are applied. One whose connection has no room, or that
starts in the past, is unsynced: it catches up from the change log, and all unsynced watchers
share one scan, in slices. Nothing is queued here per watcher, so a slow one costs nothing and
delays nobody; it resumes from its `next` revision. Progress marks are made from the same
place in the same order as events.

INV-WATCH-FILTER, INV-WATCH-ORDERED, INV-WATCH-UNIQUE, INV-WATCH-ATOMIC, INV-WATCH-RELIABLE,
INV-WATCH-RESUMABLE, INV-WATCH-BOOKMARKABLE.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter

from core.errors import WATCH_COMPACTED, WATCH_DUPLICATE_ID, WATCH_EMPTY_RANGE
from core.inputs import WatchAsked, WatchCanceled, WatchClosed, WatchProgressAsked
from core.keys import EVERYTHING_ABOVE
from core.limits import WATCH_MESSAGE_BYTES, WATCH_SLICE_REVISIONS
from core.matching import RangeMap
from core.records import Version
from core.state import State
from core.watching import (
    Canceled,
    Change,
    Compacted,
    Created,
    Events,
    Flavour,
    Group,
    Message,
    NotCreated,
    Progress,
    WatchCreate,
    Watcher,
    WatchStream,
    event_bytes,
    is_wanted,
)

Sent = tuple[WatchStream, Message]
_Before = Callable[[Version], Version | None]

_next_revision = attrgetter("next")


WatchInput = WatchAsked | WatchCanceled | WatchProgressAsked | WatchClosed


class WatchHub:
    """All watch streams of one member. What it wants sent gathers in `outbox`, in order."""

    def __init__(self, *, fragment_bytes: int, progress_interval_ms: int) -> None:
        self.outbox: list[Sent] = []
        self.streams: dict[WatchStream, None] = {}
        self.unsynced: dict[Watcher, None] = {}
        self.watcher_count = 0
        self.events_sent = 0
        self._groups: dict[tuple[bytes, bytes], Group] = {}
        self._map: RangeMap[Group] = RangeMap()
        self._fragment_bytes = fragment_bytes
        self._interval_ms = progress_interval_ms
        self.next_tick_ms: int | None = None
        """When the next stream's progress is due; None without streams."""

    def open(self, stream: WatchStream, now_ms: int, jitter_ms: int = 0) -> None:
        """A client opened a Watch RPC; jitter spreads the progress marks of many."""
        stream.progress_at_ms = now_ms + self._interval_ms + jitter_ms
        self.streams[stream] = None
        self.next_tick_ms = min(self.next_tick_ms or stream.progress_at_ms, stream.progress_at_ms)

    def close(self, stream: WatchStream) -> None:
        """The RPC is over: its watchers go."""
        for watcher in list(stream.watchers.values()):
            self._drop(watcher)
        self.streams.pop(stream, None)

    def take(self, state: State, given: WatchInput) -> None:
        """Do what a client asks of one of its streams."""
        match given:
            case WatchAsked(stream, want):
                self.create(state, stream, want)
            case WatchCanceled(stream, watch_id):
                self.cancel(state, stream, watch_id)
            case WatchProgressAsked(stream):
                self.request_progress(state, stream)
            case WatchClosed(stream):
                self.close(stream)

    def create(self, state: State, stream: WatchStream, want: WatchCreate) -> None:
        """Start a watcher, or say in the stream why not."""
        key = want.key or b"\x00"
        if want.start_revision < 0:
            self._say(stream, NotCreated(state.revision, WATCH_COMPACTED))
            return
        end = want.range_end
        if end and end != EVERYTHING_ABOVE and key >= end:
            self._say(stream, NotCreated(state.revision, WATCH_EMPTY_RANGE))
            return
        watch_id = want.watch_id
        if not watch_id:
            while stream.next_id in stream.watchers:
                stream.next_id += 1
            watch_id = stream.next_id
            stream.next_id += 1
        elif watch_id in stream.watchers:
            self._say(stream, NotCreated(state.revision, WATCH_DUPLICATE_ID))
            return
        start = want.start_revision or state.revision + 1
        watcher = Watcher(stream, watch_id, self._group(key, end), want.start_revision, start, want)
        stream.watchers[watch_id] = watcher
        self.watcher_count += 1
        self._say(stream, Created(state.revision, watch_id))
        if start > state.revision:
            watcher.group.synced[watcher] = None
        else:
            watcher.synced = False
            self._leave_behind(watcher)

    def cancel(self, state: State, stream: WatchStream, watch_id: int) -> None:
        """End a watcher; an unknown id is ignored, as in etcd."""
        watcher = stream.watchers.get(watch_id)
        if watcher is not None:
            self._drop(watcher)
            self._say(stream, Canceled(state.revision, watch_id))

    def request_progress(self, state: State, stream: WatchStream) -> None:
        """Mark progress for the whole stream, if all its watchers are synced; else say nothing."""
        watchers = stream.watchers.values()
        if watchers and all(w.synced and state.revision >= w.start for w in watchers):
            self._say(stream, Progress(state.revision, -1))

    def unblock(self, stream: WatchStream) -> None:
        """The stream's connection has room again; catch-up will find its watchers."""
        stream.blocked = False

    def publish(self, state: State, changes: Iterable[Version]) -> None:
        """Tell synced watchers of changes just applied: whole revisions, in order."""
        if not self._groups:
            return
        touched: dict[Group, list[Change]] = {}
        matching = self._map.matching
        before = state.index.before
        for version in changes:
            for group in matching(version.key):
                if group.synced:
                    pending = touched.get(group)
                    if pending is None:
                        pending = touched[group] = []
                    pending.append(Change(version, self._previous(state, version, before)))
        for group, pending in touched.items():
            self._deliver(group, pending, state.revision)

    def follow(self, state: State, told: int) -> None:
        """Go on with another state, further on than the one that was told of up to `told`.

        Whoever was up to date is behind now: it gets what is between from the change log, or is
        cancelled where that is compacted. Nothing is skipped without a word.
        """
        for stream in self.streams:
            for watcher in stream.watchers.values():
                if watcher.synced and max(watcher.start, told + 1) <= state.revision:
                    watcher.next = max(watcher.start, told + 1)
                    self._leave_behind(watcher)

    def catch_up(self, state: State) -> bool:
        """Serve one slice to all unsynced watchers that have room; whether more is to do."""
        compact_revision = state.compact_revision
        runnable: list[Watcher] = []
        for watcher in list(self.unsynced):
            if watcher.next < compact_revision:
                self._cancel_compacted(watcher, compact_revision)
            elif not watcher.stream.blocked:
                runnable.append(watcher)
        if not runnable:
            return False
        low = min(map(_next_revision, runnable))
        high = min(low + WATCH_SLICE_REVISIONS - 1, state.revision)
        high = self._scan(state, low, high)
        more = False
        for watcher in runnable:
            if watcher.next > high:
                more = True
                continue
            watcher.next = high + 1
            if high == state.revision:
                self._join(watcher)
            else:
                more = True
        return more

    def has_work(self) -> bool:
        """Whether some unsynced watcher has room."""
        unsynced = self.unsynced
        return bool(unsynced) and any(not watcher.stream.blocked for watcher in unsynced)

    def tick(self, state: State, now_ms: int) -> None:
        """Mark progress for quiet watchers that asked for it, at each stream's interval."""
        if self.next_tick_ms is None or now_ms < self.next_tick_ms:
            return
        for stream in self.streams:
            if now_ms < stream.progress_at_ms:
                continue
            stream.progress_at_ms = now_ms + self._interval_ms
            for watcher in stream.watchers.values():
                if not watcher.want.progress_notify:
                    continue
                fresh = watcher.quiet and watcher.synced and not stream.blocked
                if fresh and state.revision >= watcher.start:
                    self._say(stream, Progress(state.revision, watcher.id))
                watcher.quiet = True
        self.next_tick_ms = min((s.progress_at_ms for s in self.streams), default=None)

    def _say(self, stream: WatchStream, message: Message) -> None:
        self.outbox.append((stream, message))

    def _group(self, key: bytes, range_end: bytes) -> Group:
        group = self._groups.get((key, range_end))
        if group is None:
            group = self._groups[key, range_end] = Group(key, range_end)
            self._map.add(key, range_end, group)
        return group

    def _drop(self, watcher: Watcher) -> None:
        group = watcher.group
        del watcher.stream.watchers[watcher.id]
        group.synced.pop(watcher, None)
        group.unsynced.pop(watcher, None)
        self.unsynced.pop(watcher, None)
        if not watcher.compacted:
            self.watcher_count -= 1
            self._forget_if_empty(group)

    def _forget_if_empty(self, group: Group) -> None:
        if not group.synced and not group.unsynced:
            del self._groups[group.key, group.range_end]
            self._map.remove(group.key, group.range_end)

    def _leave_behind(self, watcher: Watcher) -> None:
        watcher.synced = False
        watcher.group.synced.pop(watcher, None)
        watcher.group.unsynced[watcher] = None
        self.unsynced[watcher] = None

    def _join(self, watcher: Watcher) -> None:
        watcher.synced = True
        watcher.group.unsynced.pop(watcher)
        watcher.group.synced[watcher] = None
        del self.unsynced[watcher]

    def _cancel_compacted(self, watcher: Watcher, compact_revision: int) -> None:
        """Cancel, but keep the id taken until the client says goodbye, as etcd does."""
        watcher.compacted = True
        watcher.group.unsynced.pop(watcher)
        del self.unsynced[watcher]
        self.watcher_count -= 1
        self._forget_if_empty(watcher.group)
        self._say(watcher.stream, Compacted(watcher.id, compact_revision))

    def _previous(self, state: State, version: Version, before: "_Before") -> Version | None:
        """Return what the key held at the revision before, if that is not compacted."""
        if version.version == 1 or version.mod - 1 < state.compact_revision:
            return None
        previous = before(version)
        if previous is not None and previous.mod == version.mod:
            return state.index.at(version.key, version.mod - 1)
        return previous if previous is not None and previous.version else None

    def _scan(self, state: State, low: int, high: int) -> int:
        """Send the unsynced watchers with room their events of low..high.

        Stops early, at a whole revision, once a message has grown past its bound; returns
        the last revision served.
        """
        touched: dict[Group, list[Change]] = {}
        matching = self._map.matching
        before = state.index.before
        size = 0
        last = low
        for version in state.changes.between(low, high):
            if size > WATCH_MESSAGE_BYTES and version.mod > last:
                high = last
                break
            last = version.mod
            for group in matching(version.key):
                if group.unsynced:
                    change = Change(version, self._previous(state, version, before))
                    touched.setdefault(group, []).append(change)
                    size += len(version.framed)
        for group, pending in touched.items():
            watchers = [w for w in group.unsynced if not w.stream.blocked and w.next <= high]
            self._send(watchers, pending, state.revision)
        return high

    def _deliver(self, group: Group, pending: list[Change], revision: int) -> None:
        ready: list[Watcher] = []
        for watcher in list(group.synced):
            if watcher.stream.blocked:
                # One that starts beyond these changes misses none of them.
                if watcher.start <= pending[-1].version.mod:
                    watcher.next = max(watcher.start, pending[0].version.mod)
                    self._leave_behind(watcher)
            else:
                ready.append(watcher)
        self._send(ready, pending, revision)

    def _send(self, watchers: list[Watcher], pending: list[Change], revision: int) -> None:
        """Lay out the events once per flavour and hand them to each watcher."""
        laid_out: dict[Flavour, tuple[list[bytes], bytes]] = {}
        first = pending[0].version.mod
        outbox = self.outbox
        for watcher in watchers:
            want = watcher.want
            flavour = Flavour(want.prev_kv, want.no_put, want.no_delete)
            if max(watcher.next, watcher.start) > first and not watcher.synced:
                own = [c for c in pending if c.version.mod >= watcher.next]
                events = _lay_out(own, flavour)
                joined = b"".join(events)
            elif watcher.start > first:
                own = [c for c in pending if c.version.mod >= watcher.start]
                events = _lay_out(own, flavour)
                joined = b"".join(events)
            else:
                found = laid_out.get(flavour)
                if found is None:
                    events = _lay_out(pending, flavour)
                    found = laid_out[flavour] = (events, b"".join(events))
                events, joined = found
            if not events:
                continue
            watcher.quiet = False
            self.events_sent += len(events)
            if want.fragment and len(joined) + 64 >= self._fragment_bytes:
                self._send_fragments(watcher, events, revision)
            else:
                outbox.append(
                    (watcher.stream, Events(revision, watcher.id, joined, len(events), False))
                )

    def _send_fragments(self, watcher: Watcher, events: list[bytes], revision: int) -> None:
        begin = 0
        while begin < len(events):
            end = begin + 1
            size = 64 + len(events[begin])
            while end < len(events) and size + len(events[end]) < self._fragment_bytes:
                size += len(events[end])
                end += 1
            part = b"".join(events[begin:end])
            more = end < len(events)
            self._say(watcher.stream, Events(revision, watcher.id, part, end - begin, more))
            begin = end


def _lay_out(pending: list[Change], flavour: Flavour) -> list[bytes]:
    return [
        event_bytes(change, flavour.prev_kv)
        for change in pending
        if is_wanted(change.version, flavour)
    ]
