"""A batch's page: failures by class, how soon, marks that were never met, and what was slow."""

from pathlib import Path
from random import Random

from sim.report.batch import batch_page
from sim.runner_task import Found, Outcome
from tests.browser import Document, screenshot

MARKS = ("leader change", "snapshot installed", "lease expired", "never ever")
ERROR, OK = (213, 0, 79), (0, 114, 178)


def test_failures_stand_by_class_with_the_first_seed_and_its_command() -> None:
    document = Document.of(batch_page(outcomes(400), MARKS, title="Night", elapsed_s=40))
    assert document.one("h1").text == "Night"
    assert "400 seeds · 6.7 hours simulated" in next(document.all("p", class_="facts")).text
    assert "10.0 runs/s over 40 s" in next(document.all("p", class_="facts")).text
    rows = [row.text for row in document.all("tr")]
    stale = next(row for row in rows if "linear/stale-read" in row)
    assert "trine sim replay 1017 --html run.html" in stale
    assert "10 of 400 seeds failed, in 2 classes" in document.one("section", id="sum").text


def test_runs_to_the_first_failure_are_counted_in_the_order_of_the_batch() -> None:
    rows = [row.text for row in Document.of(batch_page(outcomes(400), MARKS)).all("tr")]
    stale = next(row for row in rows if "linear/stale-read" in row)
    assert "101718trine" in stale


def test_a_mark_that_was_never_met_stands_first() -> None:
    document = Document.of(batch_page(outcomes(400), MARKS))
    words = document.one("svg", id="marks").text
    assert words.startswith("never evernever")
    assert words.index("lease expired") < words.index("leader change")


def test_the_slowest_seeds_are_listed_longest_first() -> None:
    table = Document.of(batch_page(outcomes(400), MARKS)).one("table", id="slowest")
    assert table.text.startswith("seedtookoperationsfaults1123900 ms500")
    assert table.text.count("86 ms") == 14


def test_seeds_that_told_nothing_say_why() -> None:
    rows = [*outcomes(5), Outcome(5, 1005, died="timed out after 30 s <b>")]
    document = Document.of(batch_page(rows))
    assert document.one("table", id="died").text == "1005timed out after 30 s <b>"
    assert "1 seeds told nothing" in document.one("section", id="sum").text


def test_a_clean_batch_says_so() -> None:
    document = Document.of(batch_page([Outcome(0, 3), Outcome(1, 4)]))
    assert document.one("section", id="sum").text.startswith("Nothing is wrong")
    assert not list(document.all("table", id="failures"))


def test_no_outcome_at_all_is_a_page_too() -> None:
    assert "0 seeds" in batch_page([])


def test_hostile_words_stay_words() -> None:
    found = Found("linear", "linear/<script>", "</script><script>alert(1)", "<b>why")
    text = batch_page([Outcome(0, 1, found=(found,), marks={"<i>": 1})], title="<u>")
    assert text.count("<script>") == 1
    assert not [mark for mark in ("<b>why", "<i>", "<u>") if mark in text]


def test_ten_thousand_seeds_make_a_small_page() -> None:
    assert len(batch_page(outcomes(10_000), MARKS)) < 500_000


def test_failures_and_marks_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "batch.html"
    path.write_text(batch_page(outcomes(400), MARKS), encoding="utf-8")
    seen = screenshot(path, tmp_path, "", "1300,900").colours()
    assert seen[ERROR] > 1_000
    assert sum(count for colour, count in seen.items() if colour[2] > colour[0] + 60) > 10_000
    assert seen[OK] > 500


def outcomes(count: int) -> list[Outcome]:
    """Make outcomes of which one in fifty fails, and one mark is rare."""
    chance = Random(5)
    made: list[Outcome] = []
    for n in range(count):
        klass = "watch/lost-event" if n % 100 == 99 else "linear/stale-read"
        found = (Found(klass.split("/")[0], klass, "The guarantee.", "It broke."),)
        marks = {"leader change": chance.randrange(3), "snapshot installed": chance.randrange(2)}
        made.append(
            Outcome(
                n,
                1000 + n,
                found=found if n % 50 == 17 or n % 200 == 99 else (),
                marks={**marks, "lease expired": int(n % 10 == 3)},
                calls=500,
                oks=480,
                infos=15,
                faults=9,
                simulated_ms=60_000,
                took_ms=900 if n == 123 else 80 + n % 7,
            )
        )
    return made
