"""`net.etcd.port.Peers`: what the client port has of the other members, over any links.

Rule: production and the simulator run this very object; only the links differ. What a peer says is
looked at here before the driver gets it: what no member says breaks the link and changes nothing.
"""

from collections.abc import Callable, Sequence

from attrs import define, field

from core.codec import CodecError
from net.application import Codec
from net.listen import PeerInfo
from net.metrics import Metrics
from net.peers.frames import FrameError
from net.peers.hello import SNAPSHOT
from net.peers.limits import STRANGER_LOG_MS
from net.peers.links import Links
from net.peers.snapshots import Snapshots
from net.questions import decode_answer, decode_question
from net.telemetry import Logger
from net.turns import ASK, RAFT, TELL, DriverInput, Job, PeerDown, PeerMessage, PeerUp


@define(eq=False)
class MemberPeers:
    """The other members, for one life. Made with `snapshots` whose `give` is this one's."""

    links: Links
    metrics: Metrics
    log: Logger
    snapshots: Snapshots = field(init=False)
    _inputs: list[DriverInput] = field(factory=list[DriverInput], init=False)
    _due_ms: int | None = field(default=None, init=False)
    _is_closed: bool = field(default=False, init=False)

    @property
    def jobs(self) -> list[tuple[Job, Callable[[object], None]]]:
        """See Peers."""
        return self.snapshots.jobs

    @property
    def due_ms(self) -> int | None:
        """See Peers."""
        return self._due_ms

    def start(self, wake: Callable[[], None], dirty: list[Codec]) -> None:
        """See Peers."""
        self.links.open(self, wake, dirty)

    def accepted(self, info: PeerInfo, now_ms: int) -> Codec:
        """See Peers."""
        return self.links.accepted(info, now_ms)

    def take(self, now_ms: int) -> Sequence[DriverInput]:
        """See Peers."""
        due_ms, links_ms = self.snapshots.tick(now_ms), self.links.tick(now_ms)
        if due_ms is None or (links_ms is not None and links_ms < due_ms):
            due_ms = links_ms
        self._due_ms = due_ms
        if self.snapshots.driver.engine.refused_frames != self.metrics.peer_frames_refused_total:
            self._tell_refused()
        taken, self._inputs = self._inputs, []
        return taken

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """See Peers."""
        send = self.links.send
        for peer, channel, data in messages:
            counts = self.metrics.peer(peer)
            if send(peer, channel, data):
                counts.sent_bytes_total += len(data)
            else:
                counts.sent_failures_total += 1

    def send_snapshots(self, wanted: Sequence[tuple[int, int]]) -> None:
        """See Peers."""
        for peer, index in wanted:
            self.snapshots.send(peer, index)

    def close(self) -> None:
        """See Peers."""
        if not self._is_closed:
            self._is_closed = True
            self.links.close()
            self.snapshots.close()

    def give(self, given: DriverInput) -> None:
        """Have the driver told in the turn that comes."""
        self._inputs.append(given)

    # Arrivals.

    def link_up(self, peer: int) -> None:
        """See Arrivals."""
        self.metrics.peer(peer).is_active = 1
        self._inputs.append(PeerUp(peer))

    def link_down(self, peer: int) -> None:
        """See Arrivals."""
        counts = self.metrics.peer(peer)
        counts.is_active = 0
        counts.disconnected_total += 1
        self._inputs.append(PeerDown(peer))
        self.snapshots.link_down(peer)

    def arrived(self, peer: int, channel: int, body: bytes) -> None:
        """See Arrivals."""
        self.metrics.peer(peer).received_bytes_total += len(body)
        try:
            if channel == SNAPSHOT:
                self.snapshots.arrived(peer, body)
                return
            if channel == ASK:
                decode_question(body)
            elif channel == TELL:
                decode_answer(body)
            else:
                assert channel == RAFT, "INV-PEER-CHANNEL"
        except (CodecError, FrameError) as error:
            self.log.warn_every(
                STRANGER_LOG_MS,
                "a member said what no member says; ending the connection",
                member=f"{peer:x}",
                error=str(error),
            )
            self.metrics.peer(peer).received_failures_total += 1
            self.links.end(peer, str(error))
            return
        self._inputs.append(PeerMessage(peer, channel, body))

    def _tell_refused(self) -> None:
        """The engine took nothing from such a message: that it came is news all the same."""
        refused = self.snapshots.driver.engine.refused_frames
        self.metrics.peer_frames_refused_total = refused
        self.log.warn_every(
            STRANGER_LOG_MS, "refused a message that no member sends", refused_so_far=refused
        )

    def measured(self, peer: int, round_trip_us: int) -> None:
        """See Arrivals."""
        self.metrics.peer(peer).round_trip_us.observe(round_trip_us)

    def removed(self, by: int) -> None:
        """See Arrivals."""
        self.snapshots.maintenance.removed()
