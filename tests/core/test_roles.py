"""Which member is kept for what: the leader's steps, one at a time, until nothing is left to do."""

import pytest

from core.contacts import Contacts
from core.members import Member, MemberRole
from core.operations import RoleAssign
from core.quorums import View
from core.roles import LOST_MS, next_assignment

VOTER, STAND_BY, SPARE = MemberRole.VOTER, MemberRole.STAND_BY, MemberRole.SPARE
LEADER = 1


def members(roles: str, domains: str = "") -> dict[int, Member]:
    """Members by a letter each: v voter, s stand-by, p spare; domains by a digit each."""
    kinds = {"v": VOTER, "s": STAND_BY, "p": SPARE}
    return {
        number: Member(
            number, "up", (), (), kinds[letter],
            int(domains[number - 1]) if domains else 0,
        )
        for number, letter in enumerate(roles, start=1)
    }  # fmt: skip


def view(roles: str, *, gone: str = "", behind: str = "", domains: str = "") -> View:
    """The leader's view: member 1 leads; some are gone for long, some lack much of the log."""
    contacts = Contacts()
    table = members(roles, domains)
    for number in table:
        if number != LEADER:
            contacts.linked(number, 0, up=True)
            if str(number) in gone:
                contacts.linked(number, 0, up=False)
    matches = {n: 1 if str(n) in behind else 10_000 for n in table if n != LEADER}
    contacts.progressed(matches, 10_000)
    return View(table, LEADER, contacts, LOST_MS + 1)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        # Enough of everything.
        (view("vvv"), None),
        (view("vvvsss"), None),
        # A cluster of two has one voter.
        (view("vs"), None),
        (view("vv"), (2, STAND_BY)),
        # Joiners get votes, the stand-bys before the spares.
        (view("vps"), (3, VOTER)),
        (view("vvp"), (3, VOTER)),
        (view("vvss"), (3, VOTER)),
        # Who lacks much of the log, or is gone, gets none.
        (view("vvs", behind="3"), None),
        (view("vvss", behind="3"), (4, VOTER)),
        (view("vvss", gone="3"), (4, VOTER)),
        # A lost voter is replaced, and then demoted.
        (view("vvvs", gone="3"), (4, VOTER)),
        (view("vvvv", gone="3"), (3, SPARE)),
        (view("vvv", gone="3"), None),
        # One too many is demoted, but never the leader.
        (view("vvvv"), (4, STAND_BY)),
        # Stand-bys come from the spares, and go back to them.
        (view("vvvp"), (4, STAND_BY)),
        (view("vvvssss"), (7, SPARE)),
        (view("vvvss", gone="4"), (4, SPARE)),
        # What fails together is spread.
        (view("vvss", domains="1213"), (4, VOTER)),
        (view("vvvv", domains="1233"), (4, STAND_BY)),
        (view("vvvv", domains="1223"), (3, STAND_BY)),
        (view("vvpp", domains="1221"), (3, VOTER)),
    ],
)
def test_the_next_step_towards_enough_voters_and_stand_bys(
    given: View, wanted: tuple[int, MemberRole] | None
) -> None:
    step = next_assignment(given, 3, 3)
    assert step == (None if wanted is None else RoleAssign(*wanted))


def test_a_member_that_is_gone_for_a_moment_keeps_its_vote() -> None:
    given = view("vvvs", gone="3")
    moment = View(given.members, LEADER, given.contacts, LOST_MS)
    assert next_assignment(moment, 3, 3) is None


@pytest.mark.parametrize("roles", ["vp", "vpp", "vppp", "vppppp", "vvvvvvv", "vsssssp", "vvpsvs"])
@pytest.mark.parametrize("gone", ["", "2", "23", "45"])
def test_the_steps_come_to_an_end_with_all_that_can_be_had(roles: str, gone: str) -> None:
    given = view(roles, gone=gone)
    table = dict(given.members)
    for _ in range(20):
        step = next_assignment(View(table, LEADER, given.contacts, given.now_ms), 3, 3)
        if step is None:
            break
        table[step.id] = table[step.id]._replace(role=step.role)
    else:
        pytest.fail("roles go round and round")
    there = [each for number, each in table.items() if str(number) not in gone]
    assert table[LEADER].votes
    assert sum(each.votes for each in there) == min(3, len(there) if len(table) > 2 else 1)
