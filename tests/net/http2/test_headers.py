"""HPACK against the `hpack` library, and the Huffman automaton against its own."""

from __future__ import annotations

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from net.http2 import huffman
from net.http2.headers import HeaderDecoder
from net.http2.wire import ConnectionFault, Fault
from tests.http2_client import literal

encode = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode
names = st.sampled_from([b":path", b"token", b"grpc-timeout", b"te", b"x-long-name"])
values = st.binary(max_size=40)
field_lists = st.lists(st.tuples(names, values, st.booleans()), max_size=12)


@given(st.binary(max_size=200))
def test_huffman_gives_back_what_was_coded(value: bytes) -> None:
    assert huffman.decoded(encode(value)) == value


@given(st.binary(max_size=12))
def test_huffman_refuses_and_accepts_what_hpack_does(coded: bytes) -> None:
    try:
        expected = bytes(decode_huffman(coded))
    except hpack.HPACKDecodingError:
        with pytest.raises(ConnectionFault):
            huffman.decoded(coded)
    else:
        assert huffman.decoded(coded) == expected


@given(st.lists(field_lists, max_size=6), st.booleans())
def test_blocks_of_an_encoder_with_a_dynamic_table_are_read(
    lists: list[list[tuple[bytes, bytes, bool]]], huffman_coded: bool
) -> None:
    encoder = hpack.Encoder()
    decoder = HeaderDecoder(1 << 20)
    for fields in lists:
        encoded = encoder.encode(fields, huffman=huffman_coded)
        assert decoder.decode(encoded) == [(name, value) for name, value, _ in fields]


@given(st.lists(field_lists, min_size=1, max_size=6))
def test_an_encoder_that_obeys_our_settings_is_read(
    lists: list[list[tuple[bytes, bytes, bool]]],
) -> None:
    encoder = hpack.Encoder()
    decoder = HeaderDecoder(1 << 20)
    assert len(decoder.decode(encoder.encode([(b"a", b"b")]))) == 1
    encoder.header_table_size = 0
    decoder.settings_acknowledged()
    for fields in lists:
        fields = [(b"te", b"trailers", False), *fields]
        assert decoder.decode(encoder.encode(fields)) == [(n, v) for n, v, _ in fields]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(block: bytes) -> None:
    decoder = HeaderDecoder(200)
    try:
        fields = decoder.decode(block)
    except ConnectionFault:
        return
    assert sum(len(n) + len(v) + 32 for n, v in fields) <= 200


def test_two_size_updates_may_begin_a_block() -> None:
    assert HeaderDecoder(1_000).decode(b"\x20\x3f\xe1\x1f\x82") == [(b":method", b"GET")]


def test_an_entry_larger_than_the_table_empties_it() -> None:
    decoder = HeaderDecoder(1 << 20)
    decoder.decode(literal(b"a", b"b", first=0x40))
    decoder.decode(literal(b"a", b"v" * 5_000, first=0x40))
    with pytest.raises(ConnectionFault) as broken:
        decoder.decode(b"\xbe")
    assert broken.value.fault is Fault.HPACK_INDEX


def test_a_list_too_long_is_counted_and_keeps_the_table_in_step() -> None:
    decoder = HeaderDecoder(100)
    fields = decoder.decode(
        literal(b"a", b"1" * 60, first=0x40) + literal(b"b", b"2" * 60, first=0x40)
    )
    assert (fields, decoder.list_bytes) == ([(b"a", b"1" * 60)], 186)
    assert decoder.decode(b"\xbe") == [(b"b", b"2" * 60)]


def test_a_block_is_pure_unless_it_touches_the_table() -> None:
    decoder = HeaderDecoder(1_000)
    pure: list[bool] = []
    for block in (b"\x82", literal(b"a", b"b"), literal(b"a", b"b", first=0x40), b"\xbe", b"\x20"):
        decoder.decode(block)
        pure.append(decoder.pure)
    assert pure == [True, True, False, False, False]
