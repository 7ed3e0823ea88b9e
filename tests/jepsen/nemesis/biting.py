"""One nemesis against a real cluster of three: that it bites, seen from inside, and that it heals.

The rule of this file: a program of its own, since namespaces and grpc's threads are a process's
for good: `python -m tests.jepsen.nemesis.biting NAME DIRECTORY`. It ends with 0 if all held, with
77 and a sentence on stdout if this machine cannot do it, and with a traceback otherwise.
"""

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex

from attrs import define, frozen

from jepsen import disk
from jepsen.cluster import ClusterError, Need
from jepsen.machines import Builds, Machines
from jepsen.nemesis.blow import Argument, Blow, Held
from jepsen.nemesis.catalogue import NEMESES, lacks, wanted
from jepsen.nemesis.operator import (
    ask,
    contents,
    is_settled,
    leader,
    members,
    status,
    statuses,
    wait,
)
from jepsen.network import Loopback, Namespaces, Network, why_no_namespaces
from jepsen.proxy import LinkProxy
from jepsen.registry import Registry
from jepsen.servers import Trine
from net.etcd.pb import rpc_pb2 as pb

ABSENT = 77
SIZE = 3
PATIENCE_S = 60.0
QUICK_S = 2.0
KEY, VALUE = b"key", b"value"


class AbsentError(Exception):
    """This machine cannot do it; says why."""


@define(eq=False)
class Bite:
    """One nemesis and the cluster that it strikes."""

    name: str
    machines: Machines

    def strike(self, do: str, **arguments: Argument) -> Held:
        """Strike once, with all well before."""
        self.settle()
        return NEMESES[self.name].begin(Blow(0, 1, self.name, do, 1, arguments), self.machines)

    def settle(self) -> None:
        """Wait until the cluster is whole."""
        assert wait(lambda: is_settled(self.machines), PATIENCE_S), "it does not become whole"

    def leader(self) -> int:
        """Wait until somebody leads, and all who answer say who."""
        found: list[int | None] = []

        def is_known() -> bool:
            found.append(leader(self.machines))
            return found[-1] is not None

        assert wait(is_known, PATIENCE_S), "nobody leads"
        assert found[-1] is not None
        return found[-1]

    def put(self, number: int, value: bytes = VALUE, patience_s: float = PATIENCE_S) -> None:
        """Write by a member. Raises ClusterError."""
        request = pb.PutRequest(key=KEY, value=value)
        endpoint = self.machines.client_endpoint(number)
        ask(endpoint, "/etcdserverpb.KV/Put", request, pb.PutResponse, patience_s)

    def refuses(self, number: int, value: bytes = VALUE) -> bool:
        """Whether a write by a member is not acknowledged in time."""
        try:
            self.put(number, value, QUICK_S)
        except ClusterError:
            return True
        return False

    def goes_on_without(self, struck: int) -> None:
        """Assert that others elect one of them, and acknowledge writes."""
        others = [number for number in range(SIZE) if number != struck]

        def is_led() -> bool:
            told = statuses(self.machines)
            leaders = {told[n].leader for n in others if n in told}
            ids = {told[n].header.member_id for n in others if n in told}
            return len(leaders) == 1 and leaders <= ids

        assert wait(is_led, PATIENCE_S), "the others do not elect one of them"
        self.put(others[0])

    def heals(self, held: Held) -> str:
        """Undo it, and assert that the cluster is whole; what there was to say."""
        said = held.release()
        NEMESES[self.name].heal(self.machines)
        self.settle()
        self.put(0)
        return said


def kill(bite: Bite) -> None:
    struck = bite.leader()
    held = bite.strike("kill", who="leader")
    assert held.members == (struck,)
    assert status(bite.machines.client_endpoint(struck)) is None
    bite.goes_on_without(struck)
    bite.heals(held)
    held = bite.strike("loop", who="one")
    assert not bite.machines.is_up(held.members[0])
    bite.heals(held)


def pause(bite: Bite) -> None:
    struck = bite.leader()
    held = bite.strike("pause", who="leader")
    assert held.members == (struck,)
    assert bite.machines.is_up(struck)
    assert status(bite.machines.client_endpoint(struck)) is None
    bite.goes_on_without(struck)
    bite.heals(held)


def partition(bite: Bite) -> None:
    for how in ("drop", "reset"):
        bite.settle()
        struck = bite.leader()
        held = bite.strike("isolate-leader", how=how)
        bite.goes_on_without(struck)
        assert wait(partial(_follows_nobody, bite, struck), PATIENCE_S), "it believes that it leads"
        assert bite.refuses(struck)
        bite.heals(held)


