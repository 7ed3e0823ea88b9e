"""The files of k8s-dqlite's storage directory: read strictly, written as it writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.clustering import KnownMember
from server.dqlite import (
    DqliteFileError,
    Init,
    NodeInfo,
    address_of,
    cluster_text,
    host_port,
    info_text,
    node_of,
    read_cluster,
    read_failure_domain,
    read_info,
    read_init,
    read_update,
)

NODES = st.builds(
    NodeInfo,
    st.integers(0, (1 << 64) - 1),
    st.sampled_from(("127.0.0.1:9001", "[::1]:29001", "host.example:1")),
    st.sampled_from((0, 1, 2)),
)


def test_the_readmes_first_member_begins_a_cluster() -> None:
    assert read_init("Address: 127.0.0.1:29001\n") == Init("127.0.0.1:29001")


def test_the_readmes_second_member_names_the_first() -> None:
    text = "Cluster:\n- 10.0.0.1:29001\nAddress: 10.0.0.2:29001\n"
    assert read_init(text) == Init("10.0.0.2:29001", ("10.0.0.1:29001",))


def test_an_empty_list_is_a_new_cluster() -> None:
    assert read_init("Cluster: []\nAddress: h:1") == Init("h:1")
    assert read_init("Cluster:\nAddress: h:1") == Init("h:1")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "init.yaml has lines of the form Address: value."),
        ("Cluster: [a:1]", "empty address in init.yaml: write Address: host:port."),
        ("Address: h", 'init.yaml: "h" is no address: write host:port.'),
        ("Address: h:0", 'init.yaml: "h:0" is no address: write host:port.'),
        ("Address: https://h:1", 'init.yaml: "https://h:1" is no address: write host:port.'),
        ("Address: ::1:1", 'init.yaml: "::1:1" is no address: write host:port.'),
        ("Address: 12", 'init.yaml: "12" is no address: write host:port.'),
        ("Address: h:1\nCluster: i:1",
         "init.yaml: Cluster is a list of addresses: one a line, after a dash."),
        ("Address: h:1\nCluster: [1]", 'init.yaml: "1" is no address: write host:port.'),
        ("Address: h:1\nCluster: [h:1]",
         "init.yaml: h:1 is this member's Address and in Cluster: list other members there."),
        ("Address: h:1\nCuster: [i:1]",
         'init.yaml: no such field: "Custer"; it has Address, Cluster.'),
        ("a: [", "init.yaml is not YAML: while parsing a flow node expected the node content, but "
         "found '<stream end>' in \"<unicode string>\", line 1, column 5: a: [ ^."),
    ],
)  # fmt: skip
def test_an_init_that_cannot_be_meant_is_told(text: str, sentence: str) -> None:
    with pytest.raises(DqliteFileError) as told:
        read_init(text)
    assert str(told.value) == sentence


def test_an_update_gives_an_address() -> None:
    assert read_update("Address: 10.0.0.9:29001\n") == "10.0.0.9:29001"
    with pytest.raises(DqliteFileError, match=r"empty address in update\.yaml"):
        read_update("Address: ''")


def test_what_is_written_has_dqlites_keys_in_its_order() -> None:
    node = NodeInfo(3297041220608546238, "127.0.0.1:9001", 1)
    assert info_text(node) == "ID: 3297041220608546238\nAddress: 127.0.0.1:9001\nRole: 1\n"
    assert cluster_text([node, NodeInfo(1, "[::1]:2")]) == (
        "- ID: 3297041220608546238\n  Address: 127.0.0.1:9001\n  Role: 1\n"
        "- ID: 1\n  Address: '[::1]:2'\n  Role: 0\n"
    )


def test_the_order_of_keys_does_not_matter() -> None:
    assert read_cluster("- Address: a:1\n  ID: 7\n  Role: 2\n") == (NodeInfo(7, "a:1", 2),)
    assert read_cluster("") == ()


@given(st.lists(NODES, max_size=4))
def test_what_was_written_is_read(nodes: list[NodeInfo]) -> None:
    assert list(read_cluster(cluster_text(nodes))) == nodes
    for node in nodes:
        assert read_info(info_text(node)) == node


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ID: x\nAddress: a:1", 'info.yaml: "x" is no ID: it is a whole number.'),
        ("ID: -1\nAddress: a:1", 'info.yaml: "-1" is no ID: it is a whole number.'),
        ("ID: 1\nAddress: a:1\nRole: 3",
         'info.yaml: "3" is no Role: 0 votes, 1 stands by, 2 is spare.'),
        ("ID: 1", "empty address in info.yaml: write Address: host:port."),
    ],
)  # fmt: skip
def test_an_info_that_says_nothing_of_use_is_told(text: str, sentence: str) -> None:
    with pytest.raises(DqliteFileError) as told:
        read_info(text)
    assert str(told.value) == sentence


def test_a_store_of_members_that_is_no_list_is_told() -> None:
    with pytest.raises(DqliteFileError, match="is a list of members with ID, Address and Role"):
        read_cluster("ID: 1")
    with pytest.raises(DqliteFileError, match=r"x\.yaml has lines of the form ID"):
        read_cluster("- 1", name="x.yaml")


def test_a_failure_domain_is_a_number() -> None:
    assert [read_failure_domain(text) for text in ("", "0\n", "7")] == [0, 0, 7]
    for text in ("x", "-1", "true", "1.5", "[1]"):
        with pytest.raises(DqliteFileError, match="holds one whole number"):
            read_failure_domain(text)


def test_a_member_is_written_with_its_first_address() -> None:
    member = KnownMember(5, "m", ("https://10.0.0.1:29001", "https://h:2"), role=2)
    assert node_of(member) == NodeInfo(5, "10.0.0.1:29001", 2)
    assert address_of(()) == ""


def test_an_address_has_two_parts() -> None:
    assert host_port("[::1]:29001") == ("::1", 29001)
    assert host_port("h.example:1") == ("h.example", 1)
