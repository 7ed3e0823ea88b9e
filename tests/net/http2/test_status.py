"""Texts and numbers of gRPC status, as grpc-go writes and reads them."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.http2.status import TEXT_BYTES_MAX, percent_encoded, timeout_ms, trailers, trailers_only
from tests.http2_client import fields


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (b"1n", 1),
        (b"0n", 0),
        (b"1000001n", 2),
        (b"99999999u", 100_000),
        (b"250m", 250),
        (b"5S", 5_000),
        (b"2M", 120_000),
        (b"1H", 3_600_000),
        (b"99999999H", 359_999_996_400_000),
    ],
)
def test_a_timeout_is_rounded_up_to_milliseconds(value: bytes, milliseconds: int) -> None:
    assert timeout_ms(value) == milliseconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", 'transport: timeout string is too short: ""'),
        (b"S", 'transport: timeout string is too short: "S"'),
        (b"123456789S", 'transport: timeout string is too long: "123456789S"'),
        (b"10x", 'transport: timeout unit is not recognized: "10x"'),
        (b"-1S", 'strconv.ParseUint: parsing "-1": invalid syntax'),
        (b"1_0S", 'strconv.ParseUint: parsing "1_0": invalid syntax'),
    ],
)
def test_a_malformed_timeout_is_named(value: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        timeout_ms(value)


@given(st.text())
def test_a_text_survives_percent_encoding(text: str) -> None:
    encoded = percent_encoded(text)
    assert all(0x20 <= octet < 0x7F for octet in encoded)
    assert unquote(encoded.decode()) == text.encode("utf-8", "replace").decode()


def test_only_what_must_be_is_escaped() -> None:
    assert percent_encoded("etcdserver: no space (1 vs. 2)") == b"etcdserver: no space (1 vs. 2)"
    assert percent_encoded("50% é\n\x7f") == b"50%25 %C3%A9%0A%7F"


def test_trailers_are_read_by_hpack() -> None:
    assert fields(trailers(0, "")) == {"grpc-status": "0"}
    assert fields(trailers(14, "x" * 300)) == {"grpc-status": "14", "grpc-message": "x" * 300}
    assert fields(trailers_only(3, "bad", http_status=415)) == {
        ":status": "415",
        "content-type": "application/grpc",
        "grpc-status": "3",
        "grpc-message": "bad",
    }


@given(st.integers(0, 5))
def test_a_long_text_is_cut_between_escapes(plain: int) -> None:
    text = "x" * plain + "ü" * TEXT_BYTES_MAX
    sent = fields(trailers(2, text))["grpc-message"]
    assert TEXT_BYTES_MAX - 3 <= len(sent) <= TEXT_BYTES_MAX
    assert sent.count("%") * 3 + plain == len(sent)
