"""Structure-aware fuzzing: nothing a client says raises, and the books always balance.

250,000 frames by default; TRINE_FUZZ_FRAMES asks for more.
"""

from __future__ import annotations

import os
from random import Random

from net.http2.connection import Connection
from net.http2.limits import GRANTED_BYTES_MAX, PARTIAL_BYTES_MAX, Http2Settings
from net.http2.stream import OVER, QUEUED, Stream
from net.http2.wire import Fault
from tests.http2_client import Peer, Recorder
from tests.http2_storm import Storm
from tests.net.http2.test_split import answer

FRAMES = int(os.environ.get("TRINE_FUZZ_FRAMES", "250000"))
FRAMES_A_CONNECTION = 300


class Careful(Recorder):
    """Checks that calls come in an order that a service can rely on."""

    def __init__(self, random: Random) -> None:
        super().__init__(answer)
        self.random = random
        self.told: dict[int, str] = {}
        self.later: list[tuple[Connection[str], Stream[str], bytes]] = []

    def request(self, connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        assert stream.id not in self.told
        self.told[stream.id] = "requested"
        assert connection.streams[stream.id] is stream
        if self.random.random() < 0.3:
            self.later.append((connection, stream, message))
        else:
            super().request(connection, stream, message)

    def opened(self, connection: Connection[str], stream: Stream[str]) -> None:
        assert stream.id not in self.told
        self.told[stream.id] = "opened"

    def message(self, connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        assert self.told[stream.id] == "opened"
        assert stream.ending is None
        super().message(connection, stream, message)

    def half_closed(self, connection: Connection[str], stream: Stream[str]) -> None:
        assert self.told[stream.id] == "opened"
        self.told[stream.id] = "half closed"

    def cancelled(self, connection: Connection[str], stream: Stream[str]) -> None:
        assert self.told[stream.id] in ("requested", "opened", "half closed")
        assert stream.id not in connection.streams
        self.told[stream.id] = "cancelled"


def check(connection: Connection[str]) -> None:
    """The invariants of a connection between two calls."""
    out, inbound, streams = connection._out, connection._inbound, connection.streams
    queued = sum(stream.queued_bytes for stream in streams.values())
    ready = sum(map(len, out._framed)) + sum(map(len, out._control))
    assert connection.pending_bytes == queued + ready
    assert out.control_bytes == sum(map(len, out._control))
    held = sum(len(s.partial or b"") + len(s.held or b"") for s in streams.values())
    assert inbound.partial_bytes == held <= PARTIAL_BYTES_MAX
    granted = sum(stream.granted_bytes for stream in streams.values())
    assert inbound._granted_bytes == granted <= GRANTED_BYTES_MAX
    assert set(inbound._waiting) <= set(streams)
    for stream in streams.values():
        assert (stream.sending == QUEUED) == (stream.queued_bytes > 0) == bool(stream.queue)
        assert stream.sending != OVER
        assert stream.receive_window >= 0
        in_window = stream.send_credit + out._initial_window > 0
        assert stream.in_ring or stream.sending != QUEUED or not in_window
    if connection.closing:
        assert not streams


def test_no_conversation_breaks_the_codec() -> None:
    reasons: set[str] = set()
    seed = fed = 0
    while fed < FRAMES:
        seed += 1
        random = Random(seed)
        careful = Careful(random)
        peer = Peer(careful, Http2Settings(message_bytes_max=random.choice((2_000, 1 << 21))))
        said = Storm(seed).frames(FRAMES_A_CONNECTION)
        while said and not peer.connection.closing:
            some = said[: random.randint(1, 20)]
            del said[: len(some)]
            fed += len(some)
            peer.say(b"".join(some))
            check(peer.connection)
            if random.random() < 0.3:
                peer.wait(random.choice((1, 300, 5_000)))
            if random.random() < 0.8:
                peer.hear(random.choice((100, 20_000, 1 << 20)))
            while careful.later and random.random() < 0.7:
                answer(*careful.later.pop(random.randrange(len(careful.later))))
            check(peer.connection)
        reasons.add(peer.connection.reason)
        unfinished = [s.id for s in peer.connection.streams.values() if s.ending is None]
        peer.connection.eof()
        assert (peer.connection.pending_bytes, peer.connection.streams) == (0, {})
        assert {careful.told.get(i, "cancelled") for i in unfinished} <= {"cancelled"}
    assert len(reasons & {fault.text for fault in Fault}) >= 15
