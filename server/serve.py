"""`trine serve`: from what a person wrote to a running member.

Rule: this file connects; it decides nothing. Flags are read as Go reads them, since scripts of etcd
are to run unchanged (`server/arguments.py`); click has them for help and completion only.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
from typing import Final, NoReturn

import attrs
import click
import trio
from click.shell_completion import CompletionItem

from net.telemetry import Logger
from server.arguments import ArgumentError, ConfigFileError, Setting, read_arguments
from server.clustering import Joined
from server.config import Config, ConfigError, configure
from server.dqlite import JOIN
from server.flags import Flag, variable
from server.inert import REFUSED
from server.logs import Outputs, open_log, open_outputs
from server.preflight import is_begun, preflight
from server.settings import ALL_FLAGS, ALL_SECTIONS, gather
from server.storagedir import adopt
from server.version import ETCD_VERSION, TRINE_VERSION

_METAVARS: Final = {
    "text": "TEXT",
    "number": "NUMBER",
    "duration": "DURATION",
    "list": "A,B",
    "urls": "URL,URL",
    "level": "LEVEL",
}
_HELP_FLAGS: Final = ("-h", "-help", "--help")
_VERSION_FLAGS: Final = ("-version", "--version")


class GoCommand(click.Command):
    """A command whose flags are those of the tables, written as Go programs take them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if any(arg in _HELP_FLAGS for arg in args):
            click.echo(ctx.get_help())
            ctx.exit(0)
        if any(arg in _VERSION_FLAGS for arg in args):
            click.echo(f"trine {TRINE_VERSION} (etcd API {ETCD_VERSION})")
            ctx.exit(0)
        try:
            ctx.params["arguments"] = read_arguments(args, ALL_FLAGS)
        except ArgumentError as fault:
            raise click.UsageError(str(fault), ctx) from fault
        return []

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in ALL_SECTIONS:
            with formatter.section(section.title):
                for flag in section.flags:
                    _write_flag(formatter, flag)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = (f"--{name}" for name, flag in ALL_FLAGS.items() if flag.inert is None)
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


@click.command(
    cls=GoCommand,
    options_metavar="[FLAGS]",
    epilog="Every flag can be written -name or --name, with =VALUE or VALUE as the next argument; "
    "a boolean alone means true. A flag wins over its environment variable; a configuration file "
    "wins over both.",
)
def serve(arguments: dict[str, Setting]) -> None:
    """Run a member until SIGTERM or SIGINT.

    Flags have etcd's names, defaults and environment variables. Flags of etcd, kubeadm and
    k8s-dqlite that mean nothing here are accepted and logged once.
    """
    try:
        settings = gather(arguments, os.environ, _read_file)
        asked = configure(settings, host=socket.gethostname())
        config = preflight(adopt(asked, settings))
        outputs = open_outputs(config.logging)
    except ConfigError as fault:
        _refuse(*fault.sentences)
    except ConfigFileError as fault:
        _refuse(str(fault))
    except OSError as fault:
        _refuse(f"--log-outputs: cannot write {fault.filename}: {fault.strerror}.")
    code = _run(config, outputs)
    outputs.close()
    sys.exit(code)


def _run(config: Config, outputs: Outputs) -> int:
    # The member pulls in the whole shell; a wrong flag is told without waiting for that.
    from server.member import run_member

    log = open_log(config.logging, outputs)
    announce(config, log)
    is_new = config.initial_cluster_existing and not is_begun(config.data_dir)
    if is_new or os.path.exists(os.path.join(config.data_dir, JOIN)):
        joined = _joined(config, log)
        if joined is None:
            return 1
        config = attrs.evolve(config, joined=joined)
    return trio.run(run_member, config, log)


def _joined(config: Config, log: Logger) -> Joined | None:
    """Return who this member is in the cluster it joins, or has joined; None if it cannot."""
    from server.joining import JoinError, join, remember, remembered

    try:
        joined = remembered(config.data_dir)
        if joined is not None:
            return joined
        log.info("joining a cluster", peer_urls=config.advertise_peer)
        joined = trio.run(join, config, log)
        remember(config.data_dir, joined)
    except (JoinError, OSError) as fault:
        log.fatal("cannot start", reason=str(fault))
        return None
    members = [f"{each.id:x}" for each in joined.members]
    log.info("joined", cluster=f"{joined.cluster_id:x}", member=f"{joined.member_id:x}",
             members=members)  # fmt: skip
    return joined


def announce(config: Config, log: Logger) -> None:
    """Log who starts, and every setting that will not do what its writer may expect."""
    log.info(
        "starting trine",
        version=TRINE_VERSION,
        etcd_api=ETCD_VERSION,
        python=platform.python_version(),
        pid=os.getpid(),
        name=config.name,
        data_dir=config.data_dir,
        listen_client_urls=[str(url) for url in config.listen_client],
        advertise_client_urls=config.advertise_client,
        quota_backend_bytes=config.quota_bytes,
    )
    for notice in config.notices:
        log.warn(notice.message, **notice.fields)


def _refuse(*sentences: str) -> NoReturn:
    for sentence in sentences:
        click.echo(f"trine serve: {sentence}", err=True)
    sys.exit(2)


def _read_file(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _term(flag: Flag) -> str:
    metavar = _METAVARS.get(flag.kind)
    names = ", ".join(f"--{name}" for name in (flag.name, *flag.other_names))
    return f"{names} {metavar}" if metavar else names


def _write_flag(formatter: click.HelpFormatter, flag: Flag) -> None:
    """Write a flag as Go's help does, so that no default or variable is broken in two."""
    formatter.write(f"{'':{formatter.current_indent}}{_term(flag)}\n")
    formatter.indent()
    formatter.write_text(_definition(flag))
    indent = formatter.current_indent
    default, name = flag.default or "(empty)", variable(flag)
    formatter.write(f"{'':{indent}}[default: {default}; env: {name}]\n")
    formatter.dedent()


def _definition(flag: Flag) -> str:
    choices = f" One of: {', '.join(choice or '(empty)' for choice in flag.choices)}."
    text = flag.help
    if flag.inert is not None:
        text = f"{'Refused' if flag.name in REFUSED else 'No effect here'}: {flag.inert}."
    return f"{text}{choices if flag.choices else ''}"
