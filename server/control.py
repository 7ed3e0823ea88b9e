"""What operators and joining members ask a running member: paths, JSON, and who may ask.

    GET  /members            the members, as etcd's peer port lists them
    GET  /control/cluster    the members, the leader, this member; ?linearizable=true asks a quorum
    GET  /control/describe   failure domain and weight of this member
    POST /control/join       {"peerURLs": [...]}            adds a learner, once for each URL
    POST /control/remove     {"id": "hex"}
    POST /control/promote    {"id": "hex"}
    POST /control/update     {"id": "hex", "peerURLs": [...]}
    POST /control/transfer   {"id": "hex"}                  gives leadership away
    POST /control/sql        {"statement": "..."}                columns and rows

Rule: these paths exist on two listeners alone: the socket file in the data directory, which only
its owner can open, and the peer port, where changes and SQL are for certificates of members. Ids
are hexadecimal text. A fault is `{"error": sentence}` with a status that is not 200; membership has
etcd's texts, since etcd's own service does the work (`net/etcd/cluster.py`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Protocol

import attrs
import trio

from core.answers import Answer
from core.errors import Failure
from net.etcd.calls import Call
from net.etcd.encode import Encoder
from net.etcd.pb import rpc_pb2 as pb
from net.http1 import Http1Pending, Http1Request, Http1Response
from net.listen import Listener, ListenError, ListenUrl, PeerInfo, Role, listen
from net.peers.hello import Contact
from net.peers.identity import speaks_for
from net.store.errors import StoreError
from net.store.sql import query
from net.telemetry import Logger
from server.clustering import KnownMember
from server.config import Config
from server.documents import (
    Fields,
    WrongRequestError,
    body_of,
    document,
    error_of,
    fault,
    id_of,
    listed,
    text_in,
    urls_of,
)
from server.dqlite import address_of

SOCKET: Final = "control.sock"
CLUSTER_ID_HEADER: Final = "X-Etcd-Cluster-ID"
ASK_MS_MAX: Final = 10_000
"""How long a change of membership may take."""
TICK_S: Final = 0.25
SQL_WAITING_MAX: Final = 8
SQL_ROWS_MAX: Final = 100_000
SQL_BYTES_MAX: Final = 32 << 20
_PATH_MAX: Final = 107
"""The kernel's bound for the name of a socket file."""


class Member(Protocol):
    """What control needs of the member that runs."""

    @property
    def member_id(self) -> int:
        """This member."""
        ...

    @property
    def cluster_id(self) -> int:
        """The cluster it belongs to."""
        ...

    @property
    def leader(self) -> int:
        """Who leads, as far as it knows; 0 for nobody."""
        ...

    @property
    def term(self) -> int:
        """The newest term it knows."""
        ...

    @property
    def revision(self) -> int:
        """The newest revision it has applied."""
        ...

    def members(self) -> tuple[KnownMember, ...]:
        """The members as of what it has applied."""
        ...

    def begin(self, method: str, call: Call, message: bytes) -> None:
        """Hand a request to the Cluster or Maintenance service."""
        ...


def control_url(config: Config) -> ListenUrl | None:
    """Return the socket file to listen at; None if its name would be too long for the kernel."""
    path = os.path.join(os.path.abspath(config.data_dir), SOCKET)
    return ListenUrl("unix", path=path) if len(os.fsencode(path)) <= _PATH_MAX else None


def listen_control(config: Config, log: Logger) -> Listener | None:
    """Listen at the socket file, which its owner alone can open; None where there can be none.

    A member without it is whole: who else asks comes over the peer port.
    """
    url = control_url(config)
    if url is None:
        log.warn("no control socket: the name of the data directory is too long for one")
        return None
    os.makedirs(config.data_dir, exist_ok=True)
    mask = os.umask(0o177)
    try:
        return listen(url, Role.HTTP)
    except ListenError as fault:
        log.warn("no control socket", reason=str(fault))
        return None
    finally:
        os.umask(mask)


class Question(Call):
    """A request of ours to a service of etcd's: no stream, only what to do with the answer."""

    __slots__ = ("_then",)

    def __init__(self, then: Callable[[bytes | Failure], None]) -> None:
        self._then = then
        self.over = False

    def settle(self, encoder: Encoder, answer: Answer) -> None:
        """Take the core's answer, laid out as a client would get it."""
        if isinstance(answer, Failure):
            self.fail(answer)
        else:
            self.reply(encoder.answer(answer))

    def reply(self, message: bytes) -> None:
        """Take an answer that is laid out."""
        if not self.over:
            self.over = True
            self._then(message)

    def fail(self, failure: Failure) -> None:
        """Take a failure."""
        if not self.over:
            self.over = True
            self._then(failure)


