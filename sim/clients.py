"""Clients as processes without I/O: what they do next, and who lets them do it.

Rule of this file: no chance, no clock of its own, no product. A *performer* is a generator: it
yields steps and is sent what came of them, so that simulator and threads can drive it alike. One
slot (a client, a watcher, the operator) performs one item at a time:

    step       | is sent
    -----------|-------------------------------------------------------------
    Ask        | the Result
    Sleep      | None
    OpenWatch  | the stream's number, an int
    Await      | the next Seen of that stream, or None when `ms` passed first
    Progress   | None
    CloseWatch | None

A process id is retired when one of its operations has an unknown outcome; its slot goes on under a
new one. The same operation is never asked again: performers make a new one, with a new value.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

from attrs import define, field

from sim.history import Seen, Watcher, WatchSpec
from sim.menu import MENU
from sim.ops import NO_CONNECTION, Compact, CompactDone, Failed, Op, Result, Unknown
from sim.plan import Item, Options
from sim.recorder import Recorder

PATIENT_MS = 11_000
"""How long a client waits for an answer once all faults are over."""


BACKOFF_MS: Final = 50
BACKOFF_MS_MAX: Final = 400
"""A client waits so long, doubling, before its next item while what it asks comes to nothing.

Without it most of a run's operations would be spent in the second in which nobody leads.
"""
_UNREACHED: Final = Failed(NO_CONNECTION)


class Ask(NamedTuple):
    """Ask a member for an operation."""

    op: Op
    member: int


class Sleep(NamedTuple):
    """Do nothing for a while."""

    ms: int


class OpenWatch(NamedTuple):
    """Open a watch on a stream of its own."""

    spec: WatchSpec
    member: int


class Await(NamedTuple):
    """Wait for what the stream brings next, at most so long."""

    stream: int
    ms: int


class Progress(NamedTuple):
    """Ask the stream how far it is."""

    stream: int


class CloseWatch(NamedTuple):
    """Give a stream up."""

    stream: int


Step = Ask | Sleep | OpenWatch | Await | Progress | CloseWatch
Reply = Result | Seen | int | None
Performance = Generator[Step, Reply, None]


class Endpoint(Protocol):
    """The members as a client reaches them."""

    def ask(self, member: int, op: Op, deadline_ms: int, then: Callable[[Result], None]) -> None:
        """Answer by exactly one `then`, at a later event; at the deadline with `Unknown`.

        The n-th ask, from 0, is the call of number n in the history: the log can name it.
        """
        ...

    def watch(
        self, member: int, spec: WatchSpec, sink: Callable[[Seen], None]
    ) -> Callable[[], None]:
        """Open a watch on a stream of its own; return what closes it. It may be a `Stream`.

        A stream that breaks gives `Seen` of kind "lost", once, and nothing after it.
        """
        ...


@runtime_checkable
class Stream(Protocol):
    """What `Endpoint.watch` may return: it closes when called, and can do more."""

    def __call__(self) -> None: ...

    def slow(self, ms: int) -> None:
        """Read nothing for so long."""
        ...

    def ask_progress(self) -> None:
        """Ask for a progress notification (WatchProgressRequest)."""
        ...


class Scheduler(Protocol):
    """Who lets time pass."""

    @property
    def now_us(self) -> int: ...

    def after(self, delay_ms: float, call: Callable[[], None], /) -> object: ...


@define
class Common:
    """What all clients of a run know of each other's doings."""

    newest: int = 1
    """The highest revision that anybody saw."""
    compacted: int = 0
    """The highest compaction that was acknowledged."""
    leases: list[int] = field(factory=list[int])
    """Leases granted and not known to be gone, oldest first."""
    now_us: Callable[[], int] = lambda: 0


@define
class Memory:
    """What one slot remembers from item to item."""

    options: Options
    common: Common
    slot: int = 0
    newest: int = 1
    """The highest revision that this slot saw acknowledged."""
    mods: dict[str, int] = field(factory=dict[str, int])
    """Keys' mod revisions as last seen; 0 or absent: not there."""
    values: dict[str, str] = field(factory=dict[str, str])
    leases: list[int] = field(factory=list[int])
    numbers: dict[str, int] = field(factory=dict[str, int])
    """Whatever else a workload keeps, by name."""
    home: int | None = None
    """The member to use whatever an item says, since the client reconnected there."""
    cache: dict[str, tuple[int, str]] = field(factory=dict[str, tuple[int, str]])
    """An informer's: mod revision and value by key."""
    cached_rev: int = 0
    """The revision of which `cache` is a picture."""

    @property
    def is_late(self) -> bool:
        """Whether the time for faults is over: what an operator does may cost an election."""
        return self.common.now_us() >= self.options.duration_ms * 1000

    def member(self, wanted: int) -> int:
        """Return which member an item means."""
        return (wanted if self.home is None else self.home) % self.options.members


