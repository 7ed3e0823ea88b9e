"""What is evened out: whatever ids two servers have, the same answers come out the same."""

import pytest

from tests.etcdctl.normal import normal
from tests.etcdctl.run import Step

PLAIN = (0x8E9E05C52164694D, 0xCDF818194E3A8C32, 0x694D9A1B2C3D4E5F)


def told(member: int, cluster: int, lease: int) -> list[Step]:
    """What etcdctl prints of a member, a cluster and a lease: padded, filled up, in decimals."""
    row = f"| 127.0.0.1:2379 | {member:x} | 3.5.1 |"
    line = "+" + "-" * (len(row) - 2) + "+"
    lines = (
        f"Member {member:16x} added to cluster {cluster:16x}",
        f"Member {member:16x} removed from cluster {cluster:16x}",
        f"{member:x}, started, default, http://127.0.0.1:2380, http://127.0.0.1:2379, false",
        f"lease {lease:016x} granted with TTL(600s)",
        f"lock/a/{lease:x}",
        f'{{"header":{{"cluster_id":{cluster},"member_id":{member}}},"ID":{lease},"ttl":599}}',
        f'"ClusterID" : {cluster}\n"MemberID" : {member}\n"TTL" : 600',
        f"{line}\n{row}\n{line}",
    )
    return [Step(f"lease revoke {lease:016x}", 0, f"{text}\n", "") for text in lines]


@pytest.mark.parametrize("zeros", range(4))
@pytest.mark.parametrize("which", range(3))
def test_an_id_that_begins_with_zeros_is_an_id(zeros: int, which: int) -> None:
    ids = list(PLAIN)
    ids[which] >>= 4 * zeros
    assert normal(told(*ids)) == normal(told(*PLAIN))


def test_two_ids_are_not_one() -> None:
    member, _, lease = PLAIN
    assert normal(told(member, member, lease)) != normal(told(*PLAIN))


@pytest.mark.parametrize("left_s", [599, 590, 540])
def test_what_is_left_of_a_lease_depends_on_the_machine(left_s: int) -> None:
    steps = [Step("lease timetolive", 0, f'{{"ttl":{ttl},"granted-ttl":600}}', "")
             for ttl in (599, left_s)]  # fmt: skip
    assert normal(steps[:1]) == normal(steps[1:])
