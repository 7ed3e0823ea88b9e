"""A kube-apiserver with three members of a cluster as its store goes on while they come and go.

While leaders are killed, members restarted and one replaced by an empty one, writers create objects
and kubectl watches. Whatever was acknowledged is there in the end, on every member, and was told to
the watch exactly once; between two acknowledged writes little time passes; /readyz says ok again.
"""

import json
import re
import subprocess
import time
import urllib.error
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import define, field, frozen

from jepsen.ports import free_ports
from tests.clusters import Cluster
from tests.command import trine as shell
from tests.kube.apiserver import ApiServer, Kubectl
from tests.kube.store import Stored, contents
from tests.kube.world import Writer, wait_for
from tests.members import Member, trine

WRITERS = 3
READY_S = 15.0
KILLS = 3
FLOW = 15
"""So many objects are acknowledged after each blow before the next."""


@frozen
class World:
    """Three members, one apiserver on all of them, and kubectl."""

    cluster: Cluster
    server: ApiServer
    kubectl: Kubectl
    directory: Path


@pytest.fixture(scope="module")
def world(
    binaries: tuple[str, str], etcdctl: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[World]:
    directory = tmp_path_factory.mktemp("kube")
    cluster = Cluster.of(directory, etcdctl, 3)
    urls = ",".join(member.url for member in cluster.members)
    server = ApiServer(binaries[0], directory / "api", urls)
    try:
        cluster.start()
        ready_s = server.start()
        print(f"\nkube-apiserver is ready after {ready_s:.1f} s")
        yield World(cluster, server, Kubectl(binaries[1], server, directory), directory)
    finally:
        server.kill()
        cluster.kill()


@define(eq=False)
class Load:
    """Writers and a watch in one namespace, and what they saw."""

    world: World
    namespace: str
    writers: list[Writer] = field(factory=list[Writer])
    ready_s: list[float] = field(factory=list[float])
    """How long after each blow /readyz said ok and kubectl could create."""

    @property
    def count(self) -> int:
        """How many objects were acknowledged."""
        return sum(len(writer.acknowledged) for writer in self.writers)

    def go_on(self, struck_s: float) -> None:
        """After a blow: wait until all works, within the bound."""
        wanted = self.count + FLOW
        name = f"kubectl-{len(self.ready_s)}"
        assert wait_for(self._is_ready, READY_S), "/readyz does not say ok"
        assert wait_for(lambda: self._is_created(name), READY_S), "kubectl cannot create"
        self.ready_s.append(time.monotonic() - struck_s)
        assert wait_for(lambda: self.count >= wanted, READY_S), "no writes are acknowledged"

    def _is_ready(self) -> bool:
        try:
            return self.world.server.get("/readyz") == "ok"
        except (urllib.error.URLError, OSError):
            return False

    def _is_created(self, name: str) -> bool:
        told = self.world.kubectl("create", "configmap", name, "-n", self.namespace,
                                  succeeds=False)  # fmt: skip
        return "created" in told or "already exists" in told


@contextmanager
def load(world: World, namespace: str) -> Generator[Load]:
    """Let writers write and kubectl watch; then hold the cluster to what was acknowledged."""
    world.kubectl("create", "namespace", namespace)
    output = world.directory / f"{namespace}.txt"
    watching = world.kubectl.start(
        "get", "configmaps", "-n", namespace, "--watch-only", "--output-watch-events",
        "-o", 'jsonpath={.type} {.object.metadata.name}{"\\n"}', output=output,
    )  # fmt: skip
    under = Load(world, namespace)
    try:
        assert wait_for(lambda: is_watching(world, namespace, output))
        under.writers = [Writer(world.server, f"w{n}", namespace) for n in range(WRITERS)]
        assert wait_for(lambda: under.count >= FLOW)
        try:
            yield under
        finally:
            for writer in under.writers:
                writer.stop()
        hold(under, output)
    finally:
        watching.kill()
        watching.wait()


def is_watching(world: World, namespace: str, output: Path) -> bool:
    """Whether the watch tells of an object that is touched until it does."""
    world.kubectl("create", "configmap", "touched", "-n", namespace, succeeds=False)
    world.kubectl("delete", "configmap", "touched", "-n", namespace, succeeds=False)
    return "touched" in output.read_text()


def hold(under: Load, output: Path) -> None:
    """Compare what was acknowledged with every member, with a list, and with the watch."""
    world = under.world
    acknowledged = {key: rev for each in under.writers for key, rev in each.acknowledged.items()}
    prefix = f"/registry/configmaps/{under.namespace}/"
    stored: dict[str, Stored] = {}
    for member in world.cluster.members:
        stored = contents(member, prefix)
        found = {key: stored[key].revision for key in acknowledged if key in stored}
        assert found == acknowledged, f"{member.name} has lost objects"
    path = f"/api/v1/namespaces/{under.namespace}/configmaps"
    listed = {item["metadata"]["name"] for item in json.loads(world.server.get(path))["items"]}
    assert listed == {key.removeprefix(prefix) for key in stored}
    names = {key.removeprefix(prefix) for key in acknowledged}

    def told() -> Counter[str]:
        lines = re.findall(r"^ADDED (w\S+)$", output.read_text(), re.MULTILINE)
        return Counter(name for name in lines if name in names)

    assert wait_for(lambda: len(told()) == len(names)), "the watch does not tell of all"
    assert set(told().values()) <= {1}, "the watch tells of some twice"
    times = sorted(at for writer in under.writers for at in writer.times)
    gap_s = max(after - before for before, after in pairwise(times))
    spread = ", ".join(f"{each:.1f}" for each in under.ready_s)
    print(f"\n{under.namespace}: {len(names)} objects acknowledged, on every member, told once;")
    print(f"longest time without a write {gap_s:.1f} s; all works again after [s] {spread}")
    assert len(world.cluster.hashes()) == 1


def test_leaders_are_killed(world: World) -> None:
    with load(world, "killed") as under:
        for _ in range(KILLS):
            leader = world.cluster.leader()
            struck_s = time.monotonic()
            leader.kill()
            under.go_on(struck_s)
            leader.start()
            world.cluster.leader()


def test_all_three_are_restarted_in_turn(world: World) -> None:
    with load(world, "rolled") as under:
        leader = world.cluster.leader()
        for member in [*[one for one in world.cluster.members if one is not leader], leader]:
            struck_s = time.monotonic()
            assert member.stop() == 0
            member.start()
            under.go_on(struck_s)
            world.cluster.leader()


def test_a_dead_member_is_replaced_by_an_empty_one(world: World) -> None:
    cluster = world.cluster
    with load(world, "replaced") as under:
        dead = cluster.followers()[0]
        dead_id = cluster.status(dead)["id"]
        struck_s = time.monotonic()
        dead.kill()
        under.go_on(struck_s)
        leader = cluster.leader()
        assert wait_for(lambda: succeeds(cluster, leader, "member", "remove", f"{dead_id:x}"))
        new = replacement(cluster, leader, dead)
        struck_s = time.monotonic()
        new.start()
        cluster.members[cluster.members.index(dead)] = new
        under.go_on(struck_s)
        assert wait_for(lambda: voters(leader) == 3)
        print(f"\nthe new member votes after {time.monotonic() - struck_s:.1f} s")
        # It counts: without one of the old members, nothing goes on but by its vote.
        lost = cluster.leader()
        struck_s = time.monotonic()
        lost.kill()
        under.go_on(struck_s)
        lost.start()
        cluster.leader()


def replacement(cluster: Cluster, through: Member, dead: Member) -> Member:
    """A member with nothing, known to the others, at the dead one's address for clients."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    assert wait_for(lambda: succeeds(cluster, through, "member", "add", "m4", f"--peer-urls={url}"))
    listed = json.loads(cluster.ctl(through, "member", "list", "-w", "json"))["members"]
    known = {each.get("name") or "m4": each["peerURLs"][0] for each in listed}
    assert known["m4"] == url
    return trine(
        cluster.directory / "m4",
        "--name=m4",
        f"--listen-peer-urls={url}",
        f"--initial-advertise-peer-urls={url}",
        f"--initial-cluster={','.join(f'{name}={at}' for name, at in known.items())}",
        "--initial-cluster-state=existing",
        port=int(dead.url.rpartition(":")[2]),
    )


def voters(member: Member) -> int:
    """How many members vote; a new one that catches up is listed by etcdctl like one that does."""
    told = shell("shell", f"--storage-dir={member.directory}", "-f", "json", "k8s", ".cluster")
    rows: list[dict[str, object]] = json.loads(told.out) if told.code == 0 else []
    return sum(row["Role"] == 0 for row in rows)


def succeeds(cluster: Cluster, member: Member, *words: str) -> bool:
    """Whether etcdctl takes a command; prints why not."""
    try:
        cluster.ctl(member, *words)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"\n{words}: {error.stderr!r}")
        return False
    return True
