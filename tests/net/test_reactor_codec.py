"""The reactor with the HTTP/2 codec in it, as gRPC's own client sees both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
import trio

from net.http1 import Http1Pending, Http1Request, Http1Response
from net.http2.connection import Connection
from net.http2.limits import Http2Settings
from net.http2.status import Code
from net.http2.stream import Kind, Stream
from net.listen import Listener, ListenUrl, PeerInfo, listen
from net.reactor import Reactor
from net.telemetry import SILENT
from net.tls import ServerTls, TlsOptions
from tests.certificates import Authority, Files
from tests.loopback import read_exactly, run, serving

T = TypeVar("T")
METHODS = {
    b"/test.Echo/Now": (Kind.UNARY, "now"),
    b"/test.Echo/Later": (Kind.UNARY, "later"),
    b"/test.Echo/Talk": (Kind.BIDI, "talk"),
}
Codec = Connection[str]


class Service:
    """Answers "now" in the next turn, "later" when it is told to, and talks back on a stream."""

    def __init__(self) -> None:
        self.dirty: list[Codec] = []
        self.inbox: list[tuple[Codec, Stream[str], bytes | None]] = []
        self.later: list[tuple[Codec, Stream[str], bytes]] = []
        self.peers: list[PeerInfo] = []
        self.cancelled_count = 0
        self.later_came = trio.Event()
        self.is_full = False

    def accepted(self, peer: PeerInfo, now_ms: int) -> Codec:
        self.peers.append(peer)
        return Connection(METHODS, self, Http2Settings(), now_ms, self.dirty)

    def http1(self, request: Http1Request, peer: PeerInfo) -> Http1Response | Http1Pending | None:
        return Http1Response(200, b"ok")

    def request(self, connection: Codec, stream: Stream[str], message: bytes) -> None:
        self.inbox.append((connection, stream, message))

    def opened(self, connection: Codec, stream: Stream[str]) -> None:
        connection.open(stream)

    def message(self, connection: Codec, stream: Stream[str], message: bytes) -> None:
        self.inbox.append((connection, stream, message))

    def half_closed(self, connection: Codec, stream: Stream[str]) -> None:
        self.inbox.append((connection, stream, None))

    def cancelled(self, connection: Codec, stream: Stream[str]) -> None:
        self.cancelled_count += 1

    def goes_on(self) -> bool:
        return False

    def turn(self, now_ms: int) -> int | None:
        inbox, self.inbox = self.inbox, []
        for connection, stream, message in inbox:
            if message is None:
                connection.finish(stream)
                continue
            match stream.method:
                case "now" if message == b"fail":
                    connection.fail(stream, Code.NOT_FOUND, "etcdserver: nothing there")
                case "now":
                    connection.respond(stream, message.upper())
                case "talk":
                    connection.send(stream, message.upper())
                case _:
                    self.later.append((connection, stream, message))
                    self.later_came.set()
        return None


def tcp() -> Listener:
    return listen(ListenUrl("http", "127.0.0.1", 0))


async def in_thread(function: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(function)


def same(message: bytes) -> bytes:
    return message


def unary(channel: grpc.Channel, name: str, message: bytes) -> bytes:
    method = f"/test.Echo/{name}"
    call = channel.unary_unary(method, request_serializer=same, response_deserializer=same)
    return call(message, timeout=60)


def talk(channel: grpc.Channel, said: Sequence[bytes]) -> list[bytes]:
    call = channel.stream_stream(
        "/test.Echo/Talk", request_serializer=same, response_deserializer=same
    )
    return list(call(iter(said), timeout=60))


def mutual_tls(authority: Authority, client: Files) -> grpc.ChannelCredentials:
    ca, key, cert = (
        Path(name).read_bytes() for name in (authority.ca_file, client.key_file, client.cert_file)
    )
    return grpc.ssl_channel_credentials(ca, key, cert)


def target(listener: Listener) -> str:
    path = listener.url.path
    return f"unix:{path}" if path else f"127.0.0.1:{listener.url.port}"


def test_grpc_calls_are_answered_over_tcp_and_unix_sockets(tmp_path: Path) -> None:
    async def main() -> None:
        listeners = [tcp(), listen(ListenUrl("unix", path=f"{tmp_path}/a.sock:12379"))]
        async with serving(Service(), *listeners):
            for listener in listeners:
                with grpc.insecure_channel(target(listener)) as channel:

                    def calls(channel: grpc.Channel = channel) -> list[bytes]:
                        sizes = (0, 1, 100_000, 1_500_000)
                        return [unary(channel, "Now", b"a" * size) for size in sizes]

                    answers = await in_thread(calls)
                assert answers == [b"A" * size for size in (0, 1, 100_000, 1_500_000)]

    run(main)


def test_an_error_carries_its_text() -> None:
    async def main() -> None:
        listener = tcp()
        async with serving(Service(), listener):
            with (
                grpc.insecure_channel(target(listener)) as channel,
                pytest.raises(grpc.RpcError) as failed,
            ):
                await in_thread(lambda: unary(channel, "Now", b"fail"))
        assert (failed.value.code(), failed.value.details()) == (
            grpc.StatusCode.NOT_FOUND,
            "etcdserver: nothing there",
        )

    run(main)


def test_a_stream_talks_both_ways_until_the_client_ends_it() -> None:
    async def main() -> None:
        listener = tcp()
        async with serving(Service(), listener):
            with grpc.insecure_channel(target(listener)) as channel:
                said = [b"a", b"b" * 200_000, b"c"]
                heard = await in_thread(lambda: talk(channel, said))
        assert heard == [b"A", b"B" * 200_000, b"C"]

    run(main)


def test_grpc_and_http1_speak_tls_with_client_certificates(tmp_path: Path) -> None:
    async def main() -> None:
        authority = Authority(tmp_path)
        server = authority.issue("server", "localhost")
        client = authority.issue("client", "client.example", common_name="root")
        options = TlsOptions(server.cert_file, server.key_file, trusted_ca_file=authority.ca_file)
        listener = listen(ListenUrl("https", "127.0.0.1", 0), tls=ServerTls(options, SILENT))
        service = Service()
        where = f"localhost:{listener.url.port}"
        async with serving(service, listener):
            with grpc.secure_channel(where, mutual_tls(authority, client)) as channel:
                assert await in_thread(lambda: unary(channel, "Now", b"hello")) == b"HELLO"
            other = Authority(tmp_path, "other").issue("stranger", "client.example")
            with (
                grpc.secure_channel(where, mutual_tls(authority, other)) as channel,
                pytest.raises(grpc.RpcError),
            ):
                await in_thread(lambda: unary(channel, "Now", b"hello"))
        assert [(peer.alpn, peer.common_name) for peer in service.peers] == [("h2", "root")]

    run(main)


def test_a_stop_answers_what_was_asked_and_refuses_what_comes_after() -> None:
    async def main() -> None:
        listener = tcp()
        service = Service()
        async with serving(service, listener) as reactor:
            with grpc.insecure_channel(target(listener)) as channel:
                answers: list[bytes] = []

                async def ask() -> None:
                    answers.append(await in_thread(lambda: unary(channel, "Later", b"hello")))

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask)
                    await service.later_came.wait()
                    reactor.stop(10_000)
                    for connection, stream, message in service.later:
                        connection.respond(stream, message.upper())
                    reactor.wake()
                assert answers == [b"HELLO"]
                with pytest.raises(grpc.RpcError) as failed:
                    await in_thread(lambda: unary(channel, "Now", b"hello"))
                assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (reactor.is_over, service.cancelled_count) == (True, 0)

    run(main)


def test_a_client_that_vanishes_cancels_its_calls() -> None:
    async def main() -> None:
        listener = tcp()
        service = Service()
        async with serving(service, listener) as reactor:
            channel = grpc.insecure_channel(target(listener))
            calls = channel.unary_unary(
                "/test.Echo/Later", request_serializer=same, response_deserializer=same
            )
            call = calls.future(b"hello")
            await service.later_came.wait()
            assert (call.done(), service.cancelled_count) == (False, 0)
            channel.close()
            await no_connections(reactor)
            assert service.cancelled_count == 1

    run(main)


async def no_connections(reactor: Reactor) -> None:
    """Wait until the reactor has seen every client go."""
    while len(reactor):
        await trio.lowlevel.checkpoint()


def test_frames_without_meaning_end_in_a_goaway_and_an_end() -> None:
    async def main() -> None:
        listener = tcp()
        async with serving(Service(), listener):
            stream = await trio.open_tcp_stream("127.0.0.1", listener.url.port)
            await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9 + b"\xff" * 9)
            heard = b"".join([piece async for piece in stream])
            assert b"\x07\x00\x00\x00\x00\x00" in heard
            await stream.aclose()

    run(main)


def test_http1_has_its_place_beside_grpc() -> None:
    async def main() -> None:
        listener = tcp()
        async with serving(Service(), listener):
            stream = await trio.open_tcp_stream("127.0.0.1", listener.url.port)
            await stream.send_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await read_exactly(stream, 15)) == b"HTTP/1.1 200 OK"
            await stream.aclose()

    run(main)
