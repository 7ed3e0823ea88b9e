"""What happens to a member, added to its counters: leases, compactions, jobs, leaders.

Only what is rare passes here; counters of every request are added to where the request is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time
from typing import TYPE_CHECKING

from core.machine import Fact, LeaseGone, LeaseGranted
from core.operations import (
    AlarmSet,
    Compact,
    DeleteRange,
    LeaseExpire,
    LeaseGrant,
    LeaseRevoke,
    Noop,
    Put,
    Txn,
)
from net.metrics import Histogram, Metrics

APPLY_NAMES: Mapping[type, str] = {
    Put: "Put",
    Txn: "Txn",
    DeleteRange: "DeleteRange",
    Compact: "Compaction",
    LeaseGrant: "LeaseGrant",
    LeaseRevoke: "LeaseRevoke",
    LeaseExpire: "LeaseRevoke",
    AlarmSet: "Alarm",
    Noop: "Noop",
}
"""etcd's names of what is applied, for etcd_server_apply_duration_seconds."""


if TYPE_CHECKING:
    from net.driver import Driver


def count_facts(metrics: Metrics, facts: Sequence[Fact]) -> None:
    """Count leases that were granted, and that ended, by whatever means."""
    for fact in facts:
        if type(fact) is LeaseGranted:
            metrics.lease_granted_total += 1
            metrics.lease_ttl_s.observe(fact.ttl_s)
        elif type(fact) is LeaseGone:
            metrics.lease_revoked_total += 1


class Tally:
    """Notes, turn by turn, what changed since the turn before."""

    def __init__(self, driver: Driver, metrics: Metrics) -> None:
        self._driver = driver
        self._metrics = metrics
        self._compact_revision = driver.node.state.compact_revision
        self._leader = 0

    def turn(self) -> None:
        """Take note of a new leader, of a compaction, and of what went to the store."""
        revision = self._driver.node.state.compact_revision
        if revision != self._compact_revision:
            self._compact_revision = revision
            self._metrics.compaction_last_s = int(time())
        commits_us = self._driver.store.commits_us
        while commits_us:
            self._metrics.backend_commit_us.observe(commits_us.popleft())
        leader = self._driver.engine.role.leader
        if leader != self._leader:
            self._leader = leader
            self._metrics.leader_changes_seen_total += bool(leader)

    def job_took(self, kind: str, took_us: int) -> None:
        """Observe how long a job ran."""
        histogram = self._histogram(kind)
        if histogram is not None:
            histogram.observe(took_us)

    def _histogram(self, kind: str) -> Histogram | None:
        match kind:
            case "snapshot":
                return self._metrics.backend_snapshot_us
            case "defragment":
                return self._metrics.backend_defrag_us
            case _:
                return None
