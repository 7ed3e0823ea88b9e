"""Received snapshots that wait: for the engine's word, or for room to write that they count.

Rule of this file: one that the engine does not ask for when it was told of it is not wanted.
INV-SNAPSHOT-STAGED: what the engine asks to install is here.
"""

from net.turns import Staged


class Received:
    """Staged snapshots that nothing refers to yet. One owner: the driver."""

    __slots__ = ("staged", "wanted")

    def __init__(self) -> None:
        self.staged: list[Staged] = []
        """In the order in which they came."""
        self.wanted: tuple[int, int] | None = None
        """(index, term) that the engine asked to install, and the disk had no room for yet."""

    def add(self, staged: Staged) -> None:
        """One more is here."""
        self.staged.append(staged)

    def want(self, wanted: tuple[int, int]) -> Staged:
        """The engine asks for this one; return it."""
        self.wanted = wanted
        fitting = [each for each in self.staged if (each.index, each.term) == wanted]
        assert fitting, "INV-SNAPSHOT-STAGED"
        return fitting[-1]

    def take(self, staged: Staged) -> None:
        """It is written that this one counts."""
        self.staged.remove(staged)
        self.wanted = None

    def judged(self) -> None:
        """The engine has been told of all: forget those that it does not ask for."""
        if self.wanted is None:
            for staged in self.staged:
                staged.discard()
            self.staged.clear()
