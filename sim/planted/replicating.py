"""Planted bugs of the Raft engine's log: what it cuts off, counts too soon, or never sends again.

Rule of this file: the holes of the stock library that the engine's guards close, opened again one
by one, and what a disk must not forget; tier 1's truth, or a client that waits, must see it.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator, Sequence
from random import Random

from net.raft.engine import RaftEngine
from net.raft.followers import Follower
from net.raft.following import Following
from net.raft.log import RaftLog
from net.raft.own import Own
from net.raft.replica import Replica
from net.raft.wire import Ack, Append, Message
from net.replicator import Entry
from sim import cluster, engines
from sim.ops import Put, Range
from sim.plan import Item
from sim.planted.bug import Catalogue, ask, fault, script
from sim.platter import Survival
from sim.swapping import swapped
from sim.tier1_disk import MachineDisk

REPLICATING = Catalogue()


def _writes(begin_ms: int, end_ms: int, step_ms: int = 15) -> tuple[Item, ...]:
    """Write one key again and again, on each of three members."""
    times = enumerate(range(begin_ms, end_ms, step_ms))
    return tuple(ask(at, Put("k", str(n)), client=n % 8, member=n % 3) for n, at in times)


@REPLICATING.bug(
    "raft-safety",
    row=4,
    engine="raft",
    workload="register",
    members=3,
    directed=script(*_writes(900, 3_000), engine="raft", clients=8, timeout_ms=400),
)
def raft_acknowledges_before_synced() -> Generator[None]:
    """A message of the engine leaves before what it vouches for is durable."""

    def hasty(self: Replica) -> list[tuple[int, bytes, int]]:
        return [(peer, data, 0) for peer, data, _ in self.out.messages]

    # So slow a disk that it matters.
    with swapped(cluster, "SYNC_US", 100_000), swapped(Replica, "gated", hasty):
        yield


@REPLICATING.bug(
    "raft-safety",
    engine="raft",
    workload="register",
    members=3,
    directed=script(*_writes(900, 3_000), engine="raft", clients=8, timeout_ms=400),
)
def raft_counts_what_was_only_written() -> Generator[None]:
    """An entry counts as durable on its own member from when it was handed to the disk."""
    take = RaftLog.take

    def taken(self: RaftLog, sequence: int) -> tuple[int | None, list[Entry]]:
        found = take(self, sequence)
        self.durable = self.last_index
        return found

    with swapped(cluster, "SYNC_US", 100_000), swapped(RaftLog, "take", taken):
        yield


@REPLICATING.bug(
    "raft-safety",
    row=7,
    engine="raft",
    workload="register",
    members=3,
    faults=["process"],
    directed=script(
        *_writes(900, 8_000),
        *(
            fault(at, "crash_all", down_ms=300, apart_ms=5, survival="all")
            for at in (2_000, 5_000, 7_900)
        ),
        engine="raft",
        clients=8,
        timeout_ms=400,
        end_ms=9_000,
    ),
)
def journal_loses_its_last_record() -> Generator[None]:
    """A crash takes the journal's newest record, though it was synced."""
    crash = MachineDisk.crash

    def careless(self: MachineDisk, survival: Survival, chance: Random) -> None:
        crash(self, survival, chance)
        if self.log.entries and self.log.last_index > self.store.durable.index:
            self.log.entries.pop()

    with swapped(MachineDisk, "crash", careless):
        yield


@REPLICATING.bug(
    "raft-safety",
    row=8,
    budget=0,
    engine="raft",
    workload="register",
    members=3,
    pack_bytes=200,
    faults=["message", "process"],
    directed=script(
        *_writes(900, 20_000, 7),
        *(
            fault(at, "reset", **{"from": a, "to": b})
            for a, b, step_ms in ((0, 1, 37), (1, 2, 41), (0, 2, 43))
            for at in range(1_000, 20_000, 5 * step_ms)
        ),
        engine="raft",
        clients=8,
        timeout_ms=400,
        end_ms=21_000,
        link_ms=20,
        pack_bytes=1,
    ),
)
def raft_truncates_without_a_conflict() -> Generator[None]:
    """Entries that come a second time take the place of all behind them (V1)."""
    rewinds, append = Follower.rewinds, Own.append

    def whole(
        self: Own, peer: int, message: Append, _fresh: Sequence[Entry], *, matched: int
    ) -> None:
        again = [each for each in message.entries if each.index > self.commit]
        append(self, peer, message, again, matched=matched)

    def anew(self: Follower, upto: int, stamp: int) -> bool:
        self.rewound_at = 0
        return rewinds(self, upto, stamp)

    # Each answer that logs differ has a leader begin anew, entry by entry: else nothing comes a
    # second time without all that is behind it.
    with (
        swapped(Own, "append", whole),
        swapped(Follower, "rewinds", anew),
    ):
        yield


