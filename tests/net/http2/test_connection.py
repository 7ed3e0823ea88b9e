"""The life of a connection: handshake, deadlines, keepalive, drain, end."""

from __future__ import annotations

import gc
import weakref

import pytest

from net.http2.connection import Connection
from net.http2.limits import LINGERING_STREAMS_MAX, Http2Settings
from net.http2.status import Code
from net.http2.stream import Stream
from tests.http2_client import (
    ACK,
    GOAWAY,
    HANDSHAKE,
    HEADERS,
    METHODS,
    PING,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    SNAPSHOT,
    WATCH,
    WINDOW_UPDATE,
    Peer,
    Recorder,
    Seen,
    block,
    data,
    echo,
    fields,
    frame,
    frames,
    headers,
    settings,
    unary,
)

CANCEL = b"\0\0\0\x08"


def ping(payload: bytes = b"12345678", flags: int = 0) -> bytes:
    return frame(PING, flags, 0, payload)


def away(seen: list[Seen]) -> list[tuple[int, int, bytes]]:
    """(last stream, code, text) of each GOAWAY."""
    return [
        (int.from_bytes(s.payload[:4], "big"), int.from_bytes(s.payload[4:8], "big"), s.payload[8:])
        for s in seen
        if s.kind == GOAWAY
    ]


def test_the_server_speaks_first() -> None:
    dirty: list[Connection[str]] = []
    connection = Connection(METHODS, Recorder(), Http2Settings(streams_max=7), 0, dirty)
    assert dirty == [connection]
    first, second = frames(connection.take(100))
    pairs = {first.payload[i + 1]: first.payload[i + 2 : i + 6] for i in range(0, 24, 6)}
    assert first.kind == SETTINGS
    assert {key: int.from_bytes(value, "big") for key, value in pairs.items()} == {
        1: 0,
        3: 7,
        4: 65_536,
        6: 16_384,
    }
    window = int.from_bytes(second.payload, "big") + 65_535
    assert (second.kind, second.stream_id, window) == (WINDOW_UPDATE, 0, 1 << 20)


def test_nothing_overtakes_the_first_settings() -> None:
    peer = Peer(greeted=False)
    peer.say(HANDSHAKE, ping())
    assert [(s.kind, s.flags) for s in peer.hear()][:1] == [(SETTINGS, 0)]
    drained = Peer(greeted=False)
    drained.connection.drain(drained.now_ms)
    drained.say(b"noise")
    assert [s.kind for s in drained.hear()] == [SETTINGS, WINDOW_UPDATE, GOAWAY, PING, GOAWAY]


def test_a_stream_carries_what_services_need() -> None:
    peer = Peer(now_ms=50_000)
    peer.say(headers(3, block(WATCH, timeout=b"2S", extra=[(b"token", b"abc")])))
    stream = peer.connection.streams[3]
    assert (stream.id, stream.path, stream.kind, stream.method) == (3, WATCH, *METHODS[WATCH])
    assert (stream.deadline_ms, stream.state, stream.queued_bytes) == (52_000, None, 0)
    assert stream.headers[b"token"] == b"abc"


def test_counters_count() -> None:
    peer = Peer(Recorder(echo), greeted=False)
    opening = len(HANDSHAKE + SETTINGS_ACK)
    peer.say(HANDSHAKE, SETTINGS_ACK)
    peer.hear()
    before = peer.connection.bytes_out
    request = headers(1, b"\x20" + block()) + data(1, b"x" * 10)
    peer.say(request)
    answer = peer.connection.take(1_000)
    connection = peer.connection
    assert connection.bytes_in == opening + len(request)
    assert connection.bytes_out == before + len(answer)
    counted = connection.streams_opened, connection.messages_in, connection.messages_out
    assert counted == (1, 1, 1)


def test_streams_above_the_limit_are_refused() -> None:
    peer = Peer(settings=Http2Settings(streams_max=2))
    peer.say(headers(3, block(WATCH)), headers(5), headers(7), data(7), unary(9))
    assert [(s.kind, s.stream_id, s.payload) for s in peer.hear()] == [
        (RST_STREAM, 7, b"\0\0\0\x07"),
        (RST_STREAM, 9, b"\0\0\0\x07"),
    ]
    peer.say(frame(RST_STREAM, 0, 3, CANCEL), unary(11))
    assert peer.calls[-1] == ("request", 11, b"m")


