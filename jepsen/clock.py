"""Real time for clients: one heap of calls by time, and an inbox that any thread may post to.

The rule of this file: everything that is given to it runs in the one thread that runs it, so that
clients and their recorder need no lock. A call that is late runs late; none is left out.
"""

import queue
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from types import FrameType
from typing import NoReturn

Call = Callable[[], None]

LONGEST_S = 1.0
"""How long it sleeps at most, so that an interrupt is noticed."""
INTERRUPTS = (signal.SIGTERM, signal.SIGINT)


class RealTime:
    """`sim.clients.Scheduler` in real time. Only `post` and `now_us` are for other threads."""

    def __init__(self) -> None:
        self._began_ns = time.monotonic_ns()
        self._inbox: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._heap: list[tuple[int, int, Call]] = []
        self._numbers = count()

    @property
    def now_us(self) -> int:
        """Microseconds since the run began."""
        return (time.monotonic_ns() - self._began_ns) // 1000

    def after(self, delay_ms: float, call: Call, /) -> None:
        """Run something after a while."""
        at_us = self.now_us + max(0, int(delay_ms * 1000))
        heappush(self._heap, (at_us, next(self._numbers), call))

    def post(self, call: Call) -> None:
        """Have something run as soon as may be."""
        self._inbox.put(call)

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """Meanwhile a signal raises KeyboardInterrupt between two calls; a second one at once.

        Not in the midst of a call: a library that holds a lock then never gives it back, and its
        end waits for the lock.
        """

        def heard(number: int, frame: FrameType | None) -> None:
            for each in INTERRUPTS:
                signal.signal(each, interrupt)
            self.post(interrupt)

        before = [signal.signal(each, heard) for each in INTERRUPTS]
        try:
            yield
        finally:
            for each, handler in zip(INTERRUPTS, before, strict=True):
                signal.signal(each, handler)

    def run_until(self, at_us: int, is_over: Callable[[], bool] = lambda: False) -> None:
        """Run what comes until a time, or until this is so after some call; then return."""
        while not is_over():
            now_us = self.now_us
            if now_us >= at_us:
                return
            if self._heap and self._heap[0][0] <= now_us:
                heappop(self._heap)[2]()
                self._drain()
                continue
            due_us = min(at_us, self._heap[0][0] if self._heap else at_us)
            try:
                call = self._inbox.get(timeout=min((due_us - now_us) / 1e6, LONGEST_S))
            except queue.Empty:
                continue
            call()

    def _drain(self) -> None:
        """Run what was posted by now: timers that are overdue do not keep answers waiting."""
        for _ in range(self._inbox.qsize()):
            try:
                call = self._inbox.get_nowait()
            except queue.Empty:
                return
            call()


def interrupt(*_signal: object) -> NoReturn:
    """What a signal is to do: any handler of one."""
    raise KeyboardInterrupt
