"""Exactly these operations and watches: what a directed plan is made of.

Rule of this file: nothing is drawn, chosen or remembered; an item carries the whole operation.
"""

from sim.clients import Ask, Memory, OpenWatch, Performance
from sim.history import WatchSpec
from sim.ops import Op, from_json
from sim.plan import Item
from sim.workloads.draw import Intent
from sim.workloads.verbs import at, flag, integer


def _ask(item: Item, memory: Memory) -> Performance:
    """Ask for the operation that the item carries."""
    op = from_json(item.args["op"])
    assert isinstance(op, Op), f"{item.do} carries an operation"
    yield Ask(op, at(item, memory))


def _watch(item: Item, memory: Memory) -> Performance:
    """Open the watch that the item describes, and leave it open."""
    filters = item.args.get("filters", [])
    assert isinstance(filters, list), f"{item.do}: filters are a list"
    spec = WatchSpec(
        str(item.args["key"]),
        str(item.args.get("end", "")),
        rev=integer(item, "rev"),
        prev_kv=flag(item, "prev_kv"),
        progress=flag(item, "progress"),
        fragment=flag(item, "fragment"),
        filters=tuple(map(str, filters)),
    )
    yield OpenWatch(spec, at(item, memory))


CLIENTS = (Intent("script.ask", 0, _ask, {}),)
WATCHERS = (Intent("script.watch", 0, _watch, {}),)
