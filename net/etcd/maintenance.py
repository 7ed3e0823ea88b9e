"""What a member answers about itself: Status, Hash, Defragment, Snapshot, MoveLeader, Downgrade.

Defragment copies the store to its next generation beside the running one; what is applied
meanwhile gathers and is written after the switch. Snapshot streams an online backup, sent
piece by piece as the client takes it.
"""

from collections.abc import Callable

from attrs import define

from core.errors import (
    DOWNGRADE_BAD_FORMAT,
    DOWNGRADE_BAD_TARGET,
    NO_LEADER,
    NO_SPACE,
    UNAVAILABLE,
    Failure,
)
from net.disk import Disk, DiskFull, File
from net.driver import Driver, Io, Job
from net.etcd import auth
from net.etcd.calls import Call, StreamCall
from net.etcd.cluster import Cluster
from net.etcd.encode import Encoder
from net.etcd.leadership import Leadership
from net.etcd.pb import health_pb2
from net.etcd.pb import rpc_pb2 as pb
from net.faultpoint import faultpoint
from net.store.errors import StoreClosed
from net.store.seal import Backup
from net.store.store import Copy, Store
from net.telemetry import Logger

SNAPSHOT_PIECE_BYTES = 32 << 10
SNAPSHOT_QUEUE_BYTES_MAX = 1 << 20
"""Bytes of a snapshot that wait for the client before reading pauses."""
DIGEST_BYTES = 32
STORAGE_VERSION = "3.7.0"
CLUSTER_VERSION = "3.7"
ETCD_VERSION = "3.7.0"
"""What Status reports: RangeStream is served, so clients may take us for etcd 3.7."""


@define(eq=False)
class _Sending:
    """A snapshot on its way to a client."""

    call: StreamCall
    file: File
    path: str
    size_bytes: int
    offset: int = 0


