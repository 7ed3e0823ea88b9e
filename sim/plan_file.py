"""Plans as files: one JSON line for the run, one for each item.

Rule of this file: what is read back is what was written, or ValueError says which line is wrong. A
plan needs nothing else to be run again: not its seed's generator, and no state of an earlier run.

    {"plan": 1, "seed": 103, "options": {"members": 3, ...}}
    [1200, "client", 3, "register.put", {"key": "r/1", "n": 17, "member": 2}]
    [1450, "fault", 0, "isolate_leader", {"ms": 900}]
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, cast

from attrs import asdict, fields_dict

from sim.menu import wrong
from sim.ops import Json
from sim.plan import Item, Options, Plan
from sim.workloads.catalogue import CLIENT_INTENTS, WATCHER_INTENTS, named

_FORMAT: Final = 1
_SHAPE: Final = (int, str, int, str, dict)
"""What an item's fields are, in order."""


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan; an older file of that name is replaced."""
    path.write_text("".join(f"{line}\n" for line in lines_of(plan)), encoding="utf-8")


def read_plan(path: Path) -> Plan:
    """Read a plan. Raises ValueError, with the file's name and the line's number."""
    with path.open(encoding="utf-8") as file:
        return plan_of(file, name=str(path))


def lines_of(plan: Plan) -> Iterable[str]:
    """Yield a plan's lines, without their ends."""
    head = {"plan": _FORMAT, "seed": plan.seed, "options": asdict(plan.options)}
    yield json.dumps(head, separators=(",", ":"))
    for item in plan.items:
        yield json.dumps(list(item), separators=(",", ":"))


def plan_of(lines: Iterable[str], *, name: str = "plan") -> Plan:
    """Return the plan that lines hold. Raises ValueError, naming the line."""
    head: tuple[int, Options] | None = None
    items: list[Item] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value: object = json.loads(line)
            if head is None:
                head = _head(value)
            else:
                items.append(_item(value))
        except (ValueError, KeyError) as error:
            raise ValueError(f"{name}:{number}: {error}") from error
    if head is None:
        raise ValueError(f"{name}:1: no plan: the file is empty")
    return Plan(head[0], head[1], tuple(items))


def options_of(values: Mapping[str, object], start: Options) -> Options:
    """Return options with some of them given. Raises ValueError for a name or a kind of value."""
    now: dict[str, object] = asdict(start)
    for name, value in values.items():
        if name not in now:
            raise ValueError(f"no option is called {name!r}")
        old = now[name]
        given = tuple(cast(list[object], value)) if isinstance(value, list | tuple) else value
        if isinstance(old, float) and isinstance(given, int) and not isinstance(given, bool):
            given = float(given)
        if type(given) is not type(old):
            raise ValueError(f"{name}: {value!r} is no {type(old).__name__}")
        now[name] = given
    made = Options(**now)  # type: ignore[arg-type]  # each value has its field's type: just checked
    named(made.workload)
    if not 1 <= made.members <= 7:
        raise ValueError(f"members: {made.members} is not 1 to 7")
    return made


def _head(value: object) -> tuple[int, Options]:
    head = cast(dict[str, object], value) if isinstance(value, dict) else {}
    seed, options = head.get("seed"), head.get("options")
    if head.get("plan") != _FORMAT or type(seed) is not int or not isinstance(options, dict):
        raise ValueError(f"no first line of a plan: {value!r:.200}")
    return seed, options_of(cast(dict[str, object], options), Options())


def _item(value: object) -> Item:
    parts = cast(list[object], value) if isinstance(value, list) else []
    if len(parts) != len(_SHAPE):
        raise ValueError(f"no item: {value!r:.200}")
    for part, kind in zip(parts, _SHAPE, strict=True):
        if type(part) is not kind:
            raise ValueError(f"no item: {part!r:.80} is no {kind.__name__}")
    item = Item(*cast(tuple[int, str, int, str, dict[str, Json]], parts))
    match item.who:
        case "fault":
            if complaint := wrong(item.do, item.args):
                raise ValueError(complaint)
        case "client" | "watcher":
            table = CLIENT_INTENTS if item.who == "client" else WATCHER_INTENTS
            intent = table.get(item.do)
            if intent is None:
                raise ValueError(f"no {item.who} does {item.do!r}")
            if missing := sorted(set(intent.arguments) - set(item.args)):
                raise ValueError(f"{item.do}: missing: {', '.join(missing)}")
        case _:
            raise ValueError(f"nobody is called {item.who!r}")
    return item


OPTION_NAMES: Final = tuple(fields_dict(Options))
"""Every option's name, in order."""
