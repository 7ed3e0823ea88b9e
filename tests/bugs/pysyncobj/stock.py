"""The stock library on a machine of the small world: a user's object, real journal files.

Rule of this file: pysyncobj as its documentation says, through its public seams: a subclass with a
replicated method, a transport of ours, `autoTick=False`, `journalFile` and `fullDumpFile` in a
directory. Clock, chance and poller are the world's, put in where the library imports them. One
private name is written, the election timer, to choose among its legal outcomes.
"""

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pysyncobj.journal
import pysyncobj.pipe_notifier
import pysyncobj.poller
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated, syncobj
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from tests.bugs.pysyncobj.world import Glance, World, switched

SETTINGS = {
    "autoTick": False,
    "appendEntriesPeriod": 0.05,
    "raftMinTimeout": 0.4,
    "raftMaxTimeout": 1.0,
    "leaderFallbackTimeout": 2.0,
    "useFork": False,
    "dynamicMembershipChange": True,
    "commandsWaitLeader": False,
    "logCompactionMinEntries": 10**9,
    "logCompactionMinTime": 10**9,
}


class _Poller(pysyncobj.poller.Poller):
    """There is nothing to poll."""

    def subscribe(self, *_: object) -> None: ...
    def unsubscribe(self, *_: object) -> None: ...
    def poll(self, timeout: float) -> None: ...


class _Transport(Transport):
    """What the library sends goes to the world's links."""

    def __init__(self, machine: "StockMachine") -> None:
        super().__init__(None, None, [])
        self._machine = machine

    def send(self, node: Node, message: dict[str, object]) -> bool:
        machine = self._machine
        machine.world.post(machine.number, node.id, pickle.dumps(message))
        return True

    def addNode(self, node: Node) -> None:
        self._machine.peers.add(node.id)
        self._machine.world.connect()

    def dropNode(self, node: Node) -> None:
        self._machine.peers.discard(node.id)
        self._machine.world.dropped(self._machine.number, node.id)


class Names(SyncObj):
    """The user's object: a list of names."""

    def __init__(self, owner: object, *rest: object, **settings: object) -> None:
        self.__dict__["owner"] = owner
        super().__init__(*rest, **settings)
        self.names: list[str] = []
        self.weight = b""

    @replicated
    def put(self, name: str, load: bytes) -> None:
        self.owner.applied(self.raftLastApplied + 1, name)
        self.names.append(name)


