"""Planted bugs of leases: they end early, late, by the wrong hand, or leave something behind.

Rule of this file: each patches one's own member; its docstring says what is wrong.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator

from core import machine, node
from core.answers import LeaseRevokeAnswer
from core.errors import LEASE_NOT_FOUND
from core.inputs import Asked, Elected, Ticked
from core.lessor import Lessor
from core.machine import Applied, LeaseGone, LeaseGranted
from core.operations import LeaseKeepAlive
from core.records import Version
from core.state import Lease, State, drop_lease
from core.writes import Writer
from sim.ops import Grant, KeepAlive, Put, Range, Revoke
from sim.plan import Item
from sim.planted.bug import Catalogue, ask, fault, script, watch
from sim.planted.ordering import unnoticed
from sim.swapping import swapped

LEASING = Catalogue()

_LEASED = (
    ask(900, Grant(7, 60)),
    ask(1_000, Put("k1", "a", lease=7)),
    ask(1_100, Put("k2", "b", lease=7)),
)


def _kept_alive(ttl_s: int, until_ms: int) -> tuple[Item, ...]:
    """Return a lease that is kept alive once a second."""
    return (
        ask(900, Grant(7, ttl_s)),
        ask(1_000, Put("k", "a", lease=7)),
        *(ask(at, KeepAlive(7), client=1) for at in range(1_500, until_ms, 1_000)),
        ask(until_ms, Range("k"), client=2),
    )


def _kept_by_the_old_leader(lease: int, at_ms: int) -> tuple[Item, ...]:
    """Keep a lease alive through a leader alone that is cut off meanwhile."""
    return (
        fault(at_ms, "transfer", member=0),
        ask(at_ms + 300, Grant(lease, 2)),
        ask(at_ms + 350, Put(f"k{lease}", "a", lease=lease)),
        *(ask(at, KeepAlive(lease)) for at in range(at_ms + 400, at_ms + 4_000, 50)),
        fault(at_ms + 500, "isolate", member=0, ms=3_500),
    )


@LEASING.bug(
    "linear",
    row=30,
    budget=6,
    workload="lease",
    directed=script(*_LEASED, ask(1_200, Revoke(7)), ask(1_300, Range("k", "l"))),
)
def revoke_keeps_keys() -> Generator[None]:
    """A revoked lease leaves its keys behind."""

    def careless(state: State, lease_id: int) -> Applied:
        lease = state.leases.get(lease_id)
        if lease is None:
            return Applied(LEASE_NOT_FOUND)
        lease.keys.clear()
        drop_lease(state, lease)
        return Applied(LeaseRevokeAnswer(state.revision), (), (LeaseGone(lease_id),))

    with swapped(machine, "_revoke", careless):
        yield


@LEASING.bug(
    "lease",
    row=30,
    workload="lease",
    budget=4,
    directed=script(watch(800, "k", "l"), *_LEASED, ask(1_200, Revoke(7))),
)
def revoke_in_several_revisions() -> Generator[None]:
    """Each key of a revoked lease goes in a revision of its own."""

    def one_by_one(state: State, lease_id: int) -> Applied:
        lease = state.leases.get(lease_id)
        if lease is None:
            return Applied(LEASE_NOT_FOUND)
        changes: list[Version] = []
        for key in sorted(lease.keys):
            writer = Writer(state)
            writer.delete(key)
            changes += writer.commit()
        drop_lease(state, lease)
        gone = (LeaseGone(lease_id),)
        return Applied(LeaseRevokeAnswer(state.revision), tuple(changes), gone)

    with swapped(machine, "_revoke", one_by_one):
        yield


@LEASING.bug(
    "lease",
    workload="lease",
    directed=script(*_kept_alive(3, 9_500), end_ms=10_000),
)
def keepalive_does_not_renew() -> Generator[None]:
    """A keepalive is answered with the whole TTL and changes nothing."""
    renew = Lessor.renew

    def once(self: Lessor, lease: Lease) -> None:
        if lease.id not in self._deadlines:
            renew(self, lease)

    with swapped(Lessor, "renew", once):
        yield


@LEASING.bug(
    "lease",
    workload="lease",
    directed=script(ask(900, Grant(7, 2)), ask(1_000, Put("k", "a", lease=7)), end_ms=20_000),
)
def leases_never_end() -> Generator[None]:
    """No lease ever falls due."""
    tick = Lessor.tick

    def never(self: Lessor, now_ms: int, leases: dict[int, Lease]) -> list[Lease]:
        tick(self, now_ms, {})
        return []

    def harmless(self: Lessor, now_ms: int, leases: dict[int, Lease]) -> list[Lease]:
        self._heap.clear()
        return never(self, now_ms, leases)

    with swapped(Lessor, "tick", harmless):
        yield


@LEASING.bug(
    "lease",
    row=31,
    workload="lease",
    directed=script(*_kept_alive(3, 14_500), end_ms=15_000),
)
def followers_expire_leases() -> Generator[None]:
    """Members that do not lead keep deadlines too, and never hear of a keepalive."""
    note, tick = node.Node._note_facts, node.Node._tick

    def noting(self: node.Node, applied: Applied) -> None:
        note(self, applied)
        for fact in applied.facts:
            if isinstance(fact, LeaseGranted) and not self.leading_term:
                self.lessor.renew(self.state.leases[fact.id])

    def ticking(self: node.Node, given: Ticked) -> None:
        before = self.leading_term
        self.leading_term = before or self.state.applied_term
        tick(self, given)
        self.leading_term = before

    with (
        swapped(node.Node, "_note_facts", noting),
        swapped(node.Node, "_tick", ticking),
    ):
        yield


@LEASING.bug(
    "lease",
    row=32,
    budget=10,
    workload="lease",
    faults=["partition", "process", "operations"],
    directed=script(
        *_kept_alive(4, 9_500),
        *(fault(at, "depose", ms=200) for at in (4_000, 5_000, 6_000)),
        end_ms=10_000,
    ),
)
def promotion_does_not_extend() -> Generator[None]:
    """A new leader counts a lease's time from its grant, not from its own beginning."""
    note, elect = node.Node._note_facts, node.Node._elect

    def granted(self: node.Node) -> dict[int, int]:
        found: dict[int, int] = vars(self).setdefault("granted_at", {})
        return found

    def noting(self: node.Node, applied: Applied) -> None:
        note(self, applied)
        for fact in applied.facts:
            if isinstance(fact, LeaseGranted):
                granted(self)[fact.generation] = self.lessor._clock_ms

    def electing(self: node.Node, given: Elected) -> None:
        elect(self, given)
        lessor = self.lessor
        for lease in self.state.leases.values():
            since = granted(self).get(lease.generation, lessor._clock_ms)
            lessor._deadlines[lease.id] = since + lease.ttl_s * 1000
        lessor._heap = sorted((due, each) for each, due in lessor._deadlines.items())

    with (
        swapped(node.Node, "_note_facts", noting),
        swapped(node.Node, "_elect", electing),
    ):
        yield


