"""etcd's robustness reports: the JSON that its own tests load, and what cannot be told in it."""

import json
from pathlib import Path

import pytest

from jepsen.export.robustness import InexpressibleError, hashed, read, watch_of, write
from sim.history import NEVER_US, Call, Event, History, Seen, Watcher, WatchSpec
from sim.ops import (
    Compact,
    CompactDone,
    Compare,
    Delete,
    DeleteDone,
    Failed,
    Kv,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Txn,
    TxnDone,
    Unknown,
)
from tests.little_etcd import Load, little_run

NOTHING = {"KVs": None, "Count": 0, "Deleted": 0}


def told(place: Path, op: Op, result: Result) -> dict[str, object]:
    """Return the one operation of a history of one call."""
    returned = NEVER_US if isinstance(result, Unknown) else 9
    write(place, History(calls=[Call(0, 3, 0, op, 5, returned, result)], ended_us=20))
    (line,) = read(place)
    return line


def given(value: object) -> object:
    """Return JSON without what is empty, as omitempty would have it."""
    if isinstance(value, dict):
        kept = {key: given(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, 0, "", False, {})}
    return [given(each) for each in value] if isinstance(value, list) else value


def test_a_put_is_a_transaction_of_one_operation(tmp_path: Path) -> None:
    line = told(tmp_path, Put("k", "v"), PutDone(2))
    assert line["ClientID"] == 3
    assert (line["Call"], line["Return"]) == (5_000, 8_999)
    put = {"Type": "put-operation", "Put": {"Key": "k", "Value": {"Value": "v"}}}
    assert given(line["Input"]) == {
        "Type": "txn",
        "Txn": {"Conditions": [], "OperationsOnSuccess": [put], "OperationsOnFailure": []},
    }
    output = line["Output"]
    assert isinstance(output, dict)
    assert output["Revision"] == 2
    assert output["Txn"] == {"Failure": False, "Results": [NOTHING]}


def test_a_guarded_transaction_keeps_its_conditions_and_results(tmp_path: Path) -> None:
    op = Txn((Compare("k", "mod", "=", 4),), (Put("k", "v"),), (Range("k"),))
    kv = Kv("k", "old", 2, 5, 2)
    line = told(tmp_path, op, TxnDone(5, False, (RangeDone(5, (kv,), 1),)))
    (condition,) = line["Input"]["Txn"]["Conditions"]  # type: ignore[index]  # JSON
    assert condition == {"Key": "k", "ExpectedRevision": 4, "ExpectedVersion": 0}
    assert given(line["Output"]) == {
        "Revision": 5,
        "Txn": {
            "Failure": True,
            "Results": [
                {
                    "KVs": [
                        {"Key": "k", "Value": {"Value": "old"}, "ModRevision": 5, "Version": 2}
                    ],
                    "Count": 1,
                }
            ],
        },
    }


def test_a_read_that_found_nothing_has_an_empty_list(tmp_path: Path) -> None:
    line = told(tmp_path, Range("k", "l", 3, limit=2), RangeDone(5, (), 0))
    wanted = {"Start": "k", "End": "l", "Limit": 2, "KeysOnly": False, "Revision": 3}
    assert line["Input"]["Range"] == wanted  # type: ignore[index]  # JSON
    assert line["Output"]["Range"] == {"KVs": [], "Count": 0}  # type: ignore[index]  # JSON


def test_what_has_no_answer_returns_at_the_end_with_an_error(tmp_path: Path) -> None:
    line = told(tmp_path, Put("k", "v"), Unknown("late"))
    assert line["Return"] == 19_999
    assert given(line["Output"]) == {"Error": "late"}


def test_a_compaction_is_not_ordered(tmp_path: Path) -> None:
    line = told(tmp_path, Compact(4), CompactDone(9))
    assert given(line["Output"]) == {"Revision": -1}
    refused = told(tmp_path, Compact(4), Failed("etcdserver: mvcc: ... has been compacted"))
    assert given(refused["Output"]) == {"ClientError": "mvcc: required revision has been compacted"}


