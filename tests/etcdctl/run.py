"""Runs etcdctl against one server and writes down, step by step, all it printed.

The rule of this file: a step is one call of etcdctl with all its output, or what a call that stays
(a watch, a lock) printed up to an agreed text; every wait has a bound. Texts are kept as they were
printed: what may differ between servers is evened out in `tests.etcdctl.normal`.
"""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import define, field, frozen

from tests.members import samples

STEP_S = 120.0
LOOK_S = 0.01
PATIENT = {"ETCDCTL_DIAL_TIMEOUT": "60s", "ETCDCTL_COMMAND_TIMEOUT": "60s"}
"""In place of etcdctl's 2 s and 5 s."""
_WATCHERS = "etcd_debugging_mvcc_watcher_total"


@frozen
class Step:
    """What one call printed; `differs`: Trine is known to print something else."""

    title: str
    code: int | None
    out: str
    err: str
    differs: bool = False


class Staying:
    """A call that stays until it is told to go; its output so far can be waited for."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lines: dict[str, list[str]] = {"out": [], "err": []}
        self._threads = [
            threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._lines
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, name: str) -> None:
        pipe = self._process.stdout if name == "out" else self._process.stderr
        assert pipe is not None
        for line in pipe:
            self._lines[name].append(line)

    def text(self, name: str = "out") -> str:
        """What it has printed until now."""
        return "".join(self._lines[name])

    def until(
        self, text: str, *, times: int = 1, where: str = "out", patience_s: float = STEP_S
    ) -> None:
        """Wait until its output has this text so many times, or until the patience ends.

        What is ended then may print no more: the text is the last of what is to be compared.
        """
        until = time.monotonic() + patience_s
        while self.text(where).count(text) < times and time.monotonic() < until:
            if self._process.poll() is not None:
                return
            time.sleep(LOOK_S)

    def say(self, line: str) -> None:
        """Type a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self, patience_s: float = STEP_S) -> int | None:
        """Let it end itself or end it; its exit code if it ended itself."""
        assert self._process.stdin is not None
        try:
            code = self._process.wait(patience_s) if patience_s else self._process.poll()
        except subprocess.TimeoutExpired:
            code = None
        if code is None:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(STEP_S)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            # What was typed last may not have been read: there is nobody to read it.
            with suppress(BrokenPipeError):
                pipe.close()
        return code


@define
class Ctl:
    """One etcdctl and one server: what the scripts are written with."""

    binary: Path
    endpoint: str
    directory: Path
    version: tuple[int, int]
    is_trine: bool
    steps: list[Step] = field(factory=list[Step])

    def run(self, *args: str, stdin: str = "", differs: bool = False) -> str:
        """Call etcdctl to its end; returns what it printed."""
        done = subprocess.run(
            [self.binary, *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=STEP_S,
            env=self._environment(),
            cwd=self.directory,
            check=False,
        )
        self.steps.append(Step(_title(args), done.returncode, done.stdout, done.stderr, differs))
        return done.stdout

    def quietly(self, *args: str, stdin: str = "") -> str:
        """Call etcdctl without writing it down: what belongs to no verb."""
        before = len(self.steps)
        out = self.run(*args, stdin=stdin)
        del self.steps[before:]
        return out

    def revision(self) -> int:
        """The revision of the store."""
        told = json.loads(self.quietly("get", "no such key", "-w", "json"))
        revision: int = told["header"]["revision"]
        return revision

    @contextmanager
    def staying(self, *args: str, ends: bool = False, differs: bool = False) -> Generator[Staying]:
        """Start a call that stays; leaving the block ends it (or waits for its end, if `ends`)."""
        process = subprocess.Popen(
            [self.binary, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment(),
            cwd=self.directory,
        )
        staying = Staying(process)
        try:
            yield staying
        finally:
            code = staying.end(STEP_S if ends else 0)
            self.steps.append(
                Step(_title(args), code, staying.text(), staying.text("err"), differs)
            )

    def await_watchers(self, number: int) -> None:
        """Wait until the server has so many watchers; etcdctl does not tell when it watches."""
        until = time.monotonic() + STEP_S
        while time.monotonic() < until:
            with urllib.request.urlopen(f"http://{self.endpoint}/metrics", timeout=60) as answer:
                page = answer.read().decode()
            if samples(page).get(_WATCHERS) == number:
                return
            time.sleep(LOOK_S)
        raise AssertionError(f"{self.endpoint} never had {number} watchers")

    def _environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("ETCD")}
        return {**kept, **PATIENT, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": self.endpoint}


def _title(args: tuple[str, ...]) -> str:
    return " ".join(arg if arg and " " not in arg else f"'{arg}'" for arg in args)
