"""Linearizability, durability and serializable reads: each class of verdict, made by hand."""

from sim.check import shape
from sim.check.guarantees import Found
from sim.check.holes import by_holes
from sim.history import WatchSpec
from sim.ops import (
    Compare,
    Delete,
    DeleteDone,
    Failed,
    Put,
    PutDone,
    Range,
    RangeDone,
    Txn,
    TxnDone,
    Unknown,
)
from tests.stories import Story, created, event, events, gone, kv


def test_a_sound_run_has_no_verdict() -> None:
    story = Story()
    story.put(1, "a", "1")
    story.get(2, "a", kv("a", "1", 2))
    story.commit(3, Delete("a"), DeleteDone(3, 1), rev=3)
    story.get(4, "a", None)
    story.get(5, "a", kv("a", "1", 2), rev=2, stale=True)
    assert story.verdicts() == []


def test_a_stale_read_names_the_read_and_the_write_that_it_missed() -> None:
    story = Story()
    story.put(1, "a", "1")
    write = story.put(2, "a", "2")
    read = story.get(3, "a", kv("a", "1", 2), rev=2)
    [verdict] = story.verdicts()
    assert verdict.klass == "linear/stale-read"
    assert verdict.calls == (write, read)
    assert [side.saw for side in verdict.conflict] == [
        "revision 3",
        "a = 1 @2 (created 2, version 1) · revision 2",
    ]


def test_a_read_may_not_see_what_was_asked_for_later() -> None:
    story = Story()
    read = story.get(1, "a", kv("a", "1", 2), rev=2)
    write = story.put(2, "a", "1")
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("linear/read-from-the-future", (write, read))


def test_writes_get_revisions_in_the_order_of_time() -> None:
    story = Story()
    story.put(2, "a", "1")
    story.put(1, "a", "2")
    assert story.classes() == ["linear/log-order", "linear/write-order"]


def test_an_answer_is_compared_whole() -> None:
    story = Story()
    write = story.put(1, "a", "1")
    read = story.get(2, "a", kv("a", "1", 2, version=2))
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("linear/wrong-result", (write, read))


def test_a_transaction_is_judged_by_the_state_it_met() -> None:
    story = Story()
    story.put(1, "a", "1")
    txn = Txn((Compare("a", "mod", "=", 2),), (Put("a", "2"),), ())
    story.commit(2, txn, TxnDone(2, False, ()))
    assert story.classes() == ["linear/wrong-result", "linear/wrong-revision"]


def test_a_delete_of_nothing_makes_no_revision() -> None:
    story = Story()
    story.commit(1, Delete("a"), DeleteDone(2, 0), rev=2)
    assert "linear/wrong-revision" in story.classes()


def test_a_revision_belongs_to_one_write() -> None:
    story = Story(logged=False)
    story.put(1, "a", "1")
    story.call(2, Put("a", "2"), PutDone(2))
    assert "linear/duplicate-revision" in story.classes()


def test_nobody_sees_a_revision_that_never_came() -> None:
    story = Story()
    story.get(1, "a", None, rev=5)
    assert story.classes() == ["linear/no-such-revision"]


def test_a_change_that_nobody_asked_for_is_a_phantom() -> None:
    story = Story(logged=False)
    story.watch(0, WatchSpec("\0", "\0", 1), created(0, 1), events(1, event(kv("a", "1", 2))))
    assert story.classes() == ["linear/phantom-write"]


def test_a_misshapen_transaction_is_not_accepted() -> None:
    story = Story()
    txn = Txn((), (Put("a", "1"), Put("a", "2")))
    story.call(1, txn, TxnDone(1, True, ()))
    assert "linear/misshapen-accepted" in story.classes()


def test_a_sound_request_is_not_refused_for_its_shape() -> None:
    story = Story()
    story.call(1, Put("a", "1"), Failed(shape.DUPLICATE))
    assert story.classes() == ["linear/wrong-refusal"]


