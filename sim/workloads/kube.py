"""Workload "kube": what kube-apiservers do, as etcd's own robustness tests have it.

What it does: informers list page by page at one revision, then watch from the next one on with
prev_kv and progress, and keep a cache; when a stream breaks they resume, when their revision is
compacted they list again. Clients update (most writes), create and delete objects by transactions
guarded on the mod revision, with a read in the other branch; get, list, list the past; write events
under leases that several of them share; play for `compact_rev_key` as compactors of apiservers do.
Checked by: linear, watch, lease, compaction; an informer's cache equals the store at its revision.
"""

from collections.abc import Generator
from itertools import count

from sim.clients import (
    Ask,
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
from sim.history import Cache, Event, Seen, WatchSpec
from sim.ops import (
    Compact,
    Compare,
    Delete,
    Grant,
    GrantDone,
    Put,
    Range,
    RangeDone,
    Txn,
    TxnDone,
)
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import Intent, Workload, between, flag, key, n, near
from sim.workloads.watch import ASKS_EVERY, PATIENCE_MS, resumed

PREFIX = "k/pods/"
EVENTS = "k/events/"
COMPACT_KEY = "compact_rev_key"
_KEY = key(PREFIX)
_END = verbs.prefix_end(PREFIX)
_BACKOFF_MS = 100
_BACKOFF_MS_MAX = 1_600


# ---- objects


def _update(item: Item, memory: Memory) -> Performance:
    """Write an object that should be there; look at it first if it was never seen."""
    name, member = verbs.text(item, "key"), verbs.at(item, memory)
    if not memory.mods.get(name):
        yield from verbs.read(memory, Range(name, limit=1), member)
    then = Put(name, verbs.value(item, memory))
    yield from verbs.guarded(memory, name, then, member)


def _create(item: Item, memory: Memory) -> Performance:
    name = verbs.text(item, "key")
    then = Put(name, verbs.value(item, memory))
    op = Txn((Compare(name, "mod", "=", 0),), (then,), ())
    result = yield Ask(op, verbs.at(item, memory))
    if isinstance(result, TxnDone) and result.succeeded:
        verbs.remember(memory, name, then, result)


def _delete(item: Item, memory: Memory) -> Performance:
    name, member = verbs.text(item, "key"), verbs.at(item, memory)
    if not memory.mods.get(name):
        yield from verbs.read(memory, Range(name, limit=1), member)
    yield from verbs.guarded(memory, name, Delete(name), member)


def _get(item: Item, memory: Memory) -> Performance:
    op = Range(verbs.text(item, "key"), limit=1)
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _get_past(item: Item, memory: Memory) -> Performance:
    rev = verbs.past(memory, verbs.integer(item, "back"))
    op = Range(verbs.text(item, "key"), limit=1, rev=rev)
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _get_rev(item: Item, memory: Memory) -> Performance:
    """Ask for nothing but the current revision, as GetCurrentRevision does."""
    yield from verbs.read(memory, Range("k/none/", "k/none0", limit=1), verbs.at(item, memory))


def _list(item: Item, memory: Memory) -> Performance:
    yield from list_pages(memory, verbs.at(item, memory), verbs.integer(item, "limit"), 0)


def _list_past(item: Item, memory: Memory) -> Performance:
    rev = verbs.past(memory, verbs.integer(item, "back"))
    yield from list_pages(memory, verbs.at(item, memory), verbs.integer(item, "limit"), rev)


def _count(item: Item, memory: Memory) -> Performance:
    keys_only = verbs.flag(item, "keys_only")
    op = Range(PREFIX, _END, keys_only=keys_only, count_only=not keys_only)
    yield from verbs.read(memory, op, verbs.at(item, memory))


def list_pages(
    memory: Memory, member: int, limit: int, rev: int
) -> Generator[Step, Reply, tuple[int, dict[str, tuple[int, str]]] | None]:
    """List all objects in pages at one revision; return it with what was found, None if it failed.

    The first page without a revision fixes it for the others, as the client's continue token does.
    """
    start, found, at_rev = PREFIX, dict[str, tuple[int, str]](), rev
    while True:
        result = yield Ask(Range(start, _END, rev=at_rev, limit=limit), member)
        if not isinstance(result, RangeDone):
            return None
        if not rev:
            verbs.note(memory, result.kvs)
        for kv in result.kvs:
            found[kv.key] = (kv.mod, kv.value)
        at_rev = at_rev or result.rev
        if not result.more or not result.kvs:
            return at_rev, found
        start = result.kvs[-1].key + "\0"


# ---- events under shared leases


def _event(item: Item, memory: Memory) -> Performance:
    """Write an event under the lease at hand; a new one after some events, as apiservers do."""
    member, number = verbs.at(item, memory), verbs.integer(item, "n")
    used = memory.numbers.get("events", 0)
    if not memory.leases or used >= verbs.integer(item, "share"):
        result = yield Ask(Grant(number, verbs.integer(item, "ttl_s")), member)
        if not isinstance(result, GrantDone):
            return
        memory.leases.append(number)
        memory.common.leases.append(number)
        used = 0
    memory.numbers["events"] = used + 1
    name = f"{EVENTS}{number % 7}"
    op = Txn(
        (Compare(name, "mod", "=", memory.mods.get(name, 0)),),
        (Put(name, str(number), lease=memory.leases[-1]),),
        (Range(name),),
    )
    result = yield Ask(op, member)
    if isinstance(result, TxnDone):
        verbs.remember(memory, name, Put(name, str(number)), result)


# ---- compactors


def _compactor(item: Item, memory: Memory) -> Performance:
    """Claim the turn to compact; who wins compacts to the revision of its last turn."""
    member, numbers = verbs.at(item, memory), memory.numbers
    version, rev = numbers.get("compact_version", 0), numbers.get("compact_rev", 0)
    compare = Compare(COMPACT_KEY, "version", "=", version)
    op = Txn((compare,), (Put(COMPACT_KEY, str(rev)),), (Range(COMPACT_KEY),))
    result = yield Ask(op, member)
    if not isinstance(result, TxnDone):
        return
    numbers["compact_rev"] = result.rev
    if not result.succeeded:
        match result.results:
            case (RangeDone(kvs=(kv,)),):
                numbers["compact_version"] = kv.version
            case _:
                numbers["compact_version"] = 0
        return
    numbers["compact_version"] = version + 1
    if rev:
        yield Ask(Compact(rev), member)


# ---- informers


def _informer(item: Item, memory: Memory) -> Performance:
    """List, watch, keep a cache, for ever; `turns` is not looked at."""
    member, limit = verbs.integer(item, "member"), verbs.integer(item, "limit")
    backoff_ms = _BACKOFF_MS
    while True:
        listed = yield from list_pages(memory, memory.member(member), limit, 0)
        if listed is None:
            member += 1
            yield Sleep(backoff_ms * 3)
            backoff_ms = min(2 * backoff_ms, _BACKOFF_MS_MAX)
            continue
        rev, memory.cache = listed
        memory.cached_rev, rev = rev, rev + 1
        while True:
            spec = WatchSpec(PREFIX, _END, rev, prev_kv=True, progress=True)
            stream = yield OpenWatch(spec, memory.member(member))
            assert isinstance(stream, int), "an opened watch has a number"
            before = rev
            rev, last = yield from _inform(stream, rev, memory, asks=verbs.flag(item, "asks"))
            yield CloseWatch(stream)
            member += 1
            yield Sleep(backoff_ms)
            backoff_ms = _BACKOFF_MS if rev > before else min(2 * backoff_ms, _BACKOFF_MS_MAX)
            if last.kind == "canceled":
                break


def _inform(
    stream: int, rev: int, memory: Memory, *, asks: bool
) -> Generator[Step, Reply, tuple[int, Seen]]:
    """Keep the cache by one stream; return where to resume and what ended it."""
    for turn in count():
        seen = yield Await(stream, PATIENCE_MS)
        if isinstance(seen, Seen):
            if seen.kind in ("lost", "canceled"):
                return rev, seen
            for event in seen.events:
                _keep(memory, event)
            rev = resumed(rev, seen)
            memory.cached_rev = max(memory.cached_rev, rev - 1)
        if asks and (turn % ASKS_EVERY == 0 or not isinstance(seen, Seen)):
            yield Progress(stream)
    raise AssertionError("a stream's turns have no end")


def _keep(memory: Memory, event: Event) -> None:
    if event.kind == "put":
        memory.cache[event.kv.key] = (event.kv.mod, event.kv.value)
    else:
        memory.cache.pop(event.kv.key, None)


def cached(memory: Memory, time_us: int) -> Cache:
    """Return an informer's cache, for the history."""
    objects = tuple((name, mod, value) for name, (mod, value) in sorted(memory.cache.items()))
    return Cache(memory.slot, time_us, PREFIX, _END, memory.cached_rev, objects)


WORKLOAD = Workload(
    "kube",
    PREFIX,
    (
        Intent("kube.update", 45, _update, {"key": _KEY, "n": n}),
        Intent("kube.create", 6, _create, {"key": _KEY, "n": n}),
        Intent("kube.delete", 5, _delete, {"key": _KEY}),
        Intent("kube.get", 6, _get, {"key": _KEY}),
        Intent("kube.get_past", 5, _get_past, {"key": _KEY, "back": near(60)}),
        Intent("kube.get_rev", 6, _get_rev, {}),
        Intent("kube.list", 8, _list, {"limit": between(0, 5)}),
        Intent("kube.list_past", 4, _list_past, {"limit": between(0, 5), "back": near(60)}),
        Intent("kube.count", 3, _count, {"keys_only": flag}),
        Intent("kube.event", 8, _event, {"n": n, "ttl_s": between(2, 6), "share": between(1, 8)}),
        Intent("kube.compactor", 4, _compactor, {}),
    ),
    (Intent("kube.informer", 100, _informer, {"limit": between(0, 5), "asks": flag}),),
)
