"""Clusters of real processes on loopback, founded by --initial-cluster.

The rule of this file: every member is waited for with a bound and ended by who started it. What is
asked is asked by etcdctl, as an operator would.
"""

import json
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from jepsen.ports import free_ports
from tests.members import Member, trine

PATIENCE_S = 60.0
LOOK_S = 0.05
QUICK = ("--quota-backend-bytes=200000000",)
PATIENT = ("--dial-timeout=30s", "--command-timeout=30s")
"""In place of etcdctl's 2 s and 5 s; the words of a call may say otherwise."""


@define
class Cluster:
    """Members m1 to mn, each with its own directory and log."""

    directory: Path
    etcdctl: Path
    members: list[Member] = field(factory=list[Member])
    peer_ports: list[int] = field(factory=list[int])
    ctl_flags: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        directory: Path,
        etcdctl: Path,
        size: int,
        *flags: str,
        scheme: str = "http",
        own_flags: Sequence[Sequence[str]] = (),
    ) -> "Cluster":
        """So many members; none is started."""
        ports = free_ports(2 * size)
        urls = [f"{scheme}://127.0.0.1:{port}" for port in ports[size:]]
        initial = ",".join(f"m{number}={url}" for number, url in enumerate(urls, start=1))
        cluster = cls(directory, etcdctl, peer_ports=ports[size:])
        for number, (port, url) in enumerate(zip(ports, urls, strict=False), start=1):
            member = trine(
                directory / f"m{number}",
                f"--name=m{number}",
                f"--listen-peer-urls={url}",
                f"--initial-advertise-peer-urls={url}",
                f"--initial-cluster={initial}",
                *QUICK,
                *flags,
                *(own_flags[number - 1] if own_flags else ()),
                port=port,
            )
            cluster.members.append(member)
        return cluster

    def start(self) -> None:
        """Start all, and wait until one leads."""
        for member in self.members:
            member.start(wait=False)
        for member in self.members:
            member.wait_ready()
        self.leader()

    def kill(self) -> None:
        """End whoever runs."""
        for member in self.members:
            member.kill()

    def ctl(
        self, member: Member, *words: str, stdin: bytes | None = None, timeout_s: float = PATIENCE_S
    ) -> str:
        """Run etcdctl on one member; its output. Raises CalledProcessError, TimeoutExpired."""
        command = [str(self.etcdctl), f"--endpoints={member.endpoint}", *PATIENT]
        command += [*self.ctl_flags, *words]
        done = subprocess.run(
            command, capture_output=True, input=stdin, check=True, timeout=timeout_s
        )
        return done.stdout.decode()

    def status(self, member: Member) -> dict[str, int]:
        """What a member says of itself, numbers only."""
        (told,) = json.loads(self.ctl(member, "endpoint", "status", "-w", "json"))
        status = told["Status"]
        return {
            "id": status["header"]["member_id"],
            "leader": status.get("leader", 0),
            "term": status.get("raftTerm", 0),
            "applied": status.get("raftAppliedIndex", 0),
            "revision": status["header"]["revision"],
        }

    def leader(self) -> Member:
        """Wait until one leads whom all that run follow; return it."""
        until = time.monotonic() + PATIENCE_S
        told: list[tuple[Member, dict[str, int]]] = []
        while time.monotonic() < until:
            told = [(one, self.status(one)) for one in self.members if one.is_running()]
            leaders = {status["leader"] for _, status in told}
            if len(leaders) == 1 and leaders != {0}:
                (leader,) = leaders
                found = [one for one, status in told if status["id"] == leader]
                if found:
                    return found[0]
            time.sleep(LOOK_S)
        raise AssertionError(f"nobody leads: {told}")

    def followers(self) -> list[Member]:
        """Who runs and does not lead."""
        leader = self.leader()
        return [one for one in self.members if one.is_running() and one is not leader]

    def wait_equal(self) -> None:
        """Wait until all that run have applied the same."""
        until = time.monotonic() + PATIENCE_S
        told: set[int] = set()
        while time.monotonic() < until:
            told = {self.status(one)["applied"] for one in self.members if one.is_running()}
            if len(told) == 1:
                return
            time.sleep(LOOK_S)
        raise AssertionError(f"they differ: {told}")

    def hashes(self) -> set[str]:
        """The different answers of HashKV at the newest revision of all that run."""
        self.wait_equal()
        return {
            str(json.loads(self.ctl(one, "endpoint", "hashkv", "-w", "json"))[0]["HashKV"]["hash"])
            for one in self.members
            if one.is_running()
        }


@contextmanager
def running(cluster: Cluster) -> Generator[Cluster]:
    """Start a cluster, and end it in any case."""
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
