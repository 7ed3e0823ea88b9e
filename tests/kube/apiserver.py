"""A stock kube-apiserver on a store, and kubectl to talk to it: both given by path.

    TRINE_KUBE_APISERVER=PATH TRINE_KUBECTL=PATH pytest tests/kube

The rule of this file: default feature gates, every file in a directory of its own, every wait
bounded, ended by the one who started it.
"""

import json
import os
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from jepsen.ports import free_ports
from tests.members import samples

TOKEN = "token-of-the-test"
READY_S = 60.0
CALL_S = 60.0
LOOK_S = 0.1


class ApiServer:
    """One kube-apiserver; started and ended any number of times on the same store."""

    def __init__(self, binary: str, directory: Path, store_url: str, *flags: str) -> None:
        directory.mkdir(parents=True)
        (self._port,) = free_ports(1)
        self.url = f"https://127.0.0.1:{self._port}"
        self.log = directory / "apiserver.log"
        self.kubeconfig = directory / "kubeconfig"
        self._directory = directory
        _write_service_account_keys(directory)
        (directory / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        self.kubeconfig.write_text(json.dumps(_kubeconfig(self.url)))
        self._command = [binary, *self._flags(store_url), *flags]
        self._process: subprocess.Popen[bytes] | None = None
        # The certificate is made by the server itself, for this run: nothing to verify it by.
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def _flags(self, store_url: str) -> Sequence[str]:
        at = self._directory
        return [
            f"--etcd-servers={store_url}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            "--advertise-address=192.0.2.1",
            f"--cert-dir={at / 'certs'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={at / 'sa.pub'}",
            f"--service-account-signing-key-file={at / 'sa.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={at / 'tokens.csv'}",
            "--disable-admission-plugins=ServiceAccount",
            "--v=1",
        ]

    def start(self, environment: Mapping[str, str] | None = None) -> float:
        """Start it and wait until /readyz says so; the seconds that took."""
        assert self._process is None, "it runs already"
        began = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )
        while time.monotonic() < began + READY_S and self.is_running():
            try:
                if self.get("/readyz") == "ok":
                    return time.monotonic() - began
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(LOOK_S)
        self.kill()
        raise AssertionError(f"kube-apiserver is not ready:\n{self.log_text()[-3000:]}")

    def is_running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(signal.SIGKILL)
            process.wait()

    def get(self, path: str, timeout_s: float = 10.0) -> str:
        """GET a path as the administrator; raises HTTPError unless it is 200."""
        return self.call("GET", path, timeout_s=timeout_s)

    def call(self, method: str, path: str, body: object = None, timeout_s: float = 30.0) -> str:
        """Ask as the administrator; raises HTTPError if the answer is an error."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", data=data, headers=headers, method=method
        )
        with urllib.request.urlopen(request, timeout=timeout_s, context=self._context) as answer:
            text = answer.read().decode()
        assert isinstance(text, str)
        return text

    def metrics(self) -> dict[str, float]:
        """The samples of /metrics, by name and labels as they stand there."""
        return samples(self.get("/metrics"))

    def log_text(self) -> str:
        """Everything it has logged."""
        return self.log.read_text(errors="replace")


class Kubectl:
    """kubectl as the administrator of one apiserver."""

    def __init__(self, binary: str, server: ApiServer, home: Path) -> None:
        self._binary = binary
        self._environment = {
            "HOME": str(home),
            "KUBECONFIG": str(server.kubeconfig),
            "PATH": os.environ["PATH"],
        }

    def __call__(self, *args: str, stdin: str = "", succeeds: bool = True) -> str:
        """Run it to its end; returns its output (with its errors, if it need not succeed)."""
        done = subprocess.run(
            [self._binary, *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=CALL_S,
            env=self._environment,
            check=False,
        )
        if not succeeds:
            return done.stdout + done.stderr
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def field(self, path: str, *args: str) -> str:
        """One field of an object, by JSONPath."""
        return self("get", *args, "-o", f"jsonpath={{{path}}}")

    def start(self, *args: str, output: Path) -> "subprocess.Popen[bytes]":
        """Start a call that stays, such as a watch; its output goes to a file."""
        with output.open("wb") as file:
            return subprocess.Popen(
                [self._binary, *args],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=self._environment,
            )


def _write_service_account_keys(directory: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (directory / "sa.key").write_bytes(private)
    (directory / "sa.pub").write_bytes(public)


def _kubeconfig(url: str) -> Mapping[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
