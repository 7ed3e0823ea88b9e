"""When a member campaigns: after silence of a leader, and only if a majority would vote for it.

Rule of this file: times and counts.
A member that canvasses changes nothing of itself or others: one that comes back from a partition
cannot depose a leader, and one without a majority raises no term.
"""

from typing import Protocol

from attrs import define, field

from net.raft.replica import Timing


class Chance(Protocol):
    """Where an engine's chance comes from."""

    def random(self) -> float:
        """Return a number from 0 up to, not including, 1."""
        ...


@define
class Elections:
    """One member's patience."""

    timing: Timing
    chance: Chance
    due_ms: int = 0
    """When to canvass, if nothing is heard."""
    heard_ms: int = -(1 << 60)
    """When a leader was last heard."""
    canvassing: int = 0
    """The term that it canvasses for; 0 for none."""
    _supporters: set[int] = field(factory=set[int])

    def wait(self, now_ms: int) -> None:
        """Wait anew: at least one election timeout, less than two."""
        jitter = int(self.chance.random() * self.timing.election_ms)
        self.due_ms = now_ms + self.timing.election_ms + 2 + jitter
        self.canvassing = 0

    def heard(self, now_ms: int) -> None:
        """A leader was heard."""
        self.heard_ms = now_ms
        self.wait(now_ms)

    def lost_link(self, now_ms: int) -> None:
        """The leader's link is gone: be impatient. It may be dead; whoever hears it will say no."""
        self.forget_leader()
        shortly_ms = int((0.1 + 0.4 * self.chance.random()) * self.timing.election_ms)
        self.due_ms = min(self.due_ms, now_ms + shortly_ms)

    def forget_leader(self) -> None:
        """There is none."""
        self.heard_ms = -(1 << 60)

    def is_content(self, now_ms: int) -> bool:
        """Whether a leader was heard so lately that this member helps nobody against it."""
        return now_ms - self.heard_ms < self.timing.election_ms

    def canvass(self, now_ms: int, me: int, term: int) -> None:
        """Ask the others whether they would vote in a term."""
        self.wait(now_ms)
        self.canvassing = term
        self._supporters = {me}

    def supported(self, member: int, term: int) -> None:
        """A voter would."""
        if term == self.canvassing:
            self._supporters.add(member)

    def has_support(self, majority: int) -> bool:
        """Whether enough would."""
        return self.canvassing > 0 and len(self._supporters) >= majority