@attrs.define(eq=False)
class _Waiting:
    question: Question
    pending: Http1Pending
    deadline_ms: int


class Control:
    """Answers the paths above. One owner: the reactor's task; `run` is a task of its own."""

    def __init__(
        self,
        member: Member,
        config: Config,
        *,
        now_ms: Callable[[], int],
        wake: Callable[[], None],
        in_thread: Callable[[Callable[[], Http1Response]], Awaitable[Http1Response]],
    ) -> None:
        self._member = member
        self._config = config
        self._now_ms = now_ms
        self._wake = wake
        self._in_thread = in_thread
        url = control_url(config)
        self._socket = str(url) if url is not None else ""
        self._waiting: list[_Waiting] = []
        self._sql: deque[tuple[Callable[[], Http1Response], Http1Pending]] = deque()
        self._has_sql = trio.Event()
        self._has_waiting = trio.Event()

    def serves(self, peer: PeerInfo) -> bool:
        """Say whether a connection may ask what is answered here."""
        return peer.role is Role.PEER or bool(self._socket and peer.url == self._socket)

    def answer(self, request: Http1Request, peer: PeerInfo) -> Http1Response | Http1Pending | None:
        """Answer a request of one who may ask; None for a path that is not here."""
        reading = {
            "/members": self._members,
            "/control/cluster": lambda: self._cluster(request),
            "/control/describe": self._describe,
        }
        changing = {
            "/control/join": self._join,
            "/control/remove": self._remove,
            "/control/promote": self._promote,
            "/control/update": self._update,
            "/control/transfer": self._transfer,
            "/control/sql": self._query,
        }
        path = request.path
        if path not in reading and path not in changing:
            return None
        wanted = "GET" if path in reading else "POST"
        if request.method != wanted:
            return fault(f"{path} is asked with {wanted}", HTTPStatus.METHOD_NOT_ALLOWED)
        if path in reading:
            return reading[path]()
        if not self._may_change(peer):
            return fault("the certificate is none of a member's", HTTPStatus.FORBIDDEN)
        try:
            return changing[path](body_of(request))
        except WrongRequestError as error:
            return fault(str(error), HTTPStatus.BAD_REQUEST)

    def _may_change(self, peer: PeerInfo) -> bool:
        """Say whether the other end is a member, as far as that can be proved.

        Where all share one pair it proves the cluster, and without TLS nothing is proved. The
        authority of own certificates may have signed those of others, and of members removed.
        """
        if peer.role is not Role.PEER or not peer.is_secure or self._config.peer_pinned:
            return True
        contacts = {
            each.id: Contact(each.id, each.name, each.peer_urls) for each in self._member.members()
        }
        return any(speaks_for(peer, each, contacts) for each in contacts)

    async def run(self) -> None:
        """Run queries in threads, one after the other, and give up on what takes too long."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_sql)
            while True:
                await self._has_waiting.wait()
                await trio.sleep(TICK_S)
                self._expire()
                if not self._waiting:
                    self._has_waiting = trio.Event()

    # Reading.

    def _members(self) -> Http1Response:
        listed = [
            {
                "id": one.id,
                "peerURLs": one.peer_urls,
                "name": one.name,
                "clientURLs": one.client_urls,
                **({"isLearner": True} if one.is_learner else {}),
            }
            for one in self._member.members()
        ]
        cluster_id = f"{self._member.cluster_id:x}"
        return attrs.evolve(document(listed), headers=((CLUSTER_ID_HEADER, cluster_id),))

    def _cluster(self, request: Http1Request) -> Http1Response | Http1Pending:
        if request.query.get("linearizable", ["false"])[-1] != "true":
            return document(self._view())
        message = pb.MemberListRequest(linearizable=True).SerializeToString()
        return self._ask("MemberList", message, lambda _: self._view())

    def _view(self) -> Fields:
        member = self._member
        return {
            "clusterID": f"{member.cluster_id:x}",
            "memberID": f"{member.member_id:x}",
            "leader": f"{member.leader:x}",
            "term": member.term,
            "revision": member.revision,
            "members": [listed(one) for one in member.members()],
        }

    def _describe(self) -> Http1Response:
        # Weights are dqlite's hint for its own choice of voters; all members weigh the same here.
        return document({"FailureDomain": self._config.failure_domain, "Weight": 0})

    # Changing.

    def _join(self, fields: Fields) -> Http1Response | Http1Pending:
        urls = urls_of(fields)
        known = [one for one in self._member.members() if set(one.peer_urls) & set(urls)]
        if known and known[0].name:
            # It has lived: to come back empty would be to forget what it has promised.
            return fault(
                f"{', '.join(urls)} is a member already, with data that is not there any more: "
                f"remove it first (.remove {address_of(known[0].peer_urls)})",
                HTTPStatus.CONFLICT,
            )
        if known:
            return document({**self._view(), "joined": f"{known[0].id:x}"})
        message = pb.MemberAddRequest(peerURLs=urls, isLearner=True).SerializeToString()

        def added(answer: bytes) -> Fields:
            response = pb.MemberAddResponse.FromString(answer)
            members = [listed(_known(member)) for member in response.members]
            return {**self._view(), "members": members, "joined": f"{response.member.ID:x}"}

        return self._ask("MemberAdd", message, added)

    def _remove(self, fields: Fields) -> Http1Pending:
        message = pb.MemberRemoveRequest(ID=id_of(fields)).SerializeToString()
        return self._ask("MemberRemove", message, _nothing)

    def _promote(self, fields: Fields) -> Http1Pending:
        message = pb.MemberPromoteRequest(ID=id_of(fields)).SerializeToString()
        return self._ask("MemberPromote", message, _nothing)

    def _update(self, fields: Fields) -> Http1Pending:
        request = pb.MemberUpdateRequest(ID=id_of(fields), peerURLs=urls_of(fields))
        return self._ask("MemberUpdate", request.SerializeToString(), _nothing)

    def _transfer(self, fields: Fields) -> Http1Pending:
        message = pb.MoveLeaderRequest(targetID=id_of(fields)).SerializeToString()
        return self._ask("MoveLeader", message, _nothing)

    def update_own(self, peer_urls: tuple[str, ...], then: Callable[[str], None]) -> None:
        """Tell the cluster that this member is reached elsewhere; `then` gets "" or the fault."""
        request = pb.MemberUpdateRequest(ID=self._member.member_id, peerURLs=peer_urls)
        pending = self._ask("MemberUpdate", request.SerializeToString(), _nothing)
        pending.when_answered(lambda response: then(error_of(response)))
        self._wake()

    def _ask(self, method: str, message: bytes, then: Callable[[bytes], Fields]) -> Http1Pending:
        pending = Http1Pending()

        def settled(answer: bytes | Failure) -> None:
            self._waiting = [each for each in self._waiting if each.pending is not pending]
            if isinstance(answer, Failure):
                pending.answer(fault(answer.text, HTTPStatus.SERVICE_UNAVAILABLE))
            else:
                pending.answer(document(then(answer)))

        question = Question(settled)
        self._waiting.append(_Waiting(question, pending, self._now_ms() + ASK_MS_MAX))
        self._has_waiting.set()
        self._member.begin(method, question, message)
        return pending

    def _expire(self) -> None:
        now_ms = self._now_ms()
        for waiting in list(self._waiting):
            if now_ms >= waiting.deadline_ms:
                self._waiting.remove(waiting)
                waiting.question.over = True
                waiting.pending.answer(
                    fault(
                        "no answer in time: is there a leader? It may or may not be done yet",
                        HTTPStatus.GATEWAY_TIMEOUT,
                    )
                )
                self._wake()

    # SQL.

    def _query(self, fields: Fields) -> Http1Response | Http1Pending:
        if len(self._sql) >= SQL_WAITING_MAX:
            return fault("too many queries wait already", HTTPStatus.SERVICE_UNAVAILABLE)
        statement, directory = text_in(fields, "statement"), self._config.data_dir
        pending = Http1Pending()
        self._sql.append((lambda: _queried(directory, statement), pending))
        self._has_sql.set()
        return pending

    async def _run_sql(self) -> None:
        while True:
            await self._has_sql.wait()
            self._has_sql = trio.Event()
            while self._sql:
                work, pending = self._sql.popleft()
                if pending.is_wanted:
                    response = await self._in_thread(work)
                    pending.answer(response)
                    self._wake()


def _known(member: pb.Member) -> KnownMember:
    return KnownMember(
        member.ID,
        member.name,
        tuple(member.peerURLs),
        tuple(member.clientURLs),
        member.isLearner,
        int(member.isLearner),
    )


def _nothing(_: bytes) -> Fields:
    return {}


def _queried(directory: str, statement: str) -> Http1Response:
    """Return what a query says; runs in a thread. Every fault of the query is an answer."""
    try:
        columns, rows = query(directory, statement, rows_max=SQL_ROWS_MAX, bytes_max=SQL_BYTES_MAX)
    except (StoreError, OSError) as error:
        return fault(str(error), HTTPStatus.BAD_REQUEST)
    return document({"columns": columns, "rows": rows})
