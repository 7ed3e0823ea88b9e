"""A stock gRPC client (C core) talks to the codec over a real socket."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from net.http2.connection import Connection
from net.http2.limits import Http2Settings
from net.http2.status import Code
from net.http2.stream import Stream
from tests.http2_client import METHODS, RANGE, SNAPSHOT, WATCH, Recorder, echo

if TYPE_CHECKING:
    UnaryCall = grpc.UnaryUnaryMultiCallable[bytes, bytes]
    StreamCall = grpc.UnaryStreamMultiCallable[bytes, bytes]
    BidiCall = grpc.StreamStreamMultiCallable[bytes, bytes]


class Loop:
    """Accepts connections and moves their bytes, only while `until` runs."""

    def __init__(self, recorder: Recorder, settings: Http2Settings) -> None:
        self.recorder = recorder
        self.settings = settings
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.connections: dict[socket.socket, Connection[str]] = {}
        self.turns = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def until(self, done: Callable[[], bool]) -> None:
        """Serve until `done`; the limit on turns stands for a timeout."""
        for _ in range(20_000):
            if done():
                return
            for key, _ in self.selector.select(0.01):
                assert isinstance(key.fileobj, socket.socket)
                self._ready(key.fileobj)
            for peer, connection in list(self.connections.items()):
                self._write(peer, connection)
        raise AssertionError("the client is still not served")

    def _ready(self, ready: socket.socket) -> None:
        if ready is self.listener:
            peer, _ = self.listener.accept()
            self.connections[peer] = Connection(METHODS, self.recorder, self.settings, self._now())
            self.selector.register(peer, selectors.EVENT_READ)
            return
        try:
            data = ready.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if data:
            connection = self.connections[ready]
            connection.feed(data, self._now())
            while connection.has_more:
                connection.feed(b"", self._now())
        else:
            self.connections.pop(ready).eof()
            self.selector.unregister(ready)
            ready.close()

    def _write(self, peer: socket.socket, connection: Connection[str]) -> None:
        while data := connection.take(1 << 16):
            peer.setblocking(True)
            peer.sendall(data)
        if connection.closing:
            peer.shutdown(socket.SHUT_WR)
            del self.connections[peer]
            self.selector.unregister(peer)
            peer.close()

    def _now(self) -> int:
        self.turns += 1
        return 1_000 + self.turns

    def close(self) -> None:
        for peer, connection in self.connections.items():
            connection.eof()
            peer.close()
        self.listener.close()
        self.selector.close()


@contextmanager
def served(
    recorder: Recorder, settings: Http2Settings | None = None
) -> Iterator[tuple[Loop, grpc.Channel]]:
    loop = Loop(recorder, settings or Http2Settings())
    with grpc.insecure_channel(
        loop.address, options=[("grpc.max_receive_message_length", -1)]
    ) as channel:
        yield loop, channel
    loop.close()


def unary_call(channel: grpc.Channel, path: bytes = RANGE) -> UnaryCall:
    return channel.unary_unary(path.decode())


def test_a_hundred_unary_calls_with_deadlines_and_metadata_are_echoed() -> None:
    seen: list[bytes] = []

    def answer(connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        seen.append(stream.headers[b"token"])
        assert stream.deadline_ms > 0
        connection.respond(stream, message)

    with served(Recorder(answer)) as (loop, channel):
        call = unary_call(channel)
        for i in range(100):
            future = call.future(b"%d" % i, timeout=60, metadata=(("token", f"t{i % 3}"),))
            loop.until(future.done)
            assert future.result() == b"%d" % i
    assert seen == [b"t%d" % (i % 3) for i in range(100)]


def test_messages_larger_than_every_window_go_both_ways() -> None:
    messages = [bytes([i]) * (1_500_000 + i) for i in range(8)]
    with served(Recorder(echo)) as (loop, channel):
        call = unary_call(channel)
        futures = [call.future(message) for message in messages]
        loop.until(lambda: all(future.done() for future in futures))
        assert [future.result() for future in futures] == messages


def test_an_answer_of_20_mb_arrives_whole() -> None:
    parts = [bytes([i % 256]) * 1_000 for i in range(20_000)]

    def answer(connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        connection.respond_parts(stream, parts, 20_000_000)

    with served(Recorder(answer)) as (loop, channel):
        future = unary_call(channel).future(b"")
        loop.until(future.done)
        assert future.result() == b"".join(parts)


def test_gzip_requests_are_understood() -> None:
    with served(Recorder(echo)) as (loop, channel):
        call = unary_call(channel)
        future = call.future(b"x" * 100_000, compression=grpc.Compression.Gzip)
        loop.until(future.done)
        assert future.result() == b"x" * 100_000


def test_a_status_carries_its_text() -> None:
    def answer(connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        connection.fail(stream, Code.OUT_OF_RANGE, "etcdserver: 100% größer\n")

    with served(Recorder(answer)) as (loop, channel):
        future = unary_call(channel).future(b"")
        loop.until(future.done)
        assert future.code() is grpc.StatusCode.OUT_OF_RANGE
        assert future.details() == "etcdserver: 100% größer\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etcdserverpb.KV/Fetch", "unknown method Fetch for service etcdserverpb.KV"),
        ("/v3.KV/Range", "unknown service v3.KV"),
    ],
)
def test_an_unknown_method_is_unimplemented(path: str, text: str) -> None:
    with served(Recorder(echo)) as (loop, channel):
        future = unary_call(channel, path.encode()).future(b"")
        loop.until(future.done)
        assert (future.code(), future.details()) == (grpc.StatusCode.UNIMPLEMENTED, text)


def test_a_message_above_the_limit_is_refused_in_grpc_go_words() -> None:
    with served(Recorder(echo), Http2Settings(message_bytes_max=1_000)) as (loop, channel):
        future = unary_call(channel).future(b"x" * 1_001)
        loop.until(future.done)
        assert future.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert future.details() == "grpc: received message larger than max (1001 vs. 1000)"


def test_a_server_stream_ends_with_its_trailers() -> None:
    def answer(connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        for i in range(50):
            connection.send(stream, bytes([i]) * 10_000)
        connection.finish(stream)

    with ThreadPoolExecutor(1) as reader, served(Recorder(answer)) as (loop, channel):
        begin: StreamCall = channel.unary_stream(SNAPSHOT.decode())
        call = begin(b"")
        got = reader.submit(list, call)
        loop.until(got.done)
        assert got.result() == [bytes([i]) * 10_000 for i in range(50)]


def test_a_watch_is_echoed_and_cancelled() -> None:
    recorder = Recorder(echo)
    with served(recorder) as (loop, channel):
        begin: BidiCall = channel.stream_stream(WATCH.decode())
        call = begin(iter([b"a", b"b", b"c"]))
        loop.until(lambda: ("half_closed", 1, b"") in recorder.calls)
        call.cancel()
        loop.until(lambda: recorder.calls[-1][0] == "cancelled")
    verbs = [verb for verb, _, _ in recorder.calls]
    assert verbs == ["opened", "message", "message", "message", "half_closed", "cancelled"]


def test_a_drained_connection_finishes_its_calls_and_the_next_call_dials_again() -> None:
    held: list[tuple[Connection[str], Stream[str]]] = []

    def answer(connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        held.append((connection, stream))

    with served(Recorder(answer)) as (loop, channel):
        call = unary_call(channel)
        first = call.future(b"1")
        loop.until(lambda: len(held) == 1)
        connection, stream = held[0]
        connection.drain(5_000)
        loop.until(lambda: connection._is_draining)
        second = call.future(b"2")
        loop.until(lambda: len(held) == 2)
        assert held[1][0] is not connection
        connection.respond(stream, b"first")
        held[1][0].respond(held[1][1], b"second")
        loop.until(lambda: first.done() and second.done())
        assert (first.result(), second.result()) == (b"first", b"second")
        loop.until(lambda: connection.closing)
        assert connection.reason == "drained"
