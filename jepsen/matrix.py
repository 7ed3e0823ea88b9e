"""Many runs, some at a time: every nemesis by every size of a cluster, and one table of them all.

Rule of this file: each run is a process of its own, told by its command line what to do and judged
by its exit code and `results.json`; runs see nothing of each other. The table is written anew
after each.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any, Final, cast

from attrs import define, field, frozen

from jepsen.servers import HERE

PASSED, FAILED, HARNESS = "passed", "FAILED", "harness"
COMMAND: Final = (sys.executable, "-m", "server.main", "jepsen", "run")
"""What every run is begun with."""
_WORDS: Final = {0: PASSED, 1: FAILED}
SLACK_S: Final = 600
"""A run that takes so much longer than it was told to is ended."""
_STYLE: Final = (
    "body{font:14px system-ui,sans-serif;margin:2em;color:#222;background:#fff}"
    "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:4px 10px;text-align:left;"
    "vertical-align:top}.passed{background:#e3f4e3}.FAILED{background:#f8d7d7}"
    ".harness{background:#fbeecb}small{color:#555}"
)


@frozen
class Cell:
    """One run of the table."""

    members: int
    nemesis: str
    workload: str

    @property
    def name(self) -> str:
        """Its directory."""
        return f"{self.workload}-{self.nemesis}-{self.members}".replace(",", "+")


@frozen
class Done:
    """What came of a run."""

    cell: Cell
    outcome: str
    calls: int = 0
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return it as `results.json` has it."""
        return {
            "run": self.cell.name,
            "members": self.cell.members,
            "nemesis": self.cell.nemesis,
            "workload": self.cell.workload,
            "outcome": self.outcome,
            "calls": self.calls,
            "classes": list(self.classes),
            "notes": list(self.notes),
        }


@define(eq=False)
class Matrix:
    """The runs of one command."""

    out: Path
    cells: Sequence[Cell]
    words: Sequence[str]
    """What every run is told beside its cell: server, time, rate."""
    seconds: int
    parallel: int
    say: Callable[[str], None]
    command: Sequence[str] = COMMAND
    done: list[Done] = field(factory=list[Done])
    _lock: threading.Lock = field(factory=threading.Lock)
    _running: set[subprocess.Popen[bytes]] = field(factory=set[subprocess.Popen[bytes]])

    def run(self) -> bool:
        """Run them all; return whether all passed.

        Interrupted, it has those that run take away what they made, waits for them, and begins no
        other.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(self.parallel) as pool:
            try:
                for one in [pool.submit(self._one, cell) for cell in self.cells]:
                    one.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(self._running):
                    process.terminate()
        return all(each.outcome == PASSED for each in self.done)

    def _one(self, cell: Cell) -> None:
        command = self._command(cell)
        log = self.out / f"{cell.name}.txt"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=HERE
            )
            self._running.add(process)
            try:
                code = process.wait(self.seconds + SLACK_S)
            except subprocess.TimeoutExpired:
                # It takes away what it made.
                process.terminate()
                code = process.wait()
            finally:
                self._running.discard(process)
        done = outcome(cell, code, self.out / cell.name)
        with self._lock:
            self.done.append(done)
            self._write()
        self.say(f"{done.outcome:8} {cell.name}  {' '.join(done.classes)}".rstrip())

    def _command(self, cell: Cell) -> list[str]:
        return [
            *self.command,
            f"--members={cell.members}",
            f"--nemesis={cell.nemesis}",
            f"--workload={cell.workload}",
            f"--time={self.seconds}",
            f"--out={self.out / cell.name}",
            *self.words,
        ]

    def _write(self) -> None:
        order = {cell: place for place, cell in enumerate(self.cells)}
        rows = sorted(self.done, key=lambda each: order[each.cell])
        text = json.dumps([each.as_json() for each in rows], indent=1)
        (self.out / "results.json").write_text(f"{text}\n", encoding="utf-8")
        (self.out / "index.html").write_text("\n".join(page(rows, self.words)), encoding="utf-8")


def outcome(cell: Cell, code: int, directory: Path) -> Done:
    """Return what a run that ended with this code left in its directory."""
    try:
        told: Any = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Done(cell, HARNESS)
    rows = cast(list[dict[str, Any]], told["findings"])
    notes = cast(list[str], told["notes"])
    classes = tuple(f"{row['workload']}:{row['klass']}" for row in rows)
    calls = sum(int(row["count"]) for row in told["rows"] if row["check"] == "linear")
    return Done(cell, _WORDS.get(code, HARNESS), calls, classes, tuple(notes))


def page(rows: Sequence[Done], words: Sequence[str]) -> Iterator[str]:
    """Yield the table as a page of links."""
    passed = sum(each.outcome == PASSED for each in rows)
    yield "<!doctype html><html lang=en><meta charset=utf-8><title>Runs</title>"
    yield f"<style>{_STYLE}</style><h1>{passed} of {len(rows)} runs passed</h1>"
    yield f"<p><small>{escape(' '.join(words))}</small></p><table>"
    yield "<tr><th>run<th>members<th>verdict<th>operations<th>what was broken<th>notes"
    for each in rows:
        cell, broken = each.cell, "<br>".join(escape(klass) for klass in each.classes)
        link = f"{escape(cell.name)}/index.html"
        notes = "<br>".join(escape(note) for note in each.notes)
        yield (
            f'<tr class="{each.outcome}"><td><a href="{link}">{escape(cell.workload)}, '
            f"{escape(cell.nemesis)}</a> (<a href={escape(cell.name)}.txt>log</a>)"
            f"<td>{cell.members}<td>{each.outcome}<td>{each.calls:,}<td>{broken}"
            f"<td><small>{notes}</small>"
        )
    yield "</table></html>"
