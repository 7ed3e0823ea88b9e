"""Bugs of etcd about a member that takes over another's state, with watches open on it.

The rule of this file: one node follows, gets the leader's state once or twice, and goes on by the
log; each test says whose bug it was, and that it would be seen.
"""

from collections.abc import Sequence

import pytest

from core.codec import ProposalId, Proposed
from core.effects import Notify
from core.inputs import Committed, Deposed, Installed, RoomChanged, WatchAsked, WatchOpened
from core.node import Node
from core.operations import Command, Compact, Put
from core.state import State
from core.watching import Compacted, Events, WatchCreate, WatchStream
from net.etcd.pb import rpc_pb2 as pb
from sim.planted import planted
from tests.bugs.track_record.mutations import MUTATIONS
from tests.driver_world import CONFIG


class Follower:
    """A member that does not lead, a watch on all its keys, and what that was told."""

    def __init__(self, start: int = 0) -> None:
        self.node = Node(State(), CONFIG)
        self.stream = WatchStream()
        self.told: list[int] = []
        """The revision of each event."""
        self.compacted = 0
        self.step(Deposed(1, leader=2))
        self.step(WatchOpened(self.stream, 0))
        self.step(WatchAsked(self.stream, WatchCreate(b"a", b"z", start)))

    def step(self, given: object) -> None:
        """Take an input, and note what the watch hears."""
        effects = list(self.node.step(given))  # type: ignore[arg-type]  # any input
        while self.node.has_work():
            effects += self.node.work()
        for effect in effects:
            if not isinstance(effect, Notify):
                continue
            if isinstance(effect.message, Events):
                self.told += revisions(effect.message)
            elif isinstance(effect.message, Compacted):
                self.compacted = effect.message.compact_revision

    def follow(self, log: Sequence[Command], begin: int, end: int) -> None:
        """Apply entries of the log."""
        for index in range(begin, end + 1):
            self.step(Committed(index, 1, pack(index, log[index - 1])))


def pack(index: int, command: Command) -> list[Proposed]:
    """One command as a pack."""
    return [Proposed(ProposalId(9, index), command)]


def revisions(message: Events) -> list[int]:
    """Return the revision of each event of a message."""
    response = pb.WatchResponse.FromString(message.events)
    return [event.kv.mod_revision for event in response.events]


def leader(log: Sequence[Command], last: int) -> State:
    """Return the state that a log makes, up to an index."""
    other = Node(State(), CONFIG)
    for index in range(1, last + 1):
        other.step(Committed(index, 1, pack(index, log[index - 1])))
        while other.has_work():
            other.work()
    return other.state


LOG: Sequence[Command] = [Put(b"k", b"%d" % n) for n in range(12)]
"""Entry n makes revision n + 1."""


def watched_through(log: Sequence[Command], installs: Sequence[int], *, start: int = 0) -> Follower:
    """Follow to entry 3, take over states at these indexes, then follow to the end."""
    member = Follower(start)
    member.follow(log, 1, 3)
    for index in installs:
        member.step(Installed(leader(log, index)))
    member.follow(log, member.node.state.applied_index + 1, len(log))
    return member


def test_a_watch_does_not_travel_back_behind_a_partition() -> None:
    """etcd #15271: a member came back from a partition by a snapshot, and told old events again."""
    assert watched_through(LOG, [8]).told == list(range(2, 14))
    assert watched_through(LOG, [8], start=2).told == list(range(2, 14))


def test_two_states_in_a_row_are_taken_over() -> None:
    """etcd #18055: a second snapshot that came soon after the first ended the member."""
    member = watched_through(LOG, [6, 9])
    assert member.told == list(range(2, 14))
    assert member.node.state.state_hash() == leader(LOG, len(LOG)).state_hash()


def test_a_blocked_watch_gets_what_it_missed_behind_both() -> None:
    member = Follower()
    member.follow(LOG, 1, 3)
    member.step(RoomChanged(member.stream, True))
    member.step(Installed(leader(LOG, 6)))
    member.step(Installed(leader(LOG, 9)))
    assert member.told == [2, 3, 4]
    member.step(RoomChanged(member.stream, False))
    member.follow(LOG, 10, 12)
    assert member.told == list(range(2, 14))


def test_a_gap_that_was_compacted_ends_the_watch() -> None:
    """etcd #15271 as well: what can no longer be told must not be skipped without a word."""
    log = [*LOG[:8], Compact(8), *LOG[8:]]
    member = watched_through(log, [9])
    assert member.compacted == 8
    assert member.told == [2, 3, 4]


@pytest.mark.parametrize(
    "bug",
    [
        "watch_goes_back_after_install",
        "watchers_stay_behind_after_install",
        "second_install_tells_watchers_nothing",
    ],
)
def test_it_would_be_seen_if_it_were_here(bug: str) -> None:
    with MUTATIONS[bug]() if bug in MUTATIONS else planted(bug):
        try:
            seen = watched_through(LOG, [6, 9]).told
        except AssertionError:
            return
    assert seen != list(range(2, 14))


def test_a_gap_that_is_skipped_would_be_seen() -> None:
    log = [*LOG[:8], Compact(8), *LOG[8:]]
    with planted("install_skips_what_is_compacted"):
        assert watched_through(log, [9]).compacted == 0
