"""A data directory in k8s-dqlite's form: what its files say counts as if flags had said it.

    init.yaml, no data      the first start: begins a cluster, or joins the one of `Cluster`
    init.yaml and data      an init that a crash interrupted goes on; anything else is refused
    info.yaml               later starts
    update.yaml beside it   this member has moved: the cluster is told once it runs

Rule: this file reads and judges; `server/bulletin.py` writes. init.yaml stays until the member's
data and info.yaml are there, so a crash at any time leaves a directory that the next start
understands.
"""

from __future__ import annotations

import os
import secrets
import socket
import ssl
from collections.abc import Callable
from typing import Final

import attrs

from net.listen import ListenUrl
from net.tls import TlsOptions
from server import dqlite
from server.clustering import Joining, PeerMember, is_local
from server.config import Config, ConfigError
from server.dqlite import DqliteFileError, Init, NodeInfo
from server.preflight import is_begun
from server.reading import Reader
from server.settings import Notice, Settings
from server.urls import is_everywhere, listening

LEARNERS_MAX: Final = 100
LISTEN_DEFAULT: Final = "tcp://127.0.0.1:12379"
_TLS_VERSIONS: Final = {"tls13": ssl.TLSVersion.TLSv1_3}
"""Older ones than 1.2 are asked for by name in old scripts, and nobody speaks them any more."""
_ETCD_WAYS: Final = (
    "initial-cluster",
    "initial-cluster-state",
    "initial-advertise-peer-urls",
    "listen-peer-urls",
    "peer-cert-file",
    "peer-key-file",
    "peer-trusted-ca-file",
)

Resolve = Callable[[str], str]
"""From a host's name to an IP address; raises OSError."""


@attrs.frozen
class Found:
    """What the files of a directory say; an address that update.yaml gives is in already."""

    address: str
    cluster: tuple[str, ...] = ()
    failure_domain: int = 0


def is_of_dqlites_form(data_dir: str) -> bool:
    """Say whether the files of a directory, and not flags, tell who its cluster is."""
    return any(_exists(data_dir, name) for name in (dqlite.INIT, dqlite.INFO))


def adopt(config: Config, settings: Settings, *, resolve: Resolve | None = None) -> Config:
    """Return the configuration with what the files of its directory say. Raises ConfigError.

    One without such files stays as it is.
    """
    if not is_of_dqlites_form(config.data_dir):
        return config
    read = Reader(settings)
    for name in _ETCD_WAYS:
        if read.given(name) is not None:
            read.wrong(name, f"{config.data_dir} has files in k8s-dqlite's form, which say that")
    try:
        found = look(config.data_dir)
    except (DqliteFileError, OSError) as fault:
        raise ConfigError([*read.faults, f"{config.data_dir}: {fault}"]) from fault
    host, port = dqlite.host_port(found.address)
    try:
        where = (resolve or _resolved)(host)
    except OSError as fault:
        why = fault.strerror or str(fault)
        raise ConfigError([*read.faults, f"{found.address}: cannot find {host}: {why}."]) from fault
    tls = _pair(config, read)
    scheme = "https" if tls is not None else "http"
    listen = ListenUrl(scheme, host=where, port=port)
    if tls is None and not is_local(listen) and not config.peer_plaintext:
        read.wrong("enable-tls", f"{found.address} is not on this machine alone: leave TLS on")
    if read.faults:
        raise ConfigError(read.faults)
    return _adopted(config, read, found, listen, tls)


def look(data_dir: str) -> Found:
    """Return what the files say. Raises DqliteFileError, OSError."""
    domain = 0
    if _exists(data_dir, dqlite.FAILURE_DOMAIN):
        domain = dqlite.read_failure_domain(_text(data_dir, dqlite.FAILURE_DOMAIN))
    init = _init(data_dir)
    if init is not None:
        return Found(init.address, init.cluster, domain)
    info = dqlite.read_info(_text(data_dir, dqlite.INFO))
    address = info.address
    if _exists(data_dir, dqlite.UPDATE):
        address = dqlite.read_update(_text(data_dir, dqlite.UPDATE))
    # A member that had joined and died before its data was there asks those it knew.
    others = [node.address for node in _cluster(data_dir) if node.id != info.id]
    return Found(address, tuple(others), domain)


