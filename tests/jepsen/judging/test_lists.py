"""Lists: which version may follow which."""

import pytest

from jepsen.judging.lists import judge_lists, lost_between, neighbours
from sim.history import Call, History
from sim.ops import Kv, Put, PutDone, Range, RangeDone


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ("1", "1,2", ""),
        ("1,2", "1,3", "lost 2"),
        ("1,2", "1,2,3,4", "more than one element came: 3,4"),
        ("1,2", "2,1,3", "its elements changed their order"),
        ("1,2", "3", "lost 1, 2"),
        ("1,2", "1,2", "its elements changed their order"),
        ("1", "12", "lost 1"),
    ],
)
def test_a_version_is_the_one_before_and_one_element(before: str, after: str, lost: str) -> None:
    assert lost_between(before, after, may_begin_anew=False) == lost


def test_only_a_long_list_may_begin_anew() -> None:
    long = ",".join(str(number) for number in range(400))
    assert lost_between(long, "x", may_begin_anew=True) == ""
    assert lost_between(long, "x", may_begin_anew=False).startswith("lost 0, 1")
    assert lost_between("1,2", "x", may_begin_anew=True) == "lost 1, 2"


def test_versions_between_which_one_is_unknown_are_not_compared() -> None:
    first, third = Kv("a/0", "1", 2, 2, 1), Kv("a/0", "1,2,3", 2, 4, 3)
    again = Kv("a/0", "9", 6, 6, 1)
    assert list(neighbours([first, third, again])) == []


def test_who_lost_what_to_whom_is_told() -> None:
    name = "a/0"
    kvs = [Kv(name, "1", 2, 2, 1), Kv(name, "1,2", 2, 3, 2), Kv(name, "1,3", 2, 4, 3)]
    calls = [
        Call(n, n, 0, Put(name, kv.value), 10 * n, 10 * n + 5, PutDone(kv.mod))
        for n, kv in enumerate(kvs)
    ]
    calls += [
        Call(3 + n, 9, 0, Range(name), 100 + n, 100 + n, RangeDone(kv.mod, (kv,), 1))
        for n, kv in enumerate(kvs)
    ]
    (finding,), counts = judge_lists(History(calls=calls))
    assert (finding.workload, finding.klass) == ("append", "order/list-append")
    assert [side.call for side in finding.conflict] == [1, 2]
    assert finding.why == "a/0 at revision 4, written over revision 3: lost 2"
    assert counts == {"append": 2}
