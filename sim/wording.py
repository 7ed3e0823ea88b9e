"""Operations, results and events in a few words, short enough for a lane and whole for a detail.

Rule of this file: text out of values, bounded in length, with nothing that cannot be printed.
"""

from collections.abc import Iterable

from sim.history import Event, Expire, WatchSpec
from sim.ops import (
    Admin,
    AdminDone,
    Compact,
    CompactDone,
    Compare,
    Delete,
    DeleteDone,
    Failed,
    Grant,
    GrantDone,
    KeepAlive,
    KeepAliveDone,
    Kv,
    Leases,
    LeasesDone,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Revoke,
    RevokeDone,
    TimeToLive,
    TimeToLiveDone,
    Txn,
    TxnDone,
    Unknown,
)

TEXT_MAX = 40
"""What is shown of one key or value."""
BRIEF_MAX = 9
"""What is shown of a key in a lane."""
LISTED_MAX = 6
"""How many keys, leases or events are shown."""

_SHORT = {"Grant": "grant", "Revoke": "revoke", "KeepAlive": "keep", "TimeToLive": "ttl of"}


def shown(text: str) -> str:
    """Return a key or value as something printable, cut with its size where it is long."""
    cut = text[:TEXT_MAX]
    plain = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in cut)
    plain = plain if text and " " not in plain else f"'{plain}'"
    return plain if len(text) <= TEXT_MAX else f"{plain}… ({len(text)} bytes)"


def span(key: str, end: str) -> str:
    """Return a key or a range of keys."""
    if not end:
        return shown(key)
    if end == "\0":
        return f"{shown(key)}…"
    if key and end == key[:-1] + chr(ord(key[-1]) + 1):
        return f"{shown(key)}*"
    return f"[{shown(key)}, {shown(end)})"


def _end_of(key: str) -> str:
    """Return the end of a long key, which is what tells it from others."""
    if len(key) <= BRIEF_MAX:
        return key
    last = key.rstrip("/").rpartition("/")[2]
    return f"…{last[-BRIEF_MAX:]}"


def asked(op: Op) -> str:
    """Return what was asked."""
    match op:
        case Range():
            return _range(op)
        case Put(key, value, lease):
            return f"put {shown(key)} = {shown(value)}" + (f" lease {lease}" if lease else "")
        case Delete(key, end):
            return f"delete {span(key, end)}"
        case Txn(compare, then, orelse):
            condition = " and ".join(_compare(each) for each in compare) or "always"
            text = f"if {condition}: {'; '.join(map(asked, then)) or 'nothing'}"
            return text + (f" else: {'; '.join(map(asked, orelse))}" if orelse else "")
        case Compact(rev, physical):
            return f"compact {rev}" + (" and wait" if physical else "")
        case Grant(lease, ttl_s):
            return f"grant lease {lease} for {ttl_s} s"
        case Revoke(lease):
            return f"revoke lease {lease}"
        case KeepAlive(lease):
            return f"keep lease {lease} alive"
        case TimeToLive(lease):
            return f"time to live of lease {lease}"
        case Leases():
            return "list leases"
        case Admin(what, target):
            return what + (f" to {target}" if what == "move_leader" else "")


def held(kv: Kv | None) -> str:
    """Return one key with its value and revisions."""
    if kv is None:
        return "nothing"
    lease = f" lease {kv.lease}" if kv.lease else ""
    text = f"{shown(kv.key)} = {shown(kv.value)} @{kv.mod}"
    return f"{text} (created {kv.create}, version {kv.version}{lease})"


def brief(op: Op) -> str:
    """Return what was asked in the two or three words that fit into a lane."""
    match op:
        case Range(key, end, rev):
            return f"get {_end_of(span(key, end))}" + (f" @{rev}" if rev else "")
        case Put(key):
            return f"put {_end_of(shown(key))}"
        case Delete(key, end):
            return f"del {_end_of(span(key, end))}"
        case Txn(_, then, orelse):
            first = next(iter(then or orelse), None)
            return "txn" if first is None else f"txn {brief(first)}"
        case Grant(lease) | Revoke(lease) | KeepAlive(lease) | TimeToLive(lease):
            return f"{_SHORT[type(op).__name__]} {lease}"
        case Compact() | Leases() | Admin():
            return asked(op)


