"""The local engine: a quorum of one. An entry is committed when this member has it durably.

It writes exactly what the Raft engine reads: a new term and a vote for itself at each start,
an empty pack as the first of the term, then packs with ascending indexes.
"""

from collections import deque
from collections.abc import Sequence

from net.replicator import (
    ChangeMember,
    Configuration,
    Entry,
    HardState,
    LogBounds,
    Outcome,
    Persist,
    Persisted,
    PersistRefused,
    Propose,
    RaftInput,
    RaftOutput,
    ReadIndex,
    Role,
    SnapshotTaken,
    Tick,
    Transfer,
)


class LocalEngine:
    """Orders packs for a cluster of one member."""

    def __init__(self, member_id: int, bounds: LogBounds) -> None:
        self._member_id = member_id
        self._term = bounds.hard_state.term + 1
        self._last_index = bounds.last_index
        self._commit_index = bounds.last_index
        self._sequence = 0
        self._leading = False
        self._campaigning = False
        self._waiting: deque[tuple[int, list[Entry], list[int]]] = deque()
        self._reads: list[int] = []

    @property
    def role(self) -> Role:
        """Leader from the moment its term's first pack is durable."""
        leader = self._member_id if self._leading else 0
        return Role(self._term, leader, self._leading)

    @property
    def commit_index(self) -> int:
        """The last durable index."""
        return self._commit_index

    @property
    def members(self) -> Configuration:
        """See Replicator: itself."""
        return {self._member_id: True}

    @property
    def refused_frames(self) -> int:
        """See Replicator: nobody else."""
        return 0

    def match_of(self, member: int) -> int:
        """See Replicator: nobody else."""
        return 0

    def step(self, now_ms: int, inputs: Sequence[RaftInput]) -> RaftOutput:
        """Order what was proposed; hand out what became durable."""
        persists: list[Persist] = []
        applied: list[Entry] = []
        resolved: list[Outcome] = []
        transferred: list[tuple[int, bool]] = []
        was_leading = self._leading
        for given in inputs:
            match given:
                case Propose(token, payload):
                    if not self._leading:
                        resolved.append(Outcome(token, refused=True))
                    else:
                        persists.append(self._append([self._next(payload)], [token], None))
                case Persisted(sequence):
                    applied += self._durable(sequence)
                case PersistRefused(sequence, durable):
                    resolved += self._withdraw(sequence)
                    if durable:
                        persists.append(Persist(0, drop_to=durable))
                case ReadIndex(token):
                    self._reads.append(token)
                case ChangeMember(token, _, _):
                    resolved.append(Outcome(token, refused=True))
                case Transfer(token, target):
                    transferred.append((token, self._leading and target == self._member_id))
                case SnapshotTaken(index, _):
                    persists.append(Persist(0, drop_to=index))
                case Tick() if not self._campaigning:
                    self._campaigning = True
                    vote = HardState(self._term, self._member_id, self._commit_index)
                    persists.append(self._append([self._next(b"")], [], vote))
                case _:
                    pass
        ready: list[tuple[int, int]] = []
        if self._leading:
            ready = [(token, self._commit_index) for token in self._reads]
            self._reads.clear()
        role = self.role if self._leading != was_leading else None
        return RaftOutput(persists, (), applied, ready, resolved, role, transferred=transferred)

    def _next(self, payload: bytes) -> Entry:
        self._last_index += 1
        return Entry(self._last_index, self._term, payload)

    def _append(
        self, entries: list[Entry], tokens: list[int], hard_state: HardState | None
    ) -> Persist:
        self._sequence += 1
        self._waiting.append((self._sequence, entries, tokens))
        return Persist(self._sequence, hard_state=hard_state, append=entries)

    def _durable(self, sequence: int) -> list[Entry]:
        committed: list[Entry] = []
        while self._waiting and self._waiting[0][0] <= sequence:
            committed += self._waiting.popleft()[1]
        if committed:
            self._commit_index = committed[-1].index
            self._leading = True
        return committed

    def _withdraw(self, sequence: int) -> list[Outcome]:
        """Take back the packs the disk had no room for: this one and all after it."""
        outcomes: list[Outcome] = []
        while self._waiting and self._waiting[-1][0] >= sequence:
            _, entries, tokens = self._waiting.pop()
            self._last_index -= len(entries)
            if not tokens:
                self._campaigning = False
            outcomes += (Outcome(token, refused=True) for token in tokens)
        return outcomes
