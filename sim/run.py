"""A plan, run: from the first start of all members to the last answer after everything healed.

Rule of this file: the order of a run. `run` is a function of the plan alone.

    start all members -> until `duration_ms`: clients, watchers, faults -> heal
    -> until all is settled: elections, catching up, answers -> final reads on every member -> end

Liveness is owed from the healing on: `settle_ms` is the bound, and what is not settled by then
stays in the history as it is for the checks to say.
"""

import gc
from collections.abc import Mapping

from attrs import asdict, define, field

from sim.clients import Clients
from sim.faults import Faults
from sim.history import NEVER_US, History
from sim.ops import Json
from sim.plan import Plan
from sim.recorder import Recorder
from sim.tier1 import Tier1Cluster
from sim.workloads.catalogue import perform
from sim.world import World

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
    assert tier == 1, "tier 2 is run by sim.tier2"
    collects = gc.isenabled()
    gc.disable()
    try:
        return _run(plan, trace=trace)
    finally:
        if collects:
            gc.enable()
        # The youngest generation is all that the run made: what was there before is not looked at.
        gc.collect(0)


def _run(plan: Plan, *, trace: bool) -> Run:
    options = plan.options
    world = World(plan.seed, trace=trace)
    cluster = Tier1Cluster(world, options)
    history = History(facts=_facts(plan))
    recorder = Recorder(history, lambda: world.now_us)
    faults = Faults(cluster, history.faults)
    clients = Clients(options, perform, cluster, world, recorder)
    broken: AssertionError | None = None
    try:
        for member in range(cluster.size):
            cluster.start(member)
        faults.start(plan.items)
        clients.start(plan.items)
        world.run_until(options.duration_ms * 1000)
        faults.end()
        history.healed_us = world.now_us
        _settle(world, cluster)
    except AssertionError as error:
        broken = error
        # What was seen until then can be judged; that it goes on well is owed by nobody.
        history.healed_us = NEVER_US
    recorder.end()
    history.log = cluster.logged()
    digest = world.digest()
    try:
        cluster.close()
    except AssertionError as error:
        broken = broken or error
    world.forget()
    stats = {
        "events": world.events,
        "turns": sum(member.turns for member in cluster.members),
        "messages": cluster.network.messages,
        "entries": len(cluster.hashes),
        "simulated_us": history.ended_us,
    }
    return Run(history, digest, world.marks, world.lines, stats, broken)


def _settle(world: World, cluster: Tier1Cluster) -> None:
    """Let the plan's last items be done and everything come to rest."""
    healed_us = world.now_us
    world.run_until(healed_us + LAST_ITEMS_MS * 1000)
    while cluster.settled() and world.now_us < healed_us + SETTLE_MS * 1000:
        world.run_until(world.now_us + LOOK_MS * 1000)
    world.run_until(world.now_us + QUIET_MS * 1000)


def _facts(plan: Plan) -> dict[str, Json]:
    options: dict[str, Json] = {}
    for name, value in asdict(plan.options).items():
        options[name] = list(value) if isinstance(value, tuple) else value
    return {"seed": plan.seed, "tier": 1, "options": options}
