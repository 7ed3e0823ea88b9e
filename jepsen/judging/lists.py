"""Lists that grow by one element at a time: is each version the one before and one element more?

Rule of this file: versions come from what anybody was told of a key, watchers and readers alike;
mod revisions give their order, version numbers say which of them are neighbours. Elements are
written once, so a version that lacks one of its predecessor's has lost it.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from jepsen.judging.finding import Finding
from jepsen.judging.owners import owner_of_key, puts
from jepsen.workloads.lock import FENCED, LIST, LOCK
from sim.check.verdict import Side
from sim.check.wording import side
from sim.history import Call, History
from sim.ops import Kv, RangeDone, Result, TxnDone, TxnResult
from sim.wording import held
from sim.workloads.append import LONGEST
from sim.workloads.append import WORKLOAD as APPEND

LOCKS = frozenset({LOCK.name, FENCED.name})


def judge_lists(history: History) -> tuple[list[Finding], dict[str, int]]:
    """Judge every list of a run; return what was found and how many versions were compared.

    Of each workload only the first finding is told.
    """
    found: dict[str, Finding] = {}
    counts: dict[str, int] = {}
    writers: dict[tuple[str, str], Call] | None = None
    for key, versions in sorted(lists_of(history).items()):
        workload = owner_of_key(key)
        may_begin_anew = workload == APPEND.name
        for before, after in neighbours(versions):
            counts[workload] = counts.get(workload, 0) + 1
            lost = lost_between(before.value, after.value, may_begin_anew=may_begin_anew)
            if not lost:
                continue
            writers = _writers(history) if writers is None else writers
            finding = _finding(workload, before, after, lost, writers)
            known = found.get(workload)
            if known is None or finding.time_us < known.time_us:
                found[workload] = finding
    return list(found.values()), counts


def lists_of(history: History) -> dict[str, list[Kv]]:
    """Return every version that anybody was told of the keys that are lists, oldest first."""
    versions: dict[str, dict[int, Kv]] = {}
    for kv in _told(history):
        if is_list(kv.key):
            versions.setdefault(kv.key, {})[kv.mod] = kv
    return {key: [known[mod] for mod in sorted(known)] for key, known in versions.items()}


def is_list(key: str) -> bool:
    """Whether a key is a list of one of the workloads that have such."""
    owner = owner_of_key(key)
    return owner == APPEND.name or (owner in LOCKS and key.endswith(LIST))


def neighbours(versions: list[Kv]) -> Iterator[tuple[Kv, Kv]]:
    """Yield pairs of versions of which the second was written over the first."""
    for before, after in pairwise(versions):
        if after.create == before.create and after.version == before.version + 1:
            yield before, after


def lost_between(before: str, after: str, *, may_begin_anew: bool) -> str:
    """Return what a version lacks of the one before, in words; "" if it is its successor.

    The workload "append" begins a list anew when it is longer than it likes.
    """
    if after.startswith(before) and after[len(before) : len(before) + 1] == ",":
        added = after[len(before) + 1 :]
        return "" if added and "," not in added else f"more than one element came: {added:.60}"
    if may_begin_anew and len(before) >= LONGEST and "," not in after:
        return ""
    old = set(before.split(","))
    gone = sorted(old - set(after.split(",")))
    return f"lost {', '.join(gone[:5])}" if gone else "its elements changed their order"


def _told(history: History) -> Iterable[Kv]:
    """Yield every key that anybody was told of."""
    for watcher in history.watchers:
        for seen in watcher.seen:
            for event in seen.events:
                if event.kind == "put":
                    yield event.kv
    for call in history.calls:
        yield from _read(call.result)


def _read(result: Result | TxnResult) -> Iterator[Kv]:
    if isinstance(result, RangeDone):
        yield from result.kvs
    elif isinstance(result, TxnDone):
        for each in result.results:
            yield from _read(each)


def _writers(history: History) -> dict[tuple[str, str], Call]:
    """Return who asked for each value of a list."""
    return {
        (put.key, put.value): call
        for call in history.calls
        for put in puts(call.op)
        if is_list(put.key)
    }


def _finding(
    workload: str,
    before: Kv,
    after: Kv,
    lost: str,
    writers: dict[tuple[str, str], Call],
) -> Finding:
    sides: list[Side] = []
    for kv in (before, after):
        call = writers.get((kv.key, kv.value))
        sides.append(Side(f"revision {kv.mod}", held(kv)) if call is None else side(call))
    klass = "lock/lost-update" if workload in LOCKS else "order/list-append"
    why = f"{after.key} at revision {after.mod}, written over revision {before.mod}: {lost}"
    time_us = max(each.begun_us for each in sides)
    return Finding.own(workload, klass, why, tuple(sides), max(time_us, 0))
