"""`trine member` and `trine move-leader`: etcdctl's arguments, etcdctl's lines."""

import json
from pathlib import Path

import pytest

from net.etcd.pb import rpc_pb2 as pb
from tests.command import Answers, Told, member, trine

HEADER = pb.ResponseHeader(cluster_id=0xCC, member_id=0xA1)
STATUS = pb.StatusResponse(header=HEADER, leader=0xA1)
A = pb.Member(ID=0xA1, name="a", peerURLs=["http://a:1"], clientURLs=["http://a:2"])
B = pb.Member(ID=0xB2, peerURLs=["http://b:1"], isLearner=True)


def told(tmp_path: Path, answers: Answers, *args: str) -> Told:
    with member(tmp_path, status=STATUS, answers=answers) as url:
        return trine(*args, f"--endpoints={url}")


def listing(request: bytes) -> bytes:
    assert pb.MemberListRequest.FromString(request).linearizable
    return pb.MemberListResponse(header=HEADER, members=[A, B]).SerializeToString()


def test_members_are_listed_as_etcdctl_lists_them(tmp_path: Path) -> None:
    got = told(tmp_path, {"Cluster/MemberList": listing}, "member", "list")
    assert got == Told(
        0,
        "a1, started, a, http://a:1, http://a:2, false\nb2, unstarted, , http://b:1, , true\n",
        "",
    )


def test_members_in_a_table_and_as_json(tmp_path: Path) -> None:
    answers = {"Cluster/MemberList": listing}
    got = told(tmp_path, answers, "member", "list", "-w", "table")
    assert "| a1 | started   | a    | http://a:1 | http://a:2   | false      |" in got.out
    got = told(tmp_path, answers, "member", "list", "-w", "json")
    assert [each["ID"] for each in json.loads(got.out)["members"]] == [0xA1, 0xB2]


def test_what_one_member_knows_is_asked_for(tmp_path: Path) -> None:
    def answer(request: bytes) -> bytes:
        assert not pb.MemberListRequest.FromString(request).linearizable
        return pb.MemberListResponse(members=[A]).SerializeToString()

    answers = {"Cluster/MemberList": answer}
    assert told(tmp_path, answers, "member", "list", "--consistency=s").code == 0


def test_who_is_added_is_told_how_to_start(tmp_path: Path) -> None:
    def answer(request: bytes) -> bytes:
        asked = pb.MemberAddRequest.FromString(request)
        assert (list(asked.peerURLs), asked.isLearner) == (["http://b:1"], False)
        new = pb.Member(ID=0xB2, peerURLs=asked.peerURLs)
        return pb.MemberAddResponse(header=HEADER, member=new, members=[A, new]).SerializeToString()

    got = told(
        tmp_path, {"Cluster/MemberAdd": answer}, "member", "add", "b", "--peer-urls=http://b:1"
    )
    assert got == Told(
        0,
        "Member               b2 added to cluster               cc\n\n"
        'ETCD_NAME="b"\n'
        'ETCD_INITIAL_CLUSTER="a=http://a:1,b=http://b:1"\n'
        'ETCD_INITIAL_ADVERTISE_PEER_URLS="http://b:1"\n'
        'ETCD_INITIAL_CLUSTER_STATE="existing"\n',
        "",
    )


def test_a_learner_is_added(tmp_path: Path) -> None:
    def answer(request: bytes) -> bytes:
        assert pb.MemberAddRequest.FromString(request).isLearner
        return pb.MemberAddResponse(header=HEADER, member=B, members=[B]).SerializeToString()

    answers = {"Cluster/MemberAdd": answer}
    got = told(tmp_path, answers, "member", "add", "b", "--peer-urls=http://b:1", "--learner")
    assert got.out.startswith("Member               b2 added as learner to cluster ")
    got = told(tmp_path, answers, "member", "add", "b", "--peer-urls=u", "--learner", "-w", "json")
    assert json.loads(got.out)["member"]["isLearner"]


@pytest.mark.parametrize(
    ("args", "method", "line"),
    [
        (("remove", "b2"), "MemberRemove", "Member               b2 removed from cluster"),
        (("promote", "b2"), "MemberPromote", "Member               b2 promoted in cluster"),
        (("update", "b2", "--peer-urls=http://c:1"), "MemberUpdate",
         "Member               b2 updated in cluster"),
    ],
)  # fmt: skip
def test_a_change_of_a_member_is_told(
    tmp_path: Path, args: tuple[str, ...], method: str, line: str
) -> None:
    def answer(request: bytes) -> bytes:
        assert pb.MemberRemoveRequest.FromString(request).ID == 0xB2
        return pb.MemberRemoveResponse(header=HEADER).SerializeToString()

    got = told(tmp_path, {f"Cluster/{method}": answer}, "member", *args)
    assert got == Told(0, f"{line}               cc\n", "")


def test_leadership_is_given_by_the_leader(tmp_path: Path) -> None:
    def answer(request: bytes) -> bytes:
        assert pb.MoveLeaderRequest.FromString(request).targetID == 0xB2
        return pb.MoveLeaderResponse().SerializeToString()

    got = told(tmp_path, {"Maintenance/MoveLeader": answer}, "move-leader", "b2")
    assert got == Told(0, "Leadership transferred from a1 to b2\n", "")


def test_no_leader_among_the_endpoints_is_told(tmp_path: Path) -> None:
    with member(tmp_path, status=pb.StatusResponse(header=HEADER, leader=1)) as url:
        got = trine("move-leader", "b2", f"--endpoints={url}")
    assert got == Told(1, "", f"trine move-leader: no leader endpoint given at {url}\n")


def test_nobody_there_is_told(tmp_path: Path) -> None:
    got = trine("member", "list", f"--endpoints=unix://{tmp_path}/none")
    assert got.code == 1
    assert got.err.startswith(f"trine member: unix://{tmp_path}/none: UNAVAILABLE: ")


def test_an_id_that_is_none_is_told() -> None:
    got = trine("member", "remove", "x")
    assert got.code == 2
    assert 'bad member ID arg "x", expecting ID in Hex' in got.err
