"""Snapshots between members: which are sent, which one is received, and what becomes of it.

Rule: files are touched in the helper thread alone. One backup serves every peer that lags, and one
snapshot is received at a time. A stream that broke may go on for `BACKUP_KEPT_MS` where it ended.
The engine is told once of each sending that it asked for, and judges what was received; until then
nothing refers to it. INV-SNAPSHOT-CONTIGUOUS: a snapshot is staged only when each of its bytes was
received in order, once.
"""

from collections.abc import Callable
from typing import TypeVar

from attrs import define, field, frozen

from core.piecemeal import Piecemeal, Piecework
from core.state import State
from net.disk import DiskFull
from net.driver import Driver
from net.etcd.maintenance import Maintenance
from net.peers import stream
from net.peers.hello import SNAPSHOT
from net.peers.limits import BACKUP_KEPT_MS, LOAD_SLICES, PACE_MS
from net.peers.links import Links
from net.peers.staging import Loaded, Part, Stager
from net.peers.stream import Accept, Chunk, End, Incoming, Offer, Outgoing, Stop, Taken
from net.store.errors import StoreClosed
from net.store.seal import Copied, Sealing
from net.store.store import Store, retire
from net.telemetry import Logger
from net.turns import DriverInput, Job, SnapshotArrived, SnapshotGone

T = TypeVar("T")

Then = Callable[[object], None]


@define(eq=False)
class Kept:
    """A backup that is being sent, or was not long ago."""

    copy: Copied
    reading: Sealing
    readers: set[int] = field(factory=set[int])
    idle_ms: int = 0


@define(eq=False)
class _Sending:
    """A snapshot on its way to one peer."""

    kept: Kept
    outgoing: Outgoing
    began_ms: int
    due_ms: int = 0
    """Not before that is the next piece read."""
    served: int = 0
    """What this member had answered when it was decided."""


@define(eq=False)
class _Receiving:
    """A snapshot on its way from one peer, `sender`; `peer` is 0 once its link broke."""

    peer: int
    sender: int
    incoming: Incoming
    part: Part
    began_ms: int
    is_writing: bool = False


@frozen
class StagedStore:
    """A received snapshot as a generation of its own; see `net.turns.Staged`."""

    snapshots: "Snapshots"
    loaded: Loaded
    term: int

    @property
    def generation(self) -> int:
        """See Staged."""
        return self.loaded.generation

    @property
    def index(self) -> int:
        """See Staged."""
        return self.loaded.state.applied_index

    def discard(self) -> None:
        """See Staged."""
        self.snapshots.discarded(self.loaded)

    def take_over(self, old: Store) -> tuple[Store, State, list[int]]:
        """See Staged."""
        return self.snapshots.taken_over(old, self.loaded)


