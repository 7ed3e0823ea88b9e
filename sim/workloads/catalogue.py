"""All workloads by name, and who performs an item.

Rule of this file: tables and look-ups. Every name that a plan's client or watcher items carry is
found here; `perform` is what `sim.clients.Clients`, or a thread of the harness, is given.
"""

from collections.abc import Mapping
from typing import Final

from sim.clients import Memory, Performance
from sim.plan import Item
from sim.workloads import (
    admin,
    append,
    compaction,
    kube,
    lease,
    register,
    script,
    sets,
    txn,
    watch,
)
from sim.workloads.draw import Intent, Workload

WORKLOADS: Final[Mapping[str, Workload]] = {
    module.WORKLOAD.name: module.WORKLOAD
    for module in (kube, register, append, sets, txn, lease, compaction, watch, admin)
}

CLIENT_INTENTS: Final[Mapping[str, Intent]] = {
    intent.name: intent
    for intent in (
        *(intent for workload in WORKLOADS.values() for intent in workload.intents),
        *admin.FROM_FAULTS,
        *script.CLIENTS,
    )
}

WATCHER_INTENTS: Final[Mapping[str, Intent]] = {
    intent.name: intent
    for intent in (
        *watch.watchers(watch.PREFIX),
        *(intent for workload in WORKLOADS.values() for intent in workload.watchers),
        *script.WATCHERS,
    )
}


def perform(item: Item, memory: Memory) -> Performance:
    """Return the performance of a client's or a watcher's item. Rejects a name nobody has."""
    intent = CLIENT_INTENTS.get(item.do) or WATCHER_INTENTS.get(item.do)
    assert intent is not None, f"nobody performs {item.do}"
    return intent.perform(item, memory)


def named(workload: str) -> list[Workload]:
    """Return the workloads of an option's value, such as "register+lease".

    Raises ValueError for a name that none has.
    """
    names = workload.split("+")
    if odd := [name for name in names if name not in WORKLOADS]:
        raise ValueError(f"no workload is called {odd[0]!r}")
    return [WORKLOADS[name] for name in names]
