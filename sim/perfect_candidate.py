"""What the ledger sees of a member's engine, and what it has it do.

Rule of this file: looks at the log, and notes for the next step. See `sim.ledger.Candidate`.
"""

from net.replicator import Entry
from sim.perfect_log import PerfectLog


class LedgerCandidate:
    """An engine's side that the ledger knows."""

    _log: PerfectLog
    _installing: int
    _lost_leader: bool
    _greetings: list[int]

    @property
    def last(self) -> tuple[int, int]:
        """See Candidate."""
        last_index = self._log.last_index
        return self._log.term_at(last_index), last_index

    @property
    def base_index(self) -> int:
        """See Candidate."""
        return self._log.base_index

    def entry_at(self, index: int) -> Entry | None:
        """See Candidate."""
        return self._log.entry_at(index)

    @property
    def can_lead(self) -> bool:
        """See Candidate."""
        return not self._installing

    def step_down(self) -> None:
        """See Candidate."""
        self._lost_leader = True

    def greet(self, peer: int) -> None:
        """See Candidate."""
        self._greetings.append(peer)
