"""The leader's keeping of lease deadlines: it decides that a lease fell due, never ends one.

Deadlines are not replicated. Ending a lease is a `LeaseExpire` proposal; until it is applied
or ignored, keepalives of that lease wait for it. Lease time is a clock of its own that a
paused machine stops: INV-LEASE-NOT-EARLY.
"""

from heapq import heapify, heappop, heappush

from core.limits import LEASE_CLOCK_STEP_MS_MAX, LEASE_EXPIRIES_PER_TICK_MAX
from core.state import Lease

HEAP_SLACK = 64
"""So many entries of leases that are gone are never worth a rebuilding."""


class Lessor:
    """Deadlines of all leases while this member leads; empty otherwise."""

    __slots__ = ("_clock_ms", "_deadlines", "_heap", "_last_now_ms", "expiring")

    def __init__(self) -> None:
        self._deadlines: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []
        self._clock_ms = 0
        self._last_now_ms: int | None = None
        self.expiring: dict[int, int] = {}
        """Lease id -> generation of leases whose expiry is proposed and not yet decided."""

    def promote(self, leases: dict[int, Lease]) -> None:
        """Become the leader: every lease gets its full TTL from now. Late, never early."""
        self.demote()
        for lease in leases.values():
            self.renew(lease)

    def demote(self) -> None:
        """Stop leading: forget deadlines and proposed expiries."""
        self._deadlines.clear()
        self._heap.clear()
        self.expiring.clear()

    def renew(self, lease: Lease) -> None:
        """Give a lease its full TTL from now."""
        deadline = self._clock_ms + lease.ttl_s * 1000
        first = lease.id not in self._deadlines
        self._deadlines[lease.id] = deadline
        if first:
            heappush(self._heap, (deadline, lease.id))

    def forget(self, lease_id: int) -> None:
        """A lease is gone from the state."""
        self._deadlines.pop(lease_id, None)
        self.expiring.pop(lease_id, None)
        if len(self._heap) > 2 * len(self._deadlines) + HEAP_SLACK:
            # Entries of leases that are gone lie there until their TTL is over, else.
            self._heap = [(due, each) for each, due in self._deadlines.items()]
            heapify(self._heap)

    def decided(self, lease_id: int) -> None:
        """A proposed expiry was ignored or lost: the lease may be renewed or fall due again."""
        if self.expiring.pop(lease_id, None) is not None and lease_id in self._deadlines:
            heappush(self._heap, (self._deadlines[lease_id], lease_id))

    def remaining_ms(self, lease: Lease) -> int:
        """Return the lease time left, never below 0; the whole TTL while following."""
        deadline = self._deadlines.get(lease.id)
        if deadline is None:
            return lease.ttl_s * 1000
        return max(0, deadline - self._clock_ms)

    def advance(self, now_ms: int) -> None:
        """Move lease time alone, so that what is renewed now is renewed from now on."""
        if self._last_now_ms is not None:
            step = now_ms - self._last_now_ms
            if 0 < step <= LEASE_CLOCK_STEP_MS_MAX:
                self._clock_ms += step
        self._last_now_ms = now_ms

    def tick(self, now_ms: int, leases: dict[int, Lease]) -> list[Lease]:
        """Advance lease time and return the leases that just fell due, oldest deadline first."""
        self.advance(now_ms)
        due: list[Lease] = []
        heap = self._heap
        while heap and heap[0][0] <= self._clock_ms and len(due) < LEASE_EXPIRIES_PER_TICK_MAX:
            _, lease_id = heappop(heap)
            deadline = self._deadlines.get(lease_id)
            if deadline is None or lease_id in self.expiring:
                continue
            if deadline > self._clock_ms:
                heappush(heap, (deadline, lease_id))
                continue
            lease = leases[lease_id]
            self.expiring[lease_id] = lease.generation
            due.append(lease)
        return due

    def next_due_ms(self) -> int | None:
        """Return how long until the next deadline may fall due, in lease time; None for never."""
        return max(0, self._heap[0][0] - self._clock_ms) if self._heap else None