def _init(data_dir: str) -> Init | None:
    """Return what init.yaml asks for; None if it is not there or was done."""
    if not _exists(data_dir, dqlite.INIT):
        return None
    init = dqlite.read_init(_text(data_dir, dqlite.INIT))
    if not _exists(data_dir, dqlite.INFO):
        if not is_begun(data_dir):
            _check_empty(data_dir)
        return init
    info = dqlite.read_info(_text(data_dir, dqlite.INFO))
    known = {node.address for node in _cluster(data_dir)}
    if info.address == init.address and known.issuperset(init.cluster):
        return None
    raise DqliteFileError(_existing(dqlite.INFO))


def _check_empty(data_dir: str) -> None:
    for name in sorted(os.listdir(data_dir)):
        if name not in dqlite.EXPECTED_AT_INIT:
            raise DqliteFileError(_existing(name))


def _existing(name: str) -> str:
    return (
        f"data directory seems to have existing state '{name}'. please remove the file and restart"
    )


def _cluster(data_dir: str) -> tuple[NodeInfo, ...]:
    if not _exists(data_dir, dqlite.CLUSTER):
        return ()
    return dqlite.read_cluster(_text(data_dir, dqlite.CLUSTER))


def _pair(config: Config, read: Reader) -> TlsOptions | None:
    """Return the pair that all members share; None if links are to be plain."""
    if not read.truth("enable-tls"):
        return None
    certificate = os.path.join(config.data_dir, dqlite.CERTIFICATE)
    key = os.path.join(config.data_dir, dqlite.KEY)
    for path in (certificate, key):
        if not os.path.exists(path):
            read.fault(
                f"failed to load keypair from cluster.crt and cluster.key: {path} is missing; "
                "copy both from another member, or make them for the first."
            )
    version = _TLS_VERSIONS.get(read.text("min-tls-version"), ssl.TLSVersion.TLSv1_2)
    return TlsOptions(certificate, key, certificate, client_cert_required=True, min_version=version)


def _adopted(
    config: Config, read: Reader, found: Found, listen: ListenUrl, tls: TlsOptions | None
) -> Config:
    urls = (f"{listen.scheme}://{found.address}",)
    name = config.name if read.given("name") is not None else found.address
    is_first = not is_begun(config.data_dir)
    joins = is_first and bool(found.cluster)
    clients = config.listen_client
    advertised = config.advertise_client
    if read.given("listen-client-urls") is None:
        client = listening(LISTEN_DEFAULT, is_tcp_tls=bool(read.text("cert-file")))
        clients = (client,)
        if read.given("advertise-client-urls") is None:
            advertised = (str(client),)
    return attrs.evolve(
        config,
        name=name,
        is_dqlites=True,
        listen_client=clients,
        advertise_client=advertised,
        listen_peer=(listen,),
        listen_peer_given=True,
        advertise_peer=urls,
        peer_tls=tls,
        peer_pinned=tls is not None,
        initial_cluster=(PeerMember(name, urls),),
        # Another cluster at this address, before or elsewhere, is another cluster.
        initial_cluster_token=secrets.token_hex(16),
        initial_cluster_existing=joins,
        founding_faults=(),
        # Each that joins is a learner first, and spares stay ones.
        learners_max=max(config.learners_max, LEARNERS_MAX),
        joining=Joining(found.cluster, found.address) if joins else None,
        failure_domain=found.failure_domain,
        notices=(*config.notices, *_notices(config, clients)),
    )


def _notices(config: Config, clients: tuple[ListenUrl, ...]) -> tuple[Notice, ...]:
    notices: list[Notice] = []
    if _exists(config.data_dir, dqlite.TUNING):
        why = "snapshots and intervals are chosen by the member itself"
        notices.append(Notice("a file has no effect here", {"file": dqlite.TUNING, "why": why}))
    for url in clients:
        if is_everywhere(url) and not url.is_secure:
            notices.append(Notice("clients connect without TLS", {"url": str(url)}))
    return tuple(notices)


def _exists(data_dir: str, name: str) -> bool:
    return os.path.lexists(os.path.join(data_dir, name))


def _text(data_dir: str, name: str) -> str:
    with open(os.path.join(data_dir, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def _resolved(host: str) -> str:
    """Return the address to bind for a host; the word for this machine stays."""
    if host == "localhost":
        return host
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])
