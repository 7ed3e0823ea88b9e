"""The client port: the application that the reactor serves, driver and services joined.

One turn: what threads finished, what clients asked, one driver turn, and the answers out. It
holds back watches and range streams whose connection has no room, and lets them go on once
it has.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import perf_counter_ns
from typing import Any, Protocol

import outcome

from core.effects import Notify
from core.inputs import Asked, Offered, RoomChanged
from core.operations import Barrier, Command
from net.application import Codec
from net.disk import DiskFull
from net.driver import Driver, DriverInput, Io, Job, JobDone, Synced
from net.etcd.calls import Call, Hidden, Onward, StreamCall, WatchCall
from net.etcd.cluster import Cluster
from net.etcd.encode import Encoder
from net.etcd.maintenance import Maintenance
from net.etcd.services import Method, Services
from net.faultpoint import faultpoint
from net.http1 import Http1Pending, Http1Request, Http1Response
from net.http2.connection import Connection
from net.http2.limits import Http2Settings
from net.listen import PeerInfo, Role
from net.metrics import Metrics
from net.slow import SlowLog
from net.store.errors import StoreClosed
from net.syncer import HelperJobs, HelperSync, threads
from net.tally import SLICED, Tally
from net.turns import PeerMessage

STREAM_BYTES_HIGH = 1 << 20
"""A stream that holds more than this is fed no further."""
CONNECTION_BYTES_HIGH = 4 << 20
BLOCKED_LOOK_MS = 5
NOTICES_PER_TURN = 1000
"""Watch messages laid out in one turn, or a quarter of those that wait: so they cannot pile up.

