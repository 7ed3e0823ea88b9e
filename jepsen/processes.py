"""One member's process: started any number of times, ended by whoever started it.

The rule of this file: a process is known by the id that its start gave; nothing is looked up by
name. Every start is noted in the run's registry, so that a later run can end what a killed one
left.
"""

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from typing import Final

from jepsen.cluster import ClusterError
from jepsen.registry import Registry

STOP_S: Final = 20.0


class Process:
    """A program that is up or not. Not for two threads at once."""

    def __init__(self, name: str, log: Path, registry: Registry) -> None:
        self.name = name
        self.log = log
        self.last_pid: int | None = None
        """The id of the process that was started last, be it up or not. For any thread."""
        self._registry = registry
        self._process: subprocess.Popen[bytes] | None = None
        self._ended: int | None = None

    @property
    def pid(self) -> int:
        """Its id. It is up."""
        assert self._process is not None, f"{self.name} is not up"
        return self._process.pid

    def is_up(self) -> bool:
        """Whether it is there, paused or not."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self._process, self._ended = None, code
        return self._process is not None

    def exit_code(self) -> int | None:
        """How it ended by itself since its last start; None if it did not."""
        self.is_up()
        return self._ended

    def start(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> None:
        """Start it. Raises ClusterError if there is no such program."""
        assert not self.is_up(), f"{self.name} is up already"
        self._ended = None
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory,
                    env=environment,
                )  # fmt: skip
            except OSError as error:
                raise ClusterError(f"{self.name}: {command[0]} cannot be run: {error}") from error
        self.last_pid = self._process.pid
        self._registry.note("process", str(self.last_pid))

    def stop(self) -> int:
        """SIGTERM, waited for; SIGKILL after a while. Its exit code; 0 if it was not up."""
        return self._end(SIGTERM)

    def kill(self) -> None:
        """SIGKILL, waited for; nothing, if it is not up."""
        self._end(SIGKILL)

    def signal(self, what: Signals) -> None:
        """Send a signal; nothing, if it is not up."""
        if self.is_up():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, what)

    def _end(self, how: Signals) -> int:
        if not self.is_up():
            return 0
        process, self._process = self._process, None
        assert process is not None, "it is up"
        process.send_signal(how)
        if how != SIGKILL:
            # Who is paused would never hear of it.
            process.send_signal(SIGCONT)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
