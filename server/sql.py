"""`trine sql`: read the store with SQL, line by line or one statement.

Rule: reading only, and of the store: the newest changes of a running member may be missing for as
long as a flush takes (50 ms). What may be asked is decided by `net/store/sql.py`.
"""

from __future__ import annotations

import os
import readline
import sys
from typing import Final, get_args

import click

from net.store.errors import StoreError
from net.store.rendering import Mode, mode_of
from net.store.sql import Console
from server.output import tell

_MODES: Final = get_args(Mode)


@click.command()
@click.argument("statement", required=False)
@click.option(
    "--data-dir",
    "--storage-dir",
    "--state-dir",
    "data_dir",
    type=click.Path(exists=True, file_okay=False),
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
def sql(statement: str | None, data_dir: str, write_out: str) -> None:
    """Run the read-only STATEMENT, or a shell if there is none.

    The view `kine` has the columns that operators of k8s-dqlite and kine know.
    """
    console = Console(data_dir, mode=mode_of("table" if write_out == "tabular" else write_out))
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
