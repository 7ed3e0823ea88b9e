"""How commands print: tables for people, JSON for programs, progress bars for the impatient.

Rule: results go to standard output and are complete whether or not it is a terminal; everything
else (progress, faults) goes to standard error. JSON is one document with whole numbers as numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from google.protobuf.message import Message

# Wide enough for any table: rich would cut cells to the width of a terminal that is not there.
_TABLE_COLUMNS_MAX = 10_000


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table drawn with ASCII lines, as etcdctl draws them."""
    drawn = Table(*columns, box=box.ASCII2, pad_edge=True)
    for row in rows:
        drawn.add_row(*row)
    text = StringIO()
    Console(file=text, width=_TABLE_COLUMNS_MAX, color_system=None, markup=False).print(drawn)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def json_text(value: object) -> str:
    """Return one JSON document on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fields(message: Message) -> dict[str, object]:
    """Return the fields of a message that are set, by their names in the .proto file."""
    return {field.name: _value(value) for field, value in message.ListFields()}


def _value(value: object) -> object:
    if hasattr(value, "ListFields"):
        return fields(value)  # type: ignore[arg-type]  # what has ListFields is a message
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, bool | int | float | str):
        return value
    return [_value(item) for item in value]  # type: ignore[attr-defined]  # what is left is a list


Advance = Callable[[str, int, int], None]


@contextmanager
def progress() -> Generator[Advance]:
    """Show a bar on standard error while the block runs, if that is a terminal.

    Yields a function that takes (what is being done, done, total).
    """
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def advance(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done, total=total)

    with bars:
        yield advance


def tell(command: str, sentence: str) -> None:
    """Tell a person on standard error what went wrong."""
    click.echo(f"trine {command}: {sentence}", err=True)
