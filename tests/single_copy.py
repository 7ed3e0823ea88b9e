"""One perfect copy of an etcd behind the clients' endpoint, with delays, losses and broken streams.

The rule of this file: the checkers' model does the work; nothing of the product is here. Every
operation happens at one moment between its question and its answer, so what clients saw is
linearizable whatever was lost.
"""

from collections.abc import Callable
from random import Random

from attrs import define, field

from sim.check import shape
from sim.check.model import Model
from sim.clients import Clients
from sim.history import Event, Expire, History, Logged, Seen, WatchSpec
from sim.ops import (
    Admin,
    AdminDone,
    Compact,
    Failed,
    Grant,
    GrantDone,
    KeepAlive,
    KeepAliveDone,
    Kv,
    Leases,
    LeasesDone,
    Op,
    Result,
    TimeToLive,
    TimeToLiveDone,
    Unknown,
)
from sim.plan import Plan
from sim.recorder import Recorder
from sim.workloads.catalogue import perform
from sim.world import World

NO_LEADER = "etcdserver: no leader"


@define(eq=False)
class _Stream:
    spec: WatchSpec
    sink: Callable[[Seen], None]
    next_rev: int
    is_open: bool = True
    stalled_until_us: int = 0


@define(eq=False)
class SingleCopy:
    """An `Endpoint` on a `World`. Of 100 operations `lost` get no answer, `refused` a refusal."""

    world: World
    chance: Random = field(factory=lambda: Random(0))
    lost: int = 0
    refused: int = 0
    model: Model = field(factory=Model)
    log: list[Logged] = field(factory=list[Logged])
    asked: list[tuple[int, Op]] = field(factory=list[tuple[int, Op]])
    progress_asked: int = 0
    _streams: list[_Stream] = field(factory=list[_Stream])
    _ends_us: dict[int, int] = field(factory=dict[int, int])

    def ask(self, member: int, op: Op, deadline_ms: int, then: Callable[[Result], None]) -> None:
        """Answer within some milliseconds, or at the deadline with nothing known."""
        call = len(self.asked)
        self.asked.append((member, op))
        there_ms = self.chance.random() * 5
        fate = self.chance.random() * 100
        is_lost, is_refused = fate < self.lost, self.lost <= fate < self.lost + self.refused
        never_happens = is_lost and self.chance.random() < 0.5

        def happen() -> None:
            result: Result = Failed(NO_LEADER)
            if not is_refused and not never_happens:
                result = self._do(op, call)
            if not is_lost:
                self.world.after(self.chance.random() * 5, lambda: then(result))

        self.world.after(there_ms, happen)
        if is_lost:
            self.world.after(deadline_ms, lambda: then(Unknown("deadline")))

    def watch(
        self, member: int, spec: WatchSpec, sink: Callable[[Seen], None]
    ) -> Callable[[], None]:
        """Open a stream; what closes it is a `Stream`."""
        stream = _Stream(spec, sink, 0)

        def begin() -> None:
            if not stream.is_open:
                return
            self._see(stream, Seen(0, "created", self.model.rev))
            stream.next_rev = spec.rev or self.model.rev + 1
            if 0 < spec.rev < self.model.compacted:
                stream.is_open = False
                self._see(
                    stream, Seen(0, "canceled", self.model.rev, compact_rev=self.model.compacted)
                )
            self._streams.append(stream)
            self.feed(stream)

        self.world.after(1, begin)
        return _Handle(self, stream)

    def heal(self) -> None:
        """Lose and refuse nothing any more."""
        self.lost = self.refused = 0

    def lose_streams(self) -> None:
        """Break every stream that is open."""
        for stream in self._streams:
            if stream.is_open:
                stream.is_open = False
                stream.sink(Seen(0, "lost", 0, reason="reset"))
        self._streams.clear()

    def mark(self) -> None:
        """Send a progress mark on every stream that asked for them."""
        for stream in self._streams:
            if stream.is_open and stream.spec.progress and stream.next_rev == self.model.rev + 1:
                self._see(stream, Seen(0, "progress", self.model.rev))

    # What operations do.

    def _do(self, op: Op, call: int) -> Result:
        model = self.model
        if text := shape.refused(op):
            return Failed(text)
        match op:
            case KeepAlive(lease):
                ttl_s = model.leases.get(lease, 0)
                if ttl_s:
                    self._hold(lease, ttl_s)
                return KeepAliveDone(model.rev, lease, ttl_s)
            case TimeToLive(lease, keys):
                if lease not in model.leases:
                    return TimeToLiveDone(model.rev, lease, -1, 0)
                left_s = (self._ends_us[lease] - self.world.now_us) // 1_000_000
                names = tuple(model.keys_of(lease)) if keys else ()
                return TimeToLiveDone(model.rev, lease, left_s, model.leases[lease], names)
            case Leases():
                return LeasesDone(model.rev, tuple(sorted(model.leases)))
            case Admin():
                return AdminDone(model.rev)
            case _:
                result = model.apply(op)
        if isinstance(op, Compact | Grant) or not shape.is_read(op):
            self._file(op, call)
        if isinstance(result, GrantDone):
            self._hold(result.lease, result.ttl_s)
        self._spread()
        return result

    def _file(self, what: Op | Expire, call: int | None) -> None:
        self.log.append(Logged(len(self.log) + 1, 0, 1, call, what, self.model.rev))

    def _hold(self, lease: int, ttl_s: int) -> None:
        self._ends_us[lease] = self.world.now_us + ttl_s * 1_000_000
        self.world.after(ttl_s * 1_000 + 1, lambda: self._expire(lease))

    def _expire(self, lease: int) -> None:
        if lease in self.model.leases and self._ends_us[lease] <= self.world.now_us:
            self.model.revoke(lease)
            self._file(Expire(lease), None)
            self._spread()

    # What streams bring.

    def _spread(self) -> None:
        for stream in self._streams:
            self.feed(stream)
        self._streams = [stream for stream in self._streams if stream.is_open]

    def feed(self, stream: _Stream) -> None:
        """Send a stream what it has not seen, unless it stands still."""
        if self.world.now_us < stream.stalled_until_us:
            return
        while stream.is_open and stream.next_rev <= self.model.rev:
            rev = stream.next_rev
            stream.next_rev += 1
            events = tuple(self._events(stream.spec, rev))
            if events:
                self._see(stream, Seen(0, "events", self.model.rev, events))

    def _events(self, spec: WatchSpec, rev: int) -> list[Event]:
        events: list[Event] = []
        for kv in self.model.changes[rev]:
            kind = "put" if kv.version else "delete"
            if shape.covers(spec.key, spec.end, kv.key) and f"no{kind}" not in spec.filters:
                prev = self.model.version_at(kv.key, rev - 1) if spec.prev_kv else None
                shown = kv if kv.version else Kv(kv.key, "", 0, rev, 0)
                events.append(Event(kind, shown, prev))
        return events

    def _see(self, stream: _Stream, seen: Seen) -> None:
        stream.sink(seen._replace(time_us=self.world.now_us))


