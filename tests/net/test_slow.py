"""Slow requests are told in etcd's words, and not too often."""

import json

import pytest

from net.etcd.pb import rpc_pb2
from net.metrics import Metrics
from net.slow import LINES_MAX, SUMMARY_CHARS_MAX, SlowLog, summary
from net.telemetry import Logger, Sink

PUT = rpc_pb2.PutRequest(key=b"/a\x00", value=b"secret", lease=7)
TXN = rpc_pb2.TxnRequest(
    compare=[rpc_pb2.Compare(result=rpc_pb2.Compare.GREATER, target=rpc_pb2.Compare.MOD, key=b"a")],
    success=[rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"a", value=b"secret"))],
    failure=[rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=b'"', keys_only=True))],
)


def slow_log(lines: list[str], metrics: Metrics) -> SlowLog:
    log = Logger(Sink(write=lines.append, now_ns=lambda: 0))
    return SlowLog(log, metrics, request_ms=300, apply_ms=100)


def fields(line: str) -> dict[str, object]:
    read: dict[str, object] = json.loads(line)
    return {name: value for name, value in read.items() if name not in ("ts", "caller")}


def test_a_request_that_was_slow_to_answer_is_told() -> None:
    lines: list[str] = []
    slow = slow_log(lines, Metrics())
    data = PUT.SerializeToString()
    slow.answered("/etcdserverpb.KV/Put", data, remote="10.0.0.1:5", began_ms=1_000, now_ms=2_500)
    assert [fields(line) for line in lines] == [
        {
            "level": "warn",
            "msg": "request stats",
            "time spent": "1.5s",
            "expected-duration": "300ms",
            "remote": "10.0.0.1:5",
            "response type": "/etcdserverpb.KV/Put",
            "request size": len(data),
            "request content": 'key:"/a\\000" value_size:6 lease:7',
        }
    ]


def test_a_request_that_was_slow_to_carry_out_is_told_and_counted() -> None:
    lines: list[str] = []
    metrics = Metrics()
    slow = slow_log(lines, metrics)
    data = rpc_pb2.RangeRequest(key=b"a", range_end=b"b", limit=3).SerializeToString()
    slow.applied("/etcdserverpb.KV/Range", data, took_ms=101, now_ms=0)
    assert [fields(line) for line in lines] == [
        {
            "level": "warn",
            "msg": "apply request took too long",
            "took": "101ms",
            "expected-duration": "100ms",
            "prefix": "read-only range ",
            "request": 'key:"a" range_end:"b" limit:3',
            "response": "",
        }
    ]
    assert metrics.slow_apply_total == 1


def test_what_is_fast_enough_is_not_told() -> None:
    lines: list[str] = []
    metrics = Metrics()
    slow = slow_log(lines, metrics)
    slow.answered("/etcdserverpb.KV/Put", b"", remote="", began_ms=0, now_ms=300)
    slow.applied("/etcdserverpb.KV/Put", b"", took_ms=100, now_ms=0)
    assert (lines, metrics.slow_apply_total) == ([], 0)


def test_a_storm_of_slow_requests_is_told_in_a_few_lines() -> None:
    lines: list[str] = []
    metrics = Metrics()
    slow = slow_log(lines, metrics)
    for now_ms in (*range(5_000, 5_100), 6_000):
        slow.applied("/etcdserverpb.KV/Put", b"", took_ms=101, now_ms=now_ms)
    held_back = [fields(line).get("held-back") for line in lines]
    assert held_back == [None] * LINES_MAX + [100 - LINES_MAX]
    assert metrics.slow_apply_total == 101


def test_a_transaction_is_summed_up_without_its_values() -> None:
    assert summary("/etcdserverpb.KV/Txn", TXN.SerializeToString()) == (
        'compare:<result:GREATER target:MOD key:"a"> '
        'success:<request_put:<key:"a" value_size:6>> '
        'failure:<request_range:<key:"\\"" keys_only:true>>'
    )


def test_a_long_request_is_cut() -> None:
    data = rpc_pb2.PutRequest(key=b"k" * 10_000).SerializeToString()
    text = summary("/etcdserverpb.KV/Put", data)
    assert (len(text), text[-3:]) == (SUMMARY_CHARS_MAX + 3, "...")


@pytest.mark.parametrize(
    ("path", "data"),
    [("/etcdserverpb.KV/Put", b"\xff"), ("/etcdserverpb.Cluster/MemberList", b"")],
)
def test_what_cannot_be_summed_up_is_empty(path: str, data: bytes) -> None:
    assert summary(path, data) == ""


def test_an_unknown_enum_value_is_a_number() -> None:
    data = rpc_pb2.RangeRequest(key=b"a", sort_order=9).SerializeToString()  # type: ignore[arg-type]
    assert summary("/etcdserverpb.KV/Range", data) == 'key:"a" sort_order:9'