@LEASING.bug(
    "lease",
    row=33,
    budget=10,
    workload="lease",
    members=3,
    faults=["partition"],
    timeout_ms=400,
    clients=12,
    operations=500,
    mix=["lease.grant", "lease.hold", "lease.attach", "lease.keep_alive"],
    directed=script(
        *(
            item
            for lease in range(1, 7)
            for item in _kept_by_the_old_leader(lease, 900 + lease * 9_000)
        ),
        timeout_ms=400,
        end_ms=64_000,
    ),
)
def deposed_leader_confirms_keepalive() -> Generator[None]:
    """A keepalive is confirmed by who thinks that it leads, without asking a quorum."""
    ask_node = node.Node._ask

    def trusting(self: node.Node, given: Asked) -> None:
        if isinstance(given.query, LeaseKeepAlive) and self.leading_term:
            self._answer(given)
        else:
            ask_node(self, given)

    with unnoticed(), swapped(node.Node, "_ask", trusting):
        yield


@LEASING.bug(
    "lease",
    workload="lease",
    directed=script(ask(900, Grant(7, 9)), ask(1_000, Put("k", "a", lease=7)), end_ms=12_000),
)
def leases_end_early() -> Generator[None]:
    """A lease's last third is not given."""
    renew = Lessor.renew

    def short(self: Lessor, lease: Lease) -> None:
        renew(self, Lease(lease.id, lease.ttl_s * 2 // 3, lease.generation))

    with swapped(Lessor, "renew", short):
        yield
