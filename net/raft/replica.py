"""What all parts of one engine share: log, term, vote, membership, and what a step asks for.

Rule of this file: state and its few verbs; who is told what is decided elsewhere. Sequences: a
message leaves once the term is durable in which it speaks, and the entry that it vouches for.
"""

from collections.abc import Callable

from attrs import define, field, frozen

from net.raft.inner import Inner
from net.raft.log import RaftLog
from net.raft.membership import Membership
from net.raft.wire import Message, encode
from net.replicator import Entry, HardState, Outcome, Persist, Role


@frozen
class Timing:
    """How long what takes, in ms; as etcd's flags of these names."""

    heartbeat_ms: int = 100
    election_ms: int = 1000


def _accept_any(_payload: bytes) -> bool:
    return True


@frozen
class RaftConfig:
    """How an engine is run."""

    member_id: int
    timing: Timing = field(factory=Timing)
    kept_entries: int = 5_000
    """So many entries stay behind a cut, for members a little behind,"""
    kept_bytes: int = 64 << 20
    """as long as they are no more than this."""
    message_bytes: int = 1 << 20
    """One message of the own engine holds so much of the log, or one entry that is longer."""
    hurries: bool = True
    """Canvass soon after the leader's link breaks, not after a whole election timeout."""
    is_pack: Callable[[bytes], bool] = _accept_any
    """Whether a payload that another member offers may be ordered."""


class Gathered:
    """What one step asks for, as it gathers."""

    __slots__ = (
        "apply", "install", "messages", "persist", "read_lost", "read_ready", "resolved", "role",
        "send_snapshot", "transferred",
    )  # fmt: skip

    def __init__(self) -> None:
        self.persist: list[Persist] = []
        self.messages: list[tuple[int, bytes, int]] = []
        """(peer, bytes, the index that it vouches for; 0 for none)."""
        self.apply: list[Entry] = []
        self.read_ready: list[tuple[int, int]] = []
        self.read_lost: list[int] = []
        self.resolved: list[Outcome] = []
        self.send_snapshot: list[tuple[int, int]] = []
        self.install: tuple[int, int] | None = None
        self.transferred: list[tuple[int, bool]] = []
        self.role: Role | None = None


@define
class Replica:
    """One member's replica of the log, with its term and vote."""

    config: RaftConfig
    log: RaftLog
    membership: Membership
    hard_state: HardState
    applied: int
    commit: int
    """What is known to be committed, and durable here."""
    leader: int = 0
    now_ms: int = 0
    installing: int = 0
    """The index of the snapshot that is being installed; 0 for none."""
    out: Gathered = field(factory=Gathered)
    me: int = field(init=False)
    """This member."""
    inner: Inner = field(init=False)
    """What decides; given once both are made."""
    _sequence: int = 0
    _term_sequence: int = 0
    """The persist that makes the term durable; all before it is."""
    _persisted: int = 0
    has_voted: bool = False
    """Term or vote changed, and no persist has said so."""
    owes_term: bool = False
    """The disk was too full for the term."""

    def __attrs_post_init__(self) -> None:
        self.me = self.config.member_id

    @property
    def term(self) -> int:
        """The current term."""
        return self.hard_state.term

    @property
    def vote(self) -> int:
        """For whom this member voted in it; 0 for nobody."""
        return self.hard_state.vote

    def enter(self, now_ms: int) -> None:
        """Begin a step."""
        self.now_ms = now_ms
        self.out = Gathered()

    def turn(self, term: int, *, vote: int) -> None:
        """Be in a term, or vote in it: the step's persist says so, its messages wait for that."""
        self.hard_state = HardState(term, vote, self.commit)
        self.has_voted = True

    def heed_log(self) -> None:
        """A snapshot may be of a later term, in which this member has not voted."""
        if self.log.last_term > self.term:
            self.turn(self.log.last_term, vote=0)
            self.leader = 0

    # Outgoing.

    def send(self, peer: int, message: Message, vouches_for: int = 0) -> None:
        """Send a message, once what it promises is durable."""
        self.out.messages.append((peer, encode(message), vouches_for))

    def gated(self) -> list[tuple[int, bytes, int]]:
        """Return the step's messages with the sequences that they wait for."""
        if not self.out.messages:
            return []
        term = self._term_sequence if self._term_sequence > self._persisted else 0
        gate_of = self.log.gate_of
        return [
            (peer, data, max(term, gate_of(index)) if index else term)
            for peer, data, index in self.out.messages
        ]

    # The disk.

    def persist(self) -> None:
        """Ask for one batch of all that changed, if anything did."""
        if not (self.has_voted or self.log.has_changed):
            return
        self._sequence += 1
        state = None
        if self.has_voted:
            self._term_sequence = self._sequence
            state = self.hard_state
            self.has_voted = self.owes_term = False
        truncate_from, entries = self.log.take(self._sequence)
        self.out.persist.append(Persist(self._sequence, state, truncate_from, entries))

    def persisted(self, sequence: int) -> None:
        """Everything up to this sequence is durable."""
        self._persisted = sequence
        self.log.persisted(sequence)

    def withdraw(self, sequence: int) -> int:
        """Nothing from this sequence on was written; return the last index kept."""
        if sequence <= self._term_sequence:
            self.owes_term = True
        return self.log.withdraw(sequence)

    @property
    def term_is_durable(self) -> bool:
        """Whether the disk has the term for good."""
        return self._term_sequence <= self._persisted and not self.owes_term
