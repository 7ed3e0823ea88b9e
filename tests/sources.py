"""The product's own files as text: what the tests of architecture and documents read.

The rule of this file: a file is read once, and generated ones are left out.
"""

import ast
from functools import cache
from pathlib import Path

from attrs import frozen

CHECKOUT = Path(__file__).resolve().parent.parent
FLOORS = ("core", "net", "server", "sim", "jepsen")
GENERATED = "net/etcd/pb/"


@frozen
class Source:
    """One module: where it is below the checkout, and what is in it."""

    path: str
    text: str
    tree: ast.Module

    @property
    def floor(self) -> str:
        """The package it belongs to."""
        return self.path.split("/")[0]

    @property
    def folder(self) -> str:
        """The folder it lies in, as `net/store`."""
        return self.path.rsplit("/", 1)[0]


@cache
def sources(only: str | None = None) -> tuple[Source, ...]:
    """Return every hand-written module of all floors or one, in order of path."""
    found: list[Source] = []
    for floor in FLOORS if only is None else (only,):
        for file in sorted((CHECKOUT / floor).rglob("*.py")):
            path = file.relative_to(CHECKOUT).as_posix()
            if not path.startswith(GENERATED):
                text = file.read_text(encoding="utf-8")
                found.append(Source(path, text, ast.parse(text, path)))
    return tuple(found)
