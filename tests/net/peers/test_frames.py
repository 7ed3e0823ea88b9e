"""Frames between members: found however the bytes are cut, refused whatever else they are."""

from random import Random

import pytest

from net.peers.frames import HEAD_BYTES, FrameError, FrameReader, framed
from net.peers.hello import (
    Hello,
    Refusal,
    decode_hello,
    decode_refusal,
    encode_hello,
    encode_refusal,
)

FRAMES = [(0, b""), (1, b"a"), (2, b"question" * 9), (3, bytes(70_000)), (0x10, b"\0\xff")]
STREAM = b"".join(framed(*frame) for frame in FRAMES)


@pytest.mark.parametrize("size", [1, 2, 8, 9, 10, 100, 65_536, 1 << 20])
def test_frames_are_found_however_the_bytes_are_cut(size: int) -> None:
    reader = FrameReader(1 << 20)
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(STREAM), size):
        found += reader.feed(STREAM[at : at + size])
    assert (found, reader.held_bytes) == (FRAMES, 0)


def test_a_frame_above_the_bound_is_refused_by_its_head_alone() -> None:
    reader = FrameReader(10)
    with pytest.raises(FrameError, match="a frame of 11 bytes, above 10"):
        reader.feed(framed(0, bytes(11))[:HEAD_BYTES])


def test_only_the_first_frame_has_the_bound_of_a_greeting() -> None:
    # A member that accepts says HELLO and sends what it has in one breath.
    reader = FrameReader(100, first_bytes_max=10)
    large = framed(1, b"x" * 50)
    assert list(reader.feed(framed(0x10, b"hello") + large)) == [(0x10, b"hello"), (1, b"x" * 50)]
    with pytest.raises(FrameError, match="of 50 bytes, above 10"):
        FrameReader(100, first_bytes_max=10).feed(large)


def test_a_frame_with_any_bit_flipped_is_refused_or_waits_for_more() -> None:
    whole = framed(1, b"what a member says")
    for bit in range(len(whole) * 8):
        bent = bytearray(whole)
        bent[bit // 8] ^= 1 << bit % 8
        reader = FrameReader(1 << 20)
        try:
            frames = reader.feed(bytes(bent))
        except FrameError:
            continue
        assert not frames
        assert reader.held_bytes == len(whole)


def test_garbage_is_refused_or_held_within_the_bound() -> None:
    chance = Random(7)
    for _ in range(2_000):
        reader = FrameReader(4096)
        try:
            for _ in range(20):
                assert not reader.feed(chance.randbytes(chance.randint(1, 400)))
        except FrameError:
            continue
        assert reader.held_bytes <= 4096 + HEAD_BYTES + 400


def test_a_greeting_comes_back_as_it_went() -> None:
    hello = Hello(cluster_id=2**64 - 1, sender=1, target=2, life=3)
    assert decode_hello(encode_hello(hello)) == hello
    assert decode_hello(encode_hello(hello) + b"of a later version") == hello


def test_a_greeting_that_is_none_is_refused() -> None:
    whole = encode_hello(Hello(1, 2, 3, 4))
    for size in range(len(whole)):
        with pytest.raises(FrameError):
            decode_hello(whole[:size])
    with pytest.raises(FrameError, match="another protocol"):
        decode_hello(b"X" + whole[1:])


@pytest.mark.parametrize(
    ("oldest", "newest", "version"), [(1, 1, 1), (1, 9, 1), (2, 9, None), (0, 0, None)]
)
def test_two_ends_speak_the_newest_version_of_both(
    oldest: int, newest: int, version: int | None
) -> None:
    assert Hello(1, 2, 3, 4, oldest, newest).version == version


def test_a_refusal_comes_back_with_its_reason() -> None:
    sent = encode_refusal(Refusal.REMOVED_MEMBER, "it was removed")
    assert decode_refusal(sent) == (Refusal.REMOVED_MEMBER, "it was removed")
    assert decode_refusal(b"\xee\xff\xfe") == (None, "\ufffd\ufffd")
    with pytest.raises(FrameError):
        decode_refusal(b"")
