"""Classes of verdict that no planted bug earns, and why: all others one must earn.

Rule of this file: a list that may only become shorter. Histories written by hand earn those that
stand here (`tests/sim/check`).
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from sim.check.guarantees import WORDS

_BLACK_BOX: Final = (
    "the simulator sees the log: only a history without one is searched for an order"
)
_SHADOWED: Final = "what would earn it breaks an invariant inside the world first, and ends the run"

BY_HAND: Final[Mapping[str, str]] = {
    "linear/no-order": _BLACK_BOX,
    "linear/undecided": _BLACK_BOX,
    "linear/no-such-revision": _BLACK_BOX,
    "linear/phantom-write": _BLACK_BOX,
    "linear/duplicate-revision": _BLACK_BOX,
    "linear/read-from-the-future": _BLACK_BOX,
    "compaction/revision-fell": _SHADOWED,
    "convergence/hash": _SHADOWED,
    "watch/wrong-event": "events are the stored bytes: they are right, or of another revision",
    "watch/after-cancel": "the stream of a cancelled watch has nothing more to carry",
    "liveness/refused": "a cluster that refuses for ever is one that does not answer",
    "liveness/slow": "what is answered so late was given up by its client before",
}


def unearned(seen: Collection[str]) -> Iterator[str]:
    """Yield a complaint for every class that some bug must earn and none did."""
    for klass in WORDS:
        if klass not in seen and klass not in BY_HAND:
            yield f"no planted bug earns {klass}"
