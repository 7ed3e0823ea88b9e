"""Whether a cluster bears a change of its members now: etcd's strict reconfiguration check.

Rule of this file: pure; refuses what would cost the quorum as far as the leader can tell. What
the table itself does not take is `core.reconfiguring`'s to say, afterwards, as in etcd.
Source: etcd server/etcdserver/server.go mayAddMember, mayRemoveMember, mayPromoteMember and
membership/cluster.go IsReadyTo... (behaviour, not code).
"""

from collections.abc import Iterable, Mapping

from attrs import frozen

from core.contacts import Contacts
from core.errors import (
    LEARNER_NOT_READY,
    MEMBER_NOT_FOUND,
    NOT_ENOUGH_STARTED,
    UNHEALTHY,
    Failure,
)
from core.members import Member, MemberRole
from core.operations import MemberAdd, MemberPromote, MemberRemove, MembersChange, RoleAssign


@frozen
class View:
    """What the leader knows: the table, itself, its contacts and the time."""

    members: Mapping[int, Member]
    own: int
    contacts: Contacts
    now_ms: int


def quorum_refusal(view: View, command: MembersChange, *, strict: bool) -> Failure | None:
    """Return why a change must not be made now; None if it may be."""
    match command:
        case MemberPromote(member_id):
            return _promote_refusal(view, member_id, strict=strict)
        case MemberAdd() if strict:
            return _add_refusal(view, command)
        case MemberRemove(member_id) if strict:
            return _remove_refusal(view, member_id)
        case RoleAssign(member_id, role):
            return _assign_refusal(view, member_id, role)
        case _:
            return None


def _add_refusal(view: View, command: MemberAdd) -> Failure | None:
    voters = _voters(view.members)
    if command.role not in (MemberRole.STAND_BY, MemberRole.SPARE):
        started = _started(voters)
        restores_one = started == 1 and len(voters) == 1
        if not restores_one and started < _quorum(len(voters) + 1):
            return NOT_ENOUGH_STARTED
    if len(voters) > 1 and _healthy(view, voters) < _quorum(len(voters) + 1):
        return UNHEALTHY
    return None


def _remove_refusal(view: View, member_id: int) -> Failure | None:
    member = view.members.get(member_id)
    if member is not None and member.is_learner:
        return None
    voters = _voters(view.members)
    left = [each for each in voters if each.id != member_id]
    if _started(left) < _quorum(len(left)):
        return NOT_ENOUGH_STARTED
    if member_id != view.own and not view.contacts.is_linked(member_id):
        return None
    if _healthy(view, voters) - 1 < 1 + (len(voters) - 1) // 2:
        return UNHEALTHY
    return None


def _promote_refusal(view: View, member_id: int, *, strict: bool) -> Failure | None:
    if member_id not in view.members:
        return MEMBER_NOT_FOUND
    if member_id != view.own and not view.contacts.is_ready(member_id):
        return LEARNER_NOT_READY
    voters = _voters(view.members)
    if strict and _started(voters) + 1 < _quorum(len(voters) + 1):
        return NOT_ENOUGH_STARTED
    return None


def _assign_refusal(view: View, member_id: int, role: int) -> Failure | None:
    """A vote is given to who is in sync, and taken only while the others make a quorum."""
    member = view.members.get(member_id)
    if member is None:
        return MEMBER_NOT_FOUND
    if role == MemberRole.VOTER:
        ready = member.votes or view.contacts.is_in_sync(member_id)
        return None if ready else LEARNER_NOT_READY
    if not member.votes:
        return None
    left = [each for each in view.members.values() if each.votes and each.id != member_id]
    there = [each for each in left if each.id == view.own or view.contacts.is_linked(each.id)]
    return None if len(there) >= _quorum(len(left)) else UNHEALTHY


def _voters(members: Mapping[int, Member]) -> list[Member]:
    """Return who votes, or will once it has caught up: etcd makes no difference."""
    return [member for _, member in sorted(members.items()) if not member.is_learner]


def _started(members: Iterable[Member]) -> int:
    return sum(member.is_started for member in members)


def _healthy(view: View, members: Iterable[Member]) -> int:
    own, contacts, now_ms = view.own, view.contacts, view.now_ms
    return sum(each.id == own or contacts.is_healthy(each.id, now_ms) for each in members)


def _quorum(count: int) -> int:
    return count // 2 + 1
