"""The epoll sockets under a served reactor: real loopback, unix and TLS connections."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio

from net import sockets
from net.listen import Listener, ListenUrl, PeerInfo, Role, listen
from net.reactor import Reactor
from net.sockets import EpollSockets
from net.telemetry import SILENT
from net.tls import ALPN_CLIENT, ALPN_HTTP, ServerTls, TlsOptions
from tests.certificates import Authority, client_context
from tests.loopback import (
    PREFACE,
    EchoApplication,
    Lines,
    read_all,
    read_exactly,
    run,
    serving,
)

GET = b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def tcp(role: Role = Role.CLIENT) -> Listener:
    return listen(ListenUrl("http", "127.0.0.1", 0), role)


async def dial(listener: Listener) -> trio.SocketStream:
    if listener.url.path:
        sock = trio.socket.socket(socket.AF_UNIX)
        await sock.connect(listener.url.path)
        return trio.SocketStream(sock)
    return await trio.open_tcp_stream("127.0.0.1", listener.url.port)


TlsStream = trio.SSLStream[trio.SocketStream]


async def dial_tls(listener: Listener, context: ssl.SSLContext) -> TlsStream:
    stream = trio.SSLStream(
        await dial(listener), context, server_hostname="localhost", https_compatible=True
    )
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def is_refused(stream: trio.SocketStream | TlsStream, data: bytes) -> bool:
    """Whether the other end closes, by a reset or an end, before it answers anything."""
    try:
        await stream.send_all(data)
        return await stream.receive_some(1) == b""
    except trio.BrokenResourceError:
        return True
    finally:
        await trio.aclose_forcefully(stream)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_options(authority: Authority) -> TlsOptions:
    server = authority.issue("server", "localhost")
    return TlsOptions(server.cert_file, server.key_file)


def secure(options: TlsOptions, role: Role = Role.CLIENT, lines: Lines | None = None) -> Listener:
    alpn = ALPN_HTTP if role is Role.HTTP else ALPN_CLIENT
    tls = ServerTls(options, SILENT if lines is None else lines.log, alpn=alpn)
    return listen(ListenUrl("https", "127.0.0.1", 0), role, tls=tls)


def test_tcp_and_unix_connections_are_served_side_by_side(tmp_path: Path) -> None:
    async def main() -> None:
        listeners = [tcp(), listen(ListenUrl("unix", path=f"{tmp_path}/kine.sock:12379"))]
        application = EchoApplication()
        async with serving(application, *listeners):
            for listener in listeners:
                stream = await dial(listener)
                await stream.send_all(PREFACE + b"hello")
                assert await read_exactly(stream, 5) == b"HELLO"
                await stream.aclose()
        assert application.codecs[0].peer.address.startswith("127.0.0.1:")
        assert application.codecs[1].peer == PeerInfo("@", url=str(listeners[1].url))

    run(main)


def test_http1_is_served_on_the_same_port() -> None:
    async def main() -> None:
        listener = tcp()
        async with serving(EchoApplication(), listener):
            stream = await dial(listener)
            await stream.send_all(GET)
            assert (await read_all(stream)).endswith(b"\r\n\r\nNone")
            await stream.aclose()

    run(main)


def test_a_long_answer_passes_through_a_slow_reader_whole() -> None:
    async def main() -> None:
        listener = tcp()
        application = EchoApplication()
        async with serving(application, listener) as reactor:
            stream = await dial(listener)
            await stream.send_all(PREFACE + b"a")
            assert await read_exactly(stream, 1) == b"A"
            big = os.urandom(20 << 20)
            application.codecs[0].say(big)
            reactor.wake()
            assert await read_exactly(stream, len(big)) == big
            await stream.aclose()

    run(main)


def test_a_wake_from_a_thread_gives_the_application_a_turn() -> None:
    async def main() -> None:
        listener = tcp()
        application = EchoApplication()
        async with serving(application, listener) as reactor:
            stream = await dial(listener)
            await stream.send_all(PREFACE + b"a")
            await read_exactly(stream, 1)

            def in_a_thread() -> None:
                application.codecs[0].say(b"done")
                reactor.wake()

            await trio.to_thread.run_sync(in_a_thread)
            assert await read_exactly(stream, 4) == b"done"
            await stream.aclose()

    run(main)


def test_an_adopted_connection_is_served_like_an_accepted_one() -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        application = EchoApplication()
        listener = tcp()
        epoll = EpollSockets([listener], SILENT)
        reactor = sockets_reactor(epoll, application)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reactor.run)
            peer = PeerInfo("member", Role.PEER)
            codec = application.accepted(peer, 0)
            codec.say(b"first")
            reactor.adopt(epoll.adopt(near, peer), codec)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(far))
            assert await read_exactly(stream, 5) == b"first"
            await stream.send_all(b"then")
            assert await read_exactly(stream, 4) == b"THEN"
            reactor.stop(0)
            await stream.aclose()

    run(main)


def test_a_refused_connection_hears_its_last_words_although_it_sent_more() -> None:
    """Closing with unread bytes would reset the connection and the goodbye with it."""

    async def main() -> None:
        listener = tcp()
        async with serving(EchoApplication(), listener):
            stream = await dial(listener)
            await stream.send_all(b"GET / HTTP/9.9\r\n\r\n" + b"x" * 100_000)
            assert (await read_all(stream)).endswith(b"unsupported protocol version")
            await stream.aclose()

    run(main)


def test_a_stop_hands_over_the_port_and_ends_the_reactor() -> None:
    async def main() -> None:
        listener = tcp()
        async with serving(EchoApplication(), listener) as reactor:
            stream = await dial(listener)
            await stream.send_all(PREFACE + b"a")
            assert await read_exactly(stream, 1) == b"A"
            reactor.stop(5_000)
            assert await read_all(stream) == b""
            listen(listener.url).close()
            await stream.aclose()
        assert reactor.is_over

    run(main)


def test_running_out_of_files_pauses_accepting_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full(socket.socket):
        """A listener whose process has no file left, twice."""

        refusals = 2

        def accept(self) -> tuple[socket.socket, object]:
            if self.refusals:
                self.refusals -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    monkeypatch.setattr(sockets, "ACCEPT_PAUSE_S", 0.01)
    lines = Lines()

    async def main() -> None:
        bound = tcp()
        listener = attrs.evolve(bound, sock=Full(fileno=bound.sock.detach()))
        async with serving(EchoApplication(), listener, log=lines.log):
            stream = await dial(listener)
            await stream.send_all(PREFACE + b"a")
            assert await read_exactly(stream, 1) == b"A"
            await stream.aclose()

    run(main)
    assert lines.having("accepting no connections for now") == 1
    assert lines.having("too many open files") == 1


def test_connections_above_the_limit_wait_for_one_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "ACCEPT_PAUSE_S", 0.01)

    async def main() -> None:
        listener = tcp()
        epoll = EpollSockets([listener], SILENT, connections_max=1)
        application = EchoApplication()
        reactor = sockets_reactor(epoll, application)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reactor.run)
            first, second = await dial(listener), await dial(listener)
            for stream in (first, second):
                await stream.send_all(PREFACE + b"a")
            assert await read_exactly(first, 1) == b"A"
            assert len(application.codecs) == 1
            await first.aclose()
            assert await read_exactly(second, 1) == b"A"
            await second.aclose()
            reactor.stop(0)

    run(main)


def test_alpn_decides_what_is_spoken(authority: Authority, tls_options: TlsOptions) -> None:
    async def main() -> None:
        application = EchoApplication()
        listener = secure(tls_options)
        async with serving(application, listener):
            two = await dial_tls(listener, client_context(authority.ca_file))
            assert two.selected_alpn_protocol() == "h2"
            await two.send_all(PREFACE + b"hello")
            assert await read_exactly(two, 5) == b"HELLO"
            # curl and Prometheus offer both, and want what is served over HTTP/1.1.
            both = client_context(authority.ca_file, alpn=("h2", "http/1.1"))
            one = await dial_tls(listener, both)
            assert one.selected_alpn_protocol() == "http/1.1"
            await one.send_all(GET)
            assert (await read_all(one)).endswith(b"None")
            none = await dial_tls(listener, client_context(authority.ca_file, alpn=()))
            await none.send_all(PREFACE + b"sniffed")
            assert await read_exactly(none, 7) == b"SNIFFED"
            for stream in (one, two, none):
                await trio.aclose_forcefully(stream)
        assert [(codec.peer.alpn, codec.peer.is_secure) for codec in application.codecs] == [
            ("h2", True),
            (None, True),
        ]

    run(main)


def test_an_http_listener_offers_http1_alone(authority: Authority, tls_options: TlsOptions) -> None:
    async def main() -> None:
        listener = secure(tls_options, Role.HTTP)
        async with serving(EchoApplication(), listener):
            context = client_context(authority.ca_file, alpn=("h2", "http/1.1"))
            stream = await dial_tls(listener, context)
            assert stream.selected_alpn_protocol() == "http/1.1"
            await stream.send_all(GET)
            assert b"200 OK" in await read_all(stream)
            await trio.aclose_forcefully(stream)

    run(main)


def test_a_verified_client_is_known_by_name_and_others_stay_out(
    authority: Authority, tls_options: TlsOptions
) -> None:
    lines = Lines()
    root = authority.issue("root", "root.example", common_name="root")
    guest = authority.issue("guest", "guest.example", common_name="guest")
    options = attrs.evolve(
        tls_options, trusted_ca_file=authority.ca_file, allowed_common_names=("root",)
    )

    async def main() -> None:
        application = EchoApplication()
        listener = secure(options)
        async with serving(application, listener, log=lines.log):
            stream = await dial_tls(listener, client_context(authority.ca_file, root))
            await stream.send_all(PREFACE + b"hello")
            assert await read_exactly(stream, 5) == b"HELLO"
            await trio.aclose_forcefully(stream)
            for context in (
                client_context(authority.ca_file),
                client_context(authority.ca_file, guest),
            ):
                # Under TLS 1.3 a client is through before the server has judged it.
                refused = await dial_tls(listener, context)
                assert await is_refused(refused, PREFACE + b"hello")
        (codec,) = application.codecs
        assert (codec.peer.common_name, codec.peer.names) == ("root", ("root.example",))

    run(main)
    assert lines.having("peer did not return a certificate") == 1
    assert lines.having("the certificate's common name is not allowed") == 1


def test_a_plaintext_client_of_a_tls_listener_is_told_in_gos_words(
    tls_options: TlsOptions,
) -> None:
    lines = Lines()

    async def main() -> None:
        listener = secure(tls_options)
        async with serving(EchoApplication(), listener, log=lines.log):
            stream = await dial(listener)
            await stream.send_all(GET)
            assert (await read_all(stream)).endswith(
                b"Client sent an HTTP request to an HTTPS server.\n"
            )
            await stream.aclose()
            stream = await dial(listener)
            assert await is_refused(stream, PREFACE)

    run(main)
    assert lines.having("client speaks no TLS on a TLS listener") == 2


def test_a_tls_client_of_a_plaintext_listener_is_closed(authority: Authority) -> None:
    lines = Lines()

    async def main() -> None:
        listener = tcp()
        async with serving(EchoApplication(), listener, log=lines.log):
            with pytest.raises(trio.BrokenResourceError):
                await dial_tls(listener, client_context(authority.ca_file))

    run(main)
    assert lines.having("client speaks TLS on a listener without TLS") == 1


def test_a_long_answer_passes_through_tls_whole(
    authority: Authority, tls_options: TlsOptions
) -> None:
    async def main() -> None:
        listener = secure(tls_options)
        application = EchoApplication()
        async with serving(application, listener) as reactor:
            stream = await dial_tls(listener, client_context(authority.ca_file))
            await stream.send_all(PREFACE + b"a")
            assert await read_exactly(stream, 1) == b"A"
            big = os.urandom(5 << 20)
            application.codecs[0].say(big)
            reactor.wake()
            assert await read_exactly(stream, len(big)) == big
            await stream.send_all(big)
            assert await read_exactly(stream, len(big)) == big.upper()
            await trio.aclose_forcefully(stream)

    run(main)


def test_silent_handshakes_are_closed_in_time_and_delay_nobody(
    authority: Authority, tls_options: TlsOptions
) -> None:
    """More of them than there are handshake threads; some stop in the middle."""
    lines = Lines()

    async def main() -> None:
        listener = secure(tls_options)
        application = EchoApplication()
        async with serving(application, listener, log=lines.log, handshake_timeout_s=2.0):
            silent = [await dial(listener) for _ in range(8)]
            for stream in silent[:4]:
                await stream.send_all(b"\x16\x03\x01\x02")
            speaker = await dial_tls(listener, client_context(authority.ca_file))
            await speaker.send_all(PREFACE + b"hello")
            assert await read_exactly(speaker, 5) == b"HELLO"
            for other in silent:
                assert await read_all(other) == b""
                await other.aclose()
            await trio.aclose_forcefully(speaker)

    run(main)
    assert lines.having("handshake timed out") == 8


async def send_garbage(stream: trio.SocketStream) -> None:
    await stream.send_all(bytes(range(256)) * 1000)


async def send_half_a_preface(stream: trio.SocketStream) -> None:
    await stream.send_all(PREFACE[:10])


async def send_and_never_read(stream: trio.SocketStream) -> None:
    await stream.send_all(PREFACE)
    with trio.move_on_after(0.5):
        await stream.send_all(b"x" * (64 << 20))


async def send_slowly(stream: trio.SocketStream) -> None:
    for at in range(len(GET) - 1):
        await stream.send_all(GET[at : at + 1])


async def reset(stream: trio.SocketStream) -> None:
    await stream.send_all(PREFACE + b"x" * 10_000)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


@pytest.mark.parametrize(
    "attack", [send_garbage, send_half_a_preface, send_and_never_read, send_slowly, reset]
)
def test_a_bad_connection_does_not_delay_a_bystander(
    attack: Callable[[trio.SocketStream], Awaitable[None]],
) -> None:
    async def main() -> None:
        listener = tcp()
        application = EchoApplication()

        async def attacker() -> None:
            stream = await dial(listener)
            try:
                await attack(stream)
                await trio.sleep_forever()
            except trio.BrokenResourceError:
                return  # It was thrown out.
            finally:
                await trio.aclose_forcefully(stream)

        async with serving(application, listener):
            async with trio.open_nursery() as nursery:
                bystander = await dial(listener)
                await bystander.send_all(PREFACE)
                for _ in range(4):
                    nursery.start_soon(attacker)
                slowest_s = 0.0
                for _ in range(200):
                    # The reactor works in this thread; what others take of the machine is not its.
                    begin_s = time.thread_time()
                    await bystander.send_all(b"hello")
                    assert await read_exactly(bystander, 5) == b"HELLO"
                    slowest_s = max(slowest_s, time.thread_time() - begin_s)
                nursery.cancel_scope.cancel()
            await bystander.aclose()
        # A turn is bounded by TURN_BYTES_MAX; this leaves a slow machine a wide margin.
        assert slowest_s < 2.0

    run(main)


def sockets_reactor(epoll: EpollSockets, application: EchoApplication) -> Reactor:
    return Reactor(epoll, application, SILENT, now_ms=lambda: time.monotonic_ns() // 1_000_000)


def test_a_wake_after_the_close_is_harmless() -> None:
    epoll = EpollSockets([tcp()], SILENT)
    epoll.close()
    epoll.wake()
    epoll.close()