class Maintenance:
    """The answers that need driver and store. One owner: the client port."""

    def __init__(
        self,
        driver: Driver,
        cluster: Cluster,
        encoder: Encoder,
        log: Logger,
        *,
        disk: Disk,
        directory: str,
        vfs: str | None = None,
    ) -> None:
        self.jobs: list[tuple[Job, Callable[[object], None]]] = []
        """For the port to submit: each with what to do about its result."""
        self.is_defragmenting = False
        self.is_receiving = False
        """Whether a snapshot of another member is about to take the store's place."""
        self._driver = driver
        self.leadership = Leadership(driver)
        self.on_removed: Callable[[], None] = lambda: None
        """Ends this member, which is none of the cluster's any more."""
        self._is_removed = False
        self._cluster = cluster
        self._encoder = encoder
        self._log = log
        self._disk = disk
        self._directory = directory
        self._vfs = vfs
        self._sending: dict[Call, _Sending] = {}
        self._defragmenting: list[Call] = []
        self._snapshots = 0

    def begin(self, method: str, call: Call, message: bytes) -> None:
        """Take one request."""
        match method.rsplit("/", 1)[-1]:
            case "Status":
                call.reply(self._status().SerializeToString())
            case "Hash":
                state = self._driver.node.state
                response = pb.HashResponse(hash=state.state_hash() & 0xFFFFFFFF)
                call.reply(self._header() + response.SerializeToString())
            case "Defragment":
                pb.DefragmentRequest.FromString(message)
                self._defragment(call)
            case "Snapshot":
                pb.SnapshotRequest.FromString(message)
                assert isinstance(call, StreamCall), "INV-STREAM-STATE"
                self._snapshot(call)
            case "MoveLeader":
                self.leadership.move(call, pb.MoveLeaderRequest.FromString(message).targetID)
            case "Downgrade":
                self._downgrade(call, pb.DowngradeRequest.FromString(message))
            case "Check" | "Watch":
                self._health(call, health_pb2.HealthCheckRequest.FromString(message))
            case _ if method in auth.METHODS:
                auth.answer(method, call, self._header())
            case name:
                self._cluster.begin(name, call, message)

    @property
    def is_mute(self) -> bool:
        """Whether this member is a learner that refuses what needs a voter."""
        node = self._driver.node
        return node.membership.is_mute(node.state)

    def took_turn(self, io: Io) -> None:
        """Look at what a turn of the driver did to this member."""
        self.leadership.took_turn(io)
        node = self._driver.node
        if not self._is_removed and node.membership.is_removed(node.state):
            self.removed()

    def removed(self) -> None:
        """This member is none any more: its log says so, or the others do. It ends, once."""
        if not self._is_removed:
            self._is_removed = True
            self._log.warn("the member has been permanently removed from the cluster")
            self._log.warn("data-dir used by this member must be removed")
            self.on_removed()

    def ended(self, call: Call) -> None:
        """The client of a snapshot is gone."""
        sending = self._sending.pop(call, None)
        if sending is not None:
            self._discard(sending)

    def pump(self) -> bool:
        """Send snapshot pieces where there is room; whether any could be sent."""
        moved = False
        for sending in list(self._sending.values()):
            stream = sending.call.stream
            while stream.queued_bytes < SNAPSHOT_QUEUE_BYTES_MAX and self._send_piece(sending):
                moved = True
        return moved

    @property
    def is_sending(self) -> bool:
        """Whether a snapshot is on its way."""
        return bool(self._sending)

    def close(self) -> None:
        """Drop what is under way."""
        for call in list(self._sending):
            self.ended(call)
        for job, _ in self.jobs:
            if job.kind == "free":
                job.run()

    def _header(self) -> bytes:
        return self._encoder.header(self._driver.node.state.revision)

    def _status(self) -> pb.StatusResponse:
        driver = self._driver
        state = driver.node.state
        role = driver.engine.role
        errors = [] if role.leader else [NO_LEADER.text]
        for member, kind in sorted(state.alarms):
            errors.append(_described(member, kind))
        response = pb.StatusResponse(
            version=ETCD_VERSION,
            dbSize=driver.store.size_bytes(),
            leader=role.leader,
            raftIndex=driver.engine.commit_index,
            raftTerm=role.term,
            raftAppliedIndex=state.applied_index,
            errors=errors,
            dbSizeInUse=state.resident_bytes,
            isLearner=driver.node.membership.is_learner(state),
            storageVersion=STORAGE_VERSION,
            dbSizeQuota=driver.node.config.quota_bytes,
            downgradeInfo=pb.DowngradeInfo(),
        )
        response.header.ParseFromString(_header_body(self._header()))
        return response

    def _downgrade(self, call: Call, request: pb.DowngradeRequest) -> None:
        """Refuse to go back; etcd answers the end of what was not begun as if it had been."""
        if request.action == pb.DowngradeRequest.CANCEL:
            response = pb.DowngradeResponse(version=CLUSTER_VERSION)
            call.reply(self._header() + response.SerializeToString())
        else:
            call.fail(_downgrade_refusal(request.version))

    def _health(self, call: Call, request: health_pb2.HealthCheckRequest) -> None:
        if request.service:
            call.fail(Failure(5, "unknown service"))
            return
        serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
        if isinstance(call, StreamCall):
            call.metrics.sent += 1
            call.connection.send(call.stream, serving.SerializeToString())
        else:
            call.reply(serving.SerializeToString())

    # Defragment.

    def _defragment(self, call: Call) -> None:
        if self.is_receiving:
            text = "etcdserver: taking over a snapshot; try to defragment again"
            call.fail(Failure(UNAVAILABLE, text))
            return
        self._defragmenting.append(call)
        if self.is_defragmenting:
            return
        self.is_defragmenting = True
        driver = self._driver
        self._log.info("starting defragment", size_bytes=driver.store.size_bytes())
        driver.flush_now(driver.node.now_ms)
        driver.hold_flushes(True)
        generation = driver.store.generation + 1
        store = driver.store

        def copy() -> Copy:
            made = store.vacuum_into(generation)
            # Closing the old store would do this between two turns.
            store.checkpoint()
            return made

        self.jobs.append((Job("defragment", copy), self._copied))

    def _copied(self, result: object) -> None:
        if isinstance(result, DiskFull):
            self._log.error("failed to defragment: the disk has no room for the copy")
            self._finish_defragment(NO_SPACE)
            return
        assert isinstance(result, Copy), "INV-JOB-RESULT"
        if not self._driver.append_switch(
            result.generation, result.index, lambda: self._switch(result.generation)
        ):
            self._log.error(
                "failed to defragment: the disk is full; free space and try again",
                generation=result.generation,
            )
            self._finish_defragment(NO_SPACE)

    def _switch(self, generation: int) -> None:
        faultpoint("switch.before")
        driver = self._driver
        driver.store.close()
        old = self._disk.open(driver.store.path, writable=False)
        driver.store = Store.open(self._disk, self._directory, generation=generation, vfs=self._vfs)
        self._let_go(old)
        faultpoint("switch.after")
        self._log.info("finished defragment", size_bytes=driver.store.size_bytes())
        self._finish_defragment(None)

    def _finish_defragment(self, failure: Failure | None) -> None:
        self.is_defragmenting = False
        self._driver.hold_flushes(False)
        calls, self._defragmenting = self._defragmenting, []
        for call in calls:
            if failure is None:
                call.reply(pb.DefragmentResponse().SerializeToString())
            else:
                call.fail(failure)

    # Snapshot.

    def _snapshot(self, call: StreamCall) -> None:
        driver = self._driver
        if self.is_defragmenting:
            call.fail(Failure(UNAVAILABLE, "etcdserver: defragmenting; try the snapshot again"))
            return
        driver.flush_now(driver.node.now_ms)
        self._snapshots += 1
        path = f"{self._directory}/snapshot-{self._snapshots}.tmp"
        if self._disk.exists(path):
            self._disk.unlink(path)
        store = driver.store
        job = Job("snapshot", lambda: store.backup(path))
        self.jobs.append((job, lambda result: self._backed_up(call, result)))

    def _backed_up(self, call: StreamCall, result: object) -> None:
        if isinstance(result, StoreClosed):
            # A received snapshot took the store's place while this waited for its thread.
            if not call.over:
                self._snapshot(call)
            return
        if isinstance(result, DiskFull):
            self._log.error("failed to make a snapshot: the disk has no room for the copy")
            if not call.over:
                call.fail(NO_SPACE)
            return
        assert isinstance(result, Backup), "INV-JOB-RESULT"
        file = self._disk.open(result.path, writable=False)
        sending = _Sending(call, file, result.path, result.size_bytes)
        if call.over:
            self._discard(sending)
            return
        self._log.info("sending database snapshot to client", total_bytes=result.size_bytes)
        self._sending[call] = sending

    def _send_piece(self, sending: _Sending) -> bool:
        call = sending.call
        body_bytes = sending.size_bytes - DIGEST_BYTES
        if sending.offset >= sending.size_bytes:
            del self._sending[call]
            self._discard(sending)
            call.finish()
            return False
        last = sending.offset >= body_bytes
        size = DIGEST_BYTES if last else min(SNAPSHOT_PIECE_BYTES, body_bytes - sending.offset)
        blob = sending.file.read(sending.offset, size)
        sending.offset += size
        left = max(0, body_bytes - sending.offset)
        response = pb.SnapshotResponse(
            remaining_bytes=left, blob=blob, version=STORAGE_VERSION
        ).SerializeToString()
        call.metrics.sent += 1
        call.connection.send(call.stream, response)
        return True

    def _discard(self, sending: _Sending) -> None:
        self._disk.unlink(sending.path)
        self._let_go(sending.file)

    def _let_go(self, file: File) -> None:
        """Close a file that has lost its name in the thread: only then its blocks are freed.

        Freeing 2 GiB takes 250 ms of CPU.
        """
        self.jobs.append((Job("free", file.close), lambda _: None))


def _header_body(framed: bytes) -> bytes:
    """Return a header's message out of its place as field 1; it is shorter than 128 bytes."""
    return framed[2:]


def _described(member_id: int, kind: int) -> str:
    """Return an alarm as etcd prints it: without a 0, an unknown kind as its number."""
    named = pb.AlarmType.DESCRIPTOR.values_by_number.get(kind)
    member = f"memberID:{member_id} " if member_id else ""
    return f"{member}alarm:{kind if named is None else named.name} "


def _downgrade_refusal(version: str) -> Failure:
    """Trine has no older format to go back to: each answer is etcd's refusal."""
    parts = version.split(".")
    if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
        return DOWNGRADE_BAD_FORMAT
    return DOWNGRADE_BAD_TARGET
