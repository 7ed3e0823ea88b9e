"""What one life of a member stands on in the simulated world, in place of the operating system.

Rule of this file: ports only; the composition is `server.member`'s. Helper threads are calls on the
world's heap that take a while: what they do is done whole, at the beginning of that while or at its
end, as chance has it. A dead ground does nothing more and tells nobody.
"""

import gc
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Protocol, TypeVar

import outcome
import trio
from attrs import define, evolve, field
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from core.members import Member
from core.node import NodeConfig
from net.etcd.maintenance import Maintenance
from net.flush import Pace
from net.metrics import Metrics
from net.store.batch import Identity
from net.telemetry import Logger
from server import member, recover
from server.arguments import read_arguments
from server.config import Config, configure
from server.ground import Running
from server.recover import Directory, Engine, Opened, open_member
from server.settings import ALL_FLAGS, gather
from sim import cluster
from sim.disk import SimDisk
from sim.engines import LEARNERS_MAX
from sim.network import Network
from sim.perfect_messages import kind_of
from sim.plan import Options
from sim.streams import StreamSockets
from sim.swapping import swapped
from sim.tier2_peers import SimPeers
from sim.vfs import SimVfs
from sim.wire_words import numbered
from sim.world import MemberClock, World

T = TypeVar("T")

DATA = "/member"
JOB_US = 2_000
FRAGMENT_BYTES = 4_096
PROGRESS_MS = 2_000
REQUEST_MS = 7_000
ELECTION_MS = 1_000
DATE = "Thu, 01 Jan 1970 00:00:00 GMT"


class Life(Protocol):
    """Who lives on a ground."""

    def enter(self) -> None:
        """What is done from now on is done by this member."""
        ...

    def began(self, running: Running) -> None:
        """The parts stand; the first turn comes next."""
        ...


@define
class Traits:
    """What differs from member to member and run to run beside the faults."""

    identity: Identity
    pace: Pace
    segment_bytes: int = 16 << 10
    reserve_bytes: int = 16 << 10
    voters_wanted: int = 0
    stand_bys_wanted: int = 0
    failure_domain: int = 0
    sync_us: int = field(factory=lambda: cluster.SYNC_US)
    job_us: int = JOB_US
    slow_us: int = 0
    """Added to each sync: a slow disk."""


class SimSync:
    """The sync thread: `net.syncer.Syncer` on the heap."""

    def __init__(self, ground: "SimGround", sync: Callable[[], object], wake: Callable[[], None]):
        self._ground = ground
        self._sync = sync
        self._wake = wake
        self._wanted = self._durable = self._told = -1
        self._is_running = False
        self._failure: BaseException | None = None

    def request(self, position: int) -> None:
        assert position >= self._wanted, "a sync position went back"
        self._wanted = position
        if not self._is_running:
            self._begin()

    def here(self, position: int) -> bool:
        """Sync at once, as a quick disk allows; or leave it to the heap."""
        if self._is_running or self._failure is not None or self._ground.chance.random() < 0.5:
            return False
        assert position >= self._wanted, "a sync position went back"
        self._wanted = position
        self._sync()
        self._durable = position
        return True

    def reached(self) -> int | None:
        if self._failure is not None:
            raise self._failure
        if self._durable == self._told:
            return None
        self._told = self._durable
        return self._durable

    def close(self) -> None:
        """Sync what was asked for and is not done; a dead disk refuses."""
        if self._durable < self._wanted and self._failure is None:
            self._sync()
            self._durable = self._wanted

    def _begin(self) -> None:
        self._is_running = True
        ground = self._ground
        position = self._wanted
        done = self._run() if ground.chance.random() < 0.5 else None
        ground.later(ground.sync_delay_us(), partial(self._finish, position, done))

    def _run(self) -> outcome.Maybe[object]:
        self._ground.life.enter()
        return outcome.capture(self._sync)

    def _finish(self, position: int, done: outcome.Maybe[object] | None) -> None:
        self._is_running = False
        done = self._run() if done is None else done
        if isinstance(done, outcome.Error):
            self._failure = done.error
        else:
            self._durable = max(self._durable, position)
            if self._wanted > self._durable:
                self._begin()
        self._wake()


class SimJobs:
    """The jobs thread: `net.syncer.Jobs` on the heap, one job after the other."""

    def __init__(self, ground: "SimGround", wake: Callable[[], None]) -> None:
        self._ground = ground
        self._wake = wake
        self._queue: deque[Callable[[], Callable[[], None]]] = deque()
        self._finished: deque[Callable[[], None]] = deque()
        self._is_running = False

    def submit(self, job: Callable[[], T], done: Callable[[outcome.Maybe[T]], None]) -> None:
        def perform() -> Callable[[], None]:
            self._ground.life.enter()
            return partial(done, outcome.capture(job))

        self._queue.append(perform)
        if not self._is_running:
            self._begin()

    def deliver(self) -> int:
        count = 0
        while self._finished:
            self._finished.popleft()()
            count += 1
        return count

    def close(self) -> None:
        """Do what is queued; results are not delivered."""
        while self._queue:
            self._finished.append(self._queue.popleft()())

    def _begin(self) -> None:
        self._is_running = True
        ground = self._ground
        done = self._queue.popleft()() if ground.chance.random() < 0.5 else None
        ground.later(ground.job_delay_us(), partial(self._finish, done))

    def _finish(self, done: Callable[[], None] | None) -> None:
        self._is_running = False
        if done is None and self._queue:
            done = self._queue.popleft()()
        if done is not None:
            self._finished.append(done)
        if self._queue:
            self._begin()
        self._wake()


