"""Clients ask real members whose leader is killed, stopped and ended again and again.

    pytest tests/cluster -s            some 40 s, one of each blow; -s shows the figures
    pytest tests/cluster -s --slow     a quarter of an hour; TRINE_KILLS=N for other than 100 kills

What all clients saw is judged by the simulator's checkers. That they would see it if something
were wrong is shown in `test_controls`.
"""

import os
from pathlib import Path

import pytest

from sim.history_file import write_history
from tests.cluster.judging import Figures, judged
from tests.cluster.trial import Trial, under_load

PAUSE_S = 3.0
KILLS = int(os.environ.get("TRINE_KILLS", "100"))
DOWN_MS = 2000
MEBIBYTES = 90
"""More than the log keeps for members a little behind."""


def passed(trial: Trial, directory: Path | None) -> Figures:
    """End a trial and hold it to what it owes; the history stays beside the members' logs."""
    history = trial.finish()
    if directory is not None:
        write_history(directory / "history.jsonl", history)
    figures = judged(history)
    print(f"\n{figures}")
    assert not figures.verdicts, "\n".join(figures.verdicts)
    assert (figures.lost, figures.differing) == (0, 0)
    assert all(witness.reached == trial.scribe.newest for witness in trial.witnesses)
    return figures


def median(figures: Figures) -> int:
    return sorted(figures.down_ms)[len(figures.down_ms) // 2]


def test_nothing_is_lost_or_stale_when_leaders_are_killed_paused_and_ended(tmp_path: Path) -> None:
    with under_load(tmp_path, 3) as trial:
        trial.kill_leader()
        trial.kill_leader()
        trial.pause_leader(PAUSE_S)
        trial.roll()
        passed(trial, tmp_path)


@pytest.mark.slow
def test_leaders_are_killed_again_and_again(tmp_path: Path) -> None:
    with under_load(tmp_path, 3, seed=1) as trial:
        for _ in range(KILLS):
            trial.kill_leader()
        assert median(passed(trial, tmp_path)) <= DOWN_MS


@pytest.mark.slow
def test_a_leader_and_a_follower_of_five_are_killed_at_once(tmp_path: Path) -> None:
    with under_load(tmp_path, 5, seed=2) as trial:
        for _ in range(10):
            trial.kill_leader()
            trial.kill_pair()
        passed(trial, tmp_path)


@pytest.mark.slow
def test_leaders_are_paused(tmp_path: Path) -> None:
    with under_load(tmp_path, 3, seed=3) as trial:
        for _ in range(20):
            trial.pause_leader(PAUSE_S)
        passed(trial, tmp_path)


@pytest.mark.slow
def test_a_member_that_was_left_far_behind_is_sent_a_snapshot(tmp_path: Path) -> None:
    with under_load(tmp_path, 3, seed=5) as trial:
        behind = trial.leave_behind(MEBIBYTES)
        assert trial.member(behind).log_lines("took over a snapshot")
        trial.kill_leader()
        # The history would be half a gigabyte of text.
        passed(trial, None)


@pytest.mark.slow
def test_all_members_are_restarted_in_turn(tmp_path: Path) -> None:
    with under_load(tmp_path, 3, seed=4) as trial:
        for _ in range(5):
            trial.roll()
        passed(trial, tmp_path)
