"""The servers that can be run or asked: which command starts a member, and what it is told.

The rule of this file: command lines and their words; nothing is started here. Members speak plain
http on addresses of their run alone.

    trine             this build, by the Python that runs this
    trine:CHECKOUT    another checkout, by its own .venv where it has one
    etcd:PATH         an etcd binary
    endpoints:LIST    somebody else's cluster, empty, asked and left alone
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from attrs import frozen

QUOTA: Final = "--quota-backend-bytes=400000000"
HERE: Final = Path(__file__).resolve().parent.parent
"""Where the packages of this build lie side by side."""


class ServerError(ValueError):
    """What was named cannot be run; says why."""


@frozen
class Place:
    """Where one member lives."""

    name: str
    data: Path
    client_url: str
    peer_url: str
    """Where it listens for peers; what it advertises may be a proxy's."""
    advertised_peer_url: str


class Server(Protocol):
    """One build of one server."""

    @property
    def label(self) -> str:
        """What it is, in a few words."""
        ...

    @property
    def directory(self) -> Path:
        """The working directory of its processes."""
        ...

    @property
    def is_static(self) -> bool:
        """Whether no library can be preloaded into it."""
        ...

    def command(
        self, place: Place, cluster: Sequence[tuple[str, str]], *, joins: bool
    ) -> list[str]:
        """Return the command that runs a member among others, by their names and peer URLs."""
        ...

    def restoring(self, snapshot: Path, place: Place) -> list[str]:
        """Return the command that makes a data directory of a snapshot, of a cluster of one."""
        ...

    def version(self) -> str:
        """What it says of its version, one line."""
        ...


@frozen
class Trine:
    """This product. `planted`: run it with this bug of `sim.planted`."""

    directory: Path = HERE
    python: str = sys.executable
    planted: str = ""
    is_static: bool = False

    @property
    def label(self) -> str:
        """See Server."""
        return f"trine with bug {self.planted}" if self.planted else "trine"

    def command(
        self, place: Place, cluster: Sequence[tuple[str, str]], *, joins: bool
    ) -> list[str]:
        """See Server."""
        serve = [self.python, "-m", "server.main", "serve"]
        if self.planted:
            serve = [self.python, "-m", "sim.planted.serve", self.planted, "--", "serve"]
        # The network is the run's own: nobody else is on it.
        return [*serve, *_flags(place, cluster, joins=joins), "--peer-plaintext", QUOTA]

    def restoring(self, snapshot: Path, place: Place) -> list[str]:
        """See Server."""
        restore = [self.python, "-m", "server.main", "snapshot", "restore", str(snapshot)]
        return [*restore, *_restored(place)]

    def version(self) -> str:
        """See Server. With its commit, where it runs from a checkout."""
        said = _said([self.python, "-m", "server.main", "--version"], self.directory)
        commit = _commit(self.directory)
        return f"{said}, commit {commit}" if commit else said


@frozen
class Etcd:
    """An etcd by path, with what else lies beside it."""

    binary: Path
    is_static: bool = True

    @property
    def label(self) -> str:
        """See Server."""
        return f"etcd ({self.binary})"

    @property
    def directory(self) -> Path:
        """See Server."""
        return self.binary.parent

    def command(
        self, place: Place, cluster: Sequence[tuple[str, str]], *, joins: bool
    ) -> list[str]:
        """See Server."""
        return [str(self.binary), *_flags(place, cluster, joins=joins), QUOTA]

    def restoring(self, snapshot: Path, place: Place) -> list[str]:
        """See Server."""
        tool = self.binary.with_name("etcdutl")
        if not tool.exists():
            tool = self.binary.with_name("etcdctl")
        return [str(tool), "snapshot", "restore", str(snapshot), *_restored(place)]

    def version(self) -> str:
        """See Server."""
        return _said([str(self.binary), "--version"], self.directory)


@frozen
class Endpoints:
    """Members that somebody else runs: host and port each."""

    endpoints: tuple[str, ...]


def server_of(words: str, *, planted: str = "") -> Server | Endpoints:
    """Return what the option --server names. Raises ServerError, saying what would be right."""
    kind, _, rest = words.partition(":")
    if planted and kind != "trine":
        raise ServerError("--planted is for --server trine: nothing is planted into another")
    match kind:
        case "trine":
            return _trine(rest, planted)
        case "etcd":
            return Etcd(_program(rest))
        case "endpoints":
            endpoints = tuple(each.strip() for each in rest.split(",") if each.strip())
            odd = [each for each in endpoints if not each.rpartition(":")[2].isdigit()]
            if odd or not endpoints:
                raise ServerError("endpoints: a list of HOST:PORT, with commas between them")
            return Endpoints(tuple(each.removeprefix("http://") for each in endpoints))
        case _:
            raise ServerError(
                f"no server is called {words!r}: trine, trine:CHECKOUT, etcd:PATH, endpoints:LIST"
            )


def _trine(checkout: str, planted: str) -> Trine:
    if not checkout:
        return Trine(planted=planted)
    directory = Path(checkout).resolve()
    if not (directory / "server" / "main.py").is_file():
        raise ServerError(f"{directory} is no checkout of trine: it has no server/main.py")
    python = directory / ".venv" / "bin" / "python"
    return Trine(directory, str(python) if python.exists() else sys.executable, planted)


def _program(path: str) -> Path:
    if not path:
        raise ServerError("which etcd? write etcd:/path/to/etcd")
    # The path may be relative: members are started elsewhere.
    binary = Path(path).absolute()
    if binary.is_dir():
        binary /= "etcd"
    if not binary.is_file():
        raise ServerError(f"there is no file {binary}")
    if not os.access(binary, os.X_OK):
        raise ServerError(f"{binary} is not a program: it may not be executed")
    return binary


def _flags(place: Place, cluster: Sequence[tuple[str, str]], *, joins: bool) -> list[str]:
    return [
        f"--name={place.name}",
        f"--data-dir={place.data}",
        f"--listen-client-urls={place.client_url}",
        f"--advertise-client-urls={place.client_url}",
        f"--listen-peer-urls={place.peer_url}",
        f"--initial-advertise-peer-urls={place.advertised_peer_url}",
        f"--initial-cluster={','.join(f'{name}={url}' for name, url in cluster)}",
        f"--initial-cluster-state={'existing' if joins else 'new'}",
        "--initial-cluster-token=trine-jepsen",
    ]


def _restored(place: Place) -> list[str]:
    return [
        f"--name={place.name}",
        f"--data-dir={place.data}",
        f"--initial-cluster={place.name}={place.advertised_peer_url}",
        f"--initial-advertise-peer-urls={place.advertised_peer_url}",
        "--initial-cluster-token=trine-jepsen-restored",
    ]


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return what a member's process finds in its environment: ours, without proxies."""
    ours = {name: value for name, value in os.environ.items() if not _is_odd(name)}
    return {**ours, **more}


def _is_odd(name: str) -> bool:
    return name.lower().endswith("_proxy") or name.startswith(("ETCD_", "TRINE_"))


def _commit(checkout: Path) -> str:
    """Return which commit a checkout is at; "" where that cannot be told."""
    if not (checkout / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--dirty"],
            capture_output=True, check=False, text=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _said(command: Sequence[str], directory: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, check=True, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerError(f"{' '.join(command)} does not run: {error}") from error
    return (done.stdout or done.stderr).strip().splitlines()[0]
