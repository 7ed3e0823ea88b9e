"""Histories as etcd's own robustness tests keep them: `client-N/operations.json` and `watch.json`.

Rule of this file: the JSON of that project's `report.ClientReport`, a value after another. Its
model knows puts, deletions of one key, transactions of these guarded by mod revision or version,
reads, grants, revokes and compactions. What changes the store and cannot be told in those words
makes a history inexpressible, since each revision has to be accounted for; what only reads is left
out and counted. A lease that ends by time is such a change.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from attrs import frozen

from jepsen.judging.owners import puts
from jepsen.judging.witnesses import is_witness
from sim.history import NEVER_US, Call, Event, History, Watcher
from sim.ops import (
    Compact,
    CompactDone,
    Compare,
    Delete,
    DeleteDone,
    Failed,
    Grant,
    GrantDone,
    Kv,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Revoke,
    RevokeDone,
    Txn,
    TxnDone,
    TxnOp,
    TxnResult,
    Unknown,
)

Line = dict[str, Any]  # What json.dumps takes; every part is built here.

HASHED_FROM: Final = 20
"""Values of so many characters or more stand as their hash."""
NOT_LINEAR: Final = -1
"""The revision of answers that the model does not order."""
COMPACTED: Final = "mvcc: required revision has been compacted"
FUTURE: Final = "mvcc: required revision is a future revision"
_OPERATIONS = {Range: "range-operation", Put: "put-operation", Delete: "delete-operation"}


class InexpressibleError(ValueError):
    """The history holds a change that etcd's model has no words for; says which."""


@frozen
class Exported:
    """What was written."""

    operations: int
    watches: int
    left_out: Mapping[str, int]
    """Reads and questions that the model has no words for, by kind."""


def write(directory: Path, history: History) -> Exported:
    """Write a history below a directory. Raises InexpressibleError before anything is written."""
    left: Counter[str] = Counter()
    operations: dict[int, list[Line]] = {}
    ends: dict[int, int] = {}
    written = 0
    for call in sorted(history.calls, key=lambda call: (call.invoked_us, call.number)):
        request = request_of(call.op)
        if request is None:
            _refuse_change(call)
            left[type(call.op).__name__] += 1
            continue
        called = max(call.invoked_us * 1000, ends.get(call.process, -1) + 1)
        over_us = history.ended_us if call.returned_us == NEVER_US else call.returned_us
        ends[call.process] = max(over_us * 1000 - 1, called + 1)
        operations.setdefault(call.process, []).append(
            {
                "ClientID": call.process,
                "Input": request,
                "Call": called,
                "Output": response_of(call.op, call.result),
                "Return": ends[call.process],
            }
        )
        written += 1
    _refuse_expiries(history)
    watches: dict[int, list[Line]] = {}
    for watcher in history.watchers:
        line = watch_of(watcher)
        if line is None:
            left["Watch"] += 1
        else:
            watches.setdefault(watcher.process, []).append(line)
    for process in sorted({*operations, *watches}):
        client = directory / f"client-{process}"
        client.mkdir(parents=True, exist_ok=True)
        _write(client / "operations.json", operations.get(process, []))
        _write(client / "watch.json", watches.get(process, []))
    return Exported(written, sum(map(len, watches.values())), dict(left))


def read(directory: Path) -> list[Line]:
    """Return the operations that lie below a directory, in order of their calls."""
    lines = [
        line
        for path in sorted(directory.glob("client-*/operations.json"))
        for line in _values(path.read_text(encoding="utf-8"))
    ]
    return sorted(lines, key=lambda line: (line["Call"], line["ClientID"]))


# ---- requests


