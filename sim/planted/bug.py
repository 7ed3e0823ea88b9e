"""What a planted bug is, and how it is put in and taken out again.

Rule of this file: a bug is a patch from outside that changes one thing somebody could get wrong,
in either tier, and is gone when its context ends. It says which check must see it; that any
other sees it too does not count.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from attrs import field, frozen

from sim.ops import Json, Op, to_json
from sim.plan import Item, Options, Plan

Planter = Callable[[], Generator[None]]
Plant = Callable[[], AbstractContextManager[None]]


@frozen
class Bug:
    """One planted bug, as the catalogue lists it."""

    name: str
    row: int
    """Its row in the catalogue of docs/PLANTED.md; 0 for one that was added since."""
    words: str
    check: str
    """Which check must catch it."""
    plant: Plant
    budget: int
    """Seeds to detection as measured: three times as many are allowed.

    0: chance alone hardly ever meets it, so that only its directed plan is asked for.
    """
    options: Mapping[str, Json] = field(factory=dict[str, Json])
    """What makes it likely."""
    directed: Callable[[], Plan] | None = None
    """A plan that shows it, to prove that it can be shown."""
    tier: int = 1
    off: tuple[str, ...] = ()
    klass: str = ""
    """The class of verdict that it is here for; "": any of the check's."""


class Catalogue:
    """Bugs by name, in order. A module of this package fills one with its group."""

    def __init__(self) -> None:
        self.bugs: dict[str, Bug] = {}

    def bug(
        self,
        check: str,
        *,
        row: int = 0,
        budget: int = 3,
        tier: int = 1,
        off: tuple[str, ...] = (),
        klass: str = "",
        directed: Callable[[], Plan] | None = None,
        **options: Json,
    ) -> Callable[[Planter], Planter]:
        """Enter the decorated generator, which plants and after its yield takes out.

        Its name and docstring are the bug's.
        """

        def enter(plant: Planter) -> Planter:
            name = getattr(plant, "__name__", "")
            words = (plant.__doc__ or "").strip()
            assert name not in self.bugs, f"two bugs are called {name}"
            self.bugs[name] = Bug(
                name, row, words, check, contextmanager(plant), budget, options, directed, tier,
                off, klass,
            )  # fmt: skip
            return plant

        return enter


LEADER_MS: Final = 2_500
"""By then somebody leads: a script's times count from here."""


def script(
    *items: Item, end_ms: int = 3_000, seed: int = 1, **options: object
) -> Callable[[], Plan]:
    """Return a maker of a plan that does exactly this, with nothing drawn."""
    shape = {
        "members": 3,
        "engine": "perfect",
        "workload": "register",
        "clients": 4,
        "watchers": 4,
        "duration_ms": end_ms + LEADER_MS,
        "snapshot_entries": 0,
        **options,
    }

    def make() -> Plan:
        later = (item._replace(time_ms=item.time_ms + LEADER_MS) for item in items)
        ordered = tuple(sorted(later, key=lambda item: item.time_ms))
        return Plan(seed, Options(**shape), ordered)  # type: ignore[arg-type]  # names of Options

    return make


def ask(time_ms: int, op: Op, *, client: int = 0, member: int = 0) -> Item:
    """Return an item: a client asks a member for this operation."""
    return Item(time_ms, "client", client, "script.ask", {"op": to_json(op), "member": member})


def watch(time_ms: int, key: str, end: str = "", *, member: int = 0, **spec: Json) -> Item:
    """Return an item: a watcher opens a watch on a member and reads to the end of the run."""
    args: dict[str, Json] = {"key": key, "end": end, "member": member, **spec}
    number = spec.pop("watcher", 0)
    args.pop("watcher", None)
    assert isinstance(number, int), "watchers are numbered"
    return Item(time_ms, "watcher", number, "script.watch", args)


def fault(time_ms: int, name: str, **args: Json) -> Item:
    """Return an item: the world does this."""
    return Item(time_ms, "fault", 0, name, args)
