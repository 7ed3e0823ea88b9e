"""When things happen in a run: stretches in which everybody is busy, and quiet between them.

Rule of this file: one stream of chance in, times out. Clients ask only in the busy stretches, and
most faults begin there: an operation finds something broken, and what is broken finds operations.
In the quiet, leases expire, members catch up, and nobody notices what was lost until later.
"""

from bisect import bisect
from random import Random

from sim.plan import Options

FIRST_MS = 300
"""When clients begin: the members may have a leader by then, or not."""
STRETCH_MS = 3_000
"""How long a busy stretch is, on average."""
_LEAST, _MOST = 0.25, 0.8
"""Bounds of how much of a run is busy."""


class Pace:
    """The stretches of one run."""

    def __init__(self, chance: Random, options: Options) -> None:
        whole_ms = max(1, options.duration_ms - FIRST_MS)
        each = options.operations / max(1, options.clients)
        wanted_ms = each * options.think_ms * 1.5
        self.busy_ms = min(max(wanted_ms, whole_ms * _LEAST), whole_ms * _MOST)
        count = max(1, round(self.busy_ms / STRETCH_MS))
        lengths = _parts(chance, count, self.busy_ms)
        pauses = _parts(chance, count + 1, whole_ms - self.busy_ms)
        self._begins: list[float] = []
        self._shifts: list[float] = []
        busy_ms, real_ms = 0.0, float(FIRST_MS)
        for length_ms, pause_ms in zip(lengths, pauses[:count], strict=True):
            real_ms += pause_ms
            self._begins.append(busy_ms)
            self._shifts.append(real_ms - busy_ms)
            busy_ms += length_ms
            real_ms += length_ms

    def time_ms(self, part: float) -> int:
        """Return the time at which so much of the busy time, 0 to 1, has passed."""
        busy_ms = part * self.busy_ms
        return int(busy_ms + self._shifts[bisect(self._begins, busy_ms) - 1])


def _parts(chance: Random, count: int, whole: float) -> list[float]:
    """Cut a length into parts of random size."""
    sizes = [0.2 + chance.random() for _ in range(count)]
    total = sum(sizes)
    return [size * whole / total for size in sizes]
