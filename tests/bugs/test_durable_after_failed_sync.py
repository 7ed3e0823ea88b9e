"""A sync that failed leaves bytes that are read back and never become durable (fsyncgate).

The journal writes such bytes again when it is opened; the store's WAL must not be relied upon
either: what `durable_applied` returned once must survive the next power loss.
"""

from contextlib import suppress
from random import Random

import apsw
import pytest

from net.store.store import Store
from sim.disk import DiskFaults, PowerLost, SimDisk
from sim.vfs import SimVfs
from tests.stores import IDENTITY, History


def next_life(disk: SimDisk, vfs: SimVfs, store: Store, *, power: bool) -> tuple[SimDisk, SimVfs]:
    """End the process, or the power, and return what the next process finds."""
    disk.power_off()
    with suppress(PowerLost, OSError, apsw.Error):
        store.close()
    vfs.unregister()
    after = disk.restart("none" if power else "all")
    return after, SimVfs(vfs.vfs_name, after, Random(1))


@pytest.mark.parametrize("seed", range(10))
def test_what_was_durable_once_stays_after_a_failed_sync(seed: int) -> None:
    disk = SimDisk(Random(seed), faults=DiskFaults())
    disk.make_directory("/data")
    vfs = SimVfs("failed-sync", disk, Random(seed))
    store = Store.create(disk, "/data", identity=IDENTITY, vfs=vfs.vfs_name)
    history = History()
    for number in range(5):
        store.write(history.batch(history.put(b"/k/%d" % number)))
    disk.faults.sync_error = 1.0
    with pytest.raises(OSError, match="simulated sync error"):
        store.durable_applied()
    disk.faults.sync_error = 0.0
    disk, vfs = next_life(disk, vfs, store, power=False)
    store = Store.open(disk, "/data", generation=1, vfs=vfs.vfs_name)
    assert store.durable_applied() == 5
    disk, vfs = next_life(disk, vfs, store, power=True)
    store = Store.open(disk, "/data", generation=1, vfs=vfs.vfs_name)
    assert store.applied[0] == 5
    store.close()
    vfs.unregister()
