"""Planted bugs of durability: what a crash, a loss of power or a failing disk may take away.

Rule of this file: each patches the shell or the disk below it, so most need whole members (tier
2); its docstring says what is wrong.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

import errno
from collections.abc import Generator, Sequence

from core.codec import Proposed
from core.inputs import Committed
from core.node import Node
from core.operations import Noop
from net import replicator as raft
from net.driver import Driver
from net.journal import Journal
from net.journal.layout import Position
from net.journal.spares import FILLING_SUFFIX
from net.turns import DriverInput, Io
from sim import cluster
from sim.disk import SimDisk, SimFile
from sim.ops import Put, Range
from sim.plan import Item
from sim.planted.bug import Catalogue, ask, fault, script
from sim.platter import Inode
from sim.swapping import swapped

ENDURING = Catalogue()


def _many_writes(*faults: Item) -> tuple[Item, ...]:
    """Write one key again and again, with faults in between, and read it at the end."""
    writes = (ask(900 + 15 * n, Put("k", str(n)), client=n % 4) for n in range(200))
    return (*writes, *faults, ask(9_000, Range("k")))


def _losses(*times_ms: int) -> tuple[Item, ...]:
    return tuple(
        fault(at, "power_loss", member=0, operations=3, down_ms=100, survival="none")
        for at in times_ms
    )


@ENDURING.bug(
    "durability",
    row=4,
    tier=2,
    budget=6,
    workload="register",
    members=1,
    engine="local",
    faults=["disk"],
    directed=script(
        *(ask(900 + 5 * n, Put("k", str(n)), client=n % 40) for n in range(800)),
        fault(800, "slow_disk", member=0, ms=4_500, operation_ms=12),
        *(
            fault(at, "crash", member=0, down_ms=50, survival="none")
            for at in range(1_200, 4_900, 530)
        ),
        clients=40,
        end_ms=6_000,
        members=1,
        engine="local",
    ),
)
def answers_before_sync() -> Generator[None]:
    """What was only written is taken for durable: the answer does not wait for the disk."""
    persist = Driver._persist

    def hasty(self: Driver, given: raft.Persist, refused: int) -> bool:
        is_written = persist(self, given, refused)
        if is_written and given.sequence:
            self._raft_inputs.append(raft.Persisted(given.sequence))
        return is_written

    with swapped(Driver, "_persist", hasty):
        yield


@ENDURING.bug(
    "durability",
    row=34,
    tier=2,
    workload="register",
    members=1,
    engine="local",
    faults=["disk"],
    nemesis_ms=300,
    directed=script(*_many_writes(*_losses(1_500, 2_000, 2_500, 3_000)), members=1, engine="local"),
)
def syncs_do_nothing() -> Generator[None]:
    """The disk says that it wrote, and keeps it in its cache.

    But for segments that are made ready: one that came back too short would be seen at once.
    """
    honest = SimDisk.datasync

    def lying(self: SimDisk, path: str, inode: Inode) -> None:
        if path.endswith(FILLING_SUFFIX):
            honest(self, path, inode)
        else:
            self.begin("datasync", path)

    with swapped(SimDisk, "datasync", lying):
        yield


@ENDURING.bug(
    "durability",
    row=35,
    tier=2,
    workload="register",
    members=1,
    engine="local",
    faults=["disk"],
    strict_directories=True,
    budget=5,
    nemesis_ms=300,
    directed=script(
        *_many_writes(*_losses(1_500, 2_000, 2_500, 3_000)),
        members=1,
        engine="local",
        strict_directories=True,
    ),
)
def directories_are_not_synced() -> Generator[None]:
    """Files are synced, the directory that names them is not."""

    def idle(self: SimDisk, path: str) -> None:
        self.begin("sync", path)

    with swapped(SimDisk, "sync_directory", idle):
        yield


@ENDURING.bug(
    "durability",
    row=36,
    tier=2,
    budget=12,
    workload="register",
    members=1,
    engine="local",
    faults=["disk"],
    nemesis_ms=300,
    directed=script(
        *_many_writes(
            *(
                fault(at, "eio", member=0, what="sync", down_ms=100)
                for at in range(1_000, 3_000, 90)
            ),
            *_losses(1_500, 2_000, 2_500, 3_000),
        ),
        members=1,
        engine="local",
    ),
)
def failed_sync_counts_as_done() -> Generator[None]:
    """An error of fdatasync is tried again, and the second try says yes."""
    datasync = SimFile.datasync

    def trying_again(self: SimFile) -> None:
        try:
            datasync(self)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            datasync(self)

    with swapped(SimFile, "datasync", trying_again):
        yield


@ENDURING.bug(
    "raft-safety",
    tier=2,
    budget=5,
    workload="register",
    members=3,
    spares=0,
    engine="raft",
    faults=["message"],
    segment_bytes=4096,
    directed=script(
        *(ask(900 + 5 * n, Put("k", str(n) * 20), client=n % 12) for n in range(400)),
        engine="raft",
        clients=12,
        segment_bytes=4096,
    ),
)
def finished_segments_are_not_synced() -> Generator[None]:
    """A sync of the journal leaves out the segment that was filled since the last one."""
    sync = Journal.sync

    def careless(self: Journal) -> Position:
        files = self._files
        self._files = {self._end.segment: files[self._end.segment]}
        try:
            return sync(self)
        finally:
            self._files = files

    # So slow a disk that a segment is filled before the next sync.
    with swapped(cluster, "SYNC_US", 40_000), swapped(Journal, "sync", careless):
        yield


@ENDURING.bug(
    "convergence",
    row=38,
    budget=10,
    workload="register",
    members=3,
    engine="perfect",
    faults=["disk"],
    nemesis_ms=300,
    clients=12,
    think_ms=10,
    operations=500,
    directed=script(
        *(
            ask(900 + 5 * n, Put("k", str(n) * 100), client=n % 12, member=n % 3)
            for n in range(800)
        ),
        *(
            item
            for at in range(1_000, 5_000, 400)
            for item in (
                fault(at, "enospc", member=2, ms=150),
                fault(at + 160, "disarm", member=2),
            )
        ),
        clients=12,
        end_ms=6_000,
        seed=4,
    ),
)
def full_disk_half_applies() -> Generator[None]:
    """A member whose disk was full applies only the first half of a pack."""
    turn, commit = Driver.turn, Node._commit

    def noting(self: Driver, now_ms: int, inputs: Sequence[DriverInput]) -> Io:
        io = turn(self, now_ms, inputs)
        vars(self.node)["was_full"] = self.disk_full or vars(self.node).get("was_full")
        return io

    def halved(self: Node, given: Committed) -> None:
        half = len(given.commands) // 2
        if half and vars(self).get("was_full"):
            skipped = (Proposed(each.id, Noop()) for each in given.commands[half:])
            given = given._replace(commands=(*given.commands[:half], *skipped))
        commit(self, given)

    # A disk so slow that commands gather in packs.
    slow = swapped(cluster, "SYNC_US", 40_000)
    with slow, swapped(Driver, "turn", noting), swapped(Node, "_commit", halved):
        yield