def request_of(op: Op) -> Line | None:
    """Return an `EtcdRequest`; None for what the model has no words for."""
    match op:
        case Range(key, end, rev, limit, serializable, keys_only, count_only):
            if (serializable and not rev) or count_only or end == "\0":
                return None
            wanted = {"Start": key, "End": end, "Limit": limit, "KeysOnly": keys_only}
            return _request("range", "Range", {**wanted, "Revision": rev})
        case Put() | Delete():
            inner = _operation(op)
            return None if inner is None else _txn([], [inner], [])
        case Txn(compare, then, orelse):
            conditions = [_condition(each) for each in compare]
            branches = [[_operation(each) for each in branch] for branch in (then, orelse)]
            if None in conditions or any(None in branch for branch in branches):
                return None
            return _txn(conditions, branches[0], branches[1])
        case Grant(lease):
            return _request("leaseGrant", "LeaseGrant", {"LeaseID": lease})
        case Revoke(lease):
            return _request("leaseRevoke", "LeaseRevoke", {"LeaseID": lease})
        case Compact(rev):
            return _request("compact", "Compact", {"Revision": rev})
        case _:
            return None


def _request(kind: str, field: str, value: Line) -> Line:
    names = ("LeaseGrant", "LeaseRevoke", "Range", "Txn", "Defragment", "Compact")
    return {"Type": kind, **dict.fromkeys(names), field: value}


def _txn(conditions: Sequence[Any], then: Sequence[Any], orelse: Sequence[Any]) -> Line:
    parts = {"OperationsOnSuccess": list(then), "OperationsOnFailure": list(orelse)}
    return _request("txn", "Txn", {"Conditions": list(conditions), **parts})


def _condition(compare: Compare) -> Line | None:
    """Return an `EtcdCondition`: equal mod revision or version; absence is mod revision 0."""
    is_absence = compare.target == "create" and compare.operand == 0
    if compare.sign != "=" or compare.end:
        return None
    if compare.target == "mod" or is_absence:
        expected = {"ExpectedRevision": compare.operand, "ExpectedVersion": 0}
    elif compare.target == "version":
        expected = {"ExpectedRevision": 0, "ExpectedVersion": compare.operand}
    else:
        return None
    return {"Key": compare.key, **expected}


def _operation(op: TxnOp) -> Line | None:
    """Return an `EtcdOperation`."""
    wanted: Line = {"Start": "", "End": "", "Limit": 0, "KeysOnly": False}
    put: Line = {"Key": "", "Value": {}, "LeaseID": 0}
    delete: Line = {"Key": ""}
    match op:
        case Range(key, end, 0, limit, False, keys_only, False) if end != "\0":
            wanted = {"Start": key, "End": end, "Limit": limit, "KeysOnly": keys_only}
        case Put(key, value, lease):
            put = {"Key": key, "Value": hashed(value), "LeaseID": lease}
        case Delete(key, ""):
            delete = {"Key": key}
        case _:
            return None
    return {"Type": _OPERATIONS[type(op)], "Range": wanted, "Put": put, "Delete": delete}


# ---- responses


def response_of(op: Op, result: Result) -> Line:
    """Return a `MaybeEtcdResponse`. What was refused may have happened, for all the model knows."""
    match result:
        case Unknown(text):
            return {**_response(0), "Error": text or "unknown"}
        case Failed(text):
            if isinstance(op, Compact) and "compacted" in text:
                return {**_response(0), "ClientError": COMPACTED}
            if isinstance(op, Compact) and "future" in text:
                return {**_response(0), "ClientError": FUTURE}
            return {**_response(0), "Error": text or "refused"}
        case RangeDone(rev):
            return {**_response(rev), "Range": _found(result)}
        case PutDone(rev) | DeleteDone(rev):
            return {**_response(rev), "Txn": {"Failure": False, "Results": [_inner(result)]}}
        case TxnDone(rev, succeeded, results):
            told = {"Failure": not succeeded, "Results": [_inner(each) for each in results]}
            return {**_response(rev), "Txn": told}
        case GrantDone(rev):
            return {**_response(rev), "LeaseGrant": {"LeaseID": 0}}
        case RevokeDone(rev):
            return {**_response(rev), "LeaseRevoke": {}}
        case CompactDone():
            return {**_response(NOT_LINEAR), "Compact": {}}
        case _:
            raise InexpressibleError(f"no answer of etcd's model: {type(result).__name__}")


def _response(rev: int) -> Line:
    names = ("Txn", "Range", "LeaseGrant", "LeaseRevoke", "Defragment", "Compact")
    rest = {"Persisted": False, "PersistedRevision": 0, "Error": ""}
    return {**dict.fromkeys(names), "ClientError": "", "Revision": rev, **rest}


