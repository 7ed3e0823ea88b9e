"""Members over real sockets and TLS 1.3: who gets a link by which certificate."""

import ssl
from collections.abc import Callable
from pathlib import Path
from secrets import randbits

import pytest
import trio
from attrs import define, evolve, field
from cryptography.hazmat.primitives.serialization import Encoding

from net.application import Codec
from net.http1 import Http1Request, Http1Response
from net.listen import ListenUrl, PeerInfo, Role, listen
from net.peers.dial import ThreadDialler
from net.peers.hello import Contact
from net.peers.mesh import Mesh, Self
from net.reactor import Reactor
from net.sockets import EpollSockets
from net.telemetry import Logger, Sink
from net.tls import ServerTls, TlsOptions, dialling_context
from net.turns import RAFT
from tests.certificates import Authority, Files
from tests.mesh_world import Members

WAIT_S = 60.0
TICK_MS = 10


@define(eq=False)
class End:
    """A member that only has links."""

    id: int
    mesh: Mesh
    reactor: Reactor = field(init=False)
    sockets: EpollSockets = field(init=False)
    dirty: list[Codec] = field(factory=list[Codec])
    is_full: bool = False
    lines: list[str] = field(factory=list[str])
    linked: set[int] = field(factory=set[int])
    heard: list[tuple[int, int, bytes]] = field(factory=list[tuple[int, int, bytes]])
    tls: ServerTls | None = None

    # The reactor's application.

    def accepted(self, peer: PeerInfo, now_ms: int) -> Codec:
        return self.mesh.accepted(peer, now_ms)

    def http1(self, request: Http1Request, peer: PeerInfo) -> Http1Response | None:
        return Http1Response(200, f"members {peer.common_name}".encode())

    def goes_on(self) -> bool:
        return False

    def turn(self, now_ms: int) -> int | None:
        self.mesh.tick(now_ms)
        return now_ms + TICK_MS

    # Arrivals.

    def link_up(self, peer: int) -> None:
        self.linked.add(peer)

    def link_down(self, peer: int) -> None:
        self.linked.discard(peer)

    def arrived(self, peer: int, channel: int, body: bytes) -> None:
        self.heard.append((peer, channel, body))

    def measured(self, peer: int, round_trip_us: int) -> None:
        pass

    def removed(self, by: int) -> None:
        pass


def now_ms() -> int:
    return int(trio.current_time() * 1000)


def make(
    number: int,
    options: TlsOptions | None,
    *,
    judged_as: TlsOptions | None = None,
    is_pinned: bool = False,
) -> End:
    """A member that listens on a port of its own; `judged_as` is how it judges whom it dials."""
    scheme = "https" if options else "http"
    lines: list[str] = []
    log = Logger(Sink(lines.append, lambda: 0))
    tls = ServerTls(options, log, alpn=()) if options else None
    listener = listen(ListenUrl(scheme, "127.0.0.1", 0), Role.PEER, tls=tls)
    sockets = EpollSockets([listener], log)
    shown = judged_as or options

    def context() -> ssl.SSLContext:
        assert shown is not None
        return dialling_context(shown)

    dialler = ThreadDialler(
        context if options else None,
        ServerTls(shown, log, alpn=()).refusal if shown else lambda names: None,
        lambda sock, info, codec: end.reactor.adopt(sockets.adopt(sock, info), codec),
    )
    mesh = Mesh(
        Self(7, number, randbits(64), is_pinned), Members({}, set()), dialler, log, randbits
    )
    end = End(number, mesh, lines=lines, tls=tls)
    end.sockets = sockets
    end.reactor = Reactor(sockets, end, log, now_ms=now_ms)
    url = f"{scheme}://127.0.0.1:{listener.url.port}"
    mesh.roster = Members({number: Contact(number, f"m{number}", (url,))}, {number})
    return end


def acquaint(*ends: End) -> None:
    """Have all know all."""
    contacts = {each: one for end in ends for each, one in end.mesh.roster.contacts.items()}
    for end in ends:
        end.mesh.roster = Members(contacts, set(contacts))
        end.mesh.open(end, end.sockets.wake, end.dirty)


def run(ends: list[End], until: Callable[[], bool]) -> bool:
    """Serve them until something holds; False if it does not in time."""

    async def main() -> bool:
        async with trio.open_nursery() as nursery:
            for end in ends:
                nursery.start_soon(end.reactor.run)
            came = False
            with trio.move_on_after(WAIT_S):
                while not (came := until()):  # noqa: ASYNC110  # nobody tells of what is looked for
                    await trio.sleep(0.005)
            for end in ends:
                end.mesh.close()
                end.reactor.close()
            nursery.cancel_scope.cancel()
        return came

    return trio.run(main)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def options(files: Files, ca_file: str) -> TlsOptions:
    return TlsOptions(
        files.cert_file,
        files.key_file,
        ca_file,
        client_cert_required=True,
        min_version=ssl.TLSVersion.TLSv1_3,
    )


def own(authority: Authority, number: int) -> TlsOptions:
    files = authority.issue(f"m{number}", "127.0.0.1", common_name=f"m{number}")
    return options(files, authority.ca_file)


def linked(*ends: End) -> bool:
    ids = {end.id for end in ends}
    return all(end.linked == ids - {end.id} for end in ends)


def refusals(end: End, message: str) -> list[str]:
    return [line for line in end.lines if f'"msg":"{message}' in line]