@define(eq=False)
class SimGround:
    """`server.ground.Ground` of one life."""

    number: int
    world: World
    life: Life
    traits: Traits
    disk: SimDisk
    vfs: SimVfs
    clock: MemberClock
    sockets: StreamSockets
    chance: Random
    woken: Callable[[], None]
    """Called when a task of the member may go on."""
    engine: Engine | None = None
    """Makes the engine of one member among others; None for a member alone."""
    network: Network | None = None
    founders: Sequence[Member] = ()
    """Who begins the log of an empty disk, by an engine whose members may change."""
    kind_of: Callable[[bytes], str] = kind_of
    """Names the engine's messages, for traces."""
    reached: SimPeers | None = None
    is_dead: bool = False
    _held: list[Callable[[], None]] = field(factory=list[Callable[[], None]])

    def listen(self, config: Config, log: Logger) -> StreamSockets:
        return self.sockets

    def directory(self, config: Config) -> Directory:
        traits = self.traits
        return Directory(
            self.disk,
            DATA,
            f"{DATA}/journal",
            vfs=self.vfs.vfs_name,
            segment_bytes=traits.segment_bytes,
            reserve_bytes=traits.reserve_bytes,
            pace=traits.pace,
        )

    def open(self, config: Config, node: NodeConfig, metrics: Metrics, log: Logger) -> Opened:
        self.life.enter()
        node = evolve(node, fragment_bytes=FRAGMENT_BYTES)
        if self.engine is not None:
            node = evolve(
                node,
                request_timeout_ms=REQUEST_MS,
                election_timeout_ms=ELECTION_MS,
                are_members_fixed=not self.founders,
                learners_max=LEARNERS_MAX,
                voters_wanted=self.traits.voters_wanted,
                stand_bys_wanted=self.traits.stand_bys_wanted,
                failure_domain=self.traits.failure_domain,
            )
        own = self.traits.identity.member_id
        founders = self.founders if any(each.id == own for each in self.founders) else ()
        return open_member(
            self.directory(config),
            node,
            metrics,
            log,
            identity=self.traits.identity,
            founders=founders,
            engine=self.engine,
        )

    def peers(
        self, config: Config, opened: Opened, maintenance: Maintenance, log: Logger
    ) -> SimPeers | None:
        if self.network is None:
            return None
        self.reached = SimPeers(
            self.number,
            self.network,
            opened,
            maintenance,
            log,
            disk=self.disk,
            directory=DATA,
            vfs=self.vfs.vfs_name,
            kind=self.kind_of,
        )
        return self.reached

    def helpers(
        self, sync: Callable[[], object], wake: Callable[[], None]
    ) -> tuple[SimSync, SimJobs]:
        return SimSync(self, sync, wake), SimJobs(self, wake)

    async def in_thread(self, call: Callable[[], T]) -> T:
        waiting: Task | None = current_task()

        def aborted(_: RaiseCancelT) -> Abort:
            nonlocal waiting
            waiting = None
            return Abort.SUCCEEDED

        def finished() -> None:
            if waiting is not None:
                reschedule(waiting)
                self.woken()

        self.later(self.job_delay_us(), finished)
        await wait_task_rescheduled(aborted)
        self.life.enter()
        return call()

    def bits(self, count: int) -> int:
        return self.chance.getrandbits(count)

    def now_ms(self) -> int:
        return self.clock.monotonic_us() // 1000

    def now_us(self) -> int:
        return self.clock.monotonic_us()

    def date(self) -> str:
        return DATE

    async def attend(self, nursery: trio.Nursery, running: Running, log: Logger) -> None:
        self.life.began(running)
        await trio.lowlevel.checkpoint()

    # For the helpers.

    def pause(self, *, on: bool) -> None:
        """Stop everything that runs here, or let it go on."""
        self.sockets.is_stopped = on
        if not on:
            held, self._held = self._held, []
            for call in held:
                call()
            self.sockets.rouse()

    def later(self, delay_us: int, call: Callable[[], None]) -> None:
        """Have something happen, unless the member is dead by then; a pause holds it up."""

        def happen() -> None:
            if self.is_dead:
                return
            if self.sockets.is_stopped:
                self._held.append(happen)
            else:
                call()

        self.world.after_us(delay_us, happen)

    def sync_delay_us(self) -> int:
        """How long the next sync takes."""
        traits = self.traits
        return 1 + int(self.chance.expovariate(1 / traits.sync_us)) + traits.slow_us

    def job_delay_us(self) -> int:
        """How long the next job takes."""
        traits = self.traits
        return 1 + int(self.chance.expovariate(1 / traits.job_us)) + traits.slow_us


@contextmanager
def members_by_number() -> Generator[None]:
    """Let a member that joins have the id of the machine that listens at its URL."""
    with swapped(member, "member_id", numbered):
        yield


class _NoCollector:
    """The garbage collector as a member sees it that is not alone in its process."""

    def disable(self) -> None:
        """It is off already."""

    def enable(self) -> None:
        """A run is short: its garbage is looked at when it is over."""

    def freeze(self) -> None:
        """What a member holds is not to outlive it."""


@contextmanager
def collecting_nothing() -> Generator[None]:
    """Leave the garbage collector off, whatever members do."""
    collects = gc.isenabled()
    gc.disable()
    try:
        with swapped(recover, "gc", _NoCollector()):
            yield
    finally:
        if collects:
            gc.enable()


def configured(options: Options) -> Config:
    """Return how a member of such a run is configured."""
    arguments = ("--name=sim", "--data-dir=/member", "--grpc-keepalive-min-time=1s")
    settings = gather(read_arguments(arguments, ALL_FLAGS), {}, _no_file)
    return evolve(
        configure(settings, host="sim"),
        quota_bytes=options.quota_bytes,
        watch_progress_ms=PROGRESS_MS,
    )


def _no_file(path: str) -> str:
    raise FileNotFoundError(path)
