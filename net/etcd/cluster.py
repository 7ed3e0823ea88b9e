"""The Cluster service: who the members are, and changes of them, in etcd's words.

Rule of this file: it parses and lays out; whether a change is made is the core's to say, here or
where the leader is. Of a call only `reply`, `fail`, `settle` and `over` are used, so that others
than clients may ask too.
"""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from core.answers import Answer, MembersAnswer
from core.errors import MEMBER_BAD_URLS, Failure
from core.inputs import Asked, ChangeOffered
from core.members import Member, MemberRole
from core.node import Node
from core.operations import (
    Barrier,
    MemberAdd,
    MemberPromote,
    MemberRemove,
    MembersChange,
    MemberUpdate,
    RoleAssign,
)
from net.driver import DriverInput
from net.etcd.calls import Call, Onward
from net.etcd.pb import rpc_pb2 as pb
from net.metrics import Metrics


class Cluster:
    """The members of this cluster, as one of them tells."""

    def __init__(
        self,
        node: Node,
        header: Callable[[], bytes],
        new_id: Callable[[Sequence[str]], int],
        metrics: Metrics | None = None,
    ) -> None:
        self.inputs: list[DriverInput] = []
        """Questions to the core, for the port to hand on."""
        self._node = node
        self._header = header
        self._new_id = new_id
        self._metrics = Metrics() if metrics is None else metrics

    def begin(self, name: str, call: Call, message: bytes) -> None:
        """Take one request of the service."""
        match name:
            case "MemberList":
                if pb.MemberListRequest.FromString(message).linearizable:
                    self.inputs.append(Asked(Onward(call, self._list_after), Barrier()))
                else:
                    self._list(call)
            case "MemberAdd":
                add = pb.MemberAddRequest.FromString(message)
                role = MemberRole.STAND_BY if add.isLearner else MemberRole.JOINING
                self.add(call, add.peerURLs, role)
            case "MemberRemove":
                remove = MemberRemove(pb.MemberRemoveRequest.FromString(message).ID)
                self._change(call, remove, pb.MemberRemoveResponse)
            case "MemberUpdate":
                update = pb.MemberUpdateRequest.FromString(message)
                if (urls := _peer_urls(update.peerURLs)) is None:
                    call.fail(MEMBER_BAD_URLS)
                else:
                    self._change(call, MemberUpdate(update.ID, urls), pb.MemberUpdateResponse)
            case "MemberPromote":
                promote = MemberPromote(pb.MemberPromoteRequest.FromString(message).ID)
                self._change(call, promote, pb.MemberPromoteResponse)
            case _:
                raise AssertionError(f"INV-METHOD-KNOWN: {name}")

    def add(self, call: Call, peer_urls: Sequence[str], role: MemberRole) -> None:
        """Make a member of this role; the answer is that of MemberAdd."""
        urls = _peer_urls(peer_urls)
        if urls is None:
            call.fail(MEMBER_BAD_URLS)
            return
        command = MemberAdd(self._new_id(urls), urls, role, self._node.config.learners_max)
        self._change(call, command, pb.MemberAddResponse)

    def assign(self, call: Call, member_id: int, role: MemberRole) -> None:
        """Keep a member for something else; the answer is that of MemberPromote."""
        self._change(call, RoleAssign(member_id, role), pb.MemberPromoteResponse)

    def _list_after(self, call: Call, answer: Answer) -> None:
        self._list(call)

    def _list(self, call: Call) -> None:
        members = sorted(self._node.state.members.values())
        response = pb.MemberListResponse(members=map(_laid_out, members))
        call.reply(self._header() + response.SerializeToString())

    def _change(self, call: Call, command: MembersChange, response: "_Response") -> None:
        is_promotion = isinstance(command, MemberPromote)

        def failed(failure: Failure) -> None:
            if is_promotion:
                failures = self._metrics.learner_promote_failures
                failures[failure.text] = failures.get(failure.text, 0) + 1

        def answer(call: Call, answer: Answer) -> None:
            assert isinstance(answer, MembersAnswer), "INV-ANSWER-KIND"
            self._metrics.learner_promote_successes += is_promotion
            made = response(members=map(_laid_out, answer.members))
            if isinstance(made, pb.MemberAddResponse):
                made.member.CopyFrom(_laid_out(_member(answer, command.id)))
            call.reply(self._header() + made.SerializeToString())

        self.inputs.append(ChangeOffered(Onward(call, answer, failed), command))


_Response = (
    type[pb.MemberAddResponse]
    | type[pb.MemberRemoveResponse]
    | type[pb.MemberUpdateResponse]
    | type[pb.MemberPromoteResponse]
)


def _member(answer: MembersAnswer, member_id: int) -> Member:
    return next(each for each in answer.members if each.id == member_id)


def _laid_out(member: Member) -> pb.Member:
    return pb.Member(
        ID=member.id,
        name=member.name,
        peerURLs=member.peer_urls,
        clientURLs=member.client_urls,
        isLearner=member.is_learner,
    )


def _peer_urls(urls: Sequence[str]) -> tuple[str, ...] | None:
    """Return URLs in etcd's order; None unless all have a scheme, a host and a port, no path."""
    stripped = [url.strip() for url in urls]
    for url in stripped:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port
        except ValueError:
            return None
        if not usable or parts.path:
            return None
    return tuple(sorted(stripped)) or None