def test_an_unknown_method_is_answered_before_its_message_comes() -> None:
    peer = Peer()
    peer.say(headers(3, block(b"/a.B/C")))
    assert [(s.kind, s.flags) for s in peer.hear()] == [(HEADERS, 5), (RST_STREAM, 0)]
    peer.say(data(3))
    peer.say(headers(5, block(b"/a.B/C"), ended=True))
    assert [(s.kind, s.flags) for s in peer.hear()] == [(HEADERS, 5)]
    assert peer.connection.streams == {}


def test_a_padded_request_with_priority_in_pieces_is_read() -> None:
    peer = Peer()
    whole = block(WATCH)
    fragment = b"\x03" + b"\0\0\0\0\x10" + whole[:20] + b"\0\0\0"
    peer.say(frame(HEADERS, 0x28, 3, fragment))
    peer.say(frame(9, 0, 3, whole[20:40]), frame(9, 4, 3, whole[40:]))
    peer.say(frame(HEADERS, 0x2D, 5, b"\x03" + b"\0\0\0\0\x10" + whole + b"\0\0\0"))
    assert peer.calls == [("opened", 3, b""), ("opened", 5, b""), ("half_closed", 5, b"")]


def test_the_reserved_bit_of_a_stream_id_means_nothing() -> None:
    peer = Peer(Recorder(echo))
    peer.say(headers(3 | 1 << 31), data(3 | 1 << 31, b"m"))
    assert peer.calls == [("request", 3, b"m")]


def test_frames_of_unknown_type_are_ignored() -> None:
    peer = Peer()
    peer.say(frame(0xAB, 0xFF, 9, b"anything"), frame(GOAWAY, 0, 0, b"\0" * 8), unary(3))
    assert peer.calls == [("request", 3, b"m")]
    assert peer.hear() == []


# Deadlines.


def test_a_deadline_ends_a_stream_and_tells_its_handler() -> None:
    peer = Peer()
    peer.say(unary(3, b"m", block(timeout=b"100m")), headers(5, block(WATCH, timeout=b"1S")))
    assert peer.connection.next_deadline_ms == 1_104
    peer.wait(99)
    assert peer.hear() == []
    peer.wait(5)
    (last,) = peer.hear()
    assert (last.stream_id, fields(last.payload)["grpc-status"]) == (3, "4")
    assert fields(last.payload)["grpc-message"] == "context deadline exceeded"
    assert peer.calls[-1] == ("cancelled", 3, b"")
    assert peer.connection.next_deadline_ms == 2_000
    peer.wait(896)
    assert peer.calls[-1] == ("cancelled", 5, b"")
    assert peer.connection.next_deadline_ms == 1_000 + 7_200_000


def test_a_deadline_amid_a_message_resets_the_stream() -> None:
    peer = Peer()
    peer.say(unary(3, b"m", block(SNAPSHOT, timeout=b"1S")))
    peer.say(unary(5, b"m", block(timeout=b"1S")))
    peer.connection.send(peer.connection.streams[3], b"x" * 100_000)
    peer.connection.respond(peer.connection.streams[5], b"x" * 100_000)
    peer.hear()
    peer.wait(1_000)
    assert [(s.kind, s.stream_id, s.payload) for s in peer.hear()] == [
        (RST_STREAM, 3, CANCEL),
        (RST_STREAM, 5, CANCEL),
    ]
    assert [call for call in peer.calls if call[0] == "cancelled"] == [("cancelled", 3, b"")]
    assert peer.connection.pending_bytes == 0


def test_a_deadline_before_the_message_is_whole_is_not_the_handlers_business() -> None:
    peer = Peer()
    peer.say(headers(3, block(timeout=b"1S")))
    peer.wait(1_000)
    assert [s.kind for s in peer.hear()] == [HEADERS, RST_STREAM]
    assert peer.calls == []


