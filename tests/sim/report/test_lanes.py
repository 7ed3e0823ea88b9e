"""Lanes: nothing overlaps, clients keep theirs, and points lie where operations took effect."""

from hypothesis import given
from hypothesis import strategies as st

from sim.history import NEVER_US, Call, Logged
from sim.ops import Failed, Put, PutDone, Range, RangeDone, Result, Unknown
from sim.report.lanes import client_lanes, pack, points
from tests.made_runs import made_run

SPANS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda each: (each[0], sum(each))),
    max_size=30,
)


@given(SPANS)
def test_spans_of_one_lane_never_overlap(spans: list[tuple[int, int]]) -> None:
    lanes = pack(spans)
    for a, one in enumerate(spans):
        for b, two in enumerate(spans):
            if a < b and lanes[a] == lanes[b]:
                assert one[1] <= two[0] or two[1] <= one[0]


@given(SPANS)
def test_no_more_lanes_than_spans_at_one_time(spans: list[tuple[int, int]]) -> None:
    most = max(
        (sum(a <= t < b or a == t == b for a, b in spans) for t, _ in spans),
        default=0,
    )
    empty = sum(a == b for a, b in spans)
    assert len(set(pack(spans))) <= most + empty


def test_a_client_keeps_its_lane_when_its_process_is_retired() -> None:
    calls = [
        call(0, 0, 10, 20, PutDone(2)),
        call(1, 0, 30, NEVER_US, Unknown("deadline")),
        call(2, 1, 12, 400, PutDone(3)),
        call(3, 6, 200, 210, PutDone(4)),
    ]
    assert client_lanes(calls, 1000) == {0: 0, 1: 1, 6: 0}


def test_a_made_run_has_a_lane_a_client() -> None:
    run = made_run()
    lanes = client_lanes(run.history.calls, run.history.ended_us)
    assert set(lanes.values()) <= set(range(8))


def test_a_write_takes_effect_when_it_is_known_to_be_committed() -> None:
    calls = [call(0, 0, 10, 20, PutDone(2)), call(1, 1, 11, 30, PutDone(3))]
    assert points(calls, log(0, 1), {1: 14, 2: 17}) == {0: 14, 1: 17}


def test_points_keep_the_order_of_the_log_and_the_times_of_the_operations() -> None:
    calls = [call(0, 0, 10, 20, PutDone(2)), call(1, 1, 5, 8, PutDone(3))]
    assert points(calls, log(0, 1), {1: 12, 2: 50}) == {0: 12, 1: 12}


def test_a_read_takes_effect_at_its_revision() -> None:
    read = Call(1, 1, 0, Range("k"), 15, 40, RangeDone(2, (), 0))
    calls = [call(0, 0, 10, 20, PutDone(2)), read]
    assert points(calls, log(0), {1: 18}) == {0: 18, 1: 18}


def test_a_read_of_what_was_over_has_no_point() -> None:
    calls = [call(0, 0, 10, 20, PutDone(2)), call(1, 0, 21, 30, PutDone(3))]
    stale = Call(2, 1, 0, Range("k"), 40, 50, RangeDone(2, (), 0))
    late = Call(3, 1, 0, Range("k"), 22, 50, RangeDone(2, (), 0))
    placed = points([*calls, stale, late], log(0, 1), {1: 15, 2: 25})
    assert placed == {0: 15, 1: 25, 3: 22}


def test_what_may_never_have_happened_has_no_point() -> None:
    calls = [
        call(0, 0, 10, NEVER_US, Unknown("deadline")),
        call(1, 1, 10, 20, Failed("no leader")),
        Call(2, 2, 0, Range("k", serializable=True), 15, 40, RangeDone(1, (), 0)),
    ]
    assert points(calls, [], {}) == {}
    assert points(calls, log(0), {}) == {0: 10}


def call(number: int, process: int, invoked: int, returned: int, result: Result) -> Call:
    """A put."""
    return Call(number, process, 0, Put("k", "v"), invoked, returned, result)


def log(*numbers: int) -> list[Logged]:
    """A log of puts by the calls of these numbers."""
    return [Logged(n, 0, 1, each, Put("k", "v"), n + 1) for n, each in enumerate(numbers, 1)]
