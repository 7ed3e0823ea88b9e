"""The history of a run of real processes, in the simulator's form, written by many threads.

The rule of this file: all times are of one clock; a call's invocation is noted before it leaves,
its answer after it came. Nothing is judged here.
"""

import threading
import time

from attrs import define, field

from sim.history import Fault, History, Seen, Watcher, WatchSpec
from sim.ops import Op, Result
from sim.recorder import Recorder


@define(eq=False)
class Scribe:
    """Who writes everything down."""

    history: History = field(factory=History)
    newest: int = 1
    """The highest revision that anybody was told."""
    _began_ns: int = field(factory=time.monotonic_ns)
    _lock: threading.Lock = field(factory=threading.Lock)
    _recorder: Recorder = field(init=False)
    _processes: int = 0

    def __attrs_post_init__(self) -> None:
        self._recorder = Recorder(self.history, self.now_us)

    def now_us(self) -> int:
        """Microseconds since the run began."""
        return (time.monotonic_ns() - self._began_ns) // 1000

    def process(self) -> int:
        """Name a process that has asked for nothing yet."""
        with self._lock:
            self._processes += 1
            return self._processes

    def invoke(self, process: int, member: int, op: Op) -> int:
        """Note that a process is about to ask; return the call's number."""
        with self._lock:
            return self._recorder.invoke(process, member, op)

    def finish(self, number: int, result: Result) -> None:
        """Note what came back."""
        with self._lock:
            self._recorder.finish(number, result)
            rev = result[0]
            if isinstance(rev, int):
                self.newest = max(self.newest, rev)

    def open(self, process: int, member: int, spec: WatchSpec) -> Watcher:
        """Note that a watch is about to be asked for."""
        with self._lock:
            return self._recorder.open(process, member, spec, after_rev=max(spec.rev - 1, 0))

    def see(self, watcher: Watcher, seen: Seen) -> None:
        """Note what a watcher was told."""
        with self._lock:
            self._recorder.see(watcher, seen)

    def close(self, watcher: Watcher) -> None:
        """Note that a watch was given up."""
        with self._lock:
            self._recorder.close(watcher)

    def fault(self, what: str, member: int, *, on: bool) -> int:
        """Note that something is about to be done to a member; return when."""
        with self._lock:
            now_us = self.now_us()
            self.history.faults.append(Fault(now_us, what, (member,), on))
            return now_us

    def heal(self) -> None:
        """Note that nothing is wrong any more."""
        self.history.healed_us = self.now_us()

    def end(self) -> History:
        """End the history."""
        with self._lock:
            self._recorder.end()
        return self.history
