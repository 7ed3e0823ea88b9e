"""What all parts of one engine share: log, library object, membership, and what a step asks for.

Rule of this file: state and its few verbs; who is told what is decided elsewhere. Sequences: a
message leaves once the term is durable in which it speaks, and the entry that it vouches for.
"""

from collections.abc import Callable

from attrs import define, field, frozen

from net.raft.elections import Chance
from net.raft.inner import Inner, Timing
from net.raft.library import CLOCK, LogView
from net.raft.log import RaftLog
from net.raft.membership import Membership
from net.raft.wire import Message, encode
from net.replicator import Entry, HardState, Outcome, Persist, Role


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
    """One member's replica of the log, and the library's object on it."""

    config: RaftConfig
    chance: Chance
    log: RaftLog
    membership: Membership
    hard_state: HardState
    applied: int
    commit: int
    """What is known to be committed, and durable here."""
    on_send: Callable[[int, dict[str, object]], None]
    on_leading: Callable[[], None]
    leader: int = 0
    now_ms: int = 0
    installing: int = 0
    """The index of the snapshot that is being installed; 0 for none."""
    out: Gathered = field(factory=Gathered)
    inner: Inner = field(init=False)
    _sequence: int = 0
    _term_sequence: int = 0
    """The persist that makes the term durable; all before it is."""
    _persisted: int = 0
    _library_ms: float = 0.0
    must_rebuild: bool = False
    """The library's object believes in a configuration that is none."""
    has_voted: bool = False
    """Term or vote changed, and no persist has said so."""
    _is_built: bool = False
    owes_term: bool = False
    """The disk was too full for the term."""

    @property
    def me(self) -> int:
        """This member."""
        return self.config.member_id

    @property
    def term(self) -> int:
        """The current term."""
        return self.inner.term

    def enter(self, now_ms: int) -> None:
        """Begin a step: the library's clock is this member's from here on."""
        self.now_ms = now_ms
        self.out = Gathered()
        CLOCK.now_ms = max(float(now_ms), self._library_ms)

    def leave(self) -> None:
        """End a step: what its ticks added to the library's clock stays added."""
        self._library_ms = CLOCK.now_ms

    def rebuild(self) -> None:
        """Begin a new life of the library's object on log, term and vote: as a follower."""
        if self._is_built:
            self.note_vote()
            self.inner.retire()
        self._is_built = True
        self.must_rebuild = False
        if self.log.last_term > self.hard_state.term:
            # A snapshot is of a later term, in which this member has not voted.
            self.hard_state = HardState(self.log.last_term, 0, self.commit)
            self.has_voted = True
            self.leader = 0
        term, vote, _ = self.hard_state
        view = LogView(self.log, self.applied - 1, term, vote)
        self.inner = Inner(
            self.me,
            self.membership.voters,
            view,
            self.config.timing,
            self.on_send,
            self.on_leading,
        )

    # Outgoing.

    def send(self, peer: int, message: Message, vouches_for: int = 0) -> None:
        """Send a message, once what it promises is durable."""
        self.out.messages.append((peer, encode(message), vouches_for))

    def gated(self) -> list[tuple[int, bytes, int]]:
        """Return the step's messages with the sequences that they wait for."""
        term = self._term_sequence if self._term_sequence > self._persisted else 0
        gate_of = self.log.gate_of
        return [
            (peer, data, max(term, gate_of(index)) if index else term)
            for peer, data, index in self.out.messages
        ]

    # The disk.

    def note_vote(self) -> None:
        """Learn term and vote from the library's object."""
        view = self.inner.view
        if view.has_voted:
            view.has_voted = False
            self.has_voted = True
            self.hard_state = HardState(view.term, view.vote, self.commit)

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

    def note_change(self) -> None:
        """The configuration is another: the library's object must begin anew with it."""
        self.must_rebuild = True

    @property
    def term_is_durable(self) -> bool:
        """Whether the disk has the term for good."""
        return self._term_sequence <= self._persisted and not self.owes_term