def told(result: Result) -> str:
    """Return what was told."""
    match result:
        case RangeDone(rev, kvs, total, more):
            return f"{_kvs(kvs, total)}{' and more' if more else ''} · revision {rev}"
        case PutDone(rev, prev):
            return f"revision {rev}" + (f", before: {held(prev)}" if prev else "")
        case DeleteDone(rev, deleted, prevs):
            before = f", before: {_kvs(prevs, len(prevs))}" if prevs else ""
            return f"{deleted} deleted · revision {rev}{before}"
        case TxnDone(rev, succeeded, results):
            inner = "; ".join(told(each) for each in results) or "nothing done"
            return f"{'then' if succeeded else 'else'} · revision {rev} · {inner}"
        case CompactDone(rev) | RevokeDone(rev):
            return f"revision {rev}"
        case GrantDone(rev, lease, ttl_s):
            return f"lease {lease} for {ttl_s} s · revision {rev}"
        case KeepAliveDone(rev, _, ttl_s):
            return (f"{ttl_s} s more" if ttl_s else "no such lease") + f" · revision {rev}"
        case TimeToLiveDone(rev, _, ttl_s, granted_s, keys):
            of = f" · keys {listed(map(shown, keys))}" if keys else ""
            return f"{ttl_s} of {granted_s} s left · revision {rev}{of}"
        case LeasesDone(rev, leases):
            return f"leases {listed(map(str, leases))} · revision {rev}"
        case AdminDone(rev, facts):
            return " ".join(f"{name}={value}" for name, value in facts) + f" · revision {rev}"
        case Failed(text):
            return f"refused: {shown_line(text)}"
        case Unknown(text):
            return f"outcome unknown: {shown_line(text)}"


def outcome(result: Result) -> str:
    """Return ok, info (unknown) or fail."""
    if isinstance(result, Unknown):
        return "info"
    return "fail" if isinstance(result, Failed) else "ok"


def happened(event: Event) -> str:
    """Return what a watcher saw of one change."""
    kv = event.kv
    now = f"put {held(kv)}" if event.kind == "put" else f"delete {shown(kv.key)} @{kv.mod}"
    before = f", before: {shown(event.prev.value)} @{event.prev.mod}" if event.prev else ""
    return f"{now}{before}"


def listed(texts: Iterable[str]) -> str:
    """Return the first few of these, and how many more there are."""
    every = list(texts)
    rest = [f"… {len(every) - LISTED_MAX} more"] if len(every) > LISTED_MAX else []
    return ", ".join(every[:LISTED_MAX] + rest) or "nothing"


def wanted(spec: WatchSpec) -> str:
    """Return what a watcher asked for."""
    extras = [name for name in ("prev_kv", "progress", "fragment") if getattr(spec, name)]
    start = f" from {spec.rev}" if spec.rev else " from now"
    return " ".join([f"watch {span(spec.key, spec.end)}{start}", *extras, *spec.filters])


def logged(what: Op | Expire | None) -> str:
    """Return a command of the log."""
    if what is None:
        return "a command that clients cannot tell"
    return f"lease {what.lease} expires" if isinstance(what, Expire) else asked(what)


def shown_line(text: str, length_max: int = 400) -> str:
    """Return a text of the program as one printable line."""
    plain = "".join(each if each.isprintable() else " " for each in text[:length_max])
    return plain if len(text) <= length_max else f"{plain}…"


def _range(op: Range) -> str:
    """Return a read with all that makes it different from a plain one."""
    words = [f"get {span(op.key, op.end)}"]
    words += [f"at revision {op.rev}"] if op.rev else []
    words += [f"limit {op.limit}"] if op.limit else []
    words += ["serializable"] if op.serializable else []
    words += ["keys only"] if op.keys_only else []
    words += ["count only"] if op.count_only else []
    return " ".join(words)


def _compare(compare: Compare) -> str:
    """Return one comparison."""
    operand = compare.operand
    text = shown(operand) if isinstance(operand, str) else str(operand)
    return f"{span(compare.key, compare.end)}.{compare.target} {compare.sign} {text}"


def _kvs(kvs: tuple[Kv, ...], total: int) -> str:
    """Return the first keys of a range and how many there are."""
    if not kvs:
        return "nothing" if not total else f"{total} keys"
    rest = f" of {total}" if total > len(kvs) else ""
    return listed(map(held, kvs)) + rest
