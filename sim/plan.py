"""A plan: everything a run does, as data. Made from a seed once, then run without its maker.

Rule of this file: shapes and their JSON. First line: seed, tier, workload, options. Then one
item a line, ordered by time. Dropping any item leaves a valid plan: that is what shrinking does.
"""

from typing import Final, NamedTuple

from attrs import evolve, field, frozen

from sim.ops import Json

RAFT_ENGINES: Final = ("raft", "pysyncobj")
"""Engines whose members elect a leader and change; in the second, that library decides."""


class Item(NamedTuple):
    """One intent at a time: of a client, a watcher or the world.

    `who`: "client" (with `number`), "watcher" (with `number`) or "fault". `do` names the intent,
    `args` its arguments. A client begins an item at its time or when its last one has ended.
    """

    time_ms: int
    who: str
    number: int
    do: str
    args: dict[str, Json]


@frozen
class Options:
    """The swarm vector: what differs from run to run beside the items."""

    members: int = 3
    engine: str = "perfect"
    """perfect, local (one member), or one of Raft's."""
    spares: int = 0
    """Machines that are no members at first; changes of membership make them so."""
    voters: int = 0
    """How many voters an engine of Raft's leader keeps by itself; 0: roles are given by hand."""
    stand_bys: int = 0
    """How many members beside them it keeps ready to take a lost voter's place."""
    domains: int = 1
    """Over how many failure domains the machines are spread."""
    workload: str = "register"
    """One of `sim.workloads`, or several joined by "+"."""
    mix: tuple[str, ...] = ()
    """The client intents that are on; none named: all of the workload."""
    operations: int = 300
    """How many items the clients get."""
    think_ms: int = 40
    """Mean pause of a client between two items of a burst."""
    nemesis_ms: int = 1_000
    """Mean time between two faults."""
    clients: int = 6
    watchers: int = 4
    duration_ms: int = 60_000
    """Faults and requests end by then; the world heals and the run ends quietly."""
    tick_ms: int = 100
    snapshot_entries: int = 200
    """Members cut their log after so many entries; 0 never."""
    pack_bytes: int = 65_536
    apply_commands: int = 256
    """What a member applies in one turn."""
    keys: int = 6
    value_bytes: int = 10
    timeout_ms: int = 2_000
    """A client's deadline."""
    link_ms: int = 1
    """Mean one-way delay."""
    datagrams: bool = False
    drift_ppm: int = 0
    buggify: float = 0.0
    strict_directories: bool = False
    segment_bytes: int = 16_384
    quota_bytes: int = 1 << 40
    faults: tuple[str, ...] = ()
    """Fault groups that are on: message, partition, clock, process, disk, operations, client."""
    bug: str = ""
    """A planted bug's name, of `sim.planted`."""

    @property
    def is_raft(self) -> bool:
        """Whether members elect who leads, and change."""
        return self.engine in RAFT_ENGINES


@frozen
class Plan:
    """A whole run to be."""

    seed: int
    options: Options = Options()
    items: tuple[Item, ...] = field(default=())

    def with_items(self, items: tuple[Item, ...]) -> "Plan":
        """Return the same plan with other items."""
        return evolve(self, items=items)
