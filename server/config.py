"""What a member is told to be: every setting, parsed once, checked against every other.

Rule: a `Config` that exists is valid as far as text can be; what depends on this machine (files,
memory) is checked by `server/preflight.py`. `configure` collects every fault it finds, each a
sentence that quotes what was written and says what to write instead. Times are whole milliseconds.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from net import duration
from net.listen import ListenUrl
from net.tls import TlsOptions
from server.clustering import Joined, Joining, PeerMember, peering
from server.inert import REFUSED
from server.logs import LogSettings, read_log_settings
from server.reading import Reader
from server.settings import Notice, Settings, flag_of
from server.transport import client_tls
from server.urls import UrlError, is_everywhere, listening

QUOTA_DEFAULT_BYTES: Final = 2 << 30
REQUEST_BYTES_LEAST: Final = 1 << 10
REQUEST_BYTES_MOST: Final = 256 << 20
TXN_OPS_MOST: Final = 1 << 20
DAY_MS: Final = 24 * 3_600_000
_INT64_MOST: Final = (1 << 63) - 1
_NAME: Final = re.compile(r"[^\x00-\x20,=\x7f]+")
_UNDECODED: Final = re.compile(r"[\ud800-\udfff]")
"""What Python makes of bytes of an argument that are not UTF-8."""


class ConfigError(Exception):
    """Settings that cannot be used; `sentences` has every fault found."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


@attrs.frozen
class Periodic:
    """Compact so that the history of this long stays."""

    retention_ms: int


@attrs.frozen
class KeepRevisions:
    """Compact so that this many revisions stay."""

    revisions: int


Compaction = Periodic | KeepRevisions | None


@attrs.frozen(kw_only=True)
class Config:
    """Everything a member is told. `quota_bytes` is 0 until preflight has seen the memory."""

    name: str
    data_dir: str
    journal_dir: str
    listen_client: tuple[ListenUrl, ...]
    listen_http: tuple[ListenUrl, ...]
    listen_metrics: tuple[ListenUrl, ...]
    advertise_client: tuple[str, ...]
    client_tls: TlsOptions | None
    listen_peer: tuple[ListenUrl, ...]
    """Where members may connect: TLS, or plain on this machine; may be empty."""
    listen_peer_given: bool
    """Whether somebody wrote it: a default that is taken already is no fault of a lone member."""
    advertise_peer: tuple[str, ...]
    peer_tls: TlsOptions | None
    """What this member shows and trusts on links, whichever end opens them."""
    peer_dial_pair: tuple[str, str] | None
    """Certificate and key to show on links that this member opens, if it has others for that."""
    peer_plaintext: bool
    peer_pinned: bool = False
    """k8s-dqlite's way: all members share the pair of `peer_tls`, and only it is let in."""
    initial_cluster: tuple[PeerMember, ...]
    initial_cluster_token: str
    initial_cluster_existing: bool
    founding_faults: tuple[str, ...]
    """What is wrong with `initial_cluster`; it counts at a first start alone."""
    is_dqlites: bool = False
    """Whether files in k8s-dqlite's form say who the cluster is, and are kept current."""
    joining: Joining | None = None
    """k8s-dqlite's way to join, until this member has."""
    joined: Joined | None = None
    """What a running cluster said to a member that joins it, before its first start."""
    failure_domain: int = 0
    strict_reconfig: bool
    heartbeat_ms: int
    election_ms: int
    learners_max: int
    catchup_entries: int
    """Of the log, kept for members that lag."""
    has_library_decide: bool
    """Whether pysyncobj takes Raft's decisions, not this program."""
    quota_bytes: int
    txn_ops_max: int
    request_bytes_max: int
    streams_max: int
    keepalive_min_ms: int
    keepalive_interval_ms: int
    keepalive_timeout_ms: int
    compaction: Compaction
    watch_progress_ms: int
    slow_request_ms: int
    slow_apply_ms: int
    metrics_extensive: bool
    socket_reuse_port: bool
    logging: LogSettings
    notices: tuple[Notice, ...]


def configure(settings: Settings, *, host: str) -> Config:
    """Return the configuration that settings describe. Raises ConfigError.

    `host` is this machine's name: what a member that listens everywhere advertises.
    """
    read = Reader(settings)
    _check_refused(read)
    name = _name(read)
    data_dir = _data_dir(read, name)
    listen_client = _client_listeners(read)
    listen_http = _listeners(read, "listen-client-http-urls")
    listen_metrics, metrics_extensive = _metrics(read)
    everywhere = (*listen_client, *listen_http, *listen_metrics)
    _check_distinct(read, everywhere)
    clustering, peer_notices = peering(read, name)
    config = Config(
        name=name,
        data_dir=data_dir,
        journal_dir=read.text("wal-dir") or os.path.join(data_dir, "journal"),
        listen_client=listen_client,
        listen_http=listen_http,
        listen_metrics=listen_metrics,
        advertise_client=_advertised(read, listen_client, host),
        client_tls=client_tls(read, everywhere),
        **clustering,
        quota_bytes=read.number("quota-backend-bytes", least=-_INT64_MOST, most=_INT64_MOST),
        txn_ops_max=read.number("max-txn-ops", least=1, most=TXN_OPS_MOST),
        request_bytes_max=read.number(
            "max-request-bytes", least=REQUEST_BYTES_LEAST, most=REQUEST_BYTES_MOST
        ),
        streams_max=read.number("max-concurrent-streams", least=1, most=(1 << 32) - 1),
        keepalive_min_ms=read.milliseconds("grpc-keepalive-min-time", least=0, most=DAY_MS),
        keepalive_interval_ms=read.milliseconds("grpc-keepalive-interval", least=0, most=DAY_MS),
        keepalive_timeout_ms=read.milliseconds("grpc-keepalive-timeout", least=0, most=DAY_MS),
        compaction=_compaction(read),
        watch_progress_ms=read.milliseconds(
            "watch-progress-notify-interval", least=1, most=30 * DAY_MS
        ),
        slow_request_ms=read.milliseconds("warning-unary-request-duration", least=1, most=DAY_MS),
        slow_apply_ms=read.milliseconds("warning-apply-duration", least=1, most=DAY_MS),
        metrics_extensive=metrics_extensive,
        socket_reuse_port=read.truth("socket-reuse-port"),
        logging=read_log_settings(read),
        notices=(
            *settings.notices,
            *_inert_notices(settings),
            *_tls_notices(read, listen_client),
            *peer_notices,
        ),
    )
    if read.faults:
        raise ConfigError(read.faults)
    return config


