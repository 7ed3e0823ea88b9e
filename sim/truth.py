"""What raft guarantees, held against what engines of all members say and what their disks hold.

Rule of this file: it looks on. The log of truth is what members apply: who applies an index first
defines it. Nothing of an engine's inside is asked for, so that any engine can be held to it:

    INV-ONE-LEADER-PER-TERM   a term has one leader
    INV-LOG-MATCHES           committed once, an index holds that pack on every member, for ever
    INV-COMMIT-ON-MAJORITY    what is applied anywhere is durable on more than half of the voters
"""

from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from attrs import define, field

from net import replicator as raft
from net.changes import change_of
from net.replicator import (
    Change,
    ChangeKind,
    Configuration,
    Entry,
    RaftInput,
    RaftOutput,
    Replicator,
    Role,
)
from sim.ledger import RaftBrokenError
from sim.world import World

Holds = Callable[[int, Entry], bool]
"""Whether a member's disk holds an entry for good, in its log or in its state."""


_MARKS: Final = {
    ChangeKind.PROMOTE: "member promoted",
    ChangeKind.DEMOTE: "member demoted",
}


@define
class Truth:
    """One run's log, and who led it."""

    world: World
    holds: Holds
    on_change: Callable[[Change], None]
    """Told of each change of membership, once it is committed."""
    members: dict[int, bool] = field(factory=dict[int, bool])
    """The configuration at the newest index: member -> whether it votes."""
    leaders: dict[int, int] = field(factory=dict[int, int])
    """Who led each term."""
    entries: list[Entry] = field(factory=list[Entry])
    """The log, from index 1."""
    broken: RaftBrokenError | None = None
    """The first guarantee that was broken, whatever the member made of it."""

    def led(self, member: int, term: int) -> None:
        """A member says that it leads a term."""
        first = self.leaders.setdefault(term, member)
        if first != member:
            self._break(f"INV-ONE-LEADER-PER-TERM: members {first} and {member} lead term {term}")

    def applied(self, member: int, entry: Entry, known: Configuration) -> None:
        """A member applies an entry; `known` is the newest configuration in its log."""
        index = entry.index
        if index <= len(self.entries):
            held = self.entries[index - 1]
            if held.term != entry.term or held.payload != entry.payload:
                self._break(
                    f"INV-LOG-MATCHES: index {index} was applied as a pack of term {held.term}; "
                    f"member {member} applies another of term {entry.term}"
                )
            return
        if index != len(self.entries) + 1:
            self._break(
                f"INV-LOG-MATCHES: member {member} applies index {index}, and nobody applied "
                f"{len(self.entries) + 1}"
            )
        before = dict(self.members)
        self._change(entry)
        self.entries.append(entry)
        # A change counts as soon as a log has it: what was committed before it need not obey.
        if not any(self._is_durable(entry, each) for each in (before, self.members, known)):
            self._break(
                f"INV-COMMIT-ON-MAJORITY: member {member} applies index {index} of term "
                f"{entry.term}, which is durable on {self._holders(entry, before)} of "
                f"{sorted(before)} alone"
            )

    def _break(self, words: str) -> NoReturn:
        error = RaftBrokenError(words)
        self.broken = self.broken or error
        raise error

    def _change(self, entry: Entry) -> None:
        change = change_of(entry.payload)
        if change is None:
            return
        self.world.mark("membership changed")
        if change.kind in _MARKS:
            self.world.mark(_MARKS[change.kind])
        if change.kind == ChangeKind.REMOVE:
            self.members.pop(change.member, None)
        else:
            votes = change.kind in (ChangeKind.ADD_VOTER, ChangeKind.PROMOTE)
            self.members[change.member] = votes
        self.on_change(change)

    def _is_durable(self, entry: Entry, members: Configuration) -> bool:
        voters = sum(members.values())
        return len(self._holders(entry, members)) * 2 > voters

    def _holders(self, entry: Entry, members: Configuration) -> list[int]:
        return [each for each, votes in members.items() if votes and self.holds(each, entry)]


class Watched:
    """An engine, looked at with every step; it does nothing else than the engine."""

    def __init__(self, engine: Replicator, member_id: int, truth: Truth) -> None:
        self.engine = engine
        self._me = member_id
        self._truth = truth

    @property
    def role(self) -> Role:
        """See Replicator."""
        return self.engine.role

    @property
    def commit_index(self) -> int:
        """See Replicator."""
        return self.engine.commit_index

    @property
    def members(self) -> Configuration:
        """See Replicator."""
        return self.engine.members

    @property
    def refused_frames(self) -> int:
        """See Replicator."""
        return self.engine.refused_frames

    def match_of(self, member: int) -> int:
        """See Replicator."""
        return self.engine.match_of(member)

    def step(self, now_ms: int, inputs: Sequence[RaftInput]) -> RaftOutput:
        """See Replicator."""
        out = self.engine.step(now_ms, inputs)
        truth = self._truth
        mark = truth.world.mark
        if out.role is not None and out.role.is_leader:
            mark("election")
            truth.led(self._me, out.role.term)
        for persist in out.persist:
            if persist.truncate_from is not None:
                mark("conflict truncated")
            if persist.drop_to is not None:
                mark("log cut")
        for given in inputs:
            if type(given) is raft.SnapshotInstalled:
                mark("snapshot installed")
        for token, well in out.transferred:
            assert token >= 0, "INV-TOKEN"
            mark("leadership transferred" if well else "transfer given up")
        if out.apply:
            known = self.engine.members
            for entry in out.apply:
                truth.applied(self._me, entry, known)
        return out
