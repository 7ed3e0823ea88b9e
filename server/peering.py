"""How a member reaches the others: what `net.peers` needs, made of the configuration.

Rule: composition only. Who the members are is the log's to say; the list of `--initial-cluster`, or
what a cluster told one that joined it, counts for members of which nothing was applied yet.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence, Set
from random import Random

from attrs import evolve, frozen

from core.codec import CodecError, decode_pack
from core.ids import Index
from core.members import Member
from net.driver import Driver
from net.etcd.maintenance import Maintenance
from net.journal import Journal
from net.local import LocalEngine
from net.peers.dial import Adopt, ThreadDialler
from net.peers.hello import Contact
from net.peers.limits import FRAME_BYTES_MAX
from net.peers.mesh import Mesh, Self
from net.peers.peers import MemberPeers
from net.peers.snapshots import Snapshots
from net.peers.staging import Stager
from net.raft.engine import RaftEngine
from net.raft.makers import maker
from net.raft.membership import Membership
from net.raft.replica import RaftConfig, Timing
from net.replicator import Entry, LogBounds, Replicator
from net.store.batch import Identity
from net.telemetry import Logger
from net.tls import CertificateNames, ServerTls, TlsOptions, dialling_context
from server.config import Config
from server.identity import cluster_id, member_id
from server.recover import Directory, Engine, Opened, RefusedToStartError, load_received


def has_company(config: Config) -> bool:
    """Whether a member is, or may come to be, one of several: then it speaks with them by Raft.

    One that was given no peer URL can be reached by nobody, and orders its log alone.
    """
    is_joining = config.initial_cluster_existing or config.joined is not None
    return is_joining or len(config.initial_cluster) > 1 or config.listen_peer_given


def peer_tls(config: Config) -> TlsOptions | None:
    """Return how members prove who they are to each other: always both, and by TLS 1.3."""
    if config.peer_tls is None:
        return None
    return evolve(
        config.peer_tls,
        client_cert_required=True,
        min_version=ssl.TLSVersion.TLSv1_3,
        max_version=None,
        is_pinned=config.peer_pinned,
    )


def identity_of(config: Config) -> Identity:
    """Return who a member is that starts for the first time."""
    if config.joined is not None:
        return Identity(config.joined.cluster_id, config.joined.member_id)
    founders = founding(config)
    own = member_id(_own_urls(config), config.initial_cluster_token)
    return Identity(cluster_id([each.id for each in founders]), own)


def founding(config: Config) -> Sequence[Member]:
    """Return who founds the cluster, in the order of ids; nobody where one is joined."""
    if config.joined is not None or config.initial_cluster_existing:
        return ()
    token, company = config.initial_cluster_token, config.initial_cluster
    founders = [Member(member_id(one.peer_urls, token), one.name, one.peer_urls) for one in company]
    if len(founders) == 1:
        # Nobody else has to write the same.
        founders = [founders[0]._replace(client_urls=config.advertise_client)]
    return sorted(founders)


def raft_engine(config: Config, bits: Callable[[int], int]) -> Engine:
    """Return what makes the engine of one member among others."""

    def make(member: int, bounds: LogBounds, journal: Journal) -> Replicator:
        before = Index(journal.first_index - 1)
        entries = journal.read(journal.first_index, journal.last_index)
        timing = Timing(heartbeat_ms=config.heartbeat_ms, election_ms=config.election_ms)
        return RaftEngine(
            RaftConfig(member, timing, kept_entries=config.catchup_entries, is_pack=_is_pack),
            bounds,
            base=(before, journal.term_at(before)),
            entries=(Entry(*each) for each in entries),
            chance=Random(bits(64)),
            make=maker(has_library_decide=config.has_library_decide),
        )

    return make


def lone_engine(config: Config) -> Engine:
    """Return what makes the engine of a member that nobody can reach.

    It refuses to take one member's log for all there is where the log has company: what is in it
    may not be committed, and what is committed may not be in it.
    """

    def make(member: int, bounds: LogBounds, journal: Journal) -> Replicator:
        tail = journal.read(Index(bounds.applied_index + 1), journal.last_index)
        known = Membership(bounds.members, (Entry(*each) for each in tail)).members
        if any(each != member for each in known):
            raise RefusedToStartError(
                f"{config.data_dir} is of a member of a cluster of {len(known)}: start it with the "
                "--listen-peer-urls and --initial-advertise-peer-urls that the others know"
            )
        return LocalEngine(member, bounds)

    return make


def _is_pack(payload: bytes) -> bool:
    """Whether what another member wants ordered is what a member's core makes."""
    try:
        decode_pack(payload)
    except CodecError:
        return False
    return True


