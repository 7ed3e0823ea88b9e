"""Changes of members among whole members: asked anywhere, made once, and alike everywhere."""

import shutil
from pathlib import Path

import pytest

from core.answers import MembersAnswer
from core.errors import PEER_URL_EXISTS
from core.members import Member, MemberRole, configuration
from core.operations import (
    MemberAdd,
    MemberPromote,
    MemberRemove,
    Put,
    RoleAssign,
)
from net.disk import RealDisk
from net.driver import Synced
from net.metrics import Metrics
from net.store.batch import Identity
from net.telemetry import SILENT
from net.turns import LeadershipTo
from server.recover import Directory, open_member
from tests.mesh_world import CLUSTER, contact
from tests.peer_world import PeerWorld, Whole

REPLACED_MS = 30_000
"""A lost voter's place is taken in this time."""


@pytest.fixture
def world(tmp_path: Path) -> PeerWorld:
    return PeerWorld(tmp_path, 3)


def follower(world: PeerWorld) -> Whole:
    leader = world.leader()
    return next(each for each in world.wholes.values() if each is not leader)


def add(number: int, role: MemberRole) -> MemberAdd:
    return MemberAdd(number, contact(number).urls, role, 9)


def table(whole: Whole) -> dict[int, Member]:
    return whole.driver.node.state.members


def roles(whole: Whole) -> str:
    """The members' roles by id, a letter each."""
    letters = {0: "v", 1: "s", 2: "p", 3: "j"}
    return "".join(letters[member.role] for _, member in sorted(table(whole).items()))


def check_alike(world: PeerWorld) -> None:
    """All have one state, and Raft counts among whom the table names."""
    world.run(1_000)
    states = {whole.driver.node.state.state_hash() for whole in world.wholes.values()}
    assert len(states) == 1
    for whole in world.wholes.values():
        assert whole.driver.engine.members == configuration(table(whole))


def test_members_tell_of_themselves_and_all_know_it(world: PeerWorld) -> None:
    leader = world.leader()
    check_alike(world)
    names = [(member.name, member.client_urls) for _, member in sorted(table(leader).items())]
    assert names == [(f"m{each}", (f"http://10.0.0.{each}:2379",)) for each in (1, 2, 3)]
    world.close()


def test_a_learner_is_added_promoted_and_removed_by_who_does_not_lead(world: PeerWorld) -> None:
    asked = follower(world)
    world.run(6_000)
    answer = asked.change(add(4, MemberRole.STAND_BY))
    assert isinstance(answer, MembersAnswer)
    # Whoever was asked knows it too by the time it answers.
    assert [member.id for member in answer.members] == sorted(table(asked)) == [1, 2, 3, 4]
    assert asked.change(add(5, MemberRole.STAND_BY)._replace(peer_urls=contact(4).urls)) == (
        PEER_URL_EXISTS
    )
    joined = world.join(4)
    world.run(3_000)
    assert roles(joined) == "vvvs"
    assert isinstance(asked.change(MemberPromote(4)), MembersAnswer)
    world.leader().offer(Put(b"k", b"v"))
    check_alike(world)
    assert roles(joined) == "vvvv"
    assert isinstance(joined.change(MemberRemove(asked.id)), MembersAnswer)
    world.run(1_000)
    world.kill(asked.id)
    check_alike(world)
    assert joined.driver.node.state.removed == {asked.id}
    world.close()


def test_a_voter_joins_without_a_vote_and_costs_no_quorum(tmp_path: Path) -> None:
    world = PeerWorld(tmp_path, 1)
    alone = world.leader()
    assert isinstance(alone.change(add(2, MemberRole.JOINING)), MembersAnswer)
    alone.offer(Put(b"k", b"v"))
    world.run(5_000)
    assert alone.driver.node.state.revision == 2
    assert roles(alone) == "vj"
    world.join(2)
    world.run(5_000)
    check_alike(world)
    assert roles(alone) == "vv"
    world.close()


def test_leadership_goes_where_it_is_sent(world: PeerWorld) -> None:
    leader = world.leader()
    target = follower(world)
    leader.given.append(LeadershipTo(1, target.id))
    world.run(1_000)
    assert world.leader() is target
    world.close()


def test_a_leader_that_is_removed_leaves_the_others_one(world: PeerWorld) -> None:
    leader = world.leader()
    world.run(6_000)
    other = follower(world)
    answer = other.change(MemberRemove(leader.id))
    assert isinstance(answer, MembersAnswer)
    world.run(2_000)
    world.kill(leader.id)
    world.leader()
    check_alike(world)
    world.close()


def test_a_lost_voter_is_replaced_and_what_comes_back_stands_by(tmp_path: Path) -> None:
    world = PeerWorld(tmp_path, 3, voters_wanted=3)
    leader = world.leader()
    world.run(6_000)
    assert isinstance(leader.change(add(4, MemberRole.SPARE)), MembersAnswer)
    world.join(4)
    world.run(5_000)
    assert roles(world.leader()) == "vvvs"
    lost = follower(world).id
    world.kill(lost)
    world.run(REPLACED_MS)
    votes = configuration(table(world.leader()))
    assert votes == {each: each != lost for each in (1, 2, 3, 4)}
    world.begin(lost, range(1, 5))
    world.run(5_000)
    check_alike(world)
    assert table(world.leader())[lost].role == MemberRole.STAND_BY
    world.close()


def test_a_role_can_be_assigned_by_hand(world: PeerWorld) -> None:
    leader = world.leader()
    world.run(1_000)
    demoted = follower(world)
    assert isinstance(demoted.change(RoleAssign(demoted.id, MemberRole.SPARE)), MembersAnswer)
    check_alike(world)
    assert table(leader)[demoted.id].role == MemberRole.SPARE
    assert isinstance(demoted.change(RoleAssign(demoted.id, MemberRole.VOTER)), MembersAnswer)
    check_alike(world)
    assert roles(leader) == "vvv"
    world.close()


def test_a_directory_from_before_members_were_stored_goes_on_alone(tmp_path: Path) -> None:
    world = PeerWorld(tmp_path, 1)
    alone = world.leader()
    world.kill(1)
    # As such a directory is: a log, and nobody in it.
    for name in ("journal", "m1"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    config = alone.driver.node.config
    where = Directory(RealDisk(), str(tmp_path / "m1"), str(tmp_path / "m1/journal"))
    old = open_member(where, config, Metrics(), SILENT, identity=Identity(CLUSTER, 1))
    for now_ms in (60, 120):
        if io := old.driver.turn(now_ms, []):
            old.driver.journal.sync()
            old.driver.turn(now_ms, [Synced(io.sync)])
    assert old.driver.engine.role.is_leader
    assert old.driver.node.state.members == {}
    old.close()
    world.begin(1, range(1, 2))
    again = world.leader()
    check_alike(world)
    assert [member.name for member in table(again).values()] == ["m1"]
    world.close()
