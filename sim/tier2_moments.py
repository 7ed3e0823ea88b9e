"""How time goes on in tier 2: from one moment of the world's heap to the next.

Rule of this file: between two moments everything that may go on does. One reactor that alone may
go on takes its turns here, without trio; whatever else there is runs as trio shuffles it.
"""

import math
from typing import Final

import trio.testing

from sim.streams import StreamSockets
from sim.tier2_clock import Scheduler
from sim.world import World

NEVER_US: Final = 1 << 62


class Moments:
    """A world's time, and the tasks that live in it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_woken = False
        self._is_under_way = False
        """Whether a moment's calls happen now."""
        self._roused: list[StreamSockets] = []
        self._scheduler: Scheduler | None = None
        self._deadline_us = NEVER_US

    def woken(self) -> None:
        """A task may go on: let it, before time does."""
        self._is_woken = True

    def roused(self, sockets: StreamSockets) -> bool:
        """A waiting reactor may go on; whether it does so behind the moment that is under way."""
        if self._is_under_way and sockets not in self._roused:
            self._roused.append(sockets)
        return self._is_under_way

    async def advance(self, end_us: int) -> None:
        """Let everything happen that is due up to a time, and make it that time."""
        world = self._world
        while True:
            if self._is_woken:
                await self.settle()
            due_us = world.next_us()
            next_us = min(end_us if due_us is None else due_us, self._deadline_us, end_us)
            self._is_under_way = True
            try:
                world.run_until(next_us)
            finally:
                self._is_under_way = False
            self._is_woken = self._is_woken or next_us == self._deadline_us
            if self._roused:
                self._go_on()
            if next_us >= end_us and not self._is_woken:
                return

    async def settle(self) -> None:
        """Let every task run until all of them wait."""
        while self._is_woken:
            self._is_woken = False
            await trio.testing.wait_all_tasks_blocked()
        if self._scheduler is None:
            self._scheduler = Scheduler()
        self._look_ahead(self._scheduler)

    def _go_on(self) -> None:
        roused, self._roused = self._roused, []
        scheduler = self._scheduler
        if scheduler is None or len(roused) > 1 or self._is_woken or scheduler.has_runnable():
            for sockets in roused:
                sockets.resume()
            return
        roused[0].go_on()
        if scheduler.has_runnable():
            self._is_woken = True
        else:
            self._look_ahead(scheduler)

    def _look_ahead(self, scheduler: Scheduler) -> None:
        left_s = scheduler.seconds_left()
        self._deadline_us = (
            NEVER_US
            if left_s == math.inf
            else self._world.now_us + max(0, math.ceil(left_s * 1_000_000))
        )
