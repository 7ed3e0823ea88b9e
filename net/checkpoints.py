"""When what the store's WAL gathered is moved into its database file.

Rule of this file: one checkpoint at a time, in the thread; nothing is written to the store beside
one that is to empty the WAL.
"""

from net.flush import Pace
from net.store.store import Store
from net.turns import Job


class Checkpoints:
    """Whether one is under way, and of which kind. One owner: the driver."""

    __slots__ = ("_is_under_way", "_pace", "is_emptying")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._is_under_way = False
        self.is_emptying = False
        """Whether the store keeps still until it is over."""

    def begin(self, store: Store) -> Job | None:
        """Return the job of moving what is in the WAL, if it is time for that.

        All moved with nothing written beside it, SQLite begins the WAL anew at the next write.
        Emptying it here instead held a turn for 30 ms of CPU and 130 ms of waiting.
        """
        if self._is_under_way or store.unmoved_bytes() <= self._pace.checkpoint_bytes:
            return None
        self._is_under_way = True
        self.is_emptying = store.wal_used_bytes() > self._pace.truncate_bytes
        return Job("checkpoint", store.checkpoint)

    def end(self) -> None:
        """It is over, well or not."""
        self._is_under_way = self.is_emptying = False
