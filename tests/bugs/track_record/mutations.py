"""Bugs put into the core that are like those of others, where `sim.planted` has none such.

The rule of this file: a mutation patches one function for as long as its context lasts; its
docstring says what is then wrong, and whose bug it is like.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager

from core import machine, node, ranges, txn
from core.compaction import scrub_step as shipped_scrub
from core.errors import Failure
from core.ids import LeaseId
from core.operations import (
    Command,
    DeleteRange,
    LeaseGrant,
    Put,
    Range,
    Txn,
)
from core.ranges import PageCounts
from core.records import Version
from core.state import State
from core.watches import WatchHub
from core.watching import Progress, Watcher, WatchStream
from core.writes import Writer
from sim.swapping import swapped

Mutation = Callable[[], AbstractContextManager[None]]


@contextmanager
def progress_regardless_of_delivery() -> Generator[None]:
    """Progress is told though some watcher has not been sent all of it (etcd #15220)."""

    def hasty(self: WatchHub, state: State, stream: WatchStream) -> None:
        if stream.watchers:
            self._say(stream, Progress(state.revision, -1))

    with swapped(WatchHub, "request_progress", hasty):
        yield


@contextmanager
def future_watch_hears_of_progress() -> Generator[None]:
    """A watcher from a revision to come is told of progress before it (etcd #20221)."""

    def early(self: WatchHub, state: State, stream: WatchStream) -> None:
        if stream.watchers and all(watcher.synced for watcher in stream.watchers.values()):
            self._say(stream, Progress(state.revision, -1))

    with swapped(WatchHub, "request_progress", early):
        yield


@contextmanager
def compacted_watch_begins_at_what_is_left() -> Generator[None]:
    """A watcher from a compacted revision goes on at the compact revision (kine #747)."""

    def lenient(self: WatchHub, watcher: Watcher, compact_revision: int) -> None:
        watcher.next = compact_revision

    with swapped(WatchHub, "_cancel_compacted", lenient):
        yield


@contextmanager
def txn_events_come_twice() -> Generator[None]:
    """What a transaction changed is told a second time (etcd #17247)."""
    publish = WatchHub.publish

    def twice(self: WatchHub, state: State, changes: Iterable[Version]) -> None:
        changes = tuple(changes)
        publish(self, state, changes)
        if len(changes) > 1:
            publish(self, state, changes[-1:])

    with swapped(WatchHub, "publish", twice):
        yield


@contextmanager
def watch_goes_back_after_install() -> Generator[None]:
    """Behind another member's state watchers begin again where they once did (etcd #15271)."""
    follow = WatchHub.follow

    def again(self: WatchHub, state: State, told: int) -> None:
        follow(self, state, told)
        for watcher in self.unsynced:
            watcher.next = max(watcher.want.start_revision, 1)

    with swapped(WatchHub, "follow", again):
        yield


@contextmanager
def second_install_tells_watchers_nothing() -> Generator[None]:
    """Of a state that comes soon after another one watchers never hear (etcd #18055)."""
    follow = WatchHub.follow
    times: list[int] = []

    def once(self: WatchHub, state: State, told: int) -> None:
        times.append(told)
        if len(times) != 2:
            follow(self, state, told)

    with swapped(WatchHub, "follow", once):
        yield


@contextmanager
def txn_fails_half_applied() -> Generator[None]:
    """A transaction's reads are checked when they are reached, after its writes (etcd #18667)."""
    run = txn.run

    def late(state: State, command: Txn, writer: Writer, counts: PageCounts) -> machine.Answer:  # type: ignore[name-defined]  # the name that machine has for it
        answer = run(state, command, writer, counts)
        if type(answer) is Failure:
            for op in command.success:
                if type(op) is Put:
                    writer.put(op.key, op.value, op.lease)
        return answer

    with swapped(machine, "run", late):
        yield


@contextmanager
def failed_txn_burns_a_revision() -> Generator[None]:
    """A transaction that is refused takes a revision with it (kine #676)."""
    shipped = machine._txn

    def wasteful(state: State, command: Txn, counts: PageCounts) -> machine.Applied:
        applied = shipped(state, command, counts)
        if type(applied.answer) is Failure:
            state.revision += 1
        return applied

    with swapped(machine, "_txn", wasteful):
        yield


@contextmanager
def revision_falls_to_what_is_left() -> Generator[None]:
    """After a compaction the revision is that of the newest version left (etcd #17780)."""

    def forgetful(state: State) -> list[int]:
        dead = shipped_scrub(state)
        left = [version.mod for version in state.index.live.values()]
        state.revision = max(left, default=1)
        return dead

    with swapped(node, "scrub_step", forgetful):
        yield


@contextmanager
def leases_are_known_by_their_length() -> Generator[None]:
    """A put's lease is any that is as long as the one it names (kine #651)."""
    shipped = machine._put

    def confused(state: State, command: Put) -> machine.Applied:
        named = state.leases.get(LeaseId(command.lease))
        if named is not None:
            alike = min(each.id for each in state.leases.values() if each.ttl_s == named.ttl_s)
            command = command._replace(lease=alike)
        return shipped(state, command)

    with swapped(machine, "_put", confused):
        yield


@contextmanager
def deletions_count_against_the_quota() -> Generator[None]:
    """A full store refuses deletions (microk8s #3064)."""

    def strict(command: Command) -> bool:
        return type(command) in (Put, LeaseGrant, DeleteRange, Txn)

    with swapped(machine, "grows", strict):
        yield


@contextmanager
def keys_only_sends_values() -> Generator[None]:
    """A list that wants keys alone is answered whole (kine #513)."""
    read = ranges.read

    def generous(
        state: State, query: Range, counts: PageCounts, header_revision: int | None = None
    ) -> object:
        return read(state, query._replace(keys_only=False), counts, header_revision)

    with swapped(node, "read", generous):
        yield


MUTATIONS: Mapping[str, Mutation] = {
    each.__name__: each
    for each in (
        progress_regardless_of_delivery,
        future_watch_hears_of_progress,
        compacted_watch_begins_at_what_is_left,
        txn_events_come_twice,
        watch_goes_back_after_install,
        second_install_tells_watchers_nothing,
        txn_fails_half_applied,
        failed_txn_burns_a_revision,
        revision_falls_to_what_is_left,
        leases_are_known_by_their_length,
        deletions_count_against_the_quota,
        keys_only_sends_values,
    )
}
