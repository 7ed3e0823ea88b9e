"""A restore from a backup: another cluster begins with what stood in it, and nothing else.

Rule of this file: two runs and the check between them. The first is any plan, faults and all, in
the midst of which one member's snapshot is downloaded. What was acknowledged after that is given
up, by declaration; what the second cluster owes is told here:

    content     the keys, with all that belongs to them, of one revision of the first run
    revision    that of the backup, raised by what was asked: no client sees a number twice
    history     compacted: who reads or watches below is told so, and lists anew
    members     all of them the same
"""

from collections.abc import Callable
from random import Random
from typing import Final

from attrs import define, field

from net.etcd.pb import rpc_pb2 as pb
from net.replicator import Entry
from net.store.batch import Identity, Meta
from net.store.snapshot import restore
from server.identity import cluster_id
from sim.check import timeline_of
from sim.check.guarantees import Found
from sim.history import History, Seen, WatchSpec
from sim.ops import Failed, Kv, Op, Put, PutDone, RangeDone, Result
from sim.plan import Options, Plan
from sim.run import Run, course
from sim.tier2 import MEMBER_ID, Tier2Cluster, live
from sim.tier2_ground import DATA
from sim.vfs import SimVfs
from sim.wire_words import MAINTENANCE
from sim.workloads.verbs import EVERYTHING
from sim.world import World

COMPACTED: Final = "etcdserver: mvcc: required revision has been compacted"
_BACKUP: Final = "backup"
_LEADER_MS: Final = 4_000
_ANSWER_MS: Final = 5_000


@define
class Download:
    """What a member sends of itself. `whole` once it said that this is all."""

    pieces: list[bytes] = field(factory=list[bytes])
    whole: bool = False

    def message(self, data: bytes) -> None:
        """See Sink."""
        self.pieces.append(pb.SnapshotResponse.FromString(data).blob)

    def ended(self, code: int, text: str) -> None:
        """See Sink."""
        self.whole = code == 0


@define
class Restored:
    """What clients of the second cluster saw. `rev` is the backup's revision, `raised` by so much.

    `reads` are of everything, one linearizable and one serializable a member.
    """

    rev: int
    raised: int
    reads: list[Result] = field(factory=list[Result])
    past: list[Result] = field(factory=list[Result])
    """Reads at the backup's own revision."""
    watched: list[Seen] = field(factory=list[Seen])
    """By who goes on from the backup's revision."""
    put: Result | None = None


def run_with_backup(plan: Plan, *, at_ms: int, member: int) -> tuple[Run, bytes]:
    """Run a plan, and download a member's snapshot at a time; b"" if it did not all come."""
    world = World(plan.seed)
    download = Download()
    found: list[Run] = []

    async def script(cluster: Tier2Cluster) -> None:
        def begin() -> None:
            cluster.endpoint.call(member, MAINTENANCE + "Snapshot", b"", download)

        world.at(at_ms * 1000, begin)
        steps = course(plan, cluster, tier=2)
        try:
            until_us = next(steps)
            while True:
                await cluster.advance(until_us)
                until_us = next(steps)
        except StopIteration as over:
            found.append(over.value)

    live(world, plan.options, script)
    return found[0], b"".join(download.pieces) if download.whole else b""


def run_restored(backup: bytes, options: Options, *, seed: int, raised: int) -> Restored:
    """Begin a cluster on so many disks from a backup, and ask it what it holds."""
    world = World(seed)
    found: list[Restored] = []

    async def script(cluster: Tier2Cluster) -> None:
        facts = [_restore(cluster, number, backup, raised) for number in range(cluster.size)]
        told = Restored(facts[0].revision - raised, raised)
        # The log goes on behind the backup: of what is before, the onlookers know nothing.
        cluster.truth.entries += [Entry(at, 0, b"") for at in range(1, facts[0].index + 1)]
        cluster.log.hashes += [0] * facts[0].index
        for number in range(cluster.size):
            cluster.start(number)
        await cluster.advance(_LEADER_MS * 1000)
        ask = _asker(cluster)
        for number in range(cluster.size):
            ask(number, EVERYTHING, told.reads.append)
            ask(number, EVERYTHING._replace(serializable=True), told.reads.append)
            ask(number, EVERYTHING._replace(rev=max(1, told.rev)), told.past.append)
            spec = WatchSpec(EVERYTHING.key, EVERYTHING.end, max(1, told.rev))
            cluster.watch(number, spec, told.watched.append)
        await cluster.advance(world.now_us + _ANSWER_MS * 1000)
        puts: list[Result] = []
        ask(0, Put("restored", "yes"), puts.append)
        await cluster.advance(world.now_us + _ANSWER_MS * 1000)
        told.put = puts[0]
        found.append(told)

    live(world, options, script)
    return found[0]


def judge_restore(history: History, told: Restored) -> list[str]:
    """Return what the second cluster does not keep of what it owes; nothing is a pass."""
    timeline = timeline_of(history, Found())
    if timeline is None:
        return ["the first run has no order of its writes"]
    wrong: list[str] = []
    if told.rev > timeline.head:
        return [f"revision {told.rev} never came about; the newest is {timeline.head}"]
    due = tuple(timeline.model.at(EVERYTHING.key, EVERYTHING.end, told.rev))
    raised = told.rev + told.raised
    for read in told.reads:
        if not isinstance(read, RangeDone) or _known(read.kvs) != _known(due):
            wrong.append(f"content: {read} for {len(due)} keys of revision {told.rev}")
        elif read.rev != raised:
            wrong.append(f"revision: a read tells {read.rev}, not {raised}")
    if told.raised:
        wrong += [f"history: {each}" for each in told.past if each != Failed(COMPACTED)]
        ends = [seen for seen in told.watched if seen.kind != "created"]
        wrong += [
            f"history: a watch from revision {told.rev} sees {seen}"
            for seen in ends
            if (seen.kind, seen.compact_rev) != ("canceled", raised)
        ]
        if not ends:
            wrong.append(f"history: a watch from revision {told.rev} is told nothing")
    if not isinstance(told.put, PutDone) or told.put.rev != raised + 1:
        wrong.append(f"revision: the first write is told {told.put}, not revision {raised + 1}")
    return wrong


def _known(kvs: tuple[Kv, ...]) -> list[Kv]:
    """Leases go on in the second cluster: what hung on one may be gone by now."""
    return [kv for kv in kvs if not kv.lease]


def _asker(cluster: Tier2Cluster) -> Callable[[int, Op, Callable[[Result], None]], None]:
    def ask(member: int, op: Op, then: Callable[[Result], None]) -> None:
        cluster.ask(member, op, _ANSWER_MS - 100, then)

    return ask


def _restore(cluster: Tier2Cluster, number: int, backup: bytes, raised: int) -> Meta:
    """Fill an empty disk as `trine snapshot restore` does; return what it begins with."""
    machine = cluster.machines[number]
    disk = machine.disk
    founders = range(MEMBER_ID, MEMBER_ID + cluster.size)
    machine.traits.identity = Identity(cluster_id(founders), MEMBER_ID + number)
    vfs = SimVfs(f"restore-{number}", disk, Random(number))
    file = disk.create(_BACKUP)
    file.write(0, backup)
    file.datasync()
    try:
        return restore(
            _BACKUP,
            DATA,
            identity=machine.traits.identity,
            bump_revision=raised,
            mark_compacted=bool(raised),
            disk=disk,
            vfs=vfs.vfs_name,
        )
    finally:
        vfs.unregister()