def _own_urls(config: Config) -> tuple[str, ...]:
    for one in config.initial_cluster:
        if one.name == config.name:
            return one.peer_urls
    return config.advertise_peer


def first_contacts(config: Config) -> Mapping[int, Contact]:
    """Return the members that the configuration names."""
    if config.joined is not None:
        return {
            each.id: Contact(each.id, each.name, each.peer_urls) for each in config.joined.members
        }
    contacts: dict[int, Contact] = {}
    for member in config.initial_cluster:
        number = member_id(member.peer_urls, config.initial_cluster_token)
        contacts[number] = Contact(number, member.name, member.peer_urls)
    return contacts


@frozen
class LogRoster:
    """`net.peers.mesh.Roster`: what was applied, then what the log names, then the first list."""

    driver: Driver
    first: Mapping[int, Contact]

    @property
    def contacts(self) -> Mapping[int, Contact]:
        """See Roster."""
        applied = self.driver.node.state.members
        named = self.driver.engine.members
        contacts = {
            each: contact
            for each, contact in self.first.items()
            if each not in self.removed and (each in named or not applied)
        }
        for each, member in applied.items():
            contacts[each] = Contact(each, member.name, tuple(member.peer_urls))
        return contacts

    @property
    def known(self) -> Set[int]:
        """See Roster."""
        return (self.contacts.keys() | self.driver.engine.members.keys()) - self.removed

    @property
    def removed(self) -> Set[int]:
        """See Roster."""
        return self.driver.node.state.removed


def member_peers(
    config: Config,
    opened: Opened,
    maintenance: Maintenance,
    log: Logger,
    *,
    where: Directory,
    bits: Callable[[int], int],
    clock_us: Callable[[], int],
    adopt: Adopt,
) -> MemberPeers:
    """Return the other members of a running one. Raises TlsConfigError."""
    identity = opened.identity
    options = peer_tls(config)
    dialler = ThreadDialler(
        None if options is None else lambda: dialling_context(options, config.peer_dial_pair),
        _judge(options, log),
        adopt,
        config.peer_plaintext,
    )
    me = Self(
        identity.cluster_id,
        identity.member_id,
        bits(64),
        config.peer_pinned,
        frame_bytes_max=FRAME_BYTES_MAX + 2 * config.request_bytes_max,
    )
    mesh = Mesh(me, LogRoster(opened.driver, first_contacts(config)), dialler, log, bits, clock_us)
    peers = MemberPeers(mesh, opened.driver.metrics, log)
    peers.snapshots = Snapshots(
        mesh,
        opened.driver,
        maintenance,
        Stager(
            where.disk,
            where.data,
            where.vfs,
            identity.cluster_id,
            identity.member_id,
            load_received,
        ),
        log,
        peers.give,
    )
    return peers


def _judge(options: TlsOptions | None, log: Logger) -> Callable[[CertificateNames], str | None]:
    """Return who says what is wrong with a certificate that a dialled member shows."""
    if options is None:
        return lambda names: None
    tls = ServerTls(options, log, alpn=())

    def refusal(names: CertificateNames) -> str | None:
        tls.context()  # Looks whether the files have changed.
        return tls.refusal(names)

    return refusal
