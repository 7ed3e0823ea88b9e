"""A trace for a terminal: a line an event, a column a member."""

import pytest

from sim.report.text import status_lines
from sim.report.trace import TraceError
from tests.made_runs import made_run

TRACE = [
    "0 m0 start life=1 applied=0",
    "10 m0 turn term=3 commit=8 applied=8 rev=6 lead=1",
    "20 m0 turn term=3 commit=8 applied=8 rev=6 lead=1",
    "30 net send link=0>1 id=7 bytes=120 what=append",
    "40 world fault what=halves state=on members=0,1 detail=2000 ms",
    "50 m1 turn term=3 commit=9 applied=8 rev=6 lead=0",
    "60 m0 crash how=subset",
    "70 world fault what=halves state=off members=0,1 detail=",
]


def test_each_event_that_changed_something_is_a_line() -> None:
    assert list(status_lines(TRACE, members=2)) == [
        "    seconds event             m0                      m1",
        "   0.000000 ^ m0 start        f t0 c0 a0 r0           .                       life=1",
        "   0.000010   m0 turn         L t3 c8 a8 r6           .",
        "   0.000040 + halves          on m0, m1 2000 ms",
        "   0.000050   m1 turn         .                       f t3 c9 a8 r6",
        "   0.000060 x m0 crash        x down                  .                       how=subset",
        "   0.000070 - halves          on m0, m1",
    ]


def test_messages_are_lines_on_wish() -> None:
    lines = [line for line in status_lines(TRACE, members=2, messages=True) if "send" in line]
    assert lines == ["   0.000030 0>1 send          id=7 bytes=120 what=append"]


def test_a_whole_run_has_a_line_an_index_and_member() -> None:
    run = made_run()
    assert run.history.log is not None
    lines = list(status_lines(run.trace, members=3))
    assert sum("m1 turn" in line for line in lines) == len(run.history.log)


def test_a_trace_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(TraceError, match="line 1: not"):
        list(status_lines(["hello"], members=1))
