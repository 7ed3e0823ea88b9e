"""Read rounds of a leader: who asked, at which commit index, and who has confirmed since.

Rule of this file: a round's index is the commit index when it began; it is told once a majority of
the voters has confirmed, after its reads were asked for, that it knows of no later term. A member
that asks for reads of its own confirms them by asking. No clock is asked.
"""

from collections.abc import Collection
from typing import NamedTuple

from attrs import define, field


class Asker(NamedTuple):
    """A member's token of a read."""

    member: int
    token: int


@define
class _Round:
    index: int
    askers: list[Asker]
    confirmed: set[int]


@define
class ReadRounds:
    """All reads that a leader has not told the index of."""

    held: list[Asker] = field(factory=list[Asker])
    """Those that no round has begun for."""
    newest: int = 0
    _rounds: dict[int, _Round] = field(factory=dict[int, _Round])

    @property
    def under_way(self) -> int:
        """The newest round that is not confirmed; 0 for none."""
        return next(reversed(self._rounds)) if self._rounds else 0

    def begin_each(self, commit: int, leader: int) -> int:
        """Begin a round for each member that asks; return the newest one's number.

        Whoever asks in the leader's term knew of no later one after its clients had asked it.
        """
        held = self.held
        for member in dict.fromkeys(asker.member for asker in held):
            self.held = [asker for asker in held if asker.member == member]
            self.begin(commit, leader)
            self.confirm_one(member, self.newest)
        return self.newest

    def confirm_one(self, member: int, number: int) -> None:
        """A member confirms one round, and says nothing about those before."""
        self._rounds[number].confirmed.add(member)

    def begin(self, commit: int, leader: int) -> int:
        """Begin one round for all that is held; return its number."""
        askers, self.held = self.held, []
        self.newest += 1
        self._rounds[self.newest] = _Round(commit, askers, {leader})
        return self.newest

    def confirm(self, member: int, number: int) -> None:
        """A member confirms the rounds up to one."""
        for each, begun in self._rounds.items():
            if each <= number:
                begun.confirmed.add(member)

    def confirmed(self, voters: Collection[int], majority: int) -> list[tuple[Asker, int]]:
        """Return who is to be told which index; those are done with."""
        told: list[tuple[Asker, int]] = []
        for each in list(self._rounds):
            begun = self._rounds[each]
            if sum(member in begun.confirmed for member in voters) >= majority:
                del self._rounds[each]
                told += [(asker, begun.index) for asker in begun.askers]
        return told

    def lose(self) -> list[Asker]:
        """Give all up; return who asked."""
        lost = [asker for each in self._rounds.values() for asker in each.askers] + self.held
        self._rounds.clear()
        self.held = []
        return lost
