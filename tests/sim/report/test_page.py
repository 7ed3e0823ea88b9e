"""A run's page: everything named is in it, nothing gets out of its text, and it stays small."""

import json
import re
from typing import cast

import pytest
from attrs import evolve

from sim.history import Call
from sim.ops import Json, Put, PutDone, Range, RangeDone
from sim.report.page import page
from sim.report.scene import Side, Wrong
from tests.browser import Document
from tests.made_runs import MadeRun, made_run, picture

HOSTILE = "</script><script>alert(1)</script><!--'\"&\u2028\x00"


def test_the_verdict_stands_on_top_in_the_guarantees_words() -> None:
    document = Document.of(page(picture(made_run(wrong="stale-read"))))
    verdict = document.one("section", id="verdict-0")
    assert "Linearizable reads: a read that begins after a write" in verdict.text
    assert [side.text for side in document.all("li") if "saw" in side.text] == [
        "put /registry/k2 by process 20saw revision 122",
        "get /registry/k2 by process 3saw revision 121",
    ]
    assert document.one("a", data_jump="0").text == "Jump to the first error"


def test_a_clean_run_says_so_and_offers_no_jump() -> None:
    document = Document.of(page(picture(made_run())))
    assert document.one("section", id="verdict-0").text.startswith("Nothing is wrong")
    assert not list(document.all("a", data_jump="0"))
    assert "first error" not in [button.text for button in document.all("button")]


def test_options_marks_latencies_and_the_command_stand_in_the_page_itself() -> None:
    run = made_run()
    document = Document.of(page(picture(run)))
    assert "snapshot entries200" in document.one("table", id="options").text
    assert "leader change with a write in flight3" in document.one("table", id="marks").text
    assert document.one("pre", id="replay").text == "trine sim replay 7 --trace"
    dots = {each.attributes["class"]: each for each in document.all("path")}
    assert set(dots) == {"dots-ok", "dots-fail", "dots-info"}
    drawn = sum(dot.attributes["d"].count("M") for dot in dots.values())
    assert drawn == len(run.history.calls)


def test_every_operation_watcher_fault_and_member_is_in_the_scene() -> None:
    run = made_run()
    drawn = scene_of(page(picture(run)))
    assert [row[0] for row in rows(drawn["calls"])] == [each.number for each in run.history.calls]
    assert len(rows(drawn["watchers"])) == len(run.history.watchers)
    assert sorted(str(row[2]) for row in rows(drawn["faults"])) == [
        *("clock_rate", "crash", "isolate", "pause", "slow_disk")
    ]
    assert len(rows(drawn["members"])) == 3


def test_a_small_run_leaves_nothing_out() -> None:
    text = page(picture(made_run(operations=300)))
    assert scene_of(text)["left"] == []
    assert not list(Document.of(text).all("p", id="left-out"))


@pytest.mark.parametrize("wrong", ["", "stale-read"])
def test_a_large_run_stays_small_and_says_what_it_left_out(wrong: str) -> None:
    run = made_run(operations=3000, seconds=60, wrong=wrong)
    run = with_more_messages(run, 40_000)
    text = page(picture(run), 1_000_000)
    assert len(text.encode()) <= 1_000_000
    note = Document.of(text).one("p", id="left-out").text
    assert re.search(r"[\d,]+ of [\d,]+ messages", note)
    drawn = scene_of(text)
    assert len(rows(drawn["calls"])) == 3000
    assert len(cast(list[int], messages_of(drawn)["sent"])) > 3000


def test_messages_are_kept_around_the_first_error() -> None:
    run = with_more_messages(made_run(operations=3000, wrong="stale-read"), 40_000)
    drawn = scene_of(page(picture(run), 1_000_000))
    sent = cast(list[int], messages_of(drawn)["sent"])
    focus = run.verdicts[0].time_us
    assert drawn["focus"] == focus
    assert sent[0] < focus < sent[-1]
    assert sent[-1] - sent[0] < run.history.ended_us // 2


def test_values_of_a_megabyte_do_not_make_a_large_page() -> None:
    run = made_run(operations=50)
    large = "x" * 1_000_000
    run.history.calls[0] = call(0, Put("k", large))
    assert len(page(picture(run))) < 200_000


def test_hostile_texts_stay_texts() -> None:
    run = made_run(operations=20)
    run.history.calls[0] = call(0, Put(HOSTILE, HOSTILE))
    wrong = Wrong(HOSTILE, HOSTILE, HOSTILE, (Side(HOSTILE, HOSTILE, "call 0"),), 5)
    options = evolve(run.plan.options, bug=HOSTILE, workload=HOSTILE)
    shown = evolve(
        picture(run),
        plan=evolve(run.plan, options=options),
        wrongs=(wrong,),
        marks={HOSTILE: 1},
        digest=HOSTILE,
        replay=HOSTILE,
        trace=(f"5 net drop link=0>1 id=1 why={HOSTILE}",),
    )
    text = page(shown)
    assert text.count("</script>") == 2
    assert text.count("<script") == 2
    assert "<!--" not in text
    assert "\u2028" not in text.partition('id="scene">')[2]
    assert "alert(1)" in json.dumps(scene_of(text))


def test_nothing_is_fetched() -> None:
    text = page(picture(made_run()))
    assert (
        "default-src 'none'"
        in Document.of(text).one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    )
    assert not re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"|https?://|url\(|@import", text)


def test_a_run_that_left_hardly_anything_has_a_page() -> None:
    run = made_run(operations=0, watchers=0)
    run.history.calls.clear()
    run.history.faults.clear()
    assert Document.of(page(evolve(picture(run), trace=()))).one("h1").text == "seed 7: clean"


def scene_of(text: str) -> dict[str, Json]:
    """Return the scene in a page."""
    data = Document.of(text).one("script", id="scene").text
    return cast(dict[str, Json], json.loads(data))


def rows(value: Json) -> list[list[Json]]:
    """Return a list of rows of the scene."""
    return cast(list[list[Json]], value)


def messages_of(drawn: dict[str, Json]) -> dict[str, Json]:
    """Return the columns of messages."""
    return cast(dict[str, Json], drawn["messages"])


def call(number: int, op: Put | Range) -> Call:
    """An operation that took a millisecond."""
    result = PutDone(2) if isinstance(op, Put) else RangeDone(2, (), 0)
    return Call(number, 0, 0, op, 1000, 2000, result)


def with_more_messages(run: MadeRun, count: int) -> MadeRun:
    """Return the run with so many more messages, evenly over time."""
    end = run.history.ended_us
    more = [
        f"{end * n // count} net send link=0>1 id={10**6 + n} bytes=40 what=heartbeat"
        for n in range(count)
    ]
    run.trace = sorted([*run.trace, *more], key=lambda line: int(line.split(" ")[0]))
    return run
