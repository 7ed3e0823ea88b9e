"""Witnesses resume where they were, and no compaction overtakes what they saw."""

from collections.abc import Generator

import pytest

from jepsen import witness
from sim.clients import Ask, Await, CloseWatch, Memory, OpenWatch, Performance, Reply, Sleep, Step
from sim.clients import Common as Shared
from sim.history import Event, Seen, WatchSpec
from sim.ops import Compact, CompactDone, Kv
from sim.plan import Item, Options

ITEM = Item(0, "watcher", 4, "witness.watch", {"member": 2})


def memory(newest: int = 1) -> Memory:
    return Memory(Options(), Shared(newest=newest))


def events(*revs: int) -> Seen:
    return Seen(0, "events", revs[-1], tuple(Event("put", Kv("a", "", 1, rev, 1)) for rev in revs))


def fed(performance: Generator[Step, Reply, None], *replies: Reply) -> list[Step]:
    """Let it do a step for each reply, and return its steps."""
    steps = [next(performance)]
    return steps + [performance.send(reply) for reply in replies]


def test_a_witness_watches_all_from_the_first_revision_and_resumes_on_its_own_member() -> None:
    testimony = witness.Testimony()
    steps = fed(
        testimony.watch(ITEM, memory()), 7, Seen(0, "created", 0), events(2, 3, 4), None,
        Seen(0, "lost", 0), None, None,
    )  # fmt: skip
    assert steps[0] == OpenWatch(WatchSpec("\0", "\0", 1), 2)
    assert {type(step) for step in steps[1:5]} == {Await}
    assert steps[5:] == [CloseWatch(7), Sleep(100), OpenWatch(WatchSpec("\0", "\0", 5), 2)]
    assert testimony.seen_whole() == 4


def test_what_one_has_missed_another_has_seen() -> None:
    testimony = witness.Testimony()
    testimony.saw(1, 4)
    testimony.saw(8, 9)
    assert testimony.seen_whole() == 4
    testimony.saw(3, 7)
    assert testimony.seen_whole() == 7


def asks(rev: int) -> Performance:
    result = yield Ask(Compact(rev), 0)
    assert isinstance(result, CompactDone)


def test_a_compaction_stays_behind_what_witnesses_saw() -> None:
    testimony = witness.Testimony(whole_rev=10)
    held = testimony.held(asks(12), memory(newest=12))
    assert fed(held) == [Ask(Compact(10), 0)]


def test_a_compaction_of_what_is_to_come_stays_one() -> None:
    held = witness.Testimony(whole_rev=10).held(asks(13), memory(newest=12))
    assert fed(held) == [Ask(Compact(13 + witness.BEYOND), 0)]


def test_what_was_asked_is_told_as_it_came_back() -> None:
    held = witness.Testimony(whole_rev=10).held(asks(5), memory(newest=12))
    next(held)
    with pytest.raises(StopIteration):
        held.send(CompactDone(12))
