"""Messages and snapshots between whole members, over the simulated network.

Rule of this file: a transport and nothing else. A snapshot is the store's own backup, made and
received in the helper thread; it becomes a generation that nothing refers to before the driver
hears of it. The store it replaces is closed behind the jobs that still use it.
"""

from collections.abc import Callable, Sequence
from typing import cast

from attrs import frozen

from core.loading import load
from core.state import State
from net.disk import DiskFull
from net.etcd.maintenance import Maintenance
from net.store import files, snapshot
from net.store.seal import Backup
from net.store.store import Store, retire
from net.turns import (
    DriverInput,
    Job,
    JobDone,
    PeerDown,
    PeerMessage,
    PeerUp,
    SnapshotArrived,
    SnapshotGone,
)
from server.recover import Opened, facts_of
from sim.disk import SimDisk
from sim.ledger import Candidate
from sim.network import Network
from sim.perfect_messages import kind_of
from sim.world import INSTALL, SNAPSHOT

Then = Callable[[object], None]
CHANNELS = ("", "question", "answer")


@frozen
class StagedStore:
    """A received snapshot as a generation of its own; see `net.turns.Staged`."""

    peers: "SimPeers"
    generation: int
    index: int
    term: int

    def discard(self) -> None:
        """See Staged."""
        self.peers.discard(self.generation)

    def take_over(self, old: Store) -> tuple[Store, State, list[int]]:
        """See Staged."""
        return self.peers.take_over(old, self.generation)


