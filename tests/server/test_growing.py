"""A lone member grows by etcd's way, with certificates: told first, then joined, then asked.

pytest tests/server/test_growing.py        some 15 s; no etcdctl is needed
"""

from pathlib import Path

from jepsen.ports import free_ports
from tests.certificates import Authority, Files
from tests.command import Told
from tests.command import trine as command
from tests.members import Member, trine
from tests.waiting import until


def certified(files: Files, authority: Authority) -> tuple[str, ...]:
    return (
        f"--peer-cert-file={files.cert_file}",
        f"--peer-key-file={files.key_file}",
        f"--peer-trusted-ca-file={authority.ca_file}",
        "--peer-client-cert-auth",
    )


def made(tmp_path: Path, name: str, peer: str, listed: str, *flags: str) -> Member:
    return trine(
        tmp_path / name, f"--name={name}", f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}", f"--initial-cluster={listed}",
        "--quota-backend-bytes=200000000", *flags,
    )  # fmt: skip


def asked(peer: str, files: Files, authority: Authority, line: str) -> Told:
    """Ask over the peer port with somebody's certificate."""
    return command("shell", "-s", peer.removeprefix("https://"), "-c", files.cert_file, "-k",
                   files.key_file, "--cacert", authority.ca_file, "-t", "5000", line)  # fmt: skip


def names(member: Member) -> list[str]:
    """Return the names of all members, as one tells them."""
    listed = command("member", "list", f"--endpoints={member.endpoint}").out
    return sorted(line.split(", ")[2] for line in listed.splitlines())


def test_a_lone_member_grows_with_certificates_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "peer-ca")
    pair = {name: authority.issue(name, "127.0.0.1", common_name=name) for name in ("m1", "m2")}
    stranger = authority.issue("other", "elsewhere.example", common_name="kube-apiserver")
    first, second = (f"https://127.0.0.1:{port}" for port in free_ports(2))
    one = made(tmp_path, "m1", first, f"m1={first}", *certified(pair["m1"], authority))
    joins = ("--initial-cluster-state=existing", *certified(pair["m2"], authority))
    two = made(tmp_path, "m2", second, f"m1={first},m2={second}", *joins)
    try:
        one.start()
        # Nobody has told the cluster: that is said at once, and nothing is left behind.
        two.start(wait=False)
        assert two.wait_ended() == 1
        assert "first tell it: etcdctl member add m2" in two.log_text()
        assert not (tmp_path / "m2").exists()
        add = ("member", "add", "m2", f"--peer-urls={second}", f"--endpoints={one.endpoint}")
        until(lambda: 'ETCD_INITIAL_CLUSTER_STATE="existing"' in command(*add).out, "not added")
        two.start()
        until(lambda: names(two) == ["m1", "m2"], "it does not tell its name")

        seen = asked(second, pair["m1"], authority, ".cluster")
        assert (seen.code, len(seen.out.splitlines())) == (0, 2)
        # A certificate of the same authority that is no member's may look, and no more.
        assert asked(second, stranger, authority, ".leader").code == 0
        address = second.removeprefix("https://")
        refused = asked(second, stranger, authority, f".remove {address}")
        assert "the certificate is none of a member's" in refused.err

        # Empty, it does not come back as who it was.
        two.kill()
        (tmp_path / "m2").rename(tmp_path / "lost")
        two.start(wait=False)
        assert two.wait_ended() == 1
        assert "has already been bootstrapped" in two.log_text()
    finally:
        one.kill()
        two.kill()
