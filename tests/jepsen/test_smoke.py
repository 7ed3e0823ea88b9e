"""A short run of real members in namespaces, killed and cut apart; and runs that end too soon.

Skipped where namespaces are not allowed: what they need is said in the skip.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jepsen.network import why_no_namespaces
from tests.sources import CHECKOUT

WHY_NOT = why_no_namespaces()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no run in namespaces: {WHY_NOT}")
TRINE = [sys.executable, "-m", "server.main", "jepsen"]
PATIENCE_S = 600


def results(out: Path) -> Any:
    return json.loads((out / "results.json").read_text())


def test_three_members_pass_while_they_are_killed_and_cut_apart(tmp_path: Path) -> None:
    words = ("--workload=register,watch", "--nemesis=kill,partition", "--time=12", "--seed=5")
    command = [*TRINE, "run", *words, f"--out={tmp_path}"]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = results(tmp_path)
    assert told["passed"]
    judged = {(row["workload"], row["check"]) for row in told["rows"] if row["outcome"] == "pass"}
    assert judged >= {("register", "linear"), ("watch", "linear"), ("cluster", "convergence")}
    assert {path.name for path in tmp_path.iterdir()} == {
        "history.jsonl", "index.html", "members", "rerun", "results.json"
    }  # fmt: skip
    assert "--seed=5" in (tmp_path / "rerun").read_text()


def alone(out: Path) -> dict[str, str]:
    """An environment whose runs are known to nobody who cleans up elsewhere on this machine."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(out.parent)}


def begun(out: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a run and wait until its members are at work; its process and its name."""
    # Where these tests are a job in the background, SIGINT is ignored, and by their children too.
    heard = ["env", "--default-signal=INT"]
    command = [*heard, *TRINE, "run", "--time=60", "--nemesis=kill", f"--out={out}"]
    run = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, env=alone(out))
    assert run.stdout is not None
    for line in run.stdout:
        if "; run " in line:
            name = line.partition("; run ")[2].partition(",")[0]
        if "  kill" in line:
            return run, name
    raise AssertionError("it ended before anybody was killed")


def left_of(name: str, out: Path) -> list[str]:
    """What is still there of a run: namespaces, and processes that work in its directory."""
    found = [str(path) for path in Path("/run/netns").iterdir() if f"-{name}-" in path.name]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if f"--data-dir={out}" in path.read_bytes().decode(errors="replace"):
                found.append(path.parent.name)
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_interrupted_takes_away_what_it_made(
    tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "run"
    run, name = begun(out)
    with run:
        try:
            assert left_of(name, out)
            run.send_signal(how)
            run.communicate(timeout=PATIENCE_S)
        finally:
            run.kill()
    assert run.returncode == 2
    assert left_of(name, out) == []


def test_what_a_killed_run_left_is_cleaned_up(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run, name = begun(out)
    with run:
        run.kill()
        run.communicate(timeout=PATIENCE_S)
    assert left_of(name, out)
    done = subprocess.run(
        [*TRINE, "cleanup"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        env=alone(out),
    )
    assert f"run {name}: cleaned up" in done.stdout
    assert left_of(name, out) == []
