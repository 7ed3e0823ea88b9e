"""The watch guarantees, on random lives of streams; and that breaking any of them is seen."""

from collections.abc import Callable, Iterable

import pytest

from core import watches, watching
from core.records import Version
from core.state import State
from core.watches import WatchHub
from core.watching import Change, Flavour, Group, Progress, Watcher, WatchStream
from tests.watch_world import Life

STEPS = 50
Patch = pytest.MonkeyPatch


def live(seed: int, monkeypatch: Patch) -> None:
    """One life, with catch-up slices and messages of a length drawn with it."""
    life = Life(seed)
    monkeypatch.setattr(watches, "WATCH_SLICE_REVISIONS", life.chance.choice((1, 2, 3, 7, 1000)))
    monkeypatch.setattr(watches, "WATCH_MESSAGE_BYTES", life.chance.choice((1, 100, 1 << 20)))
    life.run(STEPS)


@pytest.mark.parametrize("part", range(10))
def test_every_watcher_is_told_everything_once_in_order(part: int, monkeypatch: Patch) -> None:
    for seed in range(part * 60, part * 60 + 60):
        live(seed, monkeypatch)


def a_blocked_watcher_skips_a_revision(monkeypatch: Patch) -> None:
    leave_behind = WatchHub._leave_behind

    def skipping(hub: WatchHub, watcher: Watcher) -> None:
        watcher.next += watcher.stream.blocked
        leave_behind(hub, watcher)

    monkeypatch.setattr(WatchHub, "_leave_behind", skipping)


def a_blocked_watcher_hears_the_last_revision_again(monkeypatch: Patch) -> None:
    leave_behind = WatchHub._leave_behind

    def repeating(hub: WatchHub, watcher: Watcher) -> None:
        if watcher.stream.blocked:
            watcher.next = max(watcher.start, watcher.next - 2)
        leave_behind(hub, watcher)

    monkeypatch.setattr(WatchHub, "_leave_behind", repeating)


def a_slow_watcher_holds_up_its_neighbours(monkeypatch: Patch) -> None:
    deliver = WatchHub._deliver

    def holding(hub: WatchHub, group: Group, pending: list[Change], revision: int) -> None:
        if any(watcher.stream.blocked for watcher in group.synced):
            for watcher in list(group.synced):
                watcher.next = max(watcher.start, pending[0].version.mod)
                hub._leave_behind(watcher)
        else:
            deliver(hub, group, pending, revision)

    monkeypatch.setattr(WatchHub, "_deliver", holding)


def a_request_for_progress_is_always_answered(monkeypatch: Patch) -> None:
    def answering(hub: WatchHub, state: State, stream: WatchStream) -> None:
        if stream.watchers:
            hub._say(stream, Progress(state.revision, -1))

    monkeypatch.setattr(WatchHub, "request_progress", answering)


def progress_is_marked_before_a_future_start(monkeypatch: Patch) -> None:
    def answering(hub: WatchHub, state: State, stream: WatchStream) -> None:
        watchers = stream.watchers.values()
        if watchers and all(watcher.synced for watcher in watchers):
            hub._say(stream, Progress(state.revision, -1))

    monkeypatch.setattr(WatchHub, "request_progress", answering)


def catch_up_begins_one_late(monkeypatch: Patch) -> None:
    scan = WatchHub._scan
    monkeypatch.setattr(
        WatchHub, "_scan", lambda hub, state, low, high: scan(hub, state, low + 1, high)
    )


def catch_up_stops_one_early(monkeypatch: Patch) -> None:
    scan = WatchHub._scan

    def early(hub: WatchHub, state: State, low: int, high: int) -> int:
        scan(hub, state, low, high - 1)
        return high

    monkeypatch.setattr(WatchHub, "_scan", early)


def the_previous_version_is_the_new_one(monkeypatch: Patch) -> None:
    monkeypatch.setattr(WatchHub, "_previous", lambda hub, state, version, before: version)


def the_previous_version_is_told_though_compacted(monkeypatch: Patch) -> None:
    monkeypatch.setattr(
        WatchHub,
        "_previous",
        lambda hub, state, version, before: None if version.version == 1 else before(version),
    )


def a_revision_is_split(monkeypatch: Patch) -> None:
    send = WatchHub._send

    def splitting(
        hub: WatchHub, watchers: list[Watcher], pending: list[Change], revision: int
    ) -> None:
        for change in pending:
            send(hub, watchers, [change], revision)

    monkeypatch.setattr(WatchHub, "_send", splitting)


def a_start_at_the_compact_revision_is_refused(monkeypatch: Patch) -> None:
    catch_up = WatchHub.catch_up

    def refusing(hub: WatchHub, state: State) -> bool:
        for watcher in list(hub.unsynced):
            if watcher.next == state.compact_revision:
                hub._cancel_compacted(watcher, state.compact_revision)
        return catch_up(hub, state)

    monkeypatch.setattr(WatchHub, "catch_up", refusing)


