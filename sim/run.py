"""A plan, run: from the first start of all members to the last answer after everything healed.

Rule of this file: the order of a run, and nothing of a tier. `run` is a function of the plan alone.
"""

from collections.abc import Mapping

from attrs import define, field

from sim.history import History
from sim.plan import Plan
from sim.world import World


@define
class Run:
    """What a run leaves behind."""

    history: History
    digest: str
    marks: Mapping[str, int]
    trace_lines: list[str]
    stats: dict[str, int] = field(factory=dict[str, int])
    """events, turns, messages, elections, snapshots, ..."""


def run(plan: Plan, *, tier: int = 1, trace: bool = False) -> Run:
    """Run a plan to its end and return what its clients, its members and the world saw."""
    world = World(plan.seed, trace=trace)
    return Run(History(), world.digest(), world.marks, world.lines)
