"""Planted bugs of what is told: caches that go stale, events told twice, refusals that are none.

Rule of this file: each is here for one class of verdict, which it names, and which no bug of the
other groups earns; its docstring says what is wrong.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator, Iterable

from core import checks, errors
from core.errors import FAILED_PRECONDITION, TIMED_OUT_LEADER, Failure
from core.operations import Operation
from core.records import Version
from core.state import State
from core.watches import WatchHub
from core.watching import Change, Group
from sim.ops import Delete, Put, Txn
from sim.plan import Item
from sim.planted.bug import Catalogue, ask, fault, script, watch
from sim.swapping import swapped
from sim.workloads.kube import PREFIX

TELLING = Catalogue()


def _informed() -> tuple[Item, ...]:
    """Let an informer list two objects and watch, and delete one of them."""
    informer = {"member": 0, "limit": 0, "asks": False}
    return (
        ask(900, Put(f"{PREFIX}a", "1")),
        ask(950, Put(f"{PREFIX}b", "1")),
        Item(1_100, "watcher", 0, "kube.informer", {**informer}),
        ask(1_500, Delete(f"{PREFIX}a")),
        ask(1_600, Put(f"{PREFIX}b", "2")),
    )


@TELLING.bug(
    "watch",
    klass="watch/informer-cache",
    budget=4,
    workload="kube",
    directed=script(*_informed(), workload="kube", watchers=1),
)
def deletions_are_not_told() -> Generator[None]:
    """Watchers that are up to date hear of puts alone: what is deleted stays in every cache."""
    publish = WatchHub.publish

    def sparing(self: WatchHub, state: State, changes: Iterable[Version]) -> None:
        publish(self, state, [version for version in changes if version.version])

    with swapped(WatchHub, "publish", sparing):
        yield


@TELLING.bug(
    "watch",
    klass="watch/unique",
    budget=4,
    workload="watch",
    directed=script(
        watch(800, "k", "l"), *(ask(900 + 50 * n, Put(f"k{n % 2}", str(n))) for n in range(6))
    ),
)
def events_are_told_twice() -> Generator[None]:
    """What is told to watchers that are up to date is told once more in the same breath."""
    deliver = WatchHub._deliver

    def stammering(self: WatchHub, group: Group, pending: list[Change], revision: int) -> None:
        deliver(self, group, [*pending, *pending], revision)

    with swapped(WatchHub, "_deliver", stammering):
        yield


@TELLING.bug(
    "linear",
    klass="linear/misshapen-accepted",
    budget=6,
    workload="txn",
    directed=script(ask(900, Txn((), (Put("k", "1"), Put("k", "2"))))),
)
def keys_may_be_put_twice() -> Generator[None]:
    """A transaction that puts a key twice is taken."""

    def anything(ops: tuple[Operation, ...]) -> Failure | None:
        return None

    with swapped(checks, "_check_duplicates", anything):
        yield


def _leaders_fall() -> tuple[Item, ...]:
    """Write at whoever leads, and cut it off again and again: some of it is committed all the same.

    Only messages to it are lost: what it sent arrives.
    """
    writes = (
        ask(at + member, Put("k", f"{at}.{member}"), client=member, member=member)
        for at in range(900, 16_000, 20)
        for member in range(3)
    )
    return (*writes, *(fault(at, "depose", ms=300) for at in range(1_500, 15_000, 700)))


@TELLING.bug(
    "durability",
    klass="durability/refused-but-applied",
    budget=8,
    workload="register",
    members=3,
    faults=["operations", "partition"],
    nemesis_ms=300,
    clients=12,
    think_ms=10,
    operations=500,
    directed=script(*_leaders_fall(), end_ms=16_000, link_ms=20),
)
def unknown_outcomes_are_called_refusals() -> Generator[None]:
    """Who asked a leader that fell is told that nothing was done, which nobody knows."""
    refusal = Failure(FAILED_PRECONDITION, TIMED_OUT_LEADER.text)
    with swapped(errors, "TIMED_OUT_LEADER", refusal):
        yield