def test_a_deadline_of_nothing_fails_at_once() -> None:
    peer = Peer()
    peer.say(unary(3, b"m", block(timeout=b"0n")))
    assert fields(peer.hear()[0].payload)["grpc-status"] == str(Code.DEADLINE_EXCEEDED)
    assert peer.calls == []


def test_deadlines_of_answered_requests_are_forgotten() -> None:
    peer = Peer(Recorder(echo))
    peer.say(unary(3, b"m", block(timeout=b"1S")))
    peer.wait(1_000)
    assert peer.connection.next_deadline_ms == 1_000 + 7_200_000
    assert [s.kind for s in peer.hear()] == [HEADERS, 0, HEADERS]


# Pings.


def test_a_ping_is_answered_with_its_payload() -> None:
    peer = Peer()
    peer.say(ping(b"abcdefgh"))
    assert peer.hear() == [Seen(PING, ACK, 0, b"abcdefgh")]


def test_pings_5_s_apart_are_welcome_while_a_stream_is_open() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    for _ in range(20):
        peer.say(ping())
        peer.wait(5_000)
    assert not peer.connection.closing


@pytest.mark.parametrize(
    ("apart_ms", "open_stream", "taken"), [(4_999, True, 3), (30_000, False, 3), (0, True, 3)]
)
def test_three_pings_too_early_end_the_connection(
    apart_ms: int, open_stream: bool, taken: int
) -> None:
    peer = Peer()
    if open_stream:
        peer.say(headers(3, block(WATCH)))
    peer.say(ping())
    for _ in range(taken):
        assert not peer.connection.closing
        peer.wait(apart_ms)
        peer.say(ping())
    if not open_stream:
        peer.wait(apart_ms)
        peer.say(ping())
    assert away(peer.hear()) == [(peer.connection._last_id, 11, b"too_many_pings")]


def test_pings_without_streams_can_be_permitted() -> None:
    peer = Peer(settings=Http2Settings(ping_without_stream=True))
    for _ in range(20):
        peer.say(ping())
        peer.wait(5_000)
    assert not peer.connection.closing


def test_pings_that_measure_bandwidth_are_free() -> None:
    peer = Peer(Recorder(echo))
    for i in range(1_000):
        peer.say(unary(3 + 2 * i), ping())
        peer.hear()
    assert not peer.connection.closing


def test_a_silent_client_is_pinged_and_its_answer_keeps_it() -> None:
    peer = Peer()
    assert peer.connection.next_deadline_ms == 1_000 + 7_200_000
    peer.wait(7_200_000)
    assert peer.hear() == [Seen(PING, 0, 0, b"\0" * 8)]
    assert peer.connection.next_deadline_ms == 1_000 + 7_200_000 + 20_000
    peer.now_ms += 19_999
    peer.say(ping(b"\0" * 8, ACK))
    peer.wait(1)
    assert not peer.connection.closing
    assert peer.connection.next_deadline_ms == 1_000 + 2 * 7_200_000 + 19_999


# Drain and end.


def test_a_drain_lets_calls_finish_and_refuses_no_one_in_flight() -> None:
    peer = Peer()
    peer.say(unary(3))
    peer.connection.drain(peer.now_ms)
    peer.connection.drain(peer.now_ms)
    first, probe = peer.hear()
    assert away([first]) == [(2**31 - 1, 0, b"graceful_stop")]
    peer.say(unary(5))
    peer.say(ping(probe.payload, ACK))
    assert away(peer.hear()) == [(5, 0, b"graceful_stop")]
    peer.say(unary(7), headers(9), data(9))
    assert (peer.hear(), peer.connection.closing) == ([], False)
    assert [call[1] for call in peer.calls] == [3, 5]
    for stream in list(peer.connection.streams.values()):
        peer.connection.respond(stream, b"r")
    assert len(peer.hear()) == 6
    assert (peer.connection.closing, peer.connection.reason) == (True, "drained")


def test_a_drain_does_not_wait_for_a_client_that_does_not_answer() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    peer.connection.drain(peer.now_ms)
    peer.hear()
    assert peer.connection.next_deadline_ms == peer.now_ms + 5_000
    peer.wait(5_000)
    assert away(peer.hear()) == [(3, 0, b"graceful_stop")]
    peer.say(frame(RST_STREAM, 0, 3, CANCEL))
    assert peer.connection.closing


