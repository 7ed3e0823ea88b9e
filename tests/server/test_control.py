"""What a running member tells those who may ask, and does for them."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from core.errors import NO_LEADER, Failure
from net.etcd.calls import Call
from net.etcd.pb import rpc_pb2 as pb
from net.http1 import Http1Pending, Http1Request, Http1Response
from net.listen import ListenUrl, PeerInfo, Role
from server.clustering import KnownMember
from server.control import ASK_MS_MAX, SQL_WAITING_MAX, Control, control_url
from server.documents import Fields
from tests.configured import configured

MEMBERS = (
    KnownMember(0xA1, "a", ("https://10.0.0.1:1",), ("http://10.0.0.1:2",)),
    KnownMember(0xB2, "", ("https://10.0.0.2:1",), (), is_learner=True, role=1),
)
A = {
    "id": "a1",
    "name": "a",
    "peerURLs": ["https://10.0.0.1:1"],
    "clientURLs": ["http://10.0.0.1:2"],
    "isLearner": False,
    "role": 0,
}
B = {
    "id": "b2",
    "name": "",
    "peerURLs": ["https://10.0.0.2:1"],
    "clientURLs": [],
    "isLearner": True,
    "role": 1,
}
OWNER = PeerInfo("@", Role.HTTP, "unix:///nowhere/control.sock")
VIEW = {"clusterID": "cc", "memberID": "a1", "leader": "a1", "term": 7, "revision": 42}


@attrs.define
class FakeMember:
    """A member that notes what it is asked; a test answers."""

    asked: list[tuple[str, Call, bytes]] = attrs.field(factory=list[tuple[str, Call, bytes]])
    member_id: int = 0xA1
    cluster_id: int = 0xCC
    leader: int = 0xA1
    term: int = 7
    revision: int = 42

    def members(self) -> tuple[KnownMember, ...]:
        return MEMBERS

    def begin(self, method: str, call: Call, message: bytes) -> None:
        self.asked.append((method, call, message))


@attrs.define
class World:
    """A control with everything around it at hand."""

    control: Control
    member: FakeMember
    now_ms: int = 0
    wakes: int = 0

    def get(self, target: str) -> Http1Response | Http1Pending | None:
        return self.control.answer(Http1Request("GET", target), OWNER)

    def post(self, path: str, **fields: object) -> Http1Response | Http1Pending | None:
        request = Http1Request("POST", path, body=json.dumps(fields).encode())
        return self.control.answer(request, OWNER)


def world(directory: str = "/nowhere", *, is_pinned: bool = False) -> World:
    made: list[World] = []

    async def in_thread(work: Callable[[], Http1Response]) -> Http1Response:
        await trio.lowlevel.checkpoint()
        return work()

    def wake() -> None:
        made[0].wakes += 1

    member = FakeMember()
    config = attrs.evolve(configured(f"--data-dir={directory}"), failure_domain=3)
    config = attrs.evolve(config, peer_pinned=is_pinned)
    typed: Callable[[Callable[[], Http1Response]], Awaitable[Http1Response]] = in_thread
    control = Control(member, config, now_ms=lambda: made[0].now_ms, wake=wake, in_thread=typed)
    made.append(World(control, member))
    return made[0]


def told(answer: Http1Response | Http1Pending | None) -> tuple[int, Fields]:
    """Return status and document of an answer that is there."""
    got: list[Http1Response] = []
    if isinstance(answer, Http1Pending):
        answer.when_answered(got.append)
    elif answer is not None:
        got.append(answer)
    assert len(got) == 1
    document: Fields = json.loads(got[0].body)
    return got[0].status, document


def test_only_members_and_the_owner_of_the_directory_are_served() -> None:
    here = world()
    assert here.control.serves(PeerInfo("1.2.3.4:5", Role.PEER))
    assert here.control.serves(PeerInfo("@", Role.HTTP, "unix:///nowhere/control.sock"))
    assert not here.control.serves(PeerInfo("1.2.3.4:5", Role.CLIENT))
    assert not here.control.serves(PeerInfo("1.2.3.4:5", Role.HTTP, "http://1.2.3.4:1"))


def test_a_name_that_is_too_long_for_the_kernel_has_no_socket() -> None:
    assert control_url(configured("--data-dir=/d")) == ListenUrl("unix", path="/d/control.sock")
    assert control_url(configured("--data-dir=/" + "d" * 100)) is None


def test_members_are_listed_as_etcds_peer_port_lists_them() -> None:
    answer = world().get("/members")
    assert isinstance(answer, Http1Response)
    assert answer.headers == (("X-Etcd-Cluster-ID", "cc"),)
    assert json.loads(answer.body) == [
        {"id": 0xA1, "peerURLs": ["https://10.0.0.1:1"], "name": "a",
         "clientURLs": ["http://10.0.0.1:2"]},
        {"id": 0xB2, "peerURLs": ["https://10.0.0.2:1"], "name": "", "clientURLs": [],
         "isLearner": True},
    ]  # fmt: skip


def test_the_cluster_as_a_member_knows_it_needs_nobody_else() -> None:
    here = world()
    assert told(here.get("/control/cluster")) == (200, {**VIEW, "members": [A, B]})
    assert here.member.asked == []


def test_the_cluster_as_a_quorum_knows_it_is_asked_for() -> None:
    here = world()
    answer = here.get("/control/cluster?linearizable=true")
    method, call, message = here.member.asked[0]
    assert (method, pb.MemberListRequest.FromString(message).linearizable) == ("MemberList", True)
    call.reply(b"")
    assert told(answer) == (200, {**VIEW, "members": [A, B]})


def test_without_a_leader_the_fault_has_etcds_text() -> None:
    here = world()
    answer = here.get("/control/cluster?linearizable=true")
    here.member.asked[0][1].fail(NO_LEADER)
    assert told(answer) == (503, {"error": NO_LEADER.text})


def test_a_member_is_described_with_its_failure_domain() -> None:
    assert told(world().get("/control/describe")) == (200, {"FailureDomain": 3, "Weight": 0})


@pytest.mark.parametrize(
    ("path", "fields", "method", "request_"),
    [
        ("/control/remove", {"id": "b2"}, "MemberRemove", pb.MemberRemoveRequest(ID=0xB2)),
        ("/control/promote", {"id": "b2"}, "MemberPromote", pb.MemberPromoteRequest(ID=0xB2)),
        ("/control/update", {"id": "b2", "peerURLs": ["http://h:1"]}, "MemberUpdate",
         pb.MemberUpdateRequest(ID=0xB2, peerURLs=["http://h:1"])),
        ("/control/transfer", {"id": "ffffffffffffffff"}, "MoveLeader",
         pb.MoveLeaderRequest(targetID=(1 << 64) - 1)),
    ],
)  # fmt: skip
def test_a_change_is_what_etcds_service_is_asked_for(
    path: str, fields: dict[str, object], method: str, request_: pb.MemberRemoveRequest
) -> None:
    here = world()
    answer = here.post(path, **fields)
    asked, call, message = here.member.asked[0]
    assert (asked, message) == (method, request_.SerializeToString())
    call.reply(b"")
    assert told(answer) == (200, {})


def test_who_joins_is_added_as_a_learner_and_told_who_is_there() -> None:
    here = world()
    answer = here.post("/control/join", peerURLs=["https://10.0.0.3:1"])
    method, call, message = here.member.asked[0]
    request = pb.MemberAddRequest.FromString(message)
    assert (method, list(request.peerURLs), request.isLearner) == (
        "MemberAdd", ["https://10.0.0.3:1"], True)  # fmt: skip
    new = pb.Member(ID=0xC3, peerURLs=["https://10.0.0.3:1"], isLearner=True)
    old = pb.Member(ID=0xA1, name="a", peerURLs=["https://10.0.0.1:1"])
    call.reply(pb.MemberAddResponse(member=new, members=[old, new]).SerializeToString())
    status, document = told(answer)
    assert (status, document["joined"], document["clusterID"]) == (200, "c3", "cc")
    assert [each["id"] for each in document["members"]] == ["a1", "c3"]


def test_who_joins_twice_is_the_same_member() -> None:
    here = world()
    answer = here.post("/control/join", peerURLs=["https://10.0.0.2:1"])
    assert told(answer) == (200, {**VIEW, "members": [A, B], "joined": "b2"})
    assert here.member.asked == []


def test_who_has_lived_does_not_come_back_empty() -> None:
    answer = world().post("/control/join", peerURLs=["https://10.0.0.1:1"])
    assert told(answer) == (409, {
        "error": "https://10.0.0.1:1 is a member already, with data that is not there any more: "
        "remove it first (.remove 10.0.0.1:1)"
    })  # fmt: skip


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        (PeerInfo("p", Role.PEER, is_secure=True, common_name="a"), 200),
        (PeerInfo("p", Role.PEER, is_secure=True, names=("10.0.0.2",)), 200),
        (PeerInfo("p", Role.PEER, is_secure=True, names=("10.0.0.3",)), 403),
        (PeerInfo("p", Role.PEER, is_secure=True, common_name="kube-apiserver"), 403),
        (PeerInfo("p", Role.PEER), 200),
    ],
)
def test_changes_are_for_certificates_of_members(peer: PeerInfo, status: int) -> None:
    here = world()
    request = Http1Request("POST", "/control/remove", body=b'{"id": "b2"}')
    answer = here.control.answer(request, peer)
    if status == 200:
        here.member.asked[0][1].reply(b"")
    assert told(answer)[0] == status
    # Who joins has no member's certificate yet, and must see who is there.
    reading = here.control.answer(Http1Request("GET", "/members"), peer)
    assert isinstance(reading, Http1Response)
    assert reading.status == 200


def test_the_shared_pair_proves_the_cluster() -> None:
    here = world(is_pinned=True)
    peer = PeerInfo("p", Role.PEER, is_secure=True, common_name="k8s")
    answer = here.control.answer(
        Http1Request("POST", "/control/remove", body=b'{"id": "b2"}'), peer
    )
    here.member.asked[0][1].reply(b"")
    assert told(answer) == (200, {})


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "sentence"),
    [
        ("POST", "/control/cluster", b"", 405, "/control/cluster is asked with GET"),
        ("GET", "/control/remove", b"", 405, "/control/remove is asked with POST"),
        ("POST", "/control/remove", b"x", 400, "the body is no JSON"),
        ("POST", "/control/remove", b"[]", 400, "the body is no JSON object"),
        ("POST", "/control/remove", b"{}", 400, "id is missing or no text"),
        ("POST", "/control/remove", b'{"id": "x"}', 400, "id is no hexadecimal number"),
        ("POST", "/control/remove", b'{"id": "-1"}', 400, "id has more than 64 bits"),
        ("POST", "/control/join", b'{"peerURLs": []}', 400, "peerURLs is missing or no list"),
        ("POST", "/control/join", b'{"peerURLs": [1]}', 400, "peerURLs is no list of texts"),
        ("POST", "/control/sql", b"{}", 400, "statement is missing or no text"),
    ],
)
def test_a_request_that_says_nothing_of_use_is_refused(
    method: str, target: str, body: bytes, status: int, sentence: str
) -> None:
    here = world()
    answer = here.control.answer(Http1Request(method, target, body=body), OWNER)
    assert told(answer) == (status, {"error": sentence})
    assert here.member.asked == []


def test_another_path_is_not_here() -> None:
    assert world().get("/metrics") is None


def running(here: World, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Let two seconds of a made-up clock pass; `meanwhile` is called after the first."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.control.run)
            await trio.sleep(1)
            meanwhile()
            await trio.sleep(1)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_change_that_nobody_answers_ends_unknown() -> None:
    here = world()
    answer = here.post("/control/remove", id="b2")

    def later() -> None:
        here.now_ms = ASK_MS_MAX

    running(here, later)
    status, document = told(answer)
    assert (status, here.wakes) == (504, 1)
    assert document["error"].endswith("It may or may not be done yet")
    here.member.asked[0][1].fail(Failure(14, "late"))


def test_a_query_runs_beside_and_its_fault_is_an_answer(tmp_path: Path) -> None:
    here = world(str(tmp_path))
    answers = [here.post("/control/sql", statement="SELECT 1") for _ in range(SQL_WAITING_MAX)]
    refused = here.post("/control/sql", statement="SELECT 1")
    assert told(refused) == (503, {"error": "too many queries wait already"})
    running(here)
    for answer in answers:
        assert told(answer) == (400, {"error": f"{tmp_path} holds no store"})


def test_a_member_that_moved_tells_its_cluster() -> None:
    here = world()
    ends: list[str] = []
    here.control.update_own(("https://10.0.0.9:1",), ends.append)
    method, call, message = here.member.asked[0]
    request = pb.MemberUpdateRequest.FromString(message)
    assert (method, request.ID, list(request.peerURLs)) == (
        "MemberUpdate", 0xA1, ["https://10.0.0.9:1"])  # fmt: skip
    call.reply(b"")
    here.control.update_own(("https://10.0.0.9:1",), ends.append)
    here.member.asked[1][1].fail(NO_LEADER)
    assert ends == ["", NO_LEADER.text]
