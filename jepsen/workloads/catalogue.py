"""All workloads that real processes run, by name, and who performs an item.

Rule of this file: the simulator's table and the few of this package, looked up in that order.
"""

from collections.abc import Mapping
from typing import Final

from jepsen.workloads.lock import FENCED, LOCK
from sim.clients import Memory, Performance
from sim.plan import Item
from sim.workloads import catalogue
from sim.workloads.draw import Workload

EXPECTED_TO_FAIL: Final = frozenset({LOCK.name})
"""Workloads that find fault with any correct store; "all" leaves them out."""
WORKLOADS: Final[Mapping[str, Workload]] = {
    **catalogue.WORKLOADS,
    LOCK.name: LOCK,
    FENCED.name: FENCED,
}
_INTENTS: Final = {
    intent.name: intent for workload in (LOCK, FENCED) for intent in workload.intents
}


def perform(item: Item, memory: Memory) -> Performance:
    """Return the performance of a client's or a watcher's item. Rejects a name nobody has."""
    intent = _INTENTS.get(item.do)
    return catalogue.perform(item, memory) if intent is None else intent.perform(item, memory)


def named(names: str) -> list[Workload]:
    """Return the workloads of an option's value: names joined by "," or "+", or "all".

    Raises ValueError for a name that none has.
    """
    if names == "all":
        return [each for each in WORKLOADS.values() if each.name not in EXPECTED_TO_FAIL]
    wanted = names.replace("+", ",").split(",")
    for name in wanted:
        if name not in WORKLOADS:
            raise ValueError(f"no workload is called {name!r}: there are {', '.join(WORKLOADS)}")
    return [WORKLOADS[name] for name in dict.fromkeys(wanted)]