@REPLICATING.bug(
    "liveness",
    row=9,
    budget=6,
    engine="raft",
    workload="register",
    members=3,
    snapshot_entries=0,
    faults=["partition"],
    directed=script(
        *_writes(900, 8_000),
        fault(1_500, "isolate_leader", ms=4_000),
        *(ask(16_000 + n, Range("k"), client=n, member=n) for n in range(3)),
        engine="raft",
        clients=8,
        timeout_ms=400,
        end_ms=9_000,
    ),
)
def raft_never_goes_back() -> Generator[None]:
    """A leader that is told where logs differ sends the same once more, for ever (V7)."""

    def stubborn(_self: Follower, _upto: int, _stamp: int) -> bool:
        return False

    with swapped(Follower, "rewinds", stubborn):
        yield


@REPLICATING.bug(
    "raft-safety",
    row=10,
    budget=10,
    engine="raft",
    workload="register",
    members=5,
    spares=0,
    pack_bytes=200,
    faults=["partition", "process", "operations"],
    directed=script(
        *_writes(900, 12_000),
        *(
            item
            for at in (1_500, 5_500, 9_500)
            for item in (
                fault(at - 600, "transfer", member=0),
                fault(at, "halves", side=[0, 1], ms=2_900),
                fault(at + 2_300, "transfer", member=3),
                fault(at + 2_500, "transfer", member=4),
            )
        ),
        engine="raft",
        members=5,
        clients=8,
        timeout_ms=400,
        end_ms=13_000,
    ),
)
def raft_commits_what_was_not_compared() -> Generator[None]:
    """A follower commits as far as the leader has, whatever its own log holds there (V3)."""
    append = Following.append

    def trusting(self: Following, peer: int, message: Append) -> None:
        append(self, peer, message)
        decides, log = self.replica.inner, self.replica.log
        assert isinstance(decides, Own), "a bug of the engine's own decisions"
        decides.commit = max(decides.commit, min(message.commit, log.last_index))

    with swapped(Following, "append", trusting):
        yield


def _late(source: int, target: int, at: int, ms: int) -> Item:
    return fault(at, "clog", **{"from": source, "to": target, "ms": ms})


_LATE_ACKNOWLEDGEMENT = (
    fault(500, "transfer", member=0),
    # 1 has six entries that only 0 and it ever saw; what it says of them comes late.
    *(
        _late(a, b, 2_000, 950)
        for one in (0, 1)
        for other in (2, 3, 4)
        for a, b in ((one, other), (other, one))
    ),
    _late(1, 0, 2_000, 1_840),
    *(ask(2_050 + n, Put("k", f"old {n}"), client=n) for n in range(6)),
    # Another leads and overwrites them; then 0 does, heard by 3 alone.
    fault(3_300, "transfer", member=0),
    *(_late(0, other, 3_700, 2_500) for other in (1, 2, 4)),
    *(ask(3_750 + n, Put("k", f"new {n}"), client=6 + n) for n in range(12)),
)


@REPLICATING.bug(
    "raft-safety",
    row=11,
    budget=0,
    engine="raft",
    workload="register",
    members=5,
    spares=0,
    nemesis_ms=300,
    faults=["message", "partition", "operations"],
    directed=script(
        *_LATE_ACKNOWLEDGEMENT, engine="raft", members=5, clients=20, timeout_ms=400, end_ms=7_000
    ),
)
def raft_counts_acknowledgements_of_earlier_terms() -> Generator[None]:
    """What a member held before another leader overwrote it is counted later (V2)."""
    led = RaftEngine._led

    def lenient(self: RaftEngine, peer: int, message: Message) -> None:
        if isinstance(message, Ack):
            message = message._replace(term=self._replica.term)
        led(self, peer, message)

    quick = swapped(engines, "ELECTION_MS", 300)
    with quick, swapped(engines, "HEARTBEAT_MS", 100), swapped(RaftEngine, "_led", lenient):
        yield
