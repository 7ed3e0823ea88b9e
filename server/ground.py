"""What a member stands on: disk, sockets, clocks, chance and helper threads, behind one port.

Rule: `server/member.py` composes the same parts on any ground; what differs between production and
the simulator is passed here and nowhere else. `System` is the operating system's.
"""

import gc
import resource
import signal
import socket
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from secrets import randbits
from typing import Protocol, TypeVar

import trio
from attrs import evolve, frozen

from core.node import NodeConfig
from net.application import Codec
from net.disk import RealDisk
from net.etcd.maintenance import Maintenance
from net.etcd.port import ClientPort, Helpers, Peers
from net.listen import Listener, ListenError, ListenUrl, PeerInfo, Role, listen
from net.metrics import Metrics
from net.reactor import Reactor
from net.sockets import EpollSockets, Sockets
from net.syncer import threads
from net.telemetry import Logger
from net.tls import ALPN_CLIENT, ALPN_GRPC, ALPN_HTTP, ServerTls, TlsConfigError
from server.config import Config
from server.control import listen_control
from server.peering import (
    founding,
    has_company,
    identity_of,
    lone_engine,
    member_peers,
    peer_tls,
    raft_engine,
)
from server.recover import Directory, Opened, open_member

GRACE_MS = 5_000
REQUEST_MS = 5_000
"""etcd's: who asked so long ago, and two elections more, is told that nobody knows."""
YOUNG_OBJECTS_MAX = 5_000
"""Allocations between two looks at young objects; one look takes about 0.3 ms."""

T = TypeVar("T")


@frozen
class Running:
    """The parts of a member that runs."""

    opened: Opened
    port: ClientPort
    reactor: Reactor

    def stop(self, grace_ms: int) -> None:
        """Let another lead; then send clients elsewhere, and end once all else is answered.

        It takes no longer than a transfer of leadership may, and `grace_ms`.
        """
        self.port.hand_over(lambda: self._leave(grace_ms))

    def _leave(self, grace_ms: int) -> None:
        self.reactor.stop(grace_ms)
        self.port.leave()


class Ground(Protocol):
    """Everything outside of a member that it uses, but the network's other end."""

    def listen(self, config: Config, log: Logger) -> Sockets:
        """Bind what clients connect to. Raises ListenError and TlsConfigError."""
        ...

    def directory(self, config: Config) -> Directory:
        """Return where the member's files are, and on what disk."""
        ...

    def open(self, config: Config, node: NodeConfig, metrics: Metrics, log: Logger) -> Opened:
        """Recover the member from its directory; see `open_member`."""
        ...

    def peers(
        self, config: Config, opened: Opened, maintenance: Maintenance, log: Logger
    ) -> Peers | None:
        """Return what carries messages to the other members; None for a member alone."""
        ...

    @property
    def helpers(self) -> Helpers:
        """Return who syncs the journal and does the other slow jobs."""
        ...

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Return what a blocking call returns, other tasks running meanwhile."""
        ...

    def bits(self, count: int) -> int:
        """Draw so many bits by chance."""
        ...

    def now_ms(self) -> int:
        """Return the time of a clock that never goes back."""
        ...

    def now_us(self) -> int:
        """Return a finer such time, for measurements alone."""
        ...

    def date(self) -> str:
        """Return the wall clock's time as HTTP writes it."""
        ...

    async def attend(self, nursery: trio.Nursery, running: Running, log: Logger) -> None:
        """Start the tasks that only this ground needs; return once they listen."""
        ...


