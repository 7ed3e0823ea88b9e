"""A member that asks for certificates serves who shows one, and tells whom it turned away."""

import http.client
import json
import ssl
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from jepsen.ports import free_ports
from net.handshake import REJECTED_EVERY_MS
from tests.certificates import Authority, client_context
from tests.members import Member, running
from tests.waiting import until

CLOSED = (ssl.SSLError, ConnectionError, http.client.HTTPException)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def member(tmp_path: Path, authority: Authority, port: int) -> Generator[Member]:
    files = authority.issue("server", "127.0.0.1", "localhost")
    # Its plain page is what shows that it is ready.
    plain = f"http://127.0.0.1:{free_ports(1)[0]}"
    command = [sys.executable, "-m", "server.main", "serve", f"--data-dir={tmp_path / 'data'}"]
    command += [f"--listen-client-urls=https://127.0.0.1:{port}", f"--listen-metrics-urls={plain}"]
    command += [f"--advertise-client-urls=https://127.0.0.1:{port}", "--client-cert-auth"]
    command += [f"--cert-file={files.cert_file}", f"--key-file={files.key_file}"]
    command += [f"--trusted-ca-file={authority.ca_file}"]
    with running(Member("trine", command, tmp_path / "data", plain)) as member:
        yield member


def version(port: int, context: ssl.SSLContext) -> str:
    """Ask for the version over TLS."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)
    try:
        connection.request("GET", "/version")
        told: str = json.loads(connection.getresponse().read())["etcdserver"]
        return told
    finally:
        connection.close()


def test_a_client_with_a_certificate_is_served(
    member: Member, authority: Authority, port: int
) -> None:
    shown = authority.issue("client", "client")
    context = client_context(authority.ca_file, shown, alpn=("http/1.1",))
    assert version(port, context) == "3.7.0"
    assert member.log_lines("rejected connection on TLS listener") == []


def test_a_client_without_one_is_turned_away_and_the_log_says_so(
    member: Member, authority: Authority, port: int
) -> None:
    began_s = time.monotonic()
    for _ in range(3):
        with pytest.raises(CLOSED):
            version(port, client_context(authority.ca_file, alpn=("http/1.1",)))
    message = "rejected connection on TLS listener"
    # Who is turned away may know of it before the member has written it down.
    until(lambda: bool(member.log_lines(message)), "it does not say so")
    told, *more = member.log_lines(message)
    assert len(more) <= (time.monotonic() - began_s) * 1000 // REJECTED_EVERY_MS
    assert (told["level"], "certificate" in str(told["error"])) == ("warn", True)
