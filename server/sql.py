"""`trine sql`: read the store with SQL, line by line or one statement.

Rule: reading only, and of the store: the newest changes of a running member may be missing for as
long as a flush takes (50 ms). What may be asked is decided by `net/store/sql.py`. With `-s` a
running member is asked, as `trine shell` asks it; else the files are read.
"""

from __future__ import annotations

import os
import readline
import sys
from collections.abc import Sequence
from typing import Final, get_args

import click

from net.store.errors import StoreError
from net.store.rendering import Mode, lines, mode_of
from net.store.sql import Console
from server.output import tell
from server.reach import Place, ReachError
from server.shell import Shell, ShellError, pair_of, places_of, server_options

_MODES: Final = get_args(Mode)
REMOTE_S: Final = 30.0


@click.command()
@click.argument("statement", required=False)
@server_options
@click.option(
    "--data-dir",
    "--storage-dir",
    "--state-dir",
    "data_dir",
    type=click.Path(file_okay=False),
    default="default.trine",
    show_default=True,
    envvar="ETCD_DATA_DIR",
    show_envvar=True,
    help="Data directory of the member; it may run.",
)
@click.option(
    "-w",
    "-f",
    "--write-out",
    "--format",
    "write_out",
    type=click.Choice([*_MODES, "tabular"]),
    default="table",
    show_default=True,
    help="How rows are printed; tabular is dqlite's word for table.",
)
def sql(
    statement: str | None,
    data_dir: str,
    write_out: str,
    servers: str | None,
    cert: str | None,
    key: str | None,
    cacert: str | None,
) -> None:
    """Run the read-only STATEMENT, or a shell if there is none.

    The view `kine` has the columns that operators of k8s-dqlite and kine know.
    """
    mode = mode_of("table" if write_out == "tabular" else write_out)
    if servers is not None:
        tls = pair_of(cert, key, cacert)
        places = places_of(servers, data_dir, tls, is_pinned=cacert is None)
        if statement is None:
            raise click.UsageError("with -s give a STATEMENT, or use: trine shell.")
        sys.exit(0 if _print_remote(places, statement, mode) else 1)
    if not os.path.isdir(data_dir):
        raise click.UsageError(f"Directory '{data_dir}' does not exist: give --data-dir, or -s.")
    console = Console(data_dir, mode=mode)
    if statement is not None:
        sys.exit(0 if _print(console, statement) else 1)
    if sys.stdin.isatty():
        _shell(console)
        return
    failed = [line for line in sys.stdin if line.strip() and not _print(console, line)]
    sys.exit(1 if failed else 0)


def _shell(console: Console) -> None:
    """Answer lines until the end of input; a statement may take several, up to its semicolon."""
    history = os.path.expanduser("~/.trine_sql_history")
    if os.path.exists(history):
        readline.read_history_file(history)
    click.echo("Queries end with a semicolon; .help tells more; Ctrl-D ends.")
    pending = ""
    try:
        while True:
            line = input("   ...> " if pending else "trine> ")
            pending = f"{pending}\n{line}" if pending else line
            is_whole = pending.lstrip().startswith(".") or pending.rstrip().endswith(";")
            if is_whole or not pending.strip():
                _print(console, pending)
                pending = ""
    except (EOFError, KeyboardInterrupt):
        click.echo()
    try:
        readline.write_history_file(history)
    except OSError as fault:
        tell("sql", f"cannot write {history}: {fault.strerror}.")


def _print(console: Console, statement: str) -> bool:
    try:
        for line in console.answer(statement):
            click.echo(line)
    except StoreError as fault:
        tell("sql", str(fault))
        return False
    return True


def _print_remote(places: Sequence[Place], statement: str, mode: Mode) -> bool:
    asked = Shell(places, "json", REMOTE_S, lambda sentence: tell("sql", sentence))
    try:
        columns, rows = asked.rows(statement)
    except (ShellError, ReachError) as fault:
        tell("sql", str(fault))
        return False
    for line in lines(columns, rows, mode):
        click.echo(line)
    return True
