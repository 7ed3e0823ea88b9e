"""A batch: every seed gets an outcome, whatever its worker does; two processes must agree.

The rule of this file: real processes, a fake simulator (fake_worker.py), no real waiting but for
the hanging worker, whose patience is short here.
"""

import re
import sys
from pathlib import Path

import pytest

from sim.runner import Batch, Runner, Worth, failure_words, first_difference, parting, report_words
from sim.runner_pool import Patience, Pool
from sim.runner_progress import Progress, Totals, progress_line, span
from sim.runner_task import Found, Outcome, Task, outcome_of, task_of
from sim.runner_worker import broken, tail_before

FAKE = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))


def fake_pool(size: int = 2, **patience: float) -> Pool:
    return Pool(size, command=FAKE, patience=Patience(**patience))  # type: ignore[arg-type]


def run(batch: Batch, size: int = 2, **patience: float) -> tuple[Runner, list[str]]:
    runner = Runner(batch)
    said: list[str] = []
    progress = Progress(runner.line, said.append, every_s=1e9)
    with fake_pool(size, **patience) as pool:
        runner.run(pool, progress)
    return runner, said


def test_a_task_and_an_outcome_survive_their_lines() -> None:
    task = Task(3, 7, tier=2, overrides={"members": 5}, off=("disk",), trace_file="f")
    assert task_of(task.line()) == task
    found = Found("watch", "watch/gap", "reliable", "a gap", ("- w1", "    saw 3"), 5)
    outcome = Outcome(3, 7, "d", (found,), {"a": 1}, tail=("x",))
    assert outcome_of(outcome.line()) == outcome
    with pytest.raises(ValueError, match="no outcome"):
        outcome_of('{"what":1}')


def test_a_clean_batch_is_worth_nothing_bad() -> None:
    runner, said = run(Batch(start=100, seeds=6, again_percent=50, marks=("a mark", "another")))
    report = runner.report
    assert (said, report.worth, report.totals.done, report.compared) == ([], Worth.CLEAN, 6, 3)
    assert report.totals.marks_hit == 1
    text = report_words(runner.batch, report, elapsed_s=2.0)
    assert "6 seeds from 100, tier 1: 3.0/s, 0.1 h simulated, 60 operations" in text
    assert "marks hit: 1 of 2\n    never: another" in text
    assert text.endswith("\nclean")


def test_until_bug_ends_with_the_first_failure() -> None:
    batch = Batch(start=5, seeds=0, until_bug=True, again_percent=0, commit="1a2b3c")
    runner, said = run(batch, size=1)
    assert runner.report.worth == Worth.VERDICT
    assert runner.report.first == {"linear/stale-read": 7}
    assert said[0].splitlines()[0] == "FAIL seed 7 linear/stale-read at 0.000 s  get k1 was old"
    assert "replay: trine sim replay 7    (commit 1a2b3c)" in said[0]


def test_a_killed_worker_is_replaced_and_its_seed_told() -> None:
    runner, said = run(Batch(start=209, seeds=3, again_percent=0))
    assert runner.report.died == [209]
    assert runner.report.totals.done == 3
    assert runner.report.worth == Worth.HARNESS
    assert said[0].startswith("DIED seed 209  the worker ended with signal SIGKILL")


def test_a_fault_of_the_harness_is_told_with_its_traceback() -> None:
    runner, said = run(Batch(start=8, seeds=1, again_percent=0))
    assert runner.report.died == [8]
    assert "LookupError: a fault of the harness" in said[0]


def test_a_hanging_worker_is_killed() -> None:
    # Five seeds, the first of which takes as long as the start, make the median that shortens it.
    batch = Batch(start=21, seeds=6, again_percent=0)
    runner, said = run(batch, size=1, floor_s=2.0, times=0.0)
    assert (runner.report.died, runner.report.totals.done) == ([26], 6)
    (told,) = said
    spent = re.fullmatch(
        r"DIED seed 26  no end after (\d+) s: the worker was killed\n  replay: trine sim replay 26",
        told,
    )
    assert spent is not None, told
    assert int(spent[1]) >= 2


def test_a_worker_is_replaced_after_its_share() -> None:
    runner, _ = run(Batch(start=100, seeds=7, again_percent=0), tasks_each=2)
    assert runner.report.totals.done == 7


def test_another_digest_in_another_process_is_nondeterminism() -> None:
    task = Task(0, 20)
    words = first_difference(task, lambda size: fake_pool(size))
    assert words == (
        "  first differing trace line, 2:\n"
        "       0 m0 start life=1\n"
        "    -  1 m0 turn term=1\n"
        "    +  1 m0 turn term=2"
    )
    runner = Runner(Batch(start=20, seeds=1, again_percent=100))
    assert runner.next_task() == Task(0, 20, keep="sim-failures")
    assert runner.take(Outcome(0, 20, digest="20-1")) == ""
    again = runner.next_task()
    assert again == Task(-1, 20, hash_seed=2)
    runner.report.differed.append(20)
    assert runner.report.worth == Worth.NONDETERMINISM


def test_traces_part_where_one_goes_on() -> None:
    assert parting(["a"], ["a", "b"]) == "  one trace goes on at line 2:\n    +  b"
    assert "two fresh processes agree" in parting(["a"], ["a"])


def test_overrides_make_the_replay_name_the_saved_plan() -> None:
    outcome = Outcome(0, 7, kept="out/x-7-t2.plan.jsonl", found=(Found("a", "a/b", "w"),))
    batch = Batch(tier=2, overrides={"bug": "x"})
    assert failure_words(batch, outcome).splitlines()[-1] == (
        "  replay: trine sim replay out/x-7-t2.plan.jsonl --tier 2"
    )


def test_the_progress_line_says_everything() -> None:
    totals = Totals(
        wanted=10_000, done=4312, calls=2_100_000, oks=1_344_000, infos=651_000, faults=91_400,
        simulated_ms=72 * 3_600_000, marks_hit=38, marks_all=41,
    )  # fmt: skip
    assert progress_line(totals, elapsed_s=4312 / 12.1) == (
        "seeds 4312/10000  43%  12.1/s  sim 72h  ops 2.1M (64% ok 31% info)  faults 91k  "
        "marks 38/41  worst: none   ETA 7m50"
    )
    assert [span(x) for x in (14.2, 471, 7260, 259_200)] == ["14s", "7m51", "2h01", "72h"]


def test_the_tail_ends_with_the_first_error() -> None:
    lines = [f"{time} m0 turn" for time in range(30)]
    assert tail_before(lines, 25) == tuple(lines[6:26])
    assert tail_before(lines, 0) == tuple(lines[10:])


def test_a_broken_invariant_names_itself() -> None:
    try:
        raise AssertionError("INV-APPLY-ONCE")
    except AssertionError as error:
        found = broken(error)
    assert (found.klass, found.why) == ("invariant/INV-APPLY-ONCE", "INV-APPLY-ONCE")
    assert found.lines[0].startswith("test_runner.py:")
