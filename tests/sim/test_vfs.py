"""Real SQLite on the forgetting disk: what it promises holds, and what it does not shows."""

from contextlib import suppress
from random import Random

import apsw
import pytest

from sim.disk import Directories, DiskFaults, PowerLost, SimDisk
from sim.platter import Survival
from sim.vfs import SimVfs, deterministic_sqlite

DIRECTORIES: tuple[Directories, ...] = ("strict", "ordered")
SURVIVALS: tuple[Survival, ...] = ("none", "prefix", "subset")


class Database:
    """One generation's connection to the only database of a disk."""

    def __init__(self, disk: SimDisk, synchronous: str) -> None:
        disk.make_directory("/member")
        self._vfs = SimVfs(f"generation-{disk.generation}", disk, Random(disk.generation))
        self._synchronous = synchronous
        self._connection: apsw.Connection | None = None

    def open(self) -> int:
        """Open, check integrity, and return how many rows there are."""
        connection = self._connection = apsw.Connection("/member/a.db", vfs=self._vfs.vfs_name)
        connection.pragma("locking_mode", "exclusive")
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", self._synchronous)
        connection.pragma("wal_autocheckpoint", 8)
        connection.execute("create table if not exists t(i integer primary key, v blob)")
        assert connection.pragma("integrity_check") == "ok"
        return int(connection.execute("select count(*) from t").get)

    def insert(self, number: int) -> None:
        assert self._connection is not None
        self._connection.execute("insert into t values(?, zeroblob(700))", (number,))

    def close(self) -> None:
        if self._connection is not None:
            with suppress(PowerLost, apsw.Error):
                self._connection.close()
        self._vfs.unregister()


def losses(synchronous: str, survival: Survival, directories: Directories, at: int) -> int:
    """Insert until the power goes, twice; return how many answered rows were gone, -1 if broken."""
    deterministic_sqlite(Random(at))
    disk = SimDisk(Random(at), directories=directories)
    answered = lost = 0
    for generation in range(3):
        disk.faults.power_loss_at = at if generation < 2 else None
        database = Database(disk, synchronous)
        try:
            found = database.open()
            lost += max(0, answered - found)
            answered = found
            for _ in range(40 if generation < 2 else 0):
                database.insert(answered + 1)
                answered += 1
        except PowerLost:
            pass
        except (apsw.Error, AssertionError):
            if not disk.is_dead:
                return -1
        finally:
            database.close()
        disk = disk.restart(survival)
    return lost


@pytest.mark.parametrize("directories", DIRECTORIES)
@pytest.mark.parametrize("survival", SURVIVALS)
def test_synchronous_full_loses_nothing_at_any_power_loss(
    survival: Survival, directories: Directories
) -> None:
    assert [losses("full", survival, directories, at) for at in range(1, 300, 7)] == [0] * 43


@pytest.mark.parametrize("directories", DIRECTORIES)
def test_synchronous_normal_loses_a_tail_and_breaks_nothing(directories: Directories) -> None:
    found = [losses("normal", "subset", directories, at) for at in range(1, 300, 7)]
    assert min(found) == 0
    assert max(found) > 0


def test_synchronous_off_breaks_databases() -> None:
    assert -1 in [losses("off", "subset", "strict", at) for at in range(20, 300, 7)]


def test_a_full_disk_and_a_failed_sync_are_errors_that_sqlite_recovers_from() -> None:
    disk = SimDisk(Random(0), faults=DiskFaults(capacity_bytes=60_000))
    database = Database(disk, "full")
    database.open()
    rows = 0
    with suppress(apsw.FullError):
        while rows < 200:
            database.insert(rows + 1)
            rows += 1
    assert 0 < rows < 200
    disk.faults.capacity_bytes = None
    database.insert(1000)
    disk.faults.sync_error = 1.0
    with pytest.raises(apsw.IOError):
        database.insert(1001)
    disk.faults.sync_error = 0.0
    database.close()
    again = Database(disk.restart("all"), "full")
    assert again.open() >= rows + 1
    again.close()


def test_equal_seeds_write_equal_bytes() -> None:
    def digest() -> str:
        deterministic_sqlite(Random(1))
        disk = SimDisk(Random(0))
        database = Database(disk, "full")
        database.open()
        for number in range(1, 20):
            database.insert(number)
        database.close()
        return disk.digest()

    assert digest() == digest()


def test_temporary_files_leave_nothing_behind() -> None:
    disk = SimDisk(Random(0))
    vfs = SimVfs("temporary", disk, Random(0))
    connection = apsw.Connection("", vfs="temporary")
    connection.pragma("cache_size", 2)
    connection.execute("create table t(v)")
    connection.executemany("insert into t values(zeroblob(9000))", [()] * 50)
    assert disk.paths() != []
    connection.close()
    vfs.unregister()
    assert disk.paths() == []
