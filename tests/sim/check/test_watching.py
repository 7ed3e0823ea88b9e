"""The watch guarantees: each class of verdict, made by hand, and what is allowed."""

from sim.check import shape
from sim.history import Cache, Event, Seen, WatchSpec
from sim.ops import Compact, CompactDone, Delete, DeleteDone, Put, PutDone, Txn, TxnDone
from tests.stories import (
    Story,
    canceled,
    created,
    event,
    events,
    gone,
    kv,
    progress,
    us,
)

A2 = kv("a", "1", 2)
A3 = kv("a", "2", 3, create=2, version=2)
A4 = gone("a", 4)
ALL = WatchSpec("a", "\0", 2)


def a_story() -> Story:
    """a is put at 2 and 3 and deleted at 4; revision 5 puts b and c at once; 6 puts d."""
    story = Story()
    story.put(1, "a", "1")
    story.put(2, "a", "2")
    story.commit(3, Delete("a"), DeleteDone(4, 1), rev=4)
    txn = Txn((), (Put("b", "3"), Put("c", "3")))
    story.commit(4, txn, TxnDone(5, True, (PutDone(5), PutDone(5))), rev=5)
    story.put(5, "d", "4")
    return story


B5, C5, D6 = kv("b", "3", 5), kv("c", "3", 5), kv("d", "4", 6)
FIRST = (created(6, 6), events(6, A2, A3, A4))


def classes(*seen: Seen, spec: WatchSpec = ALL, opened_s: float = 5.5) -> list[str]:
    """Judge a watcher over `a_story`."""
    story = a_story()
    story.watch(opened_s, spec, *seen)
    return story.classes()


def test_a_sound_watch_has_no_verdict() -> None:
    assert classes(*FIRST, progress(7, 4), events(7, B5, C5), events(7, D6), progress(8, 6)) == []


def test_a_verdict_names_the_write_and_what_the_watcher_saw() -> None:
    story = a_story()
    story.watch(5.5, ALL, *FIRST, events(7, D6))
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls, verdict.watchers) == ("watch/reliable", (3,), (0,))
    assert (
        verdict.conflict[1].saw
        == "at 7.000000 s: events at revision 6: put d = 4 @6 (created 6, version 1)"
    )


def test_an_event_of_another_key_breaks_filter() -> None:
    assert classes(created(6, 6), events(6, B5), spec=WatchSpec("a", "", 2)) == ["watch/filter"]


def test_an_event_of_an_unwanted_kind_breaks_filter() -> None:
    spec = WatchSpec("a", "", 2, filters=("noput",))
    assert classes(created(6, 6), events(6, A2), spec=spec) == ["watch/filter"]


def test_events_out_of_order_are_told() -> None:
    assert classes(created(6, 6), events(6, A3, A2)) == ["watch/ordered"]
    assert classes(*FIRST, events(7, D6), events(7, B5, C5)) == ["watch/ordered"]
    spec = WatchSpec("a", "\0", 5)
    assert classes(created(6, 6), events(6, C5, B5), spec=spec) == ["watch/ordered"]


def test_an_event_of_the_past_after_one_of_the_present_breaks_ordered() -> None:
    spec = WatchSpec("b", "", 0)
    story = Story()
    story.put(1, "b", "1")
    story.put(2, "b", "2")
    late = event(kv("b", "1", 2))
    story.watch(
        0, spec, created(0, 1), progress(2.5, 1), events(3, kv("b", "1", 2)),
        events(3, kv("b", "2", 3, create=2, version=2)), events(4, late),
    )  # fmt: skip
    assert story.classes() == ["watch/unique"]


def test_an_event_twice_breaks_unique() -> None:
    assert classes(*FIRST, events(7, A4)) == ["watch/unique"]


def test_a_missing_event_breaks_reliable() -> None:
    assert classes(created(6, 6), events(6, A2), events(6, A4)) == ["watch/reliable"]


def test_a_missing_first_event_breaks_resumable() -> None:
    assert classes(created(6, 6), events(6, A3)) == ["watch/resumable"]


def test_half_a_revision_breaks_atomic() -> None:
    assert classes(*FIRST, events(7, B5), events(7, C5)) == ["watch/atomic"]


def test_half_a_revision_before_the_next_breaks_reliable() -> None:
    assert classes(*FIRST, events(7, B5, D6)) == ["watch/reliable"]


def test_fragments_are_allowed_to_who_asked_for_them() -> None:
    parts = (events(7, B5, fragment=True), events(7, C5))
    assert classes(*FIRST, *parts, spec=ALL._replace(fragment=True)) == []
    assert classes(*FIRST, *parts) == ["watch/atomic"]


def test_a_mark_among_fragments_breaks_atomic() -> None:
    parts = (events(7, B5, fragment=True), progress(7, 5), events(7, C5))
    assert classes(*FIRST, *parts, spec=ALL._replace(fragment=True)) == ["watch/atomic"]


def test_a_mark_ahead_of_delivery_breaks_bookmarkable() -> None:
    assert classes(*FIRST, progress(7, 5)) == ["watch/bookmarkable"]


def test_an_event_at_or_before_a_mark_breaks_bookmarkable() -> None:
    assert classes(*FIRST, progress(7, 4), events(7, A4)) == ["watch/bookmarkable"]


def test_marks_never_fall() -> None:
    assert classes(*FIRST, progress(7, 4), progress(7, 3)) == ["watch/bookmarkable"]


def test_nothing_older_than_asked_comes() -> None:
    spec = WatchSpec("a", "\0", 9)
    assert classes(created(6, 6), events(6, D6), spec=spec) == ["watch/older-than-asked"]
    assert classes(created(6, 6), progress(7, 6), spec=spec) == ["watch/older-than-asked"]


