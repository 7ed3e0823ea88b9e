"""Whom the sockets report first: those that were answered, and then newcomers, a few at a time."""

from __future__ import annotations

import socket
import time

from net import sockets
from net.listen import Listener, ListenUrl, PeerInfo, Role, listen
from net.sockets import EpollSockets
from net.telemetry import SILENT


def tcp() -> Listener:
    return listen(ListenUrl("http", "127.0.0.1", 0), Role.CLIENT)


def accepted(owner: EpollSockets, count: int) -> list[sockets.Link]:
    """Poll until so many connections have come."""
    links: list[sockets.Link] = []
    until_s = time.monotonic() + 60
    while len(links) < count and time.monotonic() < until_s:
        owner.poll(0.1)
        while (link := owner.accept()) is not None:
            links.append(link)
    assert len(links) == count
    return links


def test_a_crowd_of_newcomers_is_read_a_few_at_a_time_and_after_the_known() -> None:
    listener = tcp()
    owner = EpollSockets([listener], SILENT)
    clients = [socket.create_connection(("127.0.0.1", listener.url.port)) for _ in range(50)]
    try:
        links = accepted(owner, 50)
        known = links[-1]
        known.favour()
        for client in clients:
            client.sendall(b"x")
        mine = {link.handle for link in links}
        known_alone = newcomers = 0
        for _ in range(20):
            ready = {handle for handle, _ in owner.poll(1.0)} & mine
            assert known.handle in ready
            assert len(ready) <= 1 + sockets.NEWCOMERS_MAX
            known_alone += len(ready) == 1
            newcomers += len(ready) - 1
        assert known_alone == 10, "no two polls in a row leave the newcomers out"
        assert newcomers == 10 * sockets.NEWCOMERS_MAX
    finally:
        for client in clients:
            client.close()
        owner.close()


def test_all_newcomers_have_their_turn_and_what_they_want_is_kept_when_favoured() -> None:
    listener = tcp()
    owner = EpollSockets([listener], SILENT)
    clients = [socket.create_connection(("127.0.0.1", listener.url.port)) for _ in range(30)]
    try:
        links = {link.handle: link for link in accepted(owner, 30)}
        for client in clients:
            client.sendall(b"x")
        for _ in range(1 + 30 // sockets.NEWCOMERS_MAX):
            for handle, _ in owner.poll(1.0):
                if handle in links:
                    assert links.pop(handle).recv(10) == b"x"
        assert not links
        here, there = socket.socketpair()
        clients.append(there)
        link = owner.adopt(here, PeerInfo("@", Role.CLIENT, "unix"))
        link.want(sockets.WRITE)
        link.favour()
        link.favour()
        assert (link.handle, sockets.WRITE) in owner.poll(1.0)
        link.want(sockets.READ)
        assert (link.handle, sockets.WRITE) not in owner.poll(0.0)
        link.close()
    finally:
        for client in clients:
            client.close()
        owner.close()
