"""A snapshot as a stream: contiguous, bounded, and it goes on where it broke."""

from random import Random

import pytest

from net.peers.frames import FrameError
from net.peers.limits import CHUNK_BYTES, WINDOW_BYTES
from net.peers.stream import (
    Accept,
    Chunk,
    End,
    Incoming,
    Message,
    Offer,
    Outgoing,
    Stop,
    Taken,
    decode,
    encode,
)

MESSAGES: list[Message] = [
    Offer(1, 2, 3, 4, bytes(range(32))),
    Accept(1, 2**63),
    Chunk(7, 0, b"bytes"),
    Taken(7, 5),
    End(7, True),
    End(7, False),
    Stop(7),
]
CONTENT = Random(1).randbytes(3 * WINDOW_BYTES + 12_345)
OFFER = Offer(1, 10, 2, len(CONTENT), bytes(32))


def carried(outgoing: Outgoing, incoming: Incoming, *, lose_after: int | None = None) -> bytes:
    """Carry chunks until nothing more is wanted, or so many; return what was written."""
    written = bytearray()
    count = 0
    while (wanted := outgoing.wanted()) is not None:
        offset, size = wanted
        for chunk in outgoing.read(CONTENT[offset : offset + size]):
            count += 1
            if lose_after is not None and count > lose_after:
                return bytes(written)
            incoming.take(chunk)
        while (batch := incoming.batch()) is not None:
            at, data = batch
            written += data
            outgoing.taken(incoming.wrote(at + len(data)).offset)
    return bytes(written)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_went(message: Message) -> None:
    assert decode(encode(message)) == message


def test_what_is_no_message_is_refused() -> None:
    chance = Random(3)
    for message in MESSAGES:
        whole = encode(message)
        for size in range(min(len(whole), 17)):
            if not (isinstance(message, Chunk) and size > 16):
                with pytest.raises(FrameError):
                    decode(whole[:size])
    for _ in range(5_000):
        garbage = bytes((chance.choice((0, 2, 4, 5, 6, 7, 200)),)) + chance.randbytes(
            chance.choice((0, 7, 10, 30))
        )
        with pytest.raises(FrameError):
            decode(garbage)


def test_a_snapshot_arrives_whole() -> None:
    outgoing, incoming = Outgoing(OFFER), Incoming(OFFER, 0)
    outgoing.accepted(0)
    assert carried(outgoing, incoming) == CONTENT
    assert incoming.is_whole


def test_nothing_is_sent_before_it_is_asked_for() -> None:
    assert Outgoing(OFFER).wanted() is None


def test_no_more_than_the_window_is_under_way() -> None:
    outgoing = Outgoing(OFFER)
    outgoing.accepted(0)
    under_way = 0
    while (wanted := outgoing.wanted()) is not None:
        under_way += sum(len(chunk.data) for chunk in outgoing.read(bytes(wanted[1])))
    assert under_way == WINDOW_BYTES


def test_a_stream_that_broke_goes_on_where_it_was_written() -> None:
    first, incoming = Outgoing(OFFER), Incoming(OFFER, 0)
    first.accepted(0)
    written = carried(first, incoming, lose_after=WINDOW_BYTES // CHUNK_BYTES + 3)
    assert 0 < len(written) < len(CONTENT)
    again, resumed = Outgoing(OFFER), Incoming(OFFER, incoming.written)
    again.accepted(incoming.written)
    assert written + carried(again, resumed) == CONTENT
    assert resumed.is_whole


@pytest.mark.parametrize("offset", [1, CHUNK_BYTES, 2**63])
def test_a_piece_that_is_not_the_next_is_refused(offset: int) -> None:
    with pytest.raises(FrameError, match=f"a piece at {offset} of a snapshot, not at 0"):
        Incoming(OFFER, 0).take(Chunk(1, offset, b"x"))


def test_a_piece_that_came_already_is_refused() -> None:
    incoming = Incoming(OFFER, 0)
    incoming.take(Chunk(1, 0, b"x"))
    with pytest.raises(FrameError):
        incoming.take(Chunk(1, 0, b"x"))


def test_a_sender_that_ignores_the_window_is_refused() -> None:
    incoming = Incoming(OFFER, 0)
    incoming.take(Chunk(1, 0, bytes(WINDOW_BYTES)))
    with pytest.raises(FrameError, match="beyond what was asked for"):
        incoming.take(Chunk(1, WINDOW_BYTES, b"x"))


def test_a_piece_beyond_the_end_is_refused() -> None:
    with pytest.raises(FrameError):
        Incoming(Offer(1, 1, 1, 3, bytes(32)), 0).take(Chunk(1, 0, b"four"))


def test_a_receiver_that_has_what_was_never_sent_is_refused() -> None:
    outgoing = Outgoing(OFFER)
    with pytest.raises(FrameError):
        outgoing.taken(0)
    with pytest.raises(FrameError):
        outgoing.accepted(len(CONTENT) + 1)
    outgoing.accepted(5)
    with pytest.raises(FrameError, match="twice"):
        outgoing.accepted(5)
    with pytest.raises(FrameError):
        outgoing.taken(6)
