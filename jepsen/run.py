"""The order of one run: members form, clients and nemesis begin, all is healed, all is looked at.

    form -> until `duration_ms`: clients, witnesses, nemesis -> heal -> settle
         -> last writes, reads and hashes on every member -> quiet -> end

Rule of this file: one thread runs clients, witnesses and the recorder; another one the nemesis,
which may block. What the nemesis did is posted to the first. Nothing is judged here.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from attrs import define, field

from jepsen.clock import RealTime
from jepsen.endpoint import GrpcEndpoint
from jepsen.known import spared
from jepsen.schedule import last_items
from jepsen.witness import Testimony, is_witness
from jepsen.workloads.catalogue import perform
from sim.clients import Clients, Memory, Performance
from sim.history import Fault, History
from sim.ops import Json
from sim.plan import Item, Plan
from sim.recorder import Recorder
from sim.workloads.kube import cached

BOUNDS: Final[dict[str, Json]] = {
    "answer_us": 11_000_000,
    "elect_us": 10_000_000,
    "watch_us": 10_000_000,
    "lease_us": 10_000_000,
}
"""Real machines are shared with others: what a run may take, where the simulator knows better."""
HEAL_S: Final = 150.0
"""How long the nemesis may take to end what it began and to bring every member back."""
LAST_S: Final = 75.0
"""How long the last reads may take, from the healing on."""
QUIET_S: Final = 2.0
"""What watchers are owed in the end comes in that time."""

Say = Callable[[str], None]


class Disturbance(Protocol):
    """Who does harm during a run, in a thread of its own."""

    @property
    def is_over(self) -> bool:
        """Whether all is undone and healed."""
        ...

    def begin(self) -> None:
        """Do what was planned, each at its time."""
        ...

    def stop(self) -> None:
        """Begin nothing more; undo everything. Returns at once."""
        ...


Tell = Callable[[str, tuple[int, ...], bool, str], None]
"""What is done to which members, whether it begins, and what more there is to say."""


class NotHealedError(Exception):
    """The cluster could not be brought back: what came of the run stays to be looked at."""


@define(eq=False)
class Trial:
    """One run against members that are at work."""

    plan: Plan
    endpoints: Sequence[str]
    facts: dict[str, Json]
    say: Say = print
    disturbance: Disturbance | None = None
    spares_known: bool = False
    """Keep out of the way of what `jepsen.known` lists."""
    testimony: Testimony = field(factory=Testimony)
    real: RealTime = field(factory=RealTime)
    """Its time begins here: with the run, once members are at work."""
    history: History = field(init=False)
    _recorder: Recorder = field(init=False)
    _last: int = 0
    """How many of the last items are not done."""

    def __attrs_post_init__(self) -> None:
        self.history = History(facts=self.facts)
        self._recorder = Recorder(self.history, lambda: self.real.now_us)

    def perform(self) -> History:
        """Run it. Raises NotHealedError; `history` is whole anyway."""
        options, real = self.plan.options, self.real
        endpoint = GrpcEndpoint(self.endpoints, real.post)
        endpoint.learn_ids()
        clients = Clients(options, self._performance, endpoint, real, self._recorder)
        nemesis = self.disturbance
        try:
            if nemesis is not None:
                nemesis.begin()
            clients.start(self.plan.items)
            real.run_until(options.duration_ms * 1000)
            if nemesis is not None:
                self._heal(nemesis)
            self._finish(clients)
        finally:
            if nemesis is not None:
                nemesis.stop()
            self._end(clients)
            endpoint.close()
        return self.history

    def _heal(self, nemesis: Disturbance) -> None:
        self.say(f"{self._seconds()}  healing")
        nemesis.stop()
        self._wait(lambda: nemesis.is_over, HEAL_S)
        if not nemesis.is_over:
            raise NotHealedError(f"what was done is not undone within {HEAL_S:.0f} s")

    def _end(self, clients: Clients) -> None:
        self._recorder.end()
        now_us = self.history.ended_us
        self.history.caches = [
            cached(memory, now_us) for memory in clients.memories if memory.cached_rev
        ]

    def _finish(self, clients: Clients) -> None:
        """Note that all is well, and look at every member when it had time to settle."""
        self.history.healed_us = self.real.now_us
        self.say(f"{self._seconds()}  healed; last reads")
        last = last_items(self.plan.options, self.history.healed_us // 1000)
        self._last = len(last)
        clients.start(last)
        self._wait(lambda: not self._last, LAST_S)
        self._wait(lambda: False, QUIET_S)

    def _wait(self, is_over: Callable[[], bool], at_most_s: float) -> None:
        self.real.run_until(self.real.now_us + int(at_most_s * 1e6), is_over)

    def _seconds(self) -> str:
        return f"{self.real.now_us / 1e6:7.1f} s"

    # ---- who performs what

    def _performance(self, item: Item, memory: Memory) -> Performance:
        """Return a performance that leaves what must stay seen."""
        if is_witness(item):
            return self.testimony.watch(item, memory)
        performance = self.testimony.held(perform(item, memory), memory)
        performance = spared(performance) if self.spares_known else performance
        is_last = self._last and item.time_ms >= self.plan.options.duration_ms
        return self._counted(performance) if is_last else performance

    def _counted(self, performance: Performance) -> Performance:
        yield from performance
        self._last -= 1

    # ---- the nemesis's thread

    def now_ms(self) -> int:
        """Milliseconds since the run began. For any thread."""
        return self.real.now_us // 1000

    def tell(self, what: str, members: tuple[int, ...], on: bool, detail: str) -> None:
        """Have recorded what has just begun or ended. For any thread."""
        now_us = self.real.now_us
        self.real.post(partial(self._record, Fault(now_us, what, members, on, detail)))

    def _record(self, fault: Fault) -> None:
        self.history.faults.append(fault)
        who = ", ".join(f"m{number}" for number in fault.members)
        state = "" if fault.on else " ends"
        self.say(f"{fault.time_us / 1e6:7.1f} s  {fault.what}{state} {who} {fault.detail}".rstrip())
