"""Bugs of etcd, kine and k8s-dqlite as golden scripts: Trine does not have them, and would show it.

The rule of this file: a script here is played like those of tests/scripts, and once more with each
bug planted that is like the one it is named after; then it must observe something else.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sim.planted import planted
from tests.bugs.track_record.mutations import MUTATIONS
from tests.scripting import play

FOLDER = Path(__file__).parent

BUGS_OF: Mapping[str, tuple[str, ...]] = {
    "a_full_store_can_be_freed": ("deletions_count_against_the_quota",),
    "a_renewed_lease_outlives_a_late_expiry": ("promotion_does_not_extend",),
    "kubernetes_compacts_by_transaction": ("keys_only_sends_values",),
    "leases_of_one_length_are_two": ("leases_are_known_by_their_length", "revoke_keeps_keys"),
    "list_then_watch_misses_nothing": ("watch_resumes_too_late", "reads_of_the_past_show_now"),
    "revision_inside_a_transaction": ("txn_fails_half_applied",),
    "revision_survives_the_compaction_of_a_delete": ("revision_falls_to_what_is_left",),
    "revisions_have_no_gaps": ("empty_deletion_is_a_revision", "failed_txn_burns_a_revision"),
    "watch_events_come_once_after_transactions": ("txn_events_come_twice",),
    "watch_from_a_compacted_revision_is_told_so": ("compacted_watch_begins_at_what_is_left",),
    "watch_from_the_compaction_sees_the_delete": (
        "compaction_drops_its_tombstone",
        "compaction_off_by_one",
    ),
    "watch_from_the_future_gets_no_past": (
        "future_watch_begins_now",
        "future_watch_hears_of_progress",
    ),
    "watch_progress_waits_for_the_stream": (
        "progress_regardless_of_delivery",
        "progress_ahead_of_delivery",
    ),
    "watch_starved_stream_gets_all": ("slow_watcher_loses_events",),
}
"""Which planted bugs each script must see: of `sim.planted` or of `mutations`."""

PAIRS = [(script, bug) for script, bugs in BUGS_OF.items() for bug in bugs]


def test_every_script_has_a_bug_that_it_must_see() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == sorted(BUGS_OF)


@pytest.mark.parametrize("script", BUGS_OF)
def test_a_bug_of_others_is_not_here(script: str, request: pytest.FixtureRequest) -> None:
    path = FOLDER / f"{script}.txt"
    observed = play(path)
    if request.config.getoption("--rewrite"):
        path.write_text(observed)
    assert observed == path.read_text()


@pytest.mark.parametrize(("script", "bug"), PAIRS, ids=lambda each: each)
def test_it_would_be_seen_if_it_were_here(script: str, bug: str) -> None:
    path = FOLDER / f"{script}.txt"
    place = MUTATIONS[bug]() if bug in MUTATIONS else planted(bug)
    with place:
        try:
            observed = play(path)
        except AssertionError:
            return
    assert observed != path.read_text(), f"{script} does not see {bug}"
