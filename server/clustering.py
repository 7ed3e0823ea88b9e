"""The settings that make members a cluster: who they are, where they listen, how they trust.

Rule: what etcd checks before a member's first start is collected here as sentences apart
(`founding_faults`), since etcd, and so we, read `--initial-cluster` only when there is no data yet:
a restarted member must not stumble over a list that time has overtaken. Sentences begin with
etcd's text where etcd has one, and then say what to write.

Links between members are mutual TLS. A plain URL is good on this machine alone (loopback or a
socket file), elsewhere only if `--peer-plaintext` says so; else it keeps the peer port of a lone
member closed, and ends the start of one that has, or is to have, company.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final, TypedDict

import attrs

from net.listen import ListenUrl
from net.tls import TlsOptions
from server.reading import Reader
from server.settings import Notice
from server.transport import dial_pair, peer_tls
from server.urls import UrlError, advertised

ELECTION_MS_MOST: Final = 50_000  # etcd's bound
CATCHUP_MOST: Final = 1 << 31


@attrs.frozen
class PeerMember:
    """A member of a new cluster and the URLs other members reach it at."""

    name: str
    peer_urls: tuple[str, ...]


@attrs.frozen
class Joining:
    """How a first start finds the cluster it is to join, k8s-dqlite's way.

    `addresses` (host:port) are members, or what they were; one that answers is enough.
    """

    addresses: tuple[str, ...]
    address: str


@attrs.frozen
class KnownMember:
    """A member as a cluster tells of it. `peer_urls` are where others reach it."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...] = ()
    is_learner: bool = False
    role: int = 0
    """k8s-dqlite's: 0 voter, 1 stand-by, 2 spare."""


@attrs.frozen
class Joined:
    """What a running cluster told a member that joins it: who it is there, and who is there."""

    cluster_id: int
    member_id: int
    members: tuple[KnownMember, ...]


class Peering(TypedDict):
    """The fields of `Config` that are about other members."""

    listen_peer: tuple[ListenUrl, ...]
    listen_peer_given: bool
    advertise_peer: tuple[str, ...]
    peer_tls: TlsOptions | None
    peer_dial_pair: tuple[str, str] | None
    peer_plaintext: bool
    initial_cluster: tuple[PeerMember, ...]
    initial_cluster_token: str
    initial_cluster_existing: bool
    founding_faults: tuple[str, ...]
    strict_reconfig: bool
    heartbeat_ms: int
    election_ms: int
    learners_max: int
    catchup_entries: int
    has_library_decide: bool


def peering(read: Reader, name: str) -> tuple[Peering, tuple[Notice, ...]]:
    """Return what settings say of other members, and what is to be told of it."""
    advertise = read.urls("initial-advertise-peer-urls")
    members, founding_faults = _initial_cluster(read, name, advertise)
    is_existing = read.text("initial-cluster-state") == "existing"
    asked = read.listen_urls("listen-peer-urls", is_tcp_tls=bool(read.text("peer-cert-file")))
    tls = peer_tls(read, asked)
    has_company = is_existing or len(members) > 1
    listen, notices = _peer_port(read, asked, tls, has_company=has_company)
    heartbeat_ms, election_ms = _pace(read)
    fields = Peering(
        listen_peer=listen,
        listen_peer_given=read.given("listen-peer-urls") is not None,
        advertise_peer=advertise,
        peer_tls=tls,
        peer_dial_pair=dial_pair(read),
        peer_plaintext=read.truth("peer-plaintext"),
        initial_cluster=members,
        initial_cluster_token=read.text("initial-cluster-token"),
        initial_cluster_existing=is_existing,
        founding_faults=founding_faults,
        strict_reconfig=read.truth("strict-reconfig-check"),
        heartbeat_ms=heartbeat_ms,
        election_ms=election_ms,
        learners_max=read.number("max-learners", least=0, most=100),
        catchup_entries=read.number("snapshot-catchup-entries", least=1, most=CATCHUP_MOST),
        has_library_decide=read.text("raft-engine") == "pysyncobj",
    )
    return fields, notices


def _pace(read: Reader) -> tuple[int, int]:
    """Return the milliseconds of a heartbeat and of an election timeout."""
    heartbeat_ms = read.number("heartbeat-interval", least=1, most=ELECTION_MS_MOST)
    election_ms = read.number("election-timeout", least=1, most=ELECTION_MS_MOST)
    if 5 * heartbeat_ms > election_ms:
        read.wrong(
            "election-timeout",
            f"--election-timeout[{election_ms}ms] should be at least as 5 times as "
            f"--heartbeat-interval[{heartbeat_ms}ms]: give {5 * heartbeat_ms} or more",
        )
    return heartbeat_ms, election_ms


