"""What a command about members does to the table, and when it does nothing but answer.

Rule of this file: pure, and the same on every member: only the table and the command decide.
A change that Raft sees too was held against this very table before it was proposed, so what
fails here changes neither. Source: etcd server/etcdserver/api/membership/cluster.go
ValidateConfigurationChange (behaviour, not code).
"""

from collections.abc import Iterable, Mapping

from core.errors import (
    MEMBER_EXISTS,
    MEMBER_NOT_FOUND,
    MEMBER_NOT_LEARNER,
    NOT_ENOUGH_STARTED,
    PEER_URL_EXISTS,
    TOO_MANY_LEARNERS,
    UNHEALTHY,
    Failure,
)
from core.members import Change, ChangeKind, Member, MemberRole
from core.operations import (
    MemberAdd,
    MemberPromote,
    MemberPublish,
    MemberRemove,
    MembersChange,
    MemberUpdate,
    RoleAssign,
)
from core.state import State, drop_member, put_member


def refusal(state: State, command: MembersChange) -> Failure | None:
    """Return why the table does not take a change; None if it does."""
    members = state.members
    if command.id in state.removed:
        return MEMBER_NOT_FOUND
    match command:
        case MemberAdd():
            return _add_refusal(members, command)
        case MemberRemove(member_id):
            if member_id not in members:
                return MEMBER_NOT_FOUND
            return None if _votes_without(members, member_id) else NOT_ENOUGH_STARTED
        case MemberUpdate(member_id, peer_urls):
            if member_id not in members:
                return MEMBER_NOT_FOUND
            others = (each for each in members.values() if each.id != member_id)
            return PEER_URL_EXISTS if _share(others, peer_urls) else None
        case MemberPromote(member_id):
            if member_id not in members:
                return MEMBER_NOT_FOUND
            return None if members[member_id].is_learner else MEMBER_NOT_LEARNER
        case RoleAssign(member_id, role, was):
            if member_id not in members:
                return MEMBER_NOT_FOUND
            if members[member_id].role != was:
                return UNHEALTHY
            if role == MemberRole.VOTER or _votes_without(members, member_id):
                return None
            return NOT_ENOUGH_STARTED


def addressed(members: Mapping[int, Member], command: MembersChange) -> MembersChange:
    """Return a change with what it is to be held against when it is applied."""
    if isinstance(command, RoleAssign) and command.id in members:
        return command._replace(was=int(members[command.id].role))
    return command


def change_of(members: Mapping[int, Member], command: MembersChange) -> Change | None:
    """Return what Raft is told of a command that the table takes; None for nothing."""
    match command:
        case MemberAdd(member_id, _, role):
            votes = role == MemberRole.VOTER
            return Change(ChangeKind.ADD_VOTER if votes else ChangeKind.ADD_LEARNER, member_id)
        case MemberRemove(member_id):
            return Change(ChangeKind.REMOVE, member_id)
        case MemberUpdate():
            return None
        case MemberPromote(member_id):
            return Change(ChangeKind.PROMOTE, member_id)
        case RoleAssign(member_id, role):
            votes = role == MemberRole.VOTER
            if votes == members[member_id].votes:
                return None
            return Change(ChangeKind.PROMOTE if votes else ChangeKind.DEMOTE, member_id)


def reconfigure(state: State, command: MembersChange) -> Failure | None:
    """Change the table, or return why not."""
    failure = refusal(state, command)
    if failure is not None:
        return failure
    members = state.members
    match command:
        case MemberAdd(member_id, peer_urls, role, _, name, client_urls):
            put_member(state, Member(member_id, name, peer_urls, client_urls, role))
        case MemberRemove(member_id):
            drop_member(state, member_id)
        case MemberUpdate(member_id, peer_urls):
            put_member(state, members[member_id]._replace(peer_urls=peer_urls))
        case MemberPromote(member_id):
            put_member(state, members[member_id]._replace(role=int(MemberRole.VOTER)))
        case RoleAssign(member_id, role):
            put_member(state, members[member_id]._replace(role=int(role)))
    return None


def publish(state: State, command: MemberPublish) -> bool:
    """Note what a member tells of itself; whether that is new. One that is gone tells nothing."""
    known = state.members.get(command.id)
    if known is None:
        return False
    _, name, client_urls, domain = command
    told = known._replace(name=name, client_urls=client_urls, failure_domain=domain)
    if told == known:
        return False
    put_member(state, told)
    return True


def _add_refusal(members: Mapping[int, Member], command: MemberAdd) -> Failure | None:
    if command.id in members:
        return MEMBER_EXISTS
    if _share(members.values(), command.peer_urls):
        return PEER_URL_EXISTS
    if command.role in (MemberRole.STAND_BY, MemberRole.SPARE):
        learners = sum(each.is_learner for each in members.values())
        if learners >= command.learners_max:
            return TOO_MANY_LEARNERS
    return None


def _share(members: Iterable[Member], peer_urls: tuple[str, ...]) -> bool:
    taken = {url for each in members for url in each.peer_urls}
    return any(url in taken for url in peer_urls)


def _votes_without(members: Mapping[int, Member], member_id: int) -> bool:
    """Whether anybody votes once this member does not."""
    return any(each.votes for each in members.values() if each.id != member_id)
