"""The command `trine jepsen`: run, matrix, check, cleanup, export.

Rule of this file: flags, sentences and exit codes; the work is done by the modules it calls, each
imported when it is needed. Exit codes: 0 passed, 1 a guarantee was broken or left undecided, 2 the
harness failed or what was asked cannot be meant.
"""

from __future__ import annotations

import random
import shlex
import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

if TYPE_CHECKING:
    from jepsen.judge import Judgement

EXIT_VERDICT: Final = 1
EXIT_HARNESS: Final = 2
MEMBERS_MAX: Final = 7

_TIME = click.option(
    "--time",
    "seconds",
    type=click.IntRange(5),
    default=60,
    show_default=True,
    help="Seconds until everything is healed.",
)
_RATE = click.option(
    "--rate",
    type=click.IntRange(1, 5_000),
    default=150,
    show_default=True,
    help="Operations a second, of all clients.",
)
_UPGRADE_TO = click.option(
    "--upgrade-to", default="", metavar="SERVER", help="The second build, for the nemesis upgrade."
)
_SPARE_KNOWN = click.option(
    "--spare-known",
    is_flag=True,
    help="Keep out of the way of etcd #18667, which every long run meets before etcd 3.7.",
)


@click.group(
    epilog="Exit codes: 0 passed, 1 a guarantee was broken or left undecided, "
    "2 the harness failed or wrong usage.",
)
def jepsen() -> None:
    """Run real members, do them harm, judge what clients saw: any etcd-API cluster."""


