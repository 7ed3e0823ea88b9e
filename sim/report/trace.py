"""Trace lines: what happened to members and messages, one line each, read strictly.

Rule of this file: a line is read whole or refused with its number and the reason; nothing is
guessed. Times never fall. Values hold no spaces, except in facts that are `LOOSE`.

    t_us place kind name=value ...          place: m0, m1, ...; net; world
    26924000 m1 turn term=3 commit=812 applied=812 rev=640 lead=1
    26924100 net send link=0>1 id=771 bytes=120 what=append
    26924900 net recv link=0>1 id=771
    26925000 net drop link=1>0 id=772 why=old connection
    26925000 world fault what=halves state=on members=1,2 detail=2000 ms
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

KINDS: Mapping[str, frozenset[str]] = {
    "m": frozenset(
        {
            *("turn", "role", "crash", "start", "death"),
            *("snapshot", "install", "apply", "client", "answer", "platter"),
        }
    ),
    "net": frozenset(("send", "recv", "drop", "bytes")),
    "world": frozenset(("fault",)),
}
"""What happens at a member, between members, and to the world."""

LOOSE = ("what", "detail", "why", "how")
"""Facts whose values may hold spaces."""
LAST = LOOSE[1:]
"""Those that take the rest of their line, whatever is in it."""

_LINE = re.compile(r"(\d{1,15}) (m\d{1,3}|net|world) ([a-z]+)(?: (.*))?")
_FACT = re.compile(r"([a-z][a-z_]*)=(.*)")
_LINK = re.compile(r"(\d{1,3})>(\d{1,3})")


class TraceError(ValueError):
    """A trace that cannot be read; says which line and why."""


class TraceLine(NamedTuple):
    """One line."""

    time_us: int
    place: str
    kind: str
    facts: Mapping[str, str]
    text: str

    @property
    def member(self) -> int | None:
        """The number of the member it happened to, as the line has it."""
        return int(self.place[1:]) if self.place[0] == "m" else None

    @property
    def is_message(self) -> bool:
        """Whether it tells of a message between members."""
        return self.place == "net" and self.kind != "bytes"

    def number(self, name: str) -> int | None:
        """Return a fact that is a number, or None where the line does not have it."""
        text = self.facts.get(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError:
            raise TraceError(f"{name}={text} is no number in: {self.text:.200}") from None

    def link(self) -> tuple[int, int]:
        """Return from whom to whom a line of the network goes."""
        match = _LINK.fullmatch(self.facts.get("link", ""))
        if match is None:
            raise TraceError(f"no link=0>1 in: {self.text:.200}")
        return int(match[1]), int(match[2])


def parse(text: str) -> TraceLine:
    """Read one line. Raises TraceError for what no trace has."""
    match = _LINE.fullmatch(text)
    if match is None:
        raise TraceError(f"not `t_us place kind name=value ...`: {text:.200}")
    place, kind = match[2], match[3]
    if kind not in KINDS["m" if place[0] == "m" else place]:
        raise TraceError(f"{place} has no lines of kind {kind}: {text:.200}")
    line = TraceLine(int(match[1]), place, kind, _facts(match[4] or "", text), text)
    if line.is_message:
        line.link()
        if line.number("id") is None:
            raise TraceError(f"a message without id: {text:.200}")
    return line


def parse_all(lines: Iterable[str]) -> list[TraceLine]:
    """Read a trace. Raises TraceError with the number of the first line that is wrong."""
    read: list[TraceLine] = []
    for number, text in enumerate(lines, 1):
        try:
            line = parse(text.rstrip("\n"))
        except TraceError as error:
            raise TraceError(f"line {number}: {error}") from None
        if read and line.time_us < read[-1].time_us:
            raise TraceError(f"line {number}: earlier than the line before: {text:.200}")
        read.append(line)
    return read


def _facts(rest: str, text: str) -> dict[str, str]:
    """Return the facts of a line. What has no `=` belongs to the value before, if that may."""
    facts: dict[str, str] = {}
    name = ""
    for part in rest.split(" ") if rest else ():
        match = _FACT.fullmatch(part)
        if match is not None and name not in LAST:
            name = match[1]
            if name in facts:
                raise TraceError(f"{name} is there twice: {text:.200}")
            facts[name] = match[2]
        elif name in LOOSE:
            facts[name] += f" {part}"
        else:
            raise TraceError(f"{part!r} is no name=value: {text:.200}")
    return facts
