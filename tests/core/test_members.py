"""Members as rows, and their share of the state's hash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.members import (
    BrokenMemberError,
    Member,
    MemberRole,
    body,
    configuration,
    from_rows,
    member_hash,
    member_of,
    rows,
)

TEXTS = st.lists(st.text(max_size=6), max_size=3).map(tuple)
members = st.builds(
    Member,
    st.integers(1, (1 << 64) - 1),
    st.text(max_size=6),
    TEXTS,
    TEXTS,
    st.sampled_from(MemberRole),
    st.integers(0, (1 << 64) - 1),
)
A = Member(1, "a", ("http://a:2380",), ("http://a:2379",))
B = Member(2, "", ("http://b:2380",), (), MemberRole.STAND_BY)


@given(st.lists(members, unique_by=lambda each: each.id), st.sets(st.integers(1 << 64, 1 << 65)))
def test_a_table_gives_back_exactly_its_members(table: list[Member], removed: set[int]) -> None:
    known = {each.id: each for each in table}
    assert from_rows(rows(known, removed)) == (known, removed)


@given(members, st.data())
def test_a_cut_row_is_refused(member: Member, data: st.DataObject) -> None:
    encoded = body(member)
    cut = data.draw(st.integers(1, len(encoded) - 1))
    with pytest.raises(BrokenMemberError):
        member_of(member.id, encoded[:cut])


def test_rows_lie_by_id_whatever_the_order_they_came_in() -> None:
    assert [each for each, _ in rows({2: B, 1: A}, [3, 0])] == [0, 1, 2, 3]


def test_who_is_no_voter_has_no_vote_in_the_configuration() -> None:
    assert configuration({2: B, 1: A}) == {1: True, 2: False}


@pytest.mark.parametrize(
    "other",
    [
        A._replace(id=2), A._replace(name="b"), A._replace(peer_urls=()),
        A._replace(client_urls=("http://b:2379",)), A._replace(role=MemberRole.SPARE),
        A._replace(peer_urls=A.client_urls, client_urls=A.peer_urls),
    ],
)  # fmt: skip
def test_whatever_differs_shows_in_the_hash(other: Member) -> None:
    assert member_hash(other) != member_hash(A)
