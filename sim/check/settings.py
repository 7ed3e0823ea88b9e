"""The bounds that time-dependent guarantees are held to, and how a history changes them.

Rule of this file: numbers with their reason. `History.facts["bounds"]` may name any of them.
"""

from attrs import fields, frozen

from sim.history import History


@frozen
class Bounds:
    """Times in microseconds, drift in parts per million."""

    answer_us: int = 10_000_000
    """After healing, every operation is answered within it."""
    elect_us: int = 5_000_000
    """After healing, there is a leader within it; what is asked sooner may be refused."""
    watch_us: int = 5_000_000
    """After healing, a watcher is at most so far behind."""
    lease_us: int = 4_000_000
    """A lease ends at most so long after its time: election, full TTL anew, expiry's rounds."""
    drift_ppm: int = 50_000
    """How much faster or slower than the clients' clock a member's may run."""
    early_us: int = 5_000
    """Rounding of members' clocks, which count milliseconds."""


def bounds_of(history: History) -> Bounds:
    """Return the bounds for a run; unknown names and other than numbers raise ValueError."""
    given = history.facts.get("bounds", {})
    names = {each.name for each in fields(Bounds)}
    if not isinstance(given, dict):
        raise ValueError("facts: bounds must be an object")
    numbers: dict[str, int] = {}
    for name, value in given.items():
        if name not in names or not isinstance(value, int):
            raise ValueError(f"facts: bounds: {name} is no bound or no number")
        numbers[name] = value
    return Bounds(**numbers)
