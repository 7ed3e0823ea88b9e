"""What of a cluster's promises was broken: writes that are gone, one index with two values.

Rule of this file: it knows what clients were told and what members applied, and nothing of why.
"""

from collections.abc import Sequence


class Judge:
    """Notes of one run."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        """What clients were told is done, in that order."""
        self.joined: list[str] = []
        """Members that an operator was told have joined."""
        self.failed: list[str] = []
        """What clients were told did not, or may not have, happened."""
        self.contradictions: list[str] = []
        """Each index that held two values, on whichever members."""
        self._applied: dict[int, tuple[int, str]] = {}
        self._leaders: dict[int, int] = {}

    def applied(self, member: int, index: int, name: str) -> None:
        """A member applied something at an index."""
        by, first = self._applied.setdefault(index, (member, name))
        if first != name:
            self.contradictions.append(
                f"index {index}: member {by} applied {first}, member {member} {name}"
            )

    def led(self, member: int, term: int) -> None:
        """A member leads a term."""
        first = self._leaders.setdefault(term, member)
        if first != member:
            self.contradictions.append(f"term {term}: members {first} and {member} lead")

    def lost(self, survivor: Sequence[str]) -> list[str]:
        """Return what was acknowledged and is not in the state that is left."""
        return [name for name in self.acknowledged if name not in survivor]

    def broken(self, survivor: Sequence[str]) -> list[str]:
        """Return everything that is wrong."""
        return [*self.contradictions, *(f"{name} is lost" for name in self.lost(survivor))]
