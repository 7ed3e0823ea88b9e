"""The example reports under docs/reports: each plan still tells what its page shows.

`pytest tests/sim/report/test_examples.py --rewrite` draws them anew; look at them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from sim.plan_file import read_plan
from sim.report import write_page
from sim.trial import attempt
from tests.browser import Document
from tests.sources import CHECKOUT

FOLDER = CHECKOUT / "docs/reports"
SIZE_BYTES_MAX = 480_000

EXAMPLES: Mapping[str, str] = {
    "clean": "",
    "stale-read": "linear/stale-read",
    "lost-event": "watch/reliable",
}
"""What the first error of each is."""


@pytest.mark.parametrize(("name", "klass"), EXAMPLES.items())
def test_an_example_shows_what_its_plan_tells(
    name: str, klass: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    plan = FOLDER / f"{name}.plan.jsonl"
    page = FOLDER / f"{name}.html"
    trial = attempt(read_plan(plan), trace=True)
    assert [found.klass for found in trial.found][:1] == ([klass] if klass else [])
    drawn = page if request.config.getoption("--rewrite") else tmp_path / "now.html"
    command = f"trine sim replay {plan.relative_to(CHECKOUT)} --trace"
    write_page(drawn, trial, replay=command, size_bytes_max=SIZE_BYTES_MAX)
    kept, now = (Document.of(path.read_text(encoding="utf-8")) for path in (page, drawn))
    for document in (kept, now):
        assert (klass or "clean") in document.one("h1").text
        assert document.one("pre", id="replay").text == command
    assert page.stat().st_size <= 500_000


def test_the_verdict_that_the_page_on_reading_quotes_is_that_of_the_example() -> None:
    page = (CHECKOUT / "docs/READING_A_SEED.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^      - (.*)\n +saw (.*)$", page, re.MULTILINE)
    kept = Document.of((FOLDER / "stale-read.html").read_text(encoding="utf-8"))
    sides = [each.text for each in kept.all("li") if "saw " in each.text]
    assert [f"{who}saw {saw}" for who, saw in quoted] == sides
