"""What a run's history turned out to be: every revision, who made it, and between which times.

Rule of this file: facts derived from one accepted order of the writes; other checks build on it
and never on an answer alone. A time bound is proved: `low` by the invocations of what must come
before, `high` by the first answer or watch message that shows it.
"""

from bisect import bisect_left, bisect_right
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple

from attrs import define, field

from sim.check.model import Model
from sim.history import NEVER_US, Call, History


class Compaction(NamedTuple):
    """A compaction that may have been, or was, in force from some time on."""

    rev: int
    low_us: int
    """It cannot have been in force before."""
    high_us: int
    """It was in force from then on; `NEVER_US` if it may never have been."""
    head: int
    """The newest revision when it came, where the log tells; else 0."""
    call: Call | None


class Life(NamedTuple):
    """One lease from its grant to its end."""

    lease: int
    ttl_s: int
    granted_low_us: int
    granted_high_us: int
    granted_by: Call | None
    how: str
    """How it ended: revoked, expired, or "" where it never did."""
    ended_low_us: int
    ended_high_us: int
    ended_by: Call | None = None
    ended_rev: int = 0

    def is_alive(self, begin_us: int, end_us: int) -> bool:
        """Whether it existed all the time."""
        return self.granted_high_us < begin_us and self.ended_low_us > end_us

    def may_be_alive(self, begin_us: int, end_us: int) -> bool:
        """Whether it may have existed at some time between."""
        return self.granted_low_us <= end_us and self.ended_high_us >= begin_us


@define(slots=False)
class Timeline:
    """All revisions of a run, in order."""

    model: Model
    """Its end; it remembers every revision."""
    writers: list[Call | None]
    """By revision: the client's operation that made it, where one did."""
    low: list[int]
    """By revision: it cannot have come before."""
    history: History
    compactions: list[Compaction] = field(factory=list[Compaction])
    """In the order of their revisions."""
    lives: dict[int, list[Life]] = field(factory=dict[int, list[Life]])
    """By lease: its lives, oldest first."""
    is_logged: bool = False
    """Whether the committed log told all this."""

    @cached_property
    def high(self) -> list[int]:
        """By revision: it was there by then."""
        return shown(self.history, self.head)

    def surely(self, time_us: int) -> int:
        """Return the newest revision that must have been there at a time."""
        return max(1, bisect_left(self.high, time_us, 2) - 1)

    def maybe(self, time_us: int) -> int:
        """Return the newest revision that may have been there at a time."""
        return max(1, bisect_right(self.low, time_us, 2) - 1)

    @property
    def head(self) -> int:
        """The newest revision."""
        return self.model.rev

    def compacted_surely(self, time_us: int) -> Compaction | None:
        """Return the newest compaction that must have been in force before a time."""
        known = [each for each in self.compactions if each.high_us < time_us]
        return max(known, key=attrgetter("rev"), default=None)

    def compacted_maybe(self, time_us: int) -> Compaction | None:
        """Return the newest compaction that may have been in force at a time."""
        known = [each for each in self.compactions if each.low_us <= time_us]
        return max(known, key=attrgetter("rev"), default=None)


def falling(times: list[int]) -> list[int]:
    """Return for each place the least of its time and all later ones."""
    least = NEVER_US
    bounds = list(times)
    for place in range(len(bounds) - 1, -1, -1):
        least = min(least, bounds[place])
        bounds[place] = least
    return bounds


def shown(history: History, head: int) -> list[int]:
    """Return for each revision when it had surely come about: somebody had seen it."""
    times = [NEVER_US] * (head + 1)
    for _, _, _, _, _, returned_us, result in history.calls:
        rev = result[0]
        if type(rev) is int and rev <= head and returned_us < times[rev]:
            times[rev] = returned_us
    for watcher in history.watchers:
        for seen in watcher.seen:
            rev = seen.events[-1].kv.mod if seen.events else seen.rev
            if 0 <= rev <= head and seen.time_us < times[rev]:
                times[rev] = seen.time_us
    return falling(times)
