"""Clusters of real members by k8s-dqlite's way: its README's steps, its shell, what comes after.

pytest tests/server/test_dqlite_cluster.py        some 30 s; no etcdctl is needed
"""

import datetime
import json
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jepsen.ports import free_ports
from tests.command import Told, trine
from tests.members import Member
from tests.waiting import until


class Node:
    """One storage directory with its member, as the README has them."""

    def __init__(self, directory: Path) -> None:
        client, peer = free_ports(2)
        self.directory = directory
        self.address = f"127.0.0.1:{peer}"
        command = [sys.executable, "-m", "server.main", "serve", f"--storage-dir={directory}",
                   f"--listen=tcp://127.0.0.1:{client}"]  # fmt: skip
        self.member = Member(directory.name, command, directory, f"http://127.0.0.1:{client}")

    def prepare(self, *cluster: str, pair_of: "Node | None" = None) -> None:
        """Make the directory anew: the pair, and init.yaml."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        if pair_of is None:
            make_pair(self.directory)
        else:
            for name in ("cluster.crt", "cluster.key"):
                shutil.copy(pair_of.directory / name, self.directory / name)
        lines = ["Cluster:", *(f"- {address}" for address in cluster)] if cluster else []
        text = "\n".join([*lines, f"Address: {self.address}", ""])
        (self.directory / "init.yaml").write_text(text)

    def shell(self, command: str, *flags: str) -> Told:
        """Ask over the peer port, with the list and the pair of this directory."""
        where = self.directory
        return trine("shell", "-s", f"file://{where}/cluster.yaml", "-c", f"{where}/cluster.crt",
                     "-k", f"{where}/cluster.key", *flags, "k8s", command)  # fmt: skip

    def cluster(self) -> dict[str, int]:
        """Return the roles of all members by address, as a quorum knows them; {} without one."""
        told = self.shell(".cluster", "-f", "json", "-t", "5000")
        rows: list[dict[str, object]] = json.loads(told.out) if told.code == 0 else []
        return {str(row["Address"]): int(str(row["Role"])) for row in rows}


def make_pair(directory: Path) -> None:
    """Write a certificate of the template's form: self-signed, for names that are not looked at."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "k8s")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("elsewhere")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "cluster.crt").write_bytes(certificate.public_bytes(pem))
    (directory / "cluster.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@contextmanager
def nodes(tmp_path: Path, count: int) -> Generator[list[Node]]:
    """Form a cluster by the README's steps; end whatever runs afterwards."""
    found = [Node(tmp_path / f"n{number}") for number in range(1, count + 1)]
    first = found[0]
    try:
        first.prepare()
        first.member.start()
        for node in found[1:]:
            node.prepare(first.address, pair_of=first)
            node.member.start()
            until(partial(is_known, first, node.address), "it did not join")
        yield found
    finally:
        for node in found:
            node.member.kill()


def test_the_readmes_steps_make_a_cluster_of_three_voters(tmp_path: Path) -> None:
    with nodes(tmp_path, 3) as three:
        wanted = {node.address: 0 for node in three}
        until(lambda: three[0].cluster() == wanted, "they do not all vote")
        for node in three:
            until(partial(is_listed, node, set(wanted)), "its files are not current")
            until(partial(is_absent, node.directory / "init.yaml"), "init.yaml stays")
        told = three[2].shell("select count(*) from kine", "-f", "json")
        assert (told.code, told.err) == (0, "")
        # The owner of a directory needs neither list nor pair.
        owner = partial(trine, "shell", f"--storage-dir={three[1].directory}", "k8s", ".leader")
        until(lambda: owner().out == three[1].shell(".leader").out != "", "they name two leaders")
        leader = owner().out.strip()
        assert leader in wanted
        assert (three[1].directory / "control.sock").stat().st_mode & 0o777 == 0o600

        # A leader that ends hands over; the others go on.
        by_address = {node.address: node for node in three}
        assert by_address[leader].member.stop() == 0
        rest = next(node for node in three if node.address != leader)
        others = set(wanted) - {leader}
        until(lambda: rest.shell(".leader", "-t", "10000").out.strip() in others, "nobody leads")


def is_removed(asked: Node, node: Node) -> bool:
    """Try to remove a member; whether it is none any more.

    As etcd has it, a cluster whose members have not been connected for 5 s is not changed; and a
    change whose answer came too late may have been made.
    """
    asked.shell(f".remove {node.address}", "-t", "5000")
    members = asked.cluster()
    return bool(members) and node.address not in members


def is_absent(path: Path) -> bool:
    """Whether a file is gone."""
    return not path.exists()


def is_known(node: Node, address: str) -> bool:
    """Whether a quorum knows a member."""
    return address in node.cluster()


def is_listed(node: Node, wanted: set[str]) -> bool:
    """Whether a directory's cluster.yaml lists these, and its info.yaml a voter."""
    if any(is_absent(node.directory / name) for name in ("cluster.yaml", "info.yaml")):
        return False
    text = (node.directory / "cluster.yaml").read_text()
    found = {line.split()[-1] for line in text.splitlines() if "Address" in line}
    info = (node.directory / "info.yaml").read_text()
    return found == wanted and info.endswith(f"Address: {node.address}\nRole: 0\n")


def test_a_stand_by_takes_the_place_of_a_lost_voter(tmp_path: Path) -> None:
    with nodes(tmp_path, 4) as four:
        first = four[0]
        roles: dict[str, int] = {}

        def are_given() -> bool:
            roles.update(first.cluster())
            return sorted(roles.values()) == [0, 0, 0, 1]

        until(are_given, "the roles are others")
        lost = next(node for node in four[1:] if roles[node.address] == 0)
        stand_by = next(node for node in four if roles[node.address] == 1)
        until((stand_by.directory / "cluster.yaml").exists, "it has not heard of the cluster")
        told = stand_by.shell(f".describe {stand_by.address}")
        assert told.out == f"{stand_by.address}|0|0\n"
        lost.member.kill()
        until(lambda: first.cluster().get(stand_by.address) == 0, "it does not vote")
        until(lambda: first.cluster().get(lost.address) == 2, "who is lost keeps its role")
        # It comes back, and gets what there is to do.
        (lost.directory / "failure-domain").write_text("7\n")
        lost.member.start()
        until(lambda: first.cluster().get(lost.address) == 1, "it does not stand by")
        assert lost.shell(f".describe {lost.address}").out == f"{lost.address}|7|0\n"


def test_a_member_is_removed_stops_and_comes_back_as_another(tmp_path: Path) -> None:
    with nodes(tmp_path, 3) as three:
        first, _, third = three
        until(lambda: set(first.cluster().values()) == {0}, "they do not all vote")
        until(partial(is_removed, first, third), "it is not removed")
        assert third.member.wait_ended() == 0
        assert third.address not in first.cluster()
        third.member.start(wait=False)
        # It knows by itself, or is told.
        assert third.member.wait_ended() in (0, 1)
        assert "permanently removed" in third.member.log_text()
        third.prepare(first.address, pair_of=first)
        third.member.start()
        until(lambda: first.cluster().get(third.address) == 0, "it did not come back")


def test_who_lost_its_data_is_not_taken_for_who_it_was(tmp_path: Path) -> None:
    with nodes(tmp_path, 2) as (first, second):
        until(lambda: first.cluster().get(second.address) is not None, "it did not join")
        until(lambda: (second.directory / "info.yaml").exists(), "no info.yaml")
        second.member.kill()
        second.prepare(first.address, pair_of=first)
        second.member.start(wait=False)
        until(lambda: bool(second.member.log_lines("cannot join yet; trying on")), "it joined")
        until(lambda: "is a member already" in second.member.log_text(), "it is not told why")
        # Removed by somebody, it goes on by itself.
        until(partial(is_removed, first, second), "it is not removed")
        second.member.wait_ready()


def test_a_member_that_moved_is_known_by_its_new_address(tmp_path: Path) -> None:
    with nodes(tmp_path, 3) as (first, second, _):
        until(lambda: set(first.cluster().values()) == {0}, "they do not all vote")
        second.member.stop()
        moved = f"127.0.0.1:{free_ports(1)[0]}"
        (second.directory / "update.yaml").write_text(f"Address: {moved}\n")
        second.member.start()
        until(lambda: moved in first.cluster(), "nobody knows where it is")
        assert second.address not in first.cluster()
        until(lambda: not (second.directory / "update.yaml").exists(), "update.yaml stays")


def test_a_cluster_that_lost_its_quorum_is_begun_anew(tmp_path: Path) -> None:
    with nodes(tmp_path, 3) as (first, second, third):
        until(lambda: set(first.cluster().values()) == {0}, "they do not all vote")
        second.member.kill()
        third.member.kill()
        told = first.shell(".cluster", "-t", "20000")
        assert "no quorum answers" in told.err
        assert trine("recover", str(first.directory), "--yes").code == 2
        first.member.kill()
        assert trine("recover", str(first.directory), "--yes").code == 0
        first.member.start()
        until(lambda: first.cluster() == {first.address: 0}, "it is not alone")
        # Who belongs to the old cluster stays outside; wiped, it joins.
        second.member.start(wait=False)
        until(lambda: "is not" in second.member.log_text(), "it was let in")
        assert first.cluster() == {first.address: 0}
        second.member.kill()
        second.prepare(first.address, pair_of=first)
        second.member.start()
        until(lambda: second.address in first.cluster(), "it did not join")


def test_a_member_killed_while_it_joins_never_founds_a_cluster_of_its_own(tmp_path: Path) -> None:
    """Whenever it dies, it goes on as who it was told to be."""
    with nodes(tmp_path, 1) as (first,):
        second = Node(tmp_path / "n2")
        second.prepare(first.address, pair_of=first)
        ends_s = 0.05
        try:
            while not (second.directory / "info.yaml").exists():
                second.member.start(wait=False)
                until(lambda: has_joined(second), "it did not join")
                time.sleep(ends_s)
                second.member.kill()
                ends_s *= 2
                assert ends_s < 60
            second.member.start()
            until(lambda: set(first.cluster()) == {first.address, second.address}, "others")
            # It may become a voter between the two answers.
            until(lambda: second.cluster() == first.cluster() != {}, "they tell different things")
            until(lambda: not (second.directory / "join").exists(), "join stays")
        finally:
            second.member.kill()


def has_joined(node: Node) -> bool:
    """Whether a cluster told a member who it is, or told it long ago."""
    return any((node.directory / name).exists() for name in ("join", "info.yaml"))
