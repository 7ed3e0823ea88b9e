"""`trine sim`: what each command says and exits with, right and wrong input alike.

The rule of this file: the command line in this process; whole batches are test_runner.py's.
"""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from sim.commits import CheckoutError, unpack
from sim.main import sim
from sim.ops import Put
from sim.plan import Options, Plan
from sim.plan_file import read_plan, write_plan
from sim.planted import BUGS
from sim.planted.bug import LEADER_MS, ask, script
from sim.runner_task import Task
from sim.trial import directed_plan, perform, plan_of


class Told(NamedTuple):
    code: int
    out: str
    err: str


def trine_sim(*arguments: str) -> Told:
    result = CliRunner().invoke(sim, list(arguments), prog_name="trine sim")
    return Told(result.exit_code, result.stdout, result.stderr)


def test_every_command_is_listed() -> None:
    told = trine_sim("--help")
    assert told.code == 0
    for name in ("run", "replay", "shrink", "check", "bugs", "diff"):
        assert f"  {name} " in told.out
    assert "3 the same seed came to two different ends" in told.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "--bug", "leader_reads_alon"),
         "trine sim run: no planted bug is called 'leader_reads_alon'; "
         "did you mean leader_reads_alone?\n"),
        (("run", "--bug", "zzz"),
         "trine sim run: no planted bug is called 'zzz'; sim/planted has them all\n"),
        (("bugs", "zzz"),
         "trine sim bugs: no planted bug is called 'zzz'; sim/planted has them all\n"),
        (("run", "--workload", "tpcc"),
         "trine sim run: no workload is called 'tpcc': admin, append, compaction, kube, lease, "
         "register, set, txn, watch\n"),
        (("run", "--engine", "local", "--members", "3"),
         "trine sim run: the local engine is a quorum of one: leave --members out, or say 1\n"),
        (("replay", "nowhere.jsonl"),
         "trine sim replay: nowhere.jsonl is neither a seed nor a plan's file\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_a_sentence(
    arguments: tuple[str, ...], sentence: str
) -> None:
    assert trine_sim(*arguments) == Told(2, "", sentence)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--no", "disc"), "no fault group is called 'disc': message, partition, clock"),
        (("run", "--seeds", "0"), "0 is not in the range x>=1"),
        (("run", "--tier", "3"), "3 is not in the range 1<=x<=2"),
        (("run", "--minutes", "-1"), "-1.0 is not in the range x>0"),
        (
            ("run", "--engine", "paxos"),
            "'paxos' is not one of 'perfect', 'raft', 'pysyncobj', 'local'",
        ),
        (("diff", "first", "a", "b"), "'first' is not a valid integer"),
        (("check", "nowhere.jsonl"), "File 'nowhere.jsonl' does not exist"),
    ],
)
def test_a_wrong_flag_is_wrong_usage(arguments: tuple[str, ...], words: str) -> None:
    told = trine_sim(*arguments)
    assert (told.code, told.out) == (2, "")
    assert words in told.err


def test_a_plan_file_of_rubbish_is_refused_by_line(tmp_path: Path) -> None:
    file = tmp_path / "plan.jsonl"
    file.write_text('{"plan": 1, "seed": 1, "options": {"members": 99}}\n')
    told = trine_sim("replay", str(file))
    assert told.code == 2
    assert told.err == (
        f"trine sim replay: {file} is no plan: {file}:1: members: 99 is not 1 to 7\n"
    )


def test_a_history_file_of_rubbish_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text("nonsense\n")
    told = trine_sim("check", str(file))
    assert told.code == 2
    assert told.err.startswith(f"trine sim check: {file} is no history: ")


def test_fault_groups_can_be_left_out_of_a_plan() -> None:
    plan = plan_of(1, {"faults": ["process", "disk"]}, off=("disk",))
    assert plan.options.faults == ("process",)
    assert {item.do for item in plan.items if item.who == "fault"} <= {
        "crash", "crash_at", "pause", "crash_loop", "crash_all",
    }  # fmt: skip


