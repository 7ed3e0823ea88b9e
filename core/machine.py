"""The only place where a command becomes a new state: `apply`.

Total: for every command that can be decoded it returns, and an error is an answer, equal on
all members. What it needs from outside (ids, terms) travels in the command.
"""

from collections.abc import Sequence
from typing import NamedTuple, assert_never

from core.answers import (
    AlarmAnswer,
    Answer,
    CompactAnswer,
    DeleteAnswer,
    Done,
    LeaseGrantAnswer,
    LeaseRevokeAnswer,
    MembersAnswer,
    PutAnswer,
    TxnAnswer,
)
from core.compaction import compact
from core.errors import (
    CORRUPT,
    LEASE_EXISTS,
    LEASE_NOT_FOUND,
    LEASE_TTL_TOO_LARGE,
    NO_SPACE,
    Failure,
)
from core.limits import LEASE_TTL_S_MAX, LEASE_TTL_S_MIN
from core.members import rows
from core.operations import (
    AlarmKind,
    AlarmSet,
    Command,
    Compact,
    DeleteRange,
    LeaseExpire,
    LeaseGrant,
    LeaseRevoke,
    MemberAdd,
    MemberPromote,
    MemberPublish,
    MemberRemove,
    MembersChange,
    MemberUpdate,
    Noop,
    Operation,
    Put,
    RoleAssign,
    Txn,
)
from core.ranges import PageCounts
from core.reconfiguring import publish, reconfigure
from core.records import Version
from core.state import Lease, State, add_lease, drop_lease
from core.tuples import new
from core.txn import check_put_against, delete_range, holds, run
from core.writes import Writer, put_one


class LeaseGranted(NamedTuple):
    """A lease row to store."""

    id: int
    ttl_s: int
    generation: int


class LeaseGone(NamedTuple):
    """A lease row to delete."""

    id: int


class AlarmsNow(NamedTuple):
    """The alarm rows, whole."""

    alarms: tuple[tuple[int, int], ...]


class CompactedTo(NamedTuple):
    """The compact revision to store; freeing follows in slices."""

    revision: int


class MembersNow(NamedTuple):
    """The rows of members and of removed ids, whole."""

    rows: Sequence[tuple[int, bytes]]


Fact = LeaseGranted | LeaseGone | AlarmsNow | CompactedTo | MembersNow


class Applied(NamedTuple):
    """What one command did: the answer, the changes of keys, and other facts to store."""

    answer: Answer
    changes: tuple[Version, ...] = ()
    facts: tuple[Fact, ...] = ()


def apply(state: State, command: Command, index: int, term: int, counts: PageCounts) -> Applied:
    """Apply one command of the pack at (index, term) to the state."""
    if state.alarms and (refusal := _refused_by_alarm(state, command)):
        return Applied(refusal)
    match command:
        case Put():
            return _put(state, command)
        case Txn():
            return _txn(state, command, counts)
        case DeleteRange():
            return _delete_range(state, command)
        case LeaseGrant():
            return _grant(state, command, index)
        case LeaseRevoke():
            return _revoke(state, command.id)
        case LeaseExpire():
            return _expire(state, command, term)
        case Compact():
            return _compact(state, command)
        case AlarmSet():
            return _set_alarm(state, command)
        case Noop():
            return Applied(Done(state.revision))
        case MemberPublish():
            facts = (_members_now(state),) if publish(state, command) else ()
            return Applied(Done(state.revision), (), facts)
        case MemberAdd() | MemberRemove() | MemberUpdate() | MemberPromote() | RoleAssign():
            return _reconfigure(state, command, index)
        case _:
            assert_never(command)


def puts_anything(ops: tuple[Operation, ...]) -> bool:
    """Whether a branch holds a put, at any depth: what NOSPACE refuses."""
    return any(
        type(op) is Put
        or (type(op) is Txn and (puts_anything(op.success) or puts_anything(op.failure)))
        for op in ops
    )


def grows(command: Command) -> bool:
    """Whether a command may add bytes, by its shape; a transaction counts if either branch puts."""
    if type(command) is Txn:
        return puts_anything(command.success) or puts_anything(command.failure)
    return type(command) in (Put, LeaseGrant)


_BEYOND_ALARMS = frozenset(
    (
        AlarmSet, Noop, LeaseExpire,
        MemberPublish, MemberAdd, MemberRemove, MemberUpdate, MemberPromote, RoleAssign,
    )
)  # fmt: skip
"""What a corrupt cluster still does. Raft has made a change of members whatever is said here."""