@jepsen.command()
@click.option(
    "--server",
    default="trine",
    show_default=True,
    help="trine, trine:CHECKOUT, etcd:PATH or endpoints:HOST:PORT,...",
)
@click.option(
    "--members",
    type=click.IntRange(1, MEMBERS_MAX),
    default=3,
    show_default=True,
    help="So many members.",
)
@click.option(
    "--workload",
    default="register",
    show_default=True,
    help="Names with commas between them, or all.",
)
@click.option(
    "--nemesis",
    default="none",
    show_default=True,
    help="Names with commas between them, all or none.",
)
@_TIME
@_RATE
@click.option("--clients", type=click.IntRange(1, 200), default=10, show_default=True)
@click.option(
    "--watchers",
    type=click.IntRange(0, 100),
    default=4,
    show_default=True,
    help="Watchers beside the witnesses.",
)
@click.option("--planted", default="", help="Run members with a planted bug of sim/planted.")
@_UPGRADE_TO
@click.option(
    "--links",
    type=click.Choice(["auto", "direct", "proxied"]),
    default="auto",
    show_default=True,
    help="Whether members talk through a proxy that can delay.",
)
@click.option("--loopback", is_flag=True, help="No namespaces, even if there can be some.")
@click.option("--keep-data", is_flag=True, help="Keep data directories though all passed.")
@click.option(
    "--as-linear",
    is_flag=True,
    help="Judge serializable reads as linearizable: a control, which must fail.",
)
@_SPARE_KNOWN
@click.option("--seed", type=click.IntRange(0), help="What is drawn is drawn from it.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where history, results and pages go.  [default: jepsen-runs/TIME]",
)
def run(
    server: str,
    members: int,
    workload: str,
    nemesis: str,
    seconds: int,
    rate: int,
    clients: int,
    watchers: int,
    planted: str,
    upgrade_to: str,
    links: str,
    loopback: bool,
    keep_data: bool,
    as_linear: bool,
    spare_known: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Run a cluster under load and harm, and judge it."""
    from jepsen.cluster import ClusterError
    from jepsen.run import NotHealedError
    from jepsen.schedule import Load
    from jepsen.whole import Asked, NotStartedError, whole_run

    load = Load(workload, members, seconds * 1000, rate, clients, watchers)
    given = seed is not None
    seed = random.randrange(1 << 31) if seed is None else seed
    out = out or Path("jepsen-runs") / time.strftime("%Y%m%d-%H%M%S")
    command = shlex.join(["trine", *sys.argv[1:], *([] if given else ["--seed", str(seed)])])
    asked = Asked(
        server, load, nemesis, seed, out, command, planted, upgrade_to, links, loopback, keep_data,
        as_linear, spare_known,
    )  # fmt: skip
    try:
        with _interruptible():
            judgement = whole_run(asked, click.echo)
    except NotStartedError as error:
        _refuse(str(error))
    except (ClusterError, NotHealedError, OSError) as error:
        click.echo(f"the harness failed: {error}\nwhat there is lies in {out}", err=True)
        sys.exit(EXIT_HARNESS)
    except KeyboardInterrupt:
        click.echo(f"interrupted; what there is lies in {out}", err=True)
        sys.exit(EXIT_HARNESS)
    click.echo(f"{'passed' if judgement.passed else 'FAILED'}: {out / 'index.html'}")
    _show(judgement)


@jepsen.command()
@click.option("--server", default="trine", show_default=True, help="As for run, but endpoints.")
@click.option(
    "--workload", default="all", show_default=True, help="Run at once, each on keys of its own."
)
@click.option(
    "--nemesis",
    default="kill,pause,partition,clock,member,admin,disk,all",
    show_default=True,
    help="A run each.",
)
@click.option("--members", default="3,5", show_default=True, help="Sizes of clusters; a run each.")
@_TIME
@_RATE
@click.option(
    "--parallel",
    type=click.IntRange(1, 32),
    default=1,
    show_default=True,
    help="So many runs at a time.",
)
@_UPGRADE_TO
@_SPARE_KNOWN
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A directory for each run, and results.json and index.html of all.",
)
def matrix(
    server: str,
    workload: str,
    nemesis: str,
    members: str,
    seconds: int,
    rate: int,
    parallel: int,
    upgrade_to: str,
    spare_known: bool,
    out: Path,
) -> None:
    """Run every nemesis with every size of a cluster, and write one table."""
    from jepsen.harm import chosen
    from jepsen.matrix import Cell, Matrix
    from jepsen.servers import Endpoints, server_of
    from jepsen.workloads.catalogue import named

    try:
        named(workload)
        for name in nemesis.split(","):
            chosen(name)
        builds = [server_of(each) for each in (server, upgrade_to) if each]
        sizes = [int(each) for each in members.split(",")]
    except ValueError as error:
        _refuse(str(error))
    if any(isinstance(each, Endpoints) for each in builds):
        _refuse("members of somebody else are left alone: name a server that can be started")
    if any(not 1 <= each <= MEMBERS_MAX for each in sizes):
        _refuse(f"a cluster has 1 to {MEMBERS_MAX} members")
    words = [f"--server={_absolute(server)}", f"--rate={rate}"]
    words += [f"--upgrade-to={_absolute(upgrade_to)}"] if upgrade_to else []
    words += ["--spare-known"] if spare_known else []
    cells = [Cell(size, name, workload) for name in nemesis.split(",") for size in sizes]
    try:
        with _interruptible():
            passed = Matrix(out.absolute(), cells, words, seconds, parallel, click.echo).run()
    except KeyboardInterrupt:
        click.echo("interrupted: what still runs ends by itself, or by trine jepsen cleanup")
        sys.exit(EXIT_HARNESS)
    click.echo(f"{'passed' if passed else 'FAILED'}: {out / 'index.html'}")
    if not passed:
        sys.exit(EXIT_VERDICT)


@jepsen.command()
@click.argument("history", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as-linear", is_flag=True, help="Judge serializable reads as linearizable.")
def check(history: Path, as_linear: bool) -> None:
    """Judge a history.jsonl again."""
    from jepsen.judge import judge
    from jepsen.workloads.catalogue import named
    from sim.history_file import read_history

    try:
        read = read_history(history)
        workloads = [each.name for each in named(str(read.facts.get("workload", "")))]
        judgement = judge(read, workloads, as_linear=as_linear)
    except ValueError as error:
        _refuse(f"{history}: {error}")
    _show(judgement)


@jepsen.command()
@click.argument("history", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to",
    "shape",
    type=click.Choice(["edn", "elle", "robustness"]),
    required=True,
    help="edn: Jepsen's, whole; elle: its list-append; robustness: that of etcd's tests.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A file; a directory for robustness.",
)
def export(history: Path, shape: str, out: Path) -> None:
    """Write a history.jsonl in the shape of another checker."""
    from jepsen.export import edn, robustness
    from sim.history_file import read_history

    try:
        read = read_history(history)
        if shape == "robustness":
            done = robustness.write(out, read)
            left = ", ".join(f"{name} {count}" for name, count in sorted(done.left_out.items()))
            click.echo(f"{done.operations} operations, {done.watches} watches to {out}; "
                       f"left out: {left or 'nothing'}")  # fmt: skip
            return
        lines = edn.lines_of(read) if shape == "edn" else edn.append_lines(read)
        out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except (ValueError, OSError) as error:
        _refuse(f"{history}: {error}")
    click.echo(f"written to {out}")


@jepsen.command()
def cleanup() -> None:
    """Take away what runs left behind that were killed: processes, mounts, namespaces."""
    from jepsen.registry import sweep

    sentences = list(sweep())
    for sentence in sentences or ["nothing was left behind"]:
        click.echo(sentence)
    if any("could not" in sentence for sentence in sentences):
        sys.exit(EXIT_HARNESS)


def _show(judgement: Judgement) -> None:
    """Print the table and the findings; end with 1 unless all is well."""
    for line in judgement.table():
        click.echo(line)
    for finding in judgement.findings:
        click.echo(f"\n{finding.explain()}")
    if not judgement.passed:
        sys.exit(EXIT_VERDICT)


def _absolute(server: str) -> str:
    """Return a server's name with the path whole: runs may begin elsewhere."""
    kind, colon, path = server.partition(":")
    return f"{kind}:{Path(path).absolute()}" if colon else kind


@contextmanager
def _interruptible() -> Generator[None]:
    """Take SIGTERM for an interrupt meanwhile: what was made is to be taken away."""
    from jepsen.clock import interrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse(sentence: str) -> NoReturn:
    click.echo(f"trine jepsen: {sentence}", err=True)
    sys.exit(EXIT_HARNESS)
