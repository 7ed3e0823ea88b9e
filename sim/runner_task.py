"""What a worker is asked and what it tells, as one JSON line each.

Rule of this file: values and their lines; nothing is run here. A line that is none of these is a
fault of the harness and raises ValueError.
"""

import json
from collections.abc import Mapping
from typing import cast

from attrs import asdict, field, fields_dict, frozen

from sim.ops import Json


@frozen
class Task:
    """One run to do. `overrides` name fields of `sim.plan.Options`."""

    number: int
    seed: int
    tier: int = 1
    overrides: Mapping[str, Json] = field(factory=dict[str, Json])
    off: tuple[str, ...] = ()
    """Fault groups that must not happen."""
    plan_file: str = ""
    """Run this plan instead of the seed's."""
    directed: bool = False
    """Run the directed plan of the planted bug instead of the seed's."""
    hash_seed: int = 1
    """PYTHONHASHSEED of the process that must run it."""
    keep: str = ""
    """Where plan and history of a failure are saved."""
    trace_file: str = ""
    """Where the trace lines go, if they are wanted."""

    def line(self) -> str:
        """Return the task as one line."""
        return json.dumps(asdict(self), separators=(",", ":"))


@frozen
class Found:
    """One verdict, told: the guarantee's words, how it was broken, and who contradicts whom."""

    check: str
    klass: str
    words: str
    why: str = ""
    lines: tuple[str, ...] = ()
    time_us: int = 0


@frozen
class Outcome:
    """What one run told. `died`: it told nothing, because of this."""

    number: int
    seed: int
    digest: str = ""
    found: tuple[Found, ...] = ()
    marks: Mapping[str, int] = field(factory=dict[str, int])
    calls: int = 0
    oks: int = 0
    infos: int = 0
    faults: int = 0
    items: int = 0
    simulated_ms: int = 0
    took_ms: int = 0
    tail: tuple[str, ...] = ()
    """The last trace lines before the first error."""
    kept: str = ""
    """The saved plan of a failure."""
    died: str = ""

    def line(self) -> str:
        """Return the outcome as one line."""
        return json.dumps(asdict(self), separators=(",", ":"))


def task_of(line: str | bytes) -> Task:
    """Return the task that a line holds."""
    values = _object(line, Task)
    values["off"] = tuple(cast(list[str], values.get("off", ())))
    return Task(**values)  # type: ignore[arg-type]  # our own line, read back


def outcome_of(line: str | bytes) -> Outcome:
    """Return the outcome that a line holds."""
    values = _object(line, Outcome)
    found = cast(list[dict[str, object]], values.get("found", ()))
    values["found"] = tuple(_found(each) for each in found)
    values["tail"] = tuple(cast(list[str], values.get("tail", ())))
    return Outcome(**values)  # type: ignore[arg-type]  # our own line, read back


def _found(values: dict[str, object]) -> Found:
    values["lines"] = tuple(cast(list[str], values.get("lines", ())))
    return Found(**values)  # type: ignore[arg-type]  # our own line, read back


def _object(line: str | bytes, kind: type) -> dict[str, object]:
    value: object = json.loads(line)
    if not isinstance(value, dict) or set(cast(dict[str, object], value)) - set(fields_dict(kind)):
        raise ValueError(f"no {kind.__name__.lower()}: {line!r:.200}")
    return cast(dict[str, object], value)
