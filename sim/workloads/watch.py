"""Workload "watch": streams from every kind of start, resumed when they break.

What it does: clients put, delete and write many keys in one revision; watchers begin now, in the
past, at the compacted revision or below it, in the future; on one key, a prefix, everything or all
from a key on; with prev_kv, progress, fragments and filters. When a stream breaks they resume at
another member where they were, as etcd's client does: after the last whole revision they saw, or
after the last progress mark. Told that the revision is compacted, they go on from the compact one.
Checked by: watch (Filter, Ordered, Unique, Atomic, Reliable, Resumable, Bookmarkable, IsCreate,
PrevKV, compacted cancel, liveness).

Other workloads are watched by the same watchers.
"""

from collections.abc import Generator

from sim.clients import (
    Await,
    CloseWatch,
    Memory,
    OpenWatch,
    Performance,
    Progress,
    Reply,
    Sleep,
    Step,
)
from sim.history import Seen, WatchSpec
from sim.ops import Delete, Put, Range, Txn, TxnOp
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import (
    Drawer,
    Intent,
    Workload,
    between,
    flag,
    key,
    n,
    near,
    seldom,
    word,
)

PREFIX = "w/"
_KEY = key(PREFIX)
PATIENCE_MS = 2_000
"""How long a watcher waits before it counts a turn in which nothing came."""
ASKS_EVERY = 4
"""A watcher that asks for progress does so after so many messages, or when nothing comes."""
_BACKOFF_MS = 100
_BACKOFF_MS_MAX = 1_600


# ---- what clients do


def _put(item: Item, memory: Memory) -> Performance:
    op = Put(verbs.text(item, "key"), verbs.value(item, memory))
    yield from verbs.put(memory, op, verbs.at(item, memory))


def _delete(item: Item, memory: Memory) -> Performance:
    yield from verbs.delete(memory, Delete(verbs.text(item, "key")), verbs.at(item, memory))


def _burst(item: Item, memory: Memory) -> Performance:
    """Write, and delete, several keys in one revision."""
    number = verbs.integer(item, "n")
    puts: tuple[TxnOp, ...] = tuple(
        Put(f"{PREFIX}{index}", f"{number}.{index}") for index in range(verbs.integer(item, "many"))
    )
    op = Txn((), (*puts, Delete(f"{PREFIX}{len(puts)}")))
    yield from verbs.ask(memory, op, verbs.at(item, memory))


def _wipe(item: Item, memory: Memory) -> Performance:
    op = Delete(PREFIX, verbs.prefix_end(PREFIX))
    yield from verbs.delete(memory, op, verbs.at(item, memory))


def _list(item: Item, memory: Memory) -> Performance:
    yield from verbs.read(memory, Range(PREFIX, verbs.prefix_end(PREFIX)), verbs.at(item, memory))


# ---- what watchers do


def _now(item: Item, memory: Memory) -> Performance:
    yield from _watch(item, memory, 0)


def _past(item: Item, memory: Memory) -> Performance:
    yield from _watch(item, memory, verbs.past(memory, verbs.integer(item, "back")))


def _compacted(item: Item, memory: Memory) -> Performance:
    rev = memory.common.compacted + verbs.integer(item, "offset")
    yield from _watch(item, memory, max(1, rev))


def _future(item: Item, memory: Memory) -> Performance:
    yield from _watch(item, memory, memory.common.newest + verbs.integer(item, "ahead"))


