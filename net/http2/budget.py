"""Token buckets: how much of what is legal but useless one connection may send."""

from __future__ import annotations

from net.http2.limits import BUSY_WORK, RESETS, SETTINGS_FRAMES, Rate
from net.http2.wire import ConnectionFault, Fault


class Clock:
    """The time that `feed` and `tick` were told last, and that of the last `feed`."""

    __slots__ = ("now_ms", "read_ms")

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.read_ms = now_ms


class Budget:
    """A bucket that fills by time and is emptied by the peer's frames."""

    __slots__ = ("_at_ms", "_clock", "_fault", "_rate", "_tokens_milli")

    def __init__(self, clock: Clock, rate: Rate, fault: Fault) -> None:
        self._clock = clock
        self._rate = rate
        self._fault = fault
        self._tokens_milli = rate.burst * 1_000
        self._at_ms = clock.now_ms

    def spend(self) -> None:
        """Take one token. Raises ConnectionFault when there is none."""
        now_ms = self._clock.now_ms
        gained = (now_ms - self._at_ms) * self._rate.per_second
        self._at_ms = now_ms
        tokens = min(self._rate.burst * 1_000, self._tokens_milli + max(gained, 0)) - 1_000
        if tokens < 0:
            raise ConnectionFault(self._fault)
        self._tokens_milli = tokens


class Budgets:
    """The buckets of one connection."""

    __slots__ = ("busy_work", "resets", "settings")

    def __init__(self, clock: Clock) -> None:
        self.resets = Budget(clock, RESETS, Fault.RESET_FLOOD)
        self.settings = Budget(clock, SETTINGS_FRAMES, Fault.SETTINGS_FLOOD)
        self.busy_work = Budget(clock, BUSY_WORK, Fault.BUSY_WORK_FLOOD)
