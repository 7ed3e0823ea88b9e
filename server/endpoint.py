"""HTTP/1.1 on the client port and the metrics listeners: who answers which path.

The rules are in `server.health` and `server.metrics`; this file gathers the facts they need
and turns their replies into the codec's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.operations import AlarmKind
from net.driver import Driver
from net.etcd.port import ClientPort
from net.etcd.services import Services
from net.http1 import Http1Pending, Http1Request, Http1Response
from net.listen import PeerInfo, Role
from net.metrics import Metrics
from net.reactor import Reactor
from net.store.batch import Identity
from server import health
from server.control import Control
from server.version import ETCD_VERSION

if TYPE_CHECKING:
    from server.metrics import Exposition

RENEWALS = "/etcdserverpb.Lease/LeaseKeepAlive"
BARRIER_MS = 5_000
"""How long a health probe waits for a linearizable read."""


class HttpEndpoint:
    """Answers /health, /livez, /readyz, /version and /metrics of one member."""

    def __init__(
        self, driver: Driver, services: Services, metrics: Metrics, identity: Identity
    ) -> None:
        self.port: ClientPort
        self.reactor: Reactor
        self.control: Control | None = None
        """Answers those who may ask and change more: members, and the owner of the directory."""
        self._driver = driver
        self._services = services
        self._metrics = metrics
        self._identity = identity
        self._exposition: Exposition | None = None

    def answer(self, request: Http1Request, peer: PeerInfo) -> Http1Response | Http1Pending | None:
        """Answer one request, at once or after a linearizable read."""
        path = request.path
        if self.control is not None and self.control.serves(peer):
            answered = self.control.answer(request, peer)
            if answered is not None or peer.role is Role.PEER:
                return answered
        if path == "/metrics":
            return self._scrape()
        if path == "/version":
            reply = health.version_reply(request.method, cluster_version=ETCD_VERSION)
            return _response(reply)
        probe = health.probe(request.method, request.target)
        if probe is None:
            return None
        if "linearizable" not in probe.needs:
            return self._probed(probe, None)
        pending = Http1Pending()

        def then(succeeded: bool) -> None:
            error = None if succeeded else "context deadline exceeded"
            pending.answer(self._probed(probe, error))

        self.port.ask_barrier(then, self._services.now_ms + BARRIER_MS)
        return pending

    def _probed(self, probe: health.Probe, linearizable_error: str | None) -> Http1Response:
        driver = self._driver
        alarms = sorted({kind for _, kind in driver.node.state.alarms})
        facts = health.Facts(
            alarms=tuple(AlarmKind(kind).name for kind in alarms),
            has_leader=bool(driver.engine.role.leader),
            is_learner=driver.node.membership.is_learner(driver.node.state),
            linearizable_error=linearizable_error,
        )
        reply, results = health.answer(probe, facts)
        metrics = self._metrics
        for result in results:
            key = (result.type, result.name)
            metrics.healthcheck[key] = int(result.is_ok)
            counted = (result.type, result.name, "success" if result.is_ok else "error")
            metrics.healthchecks[counted] = metrics.healthchecks.get(counted, 0) + 1
        if probe.path == "/health":
            if reply.status == 200:
                metrics.health_success += 1
            else:
                metrics.health_failures += 1
        return _response(reply)

    def _scrape(self) -> Http1Response:
        """Answer /metrics. Imported at the first one: prometheus-client is a tenth of a start."""
        from server.metrics import CONTENT_TYPE, Exposition

        if self._exposition is None:
            self._exposition = Exposition(
                self._metrics,
                member_id=self._identity.member_id,
                cluster_version=ETCD_VERSION,
                refresh=self._refresh,
            )
        return Http1Response(200, self._exposition.text(), CONTENT_TYPE)

    def _refresh(self) -> None:
        """Set the gauges that are not kept up as things happen."""
        metrics, driver = self._metrics, self._driver
        node, state, role = driver.node, driver.node.state, driver.engine.role
        metrics.has_leader = int(bool(role.leader))
        metrics.is_leader = int(role.is_leader)
        metrics.is_learner = int(node.membership.is_learner(state))
        metrics.proposals_committed = driver.engine.commit_index
        metrics.proposals_applied = state.applied_index
        metrics.proposals_pending = node.proposals_waiting
        metrics.quota_backend_bytes = node.config.quota_bytes
        metrics.keys = state.index.key_count
        metrics.current_revision = state.revision
        metrics.compact_revision = state.compact_revision
        metrics.db_size_bytes = driver.store.size_bytes()
        metrics.db_size_in_use_bytes = state.resident_bytes
        metrics.watchers = node.hub.watcher_count
        metrics.watch_streams = len(node.hub.streams)
        metrics.slow_watchers = len(node.hub.unsynced)
        metrics.events_total = node.hub.events_sent
        reactor = self.reactor
        metrics.connections = len(reactor)
        metrics.client_received_bytes_total = reactor.received_bytes_total
        metrics.client_sent_bytes_total = reactor.sent_bytes_total
        metrics.lease_expired_total = node.expired_count
        metrics.lease_renewed_total = metrics.rpc[RENEWALS].sent
        metrics.alarms = {
            (member, AlarmKind(kind).name): 1 for member, kind in sorted(state.alarms)
        }


def _response(reply: health.Reply) -> Http1Response:
    return Http1Response(reply.status, reply.body, reply.content_type, reply.headers)