def partition_by_proxy(bite: Bite) -> None:
    partition(bite)


def loss(bite: Bite) -> None:
    held = bite.strike("loss", who="leader", percent=50)
    bite.put((held.members[0] + 1) % SIZE)
    assert wait(lambda: _dropped(bite, held.members[0]) > 0, PATIENCE_S)
    bite.heals(held)
    assert _dropped(bite, held.members[0]) == 0


def rate(bite: Bite) -> None:
    large = bytes(200_000)
    plain_s = min(_timed(lambda: bite.put(bite.leader(), large)) for _ in range(3))
    held = bite.strike("rate", who="leader", kbit=256)
    # Two followers' copies are 3.2 Mbit; it may lose its office, and the write, meanwhile.
    narrow_s = _timed(lambda: bite.refuses(held.members[0], large))
    assert narrow_s > plain_s + 1
    bite.heals(held)


def delay(bite: Bite) -> None:
    plain_s = min(_timed(lambda: bite.put(bite.leader())) for _ in range(5))
    held = bite.strike("delay", who="leader", delay_ms=200, jitter_ms=0)
    late_s = _timed(lambda: bite.put(held.members[0]))
    assert late_s > plain_s + 0.15
    bite.heals(held)


def clock(bite: Bite) -> None:
    held = bite.strike("rate", who="all", percent=150)
    spent_s = _lease_s(bite, ttl_s=6)
    assert 3 < spent_s < 5.5, f"at one and a half times, 6 s are {spent_s:.1f} s"
    bite.heals(held)
    spent_s = _lease_s(bite, ttl_s=3)
    assert 2.9 < spent_s < 6, f"at the right rate, 3 s are {spent_s:.1f} s"
    held = bite.strike("jump", who="all", ms=20_000)
    # All patience with the leader ran out at once: they may elect anew.
    bite.settle()
    spent_s = _lease_s(bite, ttl_s=3)
    assert 2.9 < spent_s < 6, f"after a jump, 3 s are {spent_s:.1f} s"
    bite.heals(held)


def disk_full(bite: Bite) -> None:
    held = bite.strike("full", who="leader", left_bytes=0)
    # The journal has room made ready: it takes a while until there is none.
    assert wait(lambda: _fills(bite, held.members[0]), PATIENCE_S), "writes go on"
    said = bite.heals(held)
    assert "alarms cleared" in said, said


def disk_eio(bite: Bite) -> None:
    held = bite.strike("eio", who="leader", left_bytes=0)
    struck = held.members[0]
    assert disk.is_lost(bite.machines.disk_mount(struck))
    # Who writes nothing does not notice.
    assert bite.refuses(struck)
    bite.goes_on_without(struck)
    assert wait(lambda: not bite.machines.is_up(struck), PATIENCE_S), "it goes on without a disk"
    assert "had ended" in bite.heals(held)


def disk_power(bite: Bite) -> None:
    for number in range(20):
        bite.put(0, str(number).encode())
    bite.put(0, b"acknowledged")
    held = bite.strike("power", who="all", left_bytes=0)
    assert not statuses(bite.machines)
    held.release()
    bite.settle()
    for number in range(SIZE):
        assert contents(bite.machines.client_endpoint(number))[KEY][0] == b"acknowledged"
    NEMESES[bite.name].heal(bite.machines)


def corrupt(bite: Bite) -> None:
    for number in range(50):
        bite.put(0, str(number).encode() * 100)
    for do, part in (("flip", "journal"), ("cut", "journal"), ("flip", "store"), ("cut", "store")):
        held = bite.strike(do, part=part, who="one")
        assert not bite.machines.is_up(held.members[0])
        said = bite.heals(held)
        assert said.startswith(("it refused, with exit code 1: cannot start: ", "it came back")), (
            said
        )


def member(bite: Bite) -> None:
    machines = bite.machines
    for who, kind in (("leader", "voter"), ("follower", "learner")):
        held = bite.strike("replace", who=who, **{"as": kind})
        struck = held.members[0]
        left = machines.client_endpoint((struck + 1) % SIZE)
        assert len(members(left)) == SIZE - 1
        assert not any(machines.data_directory(struck).iterdir())
        assert bite.heals(held) == "it is back"
        assert len(members(left)) == SIZE
    held = bite.strike("grow", **{"as": "learner"})
    assert len(members(machines.client_endpoint(0))) == SIZE + 1
    bite.heals(held)
    assert len(members(machines.client_endpoint(0))) == SIZE


