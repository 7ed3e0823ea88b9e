"""What a turn of the driver is told, and what it wants done outside: values, no order.

Rule of this file: shapes shared by the driver and its callers, the reactor's port and the
simulator. Messages between members go in channels: the engine's, questions for the leader and its
answers; a transport carries the channel's number and the bytes, in order, and looks into neither.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from attrs import frozen

from core.effects import Notify, Reply
from core.errors import Failure
from core.inputs import Input
from core.state import State
from core.watching import WatchStream
from net.store.store import Store

RAFT, ASK, TELL = 0, 1, 2
"""Channels: the engine's own, a question for the leader, and its answer."""


@frozen
class Synced:
    """The journal is durable up to the batch of this number."""

    batch: int


@frozen
class JobDone:
    """A job ended; its result, which is the error where the disk was full."""

    kind: str
    result: object


class PeerMessage(NamedTuple):
    """Bytes from or to another member."""

    peer: int
    channel: int
    data: bytes


class PeerUp(NamedTuple):
    """A connection to another member stands."""

    peer: int


class PeerDown(NamedTuple):
    """The connection to another member is gone."""

    peer: int


class Staged(Protocol):
    """A received snapshot, whole and durable, in a generation that nothing refers to yet."""

    @property
    def generation(self) -> int:
        """The generation that its store has."""
        ...

    @property
    def index(self) -> int:
        """The state is that at this index."""
        ...

    @property
    def term(self) -> int:
        """The term of the pack at that index."""
        ...

    def discard(self) -> None:
        """Nobody wants it: forget it."""
        ...

    def take_over(self, old: Store) -> tuple[Store, State, list[int]]:
        """Close the old store for good; return the new one, its state, and its dead rows."""
        ...


class SnapshotArrived(NamedTuple):
    """A peer's snapshot is here."""

    peer: int
    staged: Staged


class SnapshotGone(NamedTuple):
    """The sending of a snapshot to a peer ended; well, if the peer has it durably."""

    peer: int
    well: bool


class LeadershipTo(NamedTuple):
    """Give leadership to another member; `Io.transferred` tells under the token how that ended."""

    token: int
    target: int


DriverInput = (
    Input
    | Synced
    | JobDone
    | PeerMessage
    | PeerUp
    | PeerDown
    | SnapshotArrived
    | SnapshotGone
    | LeadershipTo
)


@frozen
class Job:
    """Blocking work for a helper thread, one of each kind at a time."""

    kind: str
    run: Callable[[], object]


class Io:
    """What one turn wants done outside. One is made a turn: plain lists, made by hand."""

    __slots__ = (
        "busy",
        "ended",
        "is_lone",
        "jobs",
        "next_deadline_ms",
        "notices",
        "replies",
        "sends",
        "snapshots",
        "sync",
        "transferred",
    )  # fmt: skip

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.notices: list[Notify] = []
        self.ended: list[tuple[WatchStream, Failure]] = []
        """Watch RPCs to end with a status."""
        self.jobs: list[Job] = []
        self.sends: list[PeerMessage] = []
        self.snapshots: list[tuple[int, int]] = []
        """(peer, index): send it the store, at that index or later; then `SnapshotGone`."""
        self.transferred: list[tuple[int, bool]] = []
        """(token, whether the target leads) of what `LeadershipTo` began."""
        self.sync = 0
        """If not 0: call `journal.sync` in the sync thread, then give `Synced` of this number."""
        self.is_lone = False
        """What is to be synced is one small batch, and little else can be done before it is."""
        self.busy = False
        """More bounded work waits: take another turn soon."""
        self.next_deadline_ms = 0