def test_a_second_answer_to_the_ping_of_a_drain_says_nothing_more() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    peer.connection.drain(peer.now_ms)
    probe = peer.hear()[1]
    peer.say(ping(probe.payload, ACK), ping(probe.payload, ACK))
    assert len(away(peer.hear())) == 1
    peer.wait(5_000)
    assert (peer.hear(), peer.connection.closing) == ([], False)


def test_a_handler_may_end_other_streams_when_one_expires() -> None:
    class Cascade(Recorder):
        def cancelled(self, connection: Connection[str], stream: Stream[str]) -> None:
            super().cancelled(connection, stream)
            for other in list(connection.streams.values()):
                connection.fail(other, Code.UNAVAILABLE, "with it")

    peer = Peer(Cascade())
    for stream_id in (3, 5, 7):
        peer.say(headers(stream_id, block(WATCH, timeout=b"1S")))
    peer.wait(1_000)
    statuses = [fields(s.payload)["grpc-status"] for s in peer.hear() if s.kind == HEADERS]
    assert (statuses, peer.calls[-1]) == (["4", "14", "14"], ("cancelled", 3, b""))


def test_a_drain_of_an_idle_connection_closes_it() -> None:
    peer = Peer()
    peer.connection.drain(peer.now_ms)
    peer.wait(5_000)
    assert (peer.connection.closing, peer.connection.next_deadline_ms) == (True, 0)
    assert len(away(peer.hear())) == 2


def test_the_end_of_the_connection_cancels_its_streams_once() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)), unary(5), headers(7), unary(9, b"m", block(SNAPSHOT)))
    peer.connection.send(peer.connection.streams[9], b"x" * 100_000)
    peer.connection.finish(peer.connection.streams[9])
    peer.connection.eof()
    peer.connection.eof()
    cancelled = [call[1] for call in peer.calls if call[0] == "cancelled"]
    assert cancelled == [3, 5]
    connection = peer.connection
    assert (connection.closing, connection.reason) == (True, "connection closed by peer")
    assert (connection.take(100), connection.pending_bytes, connection.streams) == (b"", 0, {})


def test_a_connection_that_is_over_needs_no_garbage_collector() -> None:
    peer = Peer(Recorder(echo))
    peer.say(unary(3, b"m", block(timeout=b"1S")), headers(5, block(WATCH)), unary(7))
    stream = peer.connection.streams[5]
    peer.connection.eof()
    gone = weakref.ref(peer.connection)
    gc.disable()
    try:
        peer.dirty.clear()
        del peer.connection
        assert gone() is None
    finally:
        gc.enable()
    assert stream.id == 5


def test_late_frames_of_many_finished_streams_are_tolerated() -> None:
    peer = Peer()
    ids = range(3, 3 + 2 * 3_000, 2)
    for stream_id in ids:
        peer.say(headers(stream_id, block(WATCH)))
        peer.connection.finish(peer.connection.streams[stream_id])
    peer.hear()
    for stream_id in ids:
        peer.say(data(stream_id, b"late"))
    assert (peer.hear(), peer.connection.closing) == ([], False)
    assert peer.connection._out.lingering == {}


def test_lingering_streams_are_bounded() -> None:
    peer = Peer()
    for stream_id in range(3, 3 + 2 * (LINGERING_STREAMS_MAX + 50), 2):
        peer.say(headers(stream_id, block(WATCH)))
        peer.connection.finish(peer.connection.streams[stream_id])
        peer.hear()
    assert len(peer.connection._out.lingering) == LINGERING_STREAMS_MAX
    peer.say(data(3))
    assert [(s.kind, s.payload[-1]) for s in peer.hear()] == [(RST_STREAM, 5)]


def test_settings_are_acknowledged() -> None:
    peer = Peer()
    peer.say(settings((1, 0), (2, 0), (3, 5), (5, 20_000), (6, 9), (0x77, 1)))
    assert peer.hear() == [Seen(SETTINGS, ACK, 0, b"")]