def a_compacted_start_goes_on_with_what_is_left(monkeypatch: Patch) -> None:
    catch_up = WatchHub.catch_up

    def going_on(hub: WatchHub, state: State) -> bool:
        for watcher in hub.unsynced:
            watcher.next = max(watcher.next, state.compact_revision)
        return catch_up(hub, state)

    monkeypatch.setattr(WatchHub, "catch_up", going_on)


def filters_are_inverted(monkeypatch: Patch) -> None:
    def inverted(version: Version, flavour: Flavour) -> bool:
        return not (flavour.no_put if version.version == 0 else flavour.no_delete)

    monkeypatch.setattr(watches, "is_wanted", inverted)


def a_future_start_is_forgotten(monkeypatch: Patch) -> None:
    send = WatchHub._send

    def forgetting(
        hub: WatchHub, watchers: list[Watcher], pending: list[Change], revision: int
    ) -> None:
        for watcher in watchers:
            watcher.start = 0
        send(hub, watchers, pending, revision)

    monkeypatch.setattr(WatchHub, "_send", forgetting)


def the_end_of_a_range_is_inside(monkeypatch: Patch) -> None:
    group = WatchHub._group

    def wider(hub: WatchHub, key: bytes, range_end: bytes) -> Group:
        return group(hub, key, range_end + b"\0" if len(range_end) > 1 else range_end)

    monkeypatch.setattr(WatchHub, "_group", wider)


def revisions_come_newest_first(monkeypatch: Patch) -> None:
    send = WatchHub._send

    def backwards(
        hub: WatchHub, watchers: list[Watcher], pending: list[Change], revision: int
    ) -> None:
        send(hub, watchers, sorted(pending, key=lambda c: -c.version.mod), revision)

    monkeypatch.setattr(WatchHub, "_send", backwards)


def a_cancelled_watcher_goes_on(monkeypatch: Patch) -> None:
    drop = WatchHub._drop

    def lingering(hub: WatchHub, watcher: Watcher) -> None:
        group = watcher.group
        drop(hub, watcher)
        if hub._groups.get((group.key, group.range_end)) is group:
            group.synced[watcher] = None

    monkeypatch.setattr(WatchHub, "_drop", lingering)


def quiet_is_never_forgotten(monkeypatch: Patch) -> None:
    tick = WatchHub.tick

    def eager(hub: WatchHub, state: State, now_ms: int) -> None:
        for stream in hub.streams:
            for watcher in stream.watchers.values():
                watcher.quiet = watcher.synced = True
        tick(hub, state, now_ms)

    monkeypatch.setattr(WatchHub, "tick", eager)


def a_fragment_is_not_marked(monkeypatch: Patch) -> None:
    def unmarked(hub: WatchHub, watcher: Watcher, events: list[bytes], revision: int) -> None:
        for event in events:
            hub._say(watcher.stream, watching.Events(revision, watcher.id, event, 1, False))

    monkeypatch.setattr(WatchHub, "_send_fragments", unmarked)


def a_deletion_looks_like_a_put(monkeypatch: Patch) -> None:
    event_bytes = watching.event_bytes

    def plain(change: Change, prev_kv: bool) -> bytes:
        event = event_bytes(change, prev_kv)
        if change.version.version:
            return event
        return event_bytes(Change(change.version._replace(version=2), change.previous), prev_kv)

    monkeypatch.setattr(watches, "event_bytes", plain)


MUTANTS: tuple[Callable[[Patch], None], ...] = (
    a_blocked_watcher_skips_a_revision,
    a_blocked_watcher_hears_the_last_revision_again,
    a_slow_watcher_holds_up_its_neighbours,
    a_request_for_progress_is_always_answered,
    progress_is_marked_before_a_future_start,
    catch_up_begins_one_late,
    catch_up_stops_one_early,
    the_previous_version_is_the_new_one,
    the_previous_version_is_told_though_compacted,
    a_revision_is_split,
    a_start_at_the_compact_revision_is_refused,
    a_compacted_start_goes_on_with_what_is_left,
    filters_are_inverted,
    a_future_start_is_forgotten,
    the_end_of_a_range_is_inside,
    revisions_come_newest_first,
    a_cancelled_watcher_goes_on,
    quiet_is_never_forgotten,
    a_fragment_is_not_marked,
    a_deletion_looks_like_a_put,
)


@pytest.mark.parametrize("plant", MUTANTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_seen(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        all_live(range(200), monkeypatch)


def all_live(seeds: Iterable[int], monkeypatch: Patch) -> None:
    for seed in seeds:
        live(seed, monkeypatch)
