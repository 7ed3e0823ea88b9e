"""What raft guarantees, held against engines that break it; machines follow the log's members."""

from collections.abc import Sequence

import pytest

from core.members import Change, ChangeKind
from net import replicator as raft
from net.changes import framed
from net.replicator import Configuration, Entry, RaftInput, RaftOutput, Role
from sim.ledger import RaftBrokenError
from sim.provision import LINGER_MS, START_MS, Provision
from sim.truth import Truth, Watched
from sim.world import World

THREE: Configuration = {1: True, 2: True, 3: True}


class Puppet:
    """An engine that does what a test says."""

    def __init__(self, members: Configuration = THREE) -> None:
        self.out = raft.NOTHING
        self.members = members
        self.role = Role(0, 0, False)
        self.commit_index = 0
        self.refused_frames = 0

    def step(self, now_ms: int, inputs: Sequence[RaftInput]) -> RaftOutput:
        return self.out

    def match_of(self, member: int) -> int:
        return 0


class Judged:
    """Members 1 to 3 under one truth; `disks` says who holds what."""

    def __init__(self) -> None:
        self.disks: dict[int, set[Entry]] = {1: set(), 2: set(), 3: set()}
        self.changes: list[Change] = []
        self.world = World(1)
        self.truth = Truth(
            self.world,
            lambda member, entry: entry in self.disks.get(member, ()),
            self.changes.append,
            dict(THREE),
        )

    def apply(self, member: int, *entries: Entry, held_by: Sequence[int] = (1, 2, 3)) -> None:
        for each in held_by:
            self.disks.setdefault(each, set()).update(entries)
        engine = Puppet()
        engine.out = RaftOutput(apply=entries)
        Watched(engine, member, self.truth).step(0, [])

    def lead(self, member: int, term: int) -> None:
        engine = Puppet()
        engine.out = RaftOutput(role=Role(term, member, True))
        Watched(engine, member, self.truth).step(0, [])


def entry(index: int, payload: bytes = b"", term: int = 1) -> Entry:
    return Entry(index, term, payload)


def test_members_may_apply_the_same_log_one_after_the_other() -> None:
    judged = Judged()
    judged.apply(1, entry(1), entry(2, b"x"))
    judged.apply(2, entry(1), entry(2, b"x"))
    judged.apply(3, entry(1))
    assert judged.truth.entries == [entry(1), entry(2, b"x")]


@pytest.mark.parametrize("other", [entry(1, b"y"), entry(1, b"x", term=2)])
def test_two_values_at_one_index_are_seen(other: Entry) -> None:
    judged = Judged()
    judged.apply(1, entry(1, b"x"))
    with pytest.raises(RaftBrokenError, match="INV-LOG-MATCHES"):
        judged.apply(2, other)


def test_an_index_that_nobody_applied_before_the_next_is_seen() -> None:
    with pytest.raises(RaftBrokenError, match="INV-LOG-MATCHES"):
        Judged().apply(1, entry(2))


def test_two_leaders_of_one_term_are_seen() -> None:
    judged = Judged()
    judged.lead(1, 4)
    judged.lead(2, 5)
    judged.lead(1, 4)
    with pytest.raises(RaftBrokenError, match="INV-ONE-LEADER-PER-TERM"):
        judged.lead(2, 4)


def test_what_one_member_alone_has_durably_must_not_be_applied() -> None:
    judged = Judged()
    judged.apply(1, entry(1), held_by=(1, 3))
    with pytest.raises(RaftBrokenError, match="INV-COMMIT-ON-MAJORITY"):
        judged.apply(1, entry(2), held_by=(1,))


def test_learners_do_not_count_and_new_voters_do_from_their_change_on() -> None:
    judged = Judged()
    learner, voter = Change(ChangeKind.ADD_LEARNER, 4), Change(ChangeKind.PROMOTE, 4)
    judged.apply(1, entry(1, framed(learner, b"")), held_by=(1, 2))
    with pytest.raises(RaftBrokenError, match="INV-COMMIT-ON-MAJORITY"):
        judged.apply(1, entry(2), held_by=(1, 4))
    judged = Judged()
    judged.apply(1, entry(1, framed(learner, b"")), entry(2, framed(voter, b"")))
    assert judged.changes == [learner, voter]
    assert judged.truth.members == {**THREE, 4: True}
    judged.apply(1, entry(3), held_by=(1, 2, 4))


class Machines:
    """A provision's machines: which of them run."""

    def __init__(self) -> None:
        self.running = {0, 1, 2}
        self.world = World(1)
        self.provision = Provision(
            self.world, 3, 2, start=self.running.add, stop=self.running.discard
        )

    def change(self, kind: ChangeKind, member: int) -> None:
        self.provision.changed(Change(kind, member))
        self.world.run_until(self.world.now_us + (START_MS + LINGER_MS) * 1000)


def test_a_machine_runs_from_when_the_log_adds_it_until_it_removes_it() -> None:
    machines = Machines()
    assert not machines.provision.may_run(3)
    machines.change(ChangeKind.ADD_LEARNER, 4)
    assert machines.running == {0, 1, 2, 3}
    machines.change(ChangeKind.PROMOTE, 4)
    machines.change(ChangeKind.REMOVE, 1)
    assert machines.running == {1, 2, 3}
    assert not machines.provision.may_run(0)
    assert machines.provision.members() == [1, 2, 3]


def test_clients_of_a_removed_member_turn_to_those_that_are_left() -> None:
    machines = Machines()
    assert [machines.provision.turn_to(each) for each in range(3)] == [0, 1, 2]
    machines.change(ChangeKind.REMOVE, 1)
    assert machines.provision.turn_to(0) in (1, 2)
    machines.change(ChangeKind.ADD_VOTER, 4)
    machines.change(ChangeKind.ADD_VOTER, 5)
    asked = {machines.provision.turn_to(each % 3) for each in range(100)}
    assert asked == {1, 2, 3, 4}
