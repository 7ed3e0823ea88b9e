"""All blows of a run, one after another, by the clock; and everything undone at the end.

The rule of this file: one thread does everything to the cluster. A blow that is late is done at
once and lasts as long as it should; one for which no time is left is left out, and one that must
be alone if the cluster does not become whole. What went wrong is
kept and told: a finding is the cluster's fault, a failure is the harness's.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from attrs import define, field, frozen

from jepsen.cluster import Cluster, ClusterError
from jepsen.nemesis.blow import Blow, FindingError, Held, IdleError, Nemesis
from jepsen.nemesis.catalogue import NEMESES
from jepsen.nemesis.operator import is_settled, wait

SETTLE_S = 30.0
LATE_MS = 2000
"""So much later than planned the last blow may end."""
T = TypeVar("T")

Tell = Callable[[str, tuple[int, ...], bool, str], None]
"""What, members, whether it begins, detail: a `sim.history.Fault` without its time."""


@frozen
class Finding:
    """Something that the cluster did under a blow and must never do."""

    time_ms: int
    what: str
    text: str


class InForce(NamedTuple):
    """A blow until it ends."""

    until_ms: int
    order: int
    """No two are the same: blows are not compared."""
    blow: Blow
    held: Held


@define(eq=False)
class Storm:
    """The blows of one run, by their time. `begin` starts its thread, `stop` has it heal."""

    cluster: Cluster
    blows: Sequence[Blow]
    now_ms: Callable[[], int]
    """Milliseconds since the run's begin."""
    tell: Tell
    """Called from the storm's thread."""
    findings: list[Finding] = field(factory=list[Finding])
    failures: list[str] = field(factory=list[str])
    counts: dict[str, int] = field(factory=dict[str, int])
    """Blows done, by nemesis and what it did."""
    idle: dict[str, int] = field(factory=dict[str, int])
    """Blows left out: nobody to do it to, no time left, or the cluster never was whole."""
    nemeses: dict[str, Nemesis] = field(factory=lambda: dict(NEMESES))
    _force: list[InForce] = field(factory=list[InForce])
    _over: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Strike from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="nemesis")
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the last blow has ended, and all is healed."""
        return self._thread is not None and not self._thread.is_alive()

    def stop(self) -> None:
        """Begin no more blows, undo what is in force, heal. Returns at once: see `is_over`."""
        self._over.set()

    def end(self) -> None:
        """Stop, and wait until all is healed."""
        self._over.set()
        self.wait()

    def wait(self) -> None:
        """Wait until the last blow has ended, and all is healed."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        limit_ms = max((blow.until_ms for blow in self.blows), default=0)
        for blow in self.blows:
            self._undo(before_ms=blow.at_ms)
            if self._over.wait(max(0, blow.at_ms - self.now_ms()) / 1000):
                break
            self._strike(blow, limit_ms)
        self._undo(before_ms=limit_ms + LATE_MS + 1)
        for name in dict.fromkeys(blow.nemesis for blow in self.blows):
            self._attempt(f"{name}, healing", partial(self._heal, name))

    def _undo(self, before_ms: int) -> None:
        """Undo the blows that end before then, each at its time; at once, if all is over."""
        while self._force and min(self._force).until_ms < before_ms:
            first = min(self._force)
            self._over.wait(max(0, first.until_ms - self.now_ms()) / 1000)
            self._release(first)

    def _strike(self, blow: Blow, limit_ms: int) -> None:
        name = f"{blow.nemesis} {blow.do}"
        # One that must be alone, and began late, has its end now.
        for each in [one for one in self._force if self.nemeses[one.blow.nemesis].is_alone]:
            self._release(each)
        if self.nemeses[blow.nemesis].is_alone and not self._is_whole():
            self._left_out(name)
            return
        until_ms = self.now_ms() + blow.until_ms - blow.at_ms
        if until_ms > limit_ms + LATE_MS:
            self._left_out(name)
            return
        begin = partial(self.nemeses[blow.nemesis].begin, blow, self.cluster)
        held = self._attempt(name, begin)
        if held is None:
            return
        self.counts[name] = self.counts.get(name, 0) + 1
        self._force.append(InForce(until_ms, sum(self.counts.values()), blow, held))
        self.tell(blow.nemesis, held.members, True, held.detail)

    def _is_whole(self) -> bool:
        """Undo all that is in force and wait. False if it takes too long, or if all is over."""
        for each in list(self._force):
            self._release(each)
        is_whole = wait(lambda: self._over.is_set() or is_settled(self.cluster), SETTLE_S)
        return is_whole and not self._over.is_set()

    def _release(self, each: InForce) -> None:
        self._force.remove(each)
        detail = self._attempt(f"{each.blow.nemesis} {each.blow.do}, its end", each.held.release)
        self.tell(each.blow.nemesis, each.held.members, False, detail or "")

    def _heal(self, name: str) -> None:
        self.nemeses[name].heal(self.cluster)

    def _attempt(self, what: str, deed: Callable[[], T]) -> T | None:
        """Do it. What it raises is kept by its kind, and the storm goes on."""
        try:
            return deed()
        except IdleError:
            self._left_out(what)
        except FindingError as error:
            self.findings.append(Finding(self.now_ms(), what, str(error)))
        except ClusterError as error:
            self.failures.append(f"{what}: {error}")
        return None

    def _left_out(self, name: str) -> None:
        self.idle[name] = self.idle.get(name, 0) + 1
