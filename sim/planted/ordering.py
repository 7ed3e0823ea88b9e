"""Planted bugs of the log: what is committed before enough members have it for good.

Rule of this file: each patches the perfect log, whose own judge must see it. Those of a real
engine's inside (votes, terms, truncation) come with that engine.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator
from contextlib import AbstractContextManager

from sim import cluster
from sim.ledger import Ledger
from sim.ops import Put
from sim.perfect import PerfectEngine
from sim.plan import Item
from sim.planted.bug import Catalogue, ask, fault, script
from sim.swapping import swapped

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


def _writes(end_ms: int) -> tuple[Item, ...]:
    """Write one key again and again, on each member."""
    times = enumerate(range(900, end_ms, 15))
    return tuple(ask(at, Put("k", str(n)), client=n % 8, member=n % 3) for n, at in times)


@ORDERING.bug(
    "raft-safety",
    budget=8,
    workload="register",
    members=3,
    faults=["partition", "process"],
    directed=script(
        *_writes(6_000),
        *(fault(at, "isolate_leader", ms=1_800) for at in (1_200, 3_500, 5_800)),
        clients=8,
        timeout_ms=400,
        end_ms=8_000,
    ),
)
def one_member_is_a_majority() -> Generator[None]:
    """A leader commits what it has itself, before any other member does."""

    def alone(self: PerfectEngine) -> None:
        durable = self._log.durable
        if durable > self.commit_index and self._log.term_at(durable) == self.term:
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
        *_writes(15_000),
        *(
            item
            for at in range(1_300, 14_000, 1_500)
            for item in (
                fault(at, "crash", member=-1, down_ms=900, survival="none"),
                *(fault(at, "crash", member=m, down_ms=50, survival="none") for m in range(3)),
            )
        ),
        clients=8,
        timeout_ms=400,
        end_ms=16_000,
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
    slow = swapped(cluster, "SYNC_US", 600_000)
    with slow, swapped(PerfectEngine, "_send", unbound):
        yield
