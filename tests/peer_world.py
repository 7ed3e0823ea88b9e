"""Whole members without sockets: driver, store, engine and peers, joined by hand-carried bytes.

The rule of this file: the test is reactor and helper threads in one; syncs and jobs are done at
once, in order. Directories are real.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import cast

from attrs import define, field

from core.codec import decode_pack
from core.effects import Reply
from core.inputs import ChangeOffered, Offered
from core.members import Member
from core.node import NodeConfig
from core.operations import Command, MembersChange
from net.application import Codec
from net.disk import DiskFull, RealDisk
from net.driver import Driver, DriverInput, JobDone, Synced
from net.etcd.maintenance import Maintenance
from net.flush import Pace
from net.journal import Journal
from net.metrics import Metrics
from net.peers.peers import MemberPeers
from net.peers.snapshots import Snapshots
from net.peers.staging import Stager
from net.raft.engine import RaftEngine
from net.raft.replica import RaftConfig, Timing
from net.replicator import Entry, LogBounds, Replicator
from net.store.batch import Identity
from net.telemetry import SILENT
from server.recover import Directory, Opened, load_received, open_member
from tests.mesh_world import CLUSTER, MeshWorld, Node, contact

PACE = Pace(flush_rows=1, flush_delay_ms=0, checkpoint_bytes=1 << 30, truncate_bytes=1 << 30)


@define(eq=False)
class Busy:
    """What snapshots see of `Maintenance`."""

    is_defragmenting: bool = False
    is_receiving: bool = False

    def removed(self) -> None:
        """See Maintenance."""


@define(eq=False)
class Whole:
    """One member, alive."""

    world: "PeerWorld"
    id: int
    opened: Opened
    peers: MemberPeers
    busy: Busy
    given: list[DriverInput] = field(factory=list[DriverInput])
    replies: list[object] = field(factory=list[object])
    jobs_done: dict[str, int] = field(factory=dict[str, int])
    dirty: list[Codec] = field(factory=list[Codec])
    holds_jobs: bool = False

    @property
    def driver(self) -> Driver:
        """Its driver."""
        return self.opened.driver

    @property
    def is_leader(self) -> bool:
        """Whether it leads."""
        return self.driver.engine.role.is_leader

    def offer(self, command: Command) -> None:
        """Have it propose a command."""
        self.given.append(Offered(object(), command, 0))

    def change(self, command: MembersChange) -> object:
        """Ask it for a change of members; return the answer once it is there."""
        token = object()
        self.given.append(ChangeOffered(token, command))
        for _ in range(200):
            self.world.run(50)
            for reply in self.replies:
                if isinstance(reply, Reply) and reply.token is token:
                    return reply.answer
        raise AssertionError("nobody answered")

    def turn(self, now_ms: int) -> bool:
        """Do everything that waits; whether there was anything."""
        inputs: Sequence[DriverInput] = [*self.given, *self.peers.take(now_ms)]
        self.given = []
        io = self.driver.turn(now_ms, inputs)
        self.replies += io.replies
        self.dirty.clear()
        self.peers.send(io.sends)
        self.peers.send_snapshots(io.snapshots)
        if io.sync:
            self.driver.journal.sync()
            self.given.append(Synced(io.sync))
        for job in io.jobs:
            self.given.append(JobDone(job.kind, job.run()))
        if not self.holds_jobs:
            self.do_jobs()
        return bool(self.given or inputs)

    def do_jobs(self) -> None:
        """Do the jobs of the peers."""
        while self.peers.jobs:
            jobs = list(self.peers.jobs)
            self.peers.jobs.clear()
            for job, then in jobs:
                self.jobs_done[job.kind] = self.jobs_done.get(job.kind, 0) + 1
                try:
                    result = job.run()
                except DiskFull as full:
                    result = full
                then(result)

    def cut_log(self) -> None:
        """Make the store durable, and cut the log behind it."""
        self.driver.flush_now(self.world.now_ms)
        self.given.append(JobDone("checkpoint", self.driver.store.checkpoint()))

    def close(self) -> None:
        """End it."""
        self.peers.close()
        self.do_jobs()
        self.opened.close()


class PeerWorld(MeshWorld):
    """Founders 1 to n, started."""

    def __init__(
        self, directory: Path, size: int, *, kept_entries: int = 5_000, voters_wanted: int = 0
    ) -> None:
        self.directory = directory
        self.kept_entries = kept_entries
        self.voters_wanted = voters_wanted
        self.wholes: dict[int, Whole] = {}
        self.founders = [
            Member(each, f"m{each}", contact(each).urls) for each in range(1, size + 1)
        ]
        super().__init__(size)

    def begin(self, member: int, known: range, *, cluster: int = CLUSTER) -> Node:
        """Start a member on its directory."""
        node = super().begin(member, known, cluster=cluster)
        config = NodeConfig(
            member_id=member,
            origin=self.chance.getrandbits(64),
            quota_bytes=1 << 40,
            request_bytes_max=1 << 22,
            fragment_bytes=1 << 20,
            progress_interval_ms=600_000,
            request_timeout_ms=7_000,
            election_timeout_ms=1_000,
            name=f"m{member}",
            client_urls=(f"http://10.0.0.{member}:2379",),
            are_members_fixed=False,
            learners_max=9,
            voters_wanted=self.voters_wanted,
            stand_bys_wanted=self.voters_wanted,
        )
        where = Directory(
            RealDisk(),
            str(self.directory / f"m{member}"),
            str(self.directory / f"m{member}/journal"),
            segment_bytes=1 << 20,
            reserve_bytes=4096,
            pace=PACE,
        )
        opened = open_member(
            where, config, Metrics(), SILENT,
            identity=Identity(cluster, member), engine=self._engine,
            founders=self.founders if member <= len(self.founders) else (),
        )  # fmt: skip
        peers, busy = MemberPeers(node.mesh, opened.driver.metrics, node.mesh.log), Busy()
        peers.snapshots = Snapshots(
            node.mesh,
            opened.driver,
            cast(Maintenance, busy),  # of which it sees two flags
            Stager(where.disk, where.data, None, cluster, member, load_received),
            node.mesh.log,
            peers.give,
        )
        whole = self.wholes[member] = Whole(self, member, opened, peers, busy)
        peers.start(lambda: None, whole.dirty)
        return node

    def run(self, ms: int, *, step_ms: int = 10) -> None:
        """Let time pass: turns until nothing is said any more, at each moment."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms += step_ms
            for wire in self.wires:
                wire.tick(self.now_ms)
            for _ in range(200):
                moved = [whole.turn(self.now_ms) for whole in self.wholes.values()]
                carried = [wire.carry(self.now_ms) for wire in self.wires]
                if not any(carried) and not any(moved):
                    break
            self.wires = [wire for wire in self.wires if len(wire.over) < 2]

    def leader(self) -> Whole:
        """Wait until somebody leads whom everybody follows."""
        for _ in range(300):
            self.run(50)
            leading = [whole for whole in self.wholes.values() if whole.is_leader]
            agreed = {whole.driver.engine.role.leader for whole in self.wholes.values()}
            if leading and len(agreed) == 1:
                return leading[0]
        raise AssertionError("nobody leads")

    def join(self, member: int) -> Whole:
        """Start a member that the others know of already."""
        everybody = range(1, member + 1)
        for node in self.nodes.values():
            node.roster.contacts = {each: contact(each) for each in everybody}
            node.roster.known = set(everybody)
        self.begin(member, everybody)
        return self.wholes[member]

    def kill(self, member: int) -> None:
        """End a member, in order; its connections break."""
        whole = self.wholes.pop(member)
        super().kill(member)
        whole.close()

    def close(self) -> None:
        """End all."""
        for whole in self.wholes.values():
            whole.close()

    def _engine(self, member: int, bounds: LogBounds, journal: Journal) -> Replicator:
        before = journal.first_index - 1
        entries = [Entry(*each) for each in journal.read(journal.first_index, journal.last_index)]
        return RaftEngine(
            RaftConfig(member, Timing(), kept_entries=self.kept_entries, is_pack=_is_pack),
            bounds,
            base=(before, journal.term_at(before)),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # an index
            entries=entries,
            chance=Random(self.chance.getrandbits(64)),
        )


def _is_pack(payload: bytes) -> bool:
    return bool(decode_pack(payload)) or True
