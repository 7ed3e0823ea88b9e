"""One blow: what a nemesis does to a cluster once, from when to when; and who does it.

The rule of this file: a `Blow` is data that a seed makes before the run; what is only known when
it falls (who leads) is decided then, by the blow's own seed. A nemesis holds no state between
blows: what undoes a blow is in its `Held`.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import ClassVar, Protocol

from attrs import field, frozen

from jepsen.cluster import Cluster, Need

Argument = int | str
Arguments = Mapping[str, Argument]


class IdleError(Exception):
    """There is nothing to do it to: the member is down, or nobody leads. The blow is left out."""


@frozen
class Blow:
    """Times are milliseconds from the run's begin."""

    at_ms: int
    until_ms: int
    nemesis: str
    do: str
    seed: int
    arguments: Arguments = field(factory=dict[str, Argument])

    @property
    def chance(self) -> Random:
        """Decides what was left open. The same at every call."""
        return Random(f"blow/{self.seed}")

    def word(self, name: str) -> str:
        """An argument that is text."""
        value = self.arguments[name]
        assert isinstance(value, str), f"{name} is no text"
        return value

    def number(self, name: str) -> int:
        """An argument that is a number."""
        value = self.arguments[name]
        assert isinstance(value, int), f"{name} is no number"
        return value


@frozen
class Options:
    """What schedules are made of."""

    size: int
    time_ms: int
    """Every blow has ended by then; the quiet time comes after it."""
    every_ms: int = 5000
    """From one blow to the next, on the average."""
    has_spare: bool = False
    """Whether a member can be added that did not found the cluster."""
    first_ms: int = 1000
    """Before the first one: clients shall have begun."""


@frozen
class Held:
    """A blow in force: who is struck, what it was in words, and what undoes it.

    `release` returns what there is to say of the end.
    """

    members: tuple[int, ...]
    detail: str
    release: Callable[[], str]


class Nemesis(Protocol):
    """One kind of blow."""

    name: ClassVar[str]
    needs: ClassVar[frozenset[Need]]
    is_alone: ClassVar[bool]
    """Whether all else must be whole, and no other blow in force, while it is at work."""

    def draw(self, chance: Random, options: Options) -> tuple[str, Arguments]:
        """What to do, and with what. Pure."""
        ...

    def begin(self, blow: Blow, cluster: Cluster) -> Held:
        """Do it. Raises IdleError where there is nothing to do, ClusterError, FindingError."""
        ...

    def heal(self, cluster: Cluster) -> None:
        """Undo whatever this nemesis may have left. Does nothing where all is well."""
        ...


class FindingError(Exception):
    """The cluster did under a blow what it must never do; says what. It is judged with the rest."""
