"""A cluster of real processes on machines of their own: `jepsen.cluster.Cluster`, done.

The rule of this file: it does what it is told to members and links, once, and says what went wrong;
what is done when is for nemeses and `jepsen.run` to say.
"""

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from attrs import define, field, frozen

from jepsen import disk
from jepsen.cluster import ClusterError, Links, Need
from jepsen.endpoint import Member
from jepsen.nemesis.clock import ENVIRONMENT, RIGHT, library
from jepsen.network import CLIENT_PORT, PEER_PORT, Network, has_program
from jepsen.ports import free_ports
from jepsen.processes import Process
from jepsen.registry import Registry
from jepsen.servers import Place, Server, environment

LOOK_S: Final = 0.05
READY_S: Final = 60.0
"""How long a cluster may take until all members answer and follow one leader."""
RESTORED: Final = "restored"
DISK_MIB: Final = 512


class Proxies(Links, Protocol):
    """The links between members, where they pass a proxy."""

    pid_of: Callable[[int], int | None]
    """The process of a member."""

    def peer_url(self, number: int) -> str:
        """The URL at which others reach a member's peer port."""
        ...

    def close(self) -> None:
        """Pass nothing on any more."""
        ...


@frozen
class Builds:
    """What members run: at first, and after an upgrade."""

    first: Server
    second: Server | None = None


@define(eq=False)
class Machine:
    """One member's place."""

    place: Place
    process: Process
    member: Member
    is_second: bool = False
    joining: tuple[tuple[str, str], ...] = ()


