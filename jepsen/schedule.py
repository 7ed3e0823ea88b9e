"""What clients and watchers of one run will do, as a plan of a seed: evenly, at a rate.

Rule of this file: a function of its arguments. Several workloads share the clients, each on keys of
its own; a witness on every member watches everything from the first revision on.
"""

from random import Random
from typing import Final

from attrs import evolve, frozen

from jepsen.workloads.catalogue import named
from sim.generate import final_items
from sim.ops import Json, Range, to_json
from sim.plan import Item, Options, Plan
from sim.workloads.draw import Draw, Intent, Workload, client_items, watcher_items
from sim.workloads.pace import FIRST_MS, Pace
from sim.workloads.watch import watchers

WITNESS: Final = "witness.watch"
SLOW: Final = frozenset(("lease.hold", "lock.hold", "fenced.hold"))
"""Intents that take seconds of waiting: they have clients of their own, and few items."""
SLOW_CLIENTS: Final = 4
SLOW_RATE: Final = 4
"""Slow items a second of a workload: more than its clients come to."""
SLOW_NUMBERS: Final = 1 << 30
"""What they are numbered by is above it."""
SETTLE_MS: Final = 11_000
"""So long after the healing the last things are asked: from then on answers are owed."""
EMPTY: Final = Item(0, "client", 0, "script.ask", {"op": to_json(Range("nothing")), "member": 0})
"""The first thing that is asked: etcd's own checker wants to be shown an empty store."""
HASHES: Final = 3
"""How often, in the end, every member is asked for its hash: leases may still end in between."""
HASH_MS: Final = 700


@frozen
class Load:
    """How many clients do how much for how long."""

    workload: str = "register"
    """Names with commas or "+" between them, or "all"."""
    members: int = 3
    duration_ms: int = 60_000
    rate: int = 150
    """Items a second, of all clients together."""
    clients: int = 10
    watchers: int = 4
    keys: int = 6
    timeout_ms: int = 3_000


class Even(Pace):
    """Everybody is busy all the time."""

    def __init__(self, duration_ms: int) -> None:
        self.busy_ms = float(max(1, duration_ms - FIRST_MS))

    def time_ms(self, part: float) -> int:
        """See Pace."""
        return FIRST_MS + int(part * self.busy_ms)


def make_plan(seed: int, load: Load) -> Plan:
    """Return the plan of a seed. Raises ValueError for a workload that nobody has."""
    parts = named(load.workload)
    quick = [intents for each in parts if (intents := _intents(each, is_slow=False))]
    slow = [intents for each in parts if (intents := _intents(each, is_slow=True))]
    # Every workload is watched by somebody.
    watching = max(load.watchers, len(parts)) if load.watchers else 0
    options = Options(
        members=load.members,
        engine="raft",
        workload="+".join(each.name for each in parts),
        operations=load.rate * load.duration_ms // 1000,
        clients=load.clients + SLOW_CLIENTS * len(slow),
        watchers=watching + load.members,
        duration_ms=load.duration_ms,
        keys=load.keys,
        timeout_ms=load.timeout_ms,
    )
    draw = Draw(Random(f"{seed}/jepsen/clients"), evolve(options, clients=load.clients))
    pace = Even(load.duration_ms)
    items: list[Item] = []
    for intents in quick:
        items += client_items(draw, intents, options.operations // len(quick), pace)
    waiting = Draw(Random(f"{seed}/jepsen/slow"), evolve(options, clients=SLOW_CLIENTS))
    for place, intents in enumerate(slow):
        shift = load.clients + place * SLOW_CLIENTS
        count = min(SLOW_RATE, load.rate) * load.duration_ms // 1000
        items += [
            # Numbers name values and leases: those of two drawers must differ.
            item._replace(
                number=item.number + shift, args={**item.args, "n": _apart(item.args["n"])}
            )
            for item in client_items(waiting, intents, count, pace)
        ]
    for place, workload in enumerate(parts):
        mine = [number for number in range(watching) if number % len(parts) == place]
        own = mine[: (len(mine) + 1) // 2] if workload.watchers else []
        items += watcher_items(draw, workload.watchers, own, many_max=1) if own else []
        items += watcher_items(draw, watchers(workload.prefix), mine[len(own) :])
    items.sort(key=lambda item: item.time_ms)
    return Plan(seed, options, (*witnesses(watching, load.members), EMPTY, *items))


def _intents(workload: Workload, *, is_slow: bool) -> list[Intent]:
    return [intent for intent in workload.intents if (intent.name in SLOW) == is_slow]


def _apart(number: Json) -> Json:
    assert isinstance(number, int), "every item of these workloads has a number"
    return SLOW_NUMBERS + number


def witnesses(first: int, members: int) -> list[Item]:
    """Return the items of those who watch everything, one on each member."""
    return [
        Item(0, "watcher", first + member, WITNESS, {"member": member}) for member in range(members)
    ]


def last_items(options: Options, healed_ms: int) -> list[Item]:
    """Return what is asked when everything has been whole for a while."""
    last = final_items(options)
    shift_ms = healed_ms + SETTLE_MS - last[0].time_ms
    items = [item._replace(time_ms=item.time_ms + shift_ms) for item in last]
    begin_ms = items[-1].time_ms + 2 * HASH_MS
    items += [
        Item(begin_ms + turn * HASH_MS, "client", member, "admin.hash", {"member": member})
        for turn in range(HASHES)
        for member in range(options.members)
    ]
    return items
