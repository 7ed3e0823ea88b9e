"""Marks: each is found where it happened and nowhere else; each names what it stands for.

The rule of this file: small histories by hand; what the world counts itself is its own tests'.
"""

from sim.history import (
    NEVER_US,
    Call,
    Event,
    Expire,
    History,
    Logged,
    Seen,
    Watcher,
    WatchSpec,
)
from sim.marks import MARKS, expected, marks_of
from sim.ops import (
    Compact,
    CompactDone,
    Delete,
    DeleteDone,
    Failed,
    Grant,
    GrantDone,
    KeepAlive,
    KeepAliveDone,
    Kv,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Txn,
    TxnDone,
    Unknown,
)
from sim.run import Run


def run(history: History, **counted: int) -> Run:
    return Run(history, "", dict(counted), [])


def calls(*pairs: tuple[Op, Result]) -> list[Call]:
    return [
        Call(n, 0, 0, op, n, NEVER_US if type(result) is Unknown else n + 1, result)
        for n, (op, result) in enumerate(pairs)
    ]


def hit(*pairs: tuple[Op, Result], log: list[Logged] | None = None) -> set[str]:
    return set(marks_of(run(History(calls=calls(*pairs), log=log))))


def seen(spec: WatchSpec, *events: Seen) -> set[str]:
    watcher = Watcher(0, 0, 0, spec, 5, seen=list(events))
    compaction = Call(0, 1, 0, Compact(3), 6, 7, CompactDone(9))
    return set(marks_of(run(History(calls=[compaction], watchers=[watcher])))) - {"compaction"}


def event(mod: int, kind: str = "put", prev: Kv | None = None) -> Event:
    return Event(kind, Kv("k", "v", mod, mod, 1), prev)


def test_there_are_enough_marks_and_each_says_what_it_means() -> None:
    assert len(expected(1)) >= 40
    assert {*expected(2), *expected(2, "raft")} == set(MARKS)
    assert all(mark.words for mark in MARKS.values())


def test_an_unknown_outcome_is_told_apart_by_the_log() -> None:
    put = Put("k", "v")
    lost = hit((put, Unknown("late")), log=[])
    kept = hit((put, Unknown("late")), log=[Logged(1, 0, 1, 0, put, 2)])
    assert lost == {"unknown outcome", "unknown, never applied"}
    assert kept == {"unknown outcome", "unknown, seen applied"}
    assert hit((Range("k"), Unknown("late")), log=[]) == {"unknown outcome"}


def test_refusals_are_told_apart_by_their_texts() -> None:
    compacted = Failed("etcdserver: mvcc: required revision has been compacted")
    future = Failed("etcdserver: mvcc: required revision is a future revision")
    assert hit((Range("k", rev=1), compacted)) == {"refused", "read of the compacted"}
    assert hit((Range("k", rev=9), future)) == {"refused", "read of the future"}
    assert hit((Compact(1), compacted)) == {"refused", "compaction refused"}
    assert "refused transaction" in hit((Txn((), ()), Failed("etcdserver: key not found")))


def test_a_stale_read_is_behind_what_was_acknowledged_before() -> None:
    stale = Range("k", serializable=True)
    done = hit((Put("k", "v"), PutDone(5)), (stale, RangeDone(4, (), 0)))
    assert {"read, serializable", "read, stale"} <= done
    fresh = hit((Put("k", "v"), PutDone(5)), (stale, RangeDone(5, (), 0)))
    assert "read, stale" not in fresh


def test_transactions_are_told_by_branch_and_depth() -> None:
    inner = TxnDone(3, False, (PutDone(3),))
    done = hit((Txn((), ()), TxnDone(3, True, (inner, DeleteDone(3, 1)))))
    assert done == {"then", "nested transaction", "many changes in one revision"}


def test_deletions_of_nothing_one_and_many() -> None:
    assert hit((Delete("k"), DeleteDone(2, 0))) == {"deletion of nothing"}
    assert hit((Delete("k"), DeleteDone(3, 1))) == set()
    assert hit((Delete("a", "z"), DeleteDone(3, 4))) == {"many changes in one revision"}


def test_a_lease_that_expired_after_an_election() -> None:
    log = [
        Logged(1, 0, 1, 0, Grant(7, 5), 1),
        Logged(2, 0, 1, None, Put("k", "v", lease=7), 2),
        Logged(3, 0, 2, None, Expire(7), 3),
    ]
    done = hit((Grant(7, 5), GrantDone(1, 7, 5)), log=log)
    assert done == {
        "grant", "several terms", "lease expired", "lease expired with keys",
        "expiry after an election",
    }  # fmt: skip
    assert hit((KeepAlive(7), KeepAliveDone(1, 7, 0))) == {"keepalive of a gone lease"}


def test_a_key_that_came_back() -> None:
    log = [
        Logged(1, 0, 1, None, Put("k", "1"), 2),
        Logged(2, 0, 1, None, Delete("k"), 3),
        Logged(3, 0, 1, None, Put("k", "2"), 4),
    ]
    assert set(marks_of(run(History(log=log)))) == {"second generation"}


def test_watches_by_where_they_begin_and_what_they_see() -> None:
    created = Seen(6, "created", 9)
    assert seen(WatchSpec("k", rev=4), created) == {"watch resumed"}
    assert seen(WatchSpec("k", rev=12), created) == {"watch of the future"}
    assert seen(WatchSpec("k"), created, Seen(9, "events", 9, (event(8), event(9)))) == {
        "many revisions in one response", "watch across a compaction",
    }  # fmt: skip
    assert seen(WatchSpec("k"), Seen(6, "canceled", 9, compact_rev=5)) == {
        "watch cancelled as compacted"
    }
    filtered = WatchSpec("k", filters=("noput",))
    prev = event(5, "delete", Kv("k", "v", 2, 2, 1))
    assert seen(filtered, Seen(6, "events", 5, (prev,), fragment=True)) == {
        "filtered watch", "fragment", "previous record",
    }  # fmt: skip
    assert seen(WatchSpec("k"), Seen(6, "lost", 0), Seen(6, "progress", 9)) == {
        "watch stream lost", "progress",
    }  # fmt: skip


def test_what_the_world_counts_is_kept() -> None:
    assert marks_of(run(History(), counted=3)) == {"counted": 3}
