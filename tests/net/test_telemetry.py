"""Log lines have the shape of etcd's."""

import json
from pathlib import PurePosixPath

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.telemetry import (
    DEBUG,
    ERROR,
    FATAL,
    INFO,
    OFF,
    SILENT,
    WARN,
    Format,
    Logger,
    Sink,
    timestamp,
)

NOON_NS = 1_795_262_400_451_947_123  # 2026-11-21T12:00:00.451947123Z


@attrs.define
class Page:
    """Lines written by a logger whose clock the test moves."""

    level: int = INFO
    format: Format = "json"
    lines: list[str] = attrs.field(factory=list[str])
    now_ns: int = NOON_NS

    def logger(self) -> Logger:
        sink = Sink(
            write=self.lines.append,
            now_ns=lambda: self.now_ns,
            level=self.level,
            format=self.format,
        )
        return Logger(sink)

    def fields(self) -> list[dict[str, object]]:
        read = [json.loads(line) for line in self.lines]
        return [{k: v for k, v in one.items() if k not in ("ts", "caller")} for one in read]


def test_a_json_line_has_etcds_parts_in_etcds_order() -> None:
    page = Page()
    page.logger().info("opened journal", segment_count=3, path="/j")
    line = page.lines[0]
    number = line.partition("test_telemetry.py:")[2].partition('"')[0]
    assert line == (
        '{"level":"info","ts":"2026-11-21T12:00:00.451947Z",'
        f'"caller":"net/test_telemetry.py:{number}","msg":"opened journal",'
        '"segment-count":3,"path":"/j"}\n'
    )


def test_a_console_line_has_the_same_parts_between_tabs() -> None:
    page = Page(format="console")
    page.logger().warn("disk is slow", took="2s")
    time, level, caller, msg, fields = page.lines[0].rstrip("\n").split("\t")
    assert (time, level, msg, fields) == (
        "2026-11-21T12:00:00.451947Z",
        "warn",
        "disk is slow",
        '{"took": "2s"}',
    )
    assert caller.startswith("net/test_telemetry.py:")


def test_a_console_line_stays_one_line() -> None:
    page = Page(format="console")
    page.logger().info("two\nlines", text="a\nb")
    assert page.lines[0].count("\n") == 1


def test_a_line_below_the_level_is_not_written() -> None:
    for level in (DEBUG, INFO, WARN, ERROR, FATAL, OFF):
        page = Page(level=level)
        log = page.logger()
        log.debug("a")
        log.info("a")
        log.once("b")
        log.warn("a")
        log.warn_every(1, "c")
        log.error("a")
        log.fatal("a")
        found = [one["level"] for one in page.fields()]
        names = ["debug", "info", "info", "warn", "warn", "error", "fatal"]
        values = [DEBUG, INFO, INFO, WARN, WARN, ERROR, FATAL]
        assert found == [n for n, v in zip(names, values, strict=True) if v >= level]
        assert log.enabled(INFO) == (level <= INFO)


def test_bound_fields_come_with_every_line_and_give_way() -> None:
    page = Page()
    log = page.logger().bind(member="a", peer="b")
    log.info("x", peer="c")
    log.bind(peer="d").info("y")
    assert page.fields() == [
        {"level": "info", "msg": "x", "member": "a", "peer": "c"},
        {"level": "info", "msg": "y", "member": "a", "peer": "d"},
    ]


def test_any_value_becomes_json() -> None:
    page = Page()
    page.logger().info(
        "x",
        data=b"\xffk",
        none=None,
        path=PurePosixPath("/a"),
        error=ValueError("bad"),
        bare=KeyError(),
        many=[1, {"a": b"b"}],
    )
    assert page.fields() == [
        {
            "level": "info",
            "msg": "x",
            "data": "\\xffk",
            "none": None,
            "path": "/a",
            "error": "ValueError: bad",
            "bare": "KeyError",
            "many": [1, {"a": "b"}],
        }
    ]


def test_what_cannot_be_json_is_still_told() -> None:
    page = Page()
    circle: list[object] = []
    circle.append(circle)
    page.logger().info("x", circle=circle, pairs={(1, 2): 3})
    assert "circle" in json.loads(page.lines[0])["msg"]


def test_a_field_cannot_replace_the_parts_of_a_line() -> None:
    page = Page()
    page.logger().info("x", level="none", caller="nobody", ts="never")
    assert page.fields() == [{"level": "info", "msg": "x"}]


@given(st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.binary(), max_size=5))
def test_a_json_line_can_be_read_back_whatever_its_fields(fields: dict[str, object]) -> None:
    page = Page()
    page.logger().bind(**{f"f{name}": value for name, value in fields.items()}).info("x")
    assert page.lines[0].count("\n") == 1
    assert json.loads(page.lines[0])["msg"] == "x"


def test_a_limited_warning_comes_once_an_interval_and_counts_the_others() -> None:
    page = Page()
    log = page.logger()
    for step_ms in (0, 10, 4_989, 1, 1, 5_000):
        page.now_ns += step_ms * 1_000_000
        log.warn_every(5_000, "slow", at=page.now_ns - NOON_NS)
    assert page.fields() == [
        {"level": "warn", "msg": "slow", "at": 0},
        {"level": "warn", "msg": "slow", "at": 5_000_000_000, "held-back": 2},
        {"level": "warn", "msg": "slow", "at": 10_001_000_000, "held-back": 1},
    ]


def test_a_clock_that_goes_back_silences_no_warning() -> None:
    page = Page()
    log = page.logger()
    log.warn_every(5_000, "slow")
    page.now_ns -= 3_600 * 1_000_000_000
    log.warn_every(5_000, "slow")
    assert len(page.lines) == 2


def test_two_messages_are_limited_apart() -> None:
    page = Page()
    log = page.logger()
    log.warn_every(5_000, "a")
    log.warn_every(5_000, "b")
    assert [one["msg"] for one in page.fields()] == ["a", "b"]


def test_once_is_once_for_all_loggers_of_a_sink() -> None:
    page = Page()
    log = page.logger()
    log.once("a", n=1)
    page.now_ns += 10**18
    log.bind(b=1).once("a", n=2)
    assert page.fields() == [{"level": "info", "msg": "a", "n": 1}]


def test_the_silent_logger_writes_nothing_and_is_off() -> None:
    SILENT.fatal("x")
    assert not SILENT.enabled(FATAL)


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "1970-01-01T00:00:00.000000Z"), (NOON_NS, "2026-11-21T12:00:00.451947Z")],
)
def test_a_timestamp_has_six_digits_always(ns: int, text: str) -> None:
    assert timestamp(ns) == text