def _initial_cluster(
    read: Reader, name: str, advertise: tuple[str, ...]
) -> tuple[tuple[PeerMember, ...], tuple[str, ...]]:
    """Return the members that `--initial-cluster` lists, and what is wrong with the list.

    What is wrong counts at a first start alone.
    """
    setting = read.given("initial-cluster")
    if setting is None:
        return (PeerMember(name, advertise),), ()
    urls: dict[str, list[str]] = {}
    faults: list[str] = []
    for pair in read.items("initial-cluster"):
        member, separator, url = pair.partition("=")
        try:
            if not (member and separator):
                raise UrlError(f'"{pair}" is no pair; write it as {name}=http://host:2380')
            urls.setdefault(member, []).append(advertised(url))
        except UrlError as fault:
            faults.append(f"{setting.origin}: {fault}.")
    members = tuple(PeerMember(member, tuple(found)) for member, found in urls.items())
    if not faults:
        is_existing = read.text("initial-cluster-state") == "existing"
        faults += [
            f"{setting.origin}: {fault}."
            for fault in _mismatches(members, name, advertise, is_existing=is_existing)
        ]
    return members, tuple(faults)


def _mismatches(
    members: Sequence[PeerMember], name: str, advertise: tuple[str, ...], *, is_existing: bool
) -> Iterator[str]:
    """Yield etcd's complaints about a list of members, in its order."""
    text = ",".join(sorted(f"{one.name}={url}" for one in members for url in one.peer_urls))
    if not members:
        yield "it names no member; write name=http://host:2380 for each"
        return
    mine = next((one for one in members if one.name == name), None)
    if mine is None:
        yield (
            f'couldn\'t find local name "{name}" in the initial cluster configuration; '
            f"add {name}=URL, or give --name as it stands there"
        )
        return
    if not is_existing and set(mine.peer_urls) != set(advertise):
        given = ",".join(advertise)
        absent = [f"{name}={url}" for url in mine.peer_urls if url not in advertise]
        if absent:
            yield (
                f"--initial-cluster has {','.join(absent)} but missing from "
                f"--initial-advertise-peer-urls={given}"
            )
        else:
            extra = ",".join(url for url in advertise if url not in mine.peer_urls)
            own = ",".join(f"{name}={url}" for url in advertise)
            yield (
                f"--initial-advertise-peer-urls has {extra} but missing from "
                f"--initial-cluster={own}"
            )
    all_urls = [url for one in members for url in one.peer_urls]
    if len(set(all_urls)) < len(all_urls):
        yield f"initial cluster {text} has duplicate url; each member has URLs of its own"


def is_local(url: ListenUrl) -> bool:
    """Say whether only processes of this machine can connect to a URL."""
    if url.path or url.host == "localhost":
        return True
    try:
        return ip_address(url.host).is_loopback
    except ValueError:
        return False


def _peer_port(
    read: Reader, listen: tuple[ListenUrl, ...], tls: TlsOptions | None, *, has_company: bool
) -> tuple[tuple[ListenUrl, ...], tuple[Notice, ...]]:
    """Return where members may connect, and what is told of the places that stay closed.

    `has_company`: this member has, or is about to have, others to talk to.
    """
    is_plain_allowed = read.truth("peer-plaintext")
    usable: list[ListenUrl] = []
    notices: list[Notice] = []
    for url in listen:
        if tls is not None if url.is_secure else (is_plain_allowed or is_local(url)):
            usable.append(url)
            continue
        if url.is_secure:
            # Without a certificate the reader has a fault, but for --peer-auto-tls.
            why = "no certificate is made up; give --peer-cert-file, --peer-key-file and " \
                "--peer-trusted-ca-file"  # fmt: skip
        else:
            secure = attrs.evolve(url, scheme="https")
            why = f"members talk in plain text on one machine only; write {secure} and give " \
                "--peer-cert-file, --peer-key-file and --peer-trusted-ca-file"  # fmt: skip
        if has_company:
            read.wrong("listen-peer-urls", f"{url}: {why}")
        else:
            notices.append(Notice("the peer port stays closed", {"url": str(url), "why": why}))
    return tuple(usable), tuple(notices)
