"""The Cluster service of a single member: it lists itself and refuses to change."""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from attrs import frozen

from core.answers import Answer
from core.errors import (
    MEMBER_BAD_URLS,
    MEMBER_NOT_FOUND,
    MEMBER_NOT_LEARNER,
    NOT_ENOUGH_STARTED,
    PEER_URL_EXISTS,
    UNIMPLEMENTED,
    Failure,
)
from core.inputs import Asked
from core.operations import Barrier
from net.driver import DriverInput
from net.etcd.calls import Call, Continued
from net.etcd.pb import rpc_pb2 as pb

SINGLE_MEMBER = Failure(
    UNIMPLEMENTED, "etcdserver: this trine serves a single member and cannot change membership"
)


@frozen
class MemberFacts:
    """What the member list says of one member."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]


class Cluster:
    """The members of this cluster: one."""

    def __init__(self, member: MemberFacts, header: Callable[[], bytes]) -> None:
        self.inputs: list[DriverInput] = []
        """Questions to the core, for the port to hand on."""
        self._member = member
        self._header = header

    def begin(self, name: str, call: Call, message: bytes) -> None:
        """Take one request of the service."""
        match name:
            case "MemberList":
                if pb.MemberListRequest.FromString(message).linearizable:
                    self.inputs.append(Asked(Continued(call, self._list_after), Barrier()))
                else:
                    self._list(call)
            case "MemberAdd":
                call.fail(self._add(pb.MemberAddRequest.FromString(message).peerURLs))
            case "MemberRemove":
                self._refuse(
                    call, pb.MemberRemoveRequest.FromString(message).ID, NOT_ENOUGH_STARTED
                )
            case "MemberUpdate":
                update = pb.MemberUpdateRequest.FromString(message)
                if not _are_urls(update.peerURLs):
                    call.fail(MEMBER_BAD_URLS)
                else:
                    self._refuse(call, update.ID, SINGLE_MEMBER)
            case "MemberPromote":
                promote = pb.MemberPromoteRequest.FromString(message)
                self._refuse(call, promote.ID, MEMBER_NOT_LEARNER)
            case _:
                raise AssertionError(f"INV-METHOD-KNOWN: {name}")

    def _list_after(self, call: Call, answer: Answer) -> None:
        self._list(call)

    def _list(self, call: Call) -> None:
        member = self._member
        response = pb.MemberListResponse(
            members=[
                pb.Member(
                    ID=member.id,
                    name=member.name,
                    peerURLs=member.peer_urls,
                    clientURLs=member.client_urls,
                )
            ]
        )
        call.reply(self._header() + response.SerializeToString())

    def _add(self, urls: Sequence[str]) -> Failure:
        if not _are_urls(urls):
            return MEMBER_BAD_URLS
        if set(urls) & set(self._member.peer_urls):
            return PEER_URL_EXISTS
        return SINGLE_MEMBER

    def _refuse(self, call: Call, member_id: int, failure: Failure) -> None:
        call.fail(failure if member_id == self._member.id else MEMBER_NOT_FOUND)


def _are_urls(urls: Sequence[str]) -> bool:
    """Whether these are URLs that etcd takes for peers: a scheme, a host and a port, no path."""
    if not urls:
        return False
    for url in urls:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port
        except ValueError:
            return False
        if not usable or parts.path not in ("", "/"):
            return False
    return True
