"""Makes a plan of a seed: first the swarm vector, then what clients, watchers and faults do.

Rule of this file: a function of its arguments; options, workload and faults draw from streams of
their own, so that giving one option leaves the others' draws alone. Small limits are wanted: a log
cut every 20 entries or packs of 200 bytes reach in a minute what defaults reach in weeks.

    drawn                          from
    -----------------------------  ----------------------------------------------------
    members, clients, watchers     1 3 3 3 5; 2 6 12; 1 3 6
    workload                       one, or two side by side in a run out of three
    mix                            each client intent on with p = 0.6
    fault groups                   each on with p = 0.5, then its rate: low, mid or high
    the rest                       small sets of values, the tables below

Tier 2, whose members have files, gets faults of the disk more often, and each kind now and then.

The engines of Raft are never drawn. Where one is asked for, members (1 to 7), spare machines and
changes of membership are drawn beside the rest, from streams of their own.
"""

from bisect import bisect
from collections.abc import Mapping
from itertools import accumulate
from random import Random
from typing import Final

from attrs import asdict

from sim.menu import (
    DISHES,
    GROUPS,
    LEADER,
    MEMBERSHIP,
    MEMBERSHIP_DISHES,
    MENU,
    ROLE_DISHES,
    Argument,
    Dish,
)
from sim.ops import Json
from sim.plan import RAFT_ENGINES, Item, Options, Plan
from sim.plan_file import options_of
from sim.workloads.catalogue import WORKLOADS, named
from sim.workloads.draw import Draw, chosen, client_items, watcher_items
from sim.workloads.pace import FIRST_MS, Pace
from sim.workloads.watch import watchers

FINAL_MS: Final = 6_000
"""So long after the faults ended the last reads and writes are asked."""

_CHOICES: Final[Mapping[str, tuple[object, ...]]] = {
    "members": (1, 3, 3, 3, 5),
    "clients": (2, 6, 12),
    "watchers": (1, 3, 6),
    "duration_ms": (15_000, 30_000, 60_000),
    "operations": (100, 300, 500),
    "think_ms": (10, 40, 200),
    "nemesis_ms": (300, 1_000, 3_000),
    "snapshot_entries": (8, 20, 60, 200, 0),
    "pack_bytes": (200, 400, 2_000, 65_536),
    "keys": (1, 3, 6, 6, 100),
    "value_bytes": (10, 10, 10, 10, 8_192, 1 << 18),
    "timeout_ms": (400, 2_000, 2_000, 10_000),
    "link_ms": (1, 1, 5, 20),
    "drift_ppm": (0, 0, 200, 50_000),
    "buggify": (0.0, 0.0, 0.1, 0.5),
    "datagrams": (False, False, False, False, True),
    "strict_directories": (False, True),
    "segment_bytes": (4_096, 16_384, 65_536),
    "quota_bytes": (*[1 << 40] * 11, 200_000),
}
_APPLIED: Final = (1, 8, 256, 256)
"""Of commands that a member applies in a turn; drawn last, so that all else stays what it was."""
_WEIGHTS: Final[Mapping[str, int]] = {
    "kube": 4, "register": 3, "append": 2, "set": 1, "txn": 3, "lease": 3, "compaction": 3,
    "watch": 3, "admin": 1,
}  # fmt: skip
_CALM: Final = 0.05
"""How many runs have no faults at all: what fails there needs none."""
_RATES: Final = (1, 3, 9)
_AT_ONCE: Final = 4
"""A fault lasts no longer than it takes so many more to begin: else nothing would ever work."""
_BUSY: Final = 0.7
"""How many of the faults begin while clients are busy."""
_DISARM_MS: Final = 500
"""How long after a full disk has room again its alarm is cleared."""
_DISK_KINDS: Final[tuple[tuple[str, Mapping[str, Json]], ...]] = (
    ("eio_at_start", {}),
    ("eio", {"what": "write"}),
    ("eio", {"what": "sync"}),
    ("enospc", {}),
    ("slow_disk", {}),
    ("bit_rot", {"file": "journal"}),
    ("bit_rot", {"file": "store"}),
    ("truncate", {"file": "journal"}),
    ("truncate", {"file": "store"}),
    ("power_loss", {"survival": "none"}),
    ("power_loss", {"survival": "prefix"}),
    ("power_loss", {"survival": "subset"}),
    ("power_loss_naming", {}),
)
_DISK_SHARE: Final = 0.15
"""How many of tier 2's plans with faults of the disk have one more of a kind."""
_ROLES: Final = 1 / 4
"""How many runs of an engine of Raft have a leader that keeps roles by itself."""
_LONG_MS: Final = 30_000
"""So long a run has time for a voter to be given up, and for another."""
_SHORTER: Final = 5
"""Tier 2 runs so many times fewer operations, in a shorter run."""