def _fickle(item: Item, memory: Memory) -> Performance:
    """Open and close one watch after another, taking little from each."""
    for _ in range(1 + verbs.integer(item, "back")):
        rev = verbs.past(memory, verbs.integer(item, "back")) if verbs.flag(item, "some") else 0
        stream = yield OpenWatch(spec_of(item, memory, rev), verbs.at(item, memory))
        assert isinstance(stream, int), "an opened watch has a number"
        seen = yield Await(stream, PATIENCE_MS // 4)
        if isinstance(seen, Seen) and seen.kind == "created":
            yield Await(stream, PATIENCE_MS // 4)
        yield CloseWatch(stream)
        yield Sleep(_BACKOFF_MS)


def spec_of(item: Item, memory: Memory, rev: int) -> WatchSpec:
    """Return what an item watches, from a revision on."""
    first = verbs.text(item, "key")
    match verbs.text(item, "span"):
        case "key":
            end = ""
        case "prefix":
            first = first[: first.index("/") + 1]
            end = verbs.prefix_end(first)
        case "from":
            end = "\0"
        case _:
            first, end = "\0", "\0"
    filters = verbs.text(item, "filters")
    return WatchSpec(
        first,
        end,
        rev,
        prev_kv=verbs.flag(item, "prev_kv"),
        progress=verbs.flag(item, "progress"),
        fragment=verbs.flag(item, "fragment"),
        filters=(filters,) if filters else (),
    )


def _watch(item: Item, memory: Memory, rev: int) -> Performance:
    """Watch until the item's turns are over (0: for ever), stream after stream."""
    turns = verbs.integer(item, "turns")
    left = turns if turns else 1 << 40
    member, backoff_ms = verbs.integer(item, "member"), _BACKOFF_MS
    while left > 0:
        spec = spec_of(item, memory, rev)
        stream = yield OpenWatch(spec, memory.member(member))
        assert isinstance(stream, int), "an opened watch has a number"
        before = left
        rev, left, last = yield from follow(stream, rev, left, asks=verbs.flag(item, "asks"))
        yield CloseWatch(stream)
        if last is None or (last.kind == "canceled" and not last.compact_rev):
            return
        member += 1
        yield Sleep(backoff_ms)
        backoff_ms = _BACKOFF_MS if before - left > 1 else min(2 * backoff_ms, _BACKOFF_MS_MAX)


def follow(
    stream: int, rev: int, left: int, *, asks: bool
) -> Generator[Step, Reply, tuple[int, int, Seen | None]]:
    """Take what a stream brings until it ends or the turns do.

    Returns where to resume, the turns left and what ended the stream, None if it lives.
    """
    while left > 0:
        left -= 1
        seen = yield Await(stream, PATIENCE_MS)
        if isinstance(seen, Seen):
            rev = resumed(rev, seen)
            if seen.kind in ("lost", "canceled"):
                return rev, left, seen
        if asks and (left % ASKS_EVERY == 0 or not isinstance(seen, Seen)):
            yield Progress(stream)
    return rev, left, None


def resumed(rev: int, seen: Seen) -> int:
    """Return the revision at which to resume after `seen`, when it was `rev` before."""
    match seen.kind:
        case "created":
            return rev or seen.rev + 1
        case "events":
            newest = seen.events[-1].kv.mod
            return newest if seen.fragment else newest + 1
        case "progress":
            return max(rev, seen.rev + 1)
        case "canceled":
            return max(rev, seen.compact_rev)
        case _:
            return rev


def watchers(prefix: str) -> tuple[Intent, ...]:
    """Return the intents that watch the keys of a workload."""
    shape: dict[str, Drawer] = {
        "key": key(prefix),
        "span": word("key", "prefix", "prefix", "prefix", "all", "all", "from"),
        "prev_kv": flag,
        "progress": flag,
        "fragment": seldom,
        "filters": word("", "", "", "", "", "", "noput", "nodelete"),
        "asks": flag,
    }
    return (
        Intent("watch.now", 20, _now, shape),
        Intent("watch.past", 30, _past, {**shape, "back": near(60)}),
        Intent("watch.compacted", 25, _compacted, {**shape, "offset": between(-2, 3)}),
        Intent("watch.future", 10, _future, {**shape, "ahead": between(1, 20)}),
        Intent("watch.fickle", 15, _fickle, {**shape, "back": near(30), "some": flag}),
    )


WORKLOAD = Workload(
    "watch",
    PREFIX,
    (
        Intent("watch.put", 50, _put, {"key": _KEY, "n": n}),
        Intent("watch.delete", 15, _delete, {"key": _KEY}),
        Intent("watch.burst", 20, _burst, {"n": n, "many": between(2, 12)}),
        Intent("watch.wipe", 3, _wipe, {}),
        Intent("watch.list", 12, _list, {}),
    ),
)
