"""Operations, answers and watch messages as a person reads them.

Rule of this file: text only. Long lists and values are cut; the history has them whole.
"""

from collections.abc import Iterable

from sim.check.verdict import Side, seconds
from sim.history import NEVER_US, Call, Event, Seen, Watcher, WatchSpec
from sim.ops import (
    Admin,
    Compact,
    Delete,
    DeleteDone,
    Failed,
    Grant,
    GrantDone,
    KeepAlive,
    KeepAliveDone,
    Kv,
    LeasesDone,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Revoke,
    TimeToLive,
    TimeToLiveDone,
    Txn,
    TxnDone,
    Unknown,
)

SHOWN_MAX = 6


def side(call: Call) -> Side:
    """Return a call as a party of a conflict."""
    number, process, member, op, invoked_us, returned_us, result = call
    end = "never" if returned_us == NEVER_US else seconds(returned_us)
    who = f"call {number}, process {process}, member {member}, {seconds(invoked_us)} to {end} s"
    return Side(f"{who}: {asked(op)}", said(result), number, None, member, invoked_us, returned_us)


def watcher_side(watcher: Watcher, seen: Seen | None) -> Side:
    """Return a watcher as a party of a conflict, with the message that it broke on."""
    who = f"watcher {watcher.number}, process {watcher.process}, member {watcher.member}"
    who = f"{who}, opened at {seconds(watcher.opened_us)} s: {watched(watcher.spec)}"
    begun = watcher.opened_us if seen is None else seen.time_us
    saw = "nothing more" if seen is None else f"at {seconds(seen.time_us)} s: {heard(seen)}"
    return Side(who, saw, None, watcher.number, watcher.member, begun, watcher.closed_us)


def asked(op: Op) -> str:
    """Return an operation in a few words."""
    match op:
        case Range(key, end, rev, limit, serializable):
            at = f" at revision {rev}" if rev else ""
            most = f" limit {limit}" if limit else ""
            return f"{'stale ' * serializable}get {_span(key, end)}{at}{most}"
        case Put(key, value, lease):
            return f"put {_cut(key)} = {_cut(value)}{f' lease {lease}' if lease else ''}"
        case Delete(key, end):
            return f"delete {_span(key, end)}"
        case Txn(compare, then, orelse):
            wanted = [f"{c.target}({_span(c.key, c.end)}) {c.sign} {c.operand}" for c in compare]
            text = f"txn if {' and '.join(wanted) or 'true'} then {_listed(map(asked, then))}"
            return f"{text} else {_listed(map(asked, orelse))}" if orelse else text
        case Compact(rev):
            return f"compact {rev}"
        case Grant(lease, ttl_s):
            return f"grant lease {lease} for {ttl_s} s"
        case Revoke(lease):
            return f"revoke lease {lease}"
        case KeepAlive(lease):
            return f"keep lease {lease} alive"
        case TimeToLive(lease):
            return f"ask how long lease {lease} lives"
        case Admin(what):
            return what
        case _:
            return "list leases"


def said(result: Result) -> str:
    """Return an answer in a few words."""
    if isinstance(result, Failed | Unknown):
        outcome = "refused" if isinstance(result, Failed) else "outcome unknown"
        return f"{outcome}: {result.text}"
    text = f"revision {result.rev}"
    match result:
        case RangeDone(_, kvs, total, more):
            rest = f" of {total}" if more or total != len(kvs) else ""
            return f"{text}: {_listed(map(shown, kvs))}{rest}"
        case PutDone(_, prev):
            return f"{text}: over {shown(prev)}" if prev else text
        case DeleteDone(_, deleted):
            return f"{text}: {deleted} deleted"
        case TxnDone(_, succeeded, results):
            inner = _listed(said(each).removeprefix(f"{text}: ") for each in results)
            return f"{text}: {'succeeded' if succeeded else 'failed'}, {inner}"
        case GrantDone(_, lease, ttl_s) | KeepAliveDone(_, lease, ttl_s):
            return f"{text}: lease {lease}, {ttl_s} s"
        case TimeToLiveDone(_, lease, ttl_s, granted_s, keys):
            return f"{text}: lease {lease}, {ttl_s} of {granted_s} s, keys {_listed(keys)}"
        case LeasesDone(_, leases):
            return f"{text}: leases {_listed(map(str, leases))}"
        case _:
            return text


def watched(spec: WatchSpec) -> str:
    """Return what a watcher asked for."""
    start = f" from revision {spec.rev}" if spec.rev else " from now"
    extras = [*spec.filters]
    if spec.prev_kv:
        extras.append("prev_kv")
    return f"watch {_span(spec.key, spec.end)}{start}{''.join(f' {each}' for each in extras)}"


def heard(seen: Seen) -> str:
    """Return one watch message in a few words."""
    text = f"{seen.kind} at revision {seen.rev}"
    if seen.events:
        text = f"{text}: {_listed(map(happened, seen.events))}"
    if seen.compact_rev:
        text = f"{text}, compacted at {seen.compact_rev}"
    return f"{text} ({seen.reason})" if seen.reason else text


def happened(event: Event) -> str:
    """Return one event in a few words."""
    kv = event.kv
    if event.kind == "delete":
        return f"delete {_cut(kv.key)} @{kv.mod}"
    return f"put {shown(kv)}"


def shown(kv: Kv | None) -> str:
    """Return one key with its value and revisions."""
    if kv is None:
        return "nothing"
    lease = f" lease {kv.lease}" if kv.lease else ""
    text = f"{_cut(kv.key)} = {_cut(kv.value)} @{kv.mod}"
    return f"{text} (created {kv.create}, version {kv.version}{lease})"


def _span(key: str, end: str) -> str:
    if not end:
        return _cut(key)
    return f"[{_cut(key)}, {'end' if end == chr(0) else _cut(end)})"


def _cut(text: str) -> str:
    whole = text if text.isprintable() and text and " " not in text else repr(text)
    return whole if len(whole) <= 40 else f"{whole[:36]}…({len(text)})"


def _listed(texts: Iterable[str]) -> str:
    every = list(texts)
    rest = [f"… {len(every) - SHOWN_MAX} more"] if len(every) > SHOWN_MAX else []
    return ", ".join(every[:SHOWN_MAX] + rest) or "nothing"
