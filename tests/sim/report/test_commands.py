"""Pictures by command, and the example of docs/READING_A_SEED.md, which must go as it says."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from server.main import cli
from sim.plan import Item, Options, Plan
from sim.trial import attempt
from tests.browser import Document
from tests.sources import CHECKOUT

PLAN = CHECKOUT / "docs/reports/stale-read.plan.jsonl"
PAGE = (CHECKOUT / "docs/READING_A_SEED.md").read_text(encoding="utf-8")


def test_a_replay_draws_its_picture_and_says_how_to_get_it_again(tmp_path: Path) -> None:
    drawn = tmp_path / "run.html"
    done = CliRunner().invoke(cli, ["sim", "replay", str(PLAN), "--html", str(drawn)])
    assert done.exit_code == 1, done.output
    assert f"picture: {drawn}" in done.output
    document = Document.of(drawn.read_text(encoding="utf-8"))
    assert "linear/stale-read" in document.one("h1").text
    assert document.one("pre", id="replay").text == f"trine sim replay {PLAN} --trace"


def test_a_replay_tells_its_trace_with_a_column_a_member() -> None:
    done = CliRunner().invoke(cli, ["sim", "replay", str(PLAN), "--status"])
    lines = done.output.splitlines()
    assert lines[0].split() == ["seconds", "event", "m0", "m1", "m2"]
    assert any(re.search(r"\+ isolate +on m1", line) for line in lines)
    assert any("L t2" in line for line in lines)


def test_a_batch_draws_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["sim", "run", "--seeds", "2", "-j", "1", "--unseed", "0", "--html", "batch.html"]
    done = CliRunner().invoke(cli, command)
    assert "picture: batch.html" in done.output, done.output
    document = Document.of((tmp_path / "batch.html").read_text(encoding="utf-8"))
    assert document.one("h1").text.startswith("2 seeds from 0, tier 1")
    assert "read, linearizable" in document.one("svg", id="marks").text


def test_the_small_plan_of_the_page_fails_as_the_page_says() -> None:
    lines = re.findall(r"^    (\[\d+,\".*\])$", PAGE, re.MULTILINE)
    assert len(lines) == 3
    items = tuple(Item(*json.loads(line)) for line in lines)
    options = Options(
        engine="raft",
        duration_ms=2250,
        clients=1,
        watchers=0,
        link_ms=0,
        snapshot_entries=0,
        faults=("partition",),
        bug="any_member_answers_reads",
    )
    trial = attempt(Plan(10, options, items))
    assert [found.klass for found in trial.found] == ["linear/stale-read"]
    assert trial.found[0].why in PAGE
