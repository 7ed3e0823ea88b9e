"""The text of /metrics: the counters of `net/metrics.py` as Prometheus reads them.

Rule: everything is read at the moment of a scrape, by a collector; nothing is kept in the library's
own counters, whose locks and labels cost microseconds an update. `refresh` lets the member write
its gauges first. Which family has which name is in `server/metric_table.py`.
"""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from net.metrics import GRPC_CODES, Histogram, Metrics
from server.metric_table import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    PEER_FAMILIES,
    PEER_HISTOGRAMS,
    RPC_COUNTERS,
    UNUSED_HISTOGRAMS,
)
from server.version import ETCD_VERSION, TRINE_VERSION

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_MICROSECONDS: Final = 1_000_000


def _unchanged() -> None:
    return None


@attrs.define(eq=False)
class Exposition(Collector):
    """Writes /metrics for one member. `member_id` is None until the member has one."""

    metrics: Metrics
    member_id: int | None = None
    cluster_version: str | None = None
    refresh: Callable[[], None] = _unchanged
    _registry: CollectorRegistry = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._registry.register(_ProcessMore())
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return the whole text. Cost: about 6 ms, 2 ms the largest slice."""
        return b"".join(self.slices())

    def slices(self) -> Iterator[bytes]:
        """Yield the text family by family, so that a scrape need not hold up a whole turn."""
        self.refresh()
        for family in self._registry.collect():
            text = generate_latest(_One(family))
            if family.name in _BARE_COUNTERS:
                text = text.replace(b" untyped\n", b" counter\n", 1)
            yield text

    def collect(self) -> Iterator[Metric]:
        """Yield every family that comes from the member's own counters."""
        yield from self._identity()
        for name, help_, field in COUNTERS:
            yield _scalar(name, "counter", help_, self._number(field))
        for name, help_, field in GAUGES:
            yield _scalar(name, "gauge", help_, self._number(field))
        for name, help_, field, scale in HISTOGRAMS:
            family = _family(name, "histogram", help_)
            _add_histogram(family, name, {}, self._histogram(field), scale)
            yield family
        for name, help_, bounds, scale in UNUSED_HISTOGRAMS:
            family = _family(name, "histogram", help_)
            _add_histogram(family, name, {}, Histogram(bounds), scale)
            yield family
        yield from self._durations()
        yield from self._labelled()
        yield from self._rpcs()
        yield from self._peers()

    def _number(self, field: str) -> int:
        value: object = getattr(self.metrics, field)
        assert isinstance(value, int), f"{field} is no number"
        return value

    def _histogram(self, field: str) -> Histogram:
        value: object = getattr(self.metrics, field)
        assert isinstance(value, Histogram), f"{field} is no histogram"
        return value

    def _identity(self) -> Iterator[Metric]:
        rows = [
            ("etcd_server_version", "server_version", ETCD_VERSION),
            ("etcd_server_go_version", "server_go_version", f"python{platform.python_version()}"),
            ("trine_version", "version", TRINE_VERSION),
        ]
        if self.cluster_version is not None:
            minor = ".".join(self.cluster_version.split(".")[:2])
            rows.append(("etcd_cluster_version", "cluster_version", minor))
        if self.member_id is not None:
            rows.append(("etcd_server_id", "server_id", f"{self.member_id:x}"))
        for name, label, value in rows:
            family = _family(name, "gauge", f"1 for the {label.replace('_', ' ')} in the label.")
            family.add_sample(name, {label: value}, 1)
            yield family

    def _durations(self) -> Iterator[Metric]:
        name = "etcd_server_range_duration_seconds"
        family = _family(name, "histogram", "Duration of a range.")
        _add_histogram(family, name, {"success": "true"}, self.metrics.range_us, _MICROSECONDS)
        failed = self.metrics.range_failed_us
        if any(failed.counts):
            _add_histogram(family, name, {"success": "false"}, failed, _MICROSECONDS)
        yield family
        name = "etcd_server_apply_duration_seconds"
        family = _family(name, "histogram", "Duration of carrying out a command.")
        for (op, ok), histogram in sorted(self.metrics.apply_us.items()):
            labels = {"version": "v3", "op": op, "success": _truth(ok)}
            _add_histogram(family, name, labels, histogram, _MICROSECONDS)
        yield family
        name = "etcd_server_request_duration_seconds"
        family = _family(name, "histogram", "Duration of a request, from arrival to answer.")
        for (kind, ok), histogram in sorted(self.metrics.request_us.items()):
            labels = {"type": kind, "success": _truth(ok)}
            _add_histogram(family, name, labels, histogram, _MICROSECONDS)
        yield family

    def _labelled(self) -> Iterator[Metric]:
        metrics = self.metrics
        yield _labelled(
            ("etcd_server_client_requests_total", "counter", "Requests by client version."),
            ("type", "client_api_version"),
            metrics.client_requests.items(),
        )
        yield _labelled(
            ("etcd_server_healthcheck", "gauge", "1 if the check was good the last time."),
            ("type", "name"),
            metrics.healthcheck.items(),
        )
        yield _labelled(
            ("etcd_server_healthchecks_total", "counter", "Checks made, by outcome."),
            ("type", "name", "status"),
            metrics.healthchecks.items(),
        )
        yield _labelled(
            ("etcd_network_server_stream_failures_total", "counter", "Streams that failed."),
            ("Type", "API"),
            metrics.stream_failures.items(),
        )
        yield _labelled(
            ("etcd_server_learner_promote_failures", "counter", "Learners not promoted."),
            ("Reason",),
            (((reason,), n) for reason, n in metrics.learner_promote_failures.items()),
        )
        yield _labelled(
            ("etcd_debugging_server_alarms", "gauge", "1 for every alarm that is raised."),
            ("server_id", "alarm_type"),
            (((f"{member:x}", alarm), n) for (member, alarm), n in metrics.alarms.items()),
        )

    def _rpcs(self) -> Iterator[Metric]:
        rows = list(self.metrics.rpc.values())
        labels = [
            {"grpc_type": row.kind, "grpc_service": row.service, "grpc_method": row.method}
            for row in rows
        ]
        for name, help_, field in RPC_COUNTERS:
            family = _family(name, "counter", help_)
            for row, base in zip(rows, labels, strict=True):
                count: int = getattr(row, field)
                family.add_sample(name, base, count)
            yield family
        name = "grpc_server_handled_total"
        handled = _family(name, "counter", "RPCs completed, by status code.")
        for row, base in zip(rows, labels, strict=True):
            for code, count in zip(GRPC_CODES, row.handled, strict=True):
                handled.add_sample(name, {**base, "grpc_code": code}, count)
        yield handled
        name = "grpc_server_handling_seconds"
        handling = _family(name, "histogram", "Duration of an RPC, from first to last byte.")
        for row, base in zip(rows, labels, strict=True):
            if row.handling_us is not None:
                _add_histogram(handling, name, base, row.handling_us, _MICROSECONDS)
        if handling.samples:
            yield handling

    def _peers(self) -> Iterator[Metric]:
        local = "" if self.member_id is None else f"{self.member_id:x}"
        known = _family("etcd_network_known_peers", "gauge", "1 for each member of the cluster.")
        for remote in (local, *(f"{peer_id:x}" for peer_id in self.metrics.peers)):
            known.add_sample(known.name, {"Local": local, "Remote": remote}, 1)
        yield known
        for name, type_, help_, field, label in PEER_FAMILIES:
            family = _family(name, type_, help_)
            for peer_id, peer in self.metrics.peers.items():
                labels = {label: f"{peer_id:x}"}
                if label == "Remote":
                    labels["Local"] = local
                count: int = getattr(peer, field)
                family.add_sample(name, labels, count)
            yield family
        for name, help_, field, label, bounds in PEER_HISTOGRAMS:
            family = _family(name, "histogram", help_)
            for peer_id, peer in self.metrics.peers.items():
                histogram: Histogram = getattr(peer, field)
                assert histogram.bounds == bounds, f"{field} has other buckets than etcd's"
                _add_histogram(family, name, {label: f"{peer_id:x}"}, histogram, _MICROSECONDS)
            yield family


