"""A directory made by a restore: its first start may be cut short anywhere, and cut short again.

The journal begins behind the restored store, so for a moment nothing but the store says that an
empty journal is right.
"""

from contextlib import suppress
from random import Random

import apsw

from core.answers import PutAnswer
from core.operations import Put
from net.journal import JournalFailed
from net.store.errors import StoreError
from net.store.snapshot import restore
from net.telemetry import Logger, Sink
from sim.disk import DiskFaults, PowerLost, SimDisk
from sim.member import DATA, IDENTITY, Log, Shape, SimMember
from sim.platter import Survival
from sim.vfs import SimVfs
from tests.stores import History, new_store

ENDS = (PowerLost, OSError, apsw.Error, StoreError, JournalFailed)
KEYS = 30


def restored_disk(chance: Random) -> SimDisk:
    """A disk with a data directory that `trine snapshot restore` has just written."""
    directories = chance.choice(("strict", "ordered"))
    disk = SimDisk(Random(chance.random()), faults=DiskFaults(), directories=directories)
    vfs = SimVfs("restoring", disk, chance)
    disk.make_directory("/old")
    store = new_store("/old", disk, vfs.vfs_name)
    history = History()
    for number in range(KEYS):
        store.write(history.batch(history.put(b"/old/%d" % number)))
    store.backup("/old/snapshot")
    store.close()
    restore("/old/snapshot", DATA, identity=IDENTITY, disk=disk, vfs=vfs.vfs_name)
    vfs.unregister()
    return disk


def serve(member: SimMember, puts: int, promised: dict[bytes, int]) -> None:
    """Write, one after the other, and note what was acknowledged."""
    while not member.driver.engine.role.is_leader:
        member.turn(10)
    for _ in range(puts):
        key = b"/new/%d" % len(promised)
        member.offer(key, Put(key, b"v"))
        for _ in range(100):
            replies = member.turn(10).replies
            if member.disk.is_dead:
                raise PowerLost
            if replies:
                ((_, answer),) = replies
                assert isinstance(answer, PutAnswer)
                promised[key] = answer.revision
                break


def restored_run(seed: int) -> int:
    """Cut the first lives of a restored member short; return how often."""
    chance = Random(seed)
    disk = restored_disk(chance)
    promised: dict[bytes, int] = {}
    logger = Logger(Sink(lambda line: None, lambda: 0))
    cut = 0
    for life in range(5):
        member = SimMember(disk, chance, logger, shape=Shape(segment_bytes=4096), log=Log())
        kind = chance.choice(("power", "power", "error")) if life < 4 else "none"
        at = disk.operations + chance.randint(1, chance.choice((40, 200)))
        if kind == "power":
            disk.faults.power_loss_at = at
        elif kind == "error":
            disk.faults.errors_at = frozenset((at,))
        with suppress(*(ENDS if kind != "none" else ())):
            member.start()
            live = member.driver.node.state.index.live
            assert sum(key.startswith(b"/old/") for key in live) == KEYS
            for key, revision in promised.items():
                assert live[key].mod == revision, f"lost: {key!r}"
            serve(member, 5, promised)
        cut += disk.is_dead or bool(disk.injected)
        disk.faults.power_loss_at = None
        disk.faults.errors_at = frozenset()
        survivals: tuple[Survival, ...] = ("none", "prefix", "subset", "all")
        disk = member.crash(chance.choice(survivals))
    return cut


def test_a_restored_directory_survives_its_first_starts() -> None:
    cut = 0
    for seed in range(60):
        try:
            cut += restored_run(seed)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
    assert cut > 100
