"""Schedules: seeded, whole, and of nothing that a cluster lacks."""

from pathlib import Path

import pytest

from jepsen.cluster import Need
from jepsen.nemesis.blow import Options
from jepsen.nemesis.catalogue import NEMESES, lacks, named, schedule, wanted
from tests.jepsen.nemesis.fake_cluster import FakeCluster

OPTIONS = Options(size=5, time_ms=240_000, has_spare=True)


def test_the_same_seed_makes_the_same_blows_and_another_one_others() -> None:
    blows = schedule(named("all"), 7, OPTIONS)
    assert blows == schedule(named("all"), 7, OPTIONS)
    assert blows != schedule(named("all"), 8, OPTIONS)


def test_every_nemesis_strikes_in_a_run_that_is_long_enough() -> None:
    assert {blow.nemesis for blow in schedule(named("all"), 1, OPTIONS)} == set(NEMESES)


def test_blows_are_in_order_and_end_in_time() -> None:
    for seed in range(50):
        blows = schedule(named("all"), seed, OPTIONS)
        assert [blow.at_ms for blow in blows] == sorted(blow.at_ms for blow in blows)
        assert all(OPTIONS.first_ms <= b.at_ms < b.until_ms <= OPTIONS.time_ms for b in blows)


def test_who_must_be_alone_never_meets_another_blow() -> None:
    for seed in range(50):
        blows = schedule(named("all"), seed, OPTIONS)
        for blow in blows:
            if NEMESES[blow.nemesis].is_alone:
                meets = [b for b in blows if b.at_ms < blow.until_ms and blow.at_ms < b.until_ms]
                assert meets == [blow]


def test_two_that_bear_company_strike_at_once_now_and_then() -> None:
    blows = schedule(["kill", "partition"], 1, OPTIONS)
    pairs = [(a, b) for a in blows for b in blows if a is not b and a.at_ms <= b.at_ms < a.until_ms]
    assert pairs
    assert all(a.nemesis != b.nemesis for a, b in pairs)


def test_no_nemesis_no_blow() -> None:
    assert schedule(named("none"), 1, OPTIONS) == []


def test_an_unknown_nemesis_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no nemesis is rain; there are: kill, .*, all, none"):
        named("kill, rain")


def test_what_a_cluster_lacks_is_said_in_a_sentence(tmp_path: Path) -> None:
    bare = FakeCluster(tmp_path, missing=frozenset(Need))
    assert all(lacks(name, bare) for name in NEMESES)
    assert lacks("clock", bare).endswith(": it is missing")


def test_a_partition_needs_packets_or_the_proxy(tmp_path: Path) -> None:
    for missing in (frozenset({Need.IPTABLES}), frozenset({Need.LINKS})):
        assert not lacks("partition", FakeCluster(tmp_path, missing=missing))
    neither = frozenset({Need.IPTABLES, Need.LINKS})
    assert lacks("partition", FakeCluster(tmp_path, missing=neither))


def test_what_is_to_be_laid_out_is_what_they_need() -> None:
    assert wanted(["kill", "clock"]) == {Need.PROCESSES, Need.FAKETIME}