@define(eq=False)
class Machines:
    """See Cluster. Verbs are called by one thread at a time."""

    size: int
    slots: int
    directory: Path
    """Everything of this run: `members/` the logs, `data/` the data."""
    builds: Builds
    network: Network
    registry: Registry
    uses: frozenset[Need] = frozenset()
    """What nemeses of this run asked for: clocks and disks are only laid out if they are."""
    proxies: Proxies | None = None
    seen_whole: Callable[[], int] = lambda: 1
    """Up to which revision witnesses have seen everything."""
    machines: list[Machine] = field(init=False, factory=list[Machine])
    _is_over: bool = False
    _starting: threading.Lock = field(factory=threading.Lock)
    """Held while a process starts: once the run is over, none does."""

    def __attrs_post_init__(self) -> None:
        for folder in ("members", "data", "files"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        self.machines = [self._machine(number) for number in range(self.slots)]
        if self.proxies is not None:
            self.proxies.pid_of = self._last_pid

    def _machine(self, number: int) -> Machine:
        name, network = f"m{number}", self.network
        host = network.address(number)
        client = f"http://{host}:{network.client_port(number)}"
        peer = f"http://{host}:{network.peer_port(number)}"
        advertised = peer if self.proxies is None else self.proxies.peer_url(number)
        place = Place(name, self._data(number), client, peer, advertised)
        log = self.directory / "members" / f"{name}.log"
        process = Process(name, log, self.registry)
        return Machine(place, process, Member(client.removeprefix("http://")))

    # ---- the whole

    def lay_out(self) -> None:
        """Make data directories, on file systems of their own where some nemesis wants them."""
        for number, machine in enumerate(self.machines):
            if self._has_disks():
                mount = self.disk_mount(number)
                self.registry.note("mount", str(mount))
                disk.make(self._image(number), mount, DISK_MIB)
            machine.place.data.mkdir(parents=True, exist_ok=True)
            machine.place.data.chmod(0o700)

    def form(self) -> None:
        """Start all founding members and wait until they follow one leader.

        Raises ClusterError, with the end of the log of who does not answer.
        """
        for number in range(self.size):
            self.start(number)
        until = time.monotonic() + READY_S
        while not self.leads():
            for number in range(self.size):
                if not self.is_up(number):
                    raise ClusterError(f"{self.name(number)} ended:\n{self._end_of_log(number)}")
            if time.monotonic() > until:
                silent = [n for n in range(self.size) if self.machines[n].member.status() is None]
                tail = self._end_of_log(silent[0] if silent else 0)
                raise ClusterError(f"nobody leads after {READY_S:.0f} s:\n{tail}")
            time.sleep(LOOK_S)

    def leads(self) -> bool:
        """Whether all founding members answer and follow one of them."""
        told = [self.machines[number].member.status() for number in range(self.size)]
        leaders = {0 if each is None else each.leader for each in told}
        return len(leaders) == 1 and 0 not in leaders

    def close(self) -> None:
        """End whoever runs, and lose all connections."""
        with self._starting:
            self._is_over = True
        for machine in self.machines:
            machine.process.kill()
            machine.member.close()
        if self.proxies is not None:
            self.proxies.close()
        if self._has_disks():
            for number in range(self.slots):
                disk.unmount(self.disk_mount(number))

    def lacks(self, need: Need) -> str:
        """See Cluster."""
        match need:
            case Need.PROCESSES:
                return ""
            case Need.NAMESPACES:
                return "" if self.network.has_namespaces else "there are none in this run"
            case Need.IPTABLES:
                return self._tried("iptables", "-w", "-L", "-n")
            case Need.TBF:
                return self._lacks_tbf()
            case Need.LINKS:
                return "" if self.proxies is not None else "members talk to each other directly"
            case Need.FAKETIME:
                if self.builds.first.is_static:
                    return f"{self.builds.first.label} is linked statically"
                return "" if library() else "libfaketime is not installed"
            case Need.DISKS:
                return disk.is_possible()
            case Need.SPARE:
                return "" if self.slots > self.size else "all machines are taken"
            case Need.SECOND_BUILD:
                return "" if self.builds.second is not None else "--upgrade-to was not given"

    def _lacks_tbf(self) -> str:
        device = self.network.device(0)
        bucket = ("tbf", "rate", "10gbit", "burst", "1mb", "latency", "300ms")
        why = self._tried("tc", "qdisc", "replace", "dev", device, "root", *bucket)
        return why or self._tried("tc", "qdisc", "del", "dev", device, "root")

    def _tried(self, *command: str) -> str:
        """Why a command cannot be run on a machine of this run."""
        if not self.network.has_namespaces:
            return "there are no namespaces in this run"
        if not has_program(command[0]):
            return f"the program {command[0]} is not installed"
        try:
            self.run_in(0, command)
        except ClusterError as error:
            return str(error)
        return ""

    # ---- processes

    def is_up(self, number: int) -> bool:
        """See Cluster."""
        return self.machines[number].process.is_up()

    def start(self, number: int, joining: Sequence[tuple[str, str]] = ()) -> None:
        """See Cluster."""
        machine = self.machines[number]
        if machine.process.is_up():
            return
        machine.joining = tuple(joining) or machine.joining
        founders = [(self.name(n), self.peer_url(n)) for n in range(self.size)]
        build = self._build(machine)
        command = build.command(
            machine.place, machine.joining or founders, joins=bool(machine.joining)
        )
        command = [*self.network.entering(number), *command]
        self._start(machine.process, command, build.directory, self._clock(number))

    def _start(
        self, process: Process, command: Sequence[str], directory: Path, more: Mapping[str, str]
    ) -> None:
        """Start a process, unless the run is over: a nemesis may still be healing then."""
        with self._starting:
            if self._is_over:
                raise ClusterError("the run is over")
            process.start(command, directory, environment(more))

    def wait_ready(self, number: int, patience_s: float) -> bool:
        """See Cluster."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            if not self.is_up(number):
                return False
            if self.machines[number].member.status() is not None:
                return True
            time.sleep(LOOK_S)
        return False

    def stop(self, number: int) -> int:
        """See Cluster."""
        return self.machines[number].process.stop()

    def kill(self, number: int) -> None:
        """See Cluster."""
        self.machines[number].process.kill()

    def pid(self, number: int) -> int | None:
        """See Cluster."""
        return self.machines[number].process.pid if self.is_up(number) else None

    def _last_pid(self, number: int) -> int | None:
        return self.machines[number].process.last_pid

    def pause(self, number: int) -> None:
        """See Cluster."""
        self.machines[number].process.signal(signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """See Cluster."""
        self.machines[number].process.signal(signal.SIGCONT)

    def exit_code(self, number: int) -> int | None:
        """See Cluster."""
        return self.machines[number].process.exit_code()

    def log_text(self, number: int) -> str:
        """See Cluster."""
        log = self.machines[number].process.log
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def data_directory(self, number: int) -> Path:
        """See Cluster."""
        return self.machines[number].place.data

    def wipe(self, number: int) -> None:
        """See Cluster."""
        assert not self.is_up(number), "only the data of a member that is down are deleted"
        for path in self.data_directory(number).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def use_second_build(self, number: int, *, second: bool) -> None:
        """See Cluster."""
        assert self.builds.second is not None or not second, "there is no second build"
        self.machines[number].is_second = second

    # ---- how it is asked

    def name(self, number: int) -> str:
        """See Cluster."""
        return self.machines[number].place.name

    def client_endpoint(self, number: int) -> str:
        """See Cluster."""
        return self.machines[number].member.endpoint

    def peer_url(self, number: int) -> str:
        """See Cluster."""
        return self.machines[number].place.advertised_peer_url

    @contextmanager
    def restored(self, snapshot: Path) -> Generator[str]:
        """See Cluster. It lives on the clients' machine."""
        data = self.directory / "data" / RESTORED
        shutil.rmtree(data, ignore_errors=True)
        client, peer = self._spare_urls()
        place = Place(RESTORED, data, client, peer, peer)
        build = self.builds.first
        made = subprocess.run(
            build.restoring(snapshot, place), cwd=build.directory, capture_output=True, check=False
        )
        if made.returncode:
            raise ClusterError(f"{snapshot} is not restored: {made.stderr.decode().strip()}")
        process = Process(RESTORED, self.directory / "members" / f"{RESTORED}.log", self.registry)
        command = build.command(place, [(RESTORED, peer)], joins=False)
        self._start(process, command, build.directory, {})
        member = Member(client.removeprefix("http://"))
        try:
            _wait_alone(member, process)
            yield member.endpoint
        finally:
            process.kill()
            member.close()
            shutil.rmtree(data, ignore_errors=True)

    def witnessed(self) -> int:
        """See Cluster."""
        return self.seen_whole()

    # ---- links

    def address(self, number: int) -> str:
        """See Cluster."""
        return self.network.address(number)

    def device(self, number: int) -> str:
        """See Cluster."""
        return self.network.device(number)

    def run_in(self, number: int, command: Sequence[str]) -> str:
        """See Cluster."""
        whole = [*self.network.entering(number), *command]
        try:
            done = subprocess.run(whole, capture_output=True, check=False, text=True)
        except OSError as error:
            raise ClusterError(f"{' '.join(command)}: {error}") from error
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    @property
    def links(self) -> Links:
        """See Cluster."""
        assert self.proxies is not None, "links that pass no proxy"
        return self.proxies

    # ---- clocks and disks

    def clock_file(self, number: int) -> Path:
        """See Cluster."""
        return self.directory / "files" / f"clock-{self.name(number)}"

    def disk_mount(self, number: int) -> Path:
        """See Cluster."""
        return self.directory / "disks" / f"m{number}"

    def disk_remount(self, number: int) -> None:
        """See Cluster."""
        mount = self.disk_mount(number)
        disk.unmount(mount)
        disk.attach(self._image(number), mount)

    def _has_disks(self) -> bool:
        return Need.DISKS in self.uses and not disk.is_possible()

    def _image(self, number: int) -> Path:
        return self.directory / "files" / f"m{number}.img"

    def _data(self, number: int) -> Path:
        if self._has_disks():
            return self.disk_mount(number) / "data"
        return self.directory / "data" / f"m{number}"

    def _clock(self, number: int) -> Mapping[str, str]:
        """What a member finds in its environment so that its clocks can be bent."""
        preloaded = library()
        if Need.FAKETIME not in self.uses or preloaded is None:
            return {}
        self.clock_file(number).write_text(RIGHT, encoding="ascii")
        return {
            **ENVIRONMENT,
            "LD_PRELOAD": str(preloaded),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock_file(number)),
        }

    def _build(self, machine: Machine) -> Server:
        second = self.builds.second
        return second if machine.is_second and second is not None else self.builds.first

    def _spare_urls(self) -> tuple[str, str]:
        if self.network.has_namespaces:
            return f"http://127.0.0.1:{CLIENT_PORT}", f"http://127.0.0.1:{PEER_PORT}"
        client, peer = free_ports(2)
        return f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"

    def _end_of_log(self, number: int) -> str:
        with suppress(OSError):
            return self.log_text(number)[-2000:]
        return "no log"


def _wait_alone(member: Member, process: Process) -> None:
    """Wait until a cluster of one leads itself."""
    until = time.monotonic() + READY_S
    while (told := member.status()) is None or not told.leader:
        if not process.is_up() or time.monotonic() > until:
            raise ClusterError(f"what was restored does not run: see {process.log}")
        time.sleep(LOOK_S)
