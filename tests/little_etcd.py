"""A little etcd on a clock of its own, with clients: whole histories of made-up runs in no time.

The rule of this file: it is correct unless a test asks for one fault; nothing is drawn but from the
seed. Members are all the same store; what one of them does wrong is a fault of `LittleEtcd`.
"""

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from random import Random

from attrs import define, field

from jepsen.schedule import Load, last_items, make_plan
from jepsen.witness import Testimony, is_witness
from jepsen.workloads.catalogue import perform
from sim.check import shape
from sim.check.model import Model
from sim.clients import Clients, Memory, Performance
from sim.history import Event, Fault, History, Seen, WatchSpec
from sim.ops import (
    Admin,
    AdminDone,
    Failed,
    Grant,
    GrantDone,
    KeepAlive,
    KeepAliveDone,
    Leases,
    LeasesDone,
    Op,
    Put,
    Range,
    RangeDone,
    Result,
    Revoke,
    TimeToLive,
    TimeToLiveDone,
    Unknown,
)
from sim.plan import Item
from sim.recorder import Recorder
from sim.workloads.kube import cached

SECOND_US = 1_000_000
CHECKS_US = 200_000


@define(eq=False)
class Heap:
    """Time that passes when everything due is done. `sim.clients.Scheduler`."""

    now_us: int = 0
    _due: list[tuple[int, int, Callable[[], object]]] = field(factory=list)
    _count: int = 0

    def after(self, delay_ms: float, call: Callable[[], object]) -> None:
        """Let something happen later."""
        self._count += 1
        heappush(self._due, (self.now_us + max(1, int(delay_ms * 1000)), self._count, call))

    def run_until(self, time_us: int) -> None:
        """Let everything happen that is due until then."""
        while self._due and self._due[0][0] <= time_us:
            self.now_us, _, call = heappop(self._due)
            call()
        self.now_us = max(self.now_us, time_us)


@define(eq=False)
class Watch:
    """One watch under way."""

    member: int
    spec: WatchSpec
    sink: Callable[[Seen], None]
    next: int
    is_over: bool = False


@define(eq=False)
class LittleEtcd:
    """`sim.clients.Endpoint` over one store; the fields below are faults, all off."""

    heap: Heap
    chance: Random
    lag_us: int = 0
    """Members but the first answer every read as the store was so long ago."""
    drops: int = 0
    """Every so many-th event does not reach the watchers of the last member."""
    early: bool = False
    """Leases end by the time of their grant: keepalives renew nothing."""
    forgets_us: int = 0
    """At this time the store falls back to what it was a second before."""
    is_whole: bool = False
    """Whether every answer arrives."""
    model: Model = field(factory=Model)
    _watches: list[Watch] = field(factory=list[Watch])
    _deadlines: dict[int, int] = field(factory=dict[int, int])
    _revs: list[tuple[int, int]] = field(factory=lambda: [(0, 1)])

    def __attrs_post_init__(self) -> None:
        self._tick()

    def ask(self, member: int, op: Op, deadline_ms: int, then: Callable[[Result], None]) -> None:
        """See Endpoint."""

        def arrive() -> None:
            result = self._apply(member, op)
            self.heap.after(self._delay_ms(), lambda: then(result))

        if not self.is_whole and self.chance.random() < 0.01:
            is_applied = self.chance.random() < 0.5
            if is_applied:
                self.heap.after(self._delay_ms(), lambda: self._apply(member, op))
            self.heap.after(deadline_ms, lambda: then(Unknown("deadline exceeded")))
            return
        self.heap.after(self._delay_ms(), arrive)

    def watch(
        self, member: int, spec: WatchSpec, sink: Callable[[Seen], None]
    ) -> Callable[[], None]:
        """See Endpoint."""
        watch = Watch(member, spec, sink, spec.rev)

        def create() -> None:
            if watch.is_over:
                return
            watch.next = watch.next or self.model.rev + 1
            sink(Seen(0, "created", self.model.rev))
            if watch.next < self.model.compacted:
                watch.is_over = True
                sink(Seen(0, "canceled", 0, compact_rev=self.model.compacted))
                return
            self._watches.append(watch)
            self._feed(watch)

        def close() -> None:
            watch.is_over = True

        self.heap.after(self._delay_ms(), create)
        return close

    # ---- inside

    def _delay_ms(self) -> float:
        return 0.5 + 4 * self.chance.random()

    def _apply(self, member: int, op: Op) -> Result:
        now_us, model = self.heap.now_us, self.model
        before = model.rev
        if refused := shape.refused(op):
            return Failed(refused)
        match op:
            case Range(rev=0) if self.lag_us and member:
                then_rev = max(rev for at_us, rev in self._revs if at_us <= now_us - self.lag_us)
                kvs = tuple(model.at(op.key, op.end, then_rev))
                # Only plain reads lag; no test asks for more.
                if not (op.limit or op.keys_only or op.count_only):
                    return RangeDone(then_rev, kvs, len(kvs))
                return model.read_any(op)
            case Range():
                return model.apply(op)
            case KeepAlive(lease):
                ttl_s = model.leases.get(lease, 0)
                if ttl_s and not self.early:
                    self._deadlines[lease] = now_us + ttl_s * SECOND_US
                return KeepAliveDone(model.rev, lease, ttl_s)
            case TimeToLive(lease, keys):
                if lease not in model.leases:
                    return TimeToLiveDone(model.rev, lease, -1, 0)
                left_s = max(0, self._deadlines[lease] - now_us) // SECOND_US
                held = tuple(model.keys_of(lease)) if keys else ()
                return TimeToLiveDone(model.rev, lease, left_s, model.leases[lease], held)
            case Leases():
                return LeasesDone(model.rev, tuple(sorted(model.leases)))
            case Admin("hash"):
                facts = (("hash", model.rev * 7919), ("hash_revision", model.rev))
                return AdminDone(model.rev, (*facts, ("compacted", model.compacted)))
            case Admin():
                return AdminDone(model.rev)
            case _:
                result = model.apply(op)
        if isinstance(op, Grant) and isinstance(result, GrantDone):
            self._deadlines[result.lease] = now_us + result.ttl_s * SECOND_US
        if model.rev > before:
            self._changed()
        return result

    def _changed(self) -> None:
        self._revs.append((self.heap.now_us, self.model.rev))
        for watch in self._watches:
            self.heap.after(self._delay_ms(), partial(self._feed, watch))

    def _feed(self, watch: Watch) -> None:
        """Tell a watcher every revision that it has not been told, each whole."""
        while not watch.is_over and watch.next <= self.model.rev:
            rev = watch.next
            watch.next += 1
            kvs = [kv for kv in self.model.changes[rev] if _wants(watch.spec, kv.key, kv.version)]
            if self.drops and watch.member and rev % self.drops == 0:
                continue
            if kvs:
                events = tuple(
                    Event(
                        "put" if kv.version else "delete",
                        kv,
                        self.model.version_at(kv.key, rev - 1) if watch.spec.prev_kv else None,
                    )
                    for kv in kvs
                )
                watch.sink(Seen(0, "events", self.model.rev, events))

    def _tick(self) -> None:
        for lease, due_us in list(self._deadlines.items()):
            if lease not in self.model.leases:
                del self._deadlines[lease]
            elif due_us <= self.heap.now_us:
                del self._deadlines[lease]
                before = self.model.rev
                self.model.apply(Revoke(lease))
                if self.model.rev > before:
                    self._changed()
        if self.forgets_us and self.heap.now_us >= self.forgets_us:
            self.forgets_us = 0
            kept = max(rev for at_us, rev in self._revs if at_us <= self.heap.now_us - SECOND_US)
            while self.model.rev > kept:
                self.model.undo()
            self._revs = [each for each in self._revs if each[1] <= kept]
            for watch in self._watches:
                watch.is_over = True
                watch.sink(Seen(0, "lost", 0, reason="restarted"))
        self.heap.after(CHECKS_US / 1000, self._tick)


