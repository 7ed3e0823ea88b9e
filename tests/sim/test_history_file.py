"""`sim.history_file`: what is read is what was written, and a wrong line is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.history import (
    NEVER_US,
    Cache,
    Call,
    Event,
    Expire,
    Fault,
    History,
    Logged,
    Seen,
    Watcher,
    WatchSpec,
)
from sim.history_file import history_of, lines_of, read_history, write_history
from sim.ops import Failed, Grant, GrantDone, Kv, Put, PutDone, Range, RangeDone, Unknown

KV = Kv("k\xff", "v", 2, 2, 1, 7)


def a_history() -> History:
    watcher = Watcher(0, 9, 1, WatchSpec("k", "l", 2, filters=("noput",)), 5, 1)
    watcher.seen = [
        Seen(6, "created", 2),
        Seen(7, "events", 3, (Event("put", KV), Event("delete", Kv("k", "", 0, 3, 0), KV))),
        Seen(8, "canceled", 0, compact_rev=3, reason="compacted"),
    ]
    watcher.closed_us = 9
    return History(
        facts={"seed": 3, "options": {"members": 3}},
        calls=[
            Call(0, 1, 0, Put("k\xff", "v", 7), 1, 4, PutDone(2)),
            Call(1, 2, 0, Range("k", "\0"), 2, 3, RangeDone(2, (KV,), 1)),
            Call(2, 1, 2, Grant(7, 5), 5, NEVER_US, Unknown("deadline")),
            Call(3, 2, 2, Grant(7, 5), 6, 8, Failed("etcdserver: no leader")),
        ],
        watchers=[watcher],
        faults=[Fault(3, "partition", (0, 1), True, "halves")],
        caches=[Cache(4, 9, "k", "l", 3, (("k1", 2, "v"),))],
        log=[
            Logged(4, 0, 1, 2, Grant(7, 5), 1, 5),
            Logged(4, 1, 1, 0, Put("k\xff", "v", 7), 2),
            Logged(5, 0, 2, None, Expire(7), 3),
            Logged(6, 0, 2, None, None, 3),
        ],
        healed_us=8,
        ended_us=10,
    )


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write_history(path, a_history())
    assert read_history(path) == a_history()


def test_a_history_without_log_or_healing_stays_so() -> None:
    history = History(ended_us=3)
    assert history_of(lines_of(history)) == history


def test_answers_are_calls_again() -> None:
    history = a_history()
    history.calls[1] = history.calls[1]._replace(result=GrantDone(2, 7, 5))
    assert history_of(lines_of(history)) == history


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda line: line.pop(name)


def _with(**parts: Any) -> Callable[[dict[str, Any]], None]:
    return lambda line: line.update(parts)


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("invoke", _without("p"), "'p' is missing"),
        ("invoke", _with(v={"Put": ["k", 3]}), "no operation"),
        ("invoke", _with(v={"PutDone": [2]}), "no operation"),
        ("invoke", _with(t="soon"), "not of its type"),
        ("ok", _with(v={"Failed": ["no"]}), "no answer of this type"),
        ("ok", _with(i=99), "never invoked"),
        ("ok", _with(t=-1), "before it was invoked"),
        ("watch", _with(ev="noticed"), "sees no 'noticed'"),
        ("watch", _with(w=5), "never opened"),
        ("fault", _with(members=["a"]), "not of its type"),
        ("cache", _with(objects=[["k", "v", 3]]), "not of its type"),
        ("log", _with(commands=[[0, 1, {"Put": ["k"]}, 2, 3]]), "Put"),
        ("log", _with(type="journal"), "no such type"),
        ("run", _with(logged=False), "there is no log"),
    ],
)
def test_a_wrong_line_is_named(
    kind: str, change: Callable[[dict[str, Any]], None], why: str
) -> None:
    lines = [json.loads(line) for line in lines_of(a_history())]
    place = max(number for number, line in enumerate(lines) if line["type"] == kind)
    change(lines[place])
    with pytest.raises(ValueError, match=rf"^line \d+: .*{why}"):
        history_of(json.dumps(line) for line in lines)


def test_a_line_that_is_no_json_is_named() -> None:
    lines = list(lines_of(a_history()))
    lines[3] = lines[3][:-2]
    with pytest.raises(ValueError, match=r"^line 4: "):
        history_of(lines)


def test_a_file_that_was_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="cut"):
        history_of(list(lines_of(a_history()))[:-1])


def test_a_call_without_an_answer_is_refused() -> None:
    lines = [line for line in lines_of(a_history()) if '"info"' not in line]
    with pytest.raises(ValueError, match="call 2 has no answer"):
        history_of(lines)
