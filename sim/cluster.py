"""A cluster as faults and runs see it, whichever tier it is built on.

Rule of this file: protocols and what they exchange. Members are numbered from 0. Both tiers run the
same plan through the same verbs, so a verdict that only one of them reaches points at what only
one of them has. Verbs about a member that is down do nothing, unless they say what they do.
"""

from collections.abc import Callable
from typing import Final, Protocol

from sim.history import Logged, Seen, WatchSpec
from sim.network import Network
from sim.ops import Op, Result
from sim.platter import Survival
from sim.world import World

SYNC_US: Final = 400
"""Mean time of a sync on a healthy disk."""


class Endpoint(Protocol):
    """Where clients ask. Members answer, or the deadline does."""

    def ask(self, member: int, op: Op, deadline_ms: int, then: Callable[[Result], None]) -> None:
        """Ask one member; `then` is called exactly once, at a later event."""
        ...

    def watch(
        self, member: int, spec: WatchSpec, sink: Callable[[Seen], None]
    ) -> Callable[[], None]:
        """Open a watch on one member; returns what closes it. A broken stream is seen as lost."""
        ...


class Cluster(Endpoint, Protocol):
    """A set of members in a world."""

    @property
    def world(self) -> World:
        """Their time."""
        ...

    @property
    def network(self) -> Network:
        """What is between them."""
        ...

    @property
    def size(self) -> int:
        """How many members there are, up or down."""
        ...

    def is_up(self, member: int) -> bool:
        """Whether a member runs; a paused one does."""
        ...

    def leader(self) -> int | None:
        """The member that leads the highest term, if one knows that it does."""
        ...

    # Processes.

    def start(self, member: int) -> None:
        """Start a member that is down; a running one stays as it is."""
        ...

    def crash(self, member: int, survival: Survival) -> None:
        """End a member at once; `survival` says what of its unsynced writes is left."""
        ...

    def stop(self, member: int) -> None:
        """Ask a member to end in order, as its operator does; one that can only end at once does.

        Until it has, `start` means: as soon as it has.
        """
        ...

    def crash_at(self, member: int, point: str, hits: int, then: Callable[[], None]) -> None:
        """Call `then`, which ends the member, when it passes a point for the so-many-th time.

        A later call for the same member replaces it; no point ("") takes it away.
        """
        ...

    def pause(self, member: int, *, on: bool) -> None:
        """Stop a process as SIGSTOP does, or let it go on. Grips add up."""
        ...

    # Clocks.

    def clock_rate(self, member: int, ppm: int) -> None:
        """Let a member's clocks run fast or slow; also while it is down."""
        ...

    def clock_step(self, member: int, step_ms: int) -> None:
        """Set a member's wall clock; also while it is down."""
        ...

    def clock_stall(self, member: int, ms: int) -> None:
        """Suspend a machine: it does nothing, and its monotonic clock stands still."""
        ...

    # Disks. Each says whether the tier has such a fault.

    def disk_slow(self, member: int, operation_ms: int) -> bool:
        """Let each sync take so long; 0 is healthy."""
        ...

    def disk_fail(self, member: int, what: str) -> bool:
        """Let the next read, write or sync fail with EIO."""
        ...

    def disk_fail_at_start(self, member: int, operation: int) -> bool:
        """Let a member's next start meet EIO, at that operation of its disk or soon after."""
        ...

    def power_loss_naming(self, member: int, operation: str, then: Callable[[], None]) -> bool:
        """Call `then`, which ends the member, at the disk's next create, rename, unlink or sync.

        A sync is one of a directory. No operation ("") takes it away.
        """
        ...

    def disk_full(self, member: int, *, full: bool) -> bool:
        """Take a member's room away, or give it back."""
        ...

    def disk_lie(self, member: int, *, lying: bool) -> bool:
        """Let syncs say yes and do nothing."""
        ...

    def damage(self, member: int, what: str, file: str, *, at_permille: int, bit: int) -> bool:
        """Flip a bit of (bit_rot) or cut (truncate) a file of a member that is down."""
        ...

    def power_loss(self, member: int, operations: int, then: Callable[[], None]) -> bool:
        """Call `then`, which ends the member, at the so-many-th operation of its disk from now."""
        ...

    # Operations.

    def depose(self, ms: int) -> None:
        """Have the leader step down; nobody leads for so long."""
        ...

    def transfer(self, member: int) -> None:
        """Give leadership to a member, if it can take it."""
        ...

    def snapshot(self, member: int) -> None:
        """Have a member cut its log, however short."""
        ...

    def clients_blocked(self, member: int, *, on: bool) -> None:
        """Keep clients from a member, and break its streams. Grips add up."""
        ...

    # The end.

    def logged(self) -> list[Logged] | None:
        """Return the committed log as far as it was seen; None where it cannot be."""
        ...

    def settled(self) -> str:
        """Return "" once all members run, agree and are idle; else what is missing."""
        ...

    def close(self) -> None:
        """End all members and let go of what they hold."""
        ...