def _wants(spec: WatchSpec, key: str, version: int) -> bool:
    if ("noput" in spec.filters and version) or ("nodelete" in spec.filters and not version):
        return False
    if not spec.end:
        return key == spec.key
    return spec.key <= key and (spec.end == "\0" or key < spec.end)


def little_run(load: Load, *, seed: int = 1, **faults: int | bool) -> History:
    """Run a plan against a little etcd and return what clients saw, healed and ended."""
    plan, heap = make_plan(seed, load), Heap()
    store = LittleEtcd(heap, Random(seed), **faults)  # type: ignore[arg-type]  # fields by name
    bounds = {"watch_us": 2_000_000, "elect_us": 1_000_000}
    history = History(facts={"bounds": dict(bounds), "seed": seed, "label": "a little etcd"})
    testimony = Testimony()

    def performance(item: Item, memory: Memory) -> Performance:
        if is_witness(item):
            return testimony.watch(item, memory)
        return testimony.held(perform(item, memory), memory)

    recorder = Recorder(history, lambda: heap.now_us)
    clients = Clients(plan.options, performance, store, heap, recorder)
    clients.start(plan.items)
    heap.run_until(plan.options.duration_ms * 1000)
    history.healed_us = heap.now_us
    store.is_whole = True
    clients.start(last_items(plan.options, heap.now_us // 1000))
    heap.run_until(heap.now_us + 20 * SECOND_US)
    recorder.end()
    history.caches = [
        cached(memory, history.ended_us) for memory in clients.memories if memory.cached_rev
    ]
    return history


def struck(history: History) -> History:
    """Return the same history with faults that it never had, for pictures."""
    third = history.ended_us // 6
    kinds = (("kill", (1,)), ("partition", (0, 2)), ("pause", (0,)), ("clock", (4,)))
    history.faults = [
        Fault(third * place + (0 if on else 700_000 * (place + 1)), what, members, on, "drawn")
        for place, (what, members) in enumerate(kinds, 1)
        for on in (True, False)
    ]
    return history


__all__ = ["Heap", "LittleEtcd", "Load", "Put", "little_run", "struck"]