def test_a_planted_bug_brings_the_options_that_make_it_likely() -> None:
    plan = plan_of(1, {"bug": "leader_reads_alone", "members": 5})
    assert (plan.options.workload, plan.options.members) == ("register", 5)
    assert plan.options.bug == "leader_reads_alone"


def test_every_directed_plan_is_a_plan_that_can_be_saved(tmp_path: Path) -> None:
    for name in BUGS:
        file = tmp_path / f"{name}.jsonl"
        plan = directed_plan(name)
        write_plan(file, plan)
        assert read_plan(file) == plan


def test_a_script_is_in_order_of_time() -> None:
    plan = script(ask(20, Put("b", "2")), ask(10, Put("a", "1")), members=1)()
    assert [item.time_ms - LEADER_MS for item in plan.items] == [10, 20]
    assert plan.options == Options(
        members=1, clients=4, watchers=4, duration_ms=LEADER_MS + 3_000, snapshot_entries=0
    )
    assert plan == Plan(1, plan.options, plan.items)


def test_a_commit_is_unpacked_beside_the_working_tree(tmp_path: Path) -> None:
    root, here = tmp_path / "root", tmp_path / "here"
    git = ("git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@t")
    root.mkdir()
    subprocess.run((*git, "init", "-q"), check=True)
    (root / "file").write_text("old")
    subprocess.run((*git, "add", "file"), check=True)
    subprocess.run((*git, "commit", "-qm", "one"), check=True)
    (root / "file").write_text("new")
    unpack("HEAD", here, root)
    assert ((here / "file").read_text(), (root / "file").read_text()) == ("old", "new")
    with pytest.raises(CheckoutError, match="nosuch: fatal: not a valid object name"):
        unpack("nosuch", here, root)


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    """A saved plan that fails: a short one, with its bug planted."""
    file = tmp_path / "failing.jsonl"
    write_plan(file, directed_plan("revoke_in_several_revisions"))
    return file


def test_replaying_a_failing_plan_tells_the_guarantee_and_both_sides(failing: Path) -> None:
    told = trine_sim("replay", str(failing))
    assert told.code == 1
    assert "FAIL lease/one-revision" in told.out
    assert "    guarantee: When a lease ends, all its keys are deleted in one revision." in told.out
    assert "trace lines before the first error:" in told.out
    assert "planted: revoke_in_several_revisions" in told.out


def test_replaying_shows_the_trace_whole_or_around_a_second(failing: Path) -> None:
    whole = trine_sim("replay", str(failing), "--trace").out
    around = trine_sim("replay", str(failing), "--at", "3.6").out
    assert " m0 start " in whole
    assert " m0 start " not in around
    assert " turn " in around


def test_a_clean_seed_replays_to_the_same_digest() -> None:
    once, again = (trine_sim("replay", "3", "--workload", "register") for _ in range(2))
    assert once == again
    assert once.code == 0
    assert "clean" in once.out


def test_a_failing_plan_shrinks_to_one_that_fails_the_same_way(
    failing: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.jsonl"
    told = trine_sim("shrink", str(failing), "-o", str(small))
    assert told.code == 1
    assert "lease/one-revision: 5 items became " in told.out
    assert len(read_plan(small).items) <= 4
    assert trine_sim("replay", str(small)).code == 1


def test_what_does_not_fail_cannot_be_shrunk(tmp_path: Path) -> None:
    told = trine_sim("shrink", "3", "-o", str(tmp_path / "small.jsonl"))
    assert told == Told(
        2, "", "trine sim shrink: the plan does not fail: there is nothing to shrink\n"
    )


def test_a_saved_history_is_judged_as_the_run_was(failing: Path, tmp_path: Path) -> None:
    kept = perform(Task(0, 1, plan_file=str(failing), keep=str(tmp_path / "out")))
    assert kept.found[0].check == "lease"
    assert kept.tail
    history = kept.kept.replace(".plan.", ".history.")
    told = trine_sim("check", history)
    assert told.code == 1
    assert "FAIL lease/one-revision" in told.out
