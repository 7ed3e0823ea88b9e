"""Planted bugs of reads: who may answer, what has to be confirmed first, and as of which revision.

Rule of this file: each patches one function of the core; its docstring says what is wrong.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator

from core import answering, node
from core.answering import is_local
from core.answers import LeaseTimeToLiveAnswer, RangeAnswer
from core.errors import Failure
from core.inputs import Asked, ReadReady
from core.lessor import Lessor
from core.operations import LeaseTimeToLive, Query
from core.operations import Range as CoreRange
from core.ranges import PageCounts, read
from core.rounds import Rounds
from core.state import State
from sim.ops import Grant, Put, Range, TimeToLive
from sim.plan import Item
from sim.planted.bug import Catalogue, ask, fault, script
from sim.planted.ordering import unnoticed
from sim.swapping import swapped

READING = Catalogue()

TRUSTED_MS = 10_000


def _read_meanwhile(*faults: Item) -> tuple[Item, ...]:
    """Write and read on each member, by clients of its own, while something is wrong."""
    writes = (
        ask(at, Put("k", f"{at}.{member}"), client=member, member=member)
        for at in range(900, 20_000, 60)
        for member in range(3)
    )
    reads = (
        ask(at + 7 * reader, Range("k"), client=3 + reader, member=reader % 3)
        for at in range(900, 20_000, 60)
        for reader in range(9)
    )
    return (*writes, *reads, *faults)


def _cut_off_leaders() -> tuple[Item, ...]:
    """Cut off whoever leads, again and again: it does not know at once that another does."""
    times = range(2_000, 19_000, 4_000)
    return _read_meanwhile(*(fault(at, "isolate_leader", ms=2_800) for at in times))


def _delays(mean_ms: int) -> tuple[Item, ...]:
    """Let every message come late."""
    return _read_meanwhile(
        *(
            fault(1_000, "delay", **{"from": one, "to": other, "ms": 18_000, "mean_ms": mean_ms})
            for one in range(3)
            for other in range(3)
            if one != other
        )
    )


@READING.bug(
    "linear",
    row=1,
    budget=8,
    workload="register",
    members=3,
    faults=["partition"],
    nemesis_ms=1_000,
    keys=1,
    clients=12,
    think_ms=10,
    timeout_ms=400,
    operations=500,
    directed=script(*_cut_off_leaders(), clients=12, timeout_ms=400, end_ms=20_000),
)
def leader_reads_alone() -> Generator[None]:
    """Who thinks that it leads answers reads without asking a quorum."""
    ask_node = node.Node._ask

    def trusting(self: node.Node, given: Asked) -> None:
        if isinstance(given.query, CoreRange) and self.leading_term:
            self._answer(given)
        else:
            ask_node(self, given)

    with unnoticed(), swapped(node.Node, "_ask", trusting):
        yield


@READING.bug(
    "linear",
    row=45,
    budget=8,
    workload="register",
    members=3,
    nemesis_ms=1_000,
    duration_ms=15_000,
    watchers=1,
    faults=["partition"],
    keys=1,
    clients=12,
    think_ms=40,
    timeout_ms=400,
    operations=1_000,
    mix=["register.get", "register.put"],
    directed=script(*_cut_off_leaders(), clients=12, timeout_ms=400, end_ms=20_000),
)
def leader_trusts_its_last_round() -> Generator[None]:
    """A leader that was confirmed a while ago answers without asking again (etcd #20418)."""
    ask_node, ready = node.Node._ask, node.Node._read_ready

    def confirmed(self: node.Node, given: ReadReady) -> None:
        vars(self)["confirmed_ms"] = self.now_ms
        ready(self, given)

    def trusting(self: node.Node, given: Asked) -> None:
        since: int = vars(self).get("confirmed_ms", -TRUSTED_MS)
        fresh = self.now_ms - since < TRUSTED_MS
        if isinstance(given.query, CoreRange) and self.leading_term and fresh:
            self._answer(given)
        else:
            ask_node(self, given)

    asks = swapped(node.Node, "_ask", trusting)
    with unnoticed(), asks, swapped(node.Node, "_read_ready", confirmed):
        yield


@READING.bug(
    "linear",
    row=2,
    workload="register",
    members=3,
    directed=script(*_delays(100), clients=12, end_ms=20_000),
)
def any_member_answers_reads() -> Generator[None]:
    """Every member answers every read from what it has."""

    def careless(query: Query) -> bool:
        return isinstance(query, CoreRange) or is_local(query)

    with swapped(node, "is_local", careless):
        yield


@READING.bug(
    "linear",
    budget=8,
    workload="register",
    members=3,
    faults=["disk"],
    keys=1,
    clients=12,
    think_ms=10,
    directed=script(
        *_read_meanwhile(
            *(fault(1_000, "slow_disk", member=m, ms=18_000, operation_ms=150) for m in range(3))
        ),
        clients=12,
        end_ms=20_000,
    ),
)
def reads_do_not_wait_for_the_log() -> Generator[None]:
    """A read is answered once its index is known, though it is not applied here yet."""
    ready = Rounds.ready

    def hasty(self: Rounds, number: int, index: int, applied_index: int) -> list[Asked]:
        return ready(self, number, min(index, applied_index), applied_index)

    with swapped(Rounds, "ready", hasty):
        yield


@READING.bug(
    "linear",
    budget=8,
    workload="register",
    members=3,
    faults=["message"],
    keys=1,
    clients=12,
    watchers=1,
    think_ms=10,
    operations=500,
    link_ms=1,
    directed=script(
        fault(900, "transfer", member=0),
        *(
            item
            for at in range(1_500, 5_000, 500)
            for item in (
                fault(at, "clog", **{"from": 0, "to": 1, "ms": 300}),
                ask(at, Range("k"), client=1, member=1),
                ask(at + 100, Put("k", str(at))),
                ask(at + 200, Range("k"), client=2, member=1),
            )
        ),
        end_ms=6_000,
    ),
)
def late_reads_join_a_round() -> Generator[None]:
    """A read that comes while a round is under way is answered with it."""
    gather = Rounds.gather

    def joining(self: Rounds, asked: Asked) -> None:
        round_under_way = self._under_way.get(self.newest)
        if round_under_way is None:
            gather(self, asked)
        else:
            round_under_way.append(asked)

    with swapped(Rounds, "gather", joining):
        yield


@READING.bug(
    "linear",
    workload="register",
    budget=4,
    directed=script(
        *(ask(900 + 100 * n, Put("k", str(n))) for n in range(3)), ask(1_500, Range("k", rev=2))
    ),
)
def reads_of_the_past_show_now() -> Generator[None]:
    """A read at an old revision gets the newest records."""

    def forgetful(
        state: State, query: CoreRange, counts: PageCounts, header_revision: int | None = None
    ) -> RangeAnswer | Failure:
        if state.compact_revision < query.revision <= state.revision:
            query = query._replace(revision=0)
        return read(state, query, counts, header_revision)

    with swapped(node, "read", forgetful), swapped(answering, "read", forgetful):
        yield


@READING.bug(
    "serializable",
    row=43,
    workload="register",
    directed=script(ask(900, Put("k", "1")), ask(1_200, Range("k", serializable=True))),
)
def serializable_header_is_ahead() -> Generator[None]:
    """A serializable read tells a revision that the member has not come to."""

    def ahead(
        state: State, query: CoreRange, counts: PageCounts, header_revision: int | None = None
    ) -> RangeAnswer | Failure:
        answer = read(state, query, counts, header_revision)
        if query.serializable and isinstance(answer, RangeAnswer):
            return answer._replace(revision=answer.revision + 1)
        return answer

    with swapped(answering, "read", ahead):
        yield


@READING.bug(
    "serializable",
    workload="register",
    directed=script(
        ask(900, Put("k", "1")),
        ask(1_000, Put("k", "2")),
        ask(1_200, Range("k", serializable=True)),
    ),
)
def serializable_reads_lag_behind_their_header() -> Generator[None]:
    """A serializable read shows the records of the revision before the one it tells."""

    def lagging(
        state: State, query: CoreRange, counts: PageCounts, header_revision: int | None = None
    ) -> RangeAnswer | Failure:
        if query.serializable and not query.revision and state.compact_revision < state.revision:
            query = query._replace(revision=max(1, state.revision - 1))
        return read(state, query, counts, header_revision)

    with swapped(answering, "read", lagging):
        yield


@READING.bug(
    "lease",
    workload="lease",
    directed=script(ask(900, Grant(7, 60)), ask(1_200, TimeToLive(7))),
)
def time_to_live_is_made_up() -> Generator[None]:
    """A question about a lease is answered with one more second than was granted."""
    told = answering._time_to_live

    def generous(state: State, lessor: Lessor, query: LeaseTimeToLive) -> LeaseTimeToLiveAnswer:
        answer = told(state, lessor, query)
        return answer._replace(granted_ttl_s=answer.granted_ttl_s + 1)

    with swapped(answering, "_time_to_live", generous):
        yield
