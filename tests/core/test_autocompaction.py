"""Automatic compaction keeps what it says it keeps, and forgets the rest in time."""

from random import Random

import pytest

from core.autocompaction import REVISION_INTERVAL_MS, KeepNewest, KeepPeriod

HOUR_MS = 3_600_000


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("retention_ms", [300_000, HOUR_MS, 10 * HOUR_MS])
def test_a_period_is_kept_and_little_more(seed: int, retention_ms: int) -> None:
    chance, policy = Random(seed), KeepPeriod(retention_ms)
    heads: list[tuple[int, int]] = []
    now_ms, head, compacted, since_ms = 1_000, 1, 0, 0
    while now_ms < 5 * retention_ms:
        now_ms += chance.randrange(1, retention_ms // 40)
        head += chance.choice((0, 1, 5))
        heads.append((now_ms, head))
        target = policy.step(now_ms, head)
        if target is None:
            continue
        assert target > compacted, "it moves forward only"
        old = max((h for at, h in heads if at <= now_ms - retention_ms), default=0)
        assert target <= old, "younger than the period"
        if compacted:
            assert now_ms - since_ms >= min(retention_ms, HOUR_MS)
        policy.compacted(target)
        compacted, since_ms = target, now_ms
    late_ms = 2 * min(retention_ms, HOUR_MS)
    must = max((h for at, h in heads if at <= now_ms - retention_ms - late_ms), default=0)
    assert compacted >= must, "history stays too long"


def test_a_head_that_stands_still_is_compacted_once() -> None:
    policy = KeepPeriod(HOUR_MS)
    told: list[int] = []
    for minute in range(600):
        target = policy.step(minute * 60_000, 9)
        if target is not None:
            told.append(target)
            policy.compacted(target)
    assert told == [9]


def test_a_target_that_was_not_reached_is_named_again_a_sample_later() -> None:
    policy = KeepPeriod(HOUR_MS)
    named = [(minute, policy.step(minute * 60_000, 2 + minute)) for minute in range(80)]
    assert [each for each in named if each[1] is not None] == [(60, 2), (66, 8), (72, 14), (78, 20)]
    policy.compacted(20)
    later = [(minute, policy.step(minute * 60_000, 99)) for minute in range(80, 140)]
    assert [each for each in later if each[1] is not None] == [(138, 80)]


def test_newest_revisions_that_were_not_compacted_are_named_again_at_the_next_look() -> None:
    policy = KeepNewest(100)
    told = [policy.step(look * REVISION_INTERVAL_MS, 500) for look in range(4)]
    assert told == [None, 400, 400, 400]
    policy.compacted(400)
    assert [policy.step(look * REVISION_INTERVAL_MS, 500) for look in range(4, 7)] == [None] * 3


@pytest.mark.parametrize("seed", range(30))
def test_the_newest_revisions_are_kept(seed: int) -> None:
    chance, policy = Random(seed), KeepNewest(100)
    now_ms, head, last_ms = 0, 1, 0
    policy.step(now_ms, head)
    for _ in range(200):
        now_ms += chance.randrange(REVISION_INTERVAL_MS // 3)
        head += chance.choice((0, 0, 30, 200))
        target = policy.step(now_ms, head)
        if target is not None:
            assert target == head - 100
            assert now_ms - last_ms >= REVISION_INTERVAL_MS
            policy.compacted(target)
            last_ms = now_ms


def test_few_revisions_are_left_alone() -> None:
    policy = KeepNewest(100)
    told = [policy.step(each * REVISION_INTERVAL_MS, 100) for each in range(5)]
    assert told == [None] * 5
