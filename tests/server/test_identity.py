"""Ids are etcd's own; the numbers are from an etcd 3.6.16 with these settings."""

from server.identity import cluster_id, member_id


def test_a_member_has_the_id_that_etcd_gives_it() -> None:
    assert member_id(["http://127.0.0.1:23800"], "etcd-cluster") == 3319814642761637952


def test_a_cluster_has_the_id_that_etcd_gives_it() -> None:
    assert cluster_id([3319814642761637952]) == 324952591200643719


def test_the_order_of_urls_and_members_does_not_matter() -> None:
    assert member_id(["a", "b"], "t") == member_id(["b", "a"], "t")
    assert cluster_id([1, 2]) == cluster_id([2, 1])


def test_another_token_is_another_member() -> None:
    assert member_id(["a"], "t") != member_id(["a"], "u")