@attrs.frozen(eq=False)
class _One(Collector):
    """A collector of one family that is there already."""

    family: Metric

    def collect(self) -> Iterator[Metric]:
        """Yield it."""
        yield self.family


class _ProcessMore(Collector):
    """The numbers about this process that etcd shows and the library's own collector does not."""

    def collect(self) -> Iterator[Metric]:
        """Yield file descriptors, the limit of address space, and network bytes."""
        used = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        space, _ = resource.getrlimit(resource.RLIMIT_AS)
        yield _scalar("os_fd_used", "gauge", "File descriptors in use.", used)
        yield _scalar("os_fd_limit", "gauge", "File descriptors allowed.", limit)
        yield _scalar(
            "process_virtual_memory_max_bytes",
            "gauge",
            "Address space allowed.",
            -1 if space == resource.RLIM_INFINITY else space,
        )
        received, sent = _network_bytes()
        yield _scalar("process_network_receive_bytes_total", "counter", "Bytes received.", received)
        yield _scalar("process_network_transmit_bytes_total", "counter", "Bytes sent.", sent)


_BARE_COUNTERS: Final = frozenset(
    name
    for name in (
        *(row[0] for row in COUNTERS),
        *(row[0] for row in PEER_FAMILIES),
        "etcd_server_learner_promote_failures",
    )
    if not name.endswith("_total")
)


