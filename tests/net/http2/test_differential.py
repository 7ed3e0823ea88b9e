"""Two independent HTTP/2 clients, h2 and nghttp2, hold the same conversations with the codec.

Each of them judges every frame that it receives. What they got must be what was sent, and the
same for both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import NamedTuple, Protocol

import h2.config
import h2.connection
import h2.events
import h2.settings
import ngh2
import pytest

from net.http2.connection import Connection
from net.http2.limits import Http2Settings
from net.http2.status import Code
from net.http2.stream import Kind, Stream
from tests.http2_client import METHODS, RANGE, SNAPSHOT, WATCH, prefixed

Fields = list[tuple[bytes, bytes]]
SIZES = (0, 1, 100, 100, 3_000, 20_000, 70_000, 400_000)


def request_fields(path: bytes, number: int) -> Fields:
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost:2379"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"differential/1"),
        (b"grpc-timeout", b"%dS" % (1_000 + number)),
        (b"token", b"t%d" % (number % 5)),
    ]


class Heard(NamedTuple):
    """What a client got on one stream."""

    body: bytes
    status: str
    reset: int | None


class Client(Protocol):
    """What a conversation asks of a client library."""

    def open(self, path: bytes, number: int) -> int: ...
    def write(self, stream_id: int, data: bytes, *, end: bool) -> None: ...
    def cancel(self, stream_id: int) -> None: ...
    def ping(self) -> None: ...
    def set_window(self, size: int) -> None: ...
    def receive(self, data: bytes) -> None: ...
    def output(self) -> bytes: ...
    def heard(self) -> dict[int, Heard]: ...


class Notes:
    """What has been heard, by stream."""

    def __init__(self) -> None:
        self.bodies: dict[int, bytearray] = defaultdict(bytearray)
        self.statuses: dict[int, str] = {}
        self.resets: dict[int, int] = {}
        self.pongs = 0

    def trailers(self, stream_id: int, fields: list[tuple[bytes, bytes]]) -> None:
        found = {name: value.decode() for name, value in fields}
        if "grpc-status" in {name.decode() for name in found}:
            self.statuses[stream_id] = found[b"grpc-status"]

    def heard(self) -> dict[int, Heard]:
        ids = sorted({*self.bodies, *self.statuses, *self.resets})
        return {
            i: Heard(bytes(self.bodies[i]), self.statuses.get(i, ""), self.resets.get(i))
            for i in ids
        }


class H2Client(Notes):
    """The `h2` library. It leaves flow control to its user."""

    def __init__(self) -> None:
        super().__init__()
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding=None)
        )
        self.h2.initiate_connection()
        self.unsent: dict[int, bytearray] = {}
        self.ending: set[int] = set()
        self.opened: set[int] = set()

    def open(self, path: bytes, number: int) -> int:
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, request_fields(path, number))
        self.unsent[stream_id] = bytearray()
        self.opened.add(stream_id)
        return stream_id

    def write(self, stream_id: int, data: bytes, *, end: bool) -> None:
        self.unsent[stream_id] += data
        if end:
            self.ending.add(stream_id)

    def cancel(self, stream_id: int) -> None:
        self.unsent.pop(stream_id, None)
        self.opened.discard(stream_id)
        if stream_id not in self.statuses and stream_id not in self.resets:
            self.h2.reset_stream(stream_id, 8)

    def ping(self) -> None:
        self.h2.ping(b"12345678")

    def set_window(self, size: int) -> None:
        self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: size})

    def receive(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.DataReceived():
                    self.bodies[event.stream_id] += event.data
                    if event.flow_controlled_length:
                        self.h2.acknowledge_received_data(
                            event.flow_controlled_length, event.stream_id
                        )
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    self.trailers(event.stream_id, event.headers)
                case h2.events.StreamReset():
                    self.resets[event.stream_id] = event.error_code
                    self.unsent.pop(event.stream_id, None)
                case h2.events.StreamEnded():
                    self.unsent.pop(event.stream_id, None)
                case h2.events.PingAckReceived():
                    self.pongs += 1
                case h2.events.ConnectionTerminated():
                    raise AssertionError(event)
                case _:
                    pass

    def output(self) -> bytes:
        for stream_id, data in list(self.unsent.items()):
            while data or stream_id in self.ending:
                room = min(self.h2.local_flow_control_window(stream_id), 16_384, len(data))
                if data and room <= 0:
                    break
                last = stream_id in self.ending and room == len(data)
                self.h2.send_data(stream_id, bytes(data[:room]), end_stream=last)
                del data[:room]
                if last:
                    del self.unsent[stream_id]
                    break
        self._open_stuck_windows()
        return self.h2.data_to_send()

    def _open_stuck_windows(self) -> None:
        """Grant what h2 forgets: a window that a new setting has shrunk to below zero."""
        for stream_id in self.opened - set(self.statuses) - set(self.resets):
            window = self.h2.remote_flow_control_window(stream_id)
            if window <= 0:
                self.h2.increment_flow_control_window(1_000 - window, stream_id)


class Ngh2Client(Notes):
    """The nghttp2 library."""

    def __init__(self) -> None:
        super().__init__()
        self.ngh2 = ngh2.Connection(ngh2.Role.CLIENT)
        self.ngh2.initiate_connection({3: 100})
        self.waiting: list[tuple[int, bytes, bool]] = []
        self.done: set[int] = set()

    def open(self, path: bytes, number: int) -> int:
        return self.ngh2.send_request(request_fields(path, number))

    def write(self, stream_id: int, data: bytes, *, end: bool) -> None:
        if stream_id not in self.done:
            self.ngh2.send_data(stream_id, data, end_stream=end)

    def cancel(self, stream_id: int) -> None:
        if stream_id not in self.done:
            self.ngh2.reset_stream(stream_id, 8)

    def ping(self) -> None:
        self.ngh2.ping(b"12345678")

    def set_window(self, size: int) -> None:
        self.ngh2.update_settings({4: size})

    def receive(self, data: bytes) -> None:
        self.ngh2.receive_data(data)
        for event in self.ngh2.events():
            match event:
                case ngh2.DataReceived():
                    self.bodies[event.stream_id] += event.data
                case ngh2.ResponseReceived() | ngh2.TrailersReceived():
                    self.trailers(event.stream_id, list(event.headers))
                case ngh2.StreamReset():
                    self.resets[event.stream_id] = event.error_code
                case ngh2.StreamClosed():
                    self.done.add(event.stream_id)
                case ngh2.PingAcknowledged():
                    self.pongs += 1
                case ngh2.GoAwayReceived():
                    raise AssertionError(event)
                case _:
                    pass

    def output(self) -> bytes:
        return self.ngh2.data_to_send()


class Echo:
    """Answers each message with itself, in parts or whole, at once or when the client is done."""

    def __init__(self) -> None:
        self.received: dict[int, list[bytes]] = defaultdict(list)
        self.cancelled_ids: set[int] = set()

    def request(self, connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        self.received[stream.id].append(message)
        assert stream.headers[b"token"][:1] == b"t"
        assert stream.deadline_ms > 1_000_000
        if message[:4] == b"fail":
            connection.fail(stream, Code.ABORTED, "as you wish")
        elif stream.kind is Kind.SERVER_STREAM:
            connection.send_parts(stream, [message[:7], message[7:]], len(message))
            connection.send(stream, message)
            connection.finish(stream)
        elif len(message) % 2:
            connection.respond(stream, message)
        else:
            connection.respond_parts(stream, [message[:9], message[9:]], len(message))

    def opened(self, connection: Connection[str], stream: Stream[str]) -> None:
        connection.open(stream)

    def message(self, connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        self.received[stream.id].append(message)
        connection.send(stream, message)

    def half_closed(self, connection: Connection[str], stream: Stream[str]) -> None:
        connection.finish(stream)

    def cancelled(self, connection: Connection[str], stream: Stream[str]) -> None:
        self.cancelled_ids.add(stream.id)


class Conversation:
    """One random conversation, the same for every client given the same seed."""

    def __init__(self, client: Client, seed: int) -> None:
        self.client = client
        self.random = Random(seed)
        self.cuts = Random(-seed)
        self.echo = Echo()
        self.connection = Connection(METHODS, self.echo, Http2Settings(), 1_000)
        self.expected: dict[int, Heard] = {}
        self.cancelled: set[int] = set()
        self.watches: dict[int, bytes] = {}

    def hold(self, steps: int) -> None:
        for number in range(steps):
            self._step(number)
            if self.cuts.random() < 0.6:
                self._move()
        for stream_id, body in self.watches.items():
            self.client.write(stream_id, b"", end=True)
            self.expected[stream_id] = Heard(body, "0", None)
        quiet = 0
        while quiet < 3:
            quiet = 0 if self._move() else quiet + 1

    def _message(self) -> bytes:
        size = self.random.choice(SIZES)
        return bytes([self.random.randrange(256)]) * size

    def _step(self, number: int) -> None:
        random, client = self.random, self.client
        match random.randrange(10):
            case 0 | 1 | 2 | 3:
                path = random.choice((RANGE, RANGE, SNAPSHOT))
                message = b"fail" if random.random() < 0.1 else self._message()
                stream_id = client.open(path, number)
                client.write(stream_id, prefixed(message), end=True)
                answer = prefixed(message) * (2 if path == SNAPSHOT else 1)
                failed = message == b"fail"
                self.expected[stream_id] = (
                    Heard(b"", "10", None) if failed else Heard(answer, "0", None)
                )
            case 4:
                self.watches[client.open(WATCH, number)] = b""
            case 5 | 6 | 7 if self.watches:
                stream_id = random.choice(list(self.watches))
                message = self._message()
                client.write(stream_id, prefixed(message), end=False)
                self.watches[stream_id] += prefixed(message)
            case 8 if self.watches:
                stream_id = random.choice(list(self.watches))
                del self.watches[stream_id]
                self.cancelled.add(stream_id)
                client.cancel(stream_id)
            case 9 if random.random() < 0.3:
                client.set_window(random.choice((1_000, 65_535, 300_000)))
            case _:
                if random.random() < 0.2:
                    client.ping()

    def _move(self) -> bool:
        """Carry bytes both ways, cut at random; say whether there were any."""
        there = self.client.output()
        raw = there
        while raw:
            size = self.cuts.choice((1, 9, 500, 16_384, 1 << 20))
            self.connection.feed(raw[:size], 1_000)
            while self.connection.has_more:
                self.connection.feed(b"", 1_000)
            raw = raw[size:]
        assert self.connection.reason == ""
        back = self.connection.take(self.cuts.choice((1_000, 65_536, 1 << 20)))
        if back:
            at = self.cuts.randrange(len(back))
            self.client.receive(back[:at])
            self.client.receive(back[at:])
        return bool(there or back)


CLIENTS: list[Callable[[], Client]] = [H2Client, Ngh2Client]


@pytest.mark.parametrize("seed", range(12))
def test_both_clients_hear_what_was_said(seed: int) -> None:
    outcomes: list[dict[int, Heard]] = []
    for make in CLIENTS:
        client = make()
        conversation = Conversation(client, seed)
        conversation.hold(60)
        heard = client.heard()
        whole = {i: h for i, h in heard.items() if i not in conversation.cancelled}
        assert whole == conversation.expected
        assert conversation.echo.cancelled_ids <= conversation.cancelled
        assert conversation.connection.streams == {}
        assert conversation.connection.pending_bytes == 0
        outcomes.append(whole)
    assert outcomes[0] == outcomes[1]
