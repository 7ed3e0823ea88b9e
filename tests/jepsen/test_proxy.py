"""The proxy of links: bytes are passed on, held, late, or their connection is cut; by direction."""

import os
import socket
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing

import pytest

from jepsen.network import Loopback
from jepsen.proxy import LinkProxy

PATIENCE_S = 60.0
SHORT_S = 0.15
"""How long is waited for what must not come."""


class Pair:
    """Member 0 dials member 1 through the proxy; `here` is 0's end, `there` is 1's."""

    def __init__(self, stack: ExitStack) -> None:
        network = Loopback(2)
        self.proxy = stack.enter_context(closing(LinkProxy(network, 2)))
        # Both ends are this process; who dials shall be taken for member 0.
        self.proxy.pid_of = lambda number: os.getpid() if number == 0 else None
        self._listening = stack.enter_context(
            socket.create_server((network.address(1), network.peer_port(1)))
        )
        self.link = network.link(1)
        self._stack = stack

    def dial(self) -> tuple[socket.socket, socket.socket]:
        """Connect, and return both ends."""
        here = self._stack.enter_context(socket.create_connection(self.link, PATIENCE_S))
        self._listening.settimeout(PATIENCE_S)
        there, _ = self._listening.accept()
        there.settimeout(PATIENCE_S)
        return here, self._stack.enter_context(there)


@pytest.fixture
def pair() -> Generator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack)


def silent(end: socket.socket) -> bool:
    """Whether nothing comes for a moment."""
    end.settimeout(SHORT_S)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(PATIENCE_S)
    return False


def exact(end: socket.socket, size: int) -> bytes:
    """Read so many bytes."""
    found = b""
    while len(found) < size:
        found += end.recv(size - len(found))
    return found


def is_cut(end: socket.socket) -> bool:
    """Whether the connection was reset or ended."""
    try:
        return end.recv(1) == b""
    except ConnectionResetError:
        return True


def test_bytes_are_passed_on_whole_in_both_directions(pair: Pair) -> None:
    here, there = pair.dial()
    large = bytes(range(256)) * 4096
    here.sendall(b"ask")
    assert exact(there, 3) == b"ask"
    there.sendall(large)
    assert exact(here, len(large)) == large


def test_what_is_blocked_is_held_and_goes_on_when_it_is_lifted(pair: Pair) -> None:
    here, there = pair.dial()
    pair.proxy.block(0, 1, "drop")
    here.sendall(b"held")
    there.sendall(b"passes")
    assert exact(here, 6) == b"passes"
    assert silent(there)
    pair.proxy.block(0, 1, "")
    assert exact(there, 4) == b"held"


@pytest.mark.parametrize("lift", [lambda proxy: proxy.heal(), lambda proxy: proxy.block(1, 0, "")])
def test_the_way_back_is_a_direction_of_its_own(
    pair: Pair, lift: Callable[[LinkProxy], None]
) -> None:
    here, there = pair.dial()
    pair.proxy.block(1, 0, "drop")
    here.sendall(b"passes")
    assert exact(there, 6) == b"passes"
    there.sendall(b"held")
    assert silent(here)
    lift(pair.proxy)
    assert exact(here, 4) == b"held"


def test_a_reset_cuts_what_is_connected_and_what_connects(pair: Pair) -> None:
    here, there = pair.dial()
    pair.proxy.block(0, 1, "reset")
    assert is_cut(here)
    assert is_cut(there)
    with socket.create_connection(pair.link, PATIENCE_S) as again:
        assert is_cut(again)
    pair.proxy.heal()
    here, there = pair.dial()
    here.sendall(b"again")
    assert exact(there, 5) == b"again"


def test_what_is_late_comes_in_order(pair: Pair) -> None:
    here, there = pair.dial()
    pair.proxy.delay(0, 1, delay_ms=20, jitter_ms=40)
    for number in range(20):
        here.sendall(bytes([number]))
    assert exact(there, 20) == bytes(range(20))


def test_an_end_is_passed_on_behind_the_bytes(pair: Pair) -> None:
    here, there = pair.dial()
    here.sendall(b"last")
    here.shutdown(socket.SHUT_WR)
    assert exact(there, 4) == b"last"
    assert there.recv(1) == b""
    there.sendall(b"answer")
    assert exact(here, 6) == b"answer"


def test_closing_it_while_bytes_are_held_is_silent(
    pair: Pair, capfd: pytest.CaptureFixture[str]
) -> None:
    here, there = pair.dial()
    pair.proxy.block(0, 1, "drop")
    here.sendall(b"held")
    pair.proxy.close()
    assert is_cut(here)
    assert is_cut(there)
    assert capfd.readouterr() == ("", "")