def make_plan(seed: int, overrides: Mapping[str, object] | None = None, *, tier: int = 1) -> Plan:
    """Return a seed's plan; options that are given are not drawn.

    About 3 microseconds an item. Raises ValueError for an option that does not exist.
    """
    given = dict(overrides or {})
    options = draw_options(Random(f"{seed}/plan/options"), given, tier=tier)
    pace = Pace(Random(f"{seed}/plan/pace"), options)
    items = _client_items(Random(f"{seed}/plan/clients"), options, pace)
    items += _faults(Random(f"{seed}/plan/faults"), Random(f"{seed}/plan/rates"), options, pace)
    if tier == 2 and "disk" in options.faults:
        items += _whole_disks(Random(f"{seed}/plan/disks"), options, pace)
    if MEMBERSHIP in options.faults:
        items += _membership(Random(f"{seed}/plan/membership"), options)
    if options.voters and options.faults:
        items += _outages(Random(f"{seed}/plan/roles"), options)
    items.sort(key=_time)
    items += final_items(options)
    return Plan(seed, options, tuple(items))


def _time(item: Item) -> int:
    return item.time_ms


def draw_options(chance: Random, given: Mapping[str, object], *, tier: int) -> Options:
    """Draw the swarm vector. What is given is drawn all the same, then replaced."""
    drawn: dict[str, object] = {name: chance.choice(of) for name, of in _CHOICES.items()}
    names = list(_WEIGHTS)
    picked = chance.choices(names, list(_WEIGHTS.values()), k=2)
    both = chance.random() < 1 / 3 and picked[0] != picked[1]
    drawn["workload"] = "+".join(picked if both else picked[:1])
    groups = tuple(group for group in GROUPS if chance.random() < 0.5)
    drawn["engine"] = "local" if chance.random() < 0.5 else "perfect"
    dice = Random(chance.random())
    if chance.random() < _CALM:
        groups = ()
    if tier == 2:
        drawn["operations"] = _whole(drawn["operations"]) // _SHORTER
        drawn["duration_ms"] = _whole(drawn["duration_ms"]) // 3
        if groups and "disk" not in groups and chance.random() < 0.5:
            groups = (*groups, "disk")
    drawn["faults"] = groups
    drawn.update(given)
    if _whole(drawn["members"]) != 1 and "engine" not in given:
        drawn["engine"] = "perfect"
    if "mix" not in given:
        drawn["mix"] = tuple(
            intent.name
            for workload in named(str(drawn["workload"]))
            for intent in workload.intents
            if dice.random() < 0.6
        )
    if given.get("engine") in RAFT_ENGINES:
        _draw_for_raft(dice, drawn, given)
    if not {"apply_commands", "bug"} & given.keys():
        drawn["apply_commands"] = dice.choice(_APPLIED)
    return options_of(drawn, Options())


