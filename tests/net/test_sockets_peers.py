"""Listeners for members: neither strangers nor a crowd of clients keep a member out."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from net.listen import Listener, ListenUrl, Role, listen
from net.sockets import MEMBER_HANDSHAKES_MAX, EpollSockets
from net.tls import ServerTls, TlsOptions
from tests.certificates import Authority
from tests.loopback import Lines


@pytest.fixture
def stack() -> ExitStack:
    return ExitStack()


def dialled(stack: ExitStack, listener: Listener) -> socket.socket:
    """A connection to a listener, closed with the stack."""
    return stack.enter_context(
        socket.create_connection(("127.0.0.1", listener.url.port), timeout=5)
    )


def turn(sockets: EpollSockets, until: Callable[[], bool]) -> bool:
    """Poll until something holds; False if it does not soon."""
    for _ in range(500):
        if until():
            return True
        sockets.poll(0.01)
    return False


def test_strangers_that_never_shake_hands_are_few_at_a_time(
    stack: ExitStack, tmp_path: Path
) -> None:
    files = Authority(tmp_path).issue("m1", "127.0.0.1")
    lines = Lines()
    tls = ServerTls(TlsOptions(files.cert_file, files.key_file), lines.log, alpn=())
    peers = listen(ListenUrl("https", "127.0.0.1", 0), Role.PEER, tls=tls)
    sockets = EpollSockets([peers], lines.log)
    with stack:
        silent = [dialled(stack, peers) for _ in range(MEMBER_HANDSHAKES_MAX + 1)]
        sockets.poll(0.1)
        assert turn(sockets, lambda: lines.having("too many handshakes under way") > 0)
        assert silent[-1].recv(1) == b""
        silent[0].close()
        assert turn(sockets, lambda: lines.having("rejected connection on TLS listener") > 0)
        late = dialled(stack, peers)
        sockets.poll(0.1)
        late.settimeout(0.05)
        with pytest.raises(TimeoutError):
            late.recv(1)
    sockets.close()


def test_as_many_clients_as_allowed_leave_the_door_open_for_members(stack: ExitStack) -> None:
    lines = Lines()
    clients = listen(ListenUrl("http", "127.0.0.1", 0))
    peers = listen(ListenUrl("http", "127.0.0.1", 0), Role.PEER)
    sockets = EpollSockets([clients, peers], lines.log, connections_max=3)
    with stack:
        for _ in range(5):
            dialled(stack, clients)
        assert turn(sockets, lambda: lines.having("accepting no connections for now") > 0)
        dialled(stack, peers)
        found: list[Role] = []

        def came() -> bool:
            while (link := sockets.accept()) is not None:
                found.append(link.peer.role)
            return Role.PEER in found

        assert turn(sockets, came)
        assert found.count(Role.CLIENT) == 3
    sockets.close()
