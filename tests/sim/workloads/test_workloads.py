"""Every workload on one perfect copy: what it reaches, and that the checkers find nothing in it."""

from functools import cache

import pytest

from sim.check import check, explain, shape
from sim.generate import make_plan
from sim.history import Event, Seen
from sim.ops import (
    Compact,
    Failed,
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
from sim.workloads.catalogue import WORKLOADS
from sim.workloads.watch import resumed
from tests.single_copy import NO_LEADER, Played, play

EXPECTED = {
    shape.COMPACTED,
    shape.FUTURE,
    shape.LEASE_NOT_FOUND,
    shape.LEASE_EXISTS,
    shape.DUPLICATE,
    NO_LEADER,
}


@cache
def played(workload: str, seed: int = 1, lost: int = 3) -> Played:
    plan = make_plan(
        seed,
        {
            "workload": workload,
            "mix": (),
            "operations": 400,
            "members": 3,
            "clients": 4,
            "watchers": 6,
            "keys": 4,
            "think_ms": 10,
            "value_bytes": 10,
            "timeout_ms": 400,
            "duration_ms": 30_000,
            "faults": ("client", "operations"),
            "bug": "",
        },
    )
    return play(plan, lost=lost, refused=lost, breaks_ms=4_000)


def results(done: Played, kind: type) -> list[tuple[Op, Result]]:
    return [(call.op, call.result) for call in done.history.calls if isinstance(call.op, kind)]


def values_put(op: Op) -> list[str]:
    if isinstance(op, Put):
        return [op.value]
    if isinstance(op, Txn):
        return [value for each in (*op.then, *op.orelse) for value in values_put(each)]
    return []


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_found_in_what_a_perfect_copy_answered(workload: str, seed: int) -> None:
    found = check(played(workload, seed).history)
    assert not found, explain(found[0])


@pytest.mark.parametrize("workload", WORKLOADS)
def test_most_is_answered_and_nothing_fails_in_an_unexpected_way(workload: str) -> None:
    done = played(workload)
    calls = done.history.calls
    texts = {call.result.text for call in calls if isinstance(call.result, Failed)}
    assert texts <= EXPECTED
    oks = sum(not isinstance(call.result, Failed | Unknown) for call in calls)
    assert len(calls) > 300
    assert oks > 0.7 * len(calls)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_intent_of_the_workload_is_performed(workload: str) -> None:
    wanted = {intent.name for intent in WORKLOADS[workload].intents}
    performed = [do for seed in (1, 2, 3) for do in played(workload, seed).clients.counts]
    assert wanted <= set(performed)


@pytest.mark.parametrize("workload", [name for name in WORKLOADS if name != "kube"])
def test_no_two_operations_write_the_same_value(workload: str) -> None:
    calls = played(workload).history.calls
    values = [value for call in calls for value in values_put(call.op) if "final" not in value]
    assert len(values) == len(set(values))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_broken_watch_is_resumed_where_it_was(workload: str) -> None:
    watchers = played(workload).history.watchers
    broken = [watcher for watcher in watchers if watcher.seen and watcher.seen[-1].kind == "lost"]
    resumed_at = {watcher.spec.rev for watcher in watchers}
    assert len(broken) > 5
    assert len(resumed_at) > 5


def test_no_process_goes_on_after_an_unknown_outcome() -> None:
    calls = played("register", lost=10).history.calls
    retired: set[int] = set()
    for call in calls:
        assert call.process not in retired
        if isinstance(call.result, Unknown):
            retired.add(call.process)
    assert len(retired) > 20


def test_the_same_plan_plays_the_same_history() -> None:
    one = played("kube", 5).history
    played.cache_clear()
    assert played("kube", 5).history == one


# ---- each workload's own point


def test_a_swap_succeeds_often_and_fails_often() -> None:
    outcomes = [done.succeeded for _, done in results(played("register"), Txn)
                if isinstance(done, TxnDone)]  # fmt: skip
    assert 0.2 < sum(outcomes) / len(outcomes) < 0.95


def test_lists_grow_by_one_element_a_version() -> None:
    done = played("append")
    lists: dict[str, list[str]] = {}
    for op, result in results(done, Txn):
        if isinstance(op, Txn) and isinstance(result, TxnDone) and result.succeeded:
            put = op.then[0]
            assert isinstance(put, Put)
            lists.setdefault(put.key, []).append(put.value)
    assert max(len(values) for values in lists.values()) > 20
    elements = [value.split(",")[-1] for values in lists.values() for value in values]
    assert len(elements) == len(set(elements))


def test_a_set_is_read_page_after_page_at_one_revision() -> None:
    pages = [
        (op, done)
        for op, done in results(played("set"), Range)
        if isinstance(op, Range) and isinstance(done, RangeDone) and op.limit and op.rev
    ]
    assert len(pages) > 10


def test_transactions_nest_and_are_refused_whole() -> None:
    done = played("txn")
    nested = [
        op
        for op, result in results(done, Txn)
        if isinstance(op, Txn)
        and isinstance(result, TxnDone)
        and any(isinstance(each, TxnDone) for each in result.results)
    ]
    twice = [result for _, result in results(done, Txn) if result == Failed(shape.DUPLICATE)]
    assert len(nested) > 5
    assert len(twice) > 1


def test_leases_are_renewed_expire_and_take_their_keys() -> None:
    done = played("lease")
    renewed = [
        result
        for call in done.history.calls
        if isinstance(result := call.result, KeepAliveDone) and result.ttl_s > 0
    ]
    deletes = [
        event
        for watcher in done.history.watchers
        for seen in watcher.seen
        for event in seen.events
        if event.kind == "delete"
    ]
    assert len(renewed) > 10
    assert deletes
    assert not done.copy.model.leases


def test_compactions_are_done_again_and_in_the_future_and_refused() -> None:
    done = played("compaction")
    kinds = {type(result) for _, result in results(done, Compact)}
    assert len(kinds) >= 2
    late = [result for _, result in results(done, Range) if result == Failed(shape.COMPACTED)]
    assert len(late) > 3
    compacted = [
        seen for watcher in done.history.watchers for seen in watcher.seen if seen.compact_rev
    ]
    assert compacted


def test_watchers_begin_in_the_past_now_and_in_the_future() -> None:
    names = {"watch.now", "watch.past", "watch.compacted", "watch.future", "watch.fickle"}
    begun = [name for seed in (1, 2, 3) for name in played("watch", seed).clients.counts]
    assert names <= set(begun)
    done = played("watch")
    ahead = [
        watcher.spec.rev - watcher.seen[0].rev for watcher in done.history.watchers if watcher.seen
    ]
    assert min(ahead) < 0 < max(ahead)
    assert any(not watcher.spec.rev for watcher in done.history.watchers)
    assert done.copy.progress_asked


def test_an_informer_s_cache_is_the_store() -> None:
    done = played("kube")
    caches = [memory.cache for memory in done.clients.memories if memory.cached_rev]
    live = {
        name: (kv.mod, kv.value)
        for name, kv in done.copy.model.live.items()
        if name.startswith("k/pods/")
    }
    assert len(caches) == 3
    assert all(cache == live for cache in caches)


def test_compactors_take_turns_and_compact() -> None:
    done = played("kube")
    claims = [
        result.succeeded
        for op, result in results(done, Txn)
        if isinstance(op, Txn)
        and isinstance(result, TxnDone)
        and op.compare
        and op.compare[0].key == "compact_rev_key"
    ]
    assert True in claims
    assert False in claims
    assert done.copy.model.compacted > 0


def test_every_run_ends_with_a_write_and_reads_of_every_member() -> None:
    done = played("register")
    last = [call for call in done.history.calls if call.invoked_us >= 36_000_000]
    assert {call.member for call in last if call.op == Range("\0", "\0")} == {0, 1, 2}
    assert sum(isinstance(call.result, PutDone) for call in last) >= 2


# ---- where to resume


KV = Kv("a", "1", 5, 9, 1)


@pytest.mark.parametrize(
    ("rev", "seen", "then"),
    [
        (0, Seen(0, "created", 7), 8),
        (3, Seen(0, "created", 7), 3),
        (3, Seen(0, "events", 12, (Event("put", KV),)), 10),
        (3, Seen(0, "events", 12, (Event("put", KV),), fragment=True), 9),
        (3, Seen(0, "progress", 12), 13),
        (20, Seen(0, "progress", 12), 20),
        (3, Seen(0, "canceled", 12, compact_rev=6), 6),
        (3, Seen(0, "lost", 0), 3),
    ],
)
def test_a_watch_resumes_after_the_last_whole_revision(rev: int, seen: Seen, then: int) -> None:
    assert resumed(rev, seen) == then