def test_a_revision_that_is_there_is_not_of_the_future() -> None:
    story = Story()
    write = story.put(1, "a", "1")
    read = story.call(2, Range("a", rev=2), Failed(shape.FUTURE))
    assert story.classes() == ["linear/stale-read", "linear/wrong-refusal"]
    assert {verdict.calls for verdict in story.verdicts()} == {(write, read)}


def test_what_was_acknowledged_is_in_the_log() -> None:
    story = Story()
    write = story.call(1, Put("a", "1"), PutDone(2))
    [verdict] = story.verdicts()
    assert (verdict.klass, verdict.calls) == ("durability/lost-write", (write,))


def test_what_was_refused_is_not_in_the_log() -> None:
    story = Story()
    story.commit(1, Put("a", "1"), Failed("etcdserver: no leader"), rev=2)
    assert story.classes() == ["durability/refused-but-applied"]


def test_an_unknown_write_is_in_the_log_once_at_most() -> None:
    story = Story()
    number = story.commit(1, Put("a", "1"), Unknown("deadline"), rev=2)
    story.log(Put("a", "1"), 3, call=number)
    assert story.classes() == ["durability/applied-twice"]


def test_without_a_log_a_watcher_tells_that_a_write_was_applied_twice() -> None:
    story = Story(logged=False)
    story.call(1, Put("a", "1"), Unknown("deadline"))
    first, second = kv("a", "1", 2), kv("a", "1", 3, create=2, version=2)
    story.watch(0, WatchSpec("\0", "\0", 1), created(0, 1), events(2, first), events(3, second))
    assert story.classes() == ["durability/applied-twice"]


def test_without_a_log_a_watcher_tells_that_a_refused_write_was_applied() -> None:
    story = Story(logged=False)
    story.call(1, Put("a", "1"), Failed("etcdserver: no leader"))
    story.watch(0, WatchSpec("\0", "\0", 1), created(0, 1), events(2, kv("a", "1", 2)))
    assert story.classes() == ["durability/refused-but-applied"]


def test_a_stale_read_may_be_old_and_must_be_true() -> None:
    story = Story()
    story.put(1, "a", "1")
    story.put(2, "a", "2")
    story.get(3, "a", kv("a", "2", 3, create=2, version=2), rev=2, stale=True)
    assert story.classes() == ["serializable/wrong-result"]


def test_a_stale_read_shows_nothing_of_the_future() -> None:
    story = Story()
    story.get(1, "a", kv("a", "1", 2), rev=2, stale=True)
    story.put(2, "a", "1")
    assert story.classes() == ["serializable/from-the-future"]


def test_a_stale_read_shows_no_revision_that_never_came() -> None:
    story = Story()
    story.get(1, "a", None, rev=2, stale=True)
    assert story.classes() == ["serializable/no-such-revision"]


def test_without_a_witness_an_impossible_run_has_no_order() -> None:
    story = Story(logged=False)
    story.call(1, Put("a", "1"), Unknown("deadline"))
    story.get(2, "a", kv("a", "2", 2), rev=2)
    assert story.classes() == ["linear/no-order"]


def test_a_search_that_gives_up_is_undecided_and_no_violation() -> None:
    story = Story(logged=False)
    for number in range(6):
        story.call(1, Put(str(number), "1"), Unknown("deadline"))
    story.call(2, Range("0", "\0"), RangeDone(4, (kv("x", "1", 4),), 1))
    found = Found()
    assert by_holes(story.history, found, steps_max=5) is None
    [verdict] = found.verdicts()
    assert (verdict.klass, verdict.is_violation) == ("linear/undecided", False)


def test_an_unknown_write_may_have_happened_or_not() -> None:
    story = Story(logged=False)
    story.call(1, Put("a", "1"), Unknown("deadline"))
    story.call(1, Put("b", "1"), Unknown("deadline"))
    story.get(2, "a", kv("a", "1", 2), rev=2)
    story.call(3, Delete("a"), DeleteDone(3, 1))
    story.watch(
        0, WatchSpec("a", "", 1), created(0, 1), events(4, kv("a", "1", 2)), events(4, gone("a", 3))
    )
    assert story.verdicts() == []