@define(eq=False)
class _Handle:
    copy: SingleCopy
    stream: _Stream

    def __call__(self) -> None:
        self.stream.is_open = False

    def slow(self, ms: int) -> None:
        self.stream.stalled_until_us = self.copy.world.now_us + ms * 1000
        self.copy.world.after(ms, lambda: self.copy.feed(self.stream))

    def ask_progress(self) -> None:
        self.copy.progress_asked += 1


@define
class Played:
    """A plan played on a single copy."""

    copy: SingleCopy
    clients: Clients
    history: History


def play(plan: Plan, *, lost: int = 0, refused: int = 0, breaks_ms: int = 0) -> Played:
    """Run a plan's clients to the end on a single copy; streams break every `breaks_ms`."""
    world = World(plan.seed)
    copy = SingleCopy(world, world.chance("copy"), lost, refused)
    history = History(facts={"seed": plan.seed})
    recorder = Recorder(history, lambda: world.now_us)
    clients = Clients(plan.options, perform, copy, world, recorder)
    clients.start(plan.items)

    def again() -> None:
        if world.now_us < end_us:
            copy.lose_streams()
            world.after(breaks_ms, again)

    def mark() -> None:
        copy.mark()
        world.after(500, mark)

    end_us = plan.options.duration_ms * 1000
    world.at(end_us, copy.heal)
    if breaks_ms:
        world.after(breaks_ms, again)
    world.after(500, mark)
    world.run_until(end_us + 20_000_000)
    recorder.end()
    history.log = copy.log
    history.healed_us = end_us
    return Played(copy, clients, history)
