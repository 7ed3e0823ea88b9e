"""Planted bugs of the Raft engine's elections and members: whom it forgets, and whom it counts.

Rule of this file: each takes away one thing that a persist or a guard of the engine is for, by a
patch from outside; the simulator's truth must see what comes of it.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator

from core import membership
from core.errors import Failure
from core.operations import MembersChange
from core.quorums import View
from net.raft.elections import Elections
from net.raft.membership import Membership as Configurations
from net.raft.replica import Replica
from net.replicator import HardState
from sim.ops import Admin, Put
from sim.plan import Item
from sim.planted.bug import Catalogue, ask, fault, script
from sim.swapping import swapped

ELECTING = Catalogue()

_ROUND_MS = 7_000


def _one_voter_falls(begin_ms: int, voted_ms: int) -> tuple[Item, ...]:
    """Let 1 be elected by 0's vote, 0 fall before it hears more of it, and 2 ask 0 as well."""
    voted_ms += begin_ms + 2_000
    cut = [{"from": a, "to": b, "ms": 2_900} for a, b in ((1, 2), (2, 1))]
    return (
        fault(begin_ms, "transfer", member=0),
        *(fault(begin_ms + 1_900, "clog", **way) for way in cut),
        fault(begin_ms + 2_000, "transfer", member=1),
        fault(voted_ms, "clog", **{"from": 1, "to": 0, "ms": 2_700}),
        fault(voted_ms + 2, "crash", member=0, down_ms=20, survival="none"),
    )


def _voters_fall(rounds: int) -> tuple[Item, ...]:
    return tuple(
        item
        for number in range(rounds)
        for item in _one_voter_falls(500 + number * _ROUND_MS, 66 + 4 * number)
    )


_FALLS = script(
    *_voters_fall(8), engine="raft", link_ms=20, watchers=1, end_ms=8 * _ROUND_MS + 1_000
)


@ELECTING.bug(
    "raft-safety",
    row=5,
    budget=0,
    engine="raft",
    workload="register",
    members=3,
    spares=0,
    operations=50,
    link_ms=20,
    nemesis_ms=300,
    duration_ms=60_000,
    faults=["process", "partition", "operations"],
    directed=_FALLS,
)
def raft_vote_is_not_kept() -> Generator[None]:
    """For whom a member voted is not written: after a restart it votes once more."""
    persist = Replica.persist

    def forgetful(self: Replica) -> None:
        persist(self)
        asked = self.out.persist
        if asked and (state := asked[-1].hard_state) is not None:
            asked[-1] = asked[-1]._replace(hard_state=state._replace(vote=0))

    def anyway(self: Elections, _majority: int) -> bool:
        return self.canvassing > 0

    # Nobody asks first whether it would be voted for: few would ask for a vote that was given.
    with swapped(Replica, "persist", forgetful), swapped(Elections, "has_support", anyway):
        yield


@ELECTING.bug(
    "raft-safety",
    row=6,
    budget=0,
    engine="raft",
    workload="register",
    members=3,
    spares=0,
    operations=50,
    link_ms=20,
    nemesis_ms=300,
    duration_ms=60_000,
    faults=["process", "partition", "operations"],
    directed=_FALLS,
)
def raft_term_is_not_kept() -> Generator[None]:
    """Neither term nor vote is written: after a restart the term is that of the last entry."""
    persist = Replica.persist

    def forgetful(self: Replica) -> None:
        persist(self)
        asked = self.out.persist
        if asked and asked[-1].hard_state is not None:
            asked[-1] = asked[-1]._replace(hard_state=HardState(0, 0, 0))

    with swapped(Replica, "persist", forgetful):
        yield


_TWO_JOIN = (
    *(ask(500 + 10 * n, Put("k", str(n)), client=n % 4) for n in range(20)),
    fault(600, "transfer", member=0),
    ask(2_000, Admin("member_learn", 3)),
    ask(3_500, Admin("member_learn", 4)),
    *(
        fault(6_000, "clog", **{"from": a, "to": b, "ms": 2_950})
        for one in (1, 2)
        for other in (0, 3, 4)
        for a, b in ((one, other), (other, one))
    ),
    ask(6_050, Admin("member_promote", 3), client=0),
    ask(6_100, Admin("member_promote", 4), client=1),
    *(ask(6_500 + 20 * n, Put("k", f"one {n}"), client=2) for n in range(100)),
    *(ask(6_500 + 20 * n, Put("k", f"other {n}"), client=3, member=1) for n in range(100)),
)


@ELECTING.bug(
    "raft-safety",
    row=39,
    budget=0,
    engine="raft",
    workload="register",
    members=3,
    spares=3,
    snapshot_entries=0,
    faults=["membership", "partition"],
    directed=script(*_TWO_JOIN, engine="raft", spares=2, end_ms=10_000),
)
def raft_lets_two_changes_be_open() -> Generator[None]:
    """A change of members begins before the one before it is committed."""
    go_on = membership.Membership._go_on

    def eager(self: membership.Membership, standing: membership.Standing) -> object:
        self.under_way = 0
        return go_on(self, standing)

    def never(self: Configurations) -> int:
        return 0

    def no_refusal(_view: View, _command: MembersChange, *, strict: bool) -> Failure | None:
        return None

    with (
        swapped(membership.Membership, "_go_on", eager),
        swapped(Configurations, "changed_at", property(never)),
        swapped(membership, "quorum_refusal", no_refusal),
    ):
        yield
