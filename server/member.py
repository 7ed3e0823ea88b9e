"""One running member: its parts, in which order they begin and end, under which nursery.

The one place where an unforeseen exception is caught: it is logged, and the process ends with
a code that says so; recovery is the handler.
"""

import gc
import resource
import signal
import time
import traceback
from email.utils import formatdate
from secrets import randbits

import trio

from core.node import NodeConfig
from net.disk import DiskLocked, RealDisk
from net.etcd.cluster import Cluster, MemberFacts
from net.etcd.encode import Encoder
from net.etcd.maintenance import Maintenance
from net.etcd.port import ClientPort
from net.etcd.services import Services
from net.http2.limits import Http2Settings
from net.journal import JournalDamaged, JournalFailed, JournalUnreadable
from net.listen import Listener, ListenError, ListenUrl, Role, listen
from net.metrics import Metrics, rpc_table
from net.reactor import Reactor
from net.slow import SlowLog
from net.sockets import EpollSockets
from net.store.batch import Identity
from net.store.errors import StoreError
from net.telemetry import Logger
from net.tls import ALPN_CLIENT, ALPN_GRPC, ALPN_HTTP, ServerTls, TlsConfigError
from server.compactor import Compactor
from server.config import Config
from server.endpoint import HttpEndpoint
from server.identity import cluster_id, member_id
from server.recover import Directory, Opened, RefusedToStartError, open_member

EXIT_OK = 0
EXIT_FAILED = 1
GRACE_MS = 5_000
REQUEST_OVERHEAD_BYTES = 512 << 10
RESERVE_RETRY_S = 10
YOUNG_OBJECTS_MAX = 5_000
"""Allocations between two looks at young objects; one look takes about 0.3 ms."""


async def run_member(config: Config, log: Logger) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    try:
        return await _run(config, log)
    except (
        RefusedToStartError,
        DiskLocked,
        ListenError,
        TlsConfigError,
        JournalDamaged,
        JournalUnreadable,
        StoreError,
        OSError,
    ) as refusal:
        log.fatal("cannot start", reason=str(refusal))
    except Exception as fault:
        # A broken invariant: nobody below can handle it, and the next start recovers.
        trace = "".join(traceback.format_exception(fault))
        log.fatal("this member ends: it met what it cannot handle", error=str(fault), trace=trace)
    return EXIT_FAILED


async def _run(config: Config, log: Logger) -> int:
    metrics = Metrics(rpc=rpc_table(has_handling=config.metrics_extensive))
    _raise_file_limit(log)
    listeners = _listen(config, log)
    try:
        opened = _open(config, metrics, log)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    sockets = EpollSockets(listeners, log)
    port, endpoint = _port(config, opened, metrics, log)
    reactor = Reactor(sockets, port, log, now_ms=_now_ms, date=_http_date)
    port.start(sockets.wake)
    driver = opened.driver
    endpoint.reactor = reactor
    code = EXIT_FAILED
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_obey_signals, reactor, log)
            nursery.start_soon(_guard_reserve, opened, log)
            nursery.start_soon(_sweep_garbage)
            if config.compaction is not None:
                nursery.start_soon(Compactor(config.compaction, port, driver.node, log).run)
            log.info("ready to serve client requests", urls=[str(each.url) for each in listeners])
            await reactor.run()
            nursery.cancel_scope.cancel()
        code = EXIT_OK
    except* (OSError, JournalFailed, StoreError) as errors:
        for error in errors.exceptions:
            log.fatal("an I/O error ends this member; nothing unwritten was acknowledged",
                      error=str(error), cause=str(error.__cause__ or ""))  # fmt: skip
    finally:
        port.close()
        reactor.close()
        # After a fault nothing is written any more: what is in memory may be what is wrong.
        if code == EXIT_OK:
            opened.close()
            log.info("stopped")
    return code


def _open(config: Config, metrics: Metrics, log: Logger) -> Opened:
    node = NodeConfig(
        member_id=0,
        origin=randbits(64),
        quota_bytes=config.quota_bytes,
        request_bytes_max=config.request_bytes_max,
        fragment_bytes=config.request_bytes_max + REQUEST_OVERHEAD_BYTES,
        progress_interval_ms=config.watch_progress_ms,
    )
    where = Directory(RealDisk(), config.data_dir, config.journal_dir)
    member = member_id(config.advertise_peer, config.initial_cluster_token)
    identity = Identity(cluster_id([member]), member)
    return open_member(where, node, metrics, log, identity=identity)


def _port(
    config: Config, opened: Opened, metrics: Metrics, log: Logger
) -> tuple[ClientPort, HttpEndpoint]:
    driver = opened.driver
    identity = opened.identity
    encoder = Encoder(cluster_id=identity.cluster_id, member_id=identity.member_id)
    facts = MemberFacts(
        identity.member_id, config.name, config.advertise_peer, config.advertise_client
    )
    # etcd's Cluster service fills every field of a header but the revision.
    cluster = Cluster(facts, lambda: encoder.header(0))
    maintenance = Maintenance(
        driver, cluster, encoder, log, disk=RealDisk(), directory=config.data_dir
    )
    services = Services(
        metrics,
        maintenance,
        txn_ops_max=config.txn_ops_max,
        watch_jitter_ms_max=config.watch_progress_ms // 10,
    )
    endpoint = HttpEndpoint(driver, services, metrics, identity)
    port = ClientPort(
        driver,
        services,
        maintenance,
        cluster,
        encoder,
        metrics,
        settings=_http2_settings(config),
        http=endpoint.answer,
        slow=SlowLog(log, metrics, config.slow_request_ms, config.slow_apply_ms),
    )
    endpoint.port = port
    return port, endpoint


def _http2_settings(config: Config) -> Http2Settings:
    return Http2Settings(
        streams_max=min(config.streams_max, 0x7FFFFFFF),
        message_bytes_max=config.request_bytes_max + REQUEST_OVERHEAD_BYTES,
        ping_interval_ms_min=config.keepalive_min_ms,
        keepalive_interval_ms=config.keepalive_interval_ms,
        keepalive_timeout_ms=config.keepalive_timeout_ms,
    )


def _listen(config: Config, log: Logger) -> list[Listener]:
    client_role = Role.GRPC if config.listen_http else Role.CLIENT
    wanted = [(url, client_role) for url in config.listen_client]
    wanted += [(url, Role.HTTP) for url in (*config.listen_http, *config.listen_metrics)]
    listeners: list[Listener] = []
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
    if not url.is_secure or config.client_tls is None:
        return None
    alpn = {Role.HTTP: ALPN_HTTP, Role.GRPC: ALPN_GRPC}.get(role, ALPN_CLIENT)
    return ServerTls(config.client_tls, log, alpn=alpn)


async def _obey_signals(
    reactor: Reactor, log: Logger, *, task_status: trio.TaskStatus[None]
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        asked = 0
        async for number in signals:
            asked += 1
            log.info("stopping", signal=signal.Signals(number).name, asked=asked)
            reactor.stop(GRACE_MS if asked == 1 else 0)


async def _guard_reserve(opened: Opened, log: Logger) -> None:
    """Keep the reserve whole; note when a full disk has room again."""
    while True:
        held = await trio.to_thread.run_sync(opened.reserve.fill)
        if held and opened.driver.disk_full:
            opened.driver.disk_full = False
            log.info("the disk has room again; clear the alarm with: etcdctl alarm disarm")
        await trio.sleep(RESERVE_RETRY_S)


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


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _http_date() -> str:
    return formatdate(usegmt=True)
