"""The four ways to judge linearizability agree with one another and with every order there is."""

from hypothesis import HealthCheck, given, settings

from sim.check.by_log import by_log
from sim.check.by_watch import by_watch, witness
from sim.check.compacting import judge_compaction
from sim.check.guarantees import Found
from sim.check.holes import by_holes
from sim.check.wgl import search, searchable
from sim.history import History
from tests.small_histories import Made, brute, histories

MANY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _log_says(history: History) -> bool:
    found = Found()
    by_log(history, found)
    return not found.verdicts()


@MANY
@given(histories())
def test_the_log_as_witness_agrees_with_every_order(made: Made) -> None:
    history = made.with_log()
    assert _log_says(history) == brute(made.calls, log=history.log)


@MANY
@given(histories())
def test_a_complete_watch_as_witness_agrees_with_every_order(made: Made) -> None:
    history = made.with_watch()
    witnessed, found = witness(history), Found()
    if witnessed is None:  # Somebody was told a revision that no watcher saw.
        assert not brute(made.calls, changes=made.changes)
        return
    assert witnessed == made.changes
    by_watch(history, witnessed, found)
    assert (not found.verdicts()) == brute(made.calls, changes=made.changes)


@MANY
@given(histories())
def test_answers_alone_agree_with_every_order(made: Made) -> None:
    found = Found()
    by_holes(made.bare(), found)
    assert (not found.verdicts()) == brute(made.calls)


@MANY
@given(histories(compacts=True))
def test_the_search_agrees_with_every_order(made: Made) -> None:
    searched = search(searchable(made.calls), knows_leases=True)
    assert searched.is_linearizable == brute(made.calls)


@MANY
@given(histories(compacts=True))
def test_the_log_with_compactions_accuses_nobody_wrongly(made: Made) -> None:
    history = made.with_log()
    if not brute(made.calls, log=history.log):
        return
    found = Found()
    timeline = by_log(history, found)
    assert timeline is not None
    judge_compaction(history, timeline, found)
    assert not found.verdicts()
