"""Controls: real members that do one thing wrong, each found by its own check and called by name.

The rule of this file: a harness that has never failed proves nothing. Every run here is one that
must fail, beside the one next to it that must pass.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.members import CHECKOUT

PATIENCE_S = 240
PASSED, BROKEN = 0, 1

pytestmark = pytest.mark.slow


def classes_of(out: Path, *flags: str) -> set[str]:
    """Run the harness; return the classes of what it found, none for a run that passed."""
    command = [sys.executable, "-m", "server.main", "jepsen", "run", "--seed=1", f"--out={out}"]
    done = subprocess.run(
        [*command, *flags], cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode in (PASSED, BROKEN), done.stdout + done.stderr
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["passed"] is (done.returncode == PASSED)
    return {finding["class"] for finding in results["findings"]}


def test_a_stale_local_read_is_not_linear(tmp_path: Path) -> None:
    flags = ("--planted=any_member_answers_reads", "--workload=register", "--time=15")
    assert "linear/stale-read" in classes_of(tmp_path, *flags)


def test_an_answer_before_the_sync_is_a_lost_write(tmp_path: Path) -> None:
    flags = ("--members=1", "--workload=register,set", "--nemesis=kill", "--time=20")
    bug = classes_of(tmp_path / "bug", "--planted=answers_before_sync", *flags)
    assert "durability/lost-write" in bug
    assert classes_of(tmp_path / "none", "--planted=no_bug", *flags) == set()


def test_a_lost_watch_event_makes_a_watch_unreliable(tmp_path: Path) -> None:
    flags = ("--workload=watch", "--nemesis=kill", "--watchers=12", "--time=30")
    found = classes_of(tmp_path, "--planted=watch_resumes_too_late", *flags)
    assert found & {"watch/resumable", "watch/reliable"}
    assert not {klass for klass in found if klass.startswith("linear/")}


def test_a_follower_that_expires_leases_ends_them_early(tmp_path: Path) -> None:
    flags = ("--planted=followers_expire_leases", "--workload=lease", "--time=30")
    assert classes_of(tmp_path, *flags) == {"lease/early"}


def test_serializable_reads_are_not_linearizable(tmp_path: Path) -> None:
    flags = ("--workload=register", "--time=20")
    assert "linear/stale-read" in classes_of(tmp_path / "strict", "--as-linear", *flags)
    assert classes_of(tmp_path / "plain", *flags) == set()


def test_a_lease_is_no_lock_unless_a_fence_stands_behind_it(tmp_path: Path) -> None:
    flags = ("--workload=lock,fenced", "--time=20")
    assert classes_of(tmp_path, *flags) == {"lock/lost-update"}
    rows = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["rows"]
    outcomes = {row["workload"]: row["outcome"] for row in rows if row["check"] == "lock"}
    assert outcomes == {"lock": "fail", "fenced": "pass"}
