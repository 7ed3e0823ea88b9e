"""A machine's disk in tier 1: what stays of journal and stores when a life ends, and its faults.

Rule of this file: a start reads what is durable, as recovery does: the store that the journal
names, and the log behind it. What a fault does to syncs and room is here; when they end is for
the member to say.
"""

from collections.abc import Sequence
from random import Random
from typing import cast

from attrs import define, field, frozen

from core.ids import Index, MemberId, Term
from core.state import State
from net import replicator as raft
from net.founding import FIRST_TERM
from net.journal import HardState
from net.replicator import Entry
from net.store.store import Store
from sim.models import JournalModel, LogImage, Rows, StoreModel
from sim.platter import Survival
from sim.tier1_ports import Installer


@define(eq=False)
class MachineDisk:
    """One machine's. `journal` and `store` are those of the life that runs, or ran last."""

    log: LogImage = field(factory=LogImage)
    generations: dict[int, Rows] = field(factory=lambda: {1: Rows()})
    sync_us: int = 0
    """How much longer each operation takes."""
    next_error: str = ""
    """The kind of operation that fails next."""
    is_full: bool = False
    is_lying: bool = False
    journal: JournalModel = field(init=False)
    store: StoreModel = field(init=False)

    def found(self, payloads: Sequence[bytes]) -> None:
        """Begin the log of a new cluster: the same on all who found it."""
        for index, payload in enumerate(payloads, start=1):
            self.log.entries.append(Entry(index, FIRST_TERM, payload))
        self.log.hard = HardState(Term(FIRST_TERM), MemberId(0), Index(0))

    def open(self) -> Rows:
        """Begin a life: forget generations that nothing refers to; return the valid one."""
        log = self.log
        generation = 1 if log.switch is None else log.switch.generation
        rows = self.generations[generation]
        self.generations = {generation: rows}
        assert log.base_index <= rows.index <= log.last_index, "INV-LOG-COVERS-STATE"
        self.journal = JournalModel(log)
        self.journal.is_full = self.is_full
        self.store = StoreModel(rows, generation)
        return rows

    def bounds(self) -> raft.LogBounds:
        """Return what a restarted engine finds."""
        log, hard = self.log, self.log.hard
        remembered = raft.HardState(0, 0, 0)
        if hard is not None:
            remembered = raft.HardState(hard.term, hard.vote, hard.commit)
        last_term = log.term_at(log.last_index) or 0
        rows = self.store.durable
        return raft.LogBounds(remembered, log.last_index, last_term, rows.index, rows.configuration)

    def holds(self, index: int, term: int) -> bool:
        """Whether an entry is here for good: in the log, or in the state that the log follows."""
        log = self.log
        return index < log.base_index or (index <= log.last_index and log.term_at(index) == term)

    def fill(self, *, full: bool) -> None:
        """Take all room away, or give it back."""
        self.is_full = full
        if hasattr(self, "journal"):
            self.journal.is_full = full

    def crash(self, survival: Survival, chance: Random) -> None:
        """End the life: some of what was not synced may have become durable."""
        self.store.crash(survival, chance)
        self.journal.crash(survival, chance)

    def stage(self, rows: Rows) -> int:
        """Make a received snapshot durable, as a generation that nothing refers to yet."""
        generation = max(self.generations) + 1
        self.generations[generation] = rows
        return generation

    def take_over(self, generation: int) -> tuple[Store, State, list[int]]:
        """Use another generation from now on; see `net.turns.Staged`.

        A newer one came while this one's frames were on their way: the engine has not judged it.
        """
        self.store.is_closed = True
        self.store.batches.clear()
        rows = self.generations[generation]
        self.store = StoreModel(rows, generation)
        self.generations = {
            number: kept for number, kept in self.generations.items() if number >= generation
        }
        state, dead = rows.state()
        return cast(Store, self.store), state, dead  # it has what the driver uses of one


@frozen
class StagedRows:
    """A received snapshot; see `net.turns.Staged`."""

    disk: MachineDisk
    rows: Rows
    generation: int
    installer: Installer

    @property
    def index(self) -> int:
        return self.rows.index

    @property
    def term(self) -> int:
        return self.rows.term

    def discard(self) -> None:
        """See Staged."""
        self.disk.generations.pop(self.generation, None)

    def take_over(self, old: Store) -> tuple[Store, State, list[int]]:
        """See Staged."""
        self.installer.installed(self.rows)
        return self.disk.take_over(self.generation)
