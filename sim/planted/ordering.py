"""Planted bugs of the log: what is committed before enough members have it for good.

Rule of this file: each patches the perfect log, whose own judge must see it. Those of a real
engine's inside (votes, terms, truncation) come with that engine.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator
from contextlib import AbstractContextManager

from sim import tier1_member
from sim.ledger import Ledger
from sim.ops import Put
from sim.perfect import PerfectEngine
from sim.planted.bug import Catalogue, ask, fault, script, swapped

ORDERING = Catalogue()


def unnoticed() -> AbstractContextManager[None]:
    """Let a leader that is cut off go on leading until somebody tells it: raft asks no more."""
    overdue = Ledger._overdue

    def patient(self: Ledger, member: int) -> bool:
        engine = self.engines.get(member)
        if engine is not None and engine.is_leader:
            return False
        return overdue(self, member)

    return swapped(Ledger, "_overdue", patient)


_WRITES = tuple(ask(900 + 10 * n, Put("k", str(n)), client=n % 4, member=n % 3) for n in range(300))


@ORDERING.bug(
    "raft-safety",
    budget=8,
    workload="register",
    members=3,
    faults=["partition", "process"],
    directed=script(
        *_WRITES,
        *(fault(at, "isolate_leader", ms=1_800) for at in (1_200, 3_500)),
        end_ms=6_000,
    ),
)
def one_member_is_a_majority() -> Generator[None]:
    """A leader commits what it has itself, before any other member does."""

    def alone(self: PerfectEngine) -> None:
        durable = self._log.durable
        if durable > self._commit and self._log.term_at(durable) == self.term:
            self._commit_to(durable)

    with swapped(PerfectEngine, "_advance", alone):
        yield


@ORDERING.bug(
    "raft-safety",
    row=4,
    budget=8,
    workload="register",
    members=3,
    faults=["process"],
    operations=500,
    directed=script(
        *_WRITES,
        *(
            fault(1_000, "slow_disk", member=member, ms=5_000, operation_ms=400)
            for member in range(3)
        ),
        *(
            item
            for at in range(1_300, 3_900, 500)
            for item in (
                fault(at, "crash", member=-1, down_ms=3_000, survival="none"),
                *(fault(at, "crash", member=m, down_ms=50, survival="none") for m in range(3)),
            )
        ),
        end_ms=8_000,
    ),
)
def acknowledged_before_synced() -> Generator[None]:
    """A follower acknowledges an entry before its disk has it."""
    send = PerfectEngine._send

    def unbound(
        self: PerfectEngine, peer: int, message: tuple[object, ...], after: int = 0
    ) -> None:
        send(self, peer, message)

    # So slow a disk that it matters.
    slow = swapped(tier1_member, "SYNC_US", 600_000)
    with slow, swapped(PerfectEngine, "_send", unbound):
        yield