def _network_bytes() -> tuple[int, int]:
    """Return the bytes received and sent in this network namespace, the loopback included."""
    received = sent = 0
    try:
        with open("/proc/self/net/dev", encoding="ascii", errors="replace") as file:
            lines = file.readlines()[2:]
    except OSError:
        return 0, 0
    for line in lines:
        numbers = line.partition(":")[2].split()
        received, sent = received + int(numbers[0]), sent + int(numbers[8])
    return received, sent


def _family(name: str, type_: str, help_: str) -> Metric:
    """Return an empty family; the library adds `_total` to counters by itself.

    It cannot write a counter without that ending, of which etcd has a few: those pass as untyped
    and get their type back in `Exposition.text`.
    """
    if type_ != "counter":
        return Metric(name, help_, type_)
    stem = name.removesuffix("_total")
    return Metric(stem, help_, "counter" if stem != name else "untyped")


def _scalar(name: str, type_: str, help_: str, value: int) -> Metric:
    family = _family(name, type_, help_)
    family.add_sample(name, {}, value)
    return family


def _labelled(
    described: tuple[str, str, str],
    labels: tuple[str, ...],
    rows: Iterable[tuple[tuple[str, ...], int]],
) -> Metric:
    name, type_, help_ = described
    family = _family(name, type_, help_)
    for values, count in sorted(rows):
        family.add_sample(name, dict(zip(labels, values, strict=True)), count)
    return family


def _add_histogram(
    family: Metric, name: str, labels: dict[str, str], histogram: Histogram, scale: int
) -> None:
    count = 0
    for bound, counted in zip(histogram.bounds, histogram.counts, strict=False):
        count += counted
        family.add_sample(f"{name}_bucket", {**labels, "le": bound_text(bound / scale)}, count)
    count += histogram.counts[-1]
    family.add_sample(f"{name}_bucket", {**labels, "le": "+Inf"}, count)
    family.add_sample(f"{name}_sum", labels, histogram.total / scale)
    family.add_sample(f"{name}_count", labels, count)


def bound_text(bound: float) -> str:
    """Return a bucket's bound as Go's library writes it: 0.001, 1, 1.048576e+06."""
    if bound < 1_000_000:
        return repr(bound).removesuffix(".0")
    mantissa, exponent = f"{bound:.15e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"


def _truth(value: bool) -> str:
    return "true" if value else "false"
