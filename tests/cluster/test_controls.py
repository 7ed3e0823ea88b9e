"""That the trials of this folder would turn red: real members do wrong, or a history is tampered.

Two clusters really do what must never happen: one answers reads from a member that is behind, one
loses writes that it had acknowledged, because its directories are put back to an earlier time.
"""

import shutil
from collections.abc import Generator
from copy import deepcopy
from pathlib import Path

import pytest

from sim.check import check
from sim.history import History
from sim.ops import Put, PutDone, Range, RangeDone
from tests.cluster.judging import judged, lost, told_by_member, wrote
from tests.cluster.trial import ASKS_S, Trial, under_load

READS_MAX = 2000


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Generator[Trial]:
    with under_load(tmp_path_factory.mktemp("controls"), 3, clients=2) as trial:
        yield trial


@pytest.fixture(scope="module")
def history(trial: Trial) -> History:
    """A history that passes, until a test tampers with a copy of it."""
    history = trial.finish()
    assert check(history) == []
    assert judged(history).lost == 0
    return history


def classes(history: History) -> set[str]:
    """Return the classes of all verdicts on a history."""
    return {verdict.klass for verdict in check(history)}


def test_a_write_that_no_member_tells_of_is_found(history: History) -> None:
    without = deepcopy(history)
    puts = sorted(call.result.rev for call in without.calls if isinstance(call.result, PutDone))
    gone = puts[len(puts) // 2]
    for watcher in without.watchers:
        watcher.seen = [
            seen._replace(events=tuple(event for event in seen.events if event.kv.mod != gone))
            for seen in watcher.seen
        ]
    assert judged(without).lost == 1
    assert "watch/reliable" in classes(without)


def test_a_write_that_one_member_tells_differently_is_found(history: History) -> None:
    other = deepcopy(history)
    watcher = other.watchers[-1]
    place = next(n for n, seen in enumerate(watcher.seen) if seen.events)
    seen = watcher.seen[place]
    kv = seen.events[0].kv
    events = (seen.events[0]._replace(kv=kv._replace(value="other")), *seen.events[1:])
    watcher.seen[place] = seen._replace(events=events)
    assert judged(other).differing == 1
    assert classes(other) == {"watch/wrong-event"}


def test_a_write_of_which_nobody_was_told_that_it_was_asked_for_is_found(history: History) -> None:
    without = deepcopy(history)
    without.calls.remove(next(call for call in without.calls if wrote(call)))
    assert classes(without) == {"linear/phantom-write"}


def test_reads_of_a_member_that_is_behind_are_found(tmp_path: Path) -> None:
    with under_load(tmp_path, 3, clients=1) as trial:
        scribe, leader = trial.scribe, trial.leader()
        behind = (leader + 1) % 3
        writer, reader = scribe.process(), scribe.process()
        stale = 0
        for number in range(READS_MAX):
            put = Put("stale", str(number))
            asked = scribe.invoke(writer, leader, put)
            done = trial.doors[leader].ask(put, ASKS_S)
            scribe.finish(asked, done)
            # It is noted as what it is not: a read that promises to be current.
            asked = scribe.invoke(reader, behind, Range("stale"))
            told = trial.doors[behind].ask(Range("stale", serializable=True), ASKS_S)
            scribe.finish(asked, told)
            assert isinstance(done, PutDone)
            assert isinstance(told, RangeDone)
            stale += told.rev < done.rev
            if stale == 3:
                break
        assert stale
        found = classes(trial.finish())
    assert "linear/stale-read" in found


def test_a_cluster_that_forgets_is_found(tmp_path: Path) -> None:
    with under_load(tmp_path, 3, clients=2) as trial:
        members = trial.cluster.members
        for member in members:
            member.kill()
        for member in members:
            old = member.directory.with_suffix(".old")
            shutil.copytree(member.directory, old, ignore=shutil.ignore_patterns("*.sock"))
        start_all(trial)
        trial.wait_flow()
        for member in members:
            member.kill()
        for member in members:
            shutil.rmtree(member.directory)
            shutil.move(member.directory.with_suffix(".old"), member.directory)
        trial.scribe.newest = 1
        start_all(trial)
        history = trial.finish()
    writes = [call for call in history.calls if wrote(call)]
    assert lost(writes, told_by_member(history).values())
    assert classes(history)


def start_all(trial: Trial) -> None:
    """Start all members that were killed."""
    for number in range(3):
        trial.start(number)
    for number in range(3):
        trial.member(number).wait_ready()
