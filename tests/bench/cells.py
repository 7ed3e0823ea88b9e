"""The rows of the bench: what is asked, by how many connections and streams, of which keys.

A cell's name is `operation/value size/connections x streams`; patterns like `put/*/16x16` select.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import attrs

SHAPES = ((1, 1), (1, 64), (16, 16), (64, 4))
VALUES = (512, 2048)
LISTED_VALUE = 1024


@attrs.frozen
class Cell:
    """One row. `heavy` cells run only when a pattern names them."""

    name: str
    mode: str
    options: Mapping[str, object]
    unit: str = "requests"
    heavy: bool = False
    compacts: bool = False
    clears: bool = False
    syncs: bool = False  # one stream, one put: one fdatasync each


def prefix_of(value: int) -> str:
    """Each value size has a population of its own, so that overwriting keeps its size."""
    return f"/registry/pods-{value}/"


def closed_loops(keys: int) -> list[Cell]:
    """Range, Put, and Txn as kube-apiserver sends it, at every shape and value size."""
    cells: list[Cell] = []
    for operation in ("range", "put", "create", "update"):
        for value in VALUES:
            for connections, streams in SHAPES:
                options: dict[str, object] = {"value": value, "connections": connections}
                options["streams"] = streams
                if operation != "create":
                    options |= {"keys": keys, "prefix": prefix_of(value)}
                cells.append(
                    Cell(
                        name=f"{operation}/{value}/{connections}x{streams}",
                        mode=operation,
                        options=options,
                        compacts=operation != "range",
                        clears=operation == "create",
                        syncs=operation != "range" and (connections, streams) == (1, 1),
                    )
                )
    return cells


def lists(keys: int) -> list[Cell]:
    """Pages of the 1 KiB population. 10k pages in many streams are gigabytes in flight: heavy."""
    cells: list[Cell] = []
    for limit in (500, 10000):
        for connections, streams in SHAPES:
            options: dict[str, object] = {"value": LISTED_VALUE, "limit": limit, "keys": keys}
            options |= {"connections": connections, "streams": streams}
            options |= {"prefix": prefix_of(LISTED_VALUE)}
            name = f"list-{limit}/{LISTED_VALUE}/{connections}x{streams}"
            heavy = limit > 500 and connections * streams > 1
            cells.append(Cell(name=name, mode="list", options=options, unit="pages", heavy=heavy))
    return cells


def watches() -> list[Cell]:
    """One writer and 100 or 1000 streams on its prefix: saturated, paced, with previous values."""
    cells: list[Cell] = []
    for streams in (100, 1000):
        plain: dict[str, object] = {"value": 512, "connections": 10, "streams": streams}
        plain["prefix"] = "/registry/watched/"
        cells += [
            Cell(name=f"watch/512/{streams}", mode="watch", options=plain, unit="events"),
            Cell(
                name=f"watch-prev/512/{streams}",
                mode="watch",
                options=plain | {"prev_kv": 1},
                unit="events",
            ),
            Cell(
                name=f"watch-paced/512/{streams}",
                mode="watch",
                options=plain | {"rate": 50_000 // streams},
                unit="events",
            ),
        ]
    return cells


def leases() -> list[Cell]:
    options = {"connections": 16, "streams": 16}
    return [Cell(name="lease/0/16x16", mode="lease", options=options, heavy=True)]


def all_cells(keys: int) -> list[Cell]:
    """In the order they run: what changes nothing first."""
    loops = closed_loops(keys)
    reading = [cell for cell in loops if cell.mode == "range"]
    writing = [cell for cell in loops if cell.mode != "range"]
    return [*reading, *lists(keys), *writing, *watches(), *leases()]


def chosen(cells: Sequence[Cell], patterns: Sequence[str]) -> list[Cell]:
    """Cells that some pattern matches; without patterns, all that are not heavy."""
    if not patterns:
        return [cell for cell in cells if not cell.heavy]
    return [cell for cell in cells if any(fnmatchcase(cell.name, one) for one in patterns)]
