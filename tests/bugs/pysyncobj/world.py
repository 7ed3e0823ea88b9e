"""A small deterministic world for directed schedules: a clock, machines, and links between them.

Rule of this file: one heap of events in virtual time, no threads, no sockets, no chance. A link is
one connection as TCP has it: FIFO each way, whole or gone; nothing of an ended connection arrives.
A schedule may keep what is under way on a link and let it go message by message. What runs on a
machine (the stock library, the engine) is for others to say.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from tests.bugs.pysyncobj.judge import Judge

LATENCY_S = 0.001
TICK_S = 0.01


class Glance(NamedTuple):
    """What a schedule may know of a message: "append", "snapshot", "vote", "ack" or "other"."""

    kind: str
    entries: int = 0
    """How many entries an append carries: one without any is a heartbeat."""
    previous: int = 0
    """The index that an append follows on."""


class Kept(NamedTuple):
    """A message under way, kept by the schedule."""

    source: int
    target: int
    epoch: int
    message: object


class Machine(Protocol):
    """One member: its process and its disk."""

    is_up: bool

    def start(self) -> None:
        """Begin a life on what the disk holds."""
        ...

    def stop(self) -> None:
        """Kill the process; what the kernel has of its files stays."""
        ...

    def link(self, peer: int, *, up: bool) -> None:
        """A connection to a peer stands, or is gone."""
        ...

    def arrived(self, peer: int, message: object) -> None:
        """A message came."""
        ...

    def tick(self) -> None:
        """Time passed."""
        ...

    def knows(self, peer: int) -> bool:
        """Whether the peer is a member, as far as this one knows."""
        ...

    def glance(self, message: object) -> Glance:
        """Tell what kind of message this is."""
        ...

    def campaign_in(self, seconds: float) -> None:
        """Have the election timer fire after so long: one of its legal outcomes."""
        ...

    def put(self, name: str, size: int) -> None:
        """Have a client ask this member to order something."""
        ...

    def join(self, peer: int) -> None:
        """Have an operator ask this member to add a voter."""
        ...

    def compact(self) -> None:
        """Take a snapshot and cut the log."""
        ...

    def weigh(self, size: int) -> None:
        """Let the state have so many bytes more."""
        ...

    def remember_disk(self) -> None:
        """The kernel writes back now what the disk holds of the log."""
        ...

    def lose_power(self) -> None:
        """End; of the log only what the kernel wrote back is left, renamed files are all there."""
        ...

    @property
    def leads(self) -> bool:
        """Whether it thinks that it leads."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """What its state holds, in order."""
        ...

    @property
    def last_index(self) -> int:
        """The end of its log."""
        ...

    @property
    def commit_index(self) -> int:
        """What it knows to be committed."""
        ...


class World:
    """Machines 1 to n. `judge` notes what they apply and what clients are told."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.judge = Judge()
        self.machines: dict[int, Machine] = {}
        self.send_s = 0.0
        """How long it takes a machine to send one message."""
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._events = 0
        self._lives: dict[int, int] = {}
        self._epochs: dict[tuple[int, int], int] = {}
        self._standing: set[tuple[int, int]] = set()
        self._cut: set[tuple[int, int]] = set()
        self._kept: dict[tuple[int, int], list[Kept]] = {}

    # Time.

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let so much time pass, or less once something holds; whether it does."""
        end_s = self.now_s + seconds
        while self._heap and self._heap[0][0] <= end_s:
            at_s, _, call = heappop(self._heap)
            self.now_s = max(self.now_s, at_s)
            call()
            if until is not None and until():
                return True
        self.now_s = max(self.now_s, end_s)
        return False

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._events += 1
        heappush(self._heap, (self.now_s + seconds, self._events, call))

    # Machines.

    def start(self, *numbers: int) -> None:
        """Start machines."""
        for number in numbers:
            self.machines[number].start()
            self._tick(number)
            self.connect()

    def stop(self, *numbers: int) -> None:
        """Kill the processes of machines."""
        for number in numbers:
            self.machines[number].stop()
            self._disconnect_all(number)

    def lose_power(self, *numbers: int) -> None:
        """Let the power of machines fail together."""
        for number in numbers:
            self.machines[number].lose_power()
            self._disconnect_all(number)

    def _disconnect_all(self, number: int) -> None:
        for other in self.machines:
            self._disconnect(number, other)

    def _tick(self, number: int) -> None:
        machine = self.machines[number]

        def tick() -> None:
            if machine.is_up and life == self._lives.get(number):
                machine.tick()
                self._after(TICK_S, tick)

        life = self._lives[number] = self._lives.get(number, 0) + 1
        self._after(0, tick)

    def elect(self, number: int) -> None:
        """Have a machine elected: nobody else's timer fires first."""
        for each, machine in self.machines.items():
            if machine.is_up:
                machine.campaign_in(0 if each == number else 5)
        wanted = self.machines[number]
        self.run(2, lambda: wanted.leads and wanted.commit_index == wanted.last_index)
        assert wanted.leads, f"the schedule needs machine {number} to lead"

    def calm(self) -> None:
        """Nobody's timer fires for long."""
        for machine in self.machines.values():
            if machine.is_up and not machine.leads:
                machine.campaign_in(30)

    def put(self, number: int, *names: str, size: int = 512) -> None:
        """Have clients ask a machine to order each of these."""
        for name in names:
            self.machines[number].put(name, size)

    def leader(self) -> Machine | None:
        """Return who leads; the newest, where several think so."""
        leading = [each for each in self.machines.values() if each.is_up and each.leads]
        return max(leading, key=lambda each: each.commit_index, default=None)

    # Links.

    def connect(self) -> None:
        """Have connections stand wherever they can."""
        for a, first in self.machines.items():
            for b, second in self.machines.items():
                if not (a < b and first.is_up and second.is_up) or (a, b) in self._cut:
                    continue
                if (a, b) not in self._standing and first.knows(b) and second.knows(a):
                    self._standing.add((a, b))
                    first.link(b, up=True)
                    second.link(a, up=True)

    def _disconnect(self, a: int, b: int) -> None:
        pair = (min(a, b), max(a, b))
        if pair not in self._standing:
            return
        self._standing.discard(pair)
        self._epochs[pair] = self._epochs.get(pair, 0) + 1
        for one, other in (pair, pair[::-1]):
            if self.machines[one].is_up:
                self.machines[one].link(other, up=False)

    def dropped(self, a: int, b: int) -> None:
        """A machine gives a connection up."""
        self._disconnect(a, b)

    def reset(self, a: int, b: int) -> None:
        """Break a connection: what was under way is lost. The next one stands at once."""
        self._disconnect(a, b)
        self.connect()

    def cut(self, *sides: Sequence[int]) -> None:
        """Only machines of one side reach each other."""
        side = {number: place for place, each in enumerate(sides) for number in each}
        numbers = list(self.machines)
        self._cut = {(a, b) for a in numbers for b in numbers if a < b and side[a] != side[b]}
        for a, b in sorted(self._cut):
            self._disconnect(a, b)
        self.connect()

    def heal(self) -> None:
        """Everybody reaches everybody."""
        self._cut = set()
        self.connect()

    def post(self, source: int, target: int, message: object) -> None:
        """Have a message arrive, if there is a connection and it lasts."""
        pair = (min(source, target), max(source, target))
        self.now_s += self.send_s
        if pair not in self._standing:
            return
        sent = Kept(source, target, self._epochs.get(pair, 0), message)
        if (source, target) in self._kept:
            self._kept[source, target].append(sent)
        else:
            self._after(LATENCY_S, lambda: self.pass_on(sent))

    def pass_on(self, sent: Kept) -> None:
        """Let one message arrive now, unless its connection has ended."""
        pair = (min(sent.source, sent.target), max(sent.source, sent.target))
        if pair in self._standing and sent.epoch == self._epochs.get(pair, 0):
            self.machines[sent.target].arrived(sent.source, sent.message)

    def keep(self, source: int, target: int) -> list[Kept]:
        """Keep what is sent one way from now on; return where it gathers."""
        self._kept[source, target] = gathered = []
        return gathered

    def go_on(self, source: int, target: int) -> None:
        """Keep nothing more of what is sent one way."""
        self._kept.pop((source, target), None)

    def glance(self, sent: Kept) -> Glance:
        """Tell what kind of message was kept."""
        return self.machines[sent.source].glance(sent.message)


@contextmanager
def switched(owner: object, **names: object) -> Iterator[None]:
    """Let names of a module mean something else for a while."""
    before = {name: getattr(owner, name) for name in names}
    for name, value in names.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
