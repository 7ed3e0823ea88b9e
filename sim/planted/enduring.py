"""Planted bugs of durability: what a crash, a loss of power or a failing disk may take away.

Rule of this file: each patches the shell or the disk below it, so each needs whole members (tier
2); its docstring says what is wrong.
"""

# A bug is put in from outside, wherever it has to be.
# pyright: reportPrivateUsage=false

import errno
from collections.abc import Callable, Generator

from net import replicator as raft
from net.disk import DiskFull
from net.driver import Driver
from net.flush import StoreBuffer
from net.journal import layout
from net.store.store import Store
from sim.disk import SimDisk, SimFile
from sim.ops import Put, Range
from sim.plan import Item
from sim.planted.bug import Catalogue, ask, fault, script, swapped
from sim.platter import Inode

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
    workload="register",
    members=1,
    engine="local",
    faults=["disk"],
    directed=script(*_many_writes(*_losses(1_500, 2_000, 2_500, 3_000)), members=1, engine="local"),
)
def answers_before_sync() -> Generator[None]:
    """What was only written is taken for durable: the answer does not wait for the disk."""
    persist = Driver._persist

    def hasty(self: Driver, given: raft.Persist, refused: bool) -> bool:
        was_refused = persist(self, given, refused)
        if not was_refused and given.sequence:
            self._raft_inputs.append(raft.Persisted(given.sequence))
        return was_refused

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
    directed=script(*_many_writes(*_losses(1_500, 2_000, 2_500, 3_000)), members=1, engine="local"),
)
def syncs_do_nothing() -> Generator[None]:
    """The disk says that it wrote, and keeps it in its cache."""

    def lying(self: SimDisk, path: str, inode: Inode) -> None:
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
    budget=10,
    workload="register",
    members=1,
    engine="local",
    faults=["disk"],
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
    "durability",
    tier=2,
    budget=10,
    workload="register",
    members=1,
    engine="local",
    faults=["disk"],
    segment_bytes=4_096,
    directed=script(
        *_many_writes(*_losses(1_500, 2_000, 2_500, 3_000)),
        members=1,
        engine="local",
        segment_bytes=4_096,
    ),
)
def journal_is_let_go_early() -> Generator[None]:
    """The journal is cut once rows are written, not once they are durable."""
    keep_house = Driver._keep_house

    def hasty(self: Driver, now_ms: int) -> None:
        keep_house(self, now_ms)
        self._drop_log(self.store.applied[0])

    with swapped(Driver, "_keep_house", hasty):
        yield


class _NoChecksum:
    """A zlib whose checksums are all the same."""

    def crc32(self, data: bytes, value: int = 0) -> int:
        return 0


@ENDURING.bug(
    "durability",
    row=37,
    tier=2,
    budget=10,
    workload="register",
    members=1,
    engine="local",
    faults=["disk"],
    directed=script(
        *_many_writes(
            *(
                fault(
                    at, "bit_rot", member=0, file="journal", at_permille=at // 20, bit=3, down_ms=90
                )
                for at in range(1_000, 3_500, 100)
            )
        ),
        members=1,
        engine="local",
    ),
)
def journal_is_not_checked() -> Generator[None]:
    """A frame of the journal is believed without its checksum."""
    with swapped(layout, "zlib", _NoChecksum()):
        yield


@ENDURING.bug(
    "durability",
    row=38,
    tier=2,
    budget=10,
    workload="register",
    members=1,
    engine="local",
    faults=["disk"],
    directed=script(
        *_many_writes(
            *(fault(at, "enospc", member=0, ms=300) for at in range(1_000, 3_500, 700)),
            *_losses(3_600, 3_900),
        ),
        members=1,
        engine="local",
    ),
)
def full_disk_loses_rows() -> Generator[None]:
    """A batch of rows that found no room is dropped, and the next one hides that."""
    write_oldest: Callable[[StoreBuffer, Store, int], bool] = StoreBuffer._write_oldest

    def dropping(self: StoreBuffer, store: Store, now_ms: int) -> bool:
        try:
            return write_oldest(self, store, now_ms)
        except DiskFull:
            self._sealed.popleft()
            raise

    with swapped(StoreBuffer, "_write_oldest", dropping):
        yield
