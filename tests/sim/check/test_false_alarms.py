"""Nobody is accused who did nothing: sound runs pass, with a log, with a watch, with neither."""

import pytest

from sim.check import check, timeline_of
from sim.check.by_watch import witness
from sim.check.guarantees import Found
from sim.check.verdict import Verdict
from sim.generate import make_plan
from sim.history import Event, History, Seen, Watcher, WatchSpec
from sim.history_file import history_of, lines_of
from sim.workloads.catalogue import WORKLOADS
from tests.long_histories import long_history
from tests.single_copy import play

PLAYED = [(name, seed) for name in sorted(WORKLOADS) for seed in range(2)]


def accused(history: History) -> list[Verdict]:
    """Judge a history of a copy that loses and refuses to its end: no answer is owed."""
    return [verdict for verdict in check(history) if verdict.check != "liveness"]


def watched(history: History) -> History:
    """Return a history without its log, but with a watcher that saw everything."""
    timeline = timeline_of(history, Found())
    assert timeline is not None
    watcher = Watcher(999, 999, 0, WatchSpec("\0", "\0", 1), 0)
    watcher.seen.append(Seen(0, "created", 1))
    for rev, changes in enumerate(timeline.model.changes[2:], 2):
        events = tuple(Event("put" if kv.version else "delete", kv) for kv in changes)
        watcher.seen.append(Seen(history.ended_us, "events", rev, events))
    history.log = None
    history.watchers.append(watcher)
    assert witness(history) == timeline.model.changes
    return history


@pytest.mark.parametrize(("workload", "seed"), PLAYED)
def test_what_a_perfect_copy_did_is_sound(workload: str, seed: int) -> None:
    plan = make_plan(seed, {"workload": workload})
    history = play(plan, lost=5, refused=5, breaks_ms=3000).history
    assert accused(history) == []
    assert accused(history_of(lines_of(history))) == []
    history.log = None
    assert accused(history) == []


@pytest.mark.parametrize(("workload", "seed"), PLAYED)
def test_what_a_perfect_copy_did_is_sound_to_who_watched_it(workload: str, seed: int) -> None:
    plan = make_plan(seed, {"workload": workload})
    history = watched(play(plan, lost=5, refused=5, breaks_ms=3000).history)
    assert accused(history) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_long_history_is_sound(seed: int) -> None:
    history = long_history(seed, 3000)
    assert check(history) == []
    assert check(watched(history)) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_long_history_with_few_unknowns_is_sound_by_its_answers(seed: int) -> None:
    history = long_history(seed, 1000, unknown=0.01)
    history.log = None
    assert check(history) == []
