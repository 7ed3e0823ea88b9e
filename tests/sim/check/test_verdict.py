"""`sim.check.verdict` and the catalogue: what a verdict says, and that each has been made."""

from pathlib import Path

import pytest

from sim.check import explain
from sim.check.guarantees import WORDS, Found
from sim.check.verdict import CHECKS, Side, Verdict, seconds
from tests.stories import Story, kv


def test_a_verdict_reads_as_guarantee_breach_and_parties() -> None:
    story = Story()
    story.put(1, "a", "1")
    story.put(2, "a", "2")
    story.get(3, "a", kv("a", "1", 2), rev=2)
    [verdict] = story.verdicts()
    assert explain(verdict).splitlines() == [
        "FAIL linear/stale-read at 3.100000 s",
        "  guarantee: Linearizability: each operation takes effect at one point between its"
        " invocation and its response, and sees every operation that completed before it began.",
        "  broken by: it began after the other had returned, and saw an older revision",
        "  - call 1, process 1, member 0, 2.000000 to 2.100000 s: put a = 2",
        "      saw revision 3",
        "  - call 2, process 2, member 0, 3.000000 to 3.100000 s: get a",
        "      saw a = 1 @2 (created 2, version 1) · revision 2",
    ]


def test_of_a_class_only_the_first_is_kept() -> None:
    found = Found()
    found.add("watch/unique", "later", (), 5)
    found.add("watch/unique", "sooner", (), 3)
    found.add("watch/unique", "latest", (), 9)
    found.add("linear/stale-read", "first", (), 1)
    assert [each.why for each in found.verdicts()] == ["first", "sooner"]


def test_every_class_belongs_to_a_check() -> None:
    assert {klass.partition("/")[0] for klass in WORDS} <= set(CHECKS)


def test_every_class_is_made_by_some_test() -> None:
    folder = Path(__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("test_*.py"))
    assert [klass for klass in WORDS if f'"{klass}"' not in text] == []


def test_a_verdict_of_no_check_is_refused() -> None:
    with pytest.raises(AssertionError, match="no such check"):
        Verdict("magic", "magic/spell", "", "")
    with pytest.raises(AssertionError, match="is no watch"):
        Verdict("watch", "linear/stale-read", "", "")


def test_sides_name_calls_and_watchers() -> None:
    sides = (Side("one", "this", call=3), Side("other", "that", watcher=4))
    verdict = Verdict("watch", "watch/unique", "", "", sides)
    assert (verdict.calls, verdict.watchers) == ((3,), (4,))


def test_times_are_read_in_seconds() -> None:
    assert seconds(26_924_001) == "26.924001"
