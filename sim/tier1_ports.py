"""What the parts of tier 1 ask of each other.

Rule of this file: protocols, and who stands where nothing is asked.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from core.codec import ProposalId
from core.effects import Effect
from core.inputs import Committed, Input
from core.state import State
from net.etcd.calls import Call
from sim.models import Rows
from sim.ops import Op
from sim.world import World


class Reached(Protocol):
    """The member at the other end of a client's connection."""

    world: World
    life: int
    is_up: bool

    def give(self, given: Input) -> None:
        """Have something taken in the next turn."""
        ...

    def back(self, call: Callable[[], None]) -> None:
        """Have something reach the client, unless the way is cut."""
        ...

    def client_delay_us(self) -> int:
        """Draw how long something takes between client and member."""
        ...


class Installer(Protocol):
    """Who is told that a snapshot was installed."""

    def installed(self, rows: Rows) -> None:
        """A received state is the member's own now."""
        ...


class Surroundings(Protocol):
    """What a member asks of the cluster that it belongs to. Members are named by number."""

    def entered(self, number: int) -> None:
        """What is done from now on is done by this member, where it may be ended; -1: nowhere."""
        ...

    def offered(self, call: int, op: Op, proposal: ProposalId) -> None:
        """A client's command was proposed."""
        ...

    def applied(
        self, number: int, given: Committed, effects: Sequence[Effect], state: State
    ) -> None:
        """A pack was applied."""
        ...

    def failed(self, number: int, why: str) -> None:
        """The member ends by its own word: its disk failed."""
        ...


class NoAdministration:
    """What tier 1 leaves to tier 2: the cluster answers it before it comes here."""

    def begin(self, method: str, call: Call, message: bytes) -> None:
        """Nobody asks."""
        raise AssertionError(f"tier 1 has no {method}")

    def ended(self, call: Call) -> None:
        """Nothing was begun."""
