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
        compacted, since_ms = target, now_ms
    late_ms = 2 * min(retention_ms, HOUR_MS)
    must = max((h for at, h in heads if at <= now_ms - retention_ms - late_ms), default=0)
    assert compacted >= must, "history stays too long"


def test_a_head_that_stands_still_is_compacted_once() -> None:
    policy = KeepPeriod(HOUR_MS)
    told = [policy.step(minute * 60_000, 9) for minute in range(600)]
    assert [each for each in told if each is not None] == [9]


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
            last_ms = now_ms


def test_few_revisions_are_left_alone() -> None:
    policy = KeepNewest(100)
    told = [policy.step(each * REVISION_INTERVAL_MS, 100) for each in range(5)]
    assert told == [None] * 5
