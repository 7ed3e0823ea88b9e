"""A member that answers before it writes: run as a module, with the arguments of `trine`.

The rule of this file: the bug is put in from outside, before the shipped command line begins. Each
batch is taken for durable at once and written some turns later; a kill in between loses it.
"""

from collections import deque
from collections.abc import Sequence

from net import replicator as raft
from net.driver import Driver, DriverInput, Io

LATE_MS = 30


def plant() -> None:
    """Let every driver of this process answer first."""
    turn, persist = Driver.turn, Driver._persist
    held: deque[tuple[int, raft.Persist]] = deque()
    now = [0]

    def hasty(self: Driver, given: raft.Persist, refused: bool) -> bool:
        held.append((now[0] + LATE_MS, given))
        if given.sequence:
            self._raft_inputs.append(raft.Persisted(given.sequence))
        return False

    def turn_and_write(self: Driver, now_ms: int, inputs: Sequence[DriverInput]) -> Io:
        now[0] = now_ms
        while held and held[0][0] <= now_ms:
            persist(self, held.popleft()[1], False)
        return turn(self, now_ms, inputs)

    Driver._persist = hasty  # type: ignore[method-assign]  # the bug
    Driver.turn = turn_and_write  # type: ignore[method-assign]  # the bug


if __name__ == "__main__":
    from server.main import main

    plant()
    main()
