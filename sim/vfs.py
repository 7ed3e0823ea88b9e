"""Real SQLite on the simulated disk.

Rule of this file: it behaves as SQLite's unix VFS does on a local file system (sector size, power
safe overwrite, when a directory is synced), as far as one connection can see, and draws neither
time nor chance from outside. There is no shared memory: `PRAGMA locking_mode=EXCLUSIVE` before
`journal_mode=WAL`, one connection a database.

When the power goes inside a call of SQLite, `PowerLost` comes out of apsw, or an error of apsw does
where SQLite swallowed it on the way: `SimDisk.is_dead` is what the world asks. NOTE: apsw also
raises what SQLite itself would pass over, as errors of an automatic checkpoint behind a commit; on
a real disk such a commit just succeeds.

SQLite's own generator is one per process and seeded by the *default* VFS, whatever VFS a database
uses: `deterministic_sqlite` takes care of that, once per run.
"""

import errno
from random import Random

import apsw

from net.disk import DiskFull
from sim.disk import SimDisk, SimFile

_SECTOR_BYTES = 4096
_UNIX_EPOCH_MS = 210_866_760_000_000
"""1970-01-01 as SQLite counts: milliseconds since noon, 24 November 4714 BC."""
_JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL


class SimVfs(apsw.VFS):
    """A VFS named `name` whose files are those of `disk`. Keep it while connections use it."""

    def __init__(self, name: str, disk: SimDisk, chance: Random) -> None:
        self.vfs_name = name
        self.now_ms = 0
        """Wall clock since 1970; the world moves it."""
        self._disk = disk
        self._chance = chance
        self._temporary = 0
        super().__init__(name, base="", maxpathname=512)

    def excepthook(self, etype: object, evalue: object, etraceback: object) -> bool:
        """Say that an exception met where SQLite cannot report it is dealt with: it is injected."""
        return True

    # apsw asks for the methods of a VFSFile, not for its class, whose constructor opens a real one.
    def xOpen(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> "SimVfsFile":
        if name is None:
            self._temporary += 1
            path = f"temporary-{self._temporary}"
        else:
            path = name.filename() if isinstance(name, apsw.URIFilename) else name
        wanted = flags[1] = flags[0]
        syncs_directory = False
        try:
            if self._disk.exists(path):
                file = self._disk.open(path)
            elif wanted & apsw.SQLITE_OPEN_CREATE:
                file = self._disk.create(path)
                syncs_directory = bool(wanted & _JOURNALS)
            else:
                raise apsw.CantOpenError(f"no file {path}")
        except OSError as error:
            raise translated(error, apsw.SQLITE_IOERR) from error
        deletes = bool(wanted & apsw.SQLITE_OPEN_DELETEONCLOSE)
        return SimVfsFile(
            self._disk,
            file,
            syncs_directory=syncs_directory,
            deletes_on_close=deletes,
            has_checksums=bool(wanted & apsw.SQLITE_OPEN_MAIN_DB),
        )

    def xDelete(self, filename: str, syncdir: bool) -> None:
        try:
            self._disk.unlink(filename)
            if syncdir:
                self._disk.sync_directory(directory_of(filename))
        except FileNotFoundError as error:
            raise translated(error, apsw.SQLITE_IOERR_DELETE_NOENT) from error
        except OSError as error:
            raise translated(error, apsw.SQLITE_IOERR_DELETE) from error

    def xAccess(self, pathname: str, flags: int) -> bool:
        return self._disk.exists(pathname)

    def xFullPathname(self, name: str) -> str:
        return name

    def xRandomness(self, numbytes: int) -> bytes:
        return self._chance.randbytes(numbytes)

    def xSleep(self, microseconds: int) -> int:
        return microseconds

    def xCurrentTime(self) -> float:
        return self.xCurrentTimeInt64() / 86_400_000

    def xCurrentTimeInt64(self) -> int:
        return _UNIX_EPOCH_MS + self.now_ms

    def xGetLastError(self) -> tuple[int, str | None]:
        return 0, None


class SimVfsFile:
    """The methods that SQLite calls on an open file."""

    def __init__(
        self,
        disk: SimDisk,
        file: SimFile,
        *,
        syncs_directory: bool,
        deletes_on_close: bool,
        has_checksums: bool,
    ) -> None:
        self._disk = disk
        self._file = file
        self._syncs_directory = syncs_directory
        self._deletes_on_close = deletes_on_close
        self._has_checksums = has_checksums
        self._lock_level = 0

    def excepthook(self, etype: object, evalue: object, etraceback: object) -> bool:
        return True

    def xRead(self, amount: int, offset: int) -> bytes:
        try:
            data = self._file.read(offset, amount)
        except OSError as error:
            raise translated(error, apsw.SQLITE_IOERR_READ) from error
        if self._has_checksums and self._file.is_rotten(offset, amount):
            # What SQLite's checksum VFS says in production; it needs real files.
            rot = OSError(errno.EIO, "a page fails its checksum", self._file.path)
            raise translated(rot, apsw.SQLITE_IOERR_DATA)
        return data

    def xWrite(self, data: bytes, offset: int) -> None:
        try:
            self._file.write(offset, data)
        except OSError as error:
            raise translated(error, apsw.SQLITE_IOERR_WRITE) from error

    def xTruncate(self, newsize: int) -> None:
        try:
            self._file.truncate(newsize)
        except OSError as error:
            raise translated(error, apsw.SQLITE_IOERR_TRUNCATE) from error

    def xSync(self, flags: int) -> None:
        try:
            self._file.datasync()
            if self._syncs_directory:
                self._disk.sync_directory(directory_of(self._file.path))
                self._syncs_directory = False
        except OSError as error:
            raise translated(error, apsw.SQLITE_IOERR_FSYNC) from error

    def xFileSize(self) -> int:
        return self._file.size_bytes()

    def xLock(self, level: int) -> None:
        self._lock_level = max(level, self._lock_level)

    def xUnlock(self, level: int) -> None:
        self._lock_level = level

    def xCheckReservedLock(self) -> bool:
        return self._lock_level >= apsw.SQLITE_LOCK_RESERVED

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return _SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xClose(self) -> None:
        self._file.close()
        if self._deletes_on_close and not self._disk.is_dead:
            self._disk.unlink(self._file.path)


class _SeededVfs(apsw.VFS):
    """The default VFS with another source of chance."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        super().__init__("trine-seeded", base="", makedefault=True)

    def xRandomness(self, numbytes: int) -> bytes:
        return self._chance.randbytes(numbytes)


_seeded: list[_SeededVfs] = []


def deterministic_sqlite(chance: Random) -> None:
    """Let every random byte that SQLite draws in this process come from `chance`, from here on."""
    for old in _seeded:
        old.unregister()
    _seeded[:] = [_SeededVfs(chance)]
    apsw.randomness(0)


def directory_of(path: str) -> str:
    return path.rpartition("/")[0]


def translated(error: OSError, extended_result: int) -> apsw.Error:
    """Return the error that SQLite's own VFS would report."""
    if isinstance(error, DiskFull):
        return apsw.FullError(str(error))
    failure = apsw.IOError(str(error))
    # The stubs leave this attribute out; apsw documents it and reads it.
    failure.extendedresult = extended_result  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return failure
