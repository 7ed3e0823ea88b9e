"""Leases that end too early, seen by their keys alone."""

from jepsen.judge import judge
from sim.history import Call, Event, History, Seen, Watcher, WatchSpec
from sim.ops import Grant, GrantDone, Kv, Put, PutDone

SECOND = 1_000_000


def history(gone_us: int) -> History:
    """Return a run in which a key of a lease of 6 s, granted at 1 s, is gone by a time."""
    calls = [
        Call(0, 0, 0, Grant(7, 6), SECOND, SECOND + 1, GrantDone(1, 7, 6)),
        Call(1, 0, 0, Put("l/0", "x", 7), SECOND + 2, SECOND + 3, PutDone(2)),
    ]
    watcher = Watcher(0, 9, 0, WatchSpec("\0", "\0", 1), 0)
    watcher.seen = [
        Seen(1, "created", 1),
        Seen(SECOND + 4, "events", 2, (Event("put", Kv("l/0", "x", 2, 2, 1, 7)),)),
        Seen(gone_us, "events", 3, (Event("delete", Kv("l/0", "", 0, 3, 0)),)),
    ]
    return History(calls=calls, watchers=[watcher], ended_us=20 * SECOND)


def test_keys_that_vanish_before_their_leases_time_are_found() -> None:
    (finding,) = judge(history(4 * SECOND), ["lease"]).findings
    assert (finding.workload, finding.klass) == ("lease", "lease/early")
    assert "3.000000 s after a renewal for 6 s" in finding.why


def test_keys_that_vanish_in_time_are_not() -> None:
    judgement = judge(history(7 * SECOND + 10_000), ["lease"])
    assert judgement.passed
    assert judgement.tally.judged["lease", "lease"] == (2, "answers and ends")
