"""DATA frames become messages, within windows and limits."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.http2.limits import (
    CONNECTION_WINDOW_BYTES,
    GRANTED_BYTES_MAX,
    PARTIAL_BYTES_MAX,
    STREAM_WINDOW_BYTES,
    Http2Settings,
)
from tests.http2_client import (
    DATA,
    END_STREAM,
    HEADERS,
    PADDED,
    RST_STREAM,
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
    headers,
    literal,
    prefixed,
)

NONE = "cardinality violation: received no request message from non-client-streaming RPC"
MANY = "cardinality violation: received multiple request messages for non-client-streaming RPC"
GZIP = [(b"grpc-encoding", b"gzip")]


def status(seen: list[Seen]) -> tuple[str, str]:
    """The status of the only stream that ended."""
    (last,) = (s for s in seen if s.kind == HEADERS and s.flags & END_STREAM)
    found = fields(last.payload)
    return found["grpc-status"], found.get("grpc-message", "")


def grants(seen: list[Seen]) -> list[tuple[int, int]]:
    return [
        (s.stream_id, int.from_bytes(s.payload, "big")) for s in seen if s.kind == WINDOW_UPDATE
    ]


def cut(raw: bytes, size: int = 16_384) -> list[bytes]:
    return [raw[at : at + size] for at in range(0, len(raw), size)]


@given(
    st.lists(st.binary(max_size=300) | st.just(b"x" * 20_000), max_size=8),
    st.lists(st.integers(0, 500), max_size=40),
    st.booleans(),
)
@settings(deadline=None)
def test_messages_of_a_bidi_stream_arrive_however_they_are_cut(
    messages: list[bytes], cuts: list[int], padded: bool
) -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    raw = b"".join(map(prefixed, messages))
    for size in [*cuts, *[10_000] * (len(raw) // 10_000 + 1)]:
        piece, raw = raw[:size], raw[size:]
        if padded:
            peer.say(frame(DATA, PADDED, 3, b"\x07" + piece + b"\0" * 7))
        else:
            peer.say(frame(DATA, 0, 3, piece))
    peer.say(frame(DATA, END_STREAM, 3))
    told = [("message", 3, message) for message in messages]
    assert peer.calls == [("opened", 3, b""), *told, ("half_closed", 3, b"")]


def test_a_unary_message_in_pieces_is_delivered_when_the_client_ends() -> None:
    peer = Peer()
    peer.say(headers(3), data(3, b"one", ended=False))
    assert peer.calls == []
    peer.say(frame(DATA, END_STREAM, 3))
    assert peer.calls == [("request", 3, b"one")]
    assert peer.connection._inbound.partial_bytes == 0


def test_trailers_end_a_request_too() -> None:
    peer = Peer()
    peer.say(headers(3), data(3, b"m", ended=False), headers(3, literal(b"a", b"b"), ended=True))
    peer.say(headers(5, block(WATCH)), headers(5, literal(b"a", b"b"), ended=True))
    assert peer.calls == [("request", 3, b"m"), ("opened", 5, b""), ("half_closed", 5, b"")]


@pytest.mark.parametrize("said", [headers(3), headers(3, literal(b":path", b"/"), ended=True)])
def test_bad_trailers_reset_the_stream(said: bytes) -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)), said)
    assert [(s.kind, s.payload[-1]) for s in peer.hear()] == [(RST_STREAM, 1)]
    assert peer.calls == [("opened", 3, b""), ("cancelled", 3, b"")]


@pytest.mark.parametrize("said", [data(3, b"x"), headers(3, b"", ended=True)])
def test_a_client_that_goes_on_after_its_end_is_reset(said: bytes) -> None:
    peer = Peer()
    peer.say(headers(3), data(3, b"m"), said)
    assert [(s.kind, s.payload[-1]) for s in peer.hear()] == [(RST_STREAM, 5)]
    assert peer.calls == [("request", 3, b"m"), ("cancelled", 3, b"")]


@pytest.mark.parametrize("path", [block(), block(SNAPSHOT)])
@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        ([headers(3, b"", ended=True)], "13", NONE),
        ([frame(DATA, END_STREAM, 3)], "13", NONE),
        ([data(3, ended=False)] * 2, "13", MANY),
        ([frame(DATA, END_STREAM, 3, prefixed(b"abc")[:-1])], "13", "unexpected EOF"),
        ([frame(DATA, END_STREAM, 3, b"\0\0")], "13", "unexpected EOF"),
        ([data(3, b"x" * 101)], "8", "grpc: received message larger than max (101 vs. 100)"),
        (
            [frame(DATA, 0, 3, prefixed(b"x" * 101)[:5])],
            "8",
            "grpc: received message larger than max (101 vs. 100)",
        ),
        ([data(3, flag=2)], "13", "grpc: received unexpected payload format 2"),
        (
            [data(3, flag=1)],
            "13",
            "grpc: compressed flag set with identity or empty encoding",
        ),
    ],
)
def test_a_broken_request_fails_in_grpc_go_words(
    path: bytes, said: list[bytes], code: str, text: str
) -> None:
    peer = Peer(settings=Http2Settings(message_bytes_max=100))
    peer.say(headers(3, path), *said)
    assert status(peer.hear()) == (code, text)
    assert (peer.calls, peer.connection._inbound.partial_bytes) == ([], 0)


def test_a_bad_message_cancels_a_bidi_stream() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)), data(3, b"m", ended=False), data(3, flag=9))
    assert status(peer.hear())[0] == "13"
    assert [verb for verb, _, _ in peer.calls] == ["opened", "message", "cancelled"]


@pytest.mark.parametrize(("said", "code"), [(data(3, flag=9), 2), (b"", 11)])
def test_a_bad_message_amid_an_answer_resets_the_stream(said: bytes, code: int) -> None:
    peer = Peer(settings=Http2Settings(message_bytes_max=100))
    peer.say(headers(3, block(WATCH)))
    stream = peer.connection.streams[3]
    peer.connection.send(stream, b"x" * 100_000)
    peer.hear()
    peer.say(said or data(3, b"x" * 101))
    assert [(s.kind, s.payload[-1]) for s in peer.hear()] == [(RST_STREAM, code)]
    assert peer.calls == [("opened", 3, b""), ("cancelled", 3, b"")]
    peer.connection.send(stream, b"late")
    assert (peer.hear(), peer.connection.pending_bytes) == ([], 0)


def test_trailers_of_a_finished_stream_end_it_quietly() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    peer.connection.send(peer.connection.streams[3], b"x" * 100_000)
    peer.connection.finish(peer.connection.streams[3])
    peer.hear()
    peer.say(headers(3, literal(b"a", b"b"), ended=True))
    peer.say(*[frame(WINDOW_UPDATE, 0, to, b"\0\x0f\0\0") for to in (0, 3)])
    assert [s.kind for s in peer.hear()] == [DATA, DATA, DATA, HEADERS]
    assert peer.calls == [("opened", 3, b"")]


def test_trailers_of_a_stream_that_is_over_are_tolerated() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    peer.connection.finish(peer.connection.streams[3])
    peer.hear()
    peer.say(headers(3, literal(b"a", b"b")), headers(3, literal(b"a", b"b"), ended=True))
    assert (peer.hear(), peer.connection._out.lingering) == ([], {})


def test_a_stream_that_its_handler_finished_hears_no_more_messages() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    stream = peer.connection.streams[3]
    peer.connection.send(stream, b"x" * 100_000)
    peer.connection.finish(stream)
    peer.say(data(3, b"late", ended=False), data(3, b"last"))
    assert peer.calls == [("opened", 3, b"")]


def test_finishing_inside_a_message_stops_the_rest_of_its_frame() -> None:
    peer = Peer(Recorder(lambda c, s, m: c.finish(s)))
    peer.say(headers(3, block(WATCH)))
    peer.say(frame(DATA, END_STREAM, 3, prefixed(b"1") + prefixed(b"2")))
    assert peer.calls == [("opened", 3, b""), ("message", 3, b"1")]


@given(st.binary(max_size=2_000), st.integers(1, 9))
def test_gzip_is_inflated(message: bytes, level: int) -> None:
    peer = Peer()
    zipped = gzip.compress(message, level)
    peer.say(headers(3, block(extra=GZIP)), data(3, zipped, flag=1))
    assert peer.calls == [("request", 3, message)]


@pytest.mark.parametrize(
    ("encoding", "message", "code", "text"),
    [
        (b"gzip", gzip.compress(b"x" * 1_001), "8", "received message after decompression larger"),
        (b"gzip", b"garbage", "13", "grpc: failed to decompress the message: "),
        (b"gzip", gzip.compress(b"x" * 900)[:-4], "13", "unexpected EOF"),
        (b"gzip", gzip.compress(b"x") + b"more", "13", "unexpected EOF"),
        (
            b"snappy",
            b"x",
            "12",
            'grpc: Decompressor is not installed for grpc-encoding "snappy"',
        ),
        (b"identity", b"x", "13", "grpc: compressed flag set with identity or empty encoding"),
    ],
)
def test_what_cannot_be_inflated_fails(
    encoding: bytes, message: bytes, code: str, text: str
) -> None:
    peer = Peer(settings=Http2Settings(message_bytes_max=1_000))
    extra = [(b"grpc-encoding", encoding)]
    peer.say(headers(3, block(extra=extra)), data(3, message, flag=1))
    found = status(peer.hear())
    assert found[0] == code
    assert text in found[1]


def test_a_gzip_bomb_is_not_inflated_beyond_the_limit() -> None:
    peer = Peer()
    bomb = gzip.compress(b"\0" * 500_000_000, 9)
    peer.say(headers(3, block(extra=GZIP)))
    for piece in cut(prefixed(bomb, flag=1)):
        peer.say(frame(DATA, 0, 3, piece))
    text = "grpc: received message after decompression larger than max 2097152"
    assert status(peer.hear()) == ("8", text)


def test_a_long_message_is_granted_at_once_when_its_length_is_known() -> None:
    peer = Peer()
    peer.say(headers(3))
    pieces = cut(prefixed(b"x" * 1_500_000))
    peer.say(frame(DATA, 0, 3, pieces[0]))
    assert grants(peer.hear()) == [(3, 1_500_005 - STREAM_WINDOW_BYTES)]
    for piece in pieces[1:]:
        peer.say(frame(DATA, 0, 3, piece))
    peer.say(frame(DATA, END_STREAM, 3))
    assert peer.calls == [("request", 3, b"x" * 1_500_000)]
    assert peer.connection._inbound._granted_bytes == 0


def test_padding_is_granted_back() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    window = STREAM_WINDOW_BYTES
    for _ in range(2_000):
        peer.say(frame(DATA, PADDED, 3, b"\xff" + prefixed(b"") + b"\0" * 255))
        window += sum(count for to, count in grants(peer.hear()) if to == 3) - 261
        assert 0 <= window <= STREAM_WINDOW_BYTES


def test_the_connection_window_is_replenished_on_arrival() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)))
    window = CONNECTION_WINDOW_BYTES
    for _ in range(500):
        peer.say(data(3, b"x" * 10_000, ended=False))
        window += sum(count for to, count in grants(peer.hear()) if to == 0) - 10_005
        assert CONNECTION_WINDOW_BYTES // 2 <= window <= CONNECTION_WINDOW_BYTES


def test_grants_stand_in_line_and_all_messages_come_through() -> None:
    peer = Peer(settings=Http2Settings(message_bytes_max=2_000_000))
    raw = cut(prefixed(b"x" * 2_000_000))
    ids = range(3, 3 + 2 * 20, 2)
    windows = dict.fromkeys(ids, STREAM_WINDOW_BYTES)
    left = {stream_id: list(raw) for stream_id in ids}
    for stream_id in ids:
        peer.say(headers(stream_id))
    while any(left.values()):
        moved = False
        for stream_id in ids:
            if left[stream_id] and windows[stream_id] >= len(left[stream_id][0]):
                piece = left[stream_id].pop(0)
                windows[stream_id] -= len(piece)
                peer.say(frame(DATA, 0 if left[stream_id] else END_STREAM, stream_id, piece))
                moved = True
        assert peer.connection._inbound._granted_bytes <= GRANTED_BYTES_MAX
        for to, count in grants(peer.hear()):
            if to:
                windows[to] += count
        assert moved, "the line stands still"
    assert sorted(stream_id for _, stream_id, _ in peer.calls) == list(ids)
    assert peer.connection._inbound._granted_bytes == 0


def test_a_stream_that_sends_more_than_it_was_granted_is_reset() -> None:
    peer = Peer()
    raw = cut(prefixed(b"x" * 2_000_000))
    for stream_id in range(3, 3 + 2 * 10, 2):
        peer.say(headers(stream_id), frame(DATA, 0, stream_id, raw[0]))
    peer.hear()
    for piece in raw[1:6]:
        peer.say(frame(DATA, 0, 21, piece))
    assert [(s.kind, s.stream_id, s.payload[-1]) for s in peer.hear()] == [(RST_STREAM, 21, 3)]


def test_incomplete_messages_are_bounded_over_all_streams() -> None:
    peer = Peer()
    piece = prefixed(b"x" * 16_380)[:-1]
    refused = 0
    for i in range(PARTIAL_BYTES_MAX // len(piece) + 3):
        peer.say(headers(3 + 2 * i), frame(DATA, 0, 3 + 2 * i, piece))
        seen = [s for s in peer.hear() if s.kind == HEADERS]
        if seen:
            assert status(seen)[0] == "8"
            refused += 1
    assert refused == 3
    assert peer.connection._inbound.partial_bytes <= PARTIAL_BYTES_MAX


def test_a_waiting_stream_that_is_reset_leaves_the_line() -> None:
    peer = Peer()
    piece = prefixed(b"x" * 2_000_000)[:16_384]
    for stream_id in range(3, 3 + 2 * 12, 2):
        peer.say(headers(stream_id), frame(DATA, 0, stream_id, piece))
    assert len(peer.connection._inbound._waiting) == 4
    for stream_id in range(3, 3 + 2 * 12, 2):
        peer.say(frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08"))
    inbound = peer.connection._inbound
    assert (inbound._waiting, inbound._granted_bytes, inbound.partial_bytes) == ({}, 0, 0)


def test_an_idle_connection_holds_no_buffers() -> None:
    peer = Peer(Recorder(echo))
    for stream_id in range(3, 203, 2):
        peer.say(headers(stream_id))
        for piece in cut(prefixed(b"x" * 50_000)):
            peer.say(frame(DATA, 0, stream_id, piece))
        peer.say(frame(DATA, END_STREAM, stream_id))
        peer.say(frame(WINDOW_UPDATE, 0, 0, (60_000).to_bytes(4, "big")))
        peer.hear()
    connection = peer.connection
    assert (connection._rest, connection.streams, connection.pending_bytes) == (b"", {}, 0)
    assert connection._inbound.partial_bytes == 0
    assert connection._out._ring == connection._out._ring.__class__()
    assert connection.messages_in == connection.messages_out == 100
