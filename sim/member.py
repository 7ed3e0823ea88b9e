"""One member in a world with a seed: shipped driver, recovery, journal and store on a `SimDisk`.

Rule of this file: it stands where reactor, threads and sockets stand in production, and adds
nothing that they would not do. Requests enter as inputs, helper threads are a queue whose work
is done whole at a turn drawn by chance, time is moved by the caller. A member lives once: after
`crash` or `stop` the next one starts on the disk that is left.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, cast

import apsw
from attrs import define, field, frozen

from core.errors import Failure
from core.inputs import Asked, Offered
from core.node import NodeConfig
from core.operations import Command, Query
from net import replicator as raft
from net.disk import DiskFull
from net.driver import DEFAULT_PACE, Driver, DriverInput, Io, Job, JobDone, Synced
from net.etcd.calls import StreamCall
from net.etcd.cluster import Cluster
from net.etcd.encode import Encoder
from net.etcd.maintenance import Maintenance
from net.flush import Pace
from net.metrics import Metrics, RpcMetrics
from net.replicator import Replicator
from net.store.batch import Identity
from net.telemetry import Logger
from server.recover import Directory, Opened, open_member
from sim.disk import PowerLost, SimDisk
from sim.platter import Survival
from sim.vfs import SimVfs

DATA = "/member"
IDENTITY = Identity(cluster_id=0xC1, member_id=0xA1)

Plant = Callable[[Driver], None]
"""Puts a bug into a driver, to prove that a harness sees it."""


@frozen
class Shape:
    """What differs from run to run, beside the workload."""

    pace: Pace = DEFAULT_PACE
    segment_bytes: int = 16 << 10
    reserve_bytes: int = 64 << 10
    quota_bytes: int = 1 << 40
    sync_delay: float = 0.3
    """Probability that a sync asked for has not been done by the next turn."""
    job_delay: float = 0.5


@define
class Log:
    """What a member gave to its journal, by index, whether it became durable or not."""

    entries: dict[int, raft.Entry] = field(factory=dict[int, raft.Entry])


class _Recorded:
    """An engine, with what it wants written noted on the way."""

    def __init__(self, engine: Replicator, log: Log) -> None:
        self._engine = engine
        self._log = log

    @property
    def role(self) -> raft.Role:
        return self._engine.role

    @property
    def commit_index(self) -> int:
        return self._engine.commit_index

    @property
    def members(self) -> raft.Configuration:
        return self._engine.members

    @property
    def refused_frames(self) -> int:
        return self._engine.refused_frames

    def match_of(self, member: int) -> int:
        return self._engine.match_of(member)

    def step(self, now_ms: int, inputs: Sequence[raft.RaftInput]) -> raft.RaftOutput:
        out = self._engine.step(now_ms, inputs)
        for persist in out.persist:
            for entry in persist.append:
                self._log.entries[entry.index] = entry
        return out


class Errand(StreamCall):
    """A request to Maintenance without a connection: keeps what is sent, tells how it ended."""

    __slots__ = ("failure", "received")

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.failure: Failure | None = None
        self.over = False
        self.metrics = RpcMetrics("Maintenance", "Errand", "server_stream")
        # Maintenance asks a stream for `queued_bytes` and tells a connection to `send`.
        self.connection = cast(Any, self)
        self.stream = cast(Any, self)

    queued_bytes = 0

    def send(self, stream: object, message: bytes) -> None:
        self.received.append(message)

    def reply(self, message: bytes) -> None:
        self.received.append(message)
        self.over = True

    def finish(self) -> None:
        self.over = True

    def fail(self, failure: Failure) -> None:
        self.failure = failure
        self.over = True


class SimMember:
    """One life of a member. What its disk raises comes out of `start`, `turn` and `stop`."""

    def __init__(
        self, disk: SimDisk, chance: Random, logger: Logger, *, shape: Shape, log: Log
    ) -> None:
        self.disk = disk
        self.log = log
        self.now_ms = 0
        self.opened: Opened | None = None
        self._chance = chance
        self._logger = logger
        self._shape = shape
        self._vfs = SimVfs(f"member-{id(self):x}", disk, chance)
        self._inputs: list[DriverInput] = []
        self._sync = 0
        self._jobs: deque[tuple[Job, Callable[[object], None]]] = deque()

    @property
    def driver(self) -> Driver:
        """The running driver."""
        assert self.opened is not None, "the member does not run"
        return self.opened.driver

    def start(self, plant: Plant | None = None) -> None:
        """Open the directory, recover, and be ready for the first turn."""
        shape = self._shape
        where = Directory(
            self.disk,
            DATA,
            f"{DATA}/journal",
            vfs=self._vfs.vfs_name,
            segment_bytes=shape.segment_bytes,
            reserve_bytes=shape.reserve_bytes,
            pace=shape.pace,
        )
        config = NodeConfig(
            member_id=0,
            origin=self._chance.getrandbits(64),
            quota_bytes=shape.quota_bytes,
            request_bytes_max=1 << 20,
            fragment_bytes=1 << 20,
            progress_interval_ms=600_000,
        )
        opened = open_member(where, config, Metrics(), self._logger, identity=IDENTITY)
        self.opened = opened
        driver = opened.driver
        driver.packs.verify = True
        driver.engine = _Recorded(driver.engine, self.log)
        if plant is not None:
            plant(driver)
        encoder = Encoder(
            cluster_id=opened.identity.cluster_id, member_id=opened.identity.member_id
        )
        cluster = Cluster(driver.node, lambda: encoder.header(0), lambda urls: len(urls))
        self._maintenance = Maintenance(
            driver,
            cluster,
            encoder,
            self._logger,
            disk=self.disk,
            directory=DATA,
            vfs=self._vfs.vfs_name,
        )
        self.tend_reserve()

    def offer(self, token: object, command: Command) -> None:
        """Let a client's command arrive at the next turn."""
        self._inputs.append(Offered(token, command, 100))

    def ask(self, token: object, query: Query) -> None:
        """Let a client's query arrive at the next turn."""
        self._inputs.append(Asked(token, query))

    def give(self, given: DriverInput) -> None:
        """Let any other input arrive at the next turn."""
        self._inputs.append(given)

    def maintain(self, method: str) -> Errand:
        """Begin Defragment or Snapshot; the errand tells how it went."""
        errand = Errand()
        self._maintenance.begin(method, errand, b"")
        return errand

    def tend_reserve(self) -> None:
        """Fill the reserve in the helper thread, and note when a full disk has room again."""
        opened = self.opened
        assert opened is not None, "the member does not run"

        def done(held: object) -> None:
            if held:
                opened.driver.disk_full = False

        self._jobs.append((Job("reserve", opened.reserve.fill), done))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way: all is answered, synced, done."""
        driver = self.driver
        return not (
            self._inputs
            or self._sync
            or self._jobs
            or self._maintenance.is_defragmenting
            or self._maintenance.is_sending
            or driver.node.has_work()
            or driver.node.proposals_waiting
            or not driver.engine.role.is_leader
        )

    def turn(self, advance_ms: int = 1) -> Io:
        """Take one turn, and as much of the helper threads' work as chance lets be done."""
        self.now_ms += advance_ms + self.disk.delay_ms
        self.disk.delay_ms = 0
        inputs: list[DriverInput] = []
        if self._sync and self._chance.random() >= self._shape.sync_delay:
            reached, self._sync = self._sync, 0
            self.driver.journal.sync()
            inputs.append(Synced(reached))
        if self._jobs and self._chance.random() >= self._shape.job_delay:
            job, then = self._jobs.popleft()
            then(_result(job))
        inputs += self._inputs
        self._inputs = []
        io = self.driver.turn(self.now_ms, inputs)
        self._sync = io.sync or self._sync
        for job in io.jobs:
            self._jobs.append((job, self._driver_job(job)))
        self._jobs += self._maintenance.jobs
        self._maintenance.jobs = []
        self._maintenance.pump()
        return io

    def stop(self) -> None:
        """End in good order, as SIGTERM does."""
        assert self.opened is not None, "the member does not run"
        self._maintenance.close()
        if self._sync:
            self.driver.journal.sync()
        self.opened.close()
        self.opened = None
        self._vfs.unregister()

    def crash(self, survival: Survival) -> SimDisk:
        """End abruptly; return the disk as the next member finds it. Also after a failed start."""
        self.disk.power_off()
        if self.opened is not None:
            # The connection would else be closed at any time, by the collector.
            with suppress(PowerLost, OSError, apsw.Error):
                self.opened.driver.store.close()
            self.opened = None
        self._vfs.unregister()
        return self.disk.restart(survival)

    def _driver_job(self, job: Job) -> Callable[[object], None]:
        return lambda result: self._inputs.append(JobDone(job.kind, result))


def _result(job: Job) -> object:
    """Run a job as the client port does: a full disk is a result, any other error the end."""
    try:
        return job.run()
    except DiskFull as full:
        return full
