"""How much there was to judge, by workload and check: so that no empty row looks like a pass.

Rule of this file: it counts and judges nothing.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from attrs import asdict, field, frozen

from jepsen.judging.owners import CLUSTER, Owners, owner_of_key
from jepsen.judging.witnesses import wrote
from sim.history import Call, History
from sim.ops import (
    Admin,
    AdminDone,
    Compact,
    CompactDone,
    Failed,
    Grant,
    Json,
    KeepAlive,
    Leases,
    Range,
    Revoke,
    TimeToLive,
    Unknown,
)
from sim.workloads.append import WORKLOAD as APPEND

UNITS: Final[Mapping[str, str]] = {
    "linear": "operations",
    "serializable": "stale reads",
    "watch": "events told",
    "lease": "answers and ends",
    "compaction": "compactions",
    "convergence": "hashes and revisions",
    "durability": "writes",
    "liveness": "operations after healing",
    "order": "versions",
    "lock": "versions",
}
OWED: Final[Mapping[str, tuple[str, ...]]] = {
    "register": ("linear", "durability"),
    "append": ("linear", "order", "durability"),
    "set": ("linear", "durability"),
    "txn": ("linear", "durability"),
    "lease": ("linear", "lease"),
    "compaction": ("linear", "compaction"),
    "watch": ("linear", "watch"),
    "kube": ("linear", "watch", "lease"),
    "admin": ("linear", "durability"),
    "lock": ("linear", "lock"),
    "fenced": ("linear", "lock"),
    CLUSTER: ("convergence", "watch"),
}
"""What each workload is run for: shown even where there was nothing to judge."""


@frozen
class Tally:
    """What a run did, counted."""

    calls: int
    ok: int
    unknown: int
    refused: int
    writes: int
    """Acknowledged."""
    watchers: int
    messages: int
    faults: int
    members: int
    """Of whom a witness was told anything."""
    revisions: int
    """That any witness was told of."""
    duration_us: int
    judged: Mapping[tuple[str, str], tuple[int, str]] = field(
        factory=dict[tuple[str, str], tuple[int, str]]
    )
    """By workload and check: how much there was to judge, and of what."""

    def as_json(self) -> dict[str, Json]:
        """Return the numbers by name."""
        numbers = asdict(self, filter=lambda attribute, _: attribute.name != "judged")
        return {name: int(value) for name, value in numbers.items()}


def tally_of(
    history: History,
    owners: Owners,
    *,
    workloads: tuple[str, ...],
    members: int,
    revisions: int,
    versions: Mapping[str, int],
    ends: Mapping[str, int],
) -> Tally:
    """Count a run. `versions`, `ends`: of lists and of leases, by workload, counted before."""
    judged: Counter[tuple[str, str]] = Counter()
    for call in history.calls:
        owner = owners.of_call(call.op)
        judged.update((owner, check) for check in checks_of(call))
        if call.invoked_us >= history.healed_us:
            judged[owner, "liveness"] += 1
    for watcher in history.watchers:
        for seen in watcher.seen:
            if not seen.events:
                judged[CLUSTER, "watch"] += 1
            for event in seen.events:
                judged[owner_of_key(event.kv.key), "watch"] += 1
    judged[CLUSTER, "convergence"] += revisions
    for workload, count in versions.items():
        judged[workload, "order" if workload == APPEND.name else "lock"] += count
    for workload, count in ends.items():
        judged[workload, "lease"] += count
    for workload in (*workloads, CLUSTER):
        for check in OWED.get(workload, ()):
            judged[workload, check] += 0
    return Tally(
        calls=len(history.calls),
        ok=sum(not isinstance(call.result, Failed | Unknown) for call in history.calls),
        unknown=sum(isinstance(call.result, Unknown) for call in history.calls),
        refused=sum(isinstance(call.result, Failed) for call in history.calls),
        writes=sum(wrote(call) for call in history.calls),
        watchers=len(history.watchers),
        messages=sum(len(watcher.seen) for watcher in history.watchers),
        faults=sum(fault.on for fault in history.faults),
        members=members,
        revisions=revisions,
        duration_us=history.ended_us,
        judged={place: (count, unit(*place)) for place, count in judged.items()},
    )


def unit(workload: str, check: str) -> str:
    """Return what was counted. The cluster's own are messages without events, and a few keys'."""
    if (workload, check) == (CLUSTER, "watch"):
        return "other watch messages"
    return UNITS[check]


def checks_of(call: Call) -> list[str]:
    """Return the checks that a call gives something to judge."""
    if isinstance(call.result, Failed | Unknown):
        return []
    match call.op:
        case Range(serializable=True):
            return ["serializable"]
        case Grant() | Revoke() | KeepAlive() | TimeToLive() | Leases():
            return ["lease"]
        case Compact():
            return ["compaction"] if isinstance(call.result, CompactDone) else []
        case Admin(what):
            is_hash = what == "hash" and isinstance(call.result, AdminDone)
            return ["convergence"] if is_hash else []
        case _:
            return ["linear", "durability"] if wrote(call) else ["linear"]
