"""What is sent, in which order, and within which windows."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from net.http2.connection import Connection
from net.http2.limits import FRAME_BYTES_MAX
from net.http2.status import Code
from net.http2.stream import Stream
from tests.http2_client import (
    DATA,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    SNAPSHOT,
    WATCH,
    WINDOW_UPDATE,
    Peer,
    Seen,
    block,
    data,
    fields,
    frame,
    frames,
    headers,
    prefixed,
    settings,
    unary,
)

WIDE = 2**31 - 1 - 65_535


def window(increment: int, stream_id: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def asked(peer: Peer, *stream_ids: int, path: bytes = SNAPSHOT) -> list[Stream[str]]:
    """Open streams whose requests wait for an answer."""
    for stream_id in stream_ids:
        peer.say(unary(stream_id, b"m", block(path)))
    return [peer.connection.streams[stream_id] for stream_id in stream_ids]


def body(seen: list[Seen], stream_id: int) -> bytes:
    return b"".join(s.payload for s in seen if s.kind == DATA and s.stream_id == stream_id)


def shape(seen: list[Seen]) -> list[tuple[int, int, int]]:
    return [(s.kind, s.stream_id, len(s.payload)) for s in seen]


def test_a_unary_answer_is_headers_message_and_trailers() -> None:
    peer = Peer()
    (stream,) = asked(peer, 3)
    peer.connection.respond(stream, b"answer")
    first, message, last = peer.hear()
    assert fields(first.payload) == {":status": "200", "content-type": "application/grpc"}
    assert message.payload == prefixed(b"answer")
    assert (last.flags, fields(last.payload)) == (5, {"grpc-status": "0"})
    assert (peer.connection.pending_bytes, peer.connection.streams) == (0, {})


def test_an_answer_that_comes_too_late_is_ignored() -> None:
    peer = Peer()
    (stream,) = asked(peer, 3)
    peer.say(frame(RST_STREAM, 0, 3, b"\0\0\0\x08"))
    connection = peer.connection
    connection.respond(stream, b"x")
    connection.respond(stream, b"x" * 100_000)
    connection.respond_parts(stream, [b"x"], 1)
    connection.send(stream, b"x")
    connection.send_parts(stream, [b"x"], 1)
    connection.open(stream)
    connection.finish(stream)
    connection.fail(stream, Code.UNKNOWN, "x")
    assert (peer.hear(), connection.pending_bytes) == ([], 0)


def test_an_answer_after_the_answer_is_ignored() -> None:
    peer = Peer()
    (stream,) = asked(peer, 3)
    peer.connection.respond(stream, b"1")
    peer.connection.respond(stream, b"2")
    assert len(peer.hear()) == 3


def test_a_message_after_the_end_of_its_stream_is_a_bug_of_ours() -> None:
    peer = Peer()
    (stream,) = asked(peer, 3)
    peer.connection.respond(stream, b"x" * 100_000)
    with pytest.raises(AssertionError):
        peer.connection.send(stream, b"y")
    with pytest.raises(AssertionError):
        peer.connection.finish(stream)


def test_a_failure_before_anything_was_sent_is_trailers_only() -> None:
    peer = Peer()
    (stream,) = asked(peer, 3)
    peer.connection.fail(stream, Code.NOT_FOUND, "etcdserver: requested lease not found")
    (only,) = peer.hear()
    assert only.flags == 5
    assert fields(only.payload) == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": "5",
        "grpc-message": "etcdserver: requested lease not found",
    }


def test_a_failure_after_messages_comes_after_them() -> None:
    peer = Peer()
    (stream,) = asked(peer, 3)
    peer.connection.send(stream, b"x" * 100_000)
    peer.connection.fail(stream, Code.DATA_LOSS, "gone")
    seen = peer.hear()
    peer.say(window(WIDE), window(WIDE, 3))
    seen += peer.hear()
    assert body(seen, 3) == prefixed(b"x" * 100_000)
    assert fields(seen[-1].payload) == {"grpc-status": "15", "grpc-message": "gone"}


def test_ending_a_stream_whose_client_goes_on_tells_it_to_stop() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    peer.connection.finish(peer.connection.streams[3])
    assert [(s.kind, s.flags) for s in peer.hear()] == [(HEADERS, 4), (HEADERS, 5), (RST_STREAM, 0)]
    peer.say(data(3, b"late", ended=False), data(3, b"later"), window(1_000, 3))
    assert (peer.hear(), peer.connection.closing) == ([], False)
    assert peer.calls == [("opened", 3, b"")]


def test_a_short_message_does_not_wait_behind_a_long_one() -> None:
    peer = Peer()
    peer.say(window(WIDE), settings((4, 2**31 - 1)))
    long, short = asked(peer, 3, 5)
    peer.hear()
    peer.connection.respond(long, b"x" * 10_000_000)
    first = peer.hear(65_536)
    peer.connection.respond(short, b"s")
    second = peer.hear(65_536)
    assert [s.stream_id for s in second][:3] == [5, 5, 5]
    assert 49_152 <= len(body(first, 3)) <= 81_920
    assert peer.connection.streams == {3: long}


def test_long_messages_take_turns_by_frame() -> None:
    peer = Peer()
    peer.say(window(WIDE), settings((4, 2**31 - 1)))
    streams = asked(peer, 3, 5, 7)
    peer.hear()
    for stream in streams:
        peer.connection.respond(stream, b"x" * 100_000)
    turns = [s.stream_id for s in peer.hear() if s.kind == DATA]
    assert turns == [3, 5, 7] * 7


def test_a_long_message_gets_a_share_of_every_take_however_many_short_ones_there_are() -> None:
    peer = Peer()
    peer.say(window(WIDE), settings((4, 2**31 - 1)))
    long, busy = asked(peer, 3, 5)
    peer.connection.open(busy)
    peer.hear()
    peer.connection.respond(long, b"x" * 10_000_000)
    for _ in range(10):
        for _ in range(100):
            peer.connection.send(busy, b"e" * 1_000)
        assert len(body(peer.hear(65_536), 3)) >= 16_384


def test_control_frames_go_first() -> None:
    peer = Peer()
    (stream,) = asked(peer, 3)
    peer.connection.respond(stream, b"x")
    peer.say(frame(PING, payload=b"12345678"), settings((3, 1)))
    assert [s.kind for s in peer.hear()] == [PING, HEADERS, DATA, HEADERS, SETTINGS]


def test_a_message_waits_for_the_window_of_its_stream() -> None:
    peer = Peer()
    peer.say(settings((4, 10)))
    (stream,) = asked(peer, 3)
    peer.hear()
    peer.connection.respond(stream, b"x" * 20)
    assert (stream.queued_bytes, body(peer.hear(), 3)) == (25, prefixed(b"x" * 20)[:10])
    assert (stream.queued_bytes, peer.connection.pending_bytes, peer.hear()) == (15, 15, [])
    peer.say(window(14, 3))
    assert body(peer.hear(), 3) == b"x" * 14
    peer.say(window(1, 3))
    assert shape(peer.hear()) == [(DATA, 3, 1), (HEADERS, 3, 15)]


def test_messages_wait_for_the_window_of_the_connection() -> None:
    peer = Peer()
    one, two = asked(peer, 3, 5)
    peer.hear()
    peer.connection.respond(one, b"x" * 65_530)
    peer.connection.respond(two, b"y")
    assert len(body(peer.hear(), 3)) + len(body(peer.hear(), 5)) <= 65_535
    peer.say(window(1_000))
    peer.hear()
    assert (peer.connection.streams, peer.connection.pending_bytes) == ({}, 0)


def test_a_window_shrunk_below_zero_must_be_won_back() -> None:
    peer = Peer()
    (stream,) = asked(peer, 3)
    peer.connection.send(stream, b"x" * 995)
    peer.say(settings((4, 500)))
    peer.connection.send(stream, b"y" * 95)
    assert len(body(peer.hear(), 3)) == 1_000
    peer.say(window(500, 3))
    assert peer.hear() == []
    peer.say(window(40, 3))
    assert len(body(peer.hear(), 3)) == 40
    peer.say(settings((4, 560)))
    assert len(body(peer.hear(), 3)) == 60


def test_a_stream_window_of_more_than_2_31_resets_the_stream() -> None:
    peer = Peer()
    asked(peer, 3)
    peer.say(window(2**31 - 1, 3))
    assert [(s.kind, s.payload[-1]) for s in peer.hear()] == [(RST_STREAM, 3)]
    assert peer.calls[-1] == ("cancelled", 3, b"")


def test_a_window_update_of_0_resets_the_stream() -> None:
    peer = Peer()
    asked(peer, 3)
    peer.say(window(0, 3))
    assert [(s.kind, s.payload[-1]) for s in peer.hear()] == [(RST_STREAM, 1)]


def test_a_reset_stream_leaves_nothing_behind() -> None:
    peer = Peer()
    one, two = asked(peer, 3, 5)
    peer.hear()
    peer.connection.respond(one, b"x" * 1_000_000)
    peer.connection.respond(two, b"y" * 100_000)
    peer.hear(16_000)
    peer.say(frame(RST_STREAM, 0, 3, b"\0\0\0\x08"), window(WIDE), window(WIDE, 5))
    assert {s.stream_id for s in peer.hear()} == {5}
    assert (peer.connection.pending_bytes, peer.connection.streams) == (0, {})
    assert ("cancelled", 3, b"") not in peer.calls


def test_a_huge_message_is_framed_from_its_parts_as_it_leaves() -> None:
    peer = Peer()
    peer.say(window(WIDE), settings((4, 2**31 - 1)))
    (stream,) = asked(peer, 3)
    peer.hear()
    part = b"p" * 1_000_000
    peer.connection.respond_parts(stream, [part] * 1_500, 1_500_000_000)
    assert peer.connection.pending_bytes == 1_500_000_005 + 29
    first = peer.connection.take(1 << 20)
    assert 1 << 20 <= len(first) < (1 << 20) + FRAME_BYTES_MAX + 50
    assert stream.queued_bytes == 1_500_000_005 - sum(
        len(s.payload) for s in frames(first) if s.kind == DATA
    )
    peer.connection.eof()
    assert (peer.connection.pending_bytes, stream.queued_bytes) == (0, 0)


def test_a_deque_of_parts_is_taken_over_and_other_parts_are_copied() -> None:
    peer = Peer()
    peer.say(window(WIDE), settings((4, 2**31 - 1)))
    one, other = asked(peer, 3, 5)
    peer.hear()
    parts: deque[bytes | memoryview] = deque([b"p" * 10_000, b"q" * 10_000])
    peer.connection.respond_parts(one, parts, 20_000)
    peer.connection.send_parts(other, [b"r" * 20_000], 20_000)
    # What is queued already keeps its order: then a deque is copied like any other parts.
    behind: deque[bytes | memoryview] = deque([b"s" * 20_000])
    peer.connection.respond_parts(other, behind, 20_000)
    seen = peer.hear()
    assert body(seen, 3) == prefixed(b"p" * 10_000 + b"q" * 10_000)
    assert body(seen, 5) == prefixed(b"r" * 20_000) + prefixed(b"s" * 20_000)
    assert not parts, "taken over"
    assert len(behind) == 1


def test_the_driver_is_told_once_output_appears() -> None:
    peer = Peer()
    (stream,) = asked(peer, 3)
    peer.hear()
    peer.dirty.clear()
    peer.connection.open(stream)
    peer.connection.send(stream, b"1")
    peer.connection.send(stream, b"2")
    assert peer.dirty == [peer.connection]
    peer.hear()
    peer.connection.send(stream, b"3")
    peer.connection.send(stream, b"4" * 20_000)
    assert set(peer.dirty) == {peer.connection}


@given(
    st.lists(st.tuples(st.sampled_from([3, 5, 7]), st.integers(0, 40_000)), max_size=12),
    st.lists(st.tuples(st.sampled_from([0, 3, 5, 7]), st.integers(300, 50_000)), max_size=30),
    st.integers(1, 70_000),
)
@hypothesis_settings(deadline=None)
def test_every_stream_gets_its_messages_in_order_within_its_windows(
    messages: list[tuple[int, int]], grants: list[tuple[int, int]], limit: int
) -> None:
    peer = Peer()
    streams = {s.id: s for s in asked(peer, 3, 5, 7)}
    sent = dict.fromkeys(streams, b"")
    heard = dict.fromkeys(streams, b"")
    windows = {0: 65_535, 3: 65_535, 5: 65_535, 7: 65_535}

    def hear() -> None:
        for seen in peer.hear(limit):
            if seen.kind == DATA:
                heard[seen.stream_id] += seen.payload
                windows[0] -= len(seen.payload)
                windows[seen.stream_id] -= len(seen.payload)
                assert min(windows.values()) >= 0
        held = sum(stream.queued_bytes for stream in streams.values())
        assert peer.connection.pending_bytes == held

    hear()
    for number, (stream_id, size) in enumerate(messages):
        message = bytes([number]) * size
        parts = [message[: size // 3], b"", message[size // 3 :]]
        _send(peer.connection, streams[stream_id], parts, number)
        sent[stream_id] += prefixed(message)
        hear()
        if grants:
            to, count = grants.pop()
            windows[to] += count
            peer.say(window(count, to))
            hear()
    for to in windows:
        windows[to] += 1 << 20
        peer.say(window(1 << 20, to))
    for _ in range(2_000):
        hear()
    assert heard == sent


def _send(
    connection: Connection[str], stream: Stream[str], parts: list[bytes], number: int
) -> None:
    if number % 2:
        connection.send(stream, b"".join(parts))
    else:
        connection.send_parts(stream, parts, sum(map(len, parts)))
