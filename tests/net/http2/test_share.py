"""One `feed` does a bounded piece of work and keeps the rest; what comes of it is the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.http2 import connection as connection_module
from net.http2 import inbound as inbound_module
from net.http2.limits import FEED_WORK_MAX, MESSAGE_WORK
from tests.http2_client import (
    DATA,
    END_STREAM,
    PING,
    RST_STREAM,
    WATCH,
    WINDOW_UPDATE,
    Peer,
    block,
    data,
    frame,
    headers,
    prefixed,
    unary,
)
from tests.net.http2.test_split import conversation, outcome

REQUESTS = 200


def streams_of(peer: Peer, verb: str) -> list[int]:
    return [stream_id for what, stream_id, _ in peer.calls if what == verb]


def test_a_feed_takes_so_many_requests_and_the_next_ones_the_rest_in_order() -> None:
    peer = Peer()
    ids = range(3, 3 + 2 * REQUESTS, 2)
    connection = peer.connection
    connection.feed(b"".join(unary(each) for each in ids), peer.now_ms)
    taken = [len(streams_of(peer, "request"))]
    while connection.has_more:
        connection.feed(b"", peer.now_ms)
        taken.append(len(streams_of(peer, "request")) - sum(taken))
    assert max(taken) <= FEED_WORK_MAX // MESSAGE_WORK
    assert streams_of(peer, "request") == list(ids)


def test_requests_that_are_fed_one_by_one_are_taken_at_once() -> None:
    peer = Peer()
    ids = range(3, 3 + 2 * REQUESTS, 2)
    for each in ids:
        peer.connection.feed(unary(each), peer.now_ms)
        assert (streams_of(peer, "request")[-1], peer.connection.has_more) == (each, False)


def test_a_frame_of_a_thousand_messages_is_taken_in_pieces() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    messages = [b"%d" % number for number in range(1_000)]
    connection = peer.connection
    connection.feed(frame(DATA, END_STREAM, 3, b"".join(map(prefixed, messages))), peer.now_ms)
    feeds = 1
    while connection.has_more:
        assert ("half_closed", 3, b"") not in peer.calls
        connection.feed(b"", peer.now_ms)
        feeds += 1
    assert feeds >= 1_000 // (FEED_WORK_MAX // MESSAGE_WORK)
    said = [message for what, _, message in peer.calls if what == "message"]
    assert (said, peer.calls[-1]) == (messages, ("half_closed", 3, b""))


def test_a_stream_that_time_ends_between_two_pieces_gets_no_more_of_them() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH, timeout=b"50m")))
    messages = b"".join(prefixed(b"%d" % number) for number in range(100))
    connection = peer.connection
    connection.feed(frame(DATA, 0, 3, messages) + unary(5), peer.now_ms)
    count = len(streams_of(peer, "message"))
    peer.wait(200)
    while connection.has_more:
        connection.feed(b"", peer.now_ms)
    assert (len(streams_of(peer, "message")), streams_of(peer, "request")) == (count, [5])


@pytest.mark.parametrize(
    "flood",
    [
        frame(WINDOW_UPDATE, 0, 0, (1_000).to_bytes(4, "big")),
        headers(3, block(WATCH)) + frame(RST_STREAM, 0, 3, b"\0\0\0\x08"),
        frame(PING, 0, 0, b"pingping"),
        data(1, b"late"),
    ],
)
def test_frames_that_ask_for_nothing_are_counted_too(flood: bytes) -> None:
    """As many as one read may hold: no feed takes more than a piece of them."""
    peer = Peer()
    connection = peer.connection
    raw = flood * (65_536 // len(flood))
    connection.feed(raw, peer.now_ms)
    assert connection.has_more or connection.closing


def test_a_connection_that_is_broken_has_no_more() -> None:
    peer = Peer()
    broken = frame(PING, 0, 0, b"short") + b"".join(unary(each) for each in range(3, 999, 2))
    peer.connection.feed(broken, peer.now_ms)
    assert (peer.connection.closing, peer.connection.has_more) == (True, False)


@given(st.integers(0, 1 << 32), st.integers(1, 60), st.integers(1, 40))
@settings(deadline=None, max_examples=100)
def test_a_smaller_piece_changes_nothing_but_when(seed: int, count: int, piece: int) -> None:
    raw = conversation(seed, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "FEED_WORK_MAX", 1 << 40)
        patch.setattr(inbound_module, "_MESSAGES_MAX", 1 << 40)
        whole = outcome([raw])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "FEED_WORK_MAX", piece)
        patch.setattr(inbound_module, "_MESSAGES_MAX", 1 + piece // 10)
        assert outcome([raw]) == whole
