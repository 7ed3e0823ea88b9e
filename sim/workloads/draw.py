"""Draws a workload's items: when, by whom, what.

Rule of this file: one stream of chance in, plain data out; nothing is performed. A workload is a
table of intents; each says how often it is wanted and how its arguments are drawn. It has to be
quick: about two microseconds an item, so draws are `random()` and nothing finer.
"""

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import NamedTuple

from sim.clients import Memory, Performance
from sim.ops import Json
from sim.plan import Item, Options
from sim.workloads.pace import Pace


class Draw:
    """The state of drawing one plan's client and watcher items."""

    def __init__(self, chance: Random, options: Options) -> None:
        self.random = chance.random
        self.options = options
        self.keys = max(1, options.keys)
        self.client = 0
        self._members = options.members
        self._pairs = [
            (int(self.random() * 64), int(self.random() * 64))
            for _ in range(max(1, options.clients, options.watchers))
        ]
        self._n = 0

    def n(self) -> int:
        """Return the next unique number: values, elements and leases are made of it."""
        self._n += 1
        return self._n

    def member(self) -> int:
        """Return one of the two members that the client at hand knows, the first one mostly."""
        pair = self._pairs[self.client % len(self._pairs)]
        return pair[self.random() < 0.25] % self._members

    def below(self, limit: int) -> int:
        """Return a number from 0, below the limit."""
        return int(self.random() * limit)

    def near(self, limit: int) -> int:
        """Return a number from 0, below the limit, mostly small."""
        return int(self.random() * self.random() * limit)

    def flag(self) -> bool:
        """Return yes or no, evenly."""
        return self.random() < 0.5

    def word(self, words: Sequence[str]) -> str:
        """Return one of the words."""
        return words[int(self.random() * len(words))]


Drawer = Callable[[Draw], Json]


class Intent(NamedTuple):
    """Something a client or a watcher may be up to. `name` is "workload.verb"."""

    name: str
    weight: int
    perform: Callable[[Item, Memory], Performance]
    arguments: Mapping[str, Drawer]


class Workload(NamedTuple):
    """A mix of intents that belong together."""

    name: str
    prefix: str
    """Its keys begin so."""
    intents: tuple[Intent, ...]
    watchers: tuple[Intent, ...] = ()
    """Intents of watchers of its own, beside those that watch any workload."""


def key(prefix: str) -> Drawer:
    """Draw one of the workload's keys."""
    return lambda draw: f"{prefix}{int(draw.random() * draw.keys)}"


def n(draw: Draw) -> Json:
    """Draw the next unique number."""
    return draw.n()


def flag(draw: Draw) -> Json:
    """Draw yes or no."""
    return draw.flag()


def seldom(draw: Draw) -> Json:
    """Draw a yes in five."""
    return draw.random() < 0.2


def near(limit: int) -> Drawer:
    """Draw a number, mostly small."""
    return lambda draw: draw.near(limit)


def between(low: int, high: int) -> Drawer:
    """Draw a number from low to high, both included."""
    return lambda draw: low + int(draw.random() * (high - low + 1))


def word(*words: str) -> Drawer:
    """Draw one of some words."""
    return lambda draw: draw.word(words)


def chosen(intents: Sequence[Intent], mix: Sequence[str]) -> list[Intent]:
    """Return the intents that a mix turns on, all if it turns on none of them."""
    return [intent for intent in intents if intent.name in mix] or list(intents)


def client_items(draw: Draw, intents: Sequence[Intent], count: int, pace: Pace) -> list[Item]:
    """Draw so many items of clients, not in order of time."""
    clients = max(1, draw.options.clients)
    each, rest = divmod(count, clients)
    weights = list(accumulate(intent.weight for intent in intents))
    random, total, time_ms = draw.random, weights[-1], pace.time_ms
    items: list[Item] = []
    for client in range(clients):
        draw.client = client
        for part in sorted([random() for _ in range(each + (client < rest))]):
            intent = intents[bisect(weights, random() * total)]
            args = {name: drawer(draw) for name, drawer in intent.arguments.items()}
            args["member"] = draw.member()
            items.append(Item(time_ms(part), "client", client, intent.name, args))
    return items


def watcher_items(
    draw: Draw, intents: Sequence[Intent], watchers: Sequence[int], *, many_max: int = 3
) -> list[Item]:
    """Draw one to `many_max` items for each watcher: the last of them stays to the end."""
    options = draw.options
    weights = list(accumulate(intent.weight for intent in intents))
    items: list[Item] = []
    for watcher in watchers:
        draw.client = watcher
        many = 1 + draw.near(many_max)
        for turn in range(many):
            intent = intents[bisect(weights, draw.random() * weights[-1])]
            args = {name: drawer(draw) for name, drawer in intent.arguments.items()}
            args["member"] = draw.member()
            args["turns"] = 0 if turn == many - 1 else 1 + draw.near(40)
            time_ms = int(draw.random() * options.duration_ms * (turn + 1) / many * 0.7)
            items.append(Item(time_ms, "watcher", watcher, intent.name, args))
    return items
