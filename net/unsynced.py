"""What the journal was given and the disk does not have for good: in order, one sync at a time.

Rule of this file: numbers of batches; who syncs, and where, is the shell's affair.
"""

from collections import deque
from collections.abc import Callable

from net.turns import Io

LONE_BYTES_MAX = 4_096
"""A batch up to here may be a lone client's: what comes while it is synced is little."""


class Unsynced:
    """Batches on their way to the disk. One owner: the driver."""

    __slots__ = ("_size_bytes", "appended", "is_syncing", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, int, Callable[[], None] | None]] = deque()
        """(batch, the engine's sequence or 0, what waits for it)."""
        self._size_bytes = 0
        """Of the batches that no sync was asked for."""
        self.appended = 0
        """The newest batch's number."""
        self.is_syncing = False

    def add(
        self, sequence: int, then: Callable[[], None] | None = None, *, size_bytes: int = 0
    ) -> None:
        """The newest batch is the engine's of a sequence, or something else waits for it."""
        self.waiting.append((self.appended, sequence, then))
        self._size_bytes += size_bytes

    def ask(self, io: Io, *, is_awaited: bool) -> None:
        """Ask for a sync of what there is; `is_awaited` if something follows from it here."""
        self.is_syncing = True
        io.sync = self.appended
        io.is_lone = len(self.waiting) == 1 and self._size_bytes <= LONE_BYTES_MAX
        io.is_awaited = is_awaited
        self._size_bytes = 0

    def sequence_of(self, batch: int) -> int:
        """Return the engine's newest sequence up to a batch; 0 for none."""
        return max((waiting[1] for waiting in self.waiting if waiting[0] <= batch), default=0)

    def done(self, batch: int) -> list[tuple[int, Callable[[], None] | None]]:
        """Everything up to a batch is durable: return the (sequence, what waits) of each."""
        self.is_syncing = False
        done: list[tuple[int, Callable[[], None] | None]] = []
        while self.waiting and self.waiting[0][0] <= batch:
            done.append(self.waiting.popleft()[1:])
        return done
