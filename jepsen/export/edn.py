"""Histories as Jepsen's EDN: every operation whole, or the list-append form that Elle checks.

Rule of this file: one map a line, `:invoke` and its `:ok`, `:fail` or `:info`, in order of time,
times in nanoseconds. A process is retired after `:info`, as ours are. Faults are `:nemesis` lines.

    lines_of(history)      {:index 0, :time 12000, :type :invoke, :process 3, :f :put,
                            :value {:op :put, :key "r/1", :value "7", ...}, :member 0}
    calls_of(lines)        the calls that `lines_of` wrote: nothing of them is lost
    append_lines(history)  {... :f :txn, :value [[:append "a/1" "7.0"]]}, reads [[:r "a/1" [...]]]
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from jepsen.export.words import Edn, Keyword, read, written
from jepsen.judging.owners import owner_of_key
from sim import ops
from sim.history import NEVER_US, Call, History
from sim.ops import Failed, Op, Put, Range, RangeDone, Result, Txn, TxnDone, Unknown
from sim.workloads.append import WORKLOAD as APPEND

K: Final = Keyword
_CLASSES: Final[Mapping[str, Callable[..., object]]] = {
    each.__name__.lower(): each
    for each in (
        ops.Kv, ops.Range, ops.Put, ops.Delete, ops.Compare, ops.Txn, ops.Compact, ops.Grant,
        ops.Revoke, ops.KeepAlive, ops.TimeToLive, ops.Leases, ops.Admin, ops.RangeDone,
        ops.PutDone, ops.DeleteDone, ops.TxnDone, ops.CompactDone, ops.GrantDone, ops.RevokeDone,
        ops.KeepAliveDone, ops.TimeToLiveDone, ops.LeasesDone, ops.AdminDone, ops.Failed,
        ops.Unknown,
    )
}  # fmt: skip
"""By the word that `:op` has."""


class Line(NamedTuple):
    """One line before it has its index."""

    time_us: int
    place: int
    """Of one time: answers come before invocations, but not before their own."""
    fields: dict[Edn, Edn]


def lines_of(history: History) -> Iterator[str]:
    """Yield a whole history."""
    lines = [line for call in history.calls for line in _lines(call, history.ended_us)]
    for fault in history.faults:
        value = {K("members"): list(fault.members), K("detail"): fault.detail, K("on"): fault.on}
        fields: dict[Edn, Edn] = {
            K("type"): K("info"),
            K("process"): K("nemesis"),
            K("f"): K(fault.what.replace(" ", "-")),
            K("value"): cast(Edn, value),
        }
        lines.append(Line(fault.time_us, -1, fields))
    yield from _numbered(lines)


def calls_of(lines: Iterable[str]) -> list[Call]:
    """Return the calls of a file that `lines_of` wrote. Raises ValueError for any other."""
    calls: dict[int, Call] = {}
    open_at: dict[int, int] = {}
    for text in lines:
        line = read(text)
        if not isinstance(line, Mapping):
            raise ValueError(f"EDN: a line is a map: {text:.60}")
        process = line[K("process")]
        if not isinstance(process, int):
            continue
        value, time_us = _decoded(line[K("value")]), _whole(line[K("time")]) // 1000
        if line[K("type")] == "invoke":
            number, member = _whole(line[K("call")]), _whole(line[K("member")])
            open_at[process] = number
            calls[number] = Call(
                number, process, member, cast(Op, value), time_us, NEVER_US, Unknown("")
            )
            continue
        number = open_at.pop(process)
        returned_us = NEVER_US if isinstance(value, Unknown) else time_us
        result = cast(Result, value)
        calls[number] = calls[number]._replace(returned_us=returned_us, result=result)
    return [calls[number] for number in sorted(calls)]


def append_lines(history: History) -> Iterator[str]:
    """Yield what the workload "append" did, in the form of Elle's list-append.

    A list that was begun anew is a list of its own, named after its first element. An append whose
    comparison failed is a read; a read of several keys reads each of them.
    """
    lines: list[Line] = []
    for call in history.calls:
        asked = _mops(call)
        if asked is None:
            continue
        kind, told = _told(call, asked)
        over_us = call.returned_us if call.returned_us < NEVER_US else history.ended_us
        invoke = _fields("invoke", call, "txn", told if kind == "ok" and _reads(told) else asked)
        if kind == "ok" and _reads(told):
            blank = [[K("r"), each[1], None] for each in told]
            invoke = _fields("invoke", call, "txn", blank)
        lines.append(Line(call.invoked_us, 1, invoke))
        place = 2 if over_us == call.invoked_us else 0
        lines.append(Line(over_us, place, _fields(kind, call, "txn", told)))
    yield from _numbered(lines)


Mops = list[list["Edn"]]


def _mops(call: Call) -> Mops | None:
    """Return what a call of the workload asked for, in Elle's words; None for any other call."""
    match call.op:
        case Txn(_, (Put(key, value),)) if owner_of_key(key) == APPEND.name:
            return [[K("append"), _list_name(key, value), value.rpartition(",")[2]]]
        case Range(key, serializable=False, rev=0) if owner_of_key(key) == APPEND.name:
            return [[K("r"), key, None]]
        case _:
            return None


