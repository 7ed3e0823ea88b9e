"""What runs have made on this machine, written down before it is made, so that it can be unmade.

The rule of this file: only what a run wrote here is ended or taken away, and only once the run
itself is over. A process is known by its id and the time at which it started: an id that was given
to another process since is left alone. One file a run, one JSON line for each thing.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

KINDS: Final = ("process", "mount", "namespace")
"""In the order in which they are unmade: a mount is free, and a namespace empty, by then."""
ENDED_S: Final = 5.0


def directory() -> Path:
    """Return where the files of all runs of this user lie."""
    return Path(tempfile.gettempdir()) / f"trine-jepsen-{os.getuid()}"


def started(pid: int) -> str:
    """Return when a process started, in ticks since the machine did; "" if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return ""
    state, *rest = text.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]


class Registry:
    """The file of one run. Noting a thing flushes it."""

    def __init__(self, run: str, folder: Path | None = None) -> None:
        folder = folder or directory()
        folder.mkdir(parents=True, exist_ok=True)
        self.run = run
        self._path = folder / f"{run}.jsonl"
        self._file = self._path.open("x", encoding="utf-8")
        self._write({"run": run, "pid": os.getpid(), "started": started(os.getpid())})

    def note(self, kind: str, name: str) -> None:
        """Note something that is about to be made (a process: that was just made)."""
        assert kind in KINDS, f"nobody unmakes a {kind}"
        line: dict[str, object] = {"kind": kind, "name": name}
        if kind == "process":
            line["started"] = started(int(name))
        self._write(line)

    def close(self) -> list[str]:
        """Unmake what is left, and forget the run. Returns what could not be unmade."""
        self._file.close()
        return unmade(self._path)

    def _write(self, line: dict[str, object]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def sweep(folder: Path | None = None) -> Iterator[str]:
    """Unmake what runs left behind that are over; yield a sentence about each of them.

    One that is under way is left alone, and nothing is said of it.
    """
    for path in sorted((folder or directory()).glob("*.jsonl")):
        lines = _lines(path)
        run = path.stem
        if lines and started(_integer(lines[0], "pid")) == lines[0].get("started"):
            continue
        left = unmade(path)
        yield f"run {run}: " + (f"could not take away: {'; '.join(left)}" if left else "cleaned up")


def unmade(path: Path) -> list[str]:
    """Unmake what a file names, the file last; return what could not be. Then the file stays."""
    lines = _lines(path)[1:]
    left: list[str] = []
    for kind in KINDS:
        for line in reversed([each for each in lines if each.get("kind") == kind]):
            why = _unmake(kind, str(line["name"]), str(line.get("started", "")))
            if why:
                left.append(why)
    if not left:
        path.unlink(missing_ok=True)
    return left


def _unmake(kind: str, name: str, began: str) -> str:
    match kind:
        case "process":
            return end(int(name), began)
        case "mount":
            return _run("umount", name) if os.path.ismount(name) else ""
        case _:
            return _run("ip", "netns", "del", name) if Path("/run/netns", name).exists() else ""


def end(pid: int, began: str) -> str:
    """SIGKILL a process if it is still the one that was noted; return why it did not end."""
    if not began or started(pid) != began:
        return ""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + ENDED_S
    while started(pid) == began:
        if time.monotonic() > until:
            return f"process {pid} does not end"
        time.sleep(0.01)
    return ""


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    return f"{' '.join(command)}: {done.stderr.strip()}" if done.returncode else ""


def _lines(path: Path) -> list[dict[str, object]]:
    """Return the lines of a file; one that was cut by the end of its run is left out.

    Two runs may sweep at once: of a file that is gone there are none.
    """
    found: list[dict[str, object]] = []
    try:
        whole = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return found
    for text in whole.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            found.append(cast(dict[str, object], json.loads(text)))
    return found


def _integer(line: dict[str, object], name: str) -> int:
    value = line.get(name)
    return value if isinstance(value, int) else 0
