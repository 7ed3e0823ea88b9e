"""All that `Node` is told. Time, chance and ids arrive inside these and nowhere else."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from core.answers import Answer
from core.codec import Proposed
from core.operations import Command, MembersChange, Query
from core.state import State
from core.watching import WatchCreate, WatchStream


class Asked(NamedTuple):
    """A client's query; `token` is the shell's name for who waits."""

    token: object
    query: Query


class Offered(NamedTuple):
    """A client's command and its size on the wire."""

    token: object
    command: Command
    size_bytes: int


class Abandoned(NamedTuple):
    """The client of this token is gone: its answer is not wanted any more."""

    token: object


class Committed(NamedTuple):
    """The next pack of the log, decoded; indexes ascend."""

    log_index: int
    term: int
    commands: Sequence[Proposed]


class ReadReady(NamedTuple):
    """The round's reads may be answered once `log_index` is applied."""

    round: int
    log_index: int


class Refused(NamedTuple):
    """These proposals never entered the log: the disk is full, or nobody leads.

    None of them and a full disk: the log still had room, but what it holds cannot be stored.
    """

    sequences: Sequence[int]
    disk_full: bool


class Lost(NamedTuple):
    """Nobody knows whether these proposals were, or will be, committed: never try again."""

    sequences: Sequence[int]


class ReadLost(NamedTuple):
    """The round's reads cannot be confirmed: the leader changed under them."""

    round: int


class Elected(NamedTuple):
    """This member leads `term`."""

    term: int


class Deposed(NamedTuple):
    """This member does not lead `term`; `leader` does, or (0) nobody that it knows of."""

    term: int
    leader: int = 0


class PeerAsked(NamedTuple):
    """Another member passes on a question that only the leader can answer."""

    token: object
    query: Query | MembersChange


class LeaderTold(NamedTuple):
    """The leader's answer to the question of this number."""

    number: int
    answer: Answer


class Installed(NamedTuple):
    """Another state, further on in the same log, stands in for this member's own."""

    state: State


class ChangeOffered(NamedTuple):
    """A client, or this member itself, asks for a change of members."""

    token: object
    command: MembersChange


class Linked(NamedTuple):
    """A connection to another member stands, or is gone."""

    peer: int
    up: bool


class Progressed(NamedTuple):
    """How far the logs of the others are, as this leader knows, and its own: durable indexes."""

    matches: Mapping[int, int]
    last_index: int


class Ticked(NamedTuple):
    """Time on this member's monotonic clock, in milliseconds."""

    now_ms: int


class WatchOpened(NamedTuple):
    """A Watch RPC began. One that wants a leader ends where nobody leads."""

    stream: WatchStream
    jitter_ms: int
    wants_leader: bool = False


class WatchAsked(NamedTuple):
    """A client asked a watch stream for a new watcher."""

    stream: WatchStream
    want: WatchCreate


class WatchCanceled(NamedTuple):
    """A client ended a watcher."""

    stream: WatchStream
    watch_id: int


class WatchProgressAsked(NamedTuple):
    """A client asked how far its stream is."""

    stream: WatchStream


class WatchClosed(NamedTuple):
    """A Watch RPC ended."""

    stream: WatchStream


class RoomChanged(NamedTuple):
    """The connection of a stream has room for more, or has no more."""

    stream: object
    blocked: bool


Input = (
    Asked
    | Offered
    | Abandoned
    | Committed
    | ReadReady
    | Refused
    | Lost
    | ReadLost
    | PeerAsked
    | LeaderTold
    | Installed
    | Elected
    | Deposed
    | ChangeOffered
    | Linked
    | Progressed
    | Ticked
    | WatchOpened
    | WatchAsked
    | WatchCanceled
    | WatchProgressAsked
    | WatchClosed
    | RoomChanged
)
