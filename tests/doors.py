"""Verbs for tests of who asks a running member over HTTP: a stand-in that answers what it is told.

It listens on loopback or on a socket file, with TLS or without, and notes what it was asked.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import attrs
import h11

from tests.certificates import Files

Answer = Callable[[str, str, object], tuple[int, object, dict[str, str]]]
"""From method, path and document to status, document and headers."""


@attrs.define
class Door:
    """A stand-in, where it is, and what it was asked."""

    url: str
    asked: list[tuple[str, str, object]] = attrs.field(factory=list[tuple[str, str, object]])

    @property
    def address(self) -> str:
        """Host and port."""
        return self.url.partition("://")[2]


@contextmanager
def door(
    answer: Answer, *, path: Path | None = None, pair: Files | None = None, ca: str | None = None
) -> Generator[Door]:
    """Serve `answer` until the block ends, with TLS and client certificates if there is a pair."""
    if path is not None:
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(path))
        except OSError:
            listener.close()
            raise
        listener.listen()
        url = f"unix://{path}"
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        scheme = "http" if pair is None else "https"
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    context = None if pair is None else _context(pair, ca)
    served = Door(url)
    thread = threading.Thread(target=_serve, args=(listener, context, answer, served))
    thread.start()
    try:
        yield served
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def _context(pair: Files, ca: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(ca)
    return context


def _serve(
    listener: socket.socket, context: ssl.SSLContext | None, answer: Answer, served: Door
) -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        try:
            if context is not None:
                sock = context.wrap_socket(sock, server_side=True)
            _one(sock, answer, served)
        except OSError:
            pass  # The client went away, or its certificate was none.
        finally:
            sock.close()


def _one(sock: socket.socket, answer: Answer, served: Door) -> None:
    connection = h11.Connection(h11.SERVER)
    body = b""
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(sock.recv(1 << 16))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            return
    assert request is not None
    method, path = request.method.decode(), request.target.decode()
    document: object = json.loads(body) if body else None
    served.asked.append((method, path, document))
    status, told, headers = answer(method, path, document)
    data = told if isinstance(told, bytes) else json.dumps(told).encode()
    fields = [*headers.items(), ("Content-Length", str(len(data)))]
    sock.sendall(connection.send(h11.Response(status_code=status, headers=fields)) or b"")
    sock.sendall(data)
