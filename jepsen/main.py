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
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

EXIT_VERDICT: Final = 1
EXIT_HARNESS: Final = 2
NAMES_MAX_MEMBERS: Final = 7


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
    type=click.IntRange(1, NAMES_MAX_MEMBERS),
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
@click.option(
    "--time",
    "seconds",
    type=click.IntRange(5),
    default=60,
    show_default=True,
    help="Seconds until everything is healed.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 5_000),
    default=150,
    show_default=True,
    help="Operations a second, of all clients.",
)
@click.option("--clients", type=click.IntRange(1, 200), default=10, show_default=True)
@click.option(
    "--watchers",
    type=click.IntRange(0, 100),
    default=4,
    show_default=True,
    help="Watchers beside the witnesses.",
)
@click.option("--planted", default="", help="Run members with a planted bug of sim/planted.")
@click.option(
    "--upgrade-to", default="", metavar="SERVER", help="The second build, for the nemesis upgrade."
)
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
        as_linear,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        judgement = whole_run(asked, click.echo)
    except NotStartedError as error:
        _refuse(str(error))
    except (ClusterError, NotHealedError, OSError) as error:
        click.echo(f"the harness failed: {error}\nwhat there is lies in {out}", err=True)
        sys.exit(EXIT_HARNESS)
    except KeyboardInterrupt:
        click.echo(f"interrupted; what there is lies in {out}", err=True)
        sys.exit(EXIT_HARNESS)
    for line in judgement.table():
        click.echo(line)
    for finding in judgement.findings:
        click.echo(f"\n{finding.explain()}")
    click.echo(f"\n{'passed' if judgement.passed else 'FAILED'}: {out / 'index.html'}")
    if not judgement.passed:
        sys.exit(EXIT_VERDICT)


@jepsen.command()
def cleanup() -> None:
    """Take away what runs left behind that were killed: processes, mounts, namespaces."""
    from jepsen.registry import sweep

    sentences = list(sweep())
    for sentence in sentences or ["nothing was left behind"]:
        click.echo(sentence)
    if any("could not" in sentence for sentence in sentences):
        sys.exit(EXIT_HARNESS)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _refuse(sentence: str) -> NoReturn:
    click.echo(f"trine jepsen: {sentence}", err=True)
    sys.exit(EXIT_HARNESS)
