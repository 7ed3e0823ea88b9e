"""Which member is kept for what: the leader's next step towards enough voters and stand-bys.

Rule of this file: one pure decision at a time, and the same for the same view. Voters first: a
lost one is replaced before it is demoted, by a stand-by if there is one, of a failure domain
that has fewest of them. Source: go-dqlite app/roles.go (behaviour, not code).
"""

from collections.abc import Sequence

from core.members import Member, MemberRole
from core.operations import RoleAssign
from core.quorums import View

LOST_MS = 10_000
"""A member without a connection for so long is replaced; a restart takes less."""
SMALL = 3
"""A cluster of fewer members has one voter: two would both be needed."""


def next_assignment(view: View, voters_wanted: int, stand_bys_wanted: int) -> RoleAssign | None:
    """Return the next role to assign; None if all are as they should be, or nobody can help."""
    members = [member for _, member in sorted(view.members.items())]
    if len(members) < SMALL:
        return _shrink(view, members)
    voters, lost_voters = _split(view, members, MemberRole.VOTER)
    stand_bys, lost_stand_bys = _split(view, members, MemberRole.STAND_BY)
    spares, _ = _split(view, members, MemberRole.SPARE)
    if len(voters) < voters_wanted:
        ready = [each for each in (*stand_bys, *spares) if view.contacts.is_in_sync(each.id)]
        if ready:
            return RoleAssign(_best(ready, voters).id, MemberRole.VOTER)
    surplus = [each for each in voters if each.id != view.own]
    if len(voters) > voters_wanted and surplus:
        return RoleAssign(_worst(surplus, voters).id, MemberRole.STAND_BY)
    if lost_voters and len(voters) >= voters_wanted:
        return RoleAssign(lost_voters[0].id, MemberRole.SPARE)
    if len(stand_bys) < stand_bys_wanted and spares:
        return RoleAssign(_best(spares, stand_bys).id, MemberRole.STAND_BY)
    if len(stand_bys) > stand_bys_wanted:
        return RoleAssign(_worst(stand_bys, stand_bys).id, MemberRole.SPARE)
    if lost_stand_bys:
        return RoleAssign(lost_stand_bys[0].id, MemberRole.SPARE)
    return None


def replacement(view: View, leaving: int) -> Member | None:
    """Return who takes the vote of a member that leaves; None if nobody is there to take it."""
    members = [member for _, member in sorted(view.members.items())]
    voters, _ = _split(view, members, MemberRole.VOTER)
    stand_bys, _ = _split(view, members, MemberRole.STAND_BY)
    spares, _ = _split(view, members, MemberRole.SPARE)
    ready = [each for each in (*stand_bys, *spares) if view.contacts.is_in_sync(each.id)]
    if not ready:
        return None
    return _best(ready, [each for each in voters if each.id != leaving])


def _shrink(view: View, members: Sequence[Member]) -> RoleAssign | None:
    for member in members:
        if member.votes and member.id != view.own:
            return RoleAssign(member.id, MemberRole.STAND_BY)
    return None


def _split(
    view: View, members: Sequence[Member], role: MemberRole
) -> tuple[list[Member], list[Member]]:
    """Return the members of a role that are there, or were a moment ago; and those that are lost.

    Only who is connected now is given anything new: see `Contacts.is_in_sync`.
    """
    there: list[Member] = []
    lost: list[Member] = []
    for member in members:
        if member.role == role:
            missing_ms = 0
            if member.id != view.own:
                missing_ms = view.contacts.missing_ms(member.id, view.now_ms)
            (lost if missing_ms > LOST_MS else there).append(member)
    return there, lost


def _best(candidates: Sequence[Member], peers: Sequence[Member]) -> Member:
    """Return who adds most: fewest peers in its failure domain, a stand-by before a spare."""
    return min(candidates, key=lambda each: (_near(each, peers), each.role, each.id))


def _worst(candidates: Sequence[Member], peers: Sequence[Member]) -> Member:
    """Return who is missed least: most peers in its failure domain."""
    return max(candidates, key=lambda each: (_near(each, peers), each.id))


def _near(member: Member, peers: Sequence[Member]) -> int:
    return sum(each.failure_domain == member.failure_domain for each in peers)
