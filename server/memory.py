"""How much memory this process may use, and how much of it a quota needs.

Rule: all uncompacted state lives in memory, so the quota is a promise about memory. This file reads
what the machine and the control groups allow, and does the sum; `server/preflight.py` decides. A
quota needs the account itself (which counts keys, values, versions and leases with their measured
overhead), a fifth more for the allocator's gaps and for answers on their way, and what a member
takes with nothing in it.
"""

from __future__ import annotations

import os
from typing import Final

import attrs

IDLE_BYTES: Final = 96 << 20  # the interpreter, the libraries, buffers of the journal and the store
SLACK_DIVISOR: Final = 5
_UNLIMITED_BYTES: Final = 1 << 60  # control groups write "no limit" as a number near 2^63 too
_CGROUP_ROOT: Final = "/sys/fs/cgroup"


@attrs.frozen
class MemoryLimit:
    """The smallest limit that holds for this process, and what imposes it."""

    bytes: int
    source: str


def needed_bytes(quota_bytes: int) -> int:
    """Return the memory that a member needs to fill this quota."""
    return quota_bytes + quota_bytes // SLACK_DIVISOR + IDLE_BYTES


def quota_most_bytes(limit_bytes: int) -> int:
    """Return the largest quota that fits into this much memory; 0 if not even an idle member does.

    `needed_bytes(quota_most_bytes(n)) <= n` for every n of at least IDLE_BYTES.
    """
    return max(0, limit_bytes - IDLE_BYTES) * SLACK_DIVISOR // (SLACK_DIVISOR + 1)


def memory_limit(proc: str = "/proc", cgroup: str = _CGROUP_ROOT) -> MemoryLimit | None:
    """Return what this process may use, or None where the system does not tell."""
    limits = [*_machine(proc), *_groups(proc, cgroup)]
    return min(limits, key=lambda limit: limit.bytes) if limits else None


def size_text(size_bytes: int) -> str:
    """Return a size as people read it: `8.0 GiB`, `512 MiB`."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} B"


def _machine(proc: str) -> list[MemoryLimit]:
    for line in _lines(os.path.join(proc, "meminfo")):
        if line.startswith("MemTotal:"):
            return [MemoryLimit(int(line.split()[1]) * 1024, "this machine")]
    return []


def _groups(proc: str, root: str) -> list[MemoryLimit]:
    """Read the limits of the control groups this process is in, and of those around them."""
    limits: list[MemoryLimit] = []
    for line in _lines(os.path.join(proc, "self", "cgroup")):
        number, controllers, path = line.rstrip("\n").split(":", 2)
        if number == "0" and not controllers:
            limits += _walk(root, path, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _walk(os.path.join(root, "memory"), path, "memory.limit_in_bytes")
    return limits


def _walk(root: str, path: str, file: str) -> list[MemoryLimit]:
    limits: list[MemoryLimit] = []
    directory = os.path.normpath(os.path.join(root, path.lstrip("/")))
    while directory == root or directory.startswith(root + os.sep):
        name = os.path.join(directory, file)
        for line in _lines(name)[:1]:
            text = line.strip()
            if text.isdecimal() and int(text) < _UNLIMITED_BYTES:
                limits.append(MemoryLimit(int(text), f"the control group ({name})"))
        if directory == root:
            break
        directory = os.path.dirname(directory)
    return limits


def _lines(path: str) -> list[str]:
    """Return a file's lines; a file that is not there has none (not every system has them)."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readlines()
    except OSError:
        return []
