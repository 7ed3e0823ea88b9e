"""The servers under the bench: started on fresh directories of one disk, measured from /proc."""

import http.client
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from tests.bench.generator import Generator, GeneratorFailed

QUOTA_BYTES = 8 << 30
CHECKOUT = Path(__file__).parents[2]


@attrs.frozen
class Certificate:
    """A self-signed certificate for 127.0.0.1: the server's own and the client's authority."""

    certificate: Path
    key: Path


def make_certificate(directory: Path) -> Certificate:
    """Let openssl make one, RSA 2048 as kubeadm's are."""
    made = Certificate(certificate=directory / "server.crt", key=directory / "server.key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@attrs.frozen
class Place:
    """Where one server runs: its data directory, its ports, its certificate if it speaks TLS."""

    directory: Path
    client_port: int
    peer_port: int
    certificate: Certificate | None = None
    name: str = "default"
    cluster: Mapping[str, int] = attrs.field(factory=dict[str, int])
    """Peer ports of all members by name, if there is more than this one."""

    @property
    def client_url(self) -> str:
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.client_port}"

    @property
    def flags(self) -> list[str]:
        """The flags that both servers take: those of a kubeadm member, alone or stacked."""
        peer = f"http://127.0.0.1:{self.peer_port}"
        ports = self.cluster or {self.name: self.peer_port}
        initial = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in ports.items())
        flags = [f"--data-dir={self.directory}", f"--listen-client-urls={self.client_url}"]
        flags += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        flags += [f"--name={self.name}", f"--initial-cluster={initial}", "--snapshot-count=10000"]
        flags += [f"--advertise-client-urls={self.client_url}"]
        flags += [f"--quota-backend-bytes={QUOTA_BYTES}"]
        if self.certificate:
            flags += [f"--cert-file={self.certificate.certificate}"]
            flags += [f"--key-file={self.certificate.key}"]
        return flags


@attrs.frozen
class Kind:
    """A kind of server: a name and how it is started."""

    name: str
    command: Callable[[Place], Sequence[str]]


def etcd(binary: str, name: str = "etcd") -> Kind:
    """The peer, from a binary."""

    def command(place: Place) -> list[str]:
        return [binary, *place.flags, "--log-level=warn"]

    return Kind(name=name, command=command)


def trine(extra: Sequence[str] = (), name: str = "trine") -> Kind:
    """The shipped member, run by the interpreter that runs the bench."""

    def command(place: Place) -> list[str]:
        return [sys.executable, "-m", "server.main", "serve", *place.flags, *extra]

    return Kind(name=name, command=command)


@attrs.frozen
class Memory:
    """Resident bytes: all, those that are no page of a file, and the most of all so far."""

    resident: int
    anonymous: int
    peak: int


class Asked(Protocol):
    """What a cell is measured on: one server, or one member of several and the CPU of all."""

    @property
    def name(self) -> str: ...
    @property
    def pids(self) -> str:
        """Whose CPU counts, comma separated."""
        ...

    @property
    def target(self) -> dict[str, object]:
        """The generator's options that lead there."""
        ...

    def has_ended(self) -> bool: ...
    def scrape(self) -> int: ...
    def settle(self, patience_s: float = 20) -> None: ...


@attrs.define
class Server:
    """One server process. `start` may follow `kill`: the data directory stays."""

    kind: Kind
    place: Place
    process: "subprocess.Popen[bytes] | None" = None
    began_ns: int = 0

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def pids(self) -> str:
        return str(self.pid)

    def has_ended(self) -> bool:
        """Whether it does not run."""
        return self.process is None or self.process.poll() is not None

    @property
    def target(self) -> dict[str, object]:
        """The generator's options that lead to this server."""
        target: dict[str, object] = {"port": self.place.client_port, "host": "127.0.0.1"}
        if self.place.certificate:
            target["ca"] = self.place.certificate.certificate
        return target

    def start(self) -> None:
        """Start it; does not wait until it serves."""
        self.place.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.began_ns = time.monotonic_ns()
            self.process = subprocess.Popen(
                self.kind.command(self.place),
                stdout=log,
                stderr=log,
                cwd=CHECKOUT,
                env=_installed(),
            )

    @property
    def log(self) -> Path:
        return self.place.directory.with_suffix(".log")

    def wait_until_serving(self, generator: Generator) -> None:
        """Until a put is answered. Raises GeneratorFailed with the end of its log."""
        until = time.monotonic() + 30
        while True:
            try:
                generator.run("preload", **self.target, prefix="/registry/bench/", keys=1)
                return
            except GeneratorFailed as error:
                ended = self.process is not None and self.process.poll() is not None
                if ended or time.monotonic() > until:
                    tail = self.log.read_text(errors="replace")[-2000:]
                    raise GeneratorFailed(f"{self.name} does not serve: {error}\n{tail}") from error
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL: no farewell."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it and remove its data; the log stays."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.place.directory, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def memory(self) -> Memory:
        """From /proc/<pid>/status."""
        fields: dict[str, int] = {}
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if rest.endswith(" kB"):
                fields[name] = int(rest.split()[0]) * 1024
        return Memory(resident=fields["VmRSS"], anonymous=fields["RssAnon"], peak=fields["VmHWM"])

    def gauge(self, name: str) -> float:
        """Return one metric, summed over its labels; 0 if it is not told."""
        return metric(self.metrics_page().decode(), name)

    def cpu_s(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settle(self, patience_s: float = 20) -> None:
        """Wait until it uses less than 5 % of a core."""
        settle_all([self], patience_s)

    def scrape(self) -> int:
        """GET /metrics once, as a Prometheus does; the size of the answer, 0 if there is none."""
        return len(self.metrics_page())

    def metrics_page(self) -> bytes:
        """Return what /metrics answers, empty if nothing."""
        host, port = "127.0.0.1", self.place.client_port
        connection = http.client.HTTPConnection(host, port, timeout=10)
        if self.place.certificate:
            context = ssl.create_default_context(cafile=str(self.place.certificate.certificate))
            connection = http.client.HTTPSConnection(host, port, timeout=10, context=context)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            body = answer.read()
            return body if answer.status == 200 else b""
        except (OSError, http.client.HTTPException):
            return b""
        finally:
            connection.close()


def metric(page: str, name: str) -> float:
    """Return one metric of a page, summed over its labels; 0 if it is not told."""
    lines = [line.split() for line in page.splitlines()]
    return sum(float(each[-1]) for each in lines if each and each[0].split("{")[0] == name)


def settle_all(servers: Sequence[Server], patience_s: float = 20) -> None:
    """Wait until each uses less than 5 % of a core."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        before = [one.cpu_s() for one in servers]
        time.sleep(0.4)
        if all(one.cpu_s() - was <= 0.02 for one, was in zip(servers, before, strict=True)):
            return


def _installed() -> dict[str, str]:
    """The environment, where Python keeps the byte code of what it has compiled.

    An installed Trine has its byte code beside it; a checkout on a machine where
    PYTHONDONTWRITEBYTECODE is set compiles all of itself at each start, which takes 0.12 s.
    """
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment
