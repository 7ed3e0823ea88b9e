"""trio under simulation: its clock shows the world's time, its scheduler shuffles by a seed.

Rule of this file: everything that depends on how trio is made inside stands here, and nothing else.
"""

from random import Random
from typing import Any, Final, cast

import trio.abc

from sim.world import World

POLLS_SKIPPED: Final = 1_000


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


class Scheduler:
    """What trio knows of its tasks, asked without its help. Made inside of a run."""

    def __init__(self) -> None:
        from trio._core import _run  # pyright: ignore[reportPrivateUsage]

        runner = cast(Any, _run.GLOBAL_RUN_CONTEXT).runner
        runner.io_manager = _Unpolled(runner.io_manager)
        self._runner = runner

    def has_runnable(self) -> bool:
        """Whether some task would run."""
        return bool(self._runner.runq)

    def seconds_left(self) -> float:
        """How long it is until the first deadline of any task."""
        runner = self._runner
        return cast(float, runner.deadlines.next_deadline() - runner.clock.current_time())


class _Unpolled:
    """trio's own input and output: asked only where trio would sleep, or now and then.

    There is none in simulation but the wake of a signal; a poll is a system call a round.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self._skipped = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_events(self, timeout: float) -> Any:
        """Return what happened, of which there is nothing."""
        self._skipped += 1
        if timeout <= 0 and self._skipped < POLLS_SKIPPED:
            return ()
        self._skipped = 0
        return self._real.get_events(timeout)

    def process_events(self, events: Any) -> None:
        """Let trio deal with them."""
        if events:
            self._real.process_events(events)


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