class StockMachine:
    """One member that runs the library; `number` is its node's id."""

    def __init__(
        self, world: World, number: int, members: Sequence[int], where: Path, *, dumps: bool
    ) -> None:
        self.world = world
        self.number = number
        self.members = members
        self.is_up = False
        self.peers: set[int] = set()
        self._journal = where / f"{number}.journal"
        self._dump = where / f"{number}.dump"
        self._dumps = dumps
        self._pages = b""
        self._errors = 0

    def start(self) -> None:
        others = [Node(each) for each in self.members if each != self.number]
        self.peers = {each.id for each in others}
        self.transport = _Transport(self)
        settings = {**SETTINGS, "journalFile": str(self._journal), "onStateChanged": self._changed}
        if self._dumps:
            settings["fullDumpFile"] = str(self._dump)
        self.is_up = True
        self.object = Names(
            self,
            Node(self.number),
            others,
            SyncObjConf(**settings),
            nodeClass=Node,
            transport=self.transport,
        )

    def stop(self) -> None:
        self.is_up = False
        # The mapped pages are the kernel's: closing the file adds nothing to them.
        self._log._destroy()

    def link(self, peer: int, *, up: bool) -> None:
        told = self.transport._onNodeConnected if up else self.transport._onNodeDisconnected
        told(Node(peer))

    def arrived(self, peer: int, message: object) -> None:
        if peer in self.peers:
            self._enter(self.transport._onMessageReceived, Node(peer), pickle.loads(message))
            self.tick()

    def tick(self) -> None:
        self._enter(self.object.doTick, 0.0)

    def _enter(self, call: object, *given: object) -> None:
        # The library's own thread logs what a tick raises, and goes on.
        try:
            call(*given)
        except Exception:
            self._errors += 1

    def knows(self, peer: int) -> bool:
        return peer in self.peers

    def glance(self, message: object) -> Glance:
        found = pickle.loads(message)
        kind = found["type"]
        if kind == "append_entries":
            if "serialized" in found:
                return Glance("snapshot")
            return Glance("append", len(found.get("entries", ())), found["prevLogIdx"])
        kinds = {"request_vote": "vote", "next_node_idx": "ack"}
        return Glance(kinds.get(kind, "other"))

    def campaign_in(self, seconds: float) -> None:
        deadline = self.world.now_s + seconds if seconds else 0
        self.object._SyncObj__raftElectionDeadline = deadline

    def put(self, name: str, size: int) -> None:
        judge = self.world.judge

        def answer(_: object, error: int) -> None:
            (judge.failed if error else judge.acknowledged).append(name)

        assert FAIL_REASON.SUCCESS == 0
        self.object.put(name, name.encode().ljust(size), callback=answer)

    def join(self, peer: int) -> None:
        judge = self.world.judge

        def answer(_: object, error: int) -> None:
            (judge.failed if error else judge.joined).append(f"{peer}")

        self.object.addNodeToCluster(Node(peer), callback=answer)

    def compact(self) -> None:
        self.object.forceLogCompaction()

    def weigh(self, size: int) -> None:
        # Not to be packed smaller than it is.
        state = bytes((each * each * 31 + (each >> 3) * 7) & 0xFF for each in range(4096))
        self.object.weight = b"".join(
            bytes((byte + block * 89 + byte * block) & 0xFF for byte in state)
            for block in range(size // 4096 + 1)
        )

    def remember_disk(self) -> None:
        self._pages = self._journal.read_bytes()

    def lose_power(self) -> None:
        self.stop()
        self._journal.write_bytes(self._pages)

    def applied(self, index: int, name: str) -> None:
        """The object applies something."""
        self.world.judge.applied(self.number, index, name)

    def _changed(self, _: int, state: int) -> None:
        if state == syncobj._RAFT_STATE.LEADER:
            self.world.judge.led(self.number, self.object.raftCurrentTerm)

    @property
    def _log(self) -> pysyncobj.journal.Journal:
        return self.object._SyncObj__raftLog

    @property
    def leads(self) -> bool:
        return self.is_up and self.object._isLeader()

    @property
    def names(self) -> Sequence[str]:
        return self.object.names

    @property
    def last_index(self) -> int:
        return self._log[-1][1]

    @property
    def commit_index(self) -> int:
        return self.object.raftCommitIndex


@contextmanager
def stock_world(
    where: Path, count: int = 3, *, members: Sequence[int] = (), dumps: bool = False
) -> Iterator[World]:
    """Yield a world of machines that run the stock library, all started unless members says which.

    Library and engine share a process: what the engine put in the library's place is put back.
    """
    world = World()
    first = members or range(1, count + 1)
    for number in range(1, count + 1):
        theirs = first if number in first else range(1, count + 1)
        world.machines[number] = StockMachine(world, number, list(theirs), where, dumps=dumps)
    quiet = logging.getLogger("pysyncobj")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL + 1)
    with switched(
        syncobj,
        monotonicTime=lambda: world.now_s,
        random=SimpleNamespace(random=lambda: 0.5),
        createPoller=lambda _: _Poller(),
        createJournal=pysyncobj.journal.createJournal,
        PIPE_NOTIFIER_ENABLED=False,
    ):
        try:
            world.start(*first)
            yield world
        finally:
            for machine in world.machines.values():
                if machine.is_up:
                    machine.stop()
            quiet.setLevel(level)
            assert os.listdir(where), "the library wrote real files"
