"""Ways in which a plan may be smaller: edits, each of which gives a valid plan.

Rule of this file: pure functions. A move looks at a plan and yields edits, big ones first; an edit
may meet a smaller plan than the one its move looked at, since those before it may have been taken.
Whether a plan still fails in the same way is for `sim.shrink` to find out. Each costs O(items).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from attrs import evolve

from sim.menu import GROUPS, MENU
from sim.ops import Json
from sim.plan import Item, Options, Plan
from sim.plan_file import options_of

Edit = Callable[[Plan], Plan]
Move = Callable[[Plan], Iterator[Edit]]

_SIMPLER: Final[Mapping[str, tuple[object, ...]]] = {
    "buggify": (0.0,),
    "datagrams": (False,),
    "drift_ppm": (0,),
    "link_ms": (0, 1),
    "strict_directories": (False,),
    "snapshot_entries": (0, 3, 6, 12, 24),
    "pack_bytes": (65_536,),
    "value_bytes": (10,),
    "timeout_ms": (2_000,),
    "segment_bytes": (16_384,),
    "quota_bytes": (1 << 40,),
    "tick_ms": (100,),
}
"""Option values worth a try, simplest first; only those before the present one are tried.

A log that is cut every 3 entries needs 3 operations where one that is cut every 60 needs 60.
"""
_NOISE: Final = {"buggify": 0.0, "datagrams": False, "drift_ppm": 0, "strict_directories": False}
_SHORT_MS: Final = (100, 500, 1_000, 2_000)
_ROUND_MS: Final = 100
_FEW: Final = 60
"""Up to so many items are worth a run each for a rounder time."""
_TIMES: Final = ("ms", "down_ms", "up_ms", "apart_ms", "step_ms", "operation_ms", "mean_ms")


def shortened(plan: Plan, duration_ms: int) -> Plan:
    """Return the plan cut at a time; what came after its end still comes after its end."""
    old_ms = plan.options.duration_ms
    if duration_ms >= old_ms:
        return plan
    kept = [item for item in plan.items if item.time_ms < duration_ms]
    kept += [
        item._replace(time_ms=item.time_ms - old_ms + duration_ms)
        for item in plan.items
        if item.time_ms >= old_ms
    ]
    return evolve(plan, options=evolve(plan.options, duration_ms=duration_ms), items=tuple(kept))


def earlier_ends(plan: Plan) -> Iterator[Edit]:
    """Cut after the last item, then in halves and finer."""
    now_ms = plan.options.duration_ms
    last_ms = max((item.time_ms for item in plan.items if item.time_ms < now_ms), default=0)
    yield partial(shortened, duration_ms=last_ms + 2 * _ROUND_MS)
    for percent in (10, 25, 50, 75, 90):
        yield partial(shortened, duration_ms=max(_ROUND_MS, now_ms * percent // 100))


def without_groups(plan: Plan) -> Iterator[Edit]:
    """Drop whole groups: all faults, all watchers, a fault group or kind, a client, an intent."""
    items = plan.items
    end_ms = plan.options.duration_ms
    for who in ("fault", "watcher", "client"):
        yield partial(_without, key=_who, value=who)
    yield lambda plan: plan.with_items(tuple(i for i in plan.items if i.time_ms < end_ms))
    for group in GROUPS:
        yield partial(_without, key=_group, value=group)
    for one in _by_size(_actor(item) for item in items if item.who != "fault"):
        yield partial(_without, key=_actor, value=one)
    for do in _by_size(item.do for item in items):
        yield partial(_without, key=_do, value=do)


def fewer_members(plan: Plan) -> Iterator[Edit]:
    """Try with one member, then three."""
    for members in (1, 3, 5):
        if members < plan.options.members:
            yield _option("members", members)


def simpler_options(plan: Plan) -> Iterator[Edit]:
    """Try simpler values, all that only add noise at once, then each."""
    yield _options(_NOISE)
    for name, values in _SIMPLER.items():
        now: object = getattr(plan.options, name)
        for value in values[: values.index(now)] if now in values else values:
            yield _option(name, value)
    yield lambda plan: _options(_counts(plan))(plan)


def rounder_times(plan: Plan) -> Iterator[Edit]:
    """Draw items together, shorten what lasts, round what is left."""
    for most_ms in _SHORT_MS:
        yield partial(closer, most_ms=most_ms)
    for most_ms in _SHORT_MS:
        yield partial(_with_args, change=partial(_at_most, most_ms))
    yield _rounded
    if len(plan.items) <= _FEW:
        for place in range(len(plan.items)):
            yield partial(_rounded_at, place=place)


def closer(plan: Plan, most_ms: int) -> Plan:
    """Return the plan with no gap between two items longer than that, and its end near."""
    now_ms = before_ms = 0
    items: list[Item] = []
    end_ms = plan.options.duration_ms
    for item in plan.items:
        if item.time_ms < end_ms:
            now_ms += min(most_ms, item.time_ms - before_ms)
            before_ms = item.time_ms
            items.append(item._replace(time_ms=now_ms))
    new_end_ms = min(end_ms, now_ms + most_ms)
    items += [
        item._replace(time_ms=item.time_ms - end_ms + new_end_ms)
        for item in plan.items
        if item.time_ms >= end_ms
    ]
    options = evolve(plan.options, duration_ms=new_end_ms)
    return evolve(plan, options=options, items=tuple(items))


def canonical(plan: Plan) -> Iterator[Edit]:
    """Rename keys, numbers and clients in the order of their use; member 0, no, where they may."""
    yield _renamed
    yield _with_one_client
    yield _renumbered
    yield lambda plan: _options(_counts(plan))(plan)
    for change in (_at_member_0, _saying_no, _plain_numbers):
        yield partial(_with_args, change=change)
    for place, item in enumerate(plan.items):
        if item.who != "fault" and item.args.get("member"):
            yield partial(_at_first_member, place=place)


def _renamed(plan: Plan) -> Plan:
    keys: dict[str, str] = {}
    numbers: dict[int, int] = {}

    def change(item: Item, name: str, value: Json) -> Json:
        if isinstance(value, str) and "/" in value:
            folder = value[: value.rindex("/") + 1]
            place = sum(known.startswith(folder) for known in keys)
            return keys.setdefault(value, f"{folder}{place}")
        if name == "n" and isinstance(value, int) and item.time_ms < plan.options.duration_ms:
            return numbers.setdefault(value, len(numbers) + 1)
        return value

    return _with_args(plan, change)


def _with_one_client(plan: Plan) -> Plan:
    return plan.with_items(
        tuple(item._replace(number=0) if item.who == "client" else item for item in plan.items)
    )


def _renumbered(plan: Plan) -> Plan:
    """Number clients, and watchers, in the order of their first items."""
    places: dict[str, int] = {}
    counts: Counter[str] = Counter()
    items: list[Item] = []
    for item in plan.items:
        if _actor(item) not in places:
            places[_actor(item)] = counts[item.who]
            counts[item.who] += 1
        items.append(item._replace(number=places[_actor(item)]))
    return plan.with_items(tuple(items))


def _at_member_0(item: Item, name: str, value: Json) -> Json:
    return 0 if name == "member" and item.who != "fault" else value


def _saying_no(_: Item, __: str, value: Json) -> Json:
    return False if value is True else value


def _plain_numbers(_: Item, name: str, value: Json) -> Json:
    return 0 if name in ("turns", "back", "limit") else value


def _at_most(most_ms: int, _: Item, name: str, value: Json) -> Json:
    return min(value, most_ms) if name in _TIMES and isinstance(value, int) else value


def _at_first_member(plan: Plan, place: int) -> Plan:
    if place >= len(plan.items):
        return plan
    item = plan.items[place]
    changed = item._replace(args={**item.args, "member": 0})
    return plan.with_items((*plan.items[:place], changed, *plan.items[place + 1 :]))


def _rounded(plan: Plan) -> Plan:
    return plan.with_items(
        tuple(item._replace(time_ms=item.time_ms // _ROUND_MS * _ROUND_MS) for item in plan.items)
    )


def _rounded_at(plan: Plan, place: int) -> Plan:
    if place >= len(plan.items):
        return plan
    items = list(plan.items)
    items[place] = items[place]._replace(time_ms=items[place].time_ms // _ROUND_MS * _ROUND_MS)
    return plan.with_items(tuple(sorted(items, key=_time_ms)))


def _time_ms(item: Item) -> int:
    return item.time_ms


def _without(plan: Plan, key: Callable[[Item], str], value: str) -> Plan:
    return plan.with_items(tuple(item for item in plan.items if key(item) != value))


def _who(item: Item) -> str:
    return item.who


def _do(item: Item) -> str:
    return item.do


def _actor(item: Item) -> str:
    return f"{item.who} {item.number}"


def _group(item: Item) -> str:
    return MENU[item.do].group if item.who == "fault" else ""


def _option(name: str, value: object) -> Edit:
    return _options({name: value})


def _options(values: Mapping[str, object]) -> Edit:
    return lambda plan: evolve(plan, options=options_of(values, plan.options))


def _counts(plan: Plan) -> dict[str, object]:
    """Return no more clients and watchers than are used, and no groups that are not."""
    numbers = {
        who: max((item.number for item in plan.items if item.who == who), default=-1) + 1
        for who in ("client", "watcher")
    }
    used = {MENU[item.do].group for item in plan.items if item.who == "fault"}
    return {
        "clients": min(plan.options.clients, max(1, numbers["client"])),
        "watchers": min(plan.options.watchers, numbers["watcher"]),
        "faults": tuple(group for group in GROUPS if group in used),
        "mix": (),
        "operations": Options().operations,
        "think_ms": Options().think_ms,
        "nemesis_ms": Options().nemesis_ms,
        "keys": Options().keys,
    }


def _with_args(plan: Plan, change: Callable[[Item, str, Json], Json]) -> Plan:
    return plan.with_items(
        tuple(
            item._replace(
                args={name: change(item, name, value) for name, value in item.args.items()}
            )
            for item in plan.items
        )
    )


def _by_size(keys: Iterable[str]) -> list[str]:
    """Return what there is, the most frequent first, otherwise in the order of appearance."""
    counts = Counter(keys)
    return sorted(counts, key=lambda each: -counts[each])
