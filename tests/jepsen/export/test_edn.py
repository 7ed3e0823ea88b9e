"""EDN: nothing of a history's calls is lost on the way there and back; Elle's form is Elle's."""

import pytest
from attrs import evolve

from jepsen.export.edn import append_lines, calls_of, lines_of
from jepsen.export.words import Edn, Keyword, read, written
from sim.history import NEVER_US, Call, Fault, History
from sim.ops import (
    Compare,
    Failed,
    Kv,
    Put,
    PutDone,
    Range,
    RangeDone,
    Txn,
    TxnDone,
    Unknown,
)
from tests.little_etcd import Load, little_run


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -7,
        'a "b" \\ \n é \x00',
        Keyword("ok"),
        [1, [Keyword("r"), "k", []]],
        {Keyword("a"): {Keyword("b"): [None, False]}},
    ],
)
def test_a_value_is_read_as_it_was_written(value: Edn) -> None:
    assert read(written(value)) == value


@pytest.mark.parametrize("text", ["", "[1", "{:a}", "1 2", "#{1}", "1.5", '"open'])
def test_what_was_never_written_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="EDN"):
        read(text)


@pytest.mark.parametrize("workload", ["register", "txn", "lease", "kube", "admin"])
def test_all_calls_come_back(workload: str) -> None:
    load = Load(workload, duration_ms=5_000, rate=100)
    history = little_run(load)
    assert calls_of(lines_of(history)) == history.calls


def test_lines_are_numbered_in_order_of_time_and_faults_are_the_nemesis() -> None:
    history = evolve(little_run(Load("set", duration_ms=3_000)))
    history.faults = [Fault(1_000_000, "kill", (1,), True, "leader")]
    lines = [read(line) for line in lines_of(history)]
    maps = [line for line in lines if isinstance(line, dict)]
    assert [line["index"] for line in maps] == list(range(len(lines)))
    times = [line["time"] for line in maps]
    assert times == sorted(times)
    (nemesis,) = [line for line in maps if line["process"] == "nemesis"]
    assert nemesis["f"] == "kill"
    assert nemesis["type"] == "info"


def call(number: int, op: object, result: object, over_us: int = 10) -> Call:
    """Return a call of its own process."""
    return Call(number, number, 0, op, number, number + over_us, result)  # type: ignore[arg-type]  # as the test says


def test_appends_are_elles_list_append() -> None:
    guard = (Compare("a/1", "mod", "=", 5),)
    longer = Txn(guard, (Put("a/1", "1,2"),), (Range("a/1"),))
    old = Kv("a/1", "1,9", 2, 6, 2)
    history = History(
        calls=[
            call(0, Range("a/1"), RangeDone(6, (old,), 1)),
            call(1, longer, TxnDone(7, True, (PutDone(7),))),
            call(2, longer, TxnDone(7, False, (RangeDone(7, (old,), 1),))),
            call(3, longer, Unknown("late"))._replace(returned_us=NEVER_US),
            call(4, longer, Failed("no space")),
            call(5, Put("r/1", "x"), PutDone(8)),
        ],
        ended_us=99,
    )
    told = [read(line) for line in append_lines(history)]
    pairs = [
        (line["process"], str(line["type"]), line["value"])
        for line in told
        if isinstance(line, dict) and line["type"] != "invoke"
    ]
    assert sorted(pairs, key=str) == [
        (0, "ok", [["r", "a/1/1", ["1", "9"]]]),
        (1, "ok", [["append", "a/1/1", "2"]]),
        (2, "ok", [["r", "a/1/1", ["1", "9"]]]),
        (3, "info", [["append", "a/1/1", "2"]]),
        (4, "fail", [["append", "a/1/1", "2"]]),
    ]