def _draw_for_raft(dice: Random, drawn: dict[str, object], given: Mapping[str, object]) -> None:
    """Draw what only an engine with elections and members of its own has."""
    own = {
        "members": dice.choice((1, 3, 3, 3, 5, 5, 7)),
        "spares": dice.choice((0, 0, 1, 3)),
        "datagrams": False,  # Its links are connections.
    }
    drawn.update({name: value for name, value in own.items() if name not in given})
    faults = drawn["faults"]
    if dice.random() < 0.5 and isinstance(faults, tuple) and faults and "faults" not in given:
        drawn["faults"] = (*faults, MEMBERSHIP)
    if dice.random() < _ROLES and "voters" not in given and "bug" not in given:
        kept = {
            "members": dice.choice((3, 5, 5, 7)),
            "voters": dice.choice((1, 3, 3, 3)),
            "stand_bys": dice.choice((0, 1, 3)),
            "domains": dice.choice((1, 2, 3)),
            "duration_ms": _LONG_MS,
        }
        drawn.update({name: value for name, value in kept.items() if name not in given})


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _client_items(chance: Random, options: Options, pace: Pace) -> list[Item]:
    """Draw what clients and watchers do; the workloads share both evenly."""
    draw = Draw(chance, options)
    parts = named(options.workload)
    items: list[Item] = []
    for place, workload in enumerate(parts):
        count = options.operations // len(parts)
        items += client_items(draw, chosen(workload.intents, options.mix), count, pace)
        mine = [number for number in range(options.watchers) if number % len(parts) == place]
        own = mine[: (len(mine) + 1) // 2] if workload.watchers else []
        if own:
            items += watcher_items(draw, workload.watchers, own, many_max=1)
        others = mine[len(own) :]
        items += watcher_items(draw, watchers(workload.prefix), others)
    return items


def final_items(options: Options) -> list[Item]:
    """Return the reads and the write that end every run, when everything is whole again."""
    begin_ms = options.duration_ms + FINAL_MS
    clients = max(1, options.clients)
    items = [
        Item(begin_ms, "client", member % clients, "final.put", {"n": member, "member": member})
        for member in range(options.members)
    ]
    items += [
        Item(begin_ms + 1_000, "client", member % clients, "final.read", {"member": member})
        for member in range(options.members)
    ]
    return items


# ---- faults


def _faults(chance: Random, rates: Random, options: Options, pace: Pace) -> list[Item]:
    """Draw faults of the groups that are on; most of them begin while clients are busy."""
    rate = {group: rates.choice(_RATES) for group in GROUPS}
    table = [
        dish
        for dish in DISHES
        if dish.drawn
        and dish.group in options.faults
        and (options.datagrams or dish.name != "noise")
    ]
    if not table:
        return []
    sizes = {group: sum(dish.group == group for dish in table) for group in GROUPS}
    weights = list(accumulate(rate[dish.group] / sizes[dish.group] for dish in table))
    cook = _Cook(chance, options)
    items: list[Item] = []
    count = round(options.duration_ms / options.nemesis_ms * (0.5 + chance.random()))
    for _ in range(count):
        dish = table[bisect(weights, chance.random() * weights[-1])]
        part = chance.random()
        time_ms = FIRST_MS + int(part * max(1, options.duration_ms - FIRST_MS - 1))
        if chance.random() < _BUSY:
            time_ms = pace.time_ms(part)
        item = Item(time_ms, "fault", 0, dish.name, cook.arguments(dish))
        items.append(item)
        if dish.name == "enospc":
            items += _disarmed(item, options)
    return items


def _whole_disks(chance: Random, options: Options, pace: Pace) -> list[Item]:
    """Draw each kind of trouble that only files can have now and then, while clients are busy."""
    cook = _Cook(chance, options)
    items: list[Item] = []
    for name, fixed in _DISK_KINDS:
        if chance.random() >= _DISK_SHARE:
            continue
        args = {**cook.arguments(MENU[name]), **fixed}
        item = Item(pace.time_ms(chance.random()), "fault", 0, name, args)
        items.append(item)
        if name == "enospc":
            items += _disarmed(item, options)
    return items


def _membership(chance: Random, options: Options) -> list[Item]:
    """Draw a few changes of membership, far enough apart that some of them come through."""
    cook = _Cook(chance, options)
    items: list[Item] = []
    for _ in range(chance.choice((1, 2, 4))):
        dish = chance.choice(MEMBERSHIP_DISHES)
        time_ms = FIRST_MS + int(chance.random() * max(1, options.duration_ms - FIRST_MS - 1))
        items.append(Item(time_ms, "fault", 0, dish.name, cook.arguments(dish)))
    return items


def _outages(chance: Random, options: Options) -> list[Item]:
    """Draw members that stay away so long that they are given up: one, or two one after another."""
    cook = _Cook(chance, options)
    items: list[Item] = []
    time_ms = FIRST_MS
    for _ in range(chance.choice((0, 1, 1, 2))):
        time_ms += int(chance.random() * 4_000)
        (dish,) = ROLE_DISHES
        items.append(Item(time_ms, "fault", 0, dish.name, cook.arguments(dish)))
        time_ms += _whole(items[-1].args["down_ms"])
    return items


def _disarmed(full: Item, options: Options) -> list[Item]:
    """Return what an operator does after a disk was full."""
    time_ms = full.time_ms + _whole(full.args["ms"]) + _DISARM_MS
    if time_ms >= options.duration_ms:
        return []
    return [Item(time_ms, "fault", 0, "disarm", {"member": full.args["member"]})]


class _Cook:
    """Draws a fault's arguments."""

    def __init__(self, chance: Random, options: Options) -> None:
        self._chance = chance
        self._random = chance.random
        self._options = options

    def arguments(self, dish: Dish) -> dict[str, Json]:
        """Return what the dish needs. Two members that should differ do, where there are two."""
        args = {argument.name: self._argument(dish, argument) for argument in dish.arguments}
        if "from" in args and args["from"] == args["to"] and self._options.members > 1:
            shift = 1 + self._below(self._options.members - 1)
            args["to"] = (_whole(args["from"]) + shift) % self._options.members
        return args

    def _argument(self, dish: Dish, argument: Argument) -> Json:
        low, high = _BOUNDS.get(f"{dish.name}.{argument.name}") or _BOUNDS.get(
            argument.name, (0, 1)
        )
        match argument.kind:
            case "member":
                leads = argument.name == "member" and self._random() < 0.25
                return LEADER if leads else self._below(self._options.members)
            case "members":
                return self._side(everybody=dish.name == "swizzle")
            case "client":
                return self._below(self._options.clients + self._options.watchers)
            case "watcher":
                return self._below(max(1, self._options.watchers))
            case "ms":
                high = min(high, max(2 * low, _AT_ONCE * self._options.nemesis_ms))
                return int(low * (high / low) ** self._random())
            case "word":
                return argument.words[self._below(len(argument.words))]
            case _:
                return low + self._below(high - low + 1)

    def _below(self, limit: int) -> int:
        return int(self._random() * limit)

    def _side(self, *, everybody: bool) -> Json:
        """Return some members in random order: at least one, and not all unless everybody."""
        members = list(range(self._options.members))
        self._chance.shuffle(members)
        most = len(members) if everybody else max(1, len(members) // 2)
        some: list[Json] = [*members[: 1 + self._below(most)]]
        return some


_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "ms": (100, 6_000),
    "down_ms": (20, 4_000),
    "clog.ms": (10, 2_000),
    "isolate.ms": (300, 8_000),
    "isolate_leader.ms": (300, 8_000),
    "halves.ms": (300, 8_000),
    "bridge.ms": (300, 8_000),
    "ring.ms": (300, 8_000),
    "one_way.ms": (300, 8_000),
    "delay.mean_ms": (5, 500),
    "slow_link.bytes_per_s": (500, 100_000),
    "noise.drop_percent": (0, 30),
    "noise.twice_percent": (0, 30),
    "noise.swap_percent": (0, 30),
    "swizzle.step_ms": (50, 1_000),
    "clock_rate.ppm": (-50_000, 50_000),
    "clock_step.step_ms": (-3_600_000, 3_600_000),
    "clock_stall.ms": (100, 10_000),
    "crash_at.hits": (1, 12),
    "crash_at.ms": (1_000, 10_000),
    "pause.ms": (100, 20_000),
    "outage.down_ms": (10_500, 16_000),
    "crash_loop.times": (2, 5),
    "crash_loop.up_ms": (50, 2_000),
    "crash_all.apart_ms": (1, 1_000),
    "power_loss.operations": (1, 60),
    "eio_at_start.operation": (1, 60),
    "power_loss_naming.ms": (1_000, 10_000),
    "slow_disk.operation_ms": (50, 2_000),
    "at_permille": (0, 999),
    "bit": (0, 7),
    "depose.ms": (10, 3_000),
    "compact.back": (0, 30),
    "slow_watcher.ms": (100, 10_000),
    "oversized.kib": (64, 2_200),
    "spare": (0, 6),
    "rolling_restart.down_ms": (50, 500),
    "rolling_restart.apart_ms": (500, 3_000),
}
"""Least and most of an argument, by dish and name or by name; milliseconds are log-uniform."""


assert set(_WEIGHTS) == set(WORKLOADS), "every workload is drawn"
assert set(_CHOICES) <= set(asdict(Options())), "only options are drawn"
