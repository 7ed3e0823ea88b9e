"""A member's disk in the world of Raft engines: what is durable, and what is on its way there."""

from attrs import define, field

from net import replicator as raft
from net.replicator import Configuration, Entry, HardState


@define
class Disk:
    """What a member's disk holds for good, and what is on its way there."""

    hard: HardState = field(default=HardState(0, 0, 0))
    base: tuple[int, int] = (0, 0)
    entries: list[Entry] = field(factory=list[Entry])
    waiting: list[raft.Persist] = field(factory=list[raft.Persist])
    applied_index: int = 0
    applied: list[bytes] = field(factory=list[bytes])
    """The store: the payloads up to `applied_index`."""
    members: Configuration = field(factory=dict[int, bool])

    def write(self, persist: raft.Persist) -> None:
        """Make one batch durable."""
        if persist.hard_state is not None:
            self.hard = persist.hard_state
        if persist.truncate_from is not None:
            del self.entries[persist.truncate_from - self.base[0] - 1 :]
        for entry in persist.append:
            assert entry.index == self.base[0] + len(self.entries) + 1, "a hole in the journal"
            self.entries.append(entry)

    def drop_to(self, index: int) -> None:
        """Forget the entries up to one that the store holds."""
        assert index <= self.applied_index, "the log is cut before the store has it"
        count = index - self.base[0]
        self.base = (index, self.entries[count - 1].term)
        del self.entries[:count]
