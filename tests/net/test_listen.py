"""Listen URLs, binding, and what becomes of socket files."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from net.listen import ListenError, ListenUrl, listen, parse_listen_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:2379", ListenUrl("http", "127.0.0.1", 2379)),
        ("https://0.0.0.0:2379", ListenUrl("https", "0.0.0.0", 2379)),
        ("http://localhost:2379", ListenUrl("http", "localhost", 2379)),
        ("http://:2379", ListenUrl("http", "", 2379)),
        ("http://[::1]:2379", ListenUrl("http", "::1", 2379)),
        ("tcp://127.0.0.1:12379", ListenUrl("tcp", "127.0.0.1", 12379)),
        (" http://127.0.0.1:1 ", ListenUrl("http", "127.0.0.1", 1)),
        ("unix:///run/kine.sock:12379", ListenUrl("unix", path="/run/kine.sock:12379")),
        ("unix://kine.sock:12379", ListenUrl("unix", path="kine.sock:12379")),
        ("unixs:///run/a", ListenUrl("unixs", path="/run/a")),
        ("unix://@trine", ListenUrl("unix", path="@trine")),
    ],
)
def test_a_listen_url_is_parsed_and_written_back(text: str, url: ListenUrl) -> None:
    assert parse_listen_url(text) == url
    assert str(url) == text.strip()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("127.0.0.1:2379", "URL scheme must be http, https, tcp, unix, or unixs: 127.0.0.1:2379"),
        ("ftp://x:1", "URL scheme must be http, https, tcp, unix, or unixs: ftp://x:1"),
        ("http://127.0.0.1", 'URL address does not have the form "host:port": http://127.0.0.1'),
        ("http://1.2.3.4:70000", 'URL address does not have the form "host:port": '),
        ("http://127.0.0.1:1/v3", "URL must not contain a path: http://127.0.0.1:1/v3"),
        ("http://db.example:1", "expected IP in URL for binding (http://db.example:1)"),
        ("unix://", "URL names no socket file: unix://"),
    ],
)
def test_a_malformed_url_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ListenError) as refused:
        parse_listen_url(text)
    assert str(refused.value).startswith(sentence)


def test_port_zero_becomes_the_port_that_was_bound() -> None:
    listener = listen(parse_listen_url("http://127.0.0.1:0"))
    assert listener.url.port == listener.sock.getsockname()[1] != 0
    listener.close()


def test_no_host_means_every_address() -> None:
    listener = listen(ListenUrl("http", "", 0))
    socket.create_connection(("127.0.0.1", listener.url.port)).close()
    listener.close()


def test_an_accepted_connection_does_not_wait_to_fill_its_segments() -> None:
    listener = listen(ListenUrl("http", "127.0.0.1", 0))
    client = socket.create_connection(("127.0.0.1", listener.url.port))
    accepted, _ = listener.sock.accept()
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    for sock in (accepted, client):
        sock.close()
    listener.close()


def test_a_port_in_use_is_refused_with_a_guess() -> None:
    listener = listen(ListenUrl("http", "127.0.0.1", 0))
    with pytest.raises(ListenError) as refused:
        listen(listener.url)
    assert str(refused.value) == (
        f"cannot listen on {listener.url}: address already in use; is another member running there?"
    )
    listener.close()


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ListenError, match="no interface of this machine has it"):
        listen(ListenUrl("http", "192.0.2.1", 1))


def test_a_secure_url_without_a_certificate_is_refused() -> None:
    with pytest.raises(ListenError, match="a certificate and key are needed for TLS"):
        listen(ListenUrl("https", "127.0.0.1", 0))


def test_a_socket_file_has_the_literal_name_and_goes_with_its_listener(tmp_path: Path) -> None:
    url = parse_listen_url(f"unix://{tmp_path}/kine.sock:12379")
    listener = listen(url)
    assert os.listdir(tmp_path) == ["kine.sock:12379"]
    listener.close()
    assert os.listdir(tmp_path) == []


def test_a_relative_socket_file_is_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listener = listen(parse_listen_url("unix://kine.sock:12379"))
    assert os.listdir(tmp_path) == ["kine.sock:12379"]
    listener.close()


def test_an_abstract_name_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listener = listen(ListenUrl("unix", path=f"@trine-test-{os.getpid()}"))
    assert os.listdir(tmp_path) == []
    listener.close()


def test_a_socket_file_without_a_listener_is_replaced(tmp_path: Path) -> None:
    path = f"{tmp_path}/a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
        dead.listen()
    listener = listen(ListenUrl("unix", path=path))
    listener.close()


def test_a_socket_file_with_a_listener_is_left_alone(tmp_path: Path) -> None:
    url = ListenUrl("unix", path=f"{tmp_path}/a.sock")
    first = listen(url)
    with pytest.raises(ListenError, match="address already in use; is another member running"):
        listen(url)
    assert os.path.exists(url.path)
    first.close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ListenError, match="exists and is not a socket"):
        listen(ListenUrl("unix", path=str(path)))
    assert path.read_text() == "data"


def test_closing_leaves_the_socket_file_of_a_successor(tmp_path: Path) -> None:
    url = ListenUrl("unix", path=f"{tmp_path}/a.sock")
    first = listen(url)
    os.unlink(url.path)
    second = listen(url)
    first.close()
    assert os.path.exists(url.path)
    second.close()


def test_closing_on_a_disk_that_fails_leaves_the_file_to_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = ListenUrl("unix", path=f"{tmp_path}/a.sock")
    listener = listen(url)

    def fails(path: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fails)
        listener.close()
    assert listener.sock.fileno() == -1
    listen(url).close()


def test_a_socket_file_in_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="no such file or directory"):
        listen(ListenUrl("unix", path=f"{tmp_path}/nowhere/a.sock"))
