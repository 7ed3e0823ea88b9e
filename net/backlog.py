"""What is committed and not applied yet: the core takes it in slices, one a turn.

A member that was away learns in one message that everything it missed is committed. All of it in
one turn would be half a second in which it hears nobody, the heartbeats of its leader among them.

Rule of this file: how much of the log fits in one turn, by what is counted alone: the same log is
the same turns wherever it is applied. In order, each once.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from core.codec import Proposed
from net.flush import Pace
from net.packs import Packs
from net.replicator import Entry


class Backlog:
    """Entries that an engine handed out, until the core has them. One owner: the driver."""

    __slots__ = ("_bytes_max", "_bytes_room", "_commands_max", "_commands_room", "waiting")

    def __init__(self, pace: Pace) -> None:
        self._commands_max = pace.apply_commands
        self._bytes_max = pace.apply_bytes
        self._commands_room = self._bytes_room = 0
        self.waiting: deque[Entry] = deque()
        """What the core does not have yet, in order."""

    def begin_turn(self) -> bool:
        """There is room for one slice again; whether anything waits for it."""
        self._commands_room = self._commands_max
        self._bytes_room = self._bytes_max
        return bool(self.waiting)

    def add(self, entries: Sequence[Entry]) -> None:
        """These are committed as well."""
        self.waiting += entries

    def slice(self, packs: Packs) -> Iterator[tuple[Entry, Sequence[Proposed]]]:
        """Yield what the turn still has room for, with its commands: whole packs, at least one."""
        waiting = self.waiting
        while waiting and self._commands_room > 0 and self._bytes_room > 0:
            entry = waiting.popleft()
            commands = packs.commands(entry)
            self._commands_room -= len(commands) or 1
            self._bytes_room -= len(entry.payload)
            yield entry, commands
