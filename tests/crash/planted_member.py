"""A member with something wrong: run as a module, `hasty` or `failing`, then `trine`'s arguments.

The rule of this file: what is wrong is put in from outside, before the shipped command line begins.
`hasty` answers before it writes: each batch is taken for durable at once and written some turns
later; a kill in between loses it. `failing` has a disk that stops syncing after a while.
"""

import errno
import sys
from collections import deque
from collections.abc import Sequence

from net import replicator as raft
from net.disk import RealFile
from net.driver import Driver, DriverInput, Io

LATE_MS = 30
SYNCS = 200


def fail() -> None:
    """Let every sync of a file fail, once there were some."""
    datasync = RealFile.datasync
    left = [SYNCS]

    def failing(self: RealFile) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.EIO, "the disk is gone", self.path)
        datasync(self)

    RealFile.datasync = failing  # type: ignore[method-assign]  # what is wrong


def hasten() -> None:
    """Let every driver of this process answer first."""
    turn, write = Driver.turn, Driver._persist
    held: deque[tuple[int, raft.Persist]] = deque()
    now = [0]

    def hasty(self: Driver, persist: raft.Persist, refused: int) -> bool:
        held.append((now[0] + LATE_MS, persist))
        if persist.sequence:
            self._raft_inputs.append(raft.Persisted(persist.sequence))
        return True

    def turn_and_write(self: Driver, now_ms: int, inputs: Sequence[DriverInput]) -> Io:
        now[0] = now_ms
        while held and held[0][0] <= now_ms:
            write(self, held.popleft()[1], 0)
        return turn(self, now_ms, inputs)

    Driver._persist = hasty  # type: ignore[method-assign]  # the bug
    Driver.turn = turn_and_write  # type: ignore[method-assign]  # the bug


if __name__ == "__main__":
    from server.main import main

    {"hasty": hasten, "failing": fail}[sys.argv.pop(1)]()
    main()
