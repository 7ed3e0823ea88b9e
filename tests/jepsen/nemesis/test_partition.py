"""Cuts: which directions each shape takes, and that a blow lifts its own rules alone."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from jepsen.cluster import Cluster, Need
from jepsen.nemesis import partition
from jepsen.nemesis.blow import Blow
from jepsen.nemesis.partition import Loss, Pairs, Partition, cut
from tests.jepsen.nemesis.fake_cluster import FakeCluster

CHANCE = 3


def reach(pairs: Pairs, size: int, number: int) -> set[int]:
    """Whom a member talks with, both ways, without help."""
    others = set(range(size)) - {number}
    return {n for n in others if (number, n) not in pairs and (n, number) not in pairs}


def test_who_is_isolated_reaches_nobody_and_the_others_all() -> None:
    pairs = cut("isolate", 5, 2, Random(CHANCE))
    assert [len(reach(pairs, 5, n)) for n in range(5)] == [3, 3, 0, 3, 3]


def test_halves_are_a_minority_and_a_majority_that_do_not_meet() -> None:
    pairs = cut("halves", 5, 2, Random(CHANCE))
    assert sorted(len(reach(pairs, 5, n)) for n in range(5)) == [1, 1, 2, 2, 2]
    assert len(reach(pairs, 5, 2)) == 1


def test_a_bridge_is_reached_by_both_halves() -> None:
    pairs = cut("bridge", 5, 2, Random(CHANCE))
    assert [len(reach(pairs, 5, n)) for n in range(5)] == [2, 2, 4, 2, 2]


def test_in_a_ring_each_reaches_two() -> None:
    pairs = cut("ring", 5, 2, Random(CHANCE))
    assert {len(reach(pairs, 5, n)) for n in range(5)} == {2}


def test_one_way_cuts_either_what_it_sends_or_what_it_is_sent() -> None:
    found = {cut("one-way", 3, 0, Random(seed)) for seed in range(20)}
    assert found == {frozenset({(0, 1), (0, 2)}), frozenset({(1, 0), (2, 0)})}


@pytest.fixture
def leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let member 0 lead."""

    def first(who: str, cluster: Cluster, chance: Random) -> Sequence[int]:
        return (0,)

    monkeypatch.setattr(partition, "chosen", first)


@pytest.mark.usefixtures("leader")
def test_a_partition_is_rules_where_packets_arrive_and_leaves_none(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path)
    blow = Blow(0, 1, "partition", "isolate-leader", 1, {"how": "drop"})
    held = Partition().begin(blow, cluster)
    assert held.members == (0, 1, 2)
    assert cluster.rules == {
        0: [("-s", "10.0.0.2", "-j", "DROP"), ("-s", "10.0.0.3", "-j", "DROP")],
        1: [("-s", "10.0.0.1", "-j", "DROP")],
        2: [("-s", "10.0.0.1", "-j", "DROP")],
    }
    held.release()
    assert not any(cluster.rules.values())


@pytest.mark.usefixtures("leader")
def test_two_blows_on_one_link_lift_their_own_rules_alone(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path)
    loss = Loss().begin(Blow(0, 9, "loss", "loss", 1, {"who": "all", "percent": 20}), cluster)
    before = {number: list(rules) for number, rules in cluster.rules.items()}
    blow = Blow(0, 1, "partition", "isolate-leader", 1, {"how": "reset"})
    Partition().begin(blow, cluster).release()
    assert {n: rules for n, rules in cluster.rules.items() if rules} == before
    loss.release()
    assert not any(cluster.rules.values())


@pytest.mark.usefixtures("leader")
def test_without_iptables_the_proxy_cuts(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path, missing=frozenset({Need.IPTABLES}))
    blow = Blow(0, 1, "partition", "isolate-leader", 1, {"how": "reset"})
    held = Partition().begin(blow, cluster)
    assert cluster.fake_links.blocked == {
        (0, 1): "reset", (1, 0): "reset", (0, 2): "reset", (2, 0): "reset"
    }  # fmt: skip
    held.release()
    assert cluster.fake_links.blocked == {}
