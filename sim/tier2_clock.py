"""trio under simulation: its clock shows the world's time, its scheduler shuffles by a seed.

Rule of this file: everything that depends on how trio is made inside stands here, and nothing else.
"""

from random import Random

import trio.abc

from sim.world import World


class WorldClock(trio.abc.Clock):
    """trio's clock: the world's time, which the heap alone moves."""

    def __init__(self, world: World) -> None:
        self._world = world

    def start_clock(self) -> None:
        """Nothing runs by itself."""

    def current_time(self) -> float:
        return self._world.now_us / 1_000_000

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return a time that nobody sleeps: the heap's task is what ends a wait."""
        return 3600.0


def seed_scheduler(seed: str) -> None:
    """Let trio shuffle runnable tasks by this seed. Raises AssertionError if trio cannot any more.

    The switch is trio's own, made for Hypothesis and private; an upgrade may move it.
    """
    from trio._core import _run  # pyright: ignore[reportPrivateUsage]

    shuffle = getattr(_run, "_r", None)
    switch = getattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", None)
    assert isinstance(shuffle, Random), "this trio has no _core._run._r: simulation needs it"
    assert isinstance(switch, bool), "this trio has no switch for deterministic scheduling"
    # trio writes it as a constant and tests it at each round.
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # pyright: ignore
    shuffle.seed(seed)
