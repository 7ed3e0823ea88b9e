"""A cluster of real processes under load, and what is done to it.

The rule of this file: whoever was killed, stopped or ended is back before the next blow, and every
wait has a bound. What clients saw is written down by the scribe; `judging` says what it is worth.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from sim.history import History
from sim.ops import Admin, AdminDone, Put, Range, RangeDone
from tests.cluster.clients import Asker, Client, Keeper, Witness
from tests.cluster.door import Door
from tests.cluster.scribe import Scribe
from tests.clusters import Cluster
from tests.members import Member

PATIENCE_S = 60.0
CLIENTS = 8
LOOK_S = 0.02
FLOWS = 20
"""So many writes acknowledged after a blow: the cluster is at work again."""
ASKS_S = 60.0
MEBIBYTE = 1 << 20
NOBODY = Path("no etcdctl is needed here")


@define(eq=False)
class Trial:
    """One cluster, its clients and witnesses."""

    cluster: Cluster
    seed: int = 0
    scribe: Scribe = field(factory=Scribe)
    doors: list[Door] = field(factory=list[Door])
    witnesses: list[Witness] = field(factory=list[Witness])
    clients: list[Asker] = field(factory=list[Asker])

    # ---- what is done to it

    def kill_leader(self) -> None:
        """SIGKILL to the leader; start it again once writes flow."""
        self._strike([self.leader()])

    def kill_pair(self) -> None:
        """SIGKILL to the leader and to one that follows, at once."""
        leader = self.leader()
        self._strike([leader, (leader + 1) % len(self.doors)])

    def leave_behind(self, mebibytes: int) -> int:
        """SIGKILL to a follower; start it again after so much was written. Return its number."""
        leader = self.leader()
        behind = (leader + 1) % len(self.doors)
        self._kill(behind)
        writer = self.scribe.process()
        for number in range(mebibytes):
            put = Put("big", sys.intern(f"{number}".ljust(MEBIBYTE)))
            asked = self.scribe.invoke(writer, leader, put)
            self.scribe.finish(asked, self.doors[leader].ask(put, ASKS_S))
        self.start(behind)
        self.wait_back(behind)
        return behind

    def _strike(self, struck: Sequence[int]) -> None:
        for number in struck:
            self._kill(number)
        self.wait_flow()
        for number in struck:
            self.start(number)
        for number in struck:
            self.wait_back(number)

    def _kill(self, number: int) -> None:
        self.scribe.fault("kill", number, on=True)
        self.member(number).kill()

    def pause_leader(self, for_s: float) -> None:
        """SIGSTOP to the leader, for a while."""
        leader = self.leader()
        pid = self.member(leader).pid
        self.scribe.fault("pause", leader, on=True)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(for_s)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.scribe.fault("pause", leader, on=False)
        self.wait_flow()
        self.wait_back(leader)

    def roll(self) -> None:
        """SIGTERM to each member in turn, the leader last as the manual says; start each again."""
        leader = self.leader()
        for number in [*[n for n in range(len(self.doors)) if n != leader], leader]:
            self.scribe.fault("stop", number, on=True)
            assert self.member(number).stop() == 0
            self.start(number)
            self.wait_back(number)
            self.wait_flow()

    def start(self, number: int) -> None:
        """Start a member that is away."""
        self.member(number).start(wait=False)
        self.scribe.fault("start", number, on=False)

    # ---- waiting

    def member(self, number: int) -> Member:
        """A member by its number from 0."""
        return self.cluster.members[number]

    def leader(self) -> int:
        """Wait until one leads whom all that answer follow; return its number."""
        found = -1

        def one_leads() -> bool:
            nonlocal found
            told = [door.status() for door in self.doors]
            leaders = {each.leader for each in told if each is not None}
            ids = [None if each is None else each.header.member_id for each in told]
            found = ids.index(*leaders) if len(leaders) == 1 and leaders <= set(ids) else -1
            return found >= 0

        self._wait(one_leads, "nobody leads")
        return found

    def wait_back(self, number: int) -> None:
        """Wait until a member answers, and has applied what a leader has by now."""
        self.member(number).wait_ready()
        found: list[int] = []

        def is_told() -> bool:
            told = [each for door in self.doors if (each := door.status())]
            found.extend(each.raftAppliedIndex for each in told)
            return bool(found)

        self._wait(is_told, "nobody answers")
        wanted = max(found)

        def is_back() -> bool:
            told = self.doors[number].status()
            return told is not None and told.raftAppliedIndex >= wanted

        self._wait(is_back, "it does not catch up")

    def wait_flow(self) -> None:
        """Wait until writes are acknowledged again."""
        wanted = self.scribe.newest + FLOWS
        self._wait(lambda: self.scribe.newest >= wanted, "no writes are acknowledged")

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until, what
            time.sleep(LOOK_S)

    # ---- its end

    def finish(self) -> History:
        """Let everything come to rest, look at all members, and return the history.

        Each member is read, tells its hash, and tells all its history to a new witness.
        """
        scribe = self.scribe
        scribe.heal()
        self.wait_flow()
        for client in self.clients:
            client.stop()
        for client in self.clients:
            client.join()
        asker = scribe.process()
        for what in (Range("\0", "\0"), Admin("hash")):
            for number, door in enumerate(self.doors):
                asked = scribe.invoke(asker, number, what)
                told = door.ask(what, ASKS_S)
                scribe.finish(asked, told)
                assert isinstance(told, RangeDone | AdminDone), f"{what} on {number}: {told}"
        late = [Witness(scribe, door, number) for number, door in enumerate(self.doors)]
        for witness in late:
            witness.start()
        self.witnesses += late
        for witness in self.witnesses:
            witness.finish(scribe.newest, PATIENCE_S)
        for witness in self.witnesses:
            witness.join()
        return scribe.end()

    def close(self) -> None:
        """End all that still runs."""
        threads: list[Asker | Witness] = [*self.clients, *self.witnesses]
        for thread in threads:
            thread.stop()
        self.cluster.kill()
        for door in self.doors:
            door.close()
        for thread in threads:
            if thread.is_alive():
                thread.join(PATIENCE_S)


@contextmanager
def under_load(
    directory: Path, size: int, *, seed: int = 0, clients: int = CLIENTS
) -> Generator[Trial]:
    """Form a cluster, let clients and witnesses begin; end everything afterwards."""
    trial = Trial(Cluster.of(directory, NOBODY, size), seed)
    try:
        for member in trial.cluster.members:
            member.start(wait=False)
        for member in trial.cluster.members:
            member.wait_ready()
        trial.doors = [Door(member.endpoint) for member in trial.cluster.members]
        trial.leader()
        for number, door in enumerate(trial.doors):
            trial.witnesses.append(Witness(trial.scribe, door, number))
        trial.clients = [Client(trial.scribe, trial.doors, n, seed) for n in range(clients)]
        for slot in range(clients, clients + clients // 2):
            trial.clients.append(Keeper(trial.scribe, trial.doors, slot, seed))
        for thread in (*trial.witnesses, *trial.clients):
            thread.start()
        trial.wait_flow()
        yield trial
    finally:
        trial.close()
