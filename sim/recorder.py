"""Makes a history of what clients do and are told.

Rule of this file: it stamps and files; it neither asks nor judges. Every invocation becomes exactly
one `Call`: what has no answer when the run ends is unknown.
"""

from collections.abc import Callable
from typing import Final

from sim.history import NEVER_US, Call, History, Seen, Watcher, WatchSpec
from sim.ops import Op, Result, Unknown

_NO_ANSWER: Final = Unknown("no answer")


class Recorder:
    """Writes into one history. `now_us` is the clock that all clients share."""

    def __init__(self, history: History, now_us: Callable[[], int]) -> None:
        self.history = history
        self._now_us = now_us
        self._pending: dict[int, Call] = {}
        self._calls = 0

    def invoke(self, process: int, member: int, op: Op) -> int:
        """Note that a process asks; return the call's number, from 0 without gaps."""
        number = self._calls
        self._calls += 1
        self._pending[number] = Call(
            number, process, member, op, self._now_us(), NEVER_US, _NO_ANSWER
        )
        return number

    def finish(self, number: int, result: Result) -> None:
        """Note what a call was told, once. Of an unknown outcome nobody knows the end."""
        call = self._pending.pop(number)
        returned_us = NEVER_US if isinstance(result, Unknown) else self._now_us()
        number, process, member, op, invoked_us, _, _ = call
        self.history.calls.append(
            Call(number, process, member, op, invoked_us, returned_us, result)
        )

    def open(self, process: int, member: int, spec: WatchSpec, *, after_rev: int) -> Watcher:
        """Note that a process opens a watch after it saw `after_rev` acknowledged."""
        watcher = Watcher(
            number=len(self.history.watchers),
            process=process,
            member=member,
            spec=spec,
            opened_us=self._now_us(),
            opened_after_rev=after_rev,
        )
        self.history.watchers.append(watcher)
        return watcher

    def see(self, watcher: Watcher, seen: Seen) -> Seen:
        """Note what a watcher saw, now; return it with its time."""
        now_us = self._now_us()
        stamped = seen if seen.time_us == now_us else seen._replace(time_us=now_us)
        watcher.seen.append(stamped)
        return stamped

    def close(self, watcher: Watcher) -> None:
        """Note that a client gave a watch up."""
        watcher.closed_us = min(watcher.closed_us, self._now_us())

    def end(self) -> None:
        """End the history: its calls lie in the order of their invocation."""
        self.history.calls.extend(self._pending.values())
        self._pending.clear()
        self.history.calls.sort(key=lambda call: call.number)
        self.history.ended_us = self._now_us()
