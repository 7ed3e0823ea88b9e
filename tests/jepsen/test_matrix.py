"""Many runs and one table: what each is told, and what is made of how it ended."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from jepsen.matrix import FAILED, HARNESS, PASSED, Cell, Done, Matrix

RUN = """
import json, pathlib, sys
told = dict(word[2:].split("=", 1) for word in sys.argv[1:])
out = pathlib.Path(told["out"])
out.mkdir()
if told["nemesis"] == "clock":
    sys.exit("no clocks here")
broken = [{"workload": "register", "klass": "linear/stale-read"}] * (told["nemesis"] == "kill")
rows = [{"check": "linear", "count": 40}, {"check": "watch", "count": 7}]
(out / "results.json").write_text(
    json.dumps({"findings": broken, "notes": [told["rate"]], "rows": rows})
)
sys.exit(len(broken))
"""


@pytest.fixture
def run(tmp_path: Path) -> list[str]:
    """A stand-in for a run: it fails under kill, and cannot be run under clock."""
    (tmp_path / "run.py").write_text(RUN)
    return [sys.executable, str(tmp_path / "run.py")]


def cells(*nemeses: str) -> list[Cell]:
    return [Cell(3, nemesis, "register,watch") for nemesis in nemeses]


def matrix(out: Path, run: list[str], *nemeses: str) -> Matrix:
    return Matrix(out, cells(*nemeses), ["--rate=9"], 5, 2, lambda sentence: None, run)


def table(out: Path) -> Any:
    return json.loads((out / "results.json").read_text())


def test_all_pass(tmp_path: Path, run: list[str]) -> None:
    assert matrix(tmp_path / "out", run, "pause", "admin").run()
    assert [(row["run"], row["outcome"], row["calls"], row["notes"])
            for row in table(tmp_path / "out")] == [
        ("register+watch-pause-3", PASSED, 40, ["9"]),
        ("register+watch-admin-3", PASSED, 40, ["9"]),
    ]  # fmt: skip


def test_what_failed_and_what_could_not_be_run_are_told_apart(
    tmp_path: Path, run: list[str]
) -> None:
    many = matrix(tmp_path / "out", run, "kill", "clock", "pause")
    assert not many.run()
    by_nemesis = {each.cell.nemesis: each for each in many.done}
    kill, clock, _ = cells("kill", "clock", "pause")
    assert by_nemesis["kill"] == Done(kill, FAILED, 40, ("register:linear/stale-read",), ("9",))
    assert by_nemesis["clock"] == Done(clock, HARNESS)
    assert by_nemesis["pause"].outcome == PASSED
    assert "no clocks here" in (tmp_path / "out" / "register+watch-clock-3.txt").read_text()


def test_the_page_links_every_run(tmp_path: Path, run: list[str]) -> None:
    matrix(tmp_path / "out", run, "kill", "pause").run()
    page = (tmp_path / "out" / "index.html").read_text()
    assert "1 of 2 runs passed" in page
    assert 'href="register+watch-kill-3/index.html"' in page
    assert "register:linear/stale-read" in page