class System:
    """The operating system."""

    helpers: Helpers = staticmethod(threads)

    def __init__(self) -> None:
        self._sockets: EpollSockets | None = None
        self._reactor: Reactor | None = None

    def listen(self, config: Config, log: Logger) -> Sockets:
        """See Ground."""
        _raise_file_limit(log)
        self._sockets = EpollSockets(_listeners(config, log), log)
        return self._sockets

    def directory(self, config: Config) -> Directory:
        """See Ground."""
        return Directory(RealDisk(), config.data_dir, config.journal_dir)

    def open(self, config: Config, node: NodeConfig, metrics: Metrics, log: Logger) -> Opened:
        """See Ground."""
        founders = founding(config)
        identity = identity_of(config)
        engine = lone_engine(config)
        if has_company(config):
            engine = raft_engine(config, self.bits)
            node = evolve(
                node,
                request_timeout_ms=REQUEST_MS + 2 * config.election_ms,
                election_timeout_ms=config.election_ms,
                are_members_fixed=False,
            )
        return open_member(
            self.directory(config), node, metrics, log,
            identity=identity, founders=founders, engine=engine,
        )  # fmt: skip

    def peers(
        self, config: Config, opened: Opened, maintenance: Maintenance, log: Logger
    ) -> Peers | None:
        """See Ground."""
        if not has_company(config):
            return None
        where = self.directory(config)
        return member_peers(
            config, opened, maintenance, log,
            where=where, bits=self.bits, clock_us=self.now_us, adopt=self._adopt,
        )  # fmt: skip

    def _adopt(self, sock: socket.socket, info: PeerInfo, codec: Codec) -> None:
        """Have the reactor serve a connection to another member."""
        assert self._sockets is not None, "INV-PORT-STARTED"
        assert self._reactor is not None, "INV-PORT-STARTED"
        self._reactor.adopt(self._sockets.adopt(sock, info), codec)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """See Ground."""
        return await trio.to_thread.run_sync(call)

    def bits(self, count: int) -> int:
        """See Ground."""
        return randbits(count)

    def now_ms(self) -> int:
        """See Ground."""
        return time.monotonic_ns() // 1_000_000

    def now_us(self) -> int:
        """See Ground."""
        return time.perf_counter_ns() // 1000

    def date(self) -> str:
        """See Ground."""
        return formatdate(usegmt=True)

    async def attend(self, nursery: trio.Nursery, running: Running, log: Logger) -> None:
        """See Ground."""
        self._reactor = running.reactor
        await nursery.start(_obey_signals, running, log)
        nursery.start_soon(_sweep_garbage)


def _listeners(config: Config, log: Logger) -> Sequence[Listener]:
    client_role = Role.GRPC if config.listen_http else Role.CLIENT
    wanted = [(url, client_role) for url in config.listen_client]
    wanted += [(url, Role.HTTP) for url in (*config.listen_http, *config.listen_metrics)]
    if has_company(config):
        wanted += [(url, Role.PEER) for url in config.listen_peer]
    control = listen_control(config, log)
    listeners = [] if control is None else [control]
    try:
        for url, role in wanted:
            tls = _tls(config, url, role, log)
            listeners.append(listen(url, role, tls=tls, reuse_port=config.socket_reuse_port))
    except (ListenError, TlsConfigError):
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _tls(config: Config, url: ListenUrl, role: Role, log: Logger) -> ServerTls | None:
    options = peer_tls(config) if role is Role.PEER else config.client_tls
    if not url.is_secure or options is None:
        return None
    alpn = {Role.HTTP: ALPN_HTTP, Role.GRPC: ALPN_GRPC, Role.PEER: ()}.get(role, ALPN_CLIENT)
    return ServerTls(options, log, alpn=alpn)


async def _obey_signals(
    running: Running, log: Logger, *, task_status: trio.TaskStatus[None]
) -> None:
    """At the first signal let others lead and finish what is under way; at the second stop."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        asked = 0
        async for number in signals:
            asked += 1
            log.info("stopping", signal=signal.Signals(number).name, asked=asked)
            if asked == 1:
                running.stop(GRACE_MS)
            else:
                running.reactor.stop(0)


async def _sweep_garbage() -> None:
    """Keep the collector's work small: look at what is young, then leave it alone for ever.

    What is stored is never cyclic, yet a full collection would walk all of it (85 to 177 ms at
    1M keys). So the older generations are never collected by themselves: every second what
    has survived is put out of the collector's sight; reference counts still free it.
    """
    gc.set_threshold(YOUNG_OBJECTS_MAX, 1_000_000, 1_000_000)
    while True:
        await trio.sleep(1)
        gc.collect(0)
        gc.freeze()


def _raise_file_limit(log: Logger) -> None:
    """Take as many descriptors as the system lets us: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        log.debug("raised the limit of open files", before=soft, now=hard)
