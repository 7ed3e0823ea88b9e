"""The answers to queries that one look at the state gives, whole.

Rule of this file: pure; what takes slices, or a promise of the leader, is `core.node`'s to begin.
"""

from core.answers import AlarmAnswer, Answer, Done, LeaseLeasesAnswer, LeaseTimeToLiveAnswer
from core.lessor import Lessor
from core.operations import (
    AlarmKind,
    AlarmList,
    Barrier,
    HashKv,
    LeaseLeases,
    LeaseTimeToLive,
    Query,
    Range,
    RangeStream,
    Txn,
    is_serializable,
)
from core.ranges import PageCounts, read
from core.state import State
from core.txn import run
from core.writes import Writer

Whole = Range | Txn | LeaseTimeToLive | LeaseLeases | AlarmList | Barrier
"""What `answer_whole` answers."""


def answer_whole(state: State, lessor: Lessor, query: Whole, counts: PageCounts) -> Answer:
    """Answer one query from the state as it is."""
    match query:
        case Range():
            return read(state, query, counts)
        case Txn():
            return run(state, query, Writer(state), counts)
        case LeaseTimeToLive():
            return _time_to_live(state, lessor, query)
        case LeaseLeases():
            remaining = lessor.remaining_ms
            order = sorted(state.leases.values(), key=lambda each: (remaining(each), each.id))
            return LeaseLeasesAnswer(state.revision, [lease.id for lease in order])
        case AlarmList():
            alarms = [a for a in sorted(state.alarms) if query.kind in (AlarmKind.NONE, a[1])]
            return AlarmAnswer(state.revision, alarms)
        case Barrier():
            return Done(state.revision)


def is_local(query: Query) -> bool:
    """Whether a query asks for this member's own state, agreed on or not."""
    if isinstance(query, Range):
        return query.serializable
    if isinstance(query, Txn):
        return is_serializable(query)
    if isinstance(query, RangeStream):
        return query.range.serializable
    return isinstance(query, HashKv)


def _time_to_live(state: State, lessor: Lessor, query: LeaseTimeToLive) -> LeaseTimeToLiveAnswer:
    lease = state.leases.get(query.id)
    if lease is None:
        return LeaseTimeToLiveAnswer(state.revision, query.id, -1, 0, ())
    keys = sorted(lease.keys) if query.keys else ()
    remaining_s = lessor.remaining_ms(lease) // 1000
    return LeaseTimeToLiveAnswer(state.revision, query.id, remaining_s, lease.ttl_s, keys)
