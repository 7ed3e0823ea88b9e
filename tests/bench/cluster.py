"""The bench of three members: `python -m tests.bench.cluster --etcd PATH --seconds N`.

Three members of Trine and three of etcd live at once on one machine and one disk, and are asked in
turn. The CPU of a row is that of all three members. Who leads is looked up before each cell.
"""

import time
from collections.abc import Generator as Yields
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any  # click hands the options over untyped

import attrs
import click

from jepsen.ports import free_ports
from tests.bench.behind import catch_up, install
from tests.bench.cells import Cell, chosen, closed_loops, prefix_of
from tests.bench.generator import Generator, GeneratorFailed
from tests.bench.run import Bench, Settings, run_command, say, shared_options
from tests.bench.servers import Kind, Place, Server, settle_all

SIZE = 3
VALUE = 512
SHAPES = ("1x1", "16x16", "64x4")
ON_FOLLOWERS = ("range", "put")
ELECTED_S = 30.0


@attrs.frozen
class Company:
    """The members of one cluster."""

    name: str
    members: Sequence[Server]

    @staticmethod
    def of(kind: Kind, home: Path) -> "Company":
        """Three members on free ports; not started."""
        ports = free_ports(2 * SIZE)
        peers = {f"m{number}": ports[SIZE + number] for number in range(SIZE)}
        members = [
            Server(
                kind, Place(home / f"{kind.name}-{name}", ports[number], port, None, name, peers)
            )
            for number, (name, port) in enumerate(peers.items())
        ]
        return Company(kind.name, members)

    def start(self, generator: Generator) -> None:
        """Start all, and wait until each serves."""
        for member in self.members:
            member.start()
        for member in self.members:
            member.wait_until_serving(generator)

    def stop(self) -> None:
        for member in self.members:
            member.stop()

    def running(self) -> list[Server]:
        return [member for member in self.members if not member.has_ended()]

    def leader(self) -> Server:
        """Who leads, by its own metrics. Raises GeneratorFailed if nobody does for long."""
        until = time.monotonic() + ELECTED_S
        while time.monotonic() < until:
            for member in self.running():
                if member.gauge("etcd_server_is_leader"):
                    return member
            time.sleep(0.1)
        raise GeneratorFailed(f"{self.name}: nobody leads")

    def follower(self) -> Server:
        """One who does not lead."""
        leader = self.leader()
        return next(member for member in self.running() if member is not leader)

    def elections(self) -> float:
        """How many leaders its members have seen, of who saw the most."""
        name = "etcd_server_leader_changes_seen_total"
        return max(member.gauge(name) for member in self.running())


@attrs.frozen
class Seat:
    """The leader or a follower of a company, as a cell asks it."""

    company: Company
    leads: bool

    @property
    def name(self) -> str:
        return self.company.name

    @property
    def pids(self) -> str:
        return ",".join(member.pids for member in self.company.running())

    @property
    def target(self) -> dict[str, object]:
        return self._member().target

    def has_ended(self) -> bool:
        return len(self.company.running()) < SIZE

    def scrape(self) -> int:
        return sum(member.scrape() for member in self.company.running())

    def settle(self, patience_s: float = 20) -> None:
        settle_all(self.company.running(), patience_s)

    def _member(self) -> Server:
        return self.company.leader() if self.leads else self.company.follower()


def cells(keys: int, leads: bool) -> list[Cell]:
    """Every operation on the leader; what a follower passes on or answers, on a follower."""
    found: list[Cell] = []
    for cell in closed_loops(keys):
        operation, value, shape = cell.name.split("/")
        if int(value) != VALUE or shape not in SHAPES:
            continue
        if leads:
            found.append(cell)
        elif operation in ON_FOLLOWERS:
            found.append(attrs.evolve(cell, name=f"{operation}-follower/{value}/{shape}"))
    return found


@contextmanager
def serving(settings: Settings, generator: Generator) -> Yields[list[Company]]:
    """All companies, started and in the end stopped."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    companies = [Company.of(kind, settings.directory) for kind in settings.kinds]
    try:
        for company in companies:
            company.start(generator)
            say(f"{company.name}: three members serve, {company.leader().place.name} leads")
        yield companies
    finally:
        for company in companies:
            company.stop()


@attrs.frozen
class Far:
    """How far a member falls behind; 0 leaves that part out."""

    writes: int
    snapshot_mib: int


def measure(bench: Bench, far: Far) -> None:
    """All rows, then the members that fall behind."""
    settings, generator = bench.settings, bench.generator
    with serving(settings, generator) as companies:
        selected = {
            leads: chosen(cells(settings.keys, leads), settings.patterns) for leads in (True, False)
        }
        if any(selected.values()):
            for company in companies:
                population = {"prefix": prefix_of(VALUE), "keys": settings.keys, "value": VALUE}
                generator.run("preload", **company.leader().target, **population)
                say(f"{company.name}: preloaded {settings.keys} x {VALUE} B")
        for leads, rows in selected.items():
            bench.cells([Seat(company, leads) for company in companies], rows)
        for company in companies:
            bench.note("leaders seen in all cells", company.name, company.elections())
        for company in companies:
            if far.writes:
                catch_up(bench, company.leader(), company.follower(), writes=far.writes)
    for kind in settings.kinds if far.snapshot_mib else ():
        with serving(attrs.evolve(settings, kinds=[kind]), generator) as (company,):
            install(bench, company.leader(), company.follower(), mib=far.snapshot_mib)


@click.command(context_settings={"show_default": True})
@shared_options(20_000, "bench-results/cluster")
@click.option("--behind", default=100_000, help="writes that a stopped follower misses, or 0")
@click.option("--snapshot-mib", default=100, help="size of a store sent whole; acceptance: 1024")
def main(**given: Any) -> None:
    """Measure three members of Trine against three of etcd: one machine, one disk, one run."""
    far = Far(given["behind"], given["snapshot_mib"])
    population = f"{SIZE} members each, {given['keys']} keys of {VALUE} B"
    run_command(given, lambda bench: measure(bench, far), population=population)


if __name__ == "__main__":
    main()
