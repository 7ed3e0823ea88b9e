"""Rows and documents as dqlite's shell prints them.

Rule: pure. Columns stand at tab stops: each is padded with tabs to the next multiple of eight
beyond its longest cell, the last one too. JSON is indented by tabs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

_TAB: Final = 8


def tabular(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a head and rows as lines."""
    lines = [[_cell(cell) for cell in line] for line in (columns, *rows)]
    widths = [_stop(max(map(len, cells))) for cells in zip(*lines, strict=True)]
    return "\n".join("".join(map(_padded, line, widths)) for line in lines)


def indented(document: object) -> str:
    """Return JSON over several lines."""
    return json.dumps(document, ensure_ascii=False, indent="\t")


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _stop(length: int) -> int:
    return (length // _TAB + 1) * _TAB


def _padded(cell: str, width: int) -> str:
    return cell + "\t" * -(-(width - len(cell)) // _TAB)
