"""Ports for members: theirs alone, also while they are down."""

import socket

import pytest

from jepsen.ports import candidates, free_ports


def test_no_port_is_given_twice() -> None:
    ports = [port for _ in range(20) for port in free_ports(5)]
    assert len(set(ports)) == 100


def test_a_port_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = free_ports(2)
    monkeypatch.setattr("jepsen.ports._CANDIDATES", range(2))
    with socket.create_server(("127.0.0.1", taken)):
        monkeypatch.setattr("jepsen.ports._ROUND", iter([taken, free]))
        assert free_ports(1) == [free]
        monkeypatch.setattr("jepsen.ports._ROUND", iter([taken]))
        with pytest.raises(OSError, match="no 1 free ports"):
            free_ports(1)


def test_what_the_kernel_gives_to_connections_is_no_port_for_a_member() -> None:
    assert candidates("32768 60999\n") == range(10_000, 32_768)
    assert candidates("1024 65535\n") == range(10_000, 65_536)