def _check_refused(read: Reader) -> None:
    for name, reason in REFUSED.items():
        setting = read.given(name)
        if setting is not None and setting.text not in ("", "false"):
            read.wrong(name, reason)


def _inert_notices(settings: Settings) -> tuple[Notice, ...]:
    return tuple(
        Notice("a setting has no effect here", {"setting": setting.origin, "why": flag.inert})
        for name, setting in settings.given.items()
        if (flag := flag_of(name)).inert is not None and name not in REFUSED
    )


def _tls_notices(read: Reader, listen: Sequence[ListenUrl]) -> Iterator[Notice]:
    if not read.text("cert-file"):
        return
    for endpoint in listen:
        if not endpoint.is_secure and not endpoint.path:
            yield Notice(
                "a certificate was given, but this URL is plain: clients connect without TLS",
                {"url": str(endpoint), "instead": str(attrs.evolve(endpoint, scheme="https"))},
            )
    if read.truth("client-cert-auth") and not read.text("trusted-ca-file"):
        yield Notice(
            "clients may show a certificate of any authority that this machine trusts",
            {"instead": "--trusted-ca-file"},
        )


def _name(read: Reader) -> str:
    name = read.text("name")
    if not _NAME.fullmatch(name):
        read.wrong("name", "a member's name has no spaces, commas or equals signs")
    elif _UNDECODED.search(name):
        read.wrong("name", "a member's name is UTF-8")
    return name


def _data_dir(read: Reader, name: str) -> str:
    data_dir = read.text("data-dir").replace("${name}", name)
    if not data_dir:
        read.wrong("data-dir", "name a directory")
    return data_dir


def _client_listeners(read: Reader) -> tuple[ListenUrl, ...]:
    if not read.items("listen-client-urls"):
        read.wrong("listen-client-urls", "give at least one URL, such as http://127.0.0.1:2379")
    return _listeners(read, "listen-client-urls")


def _listeners(read: Reader, name: str) -> tuple[ListenUrl, ...]:
    return read.listen_urls(name, is_tcp_tls=bool(read.text("cert-file")))


def _metrics(read: Reader) -> tuple[tuple[ListenUrl, ...], bool]:
    endpoints = _listeners(read, "listen-metrics-urls")
    level = read.text("metrics")
    if level == "true":
        address = read.text("metrics-listen")
        try:
            endpoints = (*endpoints, listening(f"http://{address}", is_tcp_tls=False))
        except UrlError as fault:
            read.wrong("metrics-listen", str(fault))
    return endpoints, level == "extensive"


def _check_distinct(read: Reader, endpoints: Sequence[ListenUrl]) -> None:
    seen: set[tuple[str, int, str]] = set()
    for endpoint in endpoints:
        place = (endpoint.host, endpoint.port, endpoint.path)
        if place in seen and (endpoint.port or endpoint.path):
            read.fault(f"{endpoint} is to be listened at twice: give each port to one flag.")
        seen.add(place)


def _advertised(read: Reader, listen: Sequence[ListenUrl], host: str) -> tuple[str, ...]:
    if read.given("advertise-client-urls") is not None:
        return read.urls("advertise-client-urls")
    return tuple(
        str(attrs.evolve(endpoint, host=host) if is_everywhere(endpoint) else endpoint)
        for endpoint in listen
    )


def _compaction(read: Reader) -> Compaction:
    mode = read.text("auto-compaction-mode")
    text = read.text("auto-compaction-retention").strip()
    is_count = text.isascii() and text.isdecimal()
    if mode == "revision":
        if not is_count or int(text) > _INT64_MOST:
            read.wrong("auto-compaction-retention", "in revision mode, give a number of revisions")
            return None
        return KeepRevisions(int(text)) if int(text) else None
    ns = duration.parse(f"{text}h" if is_count else text)
    if ns is None or ns < 0:
        read.wrong(
            "auto-compaction-retention", "in periodic mode, give hours or a duration such as 30m"
        )
        return None
    return Periodic(-(-ns // duration.MILLISECOND_NS)) if ns else None
