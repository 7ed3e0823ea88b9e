"""What whole members apply: written down as the committed log, and held against each other.

Rule of this file: it looks on at the core's door and changes nothing. A command belongs to the
client's operation on whose stream it was offered: connections have addresses, and streams numbers.

INV-SAME-INDEX-SAME-HASH at every entry; the named invariants of the state now and then.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from attrs import define, field

from core import invariants
from core.codec import ProposalId
from core.effects import Effect, Propose
from core.inputs import Committed, Input, Offered
from core.node import Node
from core.state import State
from net.etcd.calls import Call, Hidden
from sim.history import Logged
from sim.logbook import written
from sim.ops import Op
from sim.world import APPLY, World

CHECK_ENTRIES = 64
"""The state's invariants are checked as code after so many entries of a member."""


@define
class CommonLog:
    """The log that all members apply."""

    world: World
    streams: Mapping[tuple[str, int], tuple[int, Op]]
    """Which ask each stream of each connection belongs to."""
    log: list[Logged] = field(factory=list[Logged])
    hashes: list[int] = field(factory=list[int])
    """The state's hash after each index, from 1."""
    broken: AssertionError | None = None
    """The first thing that was wrong, whatever the member made of it."""
    _calls: dict[ProposalId, tuple[int, Op]] = field(factory=dict[ProposalId, tuple[int, Op]])

    @contextmanager
    def observed(self, who: Callable[[], int]) -> Generator[None, None, None]:
        """Look on at every core of this process, from its recovery on; `who` says whose it is."""
        step = Node.step

        def observed(node: Node, given: Input) -> Sequence[Effect]:
            kind = type(given)
            effects = step(node, given)
            if kind is Committed:
                self._applied(who(), cast(Committed, given), effects, node.state)
            elif kind is Offered:
                offered = cast(Offered, given)
                for effect in effects:
                    if isinstance(effect, Propose) and effect.command is offered.command:
                        proposal = ProposalId(node.config.origin, effect.sequence)
                        self._offered(offered.token, proposal)
            return effects

        # It looks on, and changes nothing.
        Node.step = observed  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            Node.step = step  # type: ignore[method-assign]  # as it was

    def comes_back(self, number: int, last_index: int) -> None:
        """A cluster's only member stands again: what it applied before it still has."""
        if last_index < len(self.hashes):
            self.broken = self.broken or AssertionError(
                f"INV-REPLY-AFTER-PERSIST: member {number} applied index {len(self.hashes)} and "
                f"comes back with a log up to {last_index}"
            )

    def _offered(self, token: object, proposal: ProposalId) -> None:
        if isinstance(token, Call) and not isinstance(token, Hidden):
            asked = self.streams.get((str(token.connection.owner), token.stream.id))
            if asked is not None:
                self._calls[proposal] = asked

    def _applied(
        self, number: int, given: Committed, effects: Sequence[Effect], state: State
    ) -> None:
        index = given.log_index
        found = state.state_hash()
        if index > len(self.hashes):
            self._hold(index == len(self.hashes) + 1, "INV-APPLY-ONCE: an index was passed over")
            self.hashes.append(found)
            self.world.note(APPLY, number, index, given.term, found)
            self._write_down(given, effects)
        same = self.hashes[index - 1] == found
        self._hold(same, f"INV-SAME-INDEX-SAME-HASH: member {number} differs at index {index}")
        if index % CHECK_ENTRIES == 0:
            invariants.check(state)

    def _hold(self, is_so: bool, words: str) -> None:
        if not is_so:
            self.broken = self.broken or AssertionError(words)
            raise AssertionError(words)

    def _write_down(self, given: Committed, effects: Sequence[Effect]) -> None:
        rev = self.log[-1].rev if self.log else 1
        now_us = self.world.now_us
        self.log += written(given, effects, rev=rev, calls=self._calls, time_us=now_us)


def contradiction(states: Iterable[State]) -> AssertionError | None:
    """Return what breaks a named invariant of the first state that contradicts itself."""
    try:
        for state in states:
            invariants.check(state)
    except AssertionError as error:
        return error
    return None
