"""What an operator asks a member of any etcd-API cluster, by gRPC: one call, one connection.

The rule of this file: every call has a deadline, is made once, and raises `ClusterError` with the
server's own words if it fails. Nothing here is written into the history.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar, cast

import grpc
from google.protobuf.message import Message

from jepsen.cluster import Cluster, ClusterError
from jepsen.endpoint import OPTIONS
from net.etcd.pb import rpc_pb2 as pb

ANSWER_S = 5.0
SNAPSHOT_S = 60.0
STATUS_S = 0.7
LOOK_S = 0.1
MAINTENANCE, MEMBERS = "/etcdserverpb.Maintenance/", "/etcdserverpb.Cluster/"
T = TypeVar("T")
Answer = TypeVar("Answer", bound=Message)


class Connection(Protocol):
    """What is used of a channel of grpc, which has no types of its own for bytes."""

    def unary_unary(self, path: str) -> "Calling": ...

    def unary_stream(self, path: str) -> "Streaming": ...


class Calling(Protocol):
    """A method with one answer."""

    def __call__(self, asked: bytes, /, *, timeout: float) -> bytes: ...


class Streaming(Protocol):
    """A method with many answers."""

    def __call__(self, asked: bytes, /, *, timeout: float) -> Iterable[bytes]: ...


def ask(
    endpoint: str, path: str, request: Message, kind: type[Answer], patience_s: float = ANSWER_S
) -> Answer:
    """Ask once. Raises ClusterError."""
    with grpc.insecure_channel(endpoint, OPTIONS) as channel:
        call = cast(Connection, channel).unary_unary(path)
        try:
            answer = call(request.SerializeToString(), timeout=patience_s)
        except grpc.RpcError as error:
            raise ClusterError(f"{path} on {endpoint}: {_words(error)}") from error
    return kind.FromString(answer)


def status(endpoint: str, patience_s: float = STATUS_S) -> pb.StatusResponse | None:
    """What a member says of itself; None if it says nothing."""
    try:
        return ask(
            endpoint, f"{MAINTENANCE}Status", pb.StatusRequest(), pb.StatusResponse, patience_s
        )
    except ClusterError:
        return None


def statuses(cluster: Cluster) -> dict[int, pb.StatusResponse]:
    """What each member that answers says of itself."""
    told = {
        number: status(cluster.client_endpoint(number))
        for number in range(cluster.slots)
        if cluster.is_up(number)
    }
    return {number: each for number, each in told.items() if each is not None}


def leader(cluster: Cluster) -> int | None:
    """The member that leads in the newest term that anybody tells of; None if nobody knows."""
    told = statuses(cluster)
    newest = max((each.raftTerm for each in told.values()), default=0)
    leaders = {each.leader for each in told.values() if each.raftTerm == newest and each.leader}
    found = [number for number, each in told.items() if each.header.member_id in leaders]
    return found[0] if len(found) == 1 else None


def insist(deed: Callable[[], T], patience_s: float) -> T:
    """Do it, again and again while it is refused. Raises the last ClusterError after this time."""
    until = time.monotonic() + patience_s
    while True:
        try:
            return deed()
        except ClusterError:
            if time.monotonic() > until:
                raise
        time.sleep(LOOK_S)


def wait(holds: Callable[[], bool], patience_s: float) -> bool:
    """Look until it holds; False if it never did within this time."""
    until = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_S)
    return True


def is_settled(cluster: Cluster) -> bool:
    """Whether every founding member votes, follows one leader, and has what any of them had."""
    told = statuses(cluster)
    if not told.keys() >= set(range(cluster.size)) or len({e.leader for e in told.values()}) != 1:
        return False
    wanted = max(each.raftAppliedIndex for each in told.values())
    told = statuses(cluster)
    return all(
        number in told
        and told[number].leader
        and not told[number].isLearner
        and told[number].raftAppliedIndex >= wanted
        for number in range(cluster.size)
    )


# ---- who is a member


def members(endpoint: str) -> list[tuple[int, str, str]]:
    """The id, name ("" before its first start) and peer URL of each member."""
    told = ask(endpoint, f"{MEMBERS}MemberList", pb.MemberListRequest(), pb.MemberListResponse)
    return [(each.ID, each.name, each.peerURLs[0]) for each in told.members]


def member_id(endpoint: str, peer_url: str) -> int | None:
    """The id of the member at this peer URL; None if there is none."""
    found = [number for number, _, url in members(endpoint) if url == peer_url]
    return found[0] if found else None


def member_add(endpoint: str, peer_url: str, *, learner: bool = False) -> int:
    """Tell the cluster of a new voter, or learner. Its id."""
    request = pb.MemberAddRequest(peerURLs=[peer_url], isLearner=learner)
    return ask(endpoint, f"{MEMBERS}MemberAdd", request, pb.MemberAddResponse).member.ID


def member_promote(endpoint: str, number: int) -> None:
    """Let a learner vote, by its id."""
    request = pb.MemberPromoteRequest(ID=number)
    ask(endpoint, f"{MEMBERS}MemberPromote", request, pb.MemberPromoteResponse)


def member_remove(endpoint: str, number: int) -> None:
    """Take a member out, by its id."""
    request = pb.MemberRemoveRequest(ID=number)
    ask(endpoint, f"{MEMBERS}MemberRemove", request, pb.MemberRemoveResponse)


# ---- maintenance


def move_leader(endpoint: str, target: int) -> None:
    """Ask the leader, and nobody else, to hand over to this id."""
    request = pb.MoveLeaderRequest(targetID=target)
    ask(endpoint, f"{MAINTENANCE}MoveLeader", request, pb.MoveLeaderResponse)


def defragment(endpoint: str) -> None:
    """Make its store small."""
    path, patience_s = f"{MAINTENANCE}Defragment", SNAPSHOT_S
    ask(endpoint, path, pb.DefragmentRequest(), pb.DefragmentResponse, patience_s)


def compact(endpoint: str, revision: int) -> None:
    """Forget what was superseded up to a revision."""
    request = pb.CompactionRequest(revision=revision)
    ask(endpoint, "/etcdserverpb.KV/Compact", request, pb.CompactionResponse)


def disarm(endpoint: str) -> int:
    """Clear all alarms of all members; how many there were."""
    path, none = f"{MAINTENANCE}Alarm", pb.AlarmRequest.GET
    told = ask(endpoint, path, pb.AlarmRequest(action=none), pb.AlarmResponse)
    for each in told.alarms:
        deed = pb.AlarmRequest.DEACTIVATE
        request = pb.AlarmRequest(action=deed, memberID=each.memberID, alarm=each.alarm)
        ask(endpoint, path, request, pb.AlarmResponse)
    return len(told.alarms)


def contents(endpoint: str, revision: int = 0) -> dict[bytes, tuple[bytes, int]]:
    """Value and version of every key without a lease, at a revision or now. Raises ClusterError."""
    request = pb.RangeRequest(key=b"\0", range_end=b"\0", revision=revision)
    told = ask(endpoint, "/etcdserverpb.KV/Range", request, pb.RangeResponse, SNAPSHOT_S)
    return {each.key: (each.value, each.version) for each in told.kvs if not each.lease}


def save_snapshot(endpoint: str, path: Path) -> None:
    """Write what a member streams as its snapshot to a file."""
    with grpc.insecure_channel(endpoint, OPTIONS) as channel, path.open("wb") as file:
        call = cast(Connection, channel).unary_stream(f"{MAINTENANCE}Snapshot")
        try:
            for piece in call(pb.SnapshotRequest().SerializeToString(), timeout=SNAPSHOT_S):
                file.write(pb.SnapshotResponse.FromString(piece).blob)
        except grpc.RpcError as error:
            raise ClusterError(f"snapshot of {endpoint}: {_words(error)}") from error


def _words(error: grpc.RpcError) -> str:
    return f"{error.code().name}: {error.details()}"
