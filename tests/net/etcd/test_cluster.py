"""Members as clients see them; what cannot be is refused in etcd's words where etcd has some."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from net.etcd.pb import rpc_pb2 as pb
from tests.grpc_world import CLUSTER, MEMBER, GrpcWorld

URL = "http://127.0.0.1:9"
NOT_FOUND = (5, "etcdserver: member not found")
BAD_URLS = (3, "etcdserver: given member URLs are invalid")
HEADER = pb.ResponseHeader(cluster_id=77, member_id=1, raft_term=1)
ALONE = (12, "etcdserver: this member serves alone: start it with --listen-peer-urls to add others")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GrpcWorld]:
    made = GrpcWorld(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("linearizable", [True, False])
def test_the_list_has_one_member(world: GrpcWorld, linearizable: bool) -> None:
    request = pb.MemberListRequest(linearizable=linearizable)
    # etcd's Cluster service leaves the revision out of the header.
    expected = pb.MemberListResponse(
        header=HEADER,
        members=[
            pb.Member(ID=1, name="me", peerURLs=MEMBER.peer_urls, clientURLs=MEMBER.client_urls)
        ],
    )
    assert world.connect().call(CLUSTER + "MemberList", request) == expected


REFUSALS: list[tuple[str, Message, tuple[int, str]]] = [
    ("MemberAdd", pb.MemberAddRequest(peerURLs=[URL]), ALONE),
    ("MemberAdd", pb.MemberAddRequest(peerURLs=[URL], isLearner=True), ALONE),
    ("MemberAdd", pb.MemberAddRequest(), BAD_URLS),
    ("MemberAdd", pb.MemberAddRequest(peerURLs=["127.0.0.1:9"]), BAD_URLS),
    ("MemberAdd", pb.MemberAddRequest(peerURLs=["http://127.0.0.1"]), BAD_URLS),
    ("MemberAdd", pb.MemberAddRequest(peerURLs=["http://127.0.0.1:9/path"]), BAD_URLS),
    ("MemberAdd", pb.MemberAddRequest(peerURLs=["http://127.0.0.1:port"]), BAD_URLS),
    ("MemberAdd", pb.MemberAddRequest(peerURLs=["http://[::1"]), BAD_URLS),
    ("MemberAdd", pb.MemberAddRequest(peerURLs=["ftp://127.0.0.1:9"]), BAD_URLS),
    ("MemberAdd", pb.MemberAddRequest(peerURLs=list(MEMBER.peer_urls)),
     (9, "etcdserver: Peer URLs already exists")),
    ("MemberRemove", pb.MemberRemoveRequest(ID=9), NOT_FOUND),
    ("MemberRemove", pb.MemberRemoveRequest(ID=1),
     (2, "etcdserver: re-configuration failed due to not enough started members")),
    ("MemberUpdate", pb.MemberUpdateRequest(ID=9, peerURLs=[URL]), NOT_FOUND),
    ("MemberUpdate", pb.MemberUpdateRequest(ID=1, peerURLs=["x"]), BAD_URLS),
    ("MemberPromote", pb.MemberPromoteRequest(ID=9), NOT_FOUND),
    ("MemberPromote", pb.MemberPromoteRequest(ID=1),
     (9, "etcdserver: can only promote a learner member")),
]  # fmt: skip


def test_what_cannot_be_is_refused_in_etcds_words(world: GrpcWorld) -> None:
    client = world.connect()
    wrong = [
        (method, request, told, expected)
        for method, request, expected in REFUSALS
        if (told := client.refused(CLUSTER + method, request)) != expected
    ]
    assert wrong == []


def test_a_member_tells_where_else_others_reach_it(world: GrpcWorld) -> None:
    request = pb.MemberUpdateRequest(ID=1, peerURLs=[URL, "http://127.0.0.1:10"])
    expected = pb.MemberUpdateResponse(
        header=HEADER,
        members=[
            pb.Member(
                ID=1,
                name="me",
                peerURLs=["http://127.0.0.1:10", URL],
                clientURLs=MEMBER.client_urls,
            )
        ],
    )
    assert world.connect().call(CLUSTER + "MemberUpdate", request) == expected


def test_promotions_that_fail_are_counted_by_their_reason(world: GrpcWorld) -> None:
    client = world.connect()
    for member in (9, 9, 1):
        client.refused(CLUSTER + "MemberPromote", pb.MemberPromoteRequest(ID=member))
    client.refused(CLUSTER + "MemberRemove", pb.MemberRemoveRequest(ID=9))
    assert world.metrics.learner_promote_failures == {
        "etcdserver: member not found": 2,
        "etcdserver: can only promote a learner member": 1,
    }
