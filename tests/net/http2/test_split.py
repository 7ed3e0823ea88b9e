"""How bytes are cut into calls of `feed` changes nothing: feed(a + b) is feed(a); feed(b)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from net.http2.connection import Connection
from net.http2.stream import Kind, Stream
from tests.http2_client import HANDSHAKE, NO_TABLE, SETTINGS_ACK, Peer, Recorder, headers
from tests.http2_storm import Storm


def answer(connection: Connection[str], stream: Stream[str], message: bytes) -> None:
    """Answer in a way that depends on the message, of every form there is."""
    kind = len(message) % 5
    if kind == 4 and message:
        connection.fail(stream, message[0] % 17, "text %")
    elif stream.kind is Kind.UNARY:
        connection.respond(stream, message * (kind * 7 + 1))
    else:
        connection.send(stream, message)
        connection.send_parts(stream, [message, b"", message], 2 * len(message))
        if stream.kind is Kind.SERVER_STREAM or kind == 3:
            connection.finish(stream)


def outcome(chunks: Iterable[bytes]) -> tuple[object, ...]:
    """All that can be seen of a conversation."""
    peer = Peer(Recorder(answer), greeted=False)
    for chunk in chunks:
        peer.say(chunk)
    connection = peer.connection
    said = b"".join(iter(lambda: connection.take(5_000), b""))
    peer.wait(5_000)
    said += b"".join(iter(lambda: connection.take(5_000), b""))
    return (
        said,
        peer.calls,
        connection.closing,
        connection.reason,
        connection.pending_bytes,
        connection.next_deadline_ms,
        connection.messages_in,
        connection.messages_out,
        list(connection.streams),
    )


def conversation(seed: int, count: int) -> bytes:
    opening = HANDSHAKE + SETTINGS_ACK + headers(1, NO_TABLE + b"\x83", ended=True)
    return opening + b"".join(Storm(seed).frames(count))


def cut(raw: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield raw[at : at + size]
        at += size
    yield raw[at:]


@given(st.integers(0, 1 << 32), st.integers(1, 60), st.lists(st.integers(1, 3_000), max_size=60))
@settings(deadline=None, max_examples=150)
def test_a_conversation_may_be_cut_anywhere(seed: int, count: int, sizes: list[int]) -> None:
    raw = conversation(seed, count)
    assert outcome(cut(raw, sizes)) == outcome([raw])


@given(st.integers(0, 1 << 32), st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_a_conversation_may_come_a_byte_at_a_time(seed: int, count: int) -> None:
    raw = conversation(seed, count)
    assert outcome(raw[i : i + 1] for i in range(len(raw))) == outcome([raw])


@given(st.binary(max_size=80), st.lists(st.integers(0, 10), max_size=20))
def test_noise_may_be_cut_anywhere(noise: bytes, sizes: list[int]) -> None:
    raw = HANDSHAKE + noise
    assert outcome(cut(raw, sizes)) == outcome([raw])
    assert outcome(cut(noise, sizes)) == outcome([noise])