def _told(call: Call, asked: Mops) -> tuple[str, Mops]:
    """Return how a call ended, and what it turned out to be."""
    match call.result:
        case Unknown():
            return "info", asked
        case Failed():
            return "fail", asked
        case RangeDone(_, kvs) | TxnDone(_, False, (RangeDone(_, kvs),)):
            found: Mops = [
                [K("r"), _list_name(kv.key, kv.value), cast(Edn, kv.value.split(","))] for kv in kvs
            ]
            return "ok", found or [[K("r"), each[1], []] for each in asked]
        case _:
            return "ok", asked


def _reads(mops: Mops) -> bool:
    return all(each[0] == "r" for each in mops)


def _list_name(key: str, value: str) -> str:
    return f"{key}/{value.partition(',')[0]}"


def _lines(call: Call, ended_us: int) -> Iterator[Line]:
    name = type(call.op).__name__.lower()
    asked = _fields("invoke", call, name, _encoded(call.op))
    asked[K("member")], asked[K("call")] = call.member, call.number
    yield Line(call.invoked_us, 1, asked)
    kind = "info" if isinstance(call.result, Unknown) else "ok"
    kind = "fail" if isinstance(call.result, Failed) else kind
    over_us = call.returned_us if call.returned_us < NEVER_US else max(ended_us, call.invoked_us)
    place = 2 if over_us == call.invoked_us else 0
    yield Line(over_us, place, _fields(kind, call, name, _encoded(call.result)))


def _fields(kind: str, call: Call, name: str, value: Edn) -> dict[Edn, Edn]:
    return {
        K("type"): K(kind),
        K("process"): call.process,
        K("f"): K(name),
        K("value"): value,
    }


def _numbered(lines: list[Line]) -> Iterator[str]:
    lines.sort(key=lambda line: (line.time_us, line.place))
    for index, line in enumerate(lines):
        head: dict[Edn, Edn] = {K("index"): index, K("time"): line.time_us * 1000}
        yield written({**head, **line.fields})


def _encoded(value: object) -> Edn:
    """Return an operation or a result as a map of its fields; other tuples are vectors."""
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        name = type(cast(object, value)).__name__.lower()
        if name not in _CLASSES:
            return [_encoded(each) for each in items]
        names: Sequence[str] = getattr(_CLASSES[name], "_fields")  # noqa: B009  # of a NamedTuple
        fields: dict[Edn, Edn] = {K("op"): K(name)}
        for field, each in zip(names, items, strict=True):
            fields[K(field.replace("_", "-"))] = _encoded(each)
        return fields
    assert value is None or isinstance(value, bool | int | str), "no operation and no result"
    return value


def _decoded(value: Edn) -> object:
    if isinstance(value, Mapping):
        fields = {str(key).replace("-", "_"): each for key, each in value.items()}
        name = fields.pop("op", None)
        if not isinstance(name, str) or name not in _CLASSES:
            raise ValueError(f"EDN: neither an operation nor a result: {written(value):.60}")
        return _maker(name)(**{key: _decoded(each) for key, each in fields.items()})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_decoded(each) for each in value)
    return value


def _maker(name: str) -> Callable[..., object]:
    return _CLASSES[name]


def _whole(value: Edn) -> int:
    if not isinstance(value, int):
        raise ValueError(f"EDN: a whole number is due, not {written(value):.60}")
    return value
