"""A trace as text for a terminal: one status line for each event, one column for each member.

Rule of this file: columns keep their places, so that the eye can run down them. What did not change
since the member's last line is a dot; turns in which nothing changed are left out.

    seconds   event             m0                    m1                    m2
    26.924000 m1 turn           .                     L t3 c812 a812 r640   .
    26.925000 + halves          .                     .                     . on m1,m2
"""

from collections.abc import Iterable, Iterator, Sequence

from attrs import define

from sim.report.trace import TraceLine, parse_all

WIDTH = 24
_EVENT = 18
_MARKS = {"crash": "x", "death": "x", "start": "^", "snapshot": "s", "install": "i", "role": "*"}


@define
class _Member:
    """What is known of a member."""

    role: str = "-"
    term: int = 0
    commit: int = 0
    applied: int = 0
    rev: int = 0

    def read(self, line: TraceLine) -> None:
        """Take over what a line says."""
        match line.kind:
            case "crash" | "death":
                self.role = "x"
            case "start":
                self.role = "f"
            case _:
                leads = line.facts.get("lead")
                if leads is not None and self.role != "x":
                    self.role = "L" if leads == "1" else "f"
        for name in ("term", "commit", "applied", "rev"):
            value = line.number(name)
            if value is not None:
                setattr(self, name, value)

    def words(self) -> str:
        """Return role, term, commit index, applied index, revision."""
        if self.role == "x":
            return "x down"
        return f"{self.role} t{self.term} c{self.commit} a{self.applied} r{self.rev}"


def status_lines(trace: Iterable[str], *, members: int, messages: bool = False) -> Iterator[str]:
    """Yield a heading, then a line for each event that changed something.

    `messages`: also a line for each message, sent, received or dropped. Raises TraceError.
    """
    known = [_Member() for _ in range(members)]
    yield _row("seconds", "event", [f"m{number}" for number in range(members)], "")
    for line in parse_all(trace):
        member = line.member
        if line.place == "net":
            if messages and line.is_message:
                yield _row(_time(line), f"{line.facts['link']} {line.kind}", [], _rest(line))
            continue
        if member is None or member >= members:
            state = {"on": "+", "off": "-"}.get(line.facts.get("state", ""), " ")
            event = f"{state} {line.facts.get('what', line.kind)}"
            yield _row(_time(line), event, [], _fault(line))
            continue
        before = known[member].words()
        known[member].read(line)
        after = known[member].words()
        if before == after and line.kind not in _MARKS:
            continue
        cells = ["." for _ in range(members)]
        cells[member] = after
        event = f"{_MARKS.get(line.kind, ' ')} m{member} {line.kind}"
        yield _row(_time(line), event, cells, "" if line.kind == "turn" else _rest(line))


def _row(time: str, event: str, cells: Sequence[str], rest: str) -> str:
    columns = "".join(f"{cell:<{WIDTH}}" for cell in cells)
    return f"{time:>11} {event:<{_EVENT}}{columns}{rest}".rstrip()


def _time(line: TraceLine) -> str:
    return f"{line.time_us / 1e6:.6f}"


def _rest(line: TraceLine) -> str:
    """Return a line's facts that no column shows."""
    shown = ("term", "commit", "applied", "rev", "lead", "link")
    return " ".join(f"{name}={value}" for name, value in line.facts.items() if name not in shown)


def _fault(line: TraceLine) -> str:
    members = line.facts.get("members", "")
    whom = "on " + ", ".join(f"m{each}" for each in members.split(",")) if members else ""
    return f"{whom} {line.facts.get('detail', '')}".strip()
