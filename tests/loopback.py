"""A small application for the reactor, links without a network, and a served loopback."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count

import trio

from net.http1 import Http1Pending, Http1Request, Http1Response
from net.listen import Listener, PeerInfo
from net.reactor import Application, Reactor
from net.sockets import READ, WRITE, EpollSockets
from net.telemetry import SILENT, Logger, Sink

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TEST_S_MAX = 60.0


class Echo:
    """A codec without framing: after the preface it says back, in capitals, what it hears.

    "bye." ends the connection after the bytes before it were answered; `drain` ends it at once.
    """

    def __init__(self, application: EchoApplication, peer: PeerInfo) -> None:
        self._application = application
        self.peer = peer
        self.heard = b""
        self.ended = 0
        self.ticks: list[int] = []
        self.pending_bytes = 0
        self.messages_in = 0
        self.closing = False
        self.has_more = False
        self.reason = ""
        self.next_deadline_ms = 0
        self._out = bytearray()

    def feed(self, data: bytes, now_ms: int) -> None:
        self.heard += data
        self.messages_in += 1
        self._application.inbox.append((self, data))

    def take(self, limit: int) -> bytes:
        data = bytes(self._out[:limit])
        del self._out[:limit]
        self.pending_bytes = len(self._out)
        return data

    def eof(self) -> None:
        self.ended += 1
        self.closing = True
        self._out.clear()

    def drain(self, now_ms: int) -> None:
        self.reason = "drained"
        self.closing = True

    def tick(self, now_ms: int) -> None:
        self.ticks.append(now_ms)
        self.next_deadline_ms = 0

    def say(self, data: bytes) -> None:
        self._out += data
        self.pending_bytes = len(self._out)
        self._application.dirty.append(self)


class EchoApplication:
    """Answers each codec in its turn; `/pending` waits for a call of `answer_pending`."""

    def __init__(self) -> None:
        self.dirty: list[Echo] = []
        self.inbox: list[tuple[Echo, bytes]] = []
        self.codecs: list[Echo] = []
        self.pending: list[Http1Pending] = []
        self.turns: list[int] = []
        self.due_ms: int | None = None
        self.is_full = False
        self.follows = False
        """Whether a turn is to follow the next one at once."""

    def accepted(self, peer: PeerInfo, now_ms: int) -> Echo:
        self.codecs.append(Echo(self, peer))
        return self.codecs[-1]

    def http1(self, request: Http1Request, peer: PeerInfo) -> Http1Response | Http1Pending | None:
        if request.path == "/whoami":
            return Http1Response(200, repr(peer.common_name).encode())
        if request.path == "/pending":
            self.pending.append(Http1Pending())
            return self.pending[-1]
        return None

    def turn(self, now_ms: int) -> int | None:
        self.turns.append(now_ms)
        inbox, self.inbox = self.inbox, []
        for codec, data in inbox:
            codec.say(data.removeprefix(PREFACE).removesuffix(b"bye.").upper())
            if data.endswith(b"bye."):
                codec.closing = True
        return self.due_ms

    def goes_on(self) -> bool:
        follows, self.follows = self.follows, False
        return follows


class FakeLink:
    """A link whose other end is the test: `inbox` is received, `sent` collects what was sent."""

    def __init__(self, handle: int, peer: PeerInfo) -> None:
        self.handle = handle
        self.peer = peer
        self.inbox: deque[bytes | OSError] = deque()
        self.sent = b""
        self.room = 1 << 30
        self.interest = READ
        self.is_favoured = False
        self.is_shut = False
        self.is_closed = False

    def recv(self, size: int) -> bytes | None:
        if not self.inbox:
            return None
        item = self.inbox.popleft()
        if isinstance(item, OSError):
            raise item
        if item == b"":
            self.inbox.append(item)
        return item

    def send(self, data: memoryview) -> int:
        assert not self.is_closed
        size = min(self.room, len(data))
        self.sent += data[:size]
        self.room -= size
        return size

    def want(self, interest: int) -> None:
        self.interest = interest

    def favour(self) -> None:
        self.is_favoured = True

    def shutdown(self) -> None:
        self.is_shut = True

    def close(self) -> None:
        self.is_closed = True


class FakeSockets:
    """Links by handle; ready is what has something in its inbox, or room when asked for."""

    def __init__(self) -> None:
        self.links: dict[int, FakeLink] = {}
        self.new: deque[FakeLink] = deque()
        self.wakes = 0
        self.is_accepting = True
        self.is_closed = False

    def connect(self, peer: PeerInfo | None = None) -> FakeLink:
        link = FakeLink(len(self.links) + 10, peer or PeerInfo("192.0.2.1:5000"))
        self.links[link.handle] = link
        self.new.append(link)
        return link

    def poll(self, timeout_s: float) -> Sequence[tuple[int, int]]:
        ready = [(-1, READ)] if self.wakes or self.new else []
        self.wakes = 0
        for handle, link in self.links.items():
            what = READ if link.inbox else 0
            what |= WRITE if link.room else 0
            if not link.is_closed and what & link.interest:
                ready.append((handle, what & link.interest))
        return ready

    def accept(self) -> FakeLink | None:
        return self.new.popleft() if self.new else None

    async def wait(self, timeout_s: float) -> None:
        await trio.sleep(timeout_s)

    def wake(self) -> None:
        self.wakes += 1

    def stop_accepting(self) -> None:
        self.is_accepting = False

    def close(self) -> None:
        self.is_closed = True


class Stage:
    """A reactor over fake sockets under a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.sockets = FakeSockets()
        self.application = EchoApplication()
        self.reactor = Reactor(self.sockets, self.application, SILENT, now_ms=lambda: self.now_ms)

    def connect(self, *received: bytes, peer: PeerInfo | None = None) -> FakeLink:
        """Connect, send, and let the reactor work until nothing is left to do."""
        link = self.sockets.connect(peer)
        link.inbox.extend(received)
        self.settle()
        return link

    def settle(self, *, after_ms: int = 0) -> None:
        """Move the clock, then take turns until one has nothing to do."""
        self.now_ms += after_ms
        turns = 0
        while self.reactor.turn(0.0):
            turns += 1
            assert turns < 1000, "the reactor never rests"


class Lines:
    """A logger that keeps its lines. Each is 6 s after the last: few are held back."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        clock = count(step=6_000_000_000)
        self.log = Logger(Sink(write=self.lines.append, now_ns=clock.__next__, level=10))

    def having(self, text: str) -> int:
        return sum(text in line for line in self.lines)


@asynccontextmanager
async def serving(
    application: Application,
    *listeners: Listener,
    log: Logger = SILENT,
    handshake_timeout_s: float = 10.0,
) -> AsyncGenerator[Reactor, None]:
    """Serve real listeners inside the body."""
    sockets = EpollSockets(listeners, log, handshake_timeout_s=handshake_timeout_s)
    reactor = Reactor(sockets, application, log, now_ms=lambda: time.monotonic_ns() // 1_000_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run)
        try:
            yield reactor
        finally:
            reactor.stop(0)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine under trio, bounded."""

    async def bounded() -> None:
        with trio.fail_after(TEST_S_MAX):
            await main()

    trio.run(bounded)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Read until the other end closes."""
    return b"".join([piece async for piece in stream])


async def read_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    """Read `size` bytes."""
    data = b""
    while len(data) < size:
        piece = await stream.receive_some(size - len(data))
        assert piece, f"closed after {data!r}"
        data += piece
    return data
