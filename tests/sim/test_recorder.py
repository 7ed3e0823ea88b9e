"""What becomes of a client's doings in a history."""

from attrs import define

from sim.history import NEVER_US, Call, History, Seen, Watcher, WatchSpec
from sim.ops import Failed, Put, PutDone, Range, RangeDone, Unknown
from sim.recorder import Recorder


@define
class Clock:
    us: int = 0

    def __call__(self) -> int:
        self.us += 10
        return self.us


def recorder() -> tuple[Recorder, History]:
    history = History()
    return Recorder(history, Clock()), history


def test_calls_lie_in_the_order_of_their_invocation() -> None:
    record, history = recorder()
    first = record.invoke(0, 1, Range("a"))
    second = record.invoke(1, 2, Put("a", "1"))
    record.finish(second, PutDone(2))
    record.finish(first, RangeDone(2, (), 0))
    record.end()
    assert history.calls == [
        Call(0, 0, 1, Range("a"), 10, 40, RangeDone(2, (), 0)),
        Call(1, 1, 2, Put("a", "1"), 20, 30, PutDone(2)),
    ]
    assert history.ended_us == 50


def test_an_unknown_outcome_never_returns() -> None:
    record, history = recorder()
    record.finish(record.invoke(0, 0, Put("a", "1")), Unknown("deadline"))
    assert history.calls == [Call(0, 0, 0, Put("a", "1"), 10, NEVER_US, Unknown("deadline"))]


def test_a_refusal_returns() -> None:
    record, history = recorder()
    record.finish(record.invoke(0, 0, Put("a", "1")), Failed("no"))
    assert history.calls == [Call(0, 0, 0, Put("a", "1"), 10, 20, Failed("no"))]


def test_what_has_no_answer_at_the_end_is_unknown() -> None:
    record, history = recorder()
    record.invoke(0, 0, Put("a", "1"))
    record.end()
    assert history.calls == [Call(0, 0, 0, Put("a", "1"), 10, NEVER_US, Unknown("no answer"))]


def test_a_watcher_sees_at_the_time_at_which_it_sees() -> None:
    record, history = recorder()
    watcher = record.open(3, 1, WatchSpec("a"), after_rev=7)
    record.see(watcher, Seen(0, "created", 8))
    record.close(watcher)
    record.close(watcher)
    assert history.watchers == [
        Watcher(0, 3, 1, WatchSpec("a"), 10, 7, [Seen(20, "created", 8)], 30)
    ]
