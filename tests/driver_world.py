"""A driver on a journal that notes what is durable, with a store on real files; turns by hand.

The rule of this file: the test is reactor, sync thread and job thread in one. Nothing is synced and
no job is run before the test says so.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from core.codec import decode_pack
from core.effects import Reply
from core.ids import Index
from core.inputs import Asked, Committed, Offered
from core.node import Node, NodeConfig
from core.operations import Command, Put, Query
from core.state import State
from net.driver import Driver, DriverInput, Io, JobDone, Synced
from net.flush import Pace
from net.journal import Frame, Journal
from net.local import LocalEngine
from net.metrics import Metrics
from net.replicator import LogBounds
from sim.disk import DiskFaults, SimDisk
from tests.stores import new_store

CONFIG = NodeConfig(
    member_id=1,
    origin=7,
    quota_bytes=1 << 40,
    request_bytes_max=1 << 22,
    fragment_bytes=1 << 20,
    progress_interval_ms=600_000,
)


class Noted:
    """A journal's double: passes everything on, and notes which packs were durable when."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.written: list[bytes] = []
        self.durable = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    def append(self, frames: Sequence[Frame]) -> object:
        position = self._journal.append(frames)
        self.written += [frame.payload for frame in frames]
        return position

    def sync(self) -> object:
        covered = len(self.written)
        position = self._journal.sync()
        self.durable = covered
        return position

    def is_durable(self, text: bytes) -> bool:
        """Whether a pack that holds this text is behind a sync."""
        return any(text in payload for payload in self.written[: self.durable])

    def packs(self) -> list[bytes]:
        """The packs that hold commands, in order."""
        return [bytes(p) for p in self.written if len(p) > 40]


class DriverWorld:
    """One member's driver, under a clock that the test moves."""

    def __init__(
        self,
        directory: Path,
        *,
        pace: Pace | None = None,
        faults: DiskFaults | None = None,
        segment_bytes: int = 1 << 20,
    ) -> None:
        self.disk = SimDisk(Random(1), faults=faults or DiskFaults())
        journal, _ = Journal.open(self.disk, "/member/journal", segment_bytes=segment_bytes)
        self.noted = Noted(journal)
        self.directory = directory
        self.now_ms = 0
        self.sync = 0
        self.node = Node(State(), CONFIG)
        engine = LocalEngine(1, LogBounds())
        store = new_store(str(directory))
        self.driver = Driver(
            self.node,
            engine,
            self.noted,  # type: ignore[arg-type]  # a double that passes everything on
            store,
            Metrics(),
            pace or Pace(),
        )
        self.driver.packs.verify = True

    def lead(self) -> "DriverWorld":
        """Take the turns that make this member the leader."""
        self.settle()
        assert self.driver.engine.role.is_leader
        return self

    def turn(self, *inputs: DriverInput, after_ms: int = 1) -> Io:
        """Take one turn; what it wants synced is remembered."""
        self.now_ms += after_ms
        io = self.driver.turn(self.now_ms, inputs)
        self.sync = io.sync or self.sync
        return io

    def synced(self, *inputs: DriverInput) -> Io:
        """Do the sync that was asked for and tell of it, in one turn with other inputs."""
        reached, self.sync = self.sync, 0
        assert reached, "nothing was to be synced"
        self.noted.sync()
        return self.turn(Synced(reached), *inputs)

    def settle(self, *inputs: DriverInput) -> list[Reply]:
        """Take turns until nothing is left to sync or to do; return the replies."""
        io = self.turn(*inputs, after_ms=60)
        replies = list(io.replies)
        while True:
            done = [JobDone(job.kind, job.run()) for job in io.jobs]
            if self.sync:
                io = self.synced(*done)
            elif io.busy or done or self.node.proposals_waiting:
                io = self.turn(*done, after_ms=60)
            else:
                return replies
            replies += io.replies

    def do(self, command: Command) -> object:
        """Offer one command and return its answer, all the way."""
        (reply,) = self.settle(Offered("client", command, 100))
        return reply.answer

    def ask(self, query: Query) -> object:
        """Ask and return the answer."""
        (reply,) = self.settle(Asked("client", query))
        return reply.answer

    def pack_sizes(self) -> list[int]:
        """How many commands each pack held that was written."""
        return [count for p in self.noted.packs() if (count := len(decode_pack(p)))]

    def replayed(self) -> State:
        """The state that a new node gets from what is in the journal."""
        journal = self.driver.journal
        node = Node(State(), CONFIG)
        for index, term, payload in journal.read(Index(journal.first_index), journal.last_index):
            node.step(Committed(index, term, decode_pack(payload)))
            while node.has_work():
                node.work()
        return node.state

    def close(self) -> None:
        """Close store and journal."""
        self.driver.store.close()
        self.driver.journal.close()


def put(token: object, value: bytes, key: bytes = b"k") -> Offered:
    """A client's put."""
    return Offered(token, Put(key, value), len(value) + 20)