def test_members_with_certificates_of_their_own_link_and_talk(authority: Authority) -> None:
    ends = [make(number, own(authority, number)) for number in (1, 2, 3)]
    acquaint(*ends)

    def talked() -> bool:
        if linked(*ends) and not any(end.heard for end in ends):
            ends[0].mesh.send(3, RAFT, b"x" * 3_000_000)
        return bool(ends[2].heard)

    assert run(ends, talked)
    assert ends[2].heard[0] == (1, RAFT, b"x" * 3_000_000)


def test_members_on_one_machine_may_talk_plainly() -> None:
    ends = [make(number, None) for number in (1, 2)]
    acquaint(*ends)
    assert run(ends, lambda: linked(*ends))


def test_a_certificate_of_another_authority_gets_no_link(
    authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "foreign")
    good = make(1, own(authority, 1))
    files = foreign.issue("m2", "127.0.0.1", common_name="m2")
    bad = make(2, options(files, foreign.ca_file), judged_as=options(files, authority.ca_file))
    acquaint(good, bad)
    assert run([good, bad], lambda: bool(refusals(good, "rejected connection on TLS listener")))
    assert not good.linked | bad.linked


def test_a_certificate_of_another_member_gets_no_link(authority: Authority) -> None:
    first, second = make(1, own(authority, 1)), make(2, own(authority, 3))
    acquaint(first, second)
    contacts = {**first.mesh.roster.contacts, 3: Contact(3, "m3", ())}
    first.mesh.roster = second.mesh.roster = Members(contacts, set(contacts))
    message = "cannot connect to a member"
    assert run([first, second], lambda: bool(refusals(first, message)))
    assert not first.linked | second.linked


def test_one_without_a_certificate_gets_no_link(authority: Authority) -> None:
    good, bad = make(1, own(authority, 1)), make(2, None)
    acquaint(good, bad)
    contacts = {**good.mesh.roster.contacts, 2: Contact(2, "m2", ())}
    good.mesh.roster = Members(contacts, set(contacts))
    told = "it wants TLS, and this member has no --peer-cert-file"
    assert run([good, bad], lambda: told in "".join(bad.lines))
    assert not good.linked | bad.linked


def test_a_revoked_member_gets_no_link(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue("m2", "127.0.0.1", common_name="m2")
    crl = tmp_path / "crl.der"
    crl.write_bytes(authority.revoke(files.serial, encoding=Encoding.DER))
    good = make(1, evolve(own(authority, 1), crl_file=str(crl)))
    bad = make(2, options(files, authority.ca_file))
    acquaint(good, bad)
    assert run([good, bad], lambda: bool(refusals(good, "rejected connection")))
    assert not good.linked | bad.linked


@pytest.mark.parametrize("is_same", [True, False])
def test_a_shared_pair_links_those_who_show_exactly_it(tmp_path: Path, is_same: bool) -> None:
    """As in k8s-dqlite: cluster.crt and cluster.key on every member, and nothing else."""
    authority = Authority(tmp_path)
    pair = authority.issue("cluster", "k8s", common_name="k8s")
    other = pair if is_same else authority.issue("other", "k8s", common_name="k8s")
    ends = [
        # Both are of one authority, so that only the pin can tell them apart.
        make(number, evolve(options(files, authority.ca_file), is_pinned=True), is_pinned=True)
        for number, files in ((1, pair), (2, other))
    ]
    acquaint(*ends)
    if is_same:
        assert run(ends, lambda: linked(*ends))
    else:
        assert run(ends, lambda: bool(refusals(ends[0], "rejected connection on TLS listener")))
        assert not ends[0].linked | ends[1].linked


def test_who_asks_in_http_is_answered_as_the_holder_of_its_certificate(
    authority: Authority,
) -> None:
    end = make(1, own(authority, 1))
    acquaint(end)
    (url,) = end.mesh.roster.contacts[1].urls
    answer: list[bytes] = []

    async def ask() -> None:
        context = dialling_context(own(authority, 2))
        stream = trio.SSLStream(
            await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2])), context
        )
        await stream.send_all(b"GET /members HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer.append(bytes(await stream.receive_some()))
        await trio.aclose_forcefully(stream)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end.reactor.run)
            with trio.fail_after(WAIT_S):
                await ask()
            end.mesh.close()
            end.reactor.close()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert answer[0].endswith(b"members m2")


def test_a_plain_connection_does_not_leave_the_machine() -> None:
    end = make(1, None)
    acquaint(end)
    contacts = {**end.mesh.roster.contacts, 2: Contact(2, "m2", ("http://192.0.2.1:2380",))}
    end.mesh.roster = Members(contacts, set(contacts))
    told = "plain connections between members stay on one machine"
    assert run([end], lambda: told in "".join(end.lines))


def test_a_url_that_nobody_can_dial_is_a_failure_and_no_fault() -> None:
    end = make(1, None)
    acquaint(end)
    urls = ("ftp://127.0.0.1:1", "http://localhost:70000", "unix:///nowhere/at/all")
    contacts = {**end.mesh.roster.contacts, 2: Contact(2, "m2", urls)}
    end.mesh.roster = Members(contacts, set(contacts))
    assert run([end], lambda: "cannot connect to a member" in "".join(end.lines))
    assert all(url in "".join(end.lines) for url in urls)
