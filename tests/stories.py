"""Hand-made histories: a few calls and watchers, told in the order in which they happen.

The rule of this file: nothing is right by itself; whoever tells a story says what everybody saw.
"""

from sim.check import check
from sim.check.verdict import Verdict
from sim.history import (
    NEVER_US,
    Call,
    Event,
    Expire,
    Fault,
    History,
    Logged,
    Seen,
    Watcher,
    WatchSpec,
)
from sim.ops import Kv, Op, Put, PutDone, Range, RangeDone, Result, Unknown

SECOND_US = 1_000_000


class Story:
    """Builds one history. Times are seconds; a call takes a tenth unless told otherwise."""

    def __init__(self, *, logged: bool = True) -> None:
        self.history = History(log=[] if logged else None, ended_us=100 * SECOND_US)
        self.rev = 1

    def call(
        self, at_s: float, op: Op, result: Result, *, until_s: float = -1, member: int = 0
    ) -> int:
        """Tell of a call that is not in the log; return its number."""
        number = len(self.history.calls)
        returned_us = us(until_s if until_s >= 0 else at_s + 0.1)
        if isinstance(result, Unknown):
            returned_us = NEVER_US
        self.history.calls.append(Call(number, number, member, op, us(at_s), returned_us, result))
        return number

    def commit(
        self, at_s: float, op: Op, result: Result, *, rev: int = 0, until_s: float = -1
    ) -> int:
        """Tell of a call that is in the log and leaves the store at `rev`, or where it was."""
        number = self.call(at_s, op, result, until_s=until_s)
        self.log(op, rev, call=number)
        return number

    def log(
        self, what: Op | Expire | None, rev: int = 0, *, call: int | None = None, at_s: float = -1
    ) -> None:
        """Tell of a command in the log."""
        assert self.history.log is not None
        self.rev = rev or self.rev
        time_us = us(at_s) if at_s >= 0 else -1
        index = len(self.history.log) + 1
        self.history.log.append(Logged(index, 0, 1, call, what, self.rev, time_us))

    def put(self, at_s: float, key: str, value: str, *, lease: int = 0) -> int:
        """Tell of a put that got the next revision."""
        op, rev = Put(key, value, lease), self.rev + 1
        if self.history.log is None:
            self.rev = rev
            return self.call(at_s, op, PutDone(rev))
        return self.commit(at_s, op, PutDone(rev), rev=rev)

    def get(
        self, at_s: float, key: str, kv: Kv | None, *, rev: int = 0, stale: bool = False
    ) -> int:
        """Tell of a read of one key."""
        found = () if kv is None else (kv,)
        done = RangeDone(rev or self.rev, found, len(found))
        return self.call(at_s, Range(key, serializable=stale), done)

    def watch(self, at_s: float, spec: WatchSpec, *seen: Seen) -> Watcher:
        """Tell of a watcher and of all it saw."""
        number = len(self.history.watchers)
        watcher = Watcher(number, 90 + number, 0, spec, us(at_s), seen=list(seen))
        self.history.watchers.append(watcher)
        return watcher

    def heal(self, at_s: float) -> None:
        """From now on nothing is wrong."""
        self.history.healed_us = us(at_s)
        self.history.faults.append(Fault(us(at_s), "partition", (0,), False))

    def verdicts(self) -> list[Verdict]:
        """Judge it."""
        return check(self.history)

    def classes(self) -> list[str]:
        """Judge it; return the classes of what was found, sorted."""
        return sorted(verdict.klass for verdict in self.verdicts())


def us(time_s: float) -> int:
    """Return seconds as microseconds."""
    return round(time_s * SECOND_US)


def kv(key: str, value: str, mod: int, *, create: int = 0, version: int = 1, lease: int = 0) -> Kv:
    """Return a key as it was written at `mod`."""
    return Kv(key, value, create or mod, mod, version, lease)


def created(at_s: float, rev: int) -> Seen:
    """Return what a watcher is told first."""
    return Seen(us(at_s), "created", rev)


def events(at_s: float, *kvs: Kv | Event, fragment: bool = False) -> Seen:
    """Return one message of events; a bare key is a put, a key of version 0 a delete."""
    every = tuple(each if isinstance(each, Event) else event(each) for each in kvs)
    return Seen(us(at_s), "events", every[-1].kv.mod, every, fragment=fragment)


def event(changed: Kv, prev: Kv | None = None) -> Event:
    """Return a change as a watcher sees it."""
    return Event("put" if changed.version else "delete", changed, prev)


def gone(key: str, mod: int) -> Kv:
    """Return what a delete event bears."""
    return Kv(key, "", 0, mod, 0)


def progress(at_s: float, rev: int) -> Seen:
    """Return a mark."""
    return Seen(us(at_s), "progress", rev)


def canceled(at_s: float, compact_rev: int = 0, reason: str = "") -> Seen:
    """Return a watcher's end."""
    return Seen(us(at_s), "canceled", 0, compact_rev=compact_rev, reason=reason)
