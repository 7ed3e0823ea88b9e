"""A client that grants back each small message at once is honest; one that only grants is not."""

from __future__ import annotations

from net.http2.limits import BUSY_WORK, SMALL_UPDATES_PER_MESSAGE
from tests.http2_client import GOAWAY, SNAPSHOT, WINDOW_UPDATE, Peer, block, frame, unary


def small_update(stream_id: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, (9).to_bytes(4, "big"))


def test_small_updates_that_answer_messages_are_never_too_many() -> None:
    peer = Peer()
    peer.say(unary(3, b"m", block(SNAPSHOT)))
    stream = peer.connection.streams[3]
    for _ in range(BUSY_WORK.burst + 1):
        peer.connection.send(stream, b"event")
        peer.say(small_update() * SMALL_UPDATES_PER_MESSAGE)
        assert GOAWAY not in [seen.kind for seen in peer.hear()]


def test_small_updates_that_answer_nothing_are_busy_work() -> None:
    peer = Peer()
    for _ in range(BUSY_WORK.burst // 2):
        peer.say(small_update())
    assert GOAWAY not in [seen.kind for seen in peer.hear()]
    for _ in range(BUSY_WORK.burst):
        peer.say(small_update())
    assert GOAWAY in [seen.kind for seen in peer.hear()]
