"""Every reason to end a connection is reached, and answered by GOAWAY with its code and text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from net.http2.limits import (
    BUSY_WORK,
    CONTINUATION_FRAMES_MAX,
    CONTROL_BYTES_MAX,
    RESETS,
    SETTINGS_FRAMES,
    Http2Settings,
)
from net.http2.wire import Fault
from tests.http2_client import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HANDSHAKE,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    WATCH,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Peer,
    block,
    data,
    frame,
    headers,
    literal,
    settings,
    unary,
)

Story = Callable[[], Peer]


def says(*chunks: bytes) -> Story:
    """A client that has shaken hands and says this."""

    def story() -> Peer:
        peer = Peer()
        peer.say(*chunks)
        return peer

    return story


def begins(*chunks: bytes) -> Story:
    """A client that begins with this."""

    def story() -> Peer:
        peer = Peer(greeted=False)
        peer.say(*chunks)
        return peer

    return story


def waits(milliseconds: int, *chunks: bytes, greeted: bool = True) -> Story:
    """A client that says this and then nothing for a while."""

    def story() -> Peer:
        peer = Peer(greeted=greeted)
        peer.say(*chunks)
        peer.wait(milliseconds)
        return peer

    return story


def deaf_client_asks_for_answers() -> Peer:
    """Pings are free after data, but this client reads neither."""
    peer = Peer(settings=Http2Settings(ping_interval_ms_min=0, ping_without_stream=True))
    peer.say(headers(3))
    for _ in range(CONTROL_BYTES_MAX // 17 + 1):
        peer.say(frame(PING, payload=b"12345678"))
    return peer


def unanswered_keepalive() -> Peer:
    peer = Peer()
    peer.wait(7_200_000)
    peer.wait(20_000)
    return peer


def window(increment: int, stream_id: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def reset(stream_id: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")


STORIES: list[tuple[Fault, Story]] = [
    (Fault.BAD_PREFACE, begins(b"GET / HTTP/1.1\r\n")),
    (Fault.BAD_PREFACE, begins(PREFACE[:20] + b"xxxx")),
    (Fault.SETTINGS_NOT_FIRST, begins(PREFACE + headers(1))),
    (Fault.SETTINGS_NOT_FIRST, begins(PREFACE + SETTINGS_ACK)),
    (Fault.HANDSHAKE_TIMEOUT, waits(10_000, PREFACE, greeted=False)),
    (Fault.SETTINGS_ACK_TIMEOUT, waits(10_000, HANDSHAKE, greeted=False)),
    (Fault.FRAME_TOO_LARGE, says(frame(DATA, 0, 3, b"x" * 16_385))),
    (Fault.FRAME_TOO_LARGE, says(frame(0xFA, 0, 0, b"x" * 16_385)[:9])),
    (Fault.FRAME_TOO_LARGE, begins(PREFACE + frame(SETTINGS, 0, 0, b"x" * 16_386))),
    (Fault.FRAME_LENGTH, says(frame(PING, payload=b"1234567"))),
    (Fault.FRAME_LENGTH, says(frame(SETTINGS, payload=b"12345"))),
    (Fault.FRAME_LENGTH, says(frame(SETTINGS, 1, payload=b"123456"))),
    (Fault.FRAME_LENGTH, says(frame(RST_STREAM, 0, 1, b"123"))),
    (Fault.FRAME_LENGTH, says(frame(WINDOW_UPDATE, 0, 0, b"12345"))),
    (Fault.FRAME_LENGTH, says(frame(PRIORITY, 0, 1, b"1234"))),
    (Fault.FRAME_LENGTH, says(frame(GOAWAY, 0, 0, b"1234567"))),
    (Fault.FRAME_LENGTH, says(frame(HEADERS, END_HEADERS | WITH_PRIORITY, 3, b"1234"))),
    (Fault.FRAME_LENGTH, says(frame(HEADERS, END_HEADERS | PADDED, 3, b""))),
    (Fault.PADDING, says(headers(3), frame(DATA, PADDED, 3, b"\x05abcd"))),
    (Fault.PADDING, says(frame(HEADERS, END_HEADERS | PADDED, 3, b"\x01"))),
    (Fault.STREAM_ID_ZERO, says(frame(DATA, 0, 0, b"x"))),
    (Fault.STREAM_ID_ZERO, says(headers(0))),
    (Fault.STREAM_ID_ZERO, says(frame(RST_STREAM, 0, 0, b"1234"))),
    (Fault.STREAM_ID_ZERO, says(frame(PRIORITY, 0, 0, b"12345"))),
    (Fault.STREAM_ID_NOT_ZERO, says(frame(PING, 0, 1, b"12345678"))),
    (Fault.STREAM_ID_NOT_ZERO, says(frame(SETTINGS, 0, 1))),
    (Fault.STREAM_ID_NOT_ZERO, says(frame(GOAWAY, 0, 1, b"12345678"))),
    (Fault.STREAM_ID_EVEN, says(headers(4))),
    (Fault.STREAM_ID_REUSED, says(headers(5), reset(5), headers(5))),
    (Fault.STREAM_ID_REUSED, says(headers(5), headers(3))),
    (Fault.STREAM_IDLE, says(data(7))),
    (Fault.STREAM_IDLE, says(data(2))),
    (Fault.STREAM_IDLE, says(reset(7))),
    (Fault.STREAM_IDLE, says(window(1_000, 7))),
    (Fault.CONTINUATION_EXPECTED, says(frame(HEADERS, 0, 3, b""), frame(PING, 0, 0, b"1" * 8))),
    (Fault.CONTINUATION_EXPECTED, says(frame(HEADERS, 0, 3, b""), frame(CONTINUATION, 4, 5, b""))),
    (Fault.CONTINUATION_EXPECTED, says(headers(3), frame(HEADERS, 0, 5, b""), data(3))),
    (Fault.CONTINUATION_UNEXPECTED, says(frame(CONTINUATION, 4, 3, b""))),
    (
        Fault.CONTINUATION_FLOOD,
        says(
            frame(HEADERS, 0, 3, block()),
            *[frame(CONTINUATION, 0, 3, b"")] * (CONTINUATION_FRAMES_MAX + 1),
        ),
    ),
    (
        Fault.HEADER_BLOCK_TOO_LARGE,
        says(frame(HEADERS, 0, 3, b"\0" * 16_000), frame(CONTINUATION, 0, 3, b"\0" * 1_000)),
    ),
    (Fault.HEADER_BLOCK_TIMEOUT, waits(10_000, frame(HEADERS, 0, 3, b""))),
    (Fault.HEADER_LIST_BOMB, says(headers(3, b"\x90" * 16_000))),
    (Fault.HPACK_INDEX, says(headers(3, b"\x80"))),
    (Fault.HPACK_INDEX, says(headers(3, b"\xbe"))),
    (Fault.HPACK_INDEX, begins(HANDSHAKE + headers(1, literal(b"a", b"b", first=64) + b"\xbf"))),
    (Fault.HPACK_INTEGER, says(headers(3, b"\xff\xff\xff\xff\xff\xff\x01"))),
    (Fault.HPACK_TRUNCATED, says(headers(3, b"\x00\x05ab"))),
    (Fault.HPACK_TRUNCATED, says(headers(3, b"\x00"))),
    (Fault.HPACK_TRUNCATED, says(headers(3, b"\x00\x01a\x7f"))),
    (Fault.HPACK_HUFFMAN, says(headers(3, b"\x00\x81\xff\x00"))),
    (Fault.HPACK_HUFFMAN, says(headers(3, b"\x00\x81\x00\x00"))),
    (Fault.HPACK_HUFFMAN, says(headers(3, b"\x00\x84\xff\xff\xff\xff\x00"))),
    (Fault.HPACK_TABLE_SIZE, says(headers(3, b"\x21" + block()))),
    (Fault.HPACK_TABLE_SIZE, begins(HANDSHAKE + headers(1, b"\x3f\xe2\x1f" + block()))),
    (Fault.HPACK_SIZE_UPDATE_LATE, says(headers(3, block() + b"\x20"))),
    (Fault.HPACK_SIZE_UPDATE_MISSING, begins(HANDSHAKE + SETTINGS_ACK + headers(1))),
    (Fault.PUSH_PROMISE, says(frame(PUSH_PROMISE, 4, 3, b"\0\0\0\x02"))),
    (Fault.SETTINGS_ACK_UNEXPECTED, says(SETTINGS_ACK)),
    (Fault.ENABLE_PUSH_VALUE, says(settings((2, 2)))),
    (Fault.INITIAL_WINDOW_VALUE, says(settings((4, 2**31)))),
    (Fault.MAX_FRAME_SIZE_VALUE, says(settings((5, 16_383)))),
    (Fault.MAX_FRAME_SIZE_VALUE, says(settings((5, 2**24)))),
    (Fault.WINDOW_UPDATE_ZERO, says(window(0))),
    (Fault.WINDOW_OVERFLOW, says(window(2**31 - 1))),
    (Fault.WINDOW_OVERFLOW, says(headers(3), window(1_000, 3), settings((4, 2**31 - 1)))),
    (
        Fault.RESET_FLOOD,
        says(*[unary(3 + 2 * i) + reset(3 + 2 * i) for i in range(RESETS.burst + 1)]),
    ),
    (Fault.SETTINGS_FLOOD, says(*[settings()] * (SETTINGS_FRAMES.burst + 1))),
    (Fault.BUSY_WORK_FLOOD, says(*[frame(PRIORITY, 0, 3, b"12345")] * (BUSY_WORK.burst + 1))),
    (Fault.CONTROL_FLOOD, deaf_client_asks_for_answers),
    (Fault.TOO_MANY_PINGS, says(*[frame(PING, payload=b"12345678")] * 5)),
    (Fault.KEEPALIVE_TIMEOUT, unanswered_keepalive),
]


def test_every_fault_has_a_story() -> None:
    assert {fault for fault, _ in STORIES} == set(Fault)


@pytest.mark.parametrize(("fault", "story"), STORIES, ids=lambda x: getattr(x, "name", ""))
def test_a_broken_connection_says_why_and_closes(fault: Fault, story: Story) -> None:
    peer = story()
    assert peer.connection.closing
    assert peer.connection.reason == fault.text
    last = peer.hear()
    away = next(seen for seen in last if seen.kind == GOAWAY)
    assert away.payload[4:8] == fault.code.to_bytes(4, "big")
    assert away.payload[8:] == fault.text.encode()
    assert peer.connection.take(1 << 20) == b""
    assert peer.connection.pending_bytes == 0
    assert peer.connection.streams == {}


def test_a_broken_connection_cancels_its_streams_once_and_hears_nothing_more() -> None:
    peer = Peer()
    peer.say(headers(3, block(WATCH)), unary(5), headers(7), frame(PING, 0, 1, b"12345678"))
    told = [("opened", 3, b""), ("request", 5, b"m"), ("cancelled", 3, b""), ("cancelled", 5, b"")]
    assert peer.calls == told
    peer.say(unary(9))
    peer.connection.eof()
    peer.connection.tick(1 << 40)
    assert peer.calls == told


def floods() -> list[tuple[str, list[bytes], int]]:
    """Abuse by CVE class: (name, frames, how many of them at most are taken)."""
    ping = frame(PING, payload=b"12345678")
    resets = [headers(3 + 2 * i, block(WATCH)) + reset(3 + 2 * i) for i in range(20_000)]
    dribble = [headers(3, block(WATCH)), *[window(1, 3)] * 20_000]
    fragments = [frame(HEADERS, 0, 3, b""), *[frame(CONTINUATION, 0, 3, b"\x90")] * 20_000]
    return [
        ("rapid reset, CVE-2023-44487", resets, 2_100),
        ("data dribble, CVE-2019-9511", dribble, 2_100),
        ("ping flood, CVE-2019-9512", [ping] * 20_000, 8),
        (
            "resource loop by PRIORITY, CVE-2019-9513",
            [frame(PRIORITY, 0, 3, b"12345")] * 20_000,
            2_100,
        ),
        ("reset flood, CVE-2019-9514", [frame(RST_STREAM, 0, 1, b"1234")] * 20_000, 2_100),
        ("settings flood, CVE-2019-9515", [settings((4, 65_535))] * 20_000, 110),
        (
            "empty headers, CVE-2019-9516",
            [headers(3 + 2 * i, literal(b"", b"")) for i in range(20_000)],
            2_100,
        ),
        ("window shut while answers queue, CVE-2019-9517", [settings((4, 0))] * 20_000, 110),
        ("empty frames, CVE-2019-9518", [headers(3), *[frame(DATA, 0, 3)] * 20_000], 2_100),
        ("CONTINUATION flood, CVE-2024-27316", fragments, 10),
        (
            "made-you-reset, CVE-2025-8671",
            [headers(3 + 2 * i) + window(0, 3 + 2 * i) for i in range(20_000)],
            2_100,
        ),
        ("unknown frames", [frame(0xAA, 0, 0, b"x")] * 20_000, 2_100),
        ("late data", [unary(3), *[data(3)] * 20_000], 2_100),
    ]


@pytest.mark.parametrize(("name", "said", "most"), floods(), ids=[f[0] for f in floods()])
def test_abuse_closes_the_connection_within_its_budget(
    name: str, said: list[bytes], most: int
) -> None:
    peer = Peer()
    for count, chunk in enumerate(said):
        peer.say(chunk)
        peer.hear()
        if peer.connection.closing:
            assert count <= most
            return
    raise AssertionError(f"{name} was never stopped")


def test_honest_rates_stay_within_the_budgets() -> None:
    peer = Peer()
    for second in range(30):
        for i in range(150):
            stream_id = 3 + 2 * (second * 150 + i)
            peer.say(headers(stream_id, block(WATCH)), reset(stream_id))
            peer.say(frame(PRIORITY, 0, 3, b"12345"))
        peer.wait(1_000)
    assert not peer.connection.closing