def test_a_watch_from_now_gets_what_comes_next() -> None:
    spec = WatchSpec("a", "\0")
    assert classes(created(3.5, 4), events(6, B5, C5), events(6, D6), spec=spec, opened_s=3.5) == []
    broken = classes(created(3.5, 4), events(6, A4), spec=spec, opened_s=3.5)
    assert broken == ["watch/older-than-asked"]


def test_events_before_the_watch_is_there_break_resumable() -> None:
    assert classes(events(6, A2)) == ["watch/resumable"]


def test_an_event_that_never_happened_is_wrong() -> None:
    assert classes(*FIRST, events(7, kv("b", "8", 5), C5)) == ["watch/wrong-event"]
    assert classes(*FIRST, events(7, B5, C5), events(7, D6), events(7, kv("e", "", 9))) == [
        "watch/wrong-event"
    ]


def test_a_put_must_say_whether_it_created() -> None:
    wrong = A3._replace(create=3, version=1)
    assert classes(created(6, 6), events(6, A2, wrong, A4)) == ["watch/is-create"]


def test_an_event_before_its_write_was_asked_for_is_of_the_future() -> None:
    spec = WatchSpec("d", "", 2)
    assert classes(created(4.1, 5), events(4.5, D6), spec=spec) == ["watch/from-the-future"]


def test_previous_values_are_those_before_the_revision() -> None:
    spec = WatchSpec("a", "", 2, prev_kv=True)
    right = events(6, event(A2), event(A3, A2), event(A4, A3))
    assert classes(created(6, 6), right, spec=spec) == []
    wrong = events(6, event(A2), event(A3, A2), event(A4, A2))
    assert classes(created(6, 6), wrong, spec=spec) == ["watch/prev-kv"]
    missing = events(6, event(A2), event(A3, A2), event(A4))
    assert classes(created(6, 6), missing, spec=spec) == ["watch/prev-kv"]
    unasked = events(6, event(A2), event(A3, A2))
    assert classes(created(6, 6), unasked) == ["watch/prev-kv"]


def a_compacted_story(rev: int) -> Story:
    story = a_story()
    story.commit(5.2, Compact(rev), CompactDone(6))
    return story


def test_a_previous_value_may_be_missing_once_it_is_compacted() -> None:
    story = a_compacted_story(4)
    spec = WatchSpec("a", "", 4, prev_kv=True)
    story.watch(5.5, spec, created(6, 6), events(6, event(A4)))
    assert story.verdicts() == []


def test_a_watch_at_the_compact_revision_is_served_its_tombstone() -> None:
    story = a_compacted_story(4)
    spec = WatchSpec("a", "", 4)
    story.watch(5.5, spec, created(6, 6), events(6, A4))
    assert story.verdicts() == []
    story.watch(5.5, spec, created(6, 6), canceled(6, 4))
    assert story.classes() == ["watch/compacted-cancel"]


def test_a_watch_below_the_compact_revision_is_cancelled_with_it() -> None:
    story = a_compacted_story(4)
    story.watch(5.5, WatchSpec("a", "", 3), created(6, 6), canceled(6, 4))
    assert story.verdicts() == []


def test_a_cancel_tells_the_compact_revision() -> None:
    story = a_compacted_story(4)
    seen = canceled(6, 0, shape.COMPACTED)
    story.watch(5.5, WatchSpec("a", "", 3), created(6, 6), seen)
    assert story.classes() == ["watch/compacted-cancel"]


def test_a_cancel_names_a_compaction_that_took_place() -> None:
    story = a_compacted_story(4)
    story.watch(5.5, WatchSpec("a", "", 2), created(6, 6), canceled(6, 5))
    assert story.classes() == ["watch/compacted-cancel"]


def test_nothing_comes_after_the_end() -> None:
    story = a_compacted_story(4)
    seen = (created(6, 6), canceled(6, 4), events(7, A4))
    story.watch(5.5, WatchSpec("a", "", 3), *seen)
    assert story.classes() == ["watch/after-cancel"]


def test_an_open_watcher_reaches_the_head_after_healing() -> None:
    story = a_story()
    story.watch(5.5, ALL, *FIRST)
    assert story.verdicts() == []
    story.heal(20)
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("watch/liveness", (3,))


def test_a_watch_is_created_after_healing() -> None:
    story = a_story()
    story.watch(5.5, ALL)
    story.heal(20)
    assert story.classes() == ["watch/liveness"]


def test_a_closed_or_lost_watcher_is_owed_nothing() -> None:
    story = a_story()
    story.watch(5.5, ALL, *FIRST).closed_us = us(8)
    story.watch(5.5, ALL, *FIRST, Seen(us(8), "lost", 0))
    story.heal(20)
    assert story.verdicts() == []


def test_an_informers_cache_is_the_store_at_its_revision() -> None:
    story = a_story()
    story.history.caches = [Cache(1, us(9), "a", "d", 5, (("b", 5, "3"), ("c", 5, "3")))]
    assert story.verdicts() == []
    story.history.caches = [Cache(1, us(9), "a", "d", 3, (("a", 2, "1"),))]
    assert story.classes() == ["watch/informer-cache"]
    story.history.caches = [Cache(1, us(9), "a", "d", 9, ())]
    assert story.classes() == ["watch/informer-cache"]


def test_an_informers_cache_is_of_now_in_the_end() -> None:
    story = a_story()
    story.heal(20)
    story.history.caches = [Cache(1, us(90), "d", "", 5, ())]
    assert story.classes() == ["watch/informer-cache"]


def test_a_delete_event_bears_nothing_but_its_key() -> None:
    wrong = Event("delete", kv("a", "2", 4, create=2, version=2))
    assert classes(created(6, 6), events(6, A2, A3, wrong)) == ["watch/wrong-event"]