def admin(bite: Bite) -> None:
    bite.put(0)
    before = bite.leader()
    assert bite.heals(bite.strike("move-leader")).startswith(f"{before} handed over")
    assert bite.leader() != before
    assert "restored as of revision" in bite.heals(bite.strike("snapshot"))
    assert bite.heals(bite.strike("defragment")) == "all defragmented"
    assert "exit codes [0, 0, 0]" in bite.heals(bite.strike("restart"))


def upgrade(bite: Bite) -> None:
    before = [bite.machines.pid(number) for number in range(SIZE)]
    assert "exit codes [0, 0, 0]" in bite.heals(bite.strike("roll"))
    assert not set(before) & {bite.machines.pid(number) for number in range(SIZE)}
    assert all(machine.is_second for machine in bite.machines.machines)


def _follows_nobody(bite: Bite, number: int) -> bool:
    told = status(bite.machines.client_endpoint(number))
    return told is not None and not told.leader


def _dropped(bite: Bite, number: int) -> int:
    """How many packets rules of a member's namespace have taken."""
    table = bite.machines.run_in(number, ("iptables", "-w", "-L", "INPUT", "-v", "-n", "-x"))
    return sum(int(line.split()[0]) for line in table.splitlines() if " DROP " in line)


def _timed(deed: Callable[[], object]) -> float:
    began_s = time.monotonic()
    deed()
    return time.monotonic() - began_s


def _lease_s(bite: Bite, ttl_s: int) -> float:
    """How long a lease lives by our clock."""
    began_s, endpoint = time.monotonic(), bite.machines.client_endpoint(bite.leader())
    path = "/etcdserverpb.Lease/Lease"
    grant = pb.LeaseGrantRequest(TTL=ttl_s)
    lease = ask(endpoint, f"{path}Grant", grant, pb.LeaseGrantResponse).ID
    left = pb.LeaseTimeToLiveRequest(ID=lease)

    def is_gone() -> bool:
        told = ask(endpoint, f"{path}TimeToLive", left, pb.LeaseTimeToLiveResponse)
        return told.TTL == -1

    assert wait(is_gone, PATIENCE_S), "it never ends"
    return time.monotonic() - began_s


def _fills(bite: Bite, number: int) -> bool:
    """Write a megabyte; whether a write was refused, or the member ended, for want of space."""
    try:
        bite.put(number, os.urandom(1_000_000), QUICK_S)
    except ClusterError as error:
        return "space exceeded" in str(error)
    return False


@frozen
class Scene:
    """How a nemesis is shown: by which function, and what its cluster has."""

    nemesis: str
    show: Callable[[Bite], None]
    is_loopback: bool = False


SCENES = {
    "kill": Scene("kill", kill),
    "pause": Scene("pause", pause),
    "partition": Scene("partition", partition),
    "partition-by-proxy": Scene("partition", partition_by_proxy, is_loopback=True),
    "loss": Scene("loss", loss),
    "rate": Scene("rate", rate),
    "delay": Scene("delay", delay),
    "delay-on-loopback": Scene("delay", delay, is_loopback=True),
    "clock": Scene("clock", clock),
    "disk-full": Scene("disk", disk_full),
    "disk-eio": Scene("disk", disk_eio),
    "disk-power": Scene("disk", disk_power),
    "corrupt": Scene("corrupt", corrupt),
    "member": Scene("member", member),
    "admin": Scene("admin", admin),
    "upgrade": Scene("upgrade", upgrade),
}


@contextmanager
def cluster(scene: Scene, directory: Path) -> Generator[Machines]:
    """Form a cluster that has what the scene needs. Raises AbsentError."""
    why_not = "" if scene.is_loopback else why_no_namespaces()
    if why_not:
        raise AbsentError(why_not)
    registry, uses = Registry(token_hex(2), directory / "registry"), wanted([scene.nemesis])
    slots = SIZE + (Need.SPARE in uses)
    try:
        network: Network = Loopback(slots) if scene.is_loopback else Namespaces(registry, slots)
        network.enter()
        proxied = scene.is_loopback or Need.LINKS in uses
        proxies = LinkProxy(network, slots) if proxied else None
        builds = Builds(Trine(), Trine())
        machines = Machines(SIZE, slots, directory, builds, network, registry, uses, proxies)
        try:
            why_not = lacks(scene.nemesis, machines)
            if why_not:
                raise AbsentError(why_not)
            machines.lay_out()
            machines.form()
            yield machines
        finally:
            machines.close()
            network.leave()
    finally:
        left = registry.close()
        assert not left, left


def main(name: str, directory: Path) -> int:
    """Show one scene."""
    scene = SCENES[name]
    try:
        with cluster(scene, directory) as machines:
            scene.show(Bite(scene.nemesis, machines))
    except AbsentError as error:
        print(error)
        return ABSENT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