@define(eq=False)
class _Open:
    watcher: Watcher
    close: Callable[[], None]
    queue: deque[Seen] = field(factory=deque[Seen])
    is_over: bool = False


@define(eq=False)
class _Slot:
    memory: Memory
    process: int
    items: deque[Item] = field(factory=deque[Item])
    performance: Performance | None = None
    is_alarmed: bool = False
    backoff_ms: int = 0
    """How long it waits after an item, since its last operation had no answer."""
    turn: int = 0
    """Counts what it waited for: an answer to anything but the latest is late."""
    call: int | None = None
    awaits: int | None = None
    streams: dict[int, _Open] = field(factory=dict[int, _Open])


class Clients:
    """Performs a plan's client and watcher items, and the faults that clients do themselves."""

    def __init__(
        self,
        options: Options,
        perform: Callable[[Item, Memory], Performance],
        endpoint: Endpoint,
        scheduler: Scheduler,
        recorder: Recorder,
    ) -> None:
        self.common = Common(now_us=lambda: scheduler.now_us)
        self.counts: dict[str, int] = {}
        """Items begun, by what they do."""
        self.dropped = 0
        """Items that had not begun when the run's duration was over."""
        self._options = options
        self._perform = perform
        self._endpoint = endpoint
        self._scheduler = scheduler
        self._recorder = recorder
        count = max(1, options.clients) + max(0, options.watchers) + 1
        self._slots = [
            _Slot(Memory(options, self.common, slot=number), number) for number in range(count)
        ]
        self._processes = count

    @property
    def memories(self) -> Sequence[Memory]:
        """What each slot remembers: clients, then watchers, then the operator."""
        return [slot.memory for slot in self._slots]

    def start(self, items: Sequence[Item]) -> None:
        """Take the items of clients and watchers, and those faults that clients do."""
        for item in items:
            if item.who == "client":
                self._slots[item.number % max(1, self._options.clients)].items.append(item)
            elif item.who == "watcher" and self._options.watchers:
                place = max(1, self._options.clients) + item.number % self._options.watchers
                self._slots[place].items.append(item)
            elif item.who == "fault" and MENU[item.do].by == "clients":
                self._later(item)
        for slot in self._slots:
            self._continue(slot)

    def forget(self) -> None:
        """Let go of streams that are open, and hold on to their clients, when all is over."""
        for slot in self._slots:
            for stream in slot.streams.values():
                stream.close = _nothing

    # ---- one slot after another item

    def _continue(self, slot: _Slot) -> None:
        """Begin the next item, at its time."""
        if slot.performance is not None or slot.is_alarmed or not slot.items:
            return
        wait_ms = slot.items[0].time_ms - self._scheduler.now_us // 1000
        if wait_ms > 0:
            slot.is_alarmed = True
            self._scheduler.after(wait_ms, lambda: self._alarm(slot))
            return
        item = slot.items.popleft()
        end_ms = self._options.duration_ms
        if item.time_ms < end_ms <= self._scheduler.now_us // 1000:
            self.dropped += 1
            self._scheduler.after(0, lambda: self._continue(slot))
            return
        self.counts[item.do] = self.counts.get(item.do, 0) + 1
        slot.performance = self._perform(item, slot.memory)
        self._advance(slot, None)

    def _alarm(self, slot: _Slot) -> None:
        slot.is_alarmed = False
        self._continue(slot)

    def _advance(self, slot: _Slot, reply: Reply) -> None:
        """Let the slot's performer do steps until one has to wait."""
        performance = slot.performance
        assert performance is not None, "a slot without an item is sent nothing"
        slot.turn += 1
        while True:
            try:
                step = performance.send(reply)
            except StopIteration:
                slot.performance = None
                self._scheduler.after(slot.backoff_ms, lambda: self._continue(slot))
                return
            if isinstance(step, Ask):  # The most frequent by far.
                self._ask(slot, step.op, step.member)
                return
            match step:
                case Sleep(ms):
                    self._wake(slot, ms)
                    return
                case OpenWatch(spec, member):
                    reply = self._open(slot, spec, member)
                case Await(number, ms):
                    stream = slot.streams[number]
                    if not stream.queue:
                        slot.awaits = number
                        self._wake(slot, ms)
                        return
                    reply = self._taken(slot, stream)
                case Progress(number):
                    close = slot.streams[number].close
                    if isinstance(close, Stream) and not slot.streams[number].is_over:
                        close.ask_progress()
                    reply = None
                case CloseWatch(number):
                    self._close(slot.streams.pop(number))
                    reply = None

    def _wake(self, slot: _Slot, ms: int) -> None:
        """Go on after a while with nothing, unless something came first."""
        turn = slot.turn

        def wake() -> None:
            if slot.turn == turn:
                slot.awaits = None
                self._advance(slot, None)

        self._scheduler.after(ms, wake)

    # ---- operations

    def _ask(self, slot: _Slot, op: Op, member: int) -> None:
        turn, process = slot.turn, slot.process
        number = self._recorder.invoke(process, member, op)
        slot.call = number

        def then(result: Result) -> None:
            if slot.call == number and slot.turn == turn:
                self._answered(slot, op, result)

        deadline_ms = self._options.timeout_ms
        if self._scheduler.now_us >= self._options.duration_ms * 1000:
            # What is owed now is waited for: else nobody would see that it never comes.
            deadline_ms = max(deadline_ms, PATIENT_MS)
        self._endpoint.ask(member, op, deadline_ms, then)

    def _answered(self, slot: _Slot, op: Op, result: Result) -> None:
        assert slot.call is not None, "only a call under way is answered"
        self._recorder.finish(slot.call, result)
        slot.call = None
        if isinstance(result, Unknown):
            slot.process = self._processes
            self._processes += 1
        if isinstance(result, Unknown) or result == _UNREACHED:
            slot.backoff_ms = min(max(BACKOFF_MS, 2 * slot.backoff_ms), BACKOFF_MS_MAX)
        else:
            slot.backoff_ms = 0
            self._learn(slot.memory, result.rev)
            if isinstance(op, Compact) and isinstance(result, CompactDone):
                self.common.compacted = max(self.common.compacted, op.rev)
        self._advance(slot, result)

    def _learn(self, memory: Memory, rev: int) -> None:
        if rev > memory.newest:
            memory.newest = rev
            if rev > self.common.newest:
                self.common.newest = rev

    # ---- streams

    def _open(self, slot: _Slot, spec: WatchSpec, member: int) -> int:
        after_rev = slot.memory.newest
        watcher = self._recorder.open(slot.process, member, spec, after_rev=after_rev)
        number = watcher.number
        stream = _Open(watcher, _nothing)
        slot.streams[number] = stream

        def sink(seen: Seen) -> None:
            if not stream.is_over:
                self._seen(slot, number, stream, seen)

        stream.close = self._endpoint.watch(member, spec, sink)
        return number

    def _seen(self, slot: _Slot, number: int, stream: _Open, seen: Seen) -> None:
        stream.queue.append(self._recorder.see(stream.watcher, seen))
        if seen.kind in ("lost", "canceled"):
            stream.is_over = True
        if slot.awaits == number:
            slot.awaits = None
            self._advance(slot, self._taken(slot, stream))

    def _taken(self, slot: _Slot, stream: _Open) -> Seen:
        seen = stream.queue.popleft()
        self._learn(slot.memory, seen.rev)
        return seen

    def _close(self, stream: _Open) -> None:
        """Give a stream up; one that has ended by itself is not closed again."""
        if not stream.is_over:
            stream.is_over = True
            stream.close()
            self._recorder.close(stream.watcher)
        stream.close = _nothing

    # ---- the faults that clients do

    def _later(self, item: Item) -> None:
        wait_ms = item.time_ms - self._scheduler.now_us // 1000
        self._scheduler.after(max(0, wait_ms), lambda: self._fault(item))

    def _fault(self, item: Item) -> None:
        self.counts[item.do] = self.counts.get(item.do, 0) + 1
        match item.do:
            case "cancel":
                self._give_up(self._slots[self._place(item)], "cancelled")
            case "reconnect":
                slot = self._slots[self._place(item)]
                slot.memory.home = _integer(item, "member") % self._options.members
                streams = list(slot.streams.items())
                self._give_up(slot, "reconnected")
                for number, stream in streams:
                    if not stream.is_over:
                        stream.close()
                        self._seen(slot, number, stream, Seen(0, "lost", 0, reason="reconnected"))
            case "slow_watcher":
                if self._options.watchers:
                    number = _integer(item, "watcher") % self._options.watchers
                    slot = self._slots[max(1, self._options.clients) + number]
                    for stream in slot.streams.values():
                        if isinstance(stream.close, Stream) and not stream.is_over:
                            stream.close.slow(_integer(item, "ms"))
            case "oversized":
                self._interject(self._slots[self._place(item)], item)
            case _:
                self._interject(self._slots[-1], item)

    def _place(self, item: Item) -> int:
        return _integer(item, "client") % (len(self._slots) - 1)

    def _give_up(self, slot: _Slot, why: str) -> None:
        """End the operation under way without its answer: it may happen or not."""
        if slot.call is not None:
            self._recorder.finish(slot.call, Unknown(why))
            slot.call = None
            slot.process = self._processes
            self._processes += 1
            self._advance(slot, Unknown(why))

    def _interject(self, slot: _Slot, item: Item) -> None:
        """Let a slot do something that its items do not say, before its next item."""
        slot.items.appendleft(item._replace(do=f"admin.{item.do}"))
        if slot.performance is None and not slot.is_alarmed:
            self._continue(slot)


def _nothing() -> None:
    """Close nothing: the stream is not open yet."""


def _integer(item: Item, name: str) -> int:
    value = item.args.get(name)
    assert isinstance(value, int), f"{item.do} carries {name}"
    return value
