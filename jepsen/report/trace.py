"""What is known of real members over time, as trace lines that pictures are drawn from.

Rule of this file: a member is down from the begin of a kill to its end; terms, leaders and indices
are what members said of themselves when they were asked (see `jepsen.pulse`).
"""

from collections.abc import Iterable

from sim.history import Fault, History
from sim.report.trace import parse

DOWN = frozenset({"kill", "stop"})
"""Faults under which a process is not there."""


def trace_of(history: History, pulse: Iterable[str] = ()) -> list[str]:
    """Return trace lines in order of time, those of members' own words among them."""
    lines = [line for fault in history.faults for line in _of_fault(fault)]
    lines += pulse
    timed = sorted((parse(line).time_us, place) for place, line in enumerate(lines))
    return [lines[place] for _, place in timed]


def _of_fault(fault: Fault) -> list[str]:
    if fault.what not in DOWN:
        return []
    kind = "crash" if fault.on else "start"
    return [f"{fault.time_us} m{member} {kind}" for member in fault.members]
