"""The committed log as histories have it, from what a core did when it applied a pack.

Rule of this file: pure. A command that an alarm refused did nothing, whatever its client was told:
it is written down as a thing that clients cannot tell.
"""

from collections.abc import Iterator, Mapping, Sequence

from core.codec import ProposalId
from core.effects import Effect
from core.errors import CORRUPT, NO_SPACE, Failure
from core.inputs import Committed
from core.machine import Applied
from core.operations import LeaseExpire
from sim.history import Expire, Logged
from sim.ops import Op

Calls = Mapping[ProposalId, tuple[int, Op]]
"""Which call of which client each proposal is."""


def written(
    given: Committed, effects: Sequence[Effect], *, rev: int, calls: Calls, time_us: int
) -> Iterator[Logged]:
    """Yield the commands of a pack; `rev` is the store's revision before it."""
    done = [effect for effect in effects if type(effect) is Applied]
    assert len(done) == len(given.commands), (
        f"INV-SAME-INDEX-SAME-HASH: a pack of {len(given.commands)} commands was applied as "
        f"{len(done)} at index {given.log_index}"
    )
    for position, (proposed, applied) in enumerate(zip(given.commands, done, strict=True)):
        answer = applied.answer
        if not isinstance(answer, Failure):
            rev = answer.revision
        call: int | None = None
        what: Op | Expire | None = None
        found = calls.get(proposed.id)
        if found is not None:
            call, what = found
        command = proposed.command
        if isinstance(command, LeaseExpire) and applied.facts:
            what = Expire(command.id)
        if answer in (NO_SPACE, CORRUPT):
            what = None
        yield Logged(given.log_index, position, given.term, call, what, rev, time_us)
