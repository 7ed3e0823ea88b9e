"""One running member: its parts, in which order they begin and end, under which nursery.

The one place where an unforeseen exception is caught: it is logged, and the process ends with
a code that says so; recovery is the handler. What the parts stand on is `server/ground.py`'s.
"""

import traceback

import trio

from core.node import NodeConfig
from net.disk import DiskLocked
from net.etcd.cluster import Cluster
from net.etcd.encode import Encoder
from net.etcd.maintenance import Maintenance
from net.etcd.port import ClientPort
from net.etcd.services import Services
from net.http2.limits import Http2Settings
from net.journal import JournalDamaged, JournalFailed, JournalUnreadable
from net.listen import ListenError
from net.metrics import Metrics, rpc_table
from net.reactor import Reactor
from net.slow import SlowLog
from net.store.errors import StoreError
from net.telemetry import Logger
from net.tls import TlsConfigError
from server.compactor import Compactor
from server.config import Config
from server.endpoint import HttpEndpoint
from server.ground import Ground, Running, System
from server.identity import member_id
from server.presence import Attendance
from server.recover import Opened, RefusedToStartError

EXIT_OK = 0
EXIT_FAILED = 1
REQUEST_OVERHEAD_BYTES = 512 << 10
RESERVE_RETRY_S = 10
VOTERS = STAND_BYS = 3
"""How many of each k8s-dqlite's clusters keep by themselves."""
REMOVED_MS = 1_000
"""A member that was removed serves so long, that others may hear of it from it, as in etcd."""


async def run_member(config: Config, log: Logger, ground: Ground | None = None) -> int:
    """Serve until SIGTERM or SIGINT (or until the ground ends it); return the exit code."""
    try:
        return await _run(config, log, System() if ground is None else ground)
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


async def _run(config: Config, log: Logger, ground: Ground) -> int:
    metrics = Metrics(rpc=rpc_table(has_handling=config.metrics_extensive))
    sockets = ground.listen(config, log)
    try:
        opened = ground.open(config, _node_config(config, ground), metrics, log)
    except BaseException:
        sockets.close()
        raise
    port, endpoint = _port(config, opened, metrics, log, ground)
    reactor = Reactor(sockets, port, log, now_ms=ground.now_ms, date=ground.date)
    port.start(sockets.wake)
    endpoint.reactor = reactor
    port.when_removed(lambda: reactor.stop(REMOVED_MS))
    attendance = Attendance(opened, port, config, log, ground, wake=reactor.wake)
    endpoint.control = attendance.control
    code = EXIT_FAILED
    try:
        async with trio.open_nursery() as nursery:
            await ground.attend(nursery, Running(opened, port, reactor), log)
            nursery.start_soon(_guard_reserve, opened, ground, log)
            attendance.start(nursery)
            if config.compaction is not None:
                node = opened.driver.node
                compactor = Compactor(config.compaction, port, node, log, now_ms=ground.now_ms)
                nursery.start_soon(compactor.run)
            urls = (*config.listen_client, *config.listen_http, *config.listen_metrics)
            log.info("ready to serve client requests", urls=[str(url) for url in urls])
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


def _node_config(config: Config, ground: Ground) -> NodeConfig:
    return NodeConfig(
        member_id=0,
        origin=ground.bits(64),
        quota_bytes=config.quota_bytes,
        request_bytes_max=config.request_bytes_max,
        fragment_bytes=config.request_bytes_max + REQUEST_OVERHEAD_BYTES,
        progress_interval_ms=config.watch_progress_ms,
        name=config.name,
        client_urls=config.advertise_client,
        failure_domain=config.failure_domain,
        is_strict=config.strict_reconfig,
        learners_max=config.learners_max,
        voters_wanted=VOTERS if config.is_dqlites else 0,
        stand_bys_wanted=STAND_BYS if config.is_dqlites else 0,
    )


def _port(
    config: Config, opened: Opened, metrics: Metrics, log: Logger, ground: Ground
) -> tuple[ClientPort, HttpEndpoint]:
    driver = opened.driver
    identity = opened.identity
    encoder = Encoder(cluster_id=identity.cluster_id, member_id=identity.member_id)
    # etcd's Cluster service fills every field of a header but the revision.
    cluster = Cluster(
        driver.node,
        lambda: encoder.header(0),
        lambda urls: member_id(urls, str(ground.bits(64))),
        metrics,
    )
    where = ground.directory(config)
    maintenance = Maintenance(
        driver, cluster, encoder, log, disk=where.disk, directory=where.data, vfs=where.vfs
    )
    services = Services(
        metrics,
        maintenance,
        txn_ops_max=config.txn_ops_max,
        watch_jitter_ms_max=config.watch_progress_ms // 10,
        bits=ground.bits,
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
        helpers=ground.helpers,
        now_us=ground.now_us,
        peers=ground.peers(config, opened, maintenance, log),
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


async def _guard_reserve(opened: Opened, ground: Ground, log: Logger) -> None:
    """Keep the reserve whole; note when a full disk has room again."""
    while True:
        held = await ground.in_thread(opened.reserve.fill)
        if held and opened.driver.disk_full:
            opened.driver.disk_full = False
            log.info("the disk has room again; clear the alarm with: etcdctl alarm disarm")
        await trio.sleep(RESERVE_RETRY_S)