10,000 watchers of one prefix took a turn of 43 ms for each change, at 4 us a message.
"""

INPUTS_PER_TURN = 256
"""Requests taken from clients in one turn, or a few more: 2 to 6 ms of work. They arrive in any
number at once, when many clients reconnect; who was not read waits for the next turn.
"""

ClientConnection = Connection[Method]


class Http(Protocol):
    """Who answers HTTP/1.1 on the client port."""

    def __call__(
        self, request: Http1Request, peer: PeerInfo
    ) -> Http1Response | Http1Pending | None: ...


class Helpers(Protocol):
    """Who syncs the journal and does the other slow jobs, beside the turns: threads, or a double.

    `wake` may be called from any thread; it makes the reactor take a turn.
    """

    def __call__(
        self, sync: Callable[[], object], wake: Callable[[], None]
    ) -> tuple[HelperSync, HelperJobs]: ...


class Peers(Protocol):
    """The other members of the cluster, and what carries messages and snapshots between them."""

    @property
    def jobs(self) -> list[tuple[Job, Callable[[object], None]]]:
        """For the port to submit and to clear: each with what to do about its result."""
        ...

    @property
    def due_ms(self) -> int | None:
        """When `take` is to be called although nothing came; None for never."""
        ...

    def start(self, wake: Callable[[], None], dirty: list[Codec]) -> None:
        """Begin; `wake` makes the reactor take a turn, `dirty` takes codecs with output."""
        ...

    def accepted(self, info: PeerInfo, now_ms: int) -> Codec:
        """Return the codec of a connection that another member opened, as it seems."""
        ...

    def take(self, now_ms: int) -> Sequence[DriverInput]:
        """Do what time asks for; return what came since the last call, in order."""
        ...

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Send messages, in order; what no connection takes is lost."""
        ...

    def send_snapshots(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Send each (peer, index) a state at that index or later."""
        ...

    def close(self) -> None:
        """End all connections."""
        ...


def _now_us() -> int:
    return perf_counter_ns() // 1000


class ClientPort:
    """All client connections of one member."""

    def __init__(
        self,
        driver: Driver,
        services: Services,
        maintenance: Maintenance,
        cluster: Cluster,
        encoder: Encoder,
        metrics: Metrics,
        *,
        settings: Http2Settings,
        http: Http,
        slow: SlowLog,
        helpers: Helpers = threads,
        now_us: Callable[[], int] = _now_us,
        peers: Peers | None = None,
    ) -> None:
        self.dirty: list[Codec] = []
        self._driver = driver
        self._services = services
        self._maintenance = maintenance
        self._cluster = cluster
        self._encoder = encoder
        self._metrics = metrics
        self._tally = Tally(driver, metrics)
        self._settings = settings
        self._http = http
        self._slow = slow
        self._helpers = helpers
        self._now_us = now_us
        self._peers = peers
        self._syncer: HelperSync | None = None
        self._jobs: HelperJobs | None = None
        self._lone_sync = 0
        """What to sync once the turn's output is sent."""
        self._is_lone_awaited = False
        self._done: list[DriverInput] = []
        self._notices: deque[Notify] = deque()
        self._blocked: dict[Call, None] = {}
        self._questions: list[tuple[Hidden, int]] = []
        self._wake: Callable[[], None] = lambda: None
        encoder.set_term(driver.engine.role.term)

    def start(self, wake: Callable[[], None]) -> None:
        """Begin the helper threads; `wake` makes the reactor take a turn."""
        self._driver.clock_us = self._now_us
        self._wake = wake
        self._syncer, self._jobs = self._helpers(self._sync_journal, wake)
        if self._peers is not None:
            self._peers.start(wake, self.dirty)

    def close(self) -> None:
        """End the helper threads; what was being synced is synced."""
        with ExitStack() as ends:
            if self._peers is not None:
                # Last: no job of theirs runs any more, so what it reads can be closed.
                ends.callback(self._peers.close)
            for helper in (self._jobs, self._syncer, self._maintenance):
                if helper is not None:
                    ends.callback(helper.close)

    # The reactor's application.

    def accepted(self, peer: PeerInfo, now_ms: int) -> Codec:
        """Return the codec of a new connection: HTTP/2, or of a member."""
        if peer.role is Role.PEER:
            assert self._peers is not None, "INV-PORT-STARTED"
            return self._peers.accepted(peer, now_ms)
        self._metrics.connections_total += 1
        connection = Connection(
            self._services.methods, self._services, self._settings, now_ms, self.dirty
        )
        connection.owner = peer.address
        return connection

    @property
    def is_full(self) -> bool:
        """Whether clients have asked enough for one turn."""
        return len(self._services.inputs) >= INPUTS_PER_TURN

    def http1(self, request: Http1Request, peer: PeerInfo) -> Http1Response | Http1Pending | None:
        """Answer health, metrics and version."""
        return self._http(request, peer)

    def turn(self, now_ms: int) -> int | None:
        """Do everything that is waiting; return when time alone asks for the next turn."""
        services = self._services
        services.now_ms = now_ms
        services.is_mute = self._maintenance.is_mute
        inputs = self._gather(now_ms)
        began_us = self._now_us()
        io = self._driver.turn(now_ms, inputs)
        took_us = self._now_us() - began_us
        self._metrics.turn_us.observe(took_us)
        if took_us > self._slow.apply_ms * 1000:
            self._tell_slow_turn(io, took_us // 1000, now_ms)
        self._deliver(io, now_ms)
        self._maintenance.took_turn(io)
        self._tally.turn()
        self._start_work(io)
        sending = self._maintenance.pump()
        waits = services.inputs or self._cluster.inputs or self._maintenance.leadership.inputs
        if io.busy or sending or waits or self._notices:
            return now_ms
        due_ms = io.next_deadline_ms
        if self._peers is not None and (peers_ms := self._peers.due_ms) is not None:
            due_ms = min(due_ms, peers_ms)
        if self._blocked or self._maintenance.is_sending:
            due_ms = min(due_ms, now_ms + BLOCKED_LOOK_MS)
        return due_ms

    def goes_on(self) -> bool:
        """Sync a lone batch here, now that other members are sent it: theirs goes on meanwhile."""
        position, self._lone_sync = self._lone_sync, 0
        if not position:
            return False
        assert self._syncer is not None, "INV-PORT-STARTED"
        if self._syncer.here(position):
            if self._is_lone_awaited and self._peers is not None:
                self._peers.send(self._driver.release(position))
            return self._is_lone_awaited
        self._syncer.request(position)
        return False

    def hand_over(self, then: Callable[[], None]) -> None:
        """Let others lead, as far as there are any; `then` goes on with leaving, in a turn."""
        self._maintenance.leadership.hand_over(then)
        self._wake()

    def leave(self) -> None:
        """End what clients would keep open for ever; to be called once they are told to go."""
        self._services.leave()
        self._wake()

    def ask(self, method: str, call: Call, message: bytes) -> None:
        """Take a request of the Cluster or Maintenance service that came another way."""
        self._maintenance.begin(method, call, message)

    def when_removed(self, then: Callable[[], None]) -> None:
        """Have `then` end this member once it is none of the cluster's any more."""
        self._maintenance.on_removed = then

    def ask_barrier(self, then: Callable[[bool], None], deadline_ms: int) -> None:
        """Find out whether a linearizable read succeeds; `then` gets the verdict, in a turn."""
        question = Hidden(then)
        self._questions.append((question, deadline_ms))
        self._services.inputs.append(Asked(question, Barrier()))

    def offer(self, command: Command, then: Callable[[bool], None]) -> None:
        """Propose a command of the member's own; `then` learns whether it was applied."""
        self._services.inputs.append(Offered(Hidden(then), command, 0))

    def _gather(self, now_ms: int) -> Sequence[DriverInput]:
        services = self._services
        inputs: list[DriverInput] = []
        if self._syncer is not None and (batch := self._syncer.reached()) is not None:
            inputs.append(Synced(batch))
        if self._jobs is not None:
            self._jobs.deliver()
        if self._blocked:
            self._unblock()
        if self._questions:
            self._expire_questions(now_ms)
        inputs += self._done
        self._done = []
        inputs += services.inputs
        services.inputs = []
        if self._cluster.inputs:
            inputs += self._cluster.inputs
            self._cluster.inputs = []
        leadership = self._maintenance.leadership
        if leadership.inputs:
            inputs += leadership.inputs
            leadership.inputs = []
        if self._peers is not None:
            inputs += self._peers.take(now_ms)
        return inputs

    def _deliver(self, io: Io, now_ms: int) -> None:
        encoder = self._encoder
        encoder.set_term(self._driver.engine.role.term)
        if io.replies:
            self._answer(io, now_ms)
        notices = self._notices
        if io.notices or notices:
            notices += io.notices
            for _ in range(min(len(notices), max(NOTICES_PER_TURN, len(notices) // 4))):
                stream, message = notices.popleft()
                call = stream.token
                if call is None:
                    # The client left in this turn, before the core heard of it.
                    continue
                assert isinstance(call, WatchCall), "INV-TOKEN"
                call.notify(encoder, message)
                if not stream.blocked:
                    self._hold_back(call)
        for stream, failure in io.ended:
            call = stream.token
            if isinstance(call, WatchCall):
                self._services.ended(call, failure)

    def _answer(self, io: Io, now_ms: int) -> None:
        faultpoint("answer.before")
        encoder = self._encoder
        slow_ms = now_ms - self._slow.request_ms
        for token, answer in io.replies:
            assert isinstance(token, Call), "INV-TOKEN"
            if token.over:
                continue
            token.settle(encoder, answer)
            if type(answer) in SLICED:
                self._tally.answered(answer, now_ms - token.began_ms)
            if type(token) is StreamCall:
                self._hold_back(token)
            elif type(token) is Call and token.began_ms < slow_ms:
                self._slow.answered(
                    token.stream.path.decode("ascii", "replace"),
                    token.request,
                    remote=str(token.connection.owner),
                    began_ms=token.began_ms,
                    now_ms=now_ms,
                )
        faultpoint("answer.after")

    def _hold_back(self, call: Call) -> None:
        full = call.connection.pending_bytes > CONNECTION_BYTES_HIGH
        if (full or call.stream.queued_bytes > STREAM_BYTES_HIGH) and not call.over:
            self._blocked[call] = None
            if isinstance(call, WatchCall):
                call.watch_stream.blocked = True
            self._done.append(RoomChanged(_stream_of(call), True))

    def _unblock(self) -> None:
        for call in list(self._blocked):
            full = call.connection.pending_bytes > CONNECTION_BYTES_HIGH // 2
            if call.over or not (full or call.stream.queued_bytes > STREAM_BYTES_HIGH // 2):
                del self._blocked[call]
                self._done.append(RoomChanged(_stream_of(call), False))

    def _start_work(self, io: Io) -> None:
        if io.sync:
            assert self._syncer is not None, "INV-PORT-STARTED"
            if io.is_lone:
                self._lone_sync, self._is_lone_awaited = io.sync, io.is_awaited
            else:
                self._syncer.request(io.sync)
        for job in io.jobs:
            self._submit(job, self._driver_job(job))
        if self._peers is not None:
            self._reach_peers(self._peers, io)
        if self._maintenance.jobs:
            jobs, self._maintenance.jobs = self._maintenance.jobs, []
            for job, then in jobs:
                self._submit(job, then)

    def _reach_peers(self, peers: Peers, io: Io) -> None:
        if io.sends:
            faultpoint("send.before")
            peers.send(io.sends)
            faultpoint("send.after")
        if io.snapshots:
            peers.send_snapshots(io.snapshots)
        if peers.jobs:
            jobs = list(peers.jobs)
            peers.jobs.clear()
            for job, then in jobs:
                self._submit(job, then)

    def _submit(self, job: Job, then: Callable[[object], None]) -> None:
        """Run a job in its thread; a full disk and a closed store are results.

        Any other error ends the member.
        """
        assert self._jobs is not None, "INV-PORT-STARTED"

        began_us = self._now_us()

        def run() -> object:
            faultpoint(f"{job.kind}.before")
            result = job.run()
            faultpoint(f"{job.kind}.after")
            return result

        def done(result: outcome.Maybe[object]) -> None:
            self._tally.job_took(job.kind, self._now_us() - began_us)
            error = result.error if isinstance(result, outcome.Error) else None
            then(error if isinstance(error, DiskFull | StoreClosed) else result.unwrap())

        self._jobs.submit(run, done)

    def _driver_job(self, job: Job) -> Callable[[object], None]:
        return lambda result: self._done.append(JobDone(job.kind, result))

    def _sync_journal(self) -> Any:
        began = self._now_us()
        faultpoint("sync.before")
        self._driver.journal.sync()
        faultpoint("sync.after")
        self._metrics.wal_fsync_us.observe(self._now_us() - began)

    def _expire_questions(self, now_ms: int) -> None:
        waiting: list[tuple[Hidden, int]] = []
        for question, deadline_ms in self._questions:
            if question.over:
                continue
            if now_ms >= deadline_ms:
                question.expire()
            else:
                waiting.append((question, deadline_ms))
        self._questions = waiting

    def _tell_slow_turn(self, io: Io, took_ms: int, now_ms: int) -> None:
        """A turn that took long is told of with the requests that it answered."""
        for token, _ in io.replies:
            if isinstance(token, Call) and not token.over and type(token) not in (Hidden, Onward):
                path = token.stream.path.decode("ascii", "replace")
                self._slow.applied(path, token.request, took_ms=took_ms, now_ms=now_ms)


def _stream_of(call: Call) -> object:
    return call.watch_stream if isinstance(call, WatchCall) else call
