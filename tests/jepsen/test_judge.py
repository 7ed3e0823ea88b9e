"""The verdict table: what a run of a correct store earns, and of one that does one thing wrong."""

import pytest
from attrs import evolve

from jepsen.judge import EMPTY, FAIL, PASS, Judgement, judge, linearized
from jepsen.judging.finding import Finding
from jepsen.workloads.catalogue import EXPECTED_TO_FAIL, WORKLOADS, named
from sim.check.verdict import Side
from sim.history import History
from tests.little_etcd import Load, little_run

SOME = Load("register", duration_ms=8_000, rate=100)


def judged(workload: str, **faults: int | bool) -> Judgement:
    """Run a little etcd and judge it."""
    names = [each.name for each in named(workload)]
    return judge(little_run(evolve(SOME, workload=workload), **faults), names)


def failures(judgement: Judgement) -> set[tuple[str, str]]:
    """Return the workloads and checks that failed."""
    return {(row.workload, row.check) for row in judgement.rows if row.outcome == FAIL}


@pytest.mark.parametrize("workload", sorted(WORKLOADS.keys() - EXPECTED_TO_FAIL))
def test_a_correct_store_passes_each_workload(workload: str) -> None:
    judgement = judged(workload)
    assert judgement.findings == ()
    assert judgement.passed
    assert {row.outcome for row in judgement.of(workload)} <= {PASS, EMPTY}


def test_all_workloads_pass_side_by_side_and_have_a_row_each() -> None:
    judgement = judged("all")
    assert judgement.passed
    assert {row.workload for row in judgement.rows} >= set(WORKLOADS) - EXPECTED_TO_FAIL


def test_reads_of_the_past_fail_their_own_workload_alone() -> None:
    judgement = judged("register,set", lag_us=50_000)
    assert ("register", "linear") in failures(judgement)
    assert {finding.klass for finding in judgement.findings} >= {"linear/stale-read"}


def test_a_lost_event_fails_the_watches_and_no_write_is_called_lost() -> None:
    judgement = judged("watch", drops=40)
    assert ("watch", "watch") in failures(judgement)
    assert ("cluster", "convergence") in failures(judgement)
    assert "durability" not in {check for _, check in failures(judgement)}


def test_a_store_that_forgets_has_lost_writes() -> None:
    judgement = judged("register", forgets_us=4_000_000)
    assert ("register", "durability") in failures(judgement)
    assert "durability/lost-write" in {finding.klass for finding in judgement.findings}


def test_leases_that_keepalives_do_not_renew_end_early() -> None:
    assert ("lease", "lease") in failures(judged("lease", early=True))


def test_a_lock_of_a_lease_fails_and_a_fenced_one_passes() -> None:
    judgement = judged("lock,fenced")
    assert failures(judgement) == {("lock", "lock")}
    (fenced,) = [row for row in judgement.of("fenced") if row.check == "lock"]
    assert fenced.outcome == PASS
    assert fenced.count > 5


def test_serializable_reads_taken_for_linearizable_ones_fail() -> None:
    history = little_run(SOME, lag_us=50_000)
    fresh = [call for call in history.calls if not getattr(call.op, "serializable", False)]
    history.calls = [call for call in history.calls if call not in fresh or call.member == 0]
    names = ["register"]
    assert "linear/stale-read" not in {each.klass for each in judge(history, names).findings}
    strict = judge(history, names, as_linear=True)
    assert "linear/stale-read" in {each.klass for each in strict.findings}


def test_a_check_without_anything_to_judge_is_no_pass() -> None:
    judgement = judge(History(ended_us=1), ["lease"])
    assert {(row.workload, row.check): row.outcome for row in judgement.rows} == {
        ("lease", "linear"): EMPTY,
        ("lease", "lease"): EMPTY,
        ("cluster", "watch"): EMPTY,
        ("cluster", "convergence"): EMPTY,
    }


def test_what_a_nemesis_saw_fails_the_run() -> None:
    seen = Finding.under_fault("corrupt", "m1 serves from a damaged journal", 5)
    judgement = judge(History(ended_us=1), [], seen=[seen])
    assert judgement.violations == (seen,)
    assert failures(judgement) == {("cluster", "faults")}


def test_the_table_names_what_failed_and_where() -> None:
    judgement = judged("lock")
    (line,) = [line for line in judgement.table() if "FAIL" in line]
    assert line.split()[:3] == ["lock", "lock", "FAIL"]
    assert line.endswith("lock/lost-update")


def test_results_are_json_of_rows_and_findings() -> None:
    told = judged("lock").as_json()
    assert told["passed"] is False
    rows, findings = told["rows"], told["findings"]
    assert isinstance(rows, list)
    assert isinstance(findings, list)
    assert {"workload": "lock", "check": "lock", "outcome": FAIL}.items() <= {
        key: value
        for row in rows
        if isinstance(row, dict) and row["outcome"] == FAIL
        for key, value in row.items()
    }.items()
    assert len(findings) == 1


def test_a_finding_explains_itself_to_a_terminal() -> None:
    side = Side("call 1", "revision 2")
    finding = Finding.own("lock", "lock/lost-update", "one is lost", (side,), 1_500_000)
    assert finding.explain().splitlines() == [
        "FAIL lock/lost-update (lock) at 1.500000 s",
        "  guarantee: Mutual exclusion: what one holder of a lock wrote is seen by the next; "
        "no two are inside.",
        "  broken by: one is lost",
        "  - call 1",
        "      saw revision 2",
    ]


def test_linearized_reads_claim_to_be_linearizable() -> None:
    history = little_run(SOME)
    assert any(getattr(call.op, "serializable", False) for call in history.calls)
    claimed = linearized(history)
    assert not any(getattr(call.op, "serializable", False) for call in claimed.calls)