def _found(result: RangeDone) -> Line:
    return {"KVs": [_kv(kv) for kv in result.kvs], "Count": result.total}


def _inner(result: TxnResult) -> Line:
    """Return an `EtcdOperationResult`: of a put it is the empty one."""
    match result:
        case RangeDone():
            return {**_found(result), "Deleted": 0}
        case DeleteDone(_, deleted):
            return {"KVs": None, "Count": 0, "Deleted": deleted}
        case _:
            return {"KVs": None, "Count": 0, "Deleted": 0}


def _kv(kv: Kv) -> Line:
    return {"Key": kv.key, **_revision(kv)}


def _revision(kv: Kv) -> Line:
    return {"Value": hashed(kv.value), "ModRevision": kv.mod, "Version": kv.version}


def hashed(value: str) -> Line:
    """Return a `ValueOrHash`: FNV-1a of 32 bits where the value is long."""
    data = value.encode("latin-1")
    if len(data) < HASHED_FROM:
        return {"Value": value} if value else {}
    number = 2_166_136_261
    for byte in data:
        number = (number ^ byte) * 16_777_619 & 0xFFFFFFFF
    return {"Hash": number}


# ---- watches


def watch_of(watcher: Watcher) -> Line | None:
    """Return a `WatchOperation` of one key or a prefix; None for another range or a filter."""
    spec = watcher.spec
    prefix = "" if is_witness(watcher) else spec.key
    is_prefix = is_witness(watcher) or (
        bool(spec.end) and spec.end == spec.key[:-1] + chr(ord(spec.key[-1]) + 1)
    )
    if spec.filters or (spec.end and not is_prefix):
        return None
    request = {
        "Key": prefix,
        "Revision": spec.rev,
        "WithPrefix": is_prefix,
        "WithProgressNotify": spec.progress,
        "WithPrevKV": spec.prev_kv,
    }
    responses = [
        {
            "Events": [_event(event) for event in seen.events],
            "IsProgressNotify": seen.kind == "progress",
            "Revision": seen.rev,
            "Time": seen.time_us * 1000,
            "Error": seen.reason if seen.kind in ("canceled", "lost") else "",
        }
        for seen in watcher.seen
        if seen.kind != "created"
    ]
    return {"Request": request, "Responses": responses}


def _event(event: Event) -> Line:
    kv, prev = event.kv, event.prev
    return {
        "Type": f"{event.kind}-operation",
        "Key": kv.key,
        "Value": hashed(kv.value),
        "Revision": kv.mod,
        "IsCreate": event.kind == "put" and kv.create == kv.mod,
        "PrevValue": None if prev is None else _revision(prev),
    }


# ---- what cannot be told


def _refuse_change(call: Call) -> None:
    """Refuse a call that may have changed the store and cannot be told."""
    match call.op:
        case Put() | Delete() | Txn() if not isinstance(call.result, Failed):
            kind = type(call.op).__name__.lower()
            raise InexpressibleError(
                f"call {call.number} is a {kind} that etcd's model has no words for: {call.op}"
            )
        case _:
            pass


def _refuse_expiries(history: History) -> None:
    """Refuse a history in which keys under a lease vanish without a client's doing."""
    revoked = {call.op.lease for call in history.calls if isinstance(call.op, Revoke)}
    leased = {
        put.lease
        for call in history.calls
        for put in puts(call.op)
        if put.lease and not isinstance(call.result, Failed)
    }
    if left := sorted(leased - revoked):
        raise InexpressibleError(
            f"lease {left[0]} has keys and nobody revoked it: it ended by time, which etcd's model "
            "does not know"
        )


def _write(path: Path, lines: Iterable[Line]) -> None:
    text = "".join(json.dumps(line, indent=2) + "\n" for line in lines)
    if text:
        path.write_text(text, encoding="utf-8")


def _values(text: str) -> Iterator[Line]:
    """Yield the JSON values of a text, one after another."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        value, end = decoder.raw_decode(text, at)
        yield cast(Line, value)
        at = end + 1
