"""The journal's bytes: what was written comes back, and nothing else does."""

from hypothesis import given
from hypothesis import strategies as st

from core.ids import Index, MemberId, Term
from net.journal.layout import (
    FRAME_TYPES,
    HEADER_BYTES,
    Batch,
    Frame,
    HardState,
    Header,
    Position,
    SnapshotMark,
    StoreSwitch,
    decode_batch,
    decode_head,
    decode_header,
    encode_batch,
    encode_header,
    header_chain,
    heads,
)

NUMBER = 7
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
FRAMES = st.lists(
    st.builds(
        Frame,
        st.sampled_from(sorted(FRAME_TYPES)),
        U64.map(Term),
        U64.map(Index),
        st.binary(max_size=70),
    ),
    max_size=6,
)


def image_of(frames: list[Frame], *, chain: int = 5, synced: int = 0, at: int = 0) -> bytes:
    start = Position(NUMBER, at)
    return bytes(at) + encode_batch(frames, start, chain, Position(NUMBER, synced)).data


@given(FRAMES, st.integers(0, 2**32 - 1))
def test_a_batch_comes_back_as_it_was_written(frames: list[Frame], chain: int) -> None:
    encoded = encode_batch(frames, Position(NUMBER, 64), chain, Position(NUMBER, 8))
    batch = decode_batch(bytes(64) + encoded.data, NUMBER, 64, chain)
    assert isinstance(batch, Batch)
    assert [placed.frame for placed in batch.frames] == frames
    assert [(placed.offset, placed.seed) for placed in batch.frames] == encoded.places
    assert (batch.chain, batch.head.synced) == (encoded.chain, Position(NUMBER, 8))
    assert len(encoded.data) % 8 == 0


@given(FRAMES, st.data())
def test_a_batch_with_a_changed_byte_is_the_same_or_none(
    frames: list[Frame], data: st.DataObject
) -> None:
    image = bytearray(image_of(frames))
    image[data.draw(st.integers(0, len(image) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    batch = decode_batch(bytes(image), NUMBER, 0, 5)
    if isinstance(batch, Batch):
        assert [placed.frame for placed in batch.frames] == frames


@given(FRAMES, st.data())
def test_a_batch_cut_anywhere_is_none(frames: list[Frame], data: st.DataObject) -> None:
    image = image_of(frames)
    cut = data.draw(st.integers(0, len(image) - 1))
    assert isinstance(decode_batch(image[:cut], NUMBER, 0, 5), str)
    zeros_after = image[:cut] + bytes(len(image) - cut)
    if zeros_after != image:
        batch = decode_batch(zeros_after, NUMBER, 0, 5)
        assert isinstance(batch, str) or [p.frame for p in batch.frames] == frames


def test_a_batch_of_another_generation_chain_or_place_is_none() -> None:
    frames = [Frame(1, Term(1), Index(1), b"x")]
    image = image_of(frames)
    assert isinstance(decode_batch(image, NUMBER, 0, 5), Batch)
    assert isinstance(decode_batch(image, NUMBER + 1, 0, 5), str)
    assert isinstance(decode_batch(image, NUMBER, 0, 6), str)
    assert isinstance(decode_batch(bytes(8) + image, NUMBER, 8, 5), str)


def test_a_head_that_claims_what_comes_after_it_is_none() -> None:
    assert decode_head(image_of([], synced=8), NUMBER, 0) is None
    assert decode_head(image_of([], synced=8, at=8), NUMBER, 8) is not None


def test_heads_are_found_behind_damage() -> None:
    first, second = image_of([], chain=1), image_of([], chain=2, at=64)
    image = bytes(len(first)) + second[len(first) :]
    assert [head.offset for head in heads(image, NUMBER, 0)] == [64]
    assert heads(image, NUMBER + 1, 0) == []


@given(U64, U64, U64, U32, U64, U64, U32)
def test_a_header_comes_back_and_a_changed_one_does_not(
    number: int, segment: int, offset: int, chain: int, term: int, index: int, made: int
) -> None:
    header = Header(number, Position(segment, offset), chain, Term(term), Index(index), made)
    image = encode_header(header)
    assert len(image) == HEADER_BYTES
    assert decode_header(image) == header
    for at in range(0, HEADER_BYTES, 37):
        assert decode_header(image[:at] + bytes([image[at] ^ 4]) + image[at + 1 :]) is None
    assert header_chain(image) == int.from_bytes(image[-4:], "little")


@given(U64, U64, U64, st.binary())
def test_the_known_records_come_back_from_their_frames(
    term: int, vote: int, index: int, config: bytes
) -> None:
    state = HardState(Term(term), MemberId(vote), Index(index))
    mark = SnapshotMark(Index(index), Term(term), config)
    switch = StoreSwitch(vote, Index(index))
    assert HardState.of(state.frame()) == state
    assert SnapshotMark.of(mark.frame()) == mark
    assert StoreSwitch.of(switch.frame()) == switch
