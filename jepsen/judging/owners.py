"""Which workload an operation, a watcher or a conflict belongs to: by the keys that it names.

Rule of this file: prefixes and look-ups. What names no workload's keys belongs to the cluster: a
read of everything, what operators ask, a lease that no key was put under.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import define, field

from jepsen.workloads.catalogue import WORKLOADS
from sim.check.verdict import Side
from sim.history import Call, History
from sim.ops import (
    Admin,
    Compact,
    Delete,
    Grant,
    GrantDone,
    KeepAlive,
    Op,
    Put,
    Range,
    Revoke,
    TimeToLive,
    Txn,
    TxnOp,
)
from sim.workloads.kube import COMPACT_KEY

CLUSTER: Final = "cluster"
"""The owner of what is no workload's own."""
PREFIXES: Final[Mapping[str, str]] = {
    **{each.prefix.partition("/")[0]: each.name for each in WORKLOADS.values()},
    COMPACT_KEY: "kube",
}


def owner_of_key(key: str) -> str:
    """Return the workload that a key belongs to."""
    return PREFIXES.get(key.partition("/")[0], CLUSTER)


@define
class Owners:
    """Who owns what in one history."""

    _of_lease: dict[int, str] = field(factory=dict[int, str])
    _of_process: dict[int, str] = field(factory=dict[int, str])
    _calls: dict[int, Call] = field(factory=dict[int, Call])
    _of_watcher: dict[int, str] = field(factory=dict[int, str])
    _compacts: str = CLUSTER

    @classmethod
    def of(cls, history: History, workloads: Iterable[str] = ()) -> "Owners":
        """Look once at a history; `workloads`: those that ran, the compactions' owner is one."""
        owners = cls()
        ran = list(workloads)
        owners._compacts = next((each for each in ("compaction", "kube") if each in ran), CLUSTER)
        for call in history.calls:
            owners._calls[call.number] = call
            for put in puts(call.op):
                if put.lease:
                    owners._of_lease.setdefault(put.lease, owner_of_key(put.key))
        for call in history.calls:
            if isinstance(call.op, Grant) and isinstance(call.result, GrantDone):
                owners._of_lease.setdefault(call.op.lease, "lease" if "lease" in ran else CLUSTER)
        for watcher in history.watchers:
            owners._of_watcher[watcher.number] = owner_of_key(watcher.spec.key)
        return owners

    def of_call(self, op: Op) -> str:
        """Return the workload that an operation belongs to."""
        match op:
            case Range(key) | Put(key) | Delete(key):
                return owner_of_key(key)
            case Txn():
                return next((owner_of_key(key) for key in keys(op)), CLUSTER)
            case Grant(lease) | Revoke(lease) | KeepAlive(lease) | TimeToLive(lease):
                return self._of_lease.get(lease, CLUSTER)
            case Compact():
                return self._compacts
            case Admin():
                return CLUSTER
            case _:
                return "lease" if "lease" in self._of_lease.values() else CLUSTER

    def of_lease(self, lease: int) -> str:
        """Return the workload that a lease belongs to: of the first key put under it."""
        return self._of_lease.get(lease, CLUSTER)

    def of_watcher(self, number: int) -> str:
        """Return the workload that a watcher belongs to."""
        return self._of_watcher.get(number, CLUSTER)

    def of_conflict(self, conflict: Iterable[Side]) -> str:
        """Return the workload that a conflict belongs to: of its last party that has one."""
        found = CLUSTER
        for side in conflict:
            owner = CLUSTER
            if side.watcher is not None:
                owner = self.of_watcher(side.watcher)
            elif side.call is not None and side.call in self._calls:
                owner = self.of_call(self._calls[side.call].op)
            found = owner if owner != CLUSTER else found
        return found


def keys(op: Op | TxnOp) -> Iterator[str]:
    """Yield the keys that an operation names."""
    match op:
        case Range(key) | Put(key) | Delete(key):
            yield key
        case Txn(compare, then, orelse):
            yield from (each.key for each in compare)
            for each in (*then, *orelse):
                yield from keys(each)
        case _:
            pass


def puts(op: Op | TxnOp) -> Iterator[Put]:
    """Yield every put that an operation may do."""
    match op:
        case Put():
            yield op
        case Txn(_, then, orelse):
            for each in (*then, *orelse):
                yield from puts(each)
        case _:
            pass
