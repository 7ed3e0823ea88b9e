"""Clients and witnesses of a cluster of real processes: threads, each with one thing to do.

The rule of this file: every value is written once; nobody asks the same twice; who got no answer
goes on under a new name, at another member. Witnesses watch everything from the first revision on,
one on each member, and resume where they were when their member is away.
"""

import random
import threading
import time
from collections.abc import Sequence

from sim.history import Seen, WatchSpec
from sim.ops import (
    Compare,
    Delete,
    Grant,
    KeepAlive,
    Op,
    Put,
    Range,
    RangeDone,
    Result,
    Revoke,
    TimeToLive,
    Txn,
    TxnDone,
    Unknown,
)
from tests.cluster.door import Door, LostError, Stream
from tests.cluster.scribe import Scribe

KEYS = tuple(f"k{number}" for number in range(8))
ALL = ("\0", "\0")
DEADLINE_S = 4.0
AWAY_S = 0.3
"""For so long a client leaves a member alone that did not answer."""
PAUSE_S = 0.01
LEFT = 100
"""So many leases back may one still live: a leader that is new gives each its whole time anew."""
AGAIN_S = LOOK_S = 0.05


class Asker(threading.Thread):
    """Who asks one thing after another, until it is stopped.

    The first few stay with one member each, so that none waits for a member that is silent while
    another would answer; the others ask any.
    """

    def __init__(self, scribe: Scribe, doors: Sequence[Door], slot: int, seed: int) -> None:
        super().__init__(name=f"client {slot}")
        self.slot = slot
        self.chance = random.Random(f"{seed}/{slot}")
        self.stopped = threading.Event()
        self._scribe = scribe
        self._doors = doors
        self._process = scribe.process()
        self._away: dict[int, float] = {}

    def ask(self, op: Op) -> Result:
        """Ask, and note it."""
        member = self._choose()
        number = self._scribe.invoke(self._process, member, op)
        result = self._doors[member].ask(op, DEADLINE_S)
        self._scribe.finish(number, result)
        if isinstance(result, Unknown):
            self._process = self._scribe.process()
            self._away[member] = time.monotonic() + AWAY_S
        return result

    def stop(self) -> None:
        """Ask nothing more; what is under way is waited for by `join`."""
        self.stopped.set()

    def _choose(self) -> int:
        """Its own member, or any but those that were silent a moment ago."""
        now_s = time.monotonic()
        if self.slot < len(self._doors):
            self.stopped.wait(self._away.get(self.slot, 0.0) - now_s)
            return self.slot
        here = [n for n in range(len(self._doors)) if self._away.get(n, 0.0) < now_s]
        return self.chance.choice(here or range(len(self._doors)))


class Client(Asker):
    """Writes, reads, compares and deletes a few keys that all share."""

    def __init__(self, scribe: Scribe, doors: Sequence[Door], slot: int, seed: int) -> None:
        super().__init__(scribe, doors, slot, seed)
        self._written = 0
        self._mods: dict[str, int] = {}

    def run(self) -> None:
        """Ask and go on."""
        while not self.stopped.is_set():
            op = self._draw()
            self._learn(op, self.ask(op))
            self.stopped.wait(self.chance.random() * 2 * PAUSE_S)

    def _draw(self) -> Op:
        chance = self.chance
        key = chance.choice(KEYS)
        dice = chance.random()
        if dice < 0.30:
            return Put(key, self._value(), prev_kv=chance.random() < 0.2)
        if dice < 0.45:
            compare = Compare(key, "mod", "=", self._mods.get(key, 0))
            return Txn((compare,), (Put(key, self._value()),), (Range(key),))
        if dice < 0.50:
            return Delete(key)
        if dice < 0.80:
            return Range(key)
        if dice < 0.90:
            return Range("k", "l")
        return Range(key, serializable=True)

    def _value(self) -> str:
        self._written += 1
        return f"{self.slot}.{self._written}"

    def _learn(self, op: Op, result: object) -> None:
        """Remember at which revision a key stands, for the comparisons."""
        match op, result:
            case Range(key, ""), RangeDone(_, kvs):
                self._mods[key] = kvs[0].mod if kvs else 0
            case Txn((Compare(key),)), TxnDone(rev, True):
                self._mods[key] = rev
            case Txn((Compare(key),)), TxnDone(_, False, (RangeDone(_, kvs),)):
                self._mods[key] = kvs[0].mod if kvs else 0
            case _:
                pass


class Keeper(Asker):
    """Has leases with a key each: keeps them for a while, lets them lapse, revokes some."""

    def __init__(self, scribe: Scribe, doors: Sequence[Door], slot: int, seed: int) -> None:
        super().__init__(scribe, doors, slot, seed)
        self._had: list[int] = []

    def run(self) -> None:
        """Have one lease after another; leave none that might still end by itself."""
        while not self.stopped.is_set():
            self._have((self.slot + 1) << 32 | len(self._had) + 1)
        for lease in self._had[-LEFT:]:
            while isinstance(self.ask(Revoke(lease)), Unknown):
                time.sleep(AWAY_S)

    def _have(self, lease: int) -> None:
        self._had.append(lease)
        ttl_s = self.chance.choice((2, 3, 5))
        self.ask(Grant(lease, ttl_s))
        self.ask(Put(f"lease/{lease}", str(lease), lease=lease))
        for _ in range(self.chance.randrange(6)):
            self.stopped.wait(ttl_s / 3)
            self.ask(KeepAlive(lease))
        if self.chance.random() < 0.3:
            self.ask(Revoke(lease))
        else:
            self.stopped.wait(ttl_s * self.chance.random() * 2)
            self.ask(TimeToLive(lease))


class Witness(threading.Thread):
    """Watches everything on one member, from the first revision on, until it is told to stop."""

    def __init__(self, scribe: Scribe, door: Door, member: int) -> None:
        super().__init__(name=f"witness of {member}")
        self.reached = 1
        """All revisions up to this one were seen."""
        self.streams = 0
        self._scribe = scribe
        self._door = door
        self._member = member
        self._stream: Stream | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Watch, and watch again from where it was."""
        while not self._stopped.is_set():
            spec = WatchSpec(*ALL, rev=self.reached + 1)
            watcher = self._scribe.open(self._scribe.process(), self._member, spec)
            self.streams += 1
            try:
                self._stream = self._door.watch(spec)
                for seen in self._stream:
                    self._scribe.see(watcher, seen)
                    if seen.events:
                        self.reached = max(self.reached, seen.events[-1].kv.mod)
            except LostError as error:
                if self._stopped.is_set():
                    self._scribe.close(watcher)
                    return
                self._scribe.see(watcher, Seen(0, "lost", 0, reason=str(error)))
                self._stopped.wait(AGAIN_S)

    def finish(self, rev: int, patience_s: float) -> None:
        """Wait until this revision was seen, then end. It may not come: look at `reached`."""
        until = time.monotonic() + patience_s
        while self.reached < rev and time.monotonic() < until:
            time.sleep(LOOK_S)
        self.stop()

    def stop(self) -> None:
        """End now."""
        self._stopped.set()
        if self._stream is not None:
            self._stream.cancel()
