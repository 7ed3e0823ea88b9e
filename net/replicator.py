"""The replication port: what an engine is told, and what it asks for. Sans-IO.

An engine orders packs. It never writes, sends or applies: it says what must be persisted
before what may be sent, applied or answered, and the driver does so. The local engine
(`net.local`) is a quorum of one; a Raft engine stands behind the same port.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from attrs import field, frozen

from core.members import Change as Change
from core.members import ChangeKind as ChangeKind


@frozen
class Entry:
    """One pack of the log: position, term, opaque payload."""

    index: int
    term: int
    payload: bytes


class HardState(NamedTuple):
    """What an engine must remember: term, the member voted for (0: nobody), commit hint."""

    term: int
    vote: int
    commit: int


class Receive(NamedTuple):
    """Bytes from a peer."""

    peer: int
    data: bytes


class LinkUp(NamedTuple):
    """A connection to a peer stands."""

    peer: int


class LinkDown(NamedTuple):
    """A connection to a peer is gone."""

    peer: int


class Propose(NamedTuple):
    """Order this pack, if this member leads; `token` names it in `resolved`."""

    token: int
    payload: bytes


class ReadIndex(NamedTuple):
    """Confirm leadership with a quorum, then report the commit index under `token`."""

    token: int


class Persisted(NamedTuple):
    """Everything up to this `persist` request is durable."""

    sequence: int


class PersistRefused(NamedTuple):
    """The disk is full: nothing of this `persist` request was written.

    `durable` is not 0 where even the reserve is used up: the store holds everything up to there
    durably, and the log must be cut there, whoever lacks it. Nothing else can make room.
    """

    sequence: int
    durable: int = 0


@frozen
class SnapshotTaken:
    """The store holds everything up to `index` durably: the log may be cut there."""

    index: int
    term: int


class SnapshotSent(NamedTuple):
    """The sending of a snapshot to a peer ended; well, if the peer has it durably."""

    peer: int
    well: bool


@frozen
class SnapshotReceived:
    """A whole snapshot came from a peer: the state at (index, term) of its log, made durable."""

    peer: int
    index: int
    term: int


@frozen
class SnapshotInstalled:
    """The snapshot that `install` asked for is this member's state, durably."""

    index: int
    members: "Configuration | None" = None
    """Who the cluster is at that index; None leaves it as the engine knows it."""


class ChangeMember(NamedTuple):
    """Order this pack as a change of membership, if this member leads and none is under way.

    The pack (`net.changes` frames it with the change) holds the one command that tells the core.
    Refused at once where it cannot be: another change is open, this term has committed nothing.
    """

    token: int
    payload: bytes
    change: Change


class Transfer(NamedTuple):
    """Give leadership to a member."""

    token: int
    target: int


class Tick(NamedTuple):
    """Time passed."""


RaftInput = (
    Receive
    | LinkUp
    | LinkDown
    | Propose
    | ReadIndex
    | Persisted
    | PersistRefused
    | SnapshotTaken
    | SnapshotSent
    | SnapshotReceived
    | SnapshotInstalled
    | Transfer
    | ChangeMember
    | Tick
)


class Persist(NamedTuple):
    """Write these in this order as one durable batch, then report `sequence`.

    Sequences ascend. One that only drops has sequence 0 and is not reported.
    """

    sequence: int
    hard_state: HardState | None = None
    truncate_from: int | None = None
    append: Sequence[Entry] = ()
    drop_to: int | None = None


class Outcome(NamedTuple):
    """A proposal's fate where it is not simply applied.

    Refused: it never was, and never will be, in any log. Else nobody can tell.
    """

    token: int
    refused: bool


class Role(NamedTuple):
    """Who leads which term, as this member knows; 0 for nobody."""

    term: int
    leader: int
    is_leader: bool


class RaftOutput(NamedTuple):
    """What an engine asks for after one step."""

    persist: Sequence[Persist] = ()
    send: Sequence[tuple[int, bytes, int]] = ()
    """(peer, bytes, persist sequence that must be durable before they leave; 0 for none)."""
    apply: Sequence[Entry] = ()
    """Committed, durable on this member, in order, each once."""
    read_ready: Sequence[tuple[int, int]] = ()
    """(token, index)."""
    resolved: Sequence[Outcome] = ()
    role: Role | None = None
    """Given whenever it changed."""
    next_deadline_ms: int | None = None
    """When to step again if nothing happens; None for never."""
    read_lost: Sequence[int] = ()
    """Tokens of reads that nobody can confirm any more: the leader changed under them."""
    send_snapshot: Sequence[tuple[int, int]] = ()
    """(peer, index): its log is cut; send it a state at `index` or later, then `SnapshotSent`."""
    install: tuple[int, int] | None = None
    """(index, term) of a received snapshot to make this member's state; all it has goes."""

    transferred: Sequence[tuple[int, bool]] = ()
    """(token, whether the target leads): the end of a `Transfer`."""
    soon_ms: int | None = None
    """When to step again although that is but a moment; None if `next_deadline_ms` says all."""


NOTHING = RaftOutput()

Configuration = Mapping[int, bool]
"""Member id -> whether it votes; a learner only receives the log."""

NO_MEMBERS: Configuration = MappingProxyType({})


@frozen
class LogBounds:
    """What a restarted engine finds in the journal."""

    hard_state: HardState = field(default=HardState(0, 0, 0))
    last_index: int = 0
    last_term: int = 0
    applied_index: int = 0
    members: Configuration = NO_MEMBERS
    """Who the cluster is at the applied index; changes behind it are in the log."""


class Replicator(Protocol):
    """An engine, constructed from its configuration and the journal's bounds."""

    def step(self, now_ms: int, inputs: Sequence[RaftInput]) -> RaftOutput:
        """Take inputs in order; what it returns must be done before the next step."""
        ...

    @property
    def role(self) -> Role:
        """The role as of the last step."""
        ...

    @property
    def commit_index(self) -> int:
        """The highest index known to be committed."""
        ...

    @property
    def members(self) -> Configuration:
        """The newest configuration in the log, committed or not."""
        ...

    @property
    def refused_frames(self) -> int:
        """Messages that no member sends: garbage, or against what is known to be."""
        ...

    def match_of(self, member: int) -> int:
        """Where this member leads: up to which index another has the log durably; else 0."""
        ...
