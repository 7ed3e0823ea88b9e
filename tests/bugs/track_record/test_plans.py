"""Bugs of others that take several members, played as plans in the simulated world.

The rule of this file: the plan is the directed one of the planted bug that is like the other's. As
the product is, every guarantee holds; with the bug in place the check that is named sees it.
"""

from collections.abc import Mapping

import pytest
from attrs import evolve

from sim.planted import BUGS
from sim.trial import attempt

LIKE: Mapping[str, str] = {
    "leader_trusts_its_last_round": "etcd #20418: a paused leader came back and answered a read",
    "leader_reads_alone": "go-dqlite #207: a deposed leader answered reads from what it had",
    "watchers_stay_behind_after_install": "etcd #15271: watches did not go on behind a snapshot",
    "pack_applied_twice_after_a_snapshot": "etcd #13766: entries were applied twice after a crash",
    "catching_up_never_ends": "k8s-dqlite #364: the poller died, and watches fell silent",
}
"""Whose bug each planted bug is like."""


@pytest.mark.parametrize("bug", LIKE)
def test_a_bug_of_others_is_not_here(bug: str) -> None:
    directed = BUGS[bug].directed
    assert directed is not None
    plan = directed()
    trial = attempt(evolve(plan, options=evolve(plan.options, bug="")))
    assert not trial.found
    assert trial.run is not None
    assert trial.run.history.calls


@pytest.mark.parametrize("bug", LIKE)
def test_it_would_be_seen_if_it_were_here(bug: str) -> None:
    directed = BUGS[bug].directed
    assert directed is not None
    plan = directed()
    trial = attempt(evolve(plan, options=evolve(plan.options, bug=bug)))
    assert BUGS[bug].check in [found.check for found in trial.found]
