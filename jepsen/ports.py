"""Ports of loopback for those who are started by a test or a run, and started again.

The rule of this file: a port lies outside of the range that the kernel gives to connections that
go out. A member that is down would else find its port taken by whoever dialled meanwhile: even by
a dial to that very port, which the kernel may connect to itself.
"""

import errno
import random
import socket
from itertools import cycle, islice
from pathlib import Path
from typing import Final

_OUTGOING: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST: Final = 10_000
_FEW: Final = 1_000


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody listens on now; a later call returns others.

    Raises OSError if there are not so many.
    """
    found: list[socket.socket] = []
    try:
        for port in islice(_ROUND, len(_CANDIDATES)):
            if len(found) == count:
                break
            found.append(socket.socket())
            try:
                found[-1].bind(("127.0.0.1", port))
            except OSError:
                found.pop().close()
        if len(found) < count:
            raise OSError(errno.EADDRNOTAVAIL, f"there are no {count} free ports")
        return [int(each.getsockname()[1]) for each in found]
    finally:
        for each in found:
            each.close()


def candidates(outgoing: str) -> range:
    """Return the ports below a range such as "32768 60999"; all, if those are too few."""
    first = int(outgoing.split()[0])
    return range(_FIRST, first if first >= _FIRST + _FEW else 1 << 16)


_CANDIDATES: Final = candidates(_OUTGOING.read_text() if _OUTGOING.exists() else "32768 60999")
# Every process goes through them in an order of its own, so that two seldom find the same.
_ROUND: Final = cycle(random.SystemRandom().sample(_CANDIDATES, len(_CANDIDATES)))
