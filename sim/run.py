"""A plan, run: from the first start of all members to the last answer after everything healed.

Rule of this file: the order of a run, the same in both tiers. `run` is a function of the plan
alone.

    start all members -> until `duration_ms`: clients, watchers, faults -> heal
    -> until all is settled: elections, catching up, answers -> final reads on every member -> end

Liveness is owed from the healing on: `settle_ms` is the bound, and what is not settled by then
stays in the history as it is for the checks to say.
"""

import gc
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, cast

from attrs import asdict, define, field

from core.loading import BrokenStateError
from sim.clients import Clients
from sim.cluster import Cluster
from sim.faults import Faults
from sim.history import NEVER_US, History
from sim.ops import Json
from sim.plan import Plan
from sim.recall import loads_recalled
from sim.recorder import Recorder
from sim.tier1 import Tier1Cluster
from sim.workloads.catalogue import perform
from sim.workloads.kube import cached
from sim.world import World

if TYPE_CHECKING:
    from sim.tier2 import Tier2Cluster

LAST_ITEMS_MS = 9_000
"""The plan's last reads and writes are begun by so long after the healing."""
SETTLE_MS = 25_000
"""So long after the healing the run ends, whatever is still under way."""
LOOK_MS = 250
QUIET_MS = 1_000
"""How long it is left quiet once settled: what watchers are owed comes in that time."""


@define
class Run:
    """What a run leaves behind."""

    history: History
    digest: str
    marks: Mapping[str, int]
    trace_lines: list[str]
    stats: dict[str, int] = field(factory=dict[str, int])
    """events, turns, messages, ..."""
    broken: AssertionError | None = None
    """An invariant of the product or its engine that broke; the run ended there."""


def run(plan: Plan, *, tier: int = 1, trace: bool = False) -> Run:
    """Run a plan to its end, or to where an invariant broke; return what everybody saw."""
    collects = gc.isenabled()
    gc.disable()
    try:
        with loads_recalled():
            return run_whole(plan, trace=trace) if tier == 2 else _run(plan, trace=trace)
    finally:
        if collects:
            gc.enable()
            # The youngest generation is all that the run made: what was there before is not looked
            # at. Who has switched collection off collects at a time of its own.
            gc.collect(0)


def _run(plan: Plan, *, trace: bool) -> Run:
    world = World(plan.seed, trace=trace)
    cluster = Tier1Cluster(world, plan.options)
    steps = course(plan, cluster, tier=1)
    broken: AssertionError | None = None
    until_us = next(steps)
    try:
        while True:
            try:
                world.run_until(until_us)
            except BrokenStateError as error:
                # A member refuses what it is to load: in production it ends.
                broken = AssertionError(f"a state contradicts itself: {error}")
                until_us = steps.throw(broken)
            except AssertionError as error:
                broken = error
                until_us = steps.throw(error)
            else:
                until_us = next(steps)
    except StopIteration as over:
        done: Run = over.value
    try:
        cluster.close()
    except AssertionError as error:
        broken = broken or error
    world.forget()
    done.stats["turns"] = sum(member.turns for member in cluster.members)
    done.stats["entries"] = len(cluster.hashes)
    done.broken = broken
    cluster.forget()
    return done


def run_whole(plan: Plan, *, trace: bool) -> Run:
    """Run a plan on whole members: tier 2."""
    # Tier 1 alone starts without trio, SQLite and the shell.
    from sim.tier2 import Tier2Cluster, live

    world = World(plan.seed, trace=trace)
    found: list[Run] = []

    async def script(cluster: Tier2Cluster) -> None:
        steps = course(plan, cluster, tier=2)
        broken: AssertionError | None = None
        until_us = next(steps)
        try:
            while True:
                error = await _advanced(cluster, until_us)
                if broken is None and error is not None:
                    broken = error
                    until_us = steps.throw(error)
                else:
                    until_us = next(steps)
        except StopIteration as over:
            done: Run = over.value
        done.broken = broken or cluster.contradiction()
        done.stats["turns"] = cluster.turns
        done.stats["entries"] = len(cluster.log.hashes)
        found.append(done)

    live(world, plan.options, script)
    # What the disks hold at the end is in it now.
    found[0].digest = world.digest()
    return found[0]


async def _advanced(cluster: "Tier2Cluster", until_us: int) -> AssertionError | None:
    """Let time go on; return the first invariant that broke, a member's own or the world's."""
    try:
        await cluster.advance(until_us)
    except AssertionError as error:
        return cluster.broken() or error
    return cluster.broken()


def course(plan: Plan, cluster: Cluster, *, tier: int) -> Generator[int, None, Run]:
    """Yield, again and again, the time up to which the world is to go on; return what was seen.

    A broken invariant is thrown into it, and ends the run there.
    """
    options, world = plan.options, cluster.world
    history = History(facts=_facts(plan, tier))
    recorder = Recorder(history, lambda: world.now_us)
    faults = Faults(cluster, history.faults)
    clients = Clients(options, perform, cluster, world, recorder)
    try:
        for member in range(cluster.size):
            cluster.start(member)
        faults.start(plan.items, options.duration_ms)
        clients.start(plan.items)
        yield options.duration_ms * 1000
        faults.end()
        history.healed_us = world.now_us
        yield from _settle(world, cluster)
    except AssertionError:
        # What was seen until then can be judged; that it goes on well is owed by nobody.
        history.healed_us = NEVER_US
    recorder.end()
    history.log = cluster.logged()
    history.caches = [
        cached(memory, history.ended_us) for memory in clients.memories if memory.cached_rev
    ]
    clients.forget()
    stats = {
        "events": world.events,
        "messages": cluster.network.messages,
        "simulated_us": history.ended_us,
    }
    return Run(history, world.digest(), world.marks, world.lines, stats)


def _settle(world: World, cluster: Cluster) -> Generator[int, None, None]:
    """Let the plan's last items be done and everything come to rest."""
    healed_us = world.now_us
    yield healed_us + LAST_ITEMS_MS * 1000
    while cluster.settled() and world.now_us < healed_us + SETTLE_MS * 1000:
        yield world.now_us + LOOK_MS * 1000
    yield world.now_us + QUIET_MS * 1000


def _facts(plan: Plan, tier: int) -> dict[str, Json]:
    options: dict[str, Json] = {}
    for name, value in asdict(plan.options).items():
        options[name] = list(cast(tuple[str, ...], value)) if isinstance(value, tuple) else value
    return {"seed": plan.seed, "tier": tier, "options": options}
