"""What a run was worth: the simulator's verdicts, and figures counted without them.

The rule of this file: what an acknowledged write promised is looked up in what each member told a
witness of all its history, without the checkers' model; the checkers judge everything else.
"""

from collections.abc import Iterable, Mapping
from statistics import quantiles

from attrs import frozen

from sim.check import check, explain
from sim.history import Call, Event, History
from sim.ops import (
    Delete,
    DeleteDone,
    Failed,
    Put,
    PutDone,
    Range,
    RangeDone,
    Txn,
    TxnDone,
    Unknown,
)

Told = Mapping[int, frozenset[tuple[str, str, str]]]
"""By revision: kind, key and value of what changed."""


@frozen
class Figures:
    """What a run did, and how it came out."""

    blows: int
    calls: int
    written: int
    """Writes acknowledged."""
    read: int
    """Linearizable reads answered."""
    refused: int
    unknown: int
    lost: int
    """Acknowledged writes that some member does not know of."""
    differing: int
    """Revisions of which two members told different things, or only one told."""
    verdicts: tuple[str, ...]
    down_ms: tuple[int, ...]
    """For each blow that took a leader: until the next acknowledged write that was asked after."""

    def __str__(self) -> str:
        cuts = quantiles(self.down_ms, n=100, method="inclusive") if len(self.down_ms) > 1 else []
        spread = f"p50 {cuts[49]:.0f} p90 {cuts[89]:.0f} p99 {cuts[98]:.0f} " if cuts else ""
        return (
            f"{self.blows} blows, {self.calls} calls: {self.written} writes acknowledged, "
            f"{self.read} linearizable reads, {self.refused} refused, {self.unknown} unknown\n"
            f"lost {self.lost}, differing {self.differing}, verdicts {len(self.verdicts)}\n"
            f"downtime of writes [ms]: {spread}max {max(self.down_ms, default=0)}"
        )


def judged(history: History) -> Figures:
    """Judge a run."""
    told = told_by_member(history)
    writes = [call for call in history.calls if wrote(call)]
    read = [
        call
        for call in history.calls
        if isinstance(call.op, Range) and not call.op.serializable
        if isinstance(call.result, RangeDone)
    ]
    whole = {rev for each in told.values() for rev in each}
    return Figures(
        blows=sum(fault.on for fault in history.faults),
        calls=len(history.calls),
        written=len(writes),
        read=len(read),
        refused=sum(isinstance(call.result, Failed) for call in history.calls),
        unknown=sum(isinstance(call.result, Unknown) for call in history.calls),
        lost=len(lost(writes, told.values())),
        differing=sum(len({each.get(rev) for each in told.values()}) > 1 for rev in whole),
        verdicts=tuple(explain(verdict) for verdict in check(history)),
        down_ms=tuple(downtimes_ms(history, writes)),
    )


def wrote(call: Call) -> bool:
    """Whether a call was told that it changed something."""
    match call.op, call.result:
        case Put(), PutDone():
            return True
        case Delete(), DeleteDone(_, deleted):
            return deleted > 0
        case Txn(), TxnDone(_, succeeded):
            return succeeded
        case _:
            return False


def told_by_member(history: History) -> dict[int, Told]:
    """What the last witness of each member that began at the first revision was told."""
    told: dict[int, Told] = {}
    for watcher in history.watchers:
        if watcher.spec.rev == 2:
            parts: dict[int, set[tuple[str, str, str]]] = {}
            for event in (event for seen in watcher.seen for event in seen.events):
                parts.setdefault(event.kv.mod, set()).add(_fact(event))
            told[watcher.member] = {rev: frozenset(part) for rev, part in parts.items()}
    return told


def lost(writes: Iterable[Call], told: Iterable[Told]) -> list[Call]:
    """Acknowledged writes that one of these does not tell of as they were acknowledged."""
    members = list(told)
    return [
        call
        for call in writes
        if any(not _made(call) <= member.get(_rev(call), frozenset()) for member in members)
    ]


def downtimes_ms(history: History, writes: Iterable[Call]) -> list[int]:
    """How long no write was acknowledged after each kill, pause or stop.

    A write counts if it was asked for after the blow: answers under way do not end a downtime.
    """
    spans = sorted((call.invoked_us, call.returned_us) for call in writes)
    blows = sorted({fault.time_us for fault in history.faults if fault.on})
    found: list[int] = []
    for blow_us in blows:
        after = [returned for invoked, returned in spans if invoked >= blow_us]
        if after:
            found.append((min(after) - blow_us) // 1000)
    return found


def _rev(call: Call) -> int:
    rev = call.result[0]
    assert isinstance(rev, int), "a write that was acknowledged has a revision"
    return rev


def _made(call: Call) -> frozenset[tuple[str, str, str]]:
    match call.op:
        case Put(key, value) | Txn(_, (Put(key, value),)):
            return frozenset({("put", key, value)})
        case Delete(key):
            return frozenset({("delete", key, "")})
        case other:
            raise AssertionError(f"no client here writes by {other}")


def _fact(event: Event) -> tuple[str, str, str]:
    return event.kind, event.kv.key, event.kv.value
