"""Shrunk plans that failed once, each named after what it does: none may fail again.

The rule of this file: a plan is a file beside it and needs no generator, so it stays what it was.

    log_cut_while_stalled      a member resumed to append behind a log cut meanwhile
    full_disk_at_a_new_term    a term that a full disk refused was never written again, and all
    full_disk_then_...         that depended on it was never said: the member stayed behind for ever
    restart_forgot_the_commit   a member was sent the snapshot of what its log held, and told nobody
                               that it did: it was sent again for ever
    received_dead_rows_...     a received store's dead rows stayed, and one came back at a start
                               once its successor was erased
    two_snapshots_in_...       of two snapshots that came in one turn only the newest was kept, and
                               the engine wanted the other
    leader_removes_itself_...  a leader with its own removal in its log, uncommitted, never
                               campaigned again, and nobody else could be elected over so long a log
    answer_of_another_life     a leader answered at last what a member had asked before it
                               crashed, and so answered what it asked under that number now
    offer_of_another_life      a leader answered the first offer of a member's new life with what it
                               had ordered for the old one, and nothing was ever proposed
    stalls_that_overlap        the simulator let a clock stand still for the sum of its stalls, long
                               after all was healed

The two of snapshots were shrunk with what had been wrong put back, and fail so: the first where
`StagedRows.take_over` names no dead rows, the second where `Driver._snapshot_arrived` first clears
what is staged.
"""

from pathlib import Path

import pytest

from sim.plan_file import read_plan
from sim.trial import attempt

PLANS = sorted((Path(__file__).parent / "plans").glob("*.jsonl"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_that_failed_once_does_not_fail_again(path: Path) -> None:
    found = attempt(read_plan(path)).found
    assert not found, [(each.klass, each.lines) for each in found]
