"""What happens to a member, added to its counters: leases, compactions, jobs, leaders.

Only what is rare passes here; counters of every request are added to where the request is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time
from typing import TYPE_CHECKING

from core.answers import Answer, HashKvAnswer, RangeAnswer, RangeParts
from core.codec import Proposed
from core.effects import Effect, Erase, Reply
from core.errors import Failure
from core.machine import Fact, LeaseGone, LeaseGranted
from core.operations import (
    AlarmSet,
    Compact,
    DeleteRange,
    LeaseExpire,
    LeaseGrant,
    LeaseRevoke,
    MemberAdd,
    MemberPromote,
    MemberPublish,
    MemberRemove,
    MemberUpdate,
    Noop,
    Put,
    RoleAssign,
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
    MemberAdd: "MemberAdd",
    MemberRemove: "MemberRemove",
    MemberUpdate: "MemberUpdate",
    MemberPromote: "MemberPromote",
    MemberPublish: "ClusterMemberAttrSet",
    RoleAssign: "RoleAssign",
}
"""etcd's names of what is applied, for etcd_server_apply_duration_seconds."""


SLICED = frozenset({RangeParts, HashKvAnswer})
"""Answers that are worked at over several turns."""

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


def count_applied(metrics: Metrics, commands: Sequence[Proposed], took_us: int) -> None:
    """Observe what each command of a pack took: the mean, which costs two looks at the clock."""
    if commands:
        each_us = took_us // len(commands)
        observe = metrics.observe_apply
        for proposed in commands:
            observe(APPLY_NAMES[type(proposed.command)], each_us, ok=True)


def count_reads(metrics: Metrics, effects: Sequence[Effect], took_us: int) -> None:
    """Observe what each range of a round of reads took: the mean of the round."""
    answers = [type(effect.answer) for effect in effects if type(effect) is Reply]
    if answers:
        each_us = took_us // len(answers)
        metrics.range_us.observe_each(each_us, answers.count(RangeAnswer))
        metrics.range_failed_us.observe_each(each_us, answers.count(Failure))


class Scrubs:
    """How long the freeing after compactions takes: each slice, and from the first to the last."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._began_us: int | None = None

    def worked(self, effects: Sequence[Effect], began_us: int, now_us: int) -> None:
        """Take note of what one slice of work had for effects."""
        for effect in effects:
            if type(effect) is Erase:
                self._metrics.compaction_pause_ms.observe((now_us - began_us) // 1000)
                if self._began_us is None:
                    self._began_us = began_us
                if effect.done:
                    self._metrics.compaction_total_ms.observe((now_us - self._began_us) // 1000)
                    self._began_us = None


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
        self._metrics.put_size_bytes = self._driver.buffer.put_bytes
        commits_us = self._driver.store.commits_us
        while commits_us:
            self._metrics.backend_commit_us.observe(commits_us.popleft())
        leader = self._driver.engine.role.leader
        if leader != self._leader:
            self._leader = leader
            self._metrics.leader_changes_seen_total += bool(leader)

    def answered(self, answer: Answer, took_ms: int) -> None:
        """Observe what was worked at in slices, from the request to the answer."""
        timed = self._metrics.range_us if type(answer) is RangeParts else self._metrics.hash_rev_us
        timed.observe(took_ms * 1000)

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