def _refused_by_alarm(state: State, command: Command) -> Failure | None:
    kinds = {kind for _, kind in state.alarms}
    if AlarmKind.CORRUPT in kinds and type(command) not in _BEYOND_ALARMS:
        return CORRUPT
    if AlarmKind.NOSPACE in kinds and grows(command):
        return NO_SPACE
    return None


def _put(state: State, command: Put) -> Applied:
    if (command.lease or command.ignore_value or command.ignore_lease) and (
        failure := check_put_against(state, command)
    ):
        return Applied(failure)
    key, value, lease, prev_kv, ignore_value, ignore_lease = command
    if ignore_value:
        value = state.index.live[key].value
    if ignore_lease:
        lease = state.index.live[key].lease
    version, previous = put_one(state, key, value, lease)
    answer = new(PutAnswer, (version.mod, previous if prev_kv else None))
    return new(Applied, (answer, (version,), ()))


def _delete_range(state: State, command: DeleteRange) -> Applied:
    writer = Writer(state)
    deleted, gone = delete_range(command, writer)
    changes = writer.commit()
    return Applied(DeleteAnswer(state.revision, deleted, gone), changes)


def _txn(state: State, command: Txn, counts: PageCounts) -> Applied:
    compares, success, failure = command
    if len(compares) == 1:
        held = holds(state, compares[0])
        branch = success if held else failure
        if len(branch) == 1 and type(put := branch[0]) is Put:
            # Most transactions do one put: a revision of its own without a writer (hot path).
            key, value, lease, prev_kv, ignore_value, ignore_lease = put
            if not ignore_value and not ignore_lease and (not lease or lease in state.leases):
                version, previous = put_one(state, key, value, lease)
                main = version.mod
                answer = new(PutAnswer, (main, previous if prev_kv else None))
                return new(Applied, (new(TxnAnswer, (main, held, (answer,))), (version,), ()))
    writer = Writer(state)
    ran = run(state, command, writer, counts)
    return Applied(ran, writer.commit())


def _grant(state: State, command: LeaseGrant, index: int) -> Applied:
    if not command.id:
        return Applied(LEASE_NOT_FOUND)
    if command.ttl_s > LEASE_TTL_S_MAX:
        return Applied(LEASE_TTL_TOO_LARGE)
    if command.id in state.leases:
        return Applied(LEASE_EXISTS)
    lease = Lease(command.id, max(command.ttl_s, LEASE_TTL_S_MIN), index)
    add_lease(state, lease)
    return Applied(
        LeaseGrantAnswer(state.revision, lease.id, lease.ttl_s),
        (),
        (LeaseGranted(lease.id, lease.ttl_s, index),),
    )


def _revoke(state: State, lease_id: int) -> Applied:
    lease = state.leases.get(lease_id)
    if lease is None:
        return Applied(LEASE_NOT_FOUND)
    writer = Writer(state)
    for key in sorted(lease.keys):
        writer.delete(key)
    changes = writer.commit()
    assert not lease.keys, "INV-LEASE-KEYS"
    drop_lease(state, lease)
    return Applied(LeaseRevokeAnswer(state.revision), changes, (LeaseGone(lease_id),))


def _expire(state: State, command: LeaseExpire, term: int) -> Applied:
    lease = state.leases.get(command.id)
    if lease is None or command.term != term or lease.generation != command.generation:
        return Applied(Done(state.revision))
    return _revoke(state, command.id)


def _compact(state: State, command: Compact) -> Applied:
    failure = compact(state, command.revision)
    if failure is not None:
        return Applied(failure)
    return Applied(CompactAnswer(state.revision), (), (CompactedTo(command.revision),))


def _set_alarm(state: State, command: AlarmSet) -> Applied:
    alarm = (command.member, command.kind)
    changed: tuple[tuple[int, int], ...] = ()
    if command.raised and command.kind != AlarmKind.NONE:
        state.alarms.add(alarm)
        changed = (alarm,)
    elif not command.raised and alarm in state.alarms:
        state.alarms.discard(alarm)
        changed = (alarm,)
    if not changed:
        return Applied(AlarmAnswer(state.revision, ()))
    return Applied(
        AlarmAnswer(state.revision, changed), (), (AlarmsNow(tuple(sorted(state.alarms))),)
    )


def _reconfigure(state: State, command: MembersChange, index: int) -> Applied:
    failure = reconfigure(state, command)
    if failure is not None:
        return Applied(failure)
    members = [member for _, member in sorted(state.members.items())]
    return Applied(MembersAnswer(state.revision, index, members), (), (_members_now(state),))


def _members_now(state: State) -> MembersNow:
    return MembersNow(rows(state.members, state.removed))