def test_operations_of_a_client_never_touch(tmp_path: Path) -> None:
    calls = [Call(n, 1, 0, Put("k", str(n)), 5, 5, PutDone(n + 2)) for n in range(3)]
    write(tmp_path, History(calls=calls, ended_us=9))
    ends = 0
    for line in read(tmp_path):
        assert ends < line["Call"] < line["Return"]
        ends = line["Return"]


def test_long_values_stand_as_their_hash() -> None:
    assert hashed("short") == {"Value": "short"}
    # FNV-1a of 32 bits, by its authors' own test vectors: 20 times "a" is none of them, so by hand.
    number = 2_166_136_261
    for _ in range(20):
        number = ((number ^ 97) * 16_777_619) & 0xFFFFFFFF
    assert hashed("a" * 20) == {"Hash": number}


def test_a_watch_has_its_request_and_every_response_but_the_first() -> None:
    watcher = Watcher(0, 4, 1, WatchSpec("k/", "k0", 3, progress=True), 0)
    events = (Event("put", Kv("k/1", "v", 3, 3, 1)), Event("delete", Kv("k/2", "", 0, 3, 0)))
    watcher.seen = [
        Seen(1, "created", 2),
        Seen(2, "events", 3, events),
        Seen(3, "progress", 3),
        Seen(4, "lost", 0, reason="gone"),
    ]
    line = watch_of(watcher)
    assert line is not None
    assert line["Request"] == {
        "Key": "k/",
        "Revision": 3,
        "WithPrefix": True,
        "WithProgressNotify": True,
        "WithPrevKV": False,
    }
    assert [given(each) for each in line["Responses"]] == [
        {
            "Events": [
                {
                    "Type": "put-operation",
                    "Key": "k/1",
                    "Value": {"Value": "v"},
                    "Revision": 3,
                    "IsCreate": True,
                },
                {"Type": "delete-operation", "Key": "k/2", "Revision": 3},
            ],
            "Revision": 3,
            "Time": 2_000,
        },
        {"Events": [], "IsProgressNotify": True, "Revision": 3, "Time": 3_000},
        {"Events": [], "Time": 4_000, "Error": "gone"},
    ]
    assert watch_of(Watcher(0, 4, 1, WatchSpec("k", "m"), 0)) is None


def test_a_change_without_words_makes_a_history_inexpressible(tmp_path: Path) -> None:
    with pytest.raises(InexpressibleError, match="call 0 is a delete"):
        told(tmp_path, Delete("k", "m"), DeleteDone(4, 2))
    with pytest.raises(InexpressibleError, match="lease 7 has keys and nobody revoked it"):
        told(tmp_path, Put("k", "v", 7), PutDone(2))
    assert list(tmp_path.iterdir()) == []


def test_whole_workloads_are_told_and_reads_without_words_are_counted(tmp_path: Path) -> None:
    history = little_run(Load("append", duration_ms=4_000, rate=100))
    exported = write(tmp_path, history)
    lines = read(tmp_path)
    assert len(lines) == exported.operations > 100
    assert exported.left_out.get("Range", 0) > 0
    written = {
        value["Put"]["Value"].get("Value", "")
        for line in lines
        for value in (line["Input"]["Txn"] or {}).get("OperationsOnSuccess", [])
    }
    asked = {put.value for call in history.calls for put in _puts(call.op) if len(put.value) < 20}
    assert asked <= written
    files = {path.name for path in tmp_path.glob("client-*/*.json")}
    assert files == {"operations.json", "watch.json"}
    first = next(tmp_path.glob("client-*/watch.json")).read_text(encoding="utf-8")
    assert json.JSONDecoder().raw_decode(first)[0].keys() == {"Request", "Responses"}


def _puts(op: Op) -> list[Put]:
    if isinstance(op, Txn):
        return [each for each in op.then if isinstance(each, Put)]
    return [op] if isinstance(op, Put) else []
