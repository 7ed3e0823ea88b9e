"""What must happen sometimes: over a batch of seeds each mark has to be hit, or nothing was tried.

Rule of this file: names, what they mean, which invariant would have been at stake, and how those
are found that a history shows. The others are counted by the world while it runs (`World.mark`).
Nothing is judged. Cost: one pass over calls, watchers, log and faults.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from sim.history import NEVER_US, Call, Expire, History, Seen, Watcher
from sim.menu import DISHES, ROLE_DISHES, WHOLE_DISHES
from sim.ops import (
    CompactDone,
    Delete,
    DeleteDone,
    Failed,
    GrantDone,
    KeepAliveDone,
    LeasesDone,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    RevokeDone,
    TimeToLiveDone,
    Txn,
    TxnDone,
    TxnResult,
    Unknown,
)
from sim.plan import RAFT_ENGINES
from sim.run import Run


class Mark(NamedTuple):
    """One thing that a batch must have met. `tier` 2: only the whole member can."""

    name: str
    words: str
    invariants: tuple[str, ...] = ()
    tier: int = 1


_CALLS: Final = (
    Mark("unknown outcome", "a client never learned an operation's fate"),
    Mark("unknown, seen applied", "an operation of unknown outcome is in the log",
         ("INV-REPLY-AFTER-COMMIT",)),
    Mark("unknown, never applied", "an operation of unknown outcome is not in the log"),
    Mark("refused", "a failure that proves that nothing was applied"),
    Mark("answered across a change of term", "it began in one term and was answered in another",
         ("INV-REPLY-AFTER-COMMIT",)),
    Mark("read, linearizable", "a read that had to see what was acknowledged before"),
    Mark("read, serializable", "a read of one member's own state"),
    Mark("read, stale", "a serializable read behind a revision acknowledged before it began"),
    Mark("read of the past", "a read at an old revision was answered", ("INV-INDEX-ORDER",)),
    Mark("read of the compacted", "a read below the compact revision was refused"),
    Mark("read of the future", "a read beyond the head was refused"),
    Mark("page of a longer list", "a limited read left something out"),
    Mark("then", "comparisons held"),
    Mark("else", "comparisons did not hold"),
    Mark("nested transaction", "a transaction inside a transaction was answered"),
    Mark("refused transaction", "an error inside a transaction: none of it was applied",
         ("INV-TXN-ATOMIC",)),
    Mark("many changes in one revision", "a transaction or range deletion changed several keys",
         ("INV-REV-DENSE", "INV-WATCH-ATOMIC", "INV-CHANGE-DENSE")),
    Mark("deletion of nothing", "a deletion found no key: no revision", ("INV-REV-DENSE",)),
    Mark("second generation", "a deleted key was put again", ("INV-INDEX-ORDER",)),
    Mark("compaction", "a compaction was acknowledged", ("INV-COMPACT-KEEPS-LATEST",)),
    Mark("compaction refused", "at a revision that was compacted already, or is to come"),
    Mark("grant", "a lease was granted"),
    Mark("keepalive", "a lease was renewed", ("INV-LEASE-NOT-EARLY",)),
    Mark("keepalive of a gone lease", "the answer was a TTL of 0"),
    Mark("revoke", "a lease was revoked", ("INV-LEASE-KEYS",)),
    Mark("question about a gone lease", "the answer was a TTL of -1"),
    Mark("leases listed", "the list of leases held one"),
    Mark("misshapen or oversized refused", "a request was refused before it was proposed"),
)  # fmt: skip

_WATCHES: Final = (
    Mark("watch resumed", "a watch began in the past", ("INV-WATCH-RESUMABLE",)),
    Mark("watch of the future", "a watch began at a revision to come"),
    Mark("watch cancelled as compacted", "it began below the compact revision"),
    Mark("watch across a compaction", "a compaction was acknowledged while it was open",
         ("INV-WATCH-RELIABLE",)),
    Mark("watch stream lost", "a member ended or a link broke under a watch"),
    Mark("progress", "a progress notification came", ("INV-WATCH-BOOKMARKABLE",)),
    Mark("fragment", "a response said that more of its revision follows", ("INV-WATCH-ATOMIC",)),
    Mark("many revisions in one response", "a watch caught up",
         ("INV-WATCH-ORDERED", "INV-WATCH-UNIQUE")),
    Mark("previous record", "an event carried the record it replaced"),
    Mark("filtered watch", "a watch with filters saw events", ("INV-WATCH-FILTER",)),
)  # fmt: skip

_LOG: Final = (
    Mark("several terms", "the log has entries of more than one leader",
         ("INV-APPLY-ONCE", "INV-CODEC-EXACT")),
    Mark("lease expired", "a lease ended because its time was over", ("INV-LEASE-NOT-EARLY",)),
    Mark("lease expired with keys", "and took keys with it", ("INV-LEASE-KEYS",)),
    Mark("expiry after an election", "a lease expired in a later term than its grant's",
         ("INV-LEASE-NOT-EARLY",)),
)  # fmt: skip

_WORLD: Final = (
    Mark("election", "somebody was elected", ("INV-LEADER-COMPLETE",)),
    Mark("log cut", "a member let go of log that its store holds", ("INV-LOG-COVERS-STATE",)),
    Mark("snapshot installed", "a member went on from another's snapshot",
         ("INV-LOADED-ONCE", "INV-SNAPSHOT-STAGED", "INV-APPLY-ONCE")),
    Mark("conflict truncated", "a member gave up entries that another leader did not have",
         ("INV-JOURNAL-CONTIGUOUS",)),
    Mark("stream ended without a leader", "a watch that wants a leader was ended for lack of one"),
    Mark("ended at persist.before", "a member died just before it wrote its journal"),
    Mark("ended at persist.after", "a member died just after it wrote its journal",
         ("INV-REPLY-AFTER-PERSIST",)),
    Mark("ended at send.before", "a member died just before a message left",
         ("INV-SEND-AFTER-PERSIST",)),
    Mark("ended at apply.before", "a member died just before it applied a pack"),
    Mark("ended at answer.after", "a member died just after it answered",
         ("INV-REPLY-AFTER-COMMIT",)),
    Mark("ended at store.before", "a member died just before it wrote its store",
         ("INV-STORE-FORWARD", "INV-CHANGE-DENSE")),
)  # fmt: skip
"""Counted by the world."""

_DISKS: Final = tuple(
    Mark(f"disk met {name}", words, invariants, tier=2)
    for name, words, invariants in (
        ("read error", "a read of a file failed", ()),
        ("write error", "a write to a file failed", ()),
        ("sync error", "a sync of a file or directory failed", ("INV-REPLY-AFTER-PERSIST",)),
        ("full", "something did not fit on a full disk", ()),
        ("unsynced writes", "the power went while writes were not durable",
         ("INV-REPLY-AFTER-PERSIST", "INV-LOG-COVERS-STATE")),
        ("unsynced names", "the power went while names were not durable",
         ("INV-SNAPSHOT-STAGED", "INV-JOURNAL-CONTIGUOUS")),
    )
)  # fmt: skip
"""Faults of the disk that an operation really met."""

_FILES_ONLY: Final = ("bit_rot", "truncate", *(dish.name for dish in WHOLE_DISHES))
"""What tier 1, which has no files, cannot do."""

_FAULTS: Final = tuple(
    Mark(f"fault {dish.name}", dish.meaning, tier=2 if dish.name in _FILES_ONLY else 1)
    for dish in (*DISHES, *WHOLE_DISHES)
    if dish.drawn and dish.by == "world"
)

_MEMBERS: Final = (
    Mark("membership changed", "a member joined, left, or was given another role",
         ("INV-CHANGE-FITS",)),
    Mark("member promoted", "a member that had no vote was given one", ("INV-CHANGE-FITS",)),
    Mark("member demoted", "a voter was made a stand-by or a spare", ("INV-CHANGE-FITS",)),
    *(Mark(f"fault {dish.name}", dish.meaning) for dish in ROLE_DISHES),
)  # fmt: skip
"""What only an engine has whose members may change."""

MARKS: Final[Mapping[str, Mark]] = {
    mark.name: mark for mark in (*_CALLS, *_WATCHES, *_LOG, *_WORLD, *_DISKS, *_FAULTS, *_MEMBERS)
}


_CONNECTED: Final = ("fault noise",)
"""What an engine whose links are connections never meets."""


def expected(tier: int, engine: str = "") -> tuple[str, ...]:
    """Return the marks that a batch of a tier, and of an engine if only one is run, has to hit."""
    fixed = tuple(mark.name for mark in _MEMBERS)
    never = _CONNECTED if engine in RAFT_ENGINES else fixed
    marks = (mark for mark in MARKS.values() if mark.tier <= tier)
    return tuple(mark.name for mark in marks if mark.name not in never)


def marks_of(run: Run) -> dict[str, int]:
    """Return how often a run hit each mark, those it did not hit left out; in order of names."""
    hits: Counter[str] = Counter(run.marks)
    history = run.history
    hits.update(_of_calls(history))
    for watcher in history.watchers:
        hits.update(_of_watcher(watcher, history))
    hits.update(_of_log(history))
    return {name: hits[name] for name in sorted(hits) if hits[name]}


def _of_calls(history: History) -> Iterator[str]:
    in_log = {logged.call for logged in history.log or () if logged.call is not None}
    elected_us = _changes_of_term(history)
    acknowledged = 0
    """The highest revision acknowledged so far, in order of invocation: a lower bound."""
    for call in history.calls:
        op, result = call.op, call.result
        if type(result) is Unknown:
            yield "unknown outcome"
            if history.log is not None and _is_write(op):
                yield "unknown, seen applied" if call.number in in_log else "unknown, never applied"
        elif type(result) is Failed:
            yield from _of_failure(op, result)
        else:
            yield from _of_answer(call, acknowledged)
            place = bisect(elected_us, call.invoked_us)
            if place < len(elected_us) and elected_us[place] < call.returned_us:
                yield "answered across a change of term"
            assert not isinstance(result, Unknown), "told apart above"
            if not _is_serializable(op):
                acknowledged = max(acknowledged, result.rev)


def _changes_of_term(history: History) -> list[int]:
    """Return when the first entry of each new term was applied, in order."""
    log = history.log or ()
    return [after.time_us for before, after in pairwise(log) if before.term != after.term]


def _of_failure(op: Op, failed: Failed) -> Iterator[str]:
    yield "refused"
    if "compacted" in failed.text:
        yield "read of the compacted" if type(op) is Range else "compaction refused"
    elif "future revision" in failed.text:
        yield "read of the future" if type(op) is Range else "compaction refused"
    elif type(op) is Txn:
        yield "refused transaction"
    if "too large" in failed.text or "duplicate key" in failed.text:
        yield "misshapen or oversized refused"


def _of_answer(call: Call, acknowledged: int) -> Iterator[str]:
    op = call.op
    match call.result:
        case RangeDone() as result:
            assert type(op) is Range, "a read was answered"
            yield "read, serializable" if op.serializable else "read, linearizable"
            if op.serializable and not op.rev and result.rev < acknowledged:
                yield "read, stale"
            if 0 < op.rev < result.rev:
                yield "read of the past"
            if result.more:
                yield "page of a longer list"
        case TxnDone() as result:
            yield "then" if result.succeeded else "else"
            yield from _of_results(result.results)
            if _changes(result.results) > 1:
                yield "many changes in one revision"
        case DeleteDone(deleted=deleted):
            if not deleted:
                yield "deletion of nothing"
            elif deleted > 1:
                yield "many changes in one revision"
        case CompactDone():
            yield "compaction"
        case GrantDone():
            yield "grant"
        case KeepAliveDone(ttl_s=ttl_s):
            yield "keepalive" if ttl_s > 0 else "keepalive of a gone lease"
        case RevokeDone():
            yield "revoke"
        case TimeToLiveDone(ttl_s=-1):
            yield "question about a gone lease"
        case LeasesDone(leases=leases) if leases:
            yield "leases listed"
        case _:
            pass


def _of_results(results: tuple[TxnResult, ...]) -> Iterator[str]:
    for result in results:
        if type(result) is TxnDone:
            yield "nested transaction"


def _changes(results: tuple[TxnResult, ...]) -> int:
    total = 0
    for result in results:
        match result:
            case PutDone():
                total += 1
            case DeleteDone(deleted=deleted):
                total += deleted
            case TxnDone(results=inner):
                total += _changes(inner)
            case RangeDone():
                pass
    return total


def _is_write(op: Op) -> bool:
    match op:
        case Put() | Delete():
            return True
        case Txn():
            return any(_is_write(each) for each in (*op.then, *op.orelse))
        case _:
            return False


def _is_serializable(op: Op) -> bool:
    return type(op) is Range and op.serializable


def _of_watcher(watcher: Watcher, history: History) -> Iterator[str]:
    spec = watcher.spec
    for seen in watcher.seen:
        if seen.kind == "created":
            if 0 < spec.rev <= seen.rev:
                yield "watch resumed"
            elif spec.rev > seen.rev:
                yield "watch of the future"
        elif seen.kind == "events":
            yield from _of_events(seen, is_filtered=bool(spec.filters))
        elif seen.kind == "progress":
            yield "progress"
        elif seen.kind == "canceled" and seen.compact_rev:
            yield "watch cancelled as compacted"
        elif seen.kind == "lost":
            yield "watch stream lost"
    end_us = watcher.seen[-1].time_us if watcher.seen else 0
    if any(
        isinstance(call.result, CompactDone)
        and watcher.opened_us < call.invoked_us
        and call.returned_us < end_us
        for call in history.calls
    ):
        yield "watch across a compaction"


def _of_events(seen: Seen, *, is_filtered: bool) -> Iterator[str]:
    if is_filtered:
        yield "filtered watch"
    if seen.fragment:
        yield "fragment"
    if seen.events[0].kv.mod != seen.events[-1].kv.mod:
        yield "many revisions in one response"
    if any(event.prev is not None for event in seen.events):
        yield "previous record"


def _of_log(history: History) -> Iterator[str]:
    log = history.log or ()
    calls = {call.number: call for call in history.calls}
    granted: dict[int, int] = {}
    dead: set[str] = set()
    before, term = 1, 0
    for logged in log:
        what = logged.what
        if term and logged.term != term:
            yield "several terms"
        term = logged.term
        call = calls.get(logged.call) if logged.call is not None else None
        if call is not None and call.returned_us != NEVER_US and isinstance(call.result, GrantDone):
            granted[call.result.lease] = logged.term
        if isinstance(what, Expire):
            if what.lease in granted and granted.pop(what.lease) != logged.term:
                yield "expiry after an election"
            yield "lease expired"
            if logged.rev > before:
                yield "lease expired with keys"
        elif type(what) is Delete and logged.rev > before:
            dead.add(what.key)
        elif type(what) is Put and what.key in dead:
            dead.discard(what.key)
            yield "second generation"
        before = logged.rev
