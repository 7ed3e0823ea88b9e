"""The catalogue: every class of verdict that a history can earn, and the guarantee it breaks.

Rule of this file: the words are those of etcd's published API guarantees and API documents, and of
our own promises where etcd's say less. A class that is not here cannot be reported.
"""

from collections.abc import Mapping
from typing import Final

from sim.check.verdict import Side, Verdict

LINEARIZABLE: Final = (
    "Linearizability: each operation takes effect at one point between its invocation and its"
    " response, and sees every operation that completed before it began."
)
EXACT: Final = (
    "Strict serializability: the answers are those of all operations executed one after the"
    " other; every write that changes something has its own, next revision."
)
SERIALIZABLE: Final = (
    "A serializable read may be stale, but it shows the store as it was at one revision that had"
    " already come about."
)
DURABLE: Final = "Durability: any completed operation is durable."
ONCE: Final = "Atomicity: an operation either completes entirely or not at all, and at most once."
ORDERED: Final = (
    "Ordered: events are ordered by revision; an event never appears on a watch if it precedes an"
    " event in time that has already been posted."
)
UNIQUE: Final = "Unique: an event never appears on a watch twice."
RELIABLE: Final = (
    "Reliable: a sequence of events never drops any subsequence of events within the available"
    " history window."
)
ATOMIC: Final = (
    "Atomic: a list of events encompasses complete revisions; updates in the same revision over"
    " multiple keys are not split over several lists of events."
)
RESUMABLE: Final = (
    "Resumable: a broken watch can be resumed by a new watch that starts after the last revision"
    " received, so long as that revision is in the history window."
)
BOOKMARKABLE: Final = (
    "Bookmarkable: a progress notification guarantees that all events up to its revision have"
    " already been delivered."
)
FILTER: Final = "Filter: a watch delivers only events of the keys and kinds that it asked for."
TRUE_EVENT: Final = "An event on a watch is a change of the store, as it was made."
PREV_KV: Final = (
    "PrevKV: an event carries the key as it was just before, if that was asked for and unless that"
    " has been compacted."
)
CANCELED: Final = (
    "A watch is cancelled as compacted if and only if it needs a revision below the compact"
    " revision, and is told which; at the compact revision itself it is served."
)
LEASE_NOT_EARLY: Final = (
    "A lease lives until its TTL has passed since the last keepalive that was acknowledged."
)
LEASE_ENDS: Final = (
    "A lease expires, and its keys with it, if the cluster receives no keepalive within its TTL."
)
LEASE_ONE_REVISION: Final = "When a lease ends, all its keys are deleted in one revision."
LEASE_TRUE: Final = (
    "A keepalive or a question about a lease is answered for a lease that exists, and denied only"
    " for one that does not."
)
COMPACTED: Final = (
    "After a compaction, revisions below the compact revision are refused by all and for ever; the"
    " others answer as before."
)
ANSWERS: Final = "After all faults are healed, every operation is answered in time."
CONVERGES: Final = "Members that have applied the same log have the same state."

WORDS: Final[Mapping[str, str]] = {
    "linear/stale-read": LINEARIZABLE,
    "linear/read-from-the-future": LINEARIZABLE,
    "linear/write-order": LINEARIZABLE,
    "linear/log-order": LINEARIZABLE,
    "linear/no-order": LINEARIZABLE,
    "linear/undecided": LINEARIZABLE,
    "linear/wrong-result": EXACT,
    "linear/wrong-revision": EXACT,
    "linear/duplicate-revision": EXACT,
    "linear/no-such-revision": EXACT,
    "linear/phantom-write": EXACT,
    "linear/misshapen-accepted": EXACT,
    "linear/wrong-refusal": EXACT,
    "serializable/wrong-result": SERIALIZABLE,
    "serializable/from-the-future": SERIALIZABLE,
    "serializable/no-such-revision": SERIALIZABLE,
    "durability/lost-write": DURABLE,
    "durability/refused-but-applied": ONCE,
    "durability/applied-twice": ONCE,
    "watch/filter": FILTER,
    "watch/ordered": ORDERED,
    "watch/unique": UNIQUE,
    "watch/reliable": RELIABLE,
    "watch/atomic": ATOMIC,
    "watch/resumable": RESUMABLE,
    "watch/bookmarkable": BOOKMARKABLE,
    "watch/older-than-asked": RESUMABLE,
    "watch/wrong-event": TRUE_EVENT,
    "watch/is-create": TRUE_EVENT,
    "watch/from-the-future": TRUE_EVENT,
    "watch/prev-kv": PREV_KV,
    "watch/compacted-cancel": CANCELED,
    "watch/after-cancel": CANCELED,
    "watch/liveness": RELIABLE,
    "watch/informer-cache": RELIABLE,
    "lease/early": LEASE_NOT_EARLY,
    "lease/immortal": LEASE_ENDS,
    "lease/one-revision": LEASE_ONE_REVISION,
    "lease/keys-stay": LEASE_ONE_REVISION,
    "lease/denied": LEASE_TRUE,
    "lease/undead": LEASE_TRUE,
    "lease/wrong-answer": LEASE_TRUE,
    "compaction/still-served": COMPACTED,
    "compaction/refused-too-much": COMPACTED,
    "compaction/revision-fell": COMPACTED,
    "convergence/hash": CONVERGES,
    "liveness/unanswered": ANSWERS,
    "liveness/refused": ANSWERS,
    "liveness/slow": ANSWERS,
}
"""What `check` may report. Checks made inside the simulated world have classes of their own."""


class Found:
    """The verdicts found so far: of each class the one that showed first."""

    def __init__(self) -> None:
        self._first: dict[str, Verdict] = {}

    def add(self, klass: str, why: str, sides: tuple[Side, ...], time_us: int) -> None:
        """Report a broken guarantee."""
        known = self._first.get(klass)
        if known is None or time_us < known.time_us:
            check = klass.partition("/")[0]
            self._first[klass] = Verdict(check, klass, WORDS[klass], why, sides, time_us)

    def __contains__(self, klass: str) -> bool:
        return klass in self._first

    def verdicts(self) -> list[Verdict]:
        """Return them, the earliest first."""
        return sorted(self._first.values(), key=lambda each: (each.time_us, each.klass))
