"""A cluster of tier 2 for tests: scripts of steps, and what clients were told.

The rule of this file: scripts say what happens at which time; everything waits in simulated time.
"""

from collections.abc import Awaitable, Callable

from sim.ops import Op, Result
from sim.plan import Options
from sim.tier2 import Tier2Cluster, live
from sim.world import World

SECOND_US = 1_000_000


class Told:
    """A cluster that is asked and remembers every answer."""

    def __init__(self, cluster: Tier2Cluster) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.answers: list[Result] = []

    async def pass_ms(self, ms: int) -> None:
        """Let time pass."""
        await self.cluster.advance(self.world.now_us + ms * 1000)

    async def ask(self, op: Op, member: int = 0, deadline_ms: int = 2_000) -> Result:
        """Ask one operation and wait for its answer."""
        answers: list[Result] = []
        self.cluster.ask(member, op, deadline_ms, answers.append)
        while not answers:
            await self.pass_ms(1)
        return answers[0]

    def keep_asking(self, ops: list[Op], every_ms: int = 2) -> None:
        """Ask one operation after the other, whatever is answered."""

        def told(result: Result) -> None:
            self.answers.append(result)
            if ops:
                self.world.after(every_ms, ask)

        def ask() -> None:
            self.cluster.ask(0, ops.pop(0), 500, told)

        ask()


def play(
    script: Callable[[Told], Awaitable[None]], *, seed: int = 1, options: Options | None = None
) -> World:
    """Run a script on a cluster; return the world that it ended in."""
    world = World(seed, trace=True)
    chosen = Options(members=1, engine="local") if options is None else options

    async def run(cluster: Tier2Cluster) -> None:
        await script(Told(cluster))

    live(world, chosen, run)
    return world
