"""Servers by name: what is started, and what is refused with a sentence."""

import sys
from pathlib import Path

import pytest

from jepsen.servers import Endpoints, Etcd, Place, ServerError, Trine, environment, server_of

PLACE = Place("m0", Path("/data/m0"), "http://10.99.0.11:2379", "http://10.99.0.11:2380",
              "http://10.99.1.11:2380")  # fmt: skip
CLUSTER = [("m0", "http://10.99.1.11:2380"), ("m1", "http://10.99.1.12:2380")]
FLAGS = [
    "--name=m0",
    "--data-dir=/data/m0",
    "--listen-client-urls=http://10.99.0.11:2379",
    "--advertise-client-urls=http://10.99.0.11:2379",
    "--listen-peer-urls=http://10.99.0.11:2380",
    "--initial-advertise-peer-urls=http://10.99.1.11:2380",
    "--initial-cluster=m0=http://10.99.1.11:2380,m1=http://10.99.1.12:2380",
    "--initial-cluster-state=new",
    "--initial-cluster-token=trine-jepsen",
]


@pytest.fixture
def etcd(tmp_path: Path) -> Path:
    """A program called etcd."""
    path = tmp_path / "etcd"
    path.touch(mode=0o755)
    return path


def test_trine_is_started_by_the_python_that_runs_this() -> None:
    server = server_of("trine")
    assert isinstance(server, Trine)
    command = server.command(PLACE, CLUSTER, joins=False)
    assert command[:4] == [sys.executable, "-m", "server.main", "serve"]
    assert command[4 : 4 + len(FLAGS)] == FLAGS


def test_a_planted_bug_is_served_by_its_own_program() -> None:
    server = server_of("trine", planted="lost_event")
    assert isinstance(server, Trine)
    assert server.command(PLACE, CLUSTER, joins=False)[:6] == [
        sys.executable, "-m", "sim.planted.serve", "lost_event", "--", "serve"
    ]  # fmt: skip


def test_etcd_is_given_by_its_program_or_by_where_it_lies(etcd: Path) -> None:
    assert server_of(f"etcd:{etcd}") == server_of(f"etcd:{etcd.parent}") == Etcd(etcd)
    assert Etcd(etcd).command(PLACE, CLUSTER, joins=False)[: 1 + len(FLAGS)] == [str(etcd), *FLAGS]


def test_who_joins_says_so(etcd: Path) -> None:
    assert "--initial-cluster-state=existing" in Etcd(etcd).command(PLACE, CLUSTER, joins=True)


def test_endpoints_are_a_list() -> None:
    assert server_of("endpoints:a:1, http://b:2") == Endpoints(("a:1", "b:2"))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("consul", "no server is called 'consul': trine, trine:CHECKOUT, etcd:PATH, endpoints"),
        ("etcd:", "which etcd? write etcd:/path/to/etcd"),
        ("etcd:/no/such/etcd", "there is no file /no/such/etcd"),
        ("trine:/tmp", "/tmp is no checkout of trine: it has no server/main.py"),
        ("endpoints:", "endpoints: a list of HOST:PORT"),
        ("endpoints:a", "endpoints: a list of HOST:PORT"),
    ],
)
def test_what_cannot_be_run_is_told_why(words: str, why: str) -> None:
    with pytest.raises(ServerError) as refused:
        server_of(words)
    assert str(refused.value).startswith(why)


def test_a_file_that_may_not_be_executed_is_no_server(etcd: Path) -> None:
    etcd.chmod(0o644)
    with pytest.raises(ServerError, match="is not a program"):
        server_of(f"etcd:{etcd}")


def test_nothing_is_planted_into_etcd(etcd: Path) -> None:
    with pytest.raises(ServerError, match="nothing is planted into another"):
        server_of(f"etcd:{etcd}", planted="lost_event")


def test_members_are_not_told_of_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://somewhere")
    monkeypatch.setenv("ETCD_NAME", "other")
    told = environment({"LD_PRELOAD": "x"})
    assert not {"HTTPS_PROXY", "ETCD_NAME"} & set(told)
    assert told["LD_PRELOAD"] == "x"