@define(eq=False)
class Snapshots:
    """Both directions of one member, for one life. `give` takes inputs for the driver."""

    links: Links
    driver: Driver
    maintenance: Maintenance
    stager: Stager
    log: Logger
    give: Callable[[DriverInput], None]
    on_sent: Callable[[int, int], None] = lambda peer, index: None
    """Told of each snapshot (peer, index) that is offered."""
    on_installed: Callable[[State], None] = lambda state: None
    """Told of each state that takes this member's place."""
    jobs: list[tuple[Job, Then]] = field(factory=list[tuple[Job, Then]], init=False)
    _now_ms: int = field(default=0, init=False)
    _files: int = field(default=0, init=False)
    _streams: int = field(default=0, init=False)
    _waiting: dict[int, int] = field(factory=dict[int, int], init=False)
    """Peers that wait for a backup at an index or later."""
    _is_backing_up: bool = field(default=False, init=False)
    _kept: Kept | None = field(default=None, init=False)
    _sending: dict[int, _Sending] = field(factory=dict[int, _Sending], init=False)
    _receiving: _Receiving | None = field(default=None, init=False)
    _broken: _Receiving | None = field(default=None, init=False)
    """What was received over a link that broke: the same snapshot may go on from there."""

    # The port's side.

    def tick(self, now_ms: int) -> int | None:
        """Send on; forget a backup that nobody wanted for long. Return when it is due again."""
        self._now_ms = now_ms
        due = None
        for peer, sending in list(self._sending.items()) if self._sending else ():
            if sending.due_ms <= now_ms:
                self._read_on(peer, sending)
            elif due is None or sending.due_ms < due:
                due = sending.due_ms
        kept = self._kept
        if kept is not None and not kept.readers and now_ms - kept.idle_ms >= BACKUP_KEPT_MS:
            self._kept = None
            self._free(kept)
        return due

    def send(self, peer: int, index: int) -> None:
        """Send a peer the state at an index or later; `SnapshotGone` is given in the end."""
        if peer in self._sending or peer in self._waiting:
            return
        if self._kept is not None and self._kept.copy.index >= index:
            self._offer(peer, self._kept)
            return
        driver = self.driver
        driver.flush_now(driver.node.now_ms)
        if driver.store.applied[0] < index or self.maintenance.is_defragmenting:
            self.give(SnapshotGone(peer, False))
            return
        self._waiting[peer] = index
        if not self._is_backing_up:
            self._back_up()

    def link_down(self, peer: int) -> None:
        """What was under way with a peer is so no more."""
        if self._waiting.pop(peer, None) is not None:
            self.give(SnapshotGone(peer, False))
        if peer in self._sending:
            self._sent(peer, well=False)
        receiving = self._receiving
        if receiving is not None and receiving.peer == peer:
            receiving.peer = 0
            if not receiving.is_writing:
                self._break_off(receiving)

    def arrived(self, peer: int, body: bytes) -> None:
        """Take what a peer says of a snapshot. Raises FrameError for what no member says."""
        message = stream.decode(body)
        match message:
            case Offer():
                self._offered(peer, message)
            case Chunk() | Stop():
                self._take(peer, message)
            case Accept() | Taken() | End():
                self._heard(peer, message)

    def close(self) -> None:
        """Let go of files; a start sweeps them away."""
        for kept in {id(each): each for each in self._all_kept()}.values():
            kept.reading.close()
        for each in (self._receiving, self._broken):
            if each is not None and not each.is_writing:
                each.part.close()

    # Sending.

    def _back_up(self) -> None:
        self._is_backing_up = True
        self._go_on("snapshot", 1, Piecework(self._copying(self.driver.store)), self._backed_up)

    def _copying(self, store: Store) -> Piecemeal[Kept]:
        path = self._new_path("sent")
        copy = yield from store.copying(path)
        file = self.stager.disk.open(path, writable=False)
        return Kept(copy, Sealing(file, checks=self.stager.vfs is None))

    def _go_on(self, kind: str, slices: int, work: Piecework[T], then: Then) -> None:
        """Do so many slices a job: other jobs go in between. `then` gets result or full disk."""

        def stepped(is_over: object) -> None:
            if is_over is False:
                self._go_on(kind, slices, work, then)
            else:
                then(work.result if is_over is True else is_over)

        self.jobs.append((Job(kind, lambda: work.step(slices)), stepped))

    def _backed_up(self, result: object) -> None:
        self._is_backing_up = False
        waiting, self._waiting = self._waiting, {}
        if isinstance(result, DiskFull | StoreClosed):
            for peer in waiting:
                self.give(SnapshotGone(peer, False))
            return
        assert isinstance(result, Kept), "INV-JOB-RESULT"
        before, self._kept = self._kept, result
        result.idle_ms = self._now_ms
        if before is not None and not before.readers:
            self._free(before)
        for peer, index in waiting.items():
            if result.copy.index >= index:
                self._offer(peer, result)
            else:
                self.give(SnapshotGone(peer, False))

    def _offer(self, peer: int, kept: Kept) -> None:
        self._streams += 1
        copy, size_bytes = kept.copy, kept.reading.size_bytes
        offer = Offer(self._streams, copy.index, copy.term, size_bytes, copy.name)
        kept.readers.add(peer)
        self._sending[peer] = _Sending(kept, Outgoing(offer), self._now_ms)
        self.driver.metrics.peer(peer).snapshot_send_inflights += 1
        self.on_sent(peer, copy.index)
        self._say(peer, offer)
        self.log.info(
            "sending a snapshot to a member",
            member=f"{peer:x}",
            index=copy.index,
            size_bytes=size_bytes,
        )

    def _heard(self, peer: int, message: Accept | Taken | End) -> None:
        sending = self._sending.get(peer)
        if sending is None or sending.outgoing.offer.stream != message.stream:
            return  # Of a sending that is over.
        match message:
            case End(_, well):
                self._sent(peer, well=well)
                return
            case Accept(_, offset):
                sending.outgoing.accepted(offset)
            case Taken(_, offset):
                sending.outgoing.taken(offset)
        self._read_on(peer, sending)

    def _read_on(self, peer: int, sending: _Sending) -> None:
        if sending.due_ms > self._now_ms:
            return
        wanted = sending.outgoing.wanted()
        if wanted is None:
            return
        self._pace(sending)
        reading = sending.kept.reading
        offset, size = wanted

        def read(result: object) -> None:
            assert isinstance(result, bytes), "INV-JOB-RESULT"
            if self._sending.get(peer) is not sending:
                self._release(peer, sending.kept)
                return
            for chunk in sending.outgoing.read(result):
                self._say(peer, chunk)
            self._read_on(peer, sending)

        self.jobs.append((Job("read", lambda: reading.read(offset, size)), read))

    def _pace(self, sending: _Sending) -> None:
        """Leave room between two pieces for those who are served meanwhile, if anybody is."""
        counts = self.driver.metrics
        served = counts.put_total + counts.txn_total + counts.range_total + counts.delete_total
        if served != sending.served:
            sending.served = served
            sending.due_ms = self._now_ms + PACE_MS

    def _sent(self, peer: int, *, well: bool) -> None:
        sending = self._sending.pop(peer)
        counts = self.driver.metrics.peer(peer)
        counts.snapshot_send_inflights -= 1
        counts.snapshot_send_success += well
        counts.snapshot_send_failures += not well
        if well:
            counts.snapshot_send_us.observe((self._now_ms - sending.began_ms) * 1000)
        self._release(peer, sending.kept)
        self.give(SnapshotGone(peer, well))
        self.log.info(
            "a member has the snapshot" if well else "a member did not take the snapshot",
            member=f"{peer:x}",
            index=sending.kept.copy.index,
        )

    def _release(self, peer: int, kept: Kept) -> None:
        kept.readers.discard(peer)
        kept.idle_ms = self._now_ms
        if not kept.readers and kept is not self._kept:
            self._free(kept)

    def _free(self, kept: Kept) -> None:
        disk, path = self.stager.disk, kept.copy.path

        def free() -> None:
            kept.reading.close()
            disk.unlink(path)

        self.jobs.append((Job("free", free), _nothing))

    def _all_kept(self) -> list[Kept]:
        kept = [sending.kept for sending in self._sending.values()]
        return kept if self._kept is None else [*kept, self._kept]

    # Receiving.

    def _offered(self, peer: int, offer: Offer) -> None:
        if self.maintenance.is_defragmenting or self.maintenance.is_receiving:
            self._say(peer, End(offer.stream, False))
            return
        self.maintenance.is_receiving = True
        broken, self._broken = self._broken, None
        offset, size_bytes = 0, offer.size_bytes
        if broken is not None and broken.incoming.offer.is_same(offer):
            offset, part = broken.incoming.written, broken.part
        else:
            if broken is not None:
                self.jobs.append((Job("free", broken.part.discard), _nothing))
            part = Part(self.stager.disk, self._new_path("received"), size_bytes)
        self._receiving = _Receiving(peer, peer, Incoming(offer, offset), part, self._now_ms)
        self.driver.metrics.peer(peer).snapshot_receive_inflights += 1
        self._say(peer, Accept(offer.stream, offset))
        self.log.info(
            "receiving a snapshot",
            member=f"{peer:x}",
            index=offer.index,
            size_bytes=size_bytes,
            from_byte=offset,
        )
        if self._receiving.incoming.is_whole:
            self._stage(self._receiving)

    def _take(self, peer: int, message: Chunk | Stop) -> None:
        receiving = self._receiving
        if (
            receiving is None
            or receiving.peer != peer
            or receiving.incoming.offer.stream != message.stream
        ):
            return  # Of a stream that is over.
        if isinstance(message, Stop):
            self.link_down(peer)
            return
        receiving.incoming.take(message)
        if not receiving.is_writing:
            self._write(receiving)

    def _write(self, receiving: _Receiving) -> None:
        batch = receiving.incoming.batch()
        if batch is None:
            return
        offset, data = batch
        receiving.is_writing = True

        def written(result: object) -> None:
            receiving.is_writing = False
            if isinstance(result, DiskFull):
                self._refuse(receiving, "the disk is full")
                return
            taken = receiving.incoming.wrote(offset + len(data))
            if not receiving.peer:
                self._break_off(receiving)
            elif receiving.incoming.is_whole:
                self._stage(receiving)
            else:
                self._say(receiving.peer, taken)
                self._write(receiving)

        self.jobs.append((Job("receive", lambda: receiving.part.write(offset, data)), written))

    def _break_off(self, receiving: _Receiving) -> None:
        """Its link is gone: keep what there is for another one."""
        self._received(receiving, well=False)
        self.maintenance.is_receiving = False
        self._broken = receiving

    def _received(self, receiving: _Receiving, *, well: bool) -> None:
        """The receiving is over."""
        self._receiving = None
        counts = self.driver.metrics.peer(receiving.sender)
        counts.snapshot_receive_inflights -= 1
        counts.snapshot_receive_success += well
        counts.snapshot_receive_failures += not well
        if well:
            counts.snapshot_receive_us.observe((self._now_ms - receiving.began_ms) * 1000)

    def _refuse(self, receiving: _Receiving, reason: str) -> None:
        self._received(receiving, well=False)
        self.maintenance.is_receiving = False
        self.jobs.append((Job("free", receiving.part.discard), _nothing))
        self.log.warn("a received snapshot is of no use", error=reason)
        if receiving.peer:
            self._say(receiving.peer, End(receiving.incoming.offer.stream, False))

    def _stage(self, receiving: _Receiving) -> None:
        """Make it a generation. From here on a lost link does not stop it."""
        peer, offer = receiving.peer, receiving.incoming.offer
        receiving.is_writing = True

        def staged(result: object) -> None:
            if not isinstance(result, Loaded):
                self._refuse(receiving, str(result))
                return
            self._received(receiving, well=True)
            if receiving.peer:
                self._say(peer, End(offer.stream, True))
            self.give(SnapshotArrived(peer, StagedStore(self, result, result.state.applied_term)))

        work = Piecework(self.stager.staging(receiving.part))
        self._go_on("stage", LOAD_SLICES, work, staged)

    # What becomes of it.

    def discarded(self, loaded: Loaded) -> None:
        """Nobody wants it."""
        self.maintenance.is_receiving = False
        self.jobs.append((Job("free", lambda: self.stager.retire(loaded)), _nothing))

    def taken_over(self, old: Store, loaded: Loaded) -> tuple[Store, State, list[int]]:
        """It is this member's from now on; the old one goes behind the jobs that still use it."""
        disk, directory = self.stager.disk, self.stager.directory

        def free() -> None:
            old.close()
            retire(disk, directory, old.generation)

        self.jobs.append((Job("free", free), _nothing))
        self.maintenance.is_receiving = False
        self.on_installed(loaded.state)
        self.log.info(
            "took over a snapshot",
            index=loaded.state.applied_index,
            revision=loaded.state.revision,
            keys=loaded.state.index.key_count,
        )
        return loaded.store, loaded.state, loaded.dead

    def _new_path(self, what: str) -> str:
        """Return a name that a start sweeps away."""
        self._files += 1
        return f"{self.stager.directory}/snapshot-{what}-{self._files}.tmp"

    def _say(self, peer: int, message: stream.Message) -> None:
        self.links.send(peer, SNAPSHOT, stream.encode(message))


def _nothing(_: object) -> None:
    """Nothing follows."""
