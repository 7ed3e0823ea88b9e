"""The settings that make members a cluster, with etcd's complaints."""

import attrs
import pytest

from net.listen import ListenUrl
from net.tls import TlsOptions
from server.clustering import PeerMember, is_local
from server.settings import Notice
from tests.configured import configured, faults

TLS = ("--peer-cert-file=c", "--peer-key-file=k", "--peer-trusted-ca-file=a")
THREE = "a=https://10.0.0.1:2380,b=https://10.0.0.2:2380,c=https://10.0.0.3:2380"


def test_a_static_cluster_lists_every_member_with_all_its_urls() -> None:
    config = configured(
        "--name=b", "--initial-advertise-peer-urls=https://10.0.0.2:2380,https://h:2390",
        "--listen-peer-urls=https://10.0.0.2:2380", *TLS,
        f"--initial-cluster={THREE},b=https://h:2390", "--initial-cluster-token=t",
        "--initial-cluster-state=new",
    )  # fmt: skip
    assert config.initial_cluster == (
        PeerMember("a", ("https://10.0.0.1:2380",)),
        PeerMember("b", ("https://10.0.0.2:2380", "https://h:2390")),
        PeerMember("c", ("https://10.0.0.3:2380",)),
    )
    assert config.founding_faults == ()
    assert config.listen_peer == (ListenUrl("https", host="10.0.0.2", port=2380),)


def test_what_kubeadm_writes_for_a_member_that_joins_is_understood() -> None:
    config = configured(
        "--name=cp-2", "--initial-advertise-peer-urls=https://10.0.0.2:2380",
        "--listen-peer-urls=https://10.0.0.2:2380", *TLS, "--peer-client-cert-auth=true",
        "--initial-cluster=cp-2=https://10.0.0.2:2380,cp-1=https://10.0.0.1:2380",
        "--initial-cluster-state=existing",
    )  # fmt: skip
    assert config.initial_cluster_existing
    assert config.peer_tls == TlsOptions("c", "k", "a", client_cert_required=True)
    assert config.founding_faults == ()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--initial-cluster=a=http://h:1",),
         'couldn\'t find local name "default" in the initial cluster configuration; add '
         "default=URL, or give --name as it stands there."),
        (("--initial-cluster=default",),
         '"default" is no pair; write it as default=http://host:2380.'),
        (("--initial-cluster=default=http://h",),
         '"http://h" is no URL that others can use; write http://host:port.'),
        (("--initial-cluster=,",),
         "it names no member; write name=http://host:2380 for each."),
        (("--initial-cluster=default=http://h:1",),
         "--initial-cluster has default=http://h:1 but missing from "
         "--initial-advertise-peer-urls=http://localhost:2380."),
        (("--initial-cluster=default=http://h:1",
          "--initial-advertise-peer-urls=http://h:1,http://i:1"),
         "--initial-advertise-peer-urls has http://i:1 but missing from "
         "--initial-cluster=default=http://h:1,default=http://i:1."),
        (("--initial-cluster=default=http://h:1,b=http://h:1",
          "--initial-advertise-peer-urls=http://h:1"),
         "initial cluster b=http://h:1,default=http://h:1 has duplicate url; each member has "
         "URLs of its own."),
    ],
)  # fmt: skip
def test_a_list_of_founders_is_checked_as_etcd_checks_it(
    args: tuple[str, ...], sentence: str
) -> None:
    assert configured(*args).founding_faults == (f"{args[0]}: {sentence}",)


def test_a_member_that_joins_may_advertise_what_the_list_does_not_have() -> None:
    args = ("--initial-cluster=default=http://h:1", "--initial-cluster-state=existing")
    assert configured(*args).founding_faults == ()


def test_a_lone_member_keeps_a_peer_port_closed_that_strangers_could_use() -> None:
    url = "http://10.0.0.5:2380"
    config = configured(f"--listen-peer-urls={url}", f"--initial-advertise-peer-urls={url}")
    why = (
        "members talk in plain text on one machine only; write https://10.0.0.5:2380 and give "
        "--peer-cert-file, --peer-key-file and --peer-trusted-ca-file"
    )
    assert config.listen_peer == ()
    assert config.notices == (Notice("the peer port stays closed", {"url": url, "why": why}),)


def test_members_in_company_must_not_talk_in_plain_text_beyond_their_machine() -> None:
    url = "http://10.0.0.5:2380"
    args = (
        f"--listen-peer-urls={url}",
        f"--initial-advertise-peer-urls={url}",
        f"--initial-cluster=default={url},b=http://10.0.0.6:2380",
    )
    assert faults(*args) == (
        f"--listen-peer-urls={url}: {url}: members talk in plain text on one machine only; write "
        "https://10.0.0.5:2380 and give --peer-cert-file, --peer-key-file and "
        "--peer-trusted-ca-file.",
    )
    asked_for = configured(*args, "--peer-plaintext")
    assert asked_for.listen_peer == (ListenUrl("http", host="10.0.0.5", port=2380),)


def test_who_asks_for_certificates_out_of_nothing_is_told_that_there_are_none() -> None:
    alone = configured("--listen-peer-urls=https://:2380", "--peer-auto-tls")
    assert alone.listen_peer == ()
    assert faults("--listen-peer-urls=https://:2380", "--peer-auto-tls",
                  "--initial-cluster-state=existing") == (
        "--listen-peer-urls=https://:2380: https://:2380: no certificate is made up; give "
        "--peer-cert-file, --peer-key-file and --peer-trusted-ca-file.",
    )  # fmt: skip


def test_a_link_may_show_another_certificate_than_its_listener() -> None:
    config = configured("--peer-client-cert-file=d", "--peer-client-key-file=e")
    assert config.peer_dial_pair == ("d", "e")
    assert faults("--peer-client-key-file=e") == (
        "--peer-client-cert-file and --peer-client-key-file belong together: give "
        "--peer-client-cert-file.",
    )


def test_names_that_members_must_have_reach_the_peer_port() -> None:
    names = ("--peer-cert-allowed-cn=x,y", "--peer-cert-allowed-hostname=h")
    assert configured(*TLS, *names).peer_tls == TlsOptions(
        "c", "k", "a", client_cert_required=True,
        allowed_common_names=("x", "y"), allowed_hostnames=("h",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (ListenUrl("http", host="localhost", port=1), True),
        (ListenUrl("http", host="127.0.0.9", port=1), True),
        (ListenUrl("http", host="::1", port=1), True),
        (ListenUrl("unix", path="/x"), True),
        (ListenUrl("http", host="", port=1), False),
        (ListenUrl("http", host="0.0.0.0", port=1), False),
        (ListenUrl("http", host="10.0.0.1", port=1), False),
    ],
)
def test_only_loopback_and_socket_files_are_local(url: ListenUrl, *, expected: bool) -> None:
    assert is_local(url) is expected


def test_the_check_of_changes_can_be_relaxed_as_in_etcd() -> None:
    config = configured("--strict-reconfig-check=false")
    assert config == attrs.evolve(configured(), strict_reconfig=False)
