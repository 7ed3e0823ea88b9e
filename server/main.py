"""The command `trine`: which subcommands there are, and what its exit codes mean.

Rule: a command is imported when it is called, so `trine --help` and `trine serve` load nothing of
the others. Exit codes: 0 done, 1 tried and failed, 2 not tried, because what was asked cannot be
meant (a wrong flag, a setting that cannot be used).
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final, NoReturn

import click

from server.guards import refusal
from server.settings import ALL_FLAGS
from server.version import ETCD_VERSION, TRINE_VERSION

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

# Name -> (module that has a click command of that name, one line for the list of commands).
_COMMANDS: Final = {
    "serve": ("server.serve", "Run a member."),
    "status": ("server.status", "Show the state of members, as etcdctl endpoint status does."),
    "member": ("server.members", "List, add, remove, update and promote members."),
    "move-leader": ("server.members", "Give leadership to another member."),
    "snapshot": ("server.snapshots", "Save, inspect and restore snapshots."),
    "check": ("server.check", "Check a data directory or a snapshot for damage, offline."),
    "recover": ("server.rescue", "Begin a cluster anew after its quorum is lost for good."),
    "sql": ("server.sql", "Read the store with SQL: a shell, or one statement."),
    "shell": ("server.shell", "Inspect and change a running cluster, as dqlite's shell does."),
    # By name alone: no import of this floor leads up.
    "sim": ("sim.main", "Run members in a simulated world: any failure is one seed."),
    "jepsen": ("jepsen.main", "Run real members, do them harm, judge what clients saw."),
}


class _Commands(click.Group):
    """The group of all commands, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        command: object = getattr(import_module(entry[0]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command), f"{entry[0]} has no command {cmd_name}"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, line) for name, (_, line) in _COMMANDS.items()]
        rows += [(name, cmd.get_short_help_str(80)) for name, cmd in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-"):
            name = args[0].lstrip("-").partition("=")[0]
            if name in ALL_FLAGS and name not in ("version", "help"):
                raise click.UsageError(
                    f'"{args[0].partition("=")[0]}" is a flag of a member; '
                    "write: trine serve " + " ".join(args),
                    ctx,
                )
        return super().parse_args(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or unusable settings.",
)
@click.version_option(TRINE_VERSION, message=f"trine %(version)s (etcd API {ETCD_VERSION})")
def cli() -> None:
    """Trine, an etcd-compatible datastore for Kubernetes."""


@cli.command()
def version() -> None:
    """Show the versions of Trine, of the etcd API it speaks, and of Python."""
    click.echo(f"trine Version: {TRINE_VERSION}")
    click.echo(f"etcd API Version: {ETCD_VERSION}")
    click.echo(f"Python Version: {sys.version.split()[0]}")


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    sentence = refusal()
    if sentence is not None:
        click.echo(f"trine: {sentence}", err=True)
        sys.exit(EXIT_FAILED)
    cli.main(prog_name="trine")
    sys.exit(0)


if __name__ == "__main__":
    main()
