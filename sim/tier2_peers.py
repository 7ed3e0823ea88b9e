"""The links between whole members, over the simulated network.

Rule of this file: a transport and nothing else: what goes over it, snapshots included, is what
production sends (`net.peers`). Members are known by id to each other, by number to the network.
"""

from collections.abc import Callable, Sequence
from typing import cast

from core.state import State
from net.application import Codec
from net.etcd.maintenance import Maintenance
from net.listen import PeerInfo
from net.peers.hello import SNAPSHOT as SNAPSHOT_CHANNEL
from net.peers.links import Arrivals
from net.peers.peers import MemberPeers
from net.peers.snapshots import Snapshots
from net.peers.staging import Stager
from net.telemetry import Logger
from net.turns import RAFT, DriverInput, Job, JobDone, LeadershipTo, PeerMessage
from server.recover import Opened, load_received
from sim.disk import SimDisk
from sim.network import Network
from sim.perfect_messages import kind_of
from sim.world import INSTALL, SNAPSHOT

CHANNELS = ("", "question", "answer")
STREAM = ("", "offer", "accept", "snapshot", "taken", "end", "stop")


class SimLinks:
    """`net.peers.links.Links` of one life."""

    def __init__(
        self, number: int, network: Network, kind: Callable[[bytes], str] = kind_of
    ) -> None:
        self._number = number
        self._network = network
        self._kind = kind
        self._arrivals: Arrivals
        self._wake: Callable[[], None]
        self._is_closed = False

    def open(self, arrivals: Arrivals, wake: Callable[[], None], dirty: list[Codec]) -> None:
        """See Links."""
        self._arrivals = arrivals
        self._wake = wake
        self._network.attach(self._number, self)

    def tick(self, now_ms: int) -> int | None:
        """See Links."""
        return None

    def send(self, peer: int, channel: int, body: bytes) -> bool:
        """See Links."""
        if self._is_closed:
            return False
        if channel == SNAPSHOT_CHANNEL:
            what = STREAM[body[0]]
        else:
            what = CHANNELS[channel] or self._kind(body)
        self._network.send(self._number, peer - 1, (channel, body), size=len(body), what=what)
        return True

    def end(self, peer: int, reason: str) -> None:
        """See Links."""
        self._network.reset(self._number, peer - 1)

    def accepted(self, info: PeerInfo, now_ms: int) -> Codec:
        """See Links: the network connects members by itself."""
        raise AssertionError("no member listens in the simulated network")

    def close(self) -> None:
        """See Links."""
        self._is_closed = True
        self._network.detach(self._number)

    # The network's port.

    def link_up(self, peer: int) -> None:
        """See Port."""
        self._arrivals.link_up(peer + 1)
        self._wake()

    def link_down(self, peer: int) -> None:
        """See Port."""
        self._arrivals.link_down(peer + 1)
        self._wake()

    def arrived(self, peer: int, data: object) -> None:
        """See Port."""
        channel, body = cast(tuple[int, bytes], data)
        self._arrivals.arrived(peer + 1, channel, body)
        self._wake()


class SimPeers(MemberPeers):
    """`net.etcd.port.Peers` of one life, with two grips for whoever tortures it."""

    def __init__(
        self,
        number: int,
        network: Network,
        opened: Opened,
        maintenance: Maintenance,
        log: Logger,
        *,
        disk: SimDisk,
        directory: str,
        vfs: str,
        kind: Callable[[bytes], str] = kind_of,
    ) -> None:
        super().__init__(SimLinks(number, network, kind), opened.driver.metrics, log)
        self._number = number
        self._network = network
        self._driver = opened.driver
        self._wake: Callable[[], None]
        self._is_cut = False
        identity = opened.identity
        self.snapshots = Snapshots(
            self.links,
            opened.driver,
            maintenance,
            Stager(disk, directory, vfs, identity.cluster_id, identity.member_id, load_received),
            log,
            self.give,
            self._note_sent,
            self._note_installed,
        )

    def start(self, wake: Callable[[], None], dirty: list[Codec]) -> None:
        """See Peers."""
        self._wake = wake
        super().start(wake, dirty)

    def take(self, now_ms: int) -> Sequence[DriverInput]:
        """See Peers."""
        if self._is_cut:
            self._is_cut = False
            self._checkpoint()
        return super().take(now_ms)

    def nudge(self) -> None:
        """Have the engine step, though nothing came."""
        self.give(PeerMessage(self._number + 1, RAFT, b""))
        self._wake()

    def transfer(self, member_id: int) -> None:
        """Have leadership given to another, if it is this member's to give."""
        self.give(LeadershipTo(0, member_id))
        self._wake()

    def cut_log(self) -> None:
        """Have the store made durable and the log cut behind it, in the next turn."""
        self._is_cut = True
        self._wake()

    def _checkpoint(self) -> None:
        driver = self._driver
        driver.flush_now(driver.node.now_ms)

        def moved(result: object) -> None:
            self.give(JobDone("checkpoint", result))

        self.jobs.append((Job("checkpoint", driver.store.checkpoint), moved))

    def _note_sent(self, peer: int, index: int) -> None:
        self._network.world.note(SNAPSHOT, self._number, peer - 1, index)

    def _note_installed(self, state: State) -> None:
        world = self._network.world
        world.note(INSTALL, self._number, state.applied_index, state.revision)