class SimPeers:
    """`net.etcd.port.Peers` of one life. Members are known by id here, by number to the network."""

    def __init__(
        self,
        number: int,
        network: Network,
        opened: Opened,
        maintenance: Maintenance,
        *,
        disk: SimDisk,
        directory: str,
        vfs: str,
    ) -> None:
        self.jobs: list[tuple[Job, Then]] = []
        self._number = number
        self._network = network
        self._driver = opened.driver
        self._maintenance = maintenance
        self._disk = disk
        self._directory = directory
        self._vfs = vfs
        self._inputs: list[DriverInput] = []
        self._wake: Callable[[], None]
        self._files = 0
        self._is_closed = False
        self._is_cut = False
        self._is_handed = False
        """Whether the driver was given a snapshot whose fate is open."""

    @property
    def _engine(self) -> Candidate:
        return cast(Candidate, self._driver.engine)

    def start(self, wake: Callable[[], None]) -> None:
        """See Peers."""
        self._wake = wake
        self._network.attach(self._number, self)

    def close(self) -> None:
        """See Peers."""
        if not self._is_closed:
            self._is_closed = True
            self._network.detach(self._number)

    def take(self) -> Sequence[DriverInput]:
        """See Peers."""
        if self._is_handed and self._engine.can_lead:
            # The engine did not want it: what is left of it is swept at the next start.
            self._is_handed = self._maintenance.is_receiving = False
        taken, self._inputs = self._inputs, []
        if self._is_cut:
            self._is_cut = False
            self._checkpoint()
        self._is_handed |= any(type(each) is SnapshotArrived for each in taken)
        return taken

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """See Peers."""
        for peer, channel, data in messages:
            what = CHANNELS[channel] or kind_of(data)
            self._carry(peer - 1, (channel, data), len(data), what)

    def send_snapshots(self, wanted: Sequence[tuple[int, int]]) -> None:
        """See Peers."""
        for peer, index in wanted:
            self._send_snapshot(peer, index)

    def nudge(self) -> None:
        """Have the engine step, though nothing came."""
        self._give(PeerMessage(self._number + 1, 0, b""))

    def cut_log(self) -> None:
        """Have the store made durable and the log cut behind it, in the next turn."""
        self._is_cut = True
        self._wake()

    def _checkpoint(self) -> None:
        driver = self._driver
        driver.flush_now(driver.node.now_ms)

        def moved(result: object) -> None:
            self._give(JobDone("checkpoint", result))

        self.jobs.append((Job("checkpoint", driver.store.checkpoint), moved))

    # The network's port.

    def link_up(self, peer: int) -> None:
        """See Port."""
        self._give(PeerUp(peer + 1))

    def link_down(self, peer: int) -> None:
        """See Port."""
        self._give(PeerDown(peer + 1))

    def arrived(self, peer: int, data: object) -> None:
        """See Port."""
        if isinstance(data, bytes):
            self._receive_snapshot(peer, data)
        elif isinstance(data, bool):
            self._give(SnapshotGone(peer + 1, data))
        else:
            channel, content = cast(tuple[int, bytes], data)
            self._give(PeerMessage(peer + 1, channel, content))

    # Snapshots.

    def discard(self, generation: int) -> None:
        """Delete a received generation that nobody wants, in the helper thread."""
        self._is_handed = self._maintenance.is_receiving = False
        self.jobs.append(
            (Job("free", lambda: retire(self._disk, self._directory, generation)), _done)
        )

    def take_over(self, old: Store, generation: int) -> tuple[Store, State, list[int]]:
        """Use a received generation from now on."""
        store = Store.open(self._disk, self._directory, generation=generation, vfs=self._vfs)
        # A checkpoint or a backup of the old one may still be waiting: it goes first.
        self.jobs.append((Job("free", old.close), _done))
        self._is_handed = self._maintenance.is_receiving = False
        state, dead = load(facts_of(store), store.rows())
        world = self._network.world
        world.note(INSTALL, self._number, state.applied_index, state.revision)
        return store, state, dead

    def _send_snapshot(self, peer: int, index: int) -> None:
        driver = self._driver
        driver.flush_now(driver.node.now_ms)
        if driver.store.applied[0] < index or self._maintenance.is_defragmenting:
            self._give(SnapshotGone(peer, False))
            return
        store, path = driver.store, self._new_path("sent")

        def sent(result: object) -> None:
            if isinstance(result, DiskFull):
                self._give(SnapshotGone(peer, False))
                return
            assert isinstance(result, Backup), "a backup is what the job made"
            content = self._read(path)
            self._disk.unlink(path)
            self._network.world.note(SNAPSHOT, self._number, peer - 1, result.index)
            self._carry(peer - 1, content, len(content), "snapshot")

        self.jobs.append((Job("snapshot", lambda: store.backup(path)), sent))

    def _receive_snapshot(self, peer: int, content: bytes) -> None:
        if self._maintenance.is_defragmenting or self._maintenance.is_receiving:
            self._carry(peer, False, 16, "refused")
            return
        self._maintenance.is_receiving = True

        def staged(result: object) -> None:
            is_well = isinstance(result, StagedStore)
            self._carry(peer, is_well, 16, "staged" if is_well else "refused")
            if isinstance(result, StagedStore):
                self._give(SnapshotArrived(peer + 1, result))
            else:
                self._maintenance.is_receiving = False

        self.jobs.append((Job("stage", lambda: self._stage(content)), staged))
        self._wake()

    def _stage(self, content: bytes) -> StagedStore:
        """Make a snapshot a generation, durably; in the helper thread."""
        path = self._new_path("received")
        disk = self._disk
        file = disk.create(path)
        try:
            file.write(0, content)
            file.datasync()
        finally:
            file.close()
        generation = max(files.generations(disk, self._directory)) + 1
        facts = snapshot.install(
            disk,
            path,
            self._directory,
            generation=generation,
            member_id=self._number + 1,
            vfs=self._vfs,
        )
        disk.unlink(path)
        return StagedStore(self, generation, facts.index, facts.term)

    def _read(self, path: str) -> bytes:
        file = self._disk.open(path, writable=False)
        try:
            return file.read(0, file.size_bytes())
        finally:
            file.close()

    def _new_path(self, what: str) -> str:
        """Return a name that a start sweeps away."""
        self._files += 1
        return f"{self._directory}/snapshot-{what}-{self._files}.tmp"

    def _carry(self, target: int, data: object, size: int, what: str) -> None:
        if not self._is_closed:
            self._network.send(self._number, target, data, size=size, what=what)

    def _give(self, given: DriverInput) -> None:
        self._inputs.append(given)
        self._wake()


def _done(_: object) -> None:
    """Nothing follows."""
