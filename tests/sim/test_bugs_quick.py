"""The gate: every planted bug is caught by its named check, within three times its budget.

The rule of this file: it runs what `trine sim bugs --quick` runs, in at most a minute on two cores.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import Failure
from sim.check.guarantees import WORDS
from sim.check.verdict import CHECKS
from sim.planted import BUGS, planted
from sim.planted.bug import Bug
from sim.planted.classes import BY_HAND, unearned
from sim.planted.gate import Hunt, hunts_of, row_of, run_gate, unexercised
from sim.runner import Worth
from sim.runner_task import Found, Outcome
from sim.swapping import swapped


def test_every_planted_bug_is_caught_by_its_named_check() -> None:
    said: list[str] = []
    worth = run_gate((), quick=True, jobs=len(os.sched_getaffinity(0)), say=said.append)
    assert worth is Worth.CLEAN, "\n".join(said)


def test_every_check_has_a_bug_that_only_it_must_catch() -> None:
    assert not list(unexercised(list(BUGS.values())))
    assert {bug.check for bug in BUGS.values()} <= set(CHECKS)


def test_a_class_of_verdict_that_no_bug_earns_is_a_fault() -> None:
    earned = set(WORDS) - set(BY_HAND)
    assert list(unearned(earned)) == []
    assert list(unearned(earned - {"watch/unique"})) == ["no planted bug earns watch/unique"]


def test_every_class_that_no_bug_earns_is_earned_by_a_history_by_hand() -> None:
    tests = (Path(__file__).parent / "check").glob("test_*.py")
    told = "".join(path.read_text() for path in tests)
    assert [klass for klass in BY_HAND if f'"{klass}"' not in told] == []


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_gone_when_its_context_ends(name: str) -> None:
    before = _patched()
    with planted(name):
        assert _patched() != before
    assert _patched() == before


def _patched() -> list[object]:
    """Return everything that a bug may swap: what modules and classes of the product hold."""
    import sys

    found: list[object] = []
    for module_name in sorted(sys.modules):
        if module_name.split(".")[0] not in ("core", "net", "sim"):
            continue
        held = vars(sys.modules[module_name])
        for name in sorted(held):
            value = held[name]
            if isinstance(value, type) and value.__module__ == module_name:
                found += [vars(value)[each] for each in sorted(vars(value))]
            elif callable(value) or name == "zlib" or isinstance(value, Failure):
                found.append(value)
    return [id(each) for each in found]


def test_an_unknown_bug_is_none() -> None:
    with pytest.raises(KeyError), planted("no such bug"):
        pass


def test_only_what_is_there_can_be_swapped() -> None:
    with (
        pytest.raises(AssertionError, match="has no nothing of its own"),
        swapped(Bug, "nothing", 1),
    ):
        pass


def _hunt(bug: Bug, *, directed: bool, caught: str = "", limit: int = 2) -> Hunt:
    hunt = Hunt(bug, 0, limit, directed=directed)
    while not hunt.is_over:
        found = (Found(caught, f"{caught}/x", "words"),) if caught else ()
        hunt.take(Outcome(0, hunt.start + hunt.tried, found=found))
    return hunt


@pytest.fixture
def bug() -> Bug:
    return next(bug for bug in BUGS.values() if bug.check == "watch")


def test_a_bug_that_nothing_catches_is_a_fault(bug: Bug) -> None:
    row, fault = row_of(
        bug, [_hunt(bug, directed=True, caught="watch"), _hunt(bug, directed=False)]
    )
    assert fault == f"{bug.name}: not caught by watch within 2 seeds from 0; seen: watch/x"
    assert row[-1] == "MISSED"


def test_a_bug_that_another_check_catches_is_a_fault(bug: Bug) -> None:
    hunts = [_hunt(bug, directed=True, caught="watch"), _hunt(bug, directed=False, caught="linear")]
    assert row_of(bug, hunts)[1].endswith("within 2 seeds from 0; seen: watch/x, linear/x")


def test_a_directed_plan_that_shows_nothing_is_a_fault(bug: Bug) -> None:
    hunts = [_hunt(bug, directed=True), _hunt(bug, directed=False, caught="watch")]
    assert row_of(bug, hunts)[1] == f"{bug.name}: its directed plan shows nothing, not watch"


def test_a_caught_bug_has_a_row_that_says_how_fast(bug: Bug) -> None:
    caught: Callable[[], Hunt] = lambda: _hunt(bug, directed=False, caught="watch")  # noqa: E731
    row, fault = row_of(bug, [_hunt(bug, directed=True, caught="watch"), caught(), caught()])
    assert (row[4], row[5], row[-1], fault) == ("yes", "1 1 median 1", "ok", "")


def test_quick_is_one_start_and_whole_is_several(bug: Bug) -> None:
    assert [(h.start, h.limit, h.directed) for h in hunts_of([bug], quick=True)] == [
        (1, 1, True),
        (0, bug.budget * 3, False),
    ]
    assert len(hunts_of([bug], quick=False)) == 6


def test_the_page_of_planted_bugs_lists_them_all_as_they_are() -> None:
    page = Path(__file__).parents[2] / "docs" / "PLANTED.md"
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line[:3] == "| `"]
    assert [(row[0].strip("| `"), *row[1:6]) for row in rows] == [
        (bug.name, str(bug.row or "-"), bug.words, bug.check, str(bug.tier), str(bug.budget))
        for bug in BUGS.values()
    ]
