"""A small file system of its own for a member: an ext4 image, mounted by a loop device.

The rule of this file: what is made is unmade by who made it, at latest by `unmount`; a loop device
goes with its mount. Only a file system that the kernel can be told to lose shows three faults for
real: no space, I/O errors on everything, and the loss of what was never synced. The latter two
are ext4's own shutdown (ioctl FS_IOC_SHUTDOWN without flushing its log): from then on every call
answers EIO, and after the next mount only what fsync promised is there.
"""

import contextlib
import errno
import fcntl
import os
import struct
import subprocess
from pathlib import Path

from jepsen.cluster import ClusterError

MEBIBYTE = 1 << 20
BALLAST, PROBE = "ballast", "probe"
_SHUTDOWN = 0x8004587D
"""FS_IOC_SHUTDOWN, _IOR('X', 125, __u32)."""
_NO_LOG_FLUSH = 2


def make(image: Path, mount: Path, size_mib: int) -> None:
    """Make an image and mount it, empty: without `lost+found`, which a server would wonder at."""
    with image.open("wb") as file:
        file.truncate(size_mib * MEBIBYTE)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0", str(image))
    mount.mkdir(parents=True, exist_ok=True)
    attach(image, mount)
    with contextlib.suppress(FileNotFoundError):
        (mount / "lost+found").rmdir()


def attach(image: Path, mount: Path) -> None:
    """Mount an image that was made before: its log is replayed, as after a loss of power."""
    _run("mount", "-o", "loop,errors=continue", str(image), str(mount))


def unmount(mount: Path) -> None:
    """Unmount it, if it is mounted. Raises ClusterError while somebody has files open there."""
    if os.path.ismount(mount):
        _run("umount", str(mount))


def lose(mount: Path) -> None:
    """From now on every call on it answers EIO, and what was never synced is gone for good."""
    handle = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(handle, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    except OSError as error:
        raise ClusterError(f"{mount} cannot be shut down: {error}") from error
    finally:
        os.close(handle)


def is_lost(mount: Path) -> bool:
    """Whether it answers EIO, as after `lose`."""
    try:
        (mount / PROBE).touch()
        (mount / PROBE).unlink()
    except OSError as error:
        return error.errno == errno.EIO
    return False


def fill(mount: Path, left_bytes: int) -> None:
    """Take all its space but so much, by one file."""
    ballast = mount / BALLAST
    has = ballast.stat().st_size if ballast.exists() else 0
    space = os.statvfs(mount)
    size_bytes = has + space.f_bavail * space.f_frsize - left_bytes
    if size_bytes <= has:
        return
    handle = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        # The file's own map of blocks takes some of the space as well: fill what is left by hand.
        with contextlib.suppress(OSError):
            os.posix_fallocate(handle, 0, size_bytes)
    finally:
        os.close(handle)


def relieve(mount: Path) -> None:
    """Give the space back."""
    (mount / BALLAST).unlink(missing_ok=True)


def is_possible() -> str:
    """Why it is not possible here, in a sentence; "" if it is. Tries nothing on a disk."""
    if os.geteuid() != 0:
        return "a file system can be mounted by root alone"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    missing = [name for name in ("mkfs.ext4", "mount", "umount") if not _found(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def _found(name: str) -> bool:
    folders = [*os.get_exec_path(), "/usr/sbin", "/sbin"]
    return any(os.access(Path(folder) / name, os.X_OK) for folder in folders)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (subprocess.CalledProcessError, OSError) as error:
        words = error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else error
        raise ClusterError(f"{' '.join(command)}: {words}") from error
