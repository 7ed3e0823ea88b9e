"""Planted bugs of liveness: what stops for ever and should not, once everything is healed.

Rule of this file: each makes a member forget something that it owes; its docstring says what.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

from collections.abc import Generator, Sequence

from core import inputs, node
from core.effects import Effect
from core.state import State
from core.watches import WatchHub
from core.watching import Watcher
from sim.ops import Put, Range
from sim.planted.bug import Catalogue, ask, fault, script, watch
from sim.swapping import swapped

LIVING = Catalogue()


@LIVING.bug(
    "liveness",
    workload="register",
    members=3,
    faults=["partition", "operations"],
    directed=script(
        *(ask(900 + 100 * n, Put("k", str(n)), member=n) for n in range(20)),
        *(ask(9_000 + n, Range("k"), client=n, member=n) for n in range(3)),
        fault(1_500, "depose", ms=300),
    ),
)
def reads_end_with_leadership() -> Generator[None]:
    """Who led once and does not any more never begins a round of reads again."""
    depose, begin = node.Node._depose, node.Node.begin_reads

    def noting(self: node.Node, given: inputs.Deposed) -> None:
        if self.leading_term:
            vars(self)["is_silent"] = True
        depose(self, given)

    def silent(self: node.Node) -> Sequence[Effect]:
        return () if vars(self).get("is_silent") else begin(self)

    with swapped(node.Node, "_depose", noting), swapped(node.Node, "begin_reads", silent):
        yield


@LIVING.bug(
    "watch",
    workload="watch",
    directed=script(
        *(ask(900 + 20 * n, Put("k", str(n))) for n in range(40)), watch(1_500, "k", rev=2)
    ),
)
def catching_up_never_ends() -> Generator[None]:
    """A watcher from the past gets its first slice and is then forgotten."""
    catch_up = WatchHub.catch_up

    def once(self: WatchHub, state: State) -> bool:
        more = catch_up(self, state)
        for watcher in list(self.unsynced):
            self._join(watcher)
        return more

    join = WatchHub._join

    def losing(self: WatchHub, watcher: Watcher) -> None:
        join(self, watcher)
        watcher.start = 1 << 60

    with swapped(WatchHub, "catch_up", once), swapped(WatchHub, "_join", losing):
        yield
