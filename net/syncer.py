"""Threads for what blocks: one that syncs the journal, and one for every other slow job.

Rule: a thread runs exactly the callables it was given and touches nothing else; its result lies
still until the owner collects it in its own turn (`Syncer.reached`, `Jobs.deliver`). An error is a
result as well: it is raised again in the owner, so that a failed fdatasync ends the member there
(a crash, never a lost log line in a thread).

Syncs coalesce: all positions requested while one sync runs are covered by the next one. A short
sync that all there is to do waits for is done by its owner (`here`): two hand-overs between threads
cost more.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Protocol, TypeVar

import outcome

T = TypeVar("T")

SWITCH_INTERVAL_S = 0.0002
"""How long a thread that wants the interpreter waits for another one.

The default of 5 ms is what a finished fdatasync would wait behind a busy reactor.
"""

HERE_S_MAX = 0.002
"""A disk whose syncs took longer of late is waited for in the thread: it must not hold up turns."""


class HelperSync(Protocol):
    """What an owner sees of a `Syncer`."""

    def request(self, position: int) -> None:
        """Ask that all bytes up to `position` become durable; positions never go back."""
        ...

    def here(self, position: int) -> bool:
        """Make all bytes up to `position` durable in this very call, if that is worth it.

        If not, nothing was done: `request` it.
        """
        ...

    def reached(self) -> int | None:
        """Return the newest durable position if it moved; raise what the sync raised."""
        ...

    def close(self) -> None:
        """Sync what is still requested and end."""
        ...


class HelperJobs(Protocol):
    """What an owner sees of `Jobs`."""

    def submit(self, job: Callable[[], T], done: Callable[[outcome.Maybe[T]], None]) -> None:
        """Run `job` beside the turns, later `done` in the owner's `deliver`."""
        ...

    def deliver(self) -> int:
        """Call `done` of every job that has finished; return how many there were."""
        ...

    def close(self) -> None:
        """End after the jobs begun or queued."""
        ...


class Syncer:
    """Make everything written up to a position durable, one sync at a time, in a thread.

    The owner writes, then calls `request(position)`; a sync that covers the position begins after
    the call, never before it, whatever is running at that moment. `wake` is called from the thread
    each time `reached` has something new to say; it must be safe to call from any thread.
    """

    def __init__(
        self, sync: Callable[[], object], wake: Callable[[], None], *, realtime: bool = False
    ) -> None:
        self._sync = sync
        self._wake = wake
        self._realtime = realtime
        self._requests: SimpleQueue[int | None] = SimpleQueue()
        self._requested = -1
        self._durable = -1
        self._told = -1
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._usual_s = 0.0
        """How long a sync took of late."""
        self.count = 0
        """Syncs done so far; written by whoever syncs, one at a time."""

    @property
    def is_idle(self) -> bool:
        """Whether everything requested has been synced and nothing failed."""
        return self._durable >= self._requested and self._failure is None

    def start(self) -> None:
        """Begin the thread, and let threads change hands quickly in the whole process."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread = threading.Thread(target=self._run, name="trine-sync", daemon=True)
        self._thread.start()

    def request(self, position: int) -> None:
        """Ask that all bytes up to `position` become durable; positions never go back."""
        assert position >= self._requested, "a sync position went back"
        self._requested = position
        self._requests.put(position)

    def here(self, position: int) -> bool:
        """Make all bytes up to `position` durable in this call, if the thread is idle.

        Not if syncs took long of late. Raises what the sync raises.
        """
        if self._thread is None or not self.is_idle or self._usual_s > HERE_S_MAX:
            return False
        assert position >= self._requested, "a sync position went back"
        self._requested = position
        self._timed_sync()
        self._durable = position
        return True

    def reached(self) -> int | None:
        """Return the newest durable position if it moved since the last call.

        Raises what the sync raised, at every call from then on.
        """
        if self._failure is not None:
            raise self._failure
        durable = self._durable
        if durable == self._told:
            return None
        self._told = durable
        return durable

    def close(self) -> None:
        """Sync what is still requested and end the thread."""
        if self._thread is not None:
            self._requests.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        if self._realtime:
            take_realtime_priority()
        position = -1
        ends = False
        while not ends:
            newest = self._requests.get()
            # Only this thread takes from the queue, so a queue that is not empty stays so.
            while newest is not None and not self._requests.empty():
                position, newest = newest, self._requests.get()
            ends = newest is None
            if newest is not None:
                position = newest
            if position <= self._durable:
                continue
            result = outcome.capture(self._timed_sync)
            if isinstance(result, outcome.Error):
                self._failure = result.error
                ends = True
            else:
                self._durable = position
            self._wake()

    def _timed_sync(self) -> None:
        began_s = time.perf_counter()
        self._sync()
        self._usual_s += (time.perf_counter() - began_s - self._usual_s) / 4
        self.count += 1


class Jobs:
    """Run blocking callables in a few threads; tell the owner in its own turn.

    `submit(job, done)` returns at once. `deliver()`, called by the owner, calls `done(result)` for
    each finished job in the order of finishing; `result.unwrap()` gives the job's value or raises
    its error, and a `done` that does so without a handler makes that error a crash.
    With one thread, jobs run in the order of submission.
    """

    def __init__(self, name: str, wake: Callable[[], None], *, threads: int = 1) -> None:
        self._wake = wake
        self._jobs: SimpleQueue[Callable[[], Callable[[], None]] | None] = SimpleQueue()
        self._finished: deque[Callable[[], None]] = deque()
        self._threads = [
            threading.Thread(target=self._run, name=f"trine-{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        self.outstanding = 0
        """Jobs submitted and not yet delivered."""
        for thread in self._threads:
            thread.start()

    def submit(self, job: Callable[[], T], done: Callable[[outcome.Maybe[T]], None]) -> None:
        """Run `job` in a thread, later `done` in the owner's `deliver`."""

        def perform() -> Callable[[], None]:
            return partial(done, outcome.capture(job))

        self.outstanding += 1
        self._jobs.put(perform)

    def deliver(self) -> int:
        """Call `done` of every job that has finished; return how many there were."""
        count = 0
        while self._finished:
            done = self._finished.popleft()
            self.outstanding -= 1
            count += 1
            done()
        return count

    def close(self) -> None:
        """End the threads after the jobs they have begun or queued; results stay deliverable."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _run(self) -> None:
        while (perform := self._jobs.get()) is not None:
            self._finished.append(perform())
            self._wake()


def threads(sync: Callable[[], object], wake: Callable[[], None]) -> tuple[Syncer, Jobs]:
    """Start a member's two helper threads."""
    syncer = Syncer(sync, wake)
    syncer.start()
    return syncer, Jobs("jobs", wake)


def take_realtime_priority() -> bool:
    """Put the calling thread into the round-robin scheduling class; say whether that was allowed.

    It needs CAP_SYS_NICE. A sync thread that runs at once on the disk's answer saves a scheduling
    delay for each commit on a busy machine.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True
