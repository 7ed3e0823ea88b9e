"""Rows as text: the output modes of `trine sql`. Pure functions from rows to lines."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias, get_args

from net.store.connection import SqlRow, SqlValue
from net.store.errors import StoreError

Mode: TypeAlias = Literal["table", "list", "csv", "json", "line", "plain"]
"""`plain` is for the console's own answers: values and nothing else."""


def mode_of(name: str) -> Mode:
    """Return the mode of that name, or raise StoreError."""
    for mode in get_args(Mode):
        if mode == name and mode != "plain":
            chosen: Mode = mode
            return chosen
    raise StoreError(f"there is no mode {name}: table, list, csv, json or line")


def lines(columns: Sequence[str], rows: Iterable[SqlRow], mode: Mode) -> Iterator[str]:
    """Yield the lines that show the rows. Only `table` must see all of them first."""
    match mode:
        case "table":
            yield from _table(columns, [[text_of(value) for value in row] for row in rows])
        case "list":
            for row in rows:
                yield "|".join(text_of(value) for value in row)
        case "csv":
            yield ",".join(map(_quoted, columns))
            for row in rows:
                yield ",".join(_quoted(text_of(value)) for value in row)
        case "json":
            yield from _json(columns, rows)
        case "line":
            yield from _line(columns, rows)
        case "plain":
            for row in rows:
                yield text_of(row[0])


def text_of(value: SqlValue) -> str:
    """Return a value as people read it: blobs as text if they are UTF-8, else as hex."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return f"x'{value.hex()}'"
        return text if text.isprintable() or "\n" in text else f"x'{value.hex()}'"
    return str(value)


def _table(columns: Sequence[str], rows: list[list[str]]) -> Iterator[str]:
    if not columns:
        return
    cells = [[_one_line(cell) for cell in row] for row in rows]
    widths = [
        max(len(column), *(len(row[place]) for row in cells)) if cells else len(column)
        for place, column in enumerate(columns)
    ]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    yield rule
    yield _bordered(columns, widths)
    yield rule
    for row in cells:
        yield _bordered(row, widths)
    if cells:
        yield rule


def _bordered(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(map(str.ljust, cells, widths)) + " |"


def _one_line(cell: str) -> str:
    return cell.replace("\n", "\\n")


def _quoted(cell: str) -> str:
    if any(mark in cell for mark in ',"\n\r'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _json(columns: Sequence[str], rows: Iterable[SqlRow]) -> Iterator[str]:
    opening = "["
    for row in rows:
        values = [text_of(value) if isinstance(value, bytes) else value for value in row]
        yield opening + json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False)
        opening = ","
    yield "]" if opening == "," else "[]"


def _line(columns: Sequence[str], rows: Iterable[SqlRow]) -> Iterator[str]:
    width = max(map(len, columns), default=0)
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            yield f"{column:>{width}} = {text_of(value)}"
        yield ""
