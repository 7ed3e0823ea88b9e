"""A backup that was taken in the midst of faults, and the cluster that begins with it.

The rule of this file: real runs of tier 2, both of them; and a check that is shown to be able to
fail.
"""

import pytest
from attrs import evolve

from sim.check import check
from sim.generate import make_plan
from sim.ops import RangeDone
from sim.plan import Options, Plan
from sim.restoring import Restored, judge_restore, run_restored, run_with_backup
from sim.run import Run

RAISED = 1_000_000


def whole_run(seed: int) -> tuple[Run, bytes]:
    """A run with faults whose backup came whole."""
    plan: Plan = make_plan(
        seed,
        {"engine": "raft", "members": 3, "spares": 0, "workload": "register+txn", "value_bytes": 10,
         "quota_bytes": 1 << 40, "faults": ("message", "partition", "process")},
        tier=2,
    )  # fmt: skip
    return run_with_backup(plan, at_ms=plan.options.duration_ms * 2 // 3, member=seed % 3)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("raised", [0, RAISED])
def test_a_restored_cluster_holds_one_revision_and_owns_up_to_the_rest(
    seed: int, raised: int
) -> None:
    done, backup = whole_run(seed)
    assert check(done.history) == []
    if backup:
        options = Options(members=3, engine="raft")
        told = run_restored(backup, options, seed=seed, raised=raised)
        assert judge_restore(done.history, told) == []
        assert len(told.reads) == 6


def test_a_restore_that_keeps_too_little_or_tells_old_numbers_is_seen() -> None:
    done, backup = whole_run(1)
    told = run_restored(backup, Options(members=3, engine="raft"), seed=1, raised=RAISED)
    first = told.reads[0]
    assert isinstance(first, RangeDone)
    poorer: Restored = evolve(told, reads=[first._replace(kvs=first.kvs[1:])])
    older = evolve(told, reads=[first._replace(rev=told.rev)])
    silent = evolve(told, watched=[])
    again = evolve(told, put=None)
    kinds = [
        judge_restore(done.history, each)[0].partition(":")[0]
        for each in (poorer, older, silent, again)
    ]
    assert kinds == ["content", "revision", "history", "revision"]
