"""A learner answers what etcd's learners answer; one that leaves, or is removed, goes well."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from core.errors import NOT_FOR_LEARNERS, TIMED_OUT_TRANSFER
from core.inputs import Linked
from core.members import MemberRole
from core.state import drop_member, put_member
from net.etcd.pb import rpc_pb2 as pb
from tests.grpc_world import CLUSTER, KEEPALIVE, KV, LEASE, MAINTENANCE, MEMBER, WATCH, GrpcWorld
from tests.grpc_world import put as put_request

OTHER = MEMBER._replace(id=2, name="other", peer_urls=("http://127.0.0.2:2380",))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GrpcWorld]:
    made = GrpcWorld(tmp_path)
    put_member(made.inner.node.state, OTHER)
    yield made
    made.close()


def learn(world: GrpcWorld) -> None:
    put_member(world.inner.node.state, MEMBER._replace(role=MemberRole.STAND_BY))
    world.settle()


REFUSED: list[tuple[str, Message]] = [
    (KV + "Range", pb.RangeRequest(key=b"a")),
    (KV + "RangeStream", pb.RangeRequest(key=b"a", serializable=True)),
    (KV + "Put", put_request(b"a")),
    (LEASE + "LeaseGrant", pb.LeaseGrantRequest(TTL=5)),
    (CLUSTER + "MemberList", pb.MemberListRequest()),
    (MAINTENANCE + "Alarm", pb.AlarmRequest()),
]


def test_a_learner_refuses_what_etcds_refuse(world: GrpcWorld) -> None:
    learn(world)
    client = world.connect()
    wrong = [path for path, asked in REFUSED if client.refused(path, asked) != NOT_FOR_LEARNERS]
    assert wrong == []


@pytest.mark.parametrize("path", [WATCH, KEEPALIVE])
def test_a_learner_opens_no_streams(world: GrpcWorld, path: str) -> None:
    learn(world)
    client = world.connect()
    stream = client.begin(path)
    client.send(stream, pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
    world.settle()
    assert client.streams[stream].status == NOT_FOR_LEARNERS


def test_a_learner_reads_what_it_has_and_says_that_it_is_one(world: GrpcWorld) -> None:
    world.connect().call(KV + "Put", put_request(b"a"))
    learn(world)
    client = world.connect()
    read = client.call(KV + "Range", pb.RangeRequest(key=b"a", serializable=True))
    assert isinstance(read, pb.RangeResponse)
    assert read.count == 1
    status = client.call(MAINTENANCE + "Status", pb.StatusRequest())
    assert isinstance(status, pb.StatusResponse)
    assert status.isLearner


def test_who_is_to_vote_answers_as_a_voter(world: GrpcWorld) -> None:
    put_member(world.inner.node.state, MEMBER._replace(role=MemberRole.JOINING))
    world.connect().call(KV + "Put", put_request(b"a"))


def test_leadership_goes_to_voters_alone(world: GrpcWorld) -> None:
    put_member(world.inner.node.state, OTHER._replace(role=MemberRole.STAND_BY))
    path = MAINTENANCE + "MoveLeader"
    told = world.connect().refused(path, pb.MoveLeaderRequest(targetID=2))
    assert told == (9, "etcdserver: bad leader transferee")


def test_a_transfer_that_does_not_come_about_is_told_in_etcds_words(world: GrpcWorld) -> None:
    path = MAINTENANCE + "MoveLeader"
    assert world.connect().refused(path, pb.MoveLeaderRequest(targetID=2)) == TIMED_OUT_TRANSFER


def test_who_leaves_goes_on_however_the_transfer_ends(world: GrpcWorld) -> None:
    ended: list[str] = []
    world.maintenance.leadership.hand_over(lambda: ended.append("alone"))
    assert ended == ["alone"]
    world.inner.node.step(Linked(2, up=True))
    world.maintenance.leadership.hand_over(lambda: ended.append("refused"))
    assert ended == ["alone"]
    world.settle()
    assert ended == ["alone", "refused"]


def test_a_member_that_is_removed_ends_once(world: GrpcWorld) -> None:
    ended: list[int] = []
    world.maintenance.on_removed = lambda: ended.append(1)
    world.settle()
    assert ended == []
    drop_member(world.inner.node.state, MEMBER.id)
    world.settle()
    world.settle()
    assert ended == [1]
