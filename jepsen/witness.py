"""Witnesses: one watch of everything on each member, resumed where it broke, so that nothing stays
unseen of what the writes came to; and compactions that wait for them.

Rule of this file: performers without I/O, as in `sim.workloads`. A revision that a witness has seen
is known for good. Clients may compact only what some witness has seen whole: a compaction that
overtook them all would leave a hole that nobody can fill any more.
"""

from typing import Final

from attrs import define

from jepsen.schedule import WITNESS
from sim.clients import Ask, Await, CloseWatch, Memory, OpenWatch, Performance, Reply, Sleep
from sim.history import Seen, WatchSpec
from sim.ops import Compact
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.watch import PATIENCE_MS, resumed

AGAIN_MS: Final = 100
BEYOND: Final = 100_000
"""What is asked for as a revision to come stays one."""


@define
class Testimony:
    """How far the witnesses of one run have seen, all together."""

    whole_rev: int = 1
    """Every revision up to this one was seen by some witness."""

    def seen_whole(self) -> int:
        """Return up to which revision nothing is unseen. For any thread."""
        return self.whole_rev

    def saw(self, from_rev: int, to_rev: int) -> None:
        """Note that one of them has seen all from one revision to another."""
        if from_rev <= self.whole_rev + 1:
            self.whole_rev = max(self.whole_rev, to_rev)

    def watch(self, item: Item, memory: Memory) -> Performance:
        """Watch everything on one member, for ever."""
        member, rev = verbs.integer(item, "member"), 1
        while True:
            spec = WatchSpec("\0", "\0", rev)
            stream = yield OpenWatch(spec, member)
            assert isinstance(stream, int), "an opened watch has a number"
            while True:
                seen = yield Await(stream, PATIENCE_MS)
                if not isinstance(seen, Seen):
                    continue
                before, rev = rev, resumed(rev, seen)
                if seen.kind == "events":
                    self.saw(before, rev - 1)
                elif seen.kind in ("lost", "canceled"):
                    break
            yield CloseWatch(stream)
            yield Sleep(AGAIN_MS)

    def held(self, performance: Performance, memory: Memory) -> Performance:
        """Perform something, but compact only what was seen."""
        reply: Reply = None
        while True:
            try:
                step = performance.send(reply)
            except StopIteration:
                return
            if isinstance(step, Ask) and isinstance(step.op, Compact):
                step = step._replace(op=self._held(step.op, memory))
            reply = yield step

    def _held(self, op: Compact, memory: Memory) -> Compact:
        if op.rev > memory.common.newest:
            return op._replace(rev=op.rev + BEYOND)
        return op._replace(rev=max(1, min(op.rev, self.whole_rev)))


def is_witness(item: Item) -> bool:
    """Whether an item is a witness's."""
    return item.do == WITNESS
