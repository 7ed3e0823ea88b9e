"""A verdict: which published guarantee a run broke, who was in conflict, and what each saw.

Rule of this file: shapes and the wording of guarantees; nothing is judged here. A verdict is one
failure. A run without verdicts has passed.
"""

from collections.abc import Iterator
from typing import NamedTuple

from attrs import frozen

CHECKS = (
    "raft-safety",
    "linear",
    "serializable",
    "watch",
    "lease",
    "compaction",
    "convergence",
    "durability",
    "liveness",
)
"""Every check there is, in the order in which a report lists them."""

UNDECIDED = "linear/undecided"
"""Not a violation: no witness, and the search for an order ran out of its budget."""


class Side(NamedTuple):
    """One party of a conflict: who it is, and what it saw."""

    who: str
    saw: str
    call: int | None = None
    """The call's number, where the party is a client's operation."""
    watcher: int | None = None
    """The watcher's number, where the party is a watcher."""
    member: int | None = None
    begun_us: int = -1
    ended_us: int = -1
    """-1: it has no such time; `sim.history.NEVER_US`: its outcome is unknown."""


@frozen
class Verdict:
    """One broken guarantee. Two verdicts of the same `klass` are the same kind of failure."""

    check: str
    """One of `CHECKS`."""
    klass: str
    """`check/what`: "linear/stale-read". Shrinking keeps it."""
    words: str
    """The guarantee, in the words in which it is published."""
    why: str
    """How this run broke it: one sentence."""
    conflict: tuple[Side, ...] = ()
    """The operations or events in conflict, the earlier cause first, and what each saw."""
    time_us: int = 0
    """When it first showed."""

    def __attrs_post_init__(self) -> None:
        assert self.check in CHECKS, f"no such check: {self.check}"
        assert self.klass.startswith(f"{self.check}/"), f"{self.klass} is no {self.check}"

    @property
    def is_violation(self) -> bool:
        """Whether something was broken, rather than left open."""
        return self.klass != UNDECIDED

    @property
    def calls(self) -> tuple[int, ...]:
        """The numbers of the calls in conflict."""
        return tuple(side.call for side in self.conflict if side.call is not None)

    @property
    def watchers(self) -> tuple[int, ...]:
        """The numbers of the watchers in conflict."""
        return tuple(side.watcher for side in self.conflict if side.watcher is not None)


def seconds(time_us: int) -> str:
    """Return a time as a person reads it: "26.924001"."""
    return f"{time_us // 1_000_000}.{time_us % 1_000_000:06}"


def lines(verdict: Verdict) -> Iterator[str]:
    """Yield a verdict for a terminal: what was broken, how, and each party with what it saw."""
    kind = "FAIL" if verdict.is_violation else "OPEN"
    yield f"{kind} {verdict.klass} at {seconds(verdict.time_us)} s"
    yield f"  guarantee: {verdict.words}"
    yield f"  broken by: {verdict.why}"
    for side in verdict.conflict:
        yield f"  - {side.who}"
        yield f"      saw {side.saw}"


def explain(verdict: Verdict) -> str:
    """Return `lines` as one text."""
    return "\n".join(lines(verdict))
