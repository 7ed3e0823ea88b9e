"""Planted bugs of watches: each breaks one of the guarantees in etcd's own words for them.

Rule of this file: each patches the hub of one's own member; its docstring says what is wrong.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Callable, Generator, Iterable, Sequence

from core import watches
from core.records import Version
from core.state import State
from core.watches import WatchHub
from core.watching import (
    Change,
    Flavour,
    Group,
    Message,
    Progress,
    WatchCreate,
    Watcher,
    WatchStream,
    is_wanted,
)
from net.driver import Driver
from net.turns import DriverInput, Io
from sim.ops import Compact, Delete, Put, Txn
from sim.plan import Item, Plan
from sim.planted.bug import Catalogue, ask, fault, script, watch
from sim.swapping import swapped

WATCHING = Catalogue()

_WRITES = tuple(ask(900 + 50 * n, Put(f"k{n % 2}", str(n))) for n in range(6))
"""Revisions 2 to 7, until 1150 ms."""


@WATCHING.bug(
    "watch",
    row=25,
    workload="watch",
    budget=4,
    directed=script(*_WRITES, watch(1_300, "k", "l", rev=3)),
)
def watch_resumes_too_late() -> Generator[None]:
    """A watch from a past revision misses the changes of that revision."""
    create = WatchHub.create

    def late(self: WatchHub, state: State, stream: WatchStream, want: WatchCreate) -> None:
        if 0 < want.start_revision <= state.revision:
            want = want._replace(start_revision=want.start_revision + 1)
        create(self, state, stream, want)

    with swapped(WatchHub, "create", late):
        yield


@WATCHING.bug(
    "watch",
    row=25,
    workload="watch",
    budget=4,
    directed=script(*_WRITES, watch(1_300, "k", "l", rev=4)),
)
def watch_resumes_too_early() -> Generator[None]:
    """A watch from a past revision repeats the changes of the one before."""
    create = WatchHub.create

    def early(self: WatchHub, state: State, stream: WatchStream, want: WatchCreate) -> None:
        if max(2, state.compact_revision) < want.start_revision <= state.revision:
            want = want._replace(start_revision=want.start_revision - 1)
        create(self, state, stream, want)

    with swapped(WatchHub, "create", early):
        yield


@WATCHING.bug(
    "watch",
    row=26,
    workload="watch",
    watchers=6,
    operations=500,
    think_ms=10,
    budget=8,
    directed=script(
        *(ask(900 + n, Put("k", str(n)), client=n % 4) for n in range(400)),
        *(watch(1_000 + 7 * n, "k", rev=2, watcher=n) for n in range(4)),
    ),
)
def live_events_before_catch_up() -> Generator[None]:
    """A watcher that is still catching up gets new events at once, before the old ones."""
    publish, turn = WatchHub.publish, Driver.turn

    def impatient(self: WatchHub, state: State, changes: Iterable[Version]) -> None:
        changes = tuple(changes)
        publish(self, state, changes)
        for version in changes:
            change = Change(version, self._previous(state, version, state.index.before))
            for group in self._map.matching(version.key):
                ready = [w for w in group.unsynced if not w.stream.blocked]
                self._send(ready, [change], state.revision)

    def unhurried(self: Driver, now_ms: int, inputs: Sequence[DriverInput]) -> Io:
        io = turn(self, now_ms, inputs)
        io.busy = bool(self._raft_inputs)
        return io

    # So short a slice, and none until something comes: else nothing can come in between.
    slices = swapped(watches, "WATCH_SLICE_REVISIONS", 2)
    turns = swapped(Driver, "turn", unhurried)
    with slices, turns, swapped(WatchHub, "publish", impatient):
        yield


@WATCHING.bug(
    "watch",
    row=27,
    workload="txn",
    directed=script(watch(800, "k", "l"), ask(1_000, Txn((), (Put("k1", "a"), Put("k2", "b"))))),
)
def transaction_split_over_two_messages() -> Generator[None]:
    """The changes of one revision come in two responses that do not say so."""
    send = WatchHub._send

    def split(self: WatchHub, to: list[Watcher], pending: list[Change], revision: int) -> None:
        if len(pending) > 1 and pending[-1].version.mod == pending[-2].version.mod:
            send(self, to, pending[:-1], revision)
            pending = pending[-1:]
        send(self, to, pending, revision)

    with swapped(WatchHub, "_send", split):
        yield


@WATCHING.bug(
    "watch",
    row=28,
    workload="watch",
    directed=script(
        watch(800, "k", prev_kv=True), ask(1_000, Put("k", "1")), ask(1_100, Delete("k"))
    ),
)
def previous_missing_on_delete() -> Generator[None]:
    """The event of a deletion lacks the record it deleted, though it was asked for."""
    previous = WatchHub._previous

    def forgetful(
        self: WatchHub, state: State, version: Version, before: watches._Before
    ) -> Version | None:
        return previous(self, state, version, before) if version.version else None

    with swapped(WatchHub, "_previous", forgetful):
        yield


@WATCHING.bug(
    "watch",
    row=29,
    workload="watch",
    directed=script(
        watch(800, "k", "l", progress=True),
        *(ask(at, Put("k", str(at))) for at in range(900, 29_000, 3_100)),
        end_ms=30_000,
    ),
)
def progress_ahead_of_delivery() -> Generator[None]:
    """Progress is announced at a revision that is still to come (etcd #15220)."""
    say = WatchHub._say

    def boastful(self: WatchHub, stream: WatchStream, message: Message) -> None:
        if type(message) is Progress:
            message = message._replace(revision=message.revision + 1)
        say(self, stream, message)

    with swapped(WatchHub, "_say", boastful):
        yield


@WATCHING.bug(
    "watch",
    row=42,
    budget=10,
    workload="watch",
    faults=["client"],
    directed=script(
        watch(800, "k"),
        *(ask(900 + 10 * n, Put("k", str(n) * 20_000), client=n % 4) for n in range(150)),
        fault(1_000, "slow_watcher", watcher=0, ms=1_000),
    ),
)
def slow_watcher_loses_events() -> Generator[None]:
    """What happens while a watcher's connection is full is not told it later (etcd #17529)."""
    deliver = WatchHub._deliver

    def forgetful(self: WatchHub, group: Group, pending: list[Change], revision: int) -> None:
        full = [watcher for watcher in group.synced if watcher.stream.blocked]
        for watcher in full:
            del group.synced[watcher]
        deliver(self, group, pending, revision)
        for watcher in full:
            group.synced[watcher] = None

    with swapped(WatchHub, "_deliver", forgetful):
        yield


@WATCHING.bug(
    "watch",
    workload="watch",
    budget=4,
    directed=script(
        watch(800, "k", filters=["nodelete"]), ask(1_000, Put("k", "1")), ask(1_100, Delete("k"))
    ),
)
def filters_are_swapped() -> Generator[None]:
    """Who wants no puts gets no deletions, and the other way round."""

    def swapped_filters(version: Version, flavour: Flavour) -> bool:
        turned = flavour._replace(no_put=flavour.no_delete, no_delete=flavour.no_put)
        return is_wanted(version, turned)

    with swapped(watches, "is_wanted", swapped_filters):
        yield


@WATCHING.bug(
    "watch",
    workload="watch",
    budget=5,
    directed=script(watch(800, "k", "l", rev=6), *_WRITES),
)
def future_watch_begins_now() -> Generator[None]:
    """A watch from a revision to come gets what happens before it (etcd #20221)."""
    create = WatchHub.create

    def eager(self: WatchHub, state: State, stream: WatchStream, want: WatchCreate) -> None:
        if want.start_revision > state.revision:
            want = want._replace(start_revision=0)
        create(self, state, stream, want)

    with swapped(WatchHub, "create", eager):
        yield


def _lagging(*watches: Item) -> Callable[[], Plan]:
    """Return a plan in which a member is cut off until only a snapshot can help it."""
    return script(
        *(ask(900 + 20 * n, Put("k", str(n)), client=n % 3, member=n % 2) for n in range(250)),
        *watches,
        fault(1_500, "isolate", member=2, ms=4_000),
        *(fault(5_300, "snapshot", member=member) for member in range(2)),
        snapshot_entries=20,
        end_ms=8_000,
    )


@WATCHING.bug(
    "watch",
    row=24,
    budget=8,
    workload="watch",
    members=3,
    snapshot_entries=20,
    faults=["partition", "process"],
    watchers=6,
    operations=500,
    think_ms=10,
    duration_ms=30_000,
    directed=_lagging(watch(1_000, "k", member=2)),
)
def watchers_stay_behind_after_install() -> Generator[None]:
    """A snapshot of another member is installed, and open watches are told nothing of the gap."""

    def idle(self: WatchHub, state: State, told: int) -> None:
        return None

    with swapped(WatchHub, "follow", idle):
        yield


@WATCHING.bug(
    "watch",
    row=23,
    budget=20,
    workload="watch+compaction",
    members=3,
    snapshot_entries=20,
    faults=["partition", "process", "operations"],
    watchers=6,
    operations=500,
    think_ms=10,
    duration_ms=30_000,
    directed=_lagging(
        watch(1_000, "k", member=2),
        ask(4_900, Compact(100), client=3),
    ),
)
def install_skips_what_is_compacted() -> Generator[None]:
    """Behind a snapshot that was compacted, open watches go on after the gap instead of ending."""
    follow = WatchHub.follow

    def skipping(self: WatchHub, state: State, told: int) -> None:
        follow(self, state, max(told, state.compact_revision - 1))

    with swapped(WatchHub, "follow", skipping):
        yield
