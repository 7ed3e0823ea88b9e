"""Durations are written and read as Go does it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.duration import DURATION_NS_MAX, parse, text_of


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("0s", 0),
        ("5s", 5_000_000_000),
        ("30s", 30_000_000_000),
        ("1478s", 1_478_000_000_000),
        ("-5s", -5_000_000_000),
        ("+5s", 5_000_000_000),
        ("5.0s", 5_000_000_000),
        ("5.6s", 5_600_000_000),
        ("5.s", 5_000_000_000),
        (".5s", 500_000_000),
        ("1.004s", 1_004_000_000),
        ("100.00100s", 100_001_000_000),
        ("10ns", 10),
        ("11us", 11_000),
        ("12µs", 12_000),
        ("12\u03bcs", 12_000),
        ("13ms", 13_000_000),
        ("15m", 900_000_000_000),
        ("3h30m", 12_600_000_000_000),
        ("10.5s4m", 250_500_000_000),
        ("-2m3.4s", -123_400_000_000),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
    ],
)
def test_what_go_reads_is_read(text: str, ns: int) -> None:
    assert parse(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "-",
        "s",
        ".",
        "-.",
        ".s",
        "+.s",
        "1d",
        "5 s",
        "1h-2m",
        "x",
        "3000000h",
        "٣s",
        "1e3s",
    ],
)
def test_what_go_refuses_is_refused(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (100_000_000, "100ms"),
        (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"),
        (245_001_000_000, "4m5.001s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (600_000_000_000, "10m0s"),
        (7_200_000_000_000, "2h0m0s"),
        (480_000_000_001, "8m0.000000001s"),
        (-1_500_000_000, "-1.5s"),
        (DURATION_NS_MAX, "2562047h47m16.854775807s"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(ns: int, text: str) -> None:
    assert text_of(ns) == text


@given(st.integers(-DURATION_NS_MAX, DURATION_NS_MAX))
def test_reading_undoes_writing(ns: int) -> None:
    assert parse(text_of(ns)) == ns


@given(st.text(alphabet="0123456789.hmsuµn+- ", max_size=12))
def test_reading_never_raises_and_what_it_reads_it_writes_back(text: str) -> None:
    ns = parse(text)
    assert ns is None or parse(text_of(ns)) == ns
