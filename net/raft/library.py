"""The only file that touches pysyncobj: the version, five substitutions, and the subclasses.

Rule of this file: the library sees time, chance, log and links through ours, and nothing else of
the world. It runs without threads, sockets, files and pickles: each entry's command is an object of
ours that it never looks into, so that what it would unpickle does not exist.

The library counts an entry's index from where this object's life began: `LogView.origin` turns its
numbers into the log's. It always believes that index 1, the last applied one, is committed.

    substituted in pysyncobj.syncobj      by
    createJournal                         what conf.journalFile holds, if it is a journal
    monotonicTime                         CLOCK, set by each step
    random                                no chance: elections are timed by `net.raft.elections`
    createPoller                          a poller of nothing
    PIPE_NOTIFIER_ENABLED                 False: no pipes
"""

import pickle
from collections.abc import Callable, Iterator
from typing import Any, overload

import pysyncobj.syncobj as library  # type: ignore[import-untyped]  # the library has no types
from pysyncobj.journal import Journal  # type: ignore[import-untyped]
from pysyncobj.node import Node  # type: ignore[import-untyped]
from pysyncobj.poller import Poller  # type: ignore[import-untyped]
from pysyncobj.version import VERSION  # type: ignore[import-untyped]

from net.raft.log import RaftLog
from net.replicator import Change, ChangeKind, Entry

Message = dict[str, Any]  # any: the library's messages are dictionaries of what it likes
Item = tuple["Command", int, int]
"""An entry as the library has it: command, its index, term."""

LIBRARY_VERSION = "0.3.17"
SUBSTITUTED = (
    "PIPE_NOTIFIER_ENABLED", "createJournal", "createPoller", "monotonicTime", "random"
)  # fmt: skip
USED = (
    "_applyCommand", "_checkCommandsToApply", "_getLeader", "_isLeader", "doTick",
    "raftCommitIndex",
)  # fmt: skip
"""What is called of its object; `tests/net/raft/test_library.py` holds it to be there."""

AGAIN_MS = 0.001
"""The library sends once so much time passed; each tick passes more."""
NEVER_MS = 1 << 60
_NOBODY = 0
_NO_OP = b"\x01"
_MEMBERSHIP = b"\x02"


class _Clock:
    """What time it is for whichever object of the library runs."""

    __slots__ = ("now_ms",)

    def __init__(self) -> None:
        self.now_ms = 0.0

    def __call__(self) -> float:
        return self.now_ms


CLOCK = _Clock()


class _NoChance:
    """Stands for the module `random`: the library's own timeouts are all the shortest."""

    @staticmethod
    def random() -> float:
        return 0.0


class _NullPoller(Poller):  # type: ignore[misc]  # the library has no types
    """Polls nothing."""

    def poll(self, timeout: float) -> None:
        """Return at once."""


def _null_poller(_kind: str) -> Poller:
    return _NullPoller()


_create_file_journal: Callable[[object], object] = library.createJournal  # pyright: ignore


def _create_journal(file: object) -> object:
    return file if isinstance(file, Journal) else _create_file_journal(file)


assert VERSION == LIBRARY_VERSION, f"pysyncobj {LIBRARY_VERSION} is wanted, not {VERSION}"
for _name in SUBSTITUTED:
    assert hasattr(library, _name), f"pysyncobj.syncobj.{_name} is gone"
library.createJournal = _create_journal
library.monotonicTime = CLOCK
library.random = _NoChance
library.createPoller = _null_poller
library.PIPE_NOTIFIER_ENABLED = False


class EngineNode(Node):  # type: ignore[misc]  # the library has no types
    """A member; one object for each, so that identity is equality, and sets order by number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)  # pyright: ignore  # the library has no types
        self.number = number

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class Command:
    """An entry's payload as the library sees it: a no-op, of a size."""

    __slots__ = ("payload",)
    size_max = (1 << 20) - 1
    """Seem no longer: the library would cut an entry that fills a message, by pickling it."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload

    def __len__(self) -> int:
        return min(len(self.payload), self.size_max)

    def __getitem__(self, part: slice) -> bytes:
        return _NO_OP


_NO_COMMAND = Command(b"")


class ChangeCommand(Command):
    """A change of voters at the moment when a leader appends it, and never after."""

    __slots__ = ("_request",)

    def __init__(self, payload: bytes, change: Change) -> None:
        super().__init__(payload)
        leaves = change.kind in (ChangeKind.REMOVE, ChangeKind.DEMOTE)
        self._request = ["rem" if leaves else "add", change.member]

    def __getitem__(self, part: slice) -> bytes:
        # Unpickled by the library in the very call that asks; it is in no log and no message.
        return pickle.dumps(self._request) if part.start else _MEMBERSHIP


class _Run:
    """Some entries of the log, made into the library's form as they are asked for."""

    __slots__ = ("_journal", "_start", "_stop")

    def __init__(self, journal: "LogView", start: int, stop: int) -> None:
        self._journal, self._start, self._stop = journal, start, max(start, stop)

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> "_Run": ...
    def __getitem__(self, at: int | slice) -> "Item | _Run":
        if isinstance(at, slice):
            start, stop, _ = at.indices(len(self))
            return _Run(self._journal, self._start + start, self._start + stop)
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return self._journal.item(self._start + at if at >= 0 else self._stop + at)

    def __iter__(self) -> Iterator[Item]:
        return map(self._journal.item, range(self._start, self._stop))


class LogView(Journal):  # type: ignore[misc]  # the library has no types
    """The library's view of the log: position 0 is the base, the others are entries.

    Its commit index is volatile, nothing is ever cleared, and the log is cut behind its back.
    """

    def __init__(
        self, log: RaftLog, origin: int, term: int, vote: int, on_turn: Callable[[int, int], None]
    ) -> None:
        self._log = log
        self._on_turn = on_turn
        self.origin = origin
        self.term = term
        self.vote = vote

    def item(self, position: int) -> Item:
        """Return an entry in the library's form."""
        if position == 0:
            return _NO_COMMAND, self._log.base_index - self.origin, self._log.base_term
        entry = self._log.nth(position - 1)
        return Command(entry.payload), entry.index - self.origin, entry.term

    def __len__(self) -> int:
        return len(self._log) + 1

    def __getitem__(self, at: int | slice) -> Item | _Run:
        if isinstance(at, slice):
            start, stop, _ = at.indices(len(self))
            return _Run(self, start, stop)
        if at == -1:
            # The library asks for the last index dozens of times a tick, never for its command.
            index, term = self._log.last
            return _NO_COMMAND, index - self.origin, term
        return self.item(at if at >= 0 else len(self) + at)

    def add(self, command: Command | bytes, idx: int, term: int) -> None:
        payload = command.payload if isinstance(command, Command) else b""
        self._log.append(Entry(idx + self.origin, term, payload))

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        index = self._log.base_index + entryFrom
        self._log.truncate_from(index)

    def deleteEntriesTo(self, entryTo: int) -> None:
        raise AssertionError("INV-LIBRARY-TAMED: it cuts the log")

    def clear(self) -> None:
        raise AssertionError("INV-LIBRARY-TAMED: it clears the log")

    def setCurrentTerm(self, term: int, votedForNodeId: int | None) -> None:
        self.term, self.vote = term, votedForNodeId or _NOBODY
        self._on_turn(self.term, self.vote)

    def getCurrentTerm(self) -> int:
        return self.term

    def getVotedForNodeId(self) -> int | None:
        return self.vote or None

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        pass

    def getRaftCommitIndex(self) -> int:
        return 1
