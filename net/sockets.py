"""The sockets port: what the reactor sees of the network, and its implementation over epoll.

Rule: bytes and readiness only. A link is handed out once it is ready for the protocol (a TLS
handshake is over, its client judged), and nothing in here reads what the bytes say. The simulator
has its own implementation of `Sockets` and `Link`.

No call but `Sockets.wait` lets another task run, and none but `poll` waits.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

import trio

from net.handshake import Handshakes
from net.listen import Listener, PeerInfo, Role
from net.syncer import Jobs
from net.telemetry import Logger

READ: Final = select.EPOLLIN
"""Something can be received: bytes, the end, or an error."""
WRITE: Final = select.EPOLLOUT

EVENTS_MAX: Final = 64
"""Connections read in one turn, of those that know the way: 10 us each at least."""
NEWCOMERS_MAX: Final = 8
"""And of those that never had an answer: the first byte of each may take 50 us, its end 25."""
ACCEPTS_MAX: Final = 4
"""Connections accepted from one listener in one turn: 35 us each."""
CONNECTIONS_MAX: Final = 20_000
ACCEPT_PAUSE_S: Final = 0.25
MEMBER_HANDSHAKES_MAX: Final = 64
"""Handshakes at once at listeners for members. Clients that fill `CONNECTIONS_MAX` keep no member
out, and strangers at a peer port keep no client out."""
HANDSHAKE_THREADS: Final = max(1, min(4, (os.cpu_count() or 1) // 2))
"""On two cores a second thread ends a storm of RSA-4096 handshakes no sooner, and triples the
p99 of those who are connected already."""
UPKEEP_S: Final = 0.25
"""How long `wait` may oversleep a handshake's end or an accept pause."""
TLS_RECORD_BYTES: Final = 16384

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_OURS: Final = (errno.EBADF, errno.EFAULT, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP)
"""Errors of accept that only a mistake in here can cause."""


class Link(Protocol):
    """One established connection."""

    @property
    def handle(self) -> int:
        """The number that `Sockets.poll` reports it by."""
        ...

    @property
    def peer(self) -> PeerInfo:
        """Who is at the other end."""
        ...

    def recv(self, size: int) -> bytes | None:
        """Return bytes, about `size` at most; b"" at the end; None if there is nothing now.

        Raises OSError if the connection is lost.
        """
        ...

    def send(self, data: memoryview) -> int:
        """Send what fits and return its size, 0 if nothing does now.

        What was not sent must come first in the next call. Raises OSError if the connection is
        lost.
        """
        ...

    def want(self, interest: int) -> None:
        """Ask `poll` for these of READ and WRITE; a new link is asked for READ."""
        ...

    def favour(self) -> None:
        """It was answered something: from now on it goes before those that never were."""
        ...

    def shutdown(self) -> None:
        """Tell the other end that nothing more comes; whatever it still sends is noise."""
        ...

    def close(self) -> None:
        """Forget the connection; it is never reported again."""
        ...


class Sockets(Protocol):
    """All connections of the client port, and the way to wait for them."""

    def poll(self, timeout_s: float) -> Sequence[tuple[int, int]]:
        """Return (handle, READ | WRITE) of what is ready; block at most `timeout_s` for it.

        Handles that no link has stand for inner work (an accept, a wake): only their being there
        matters. Reports again what was not acted upon.
        """
        ...

    def accept(self) -> Link | None:
        """Return the next new connection, None if there is no further one now."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Let other tasks run until something may be ready or the time is over."""
        ...

    def wake(self) -> None:
        """End a `poll` or `wait`; callable from any thread."""
        ...

    def stop_accepting(self) -> None:
        """Close the listeners; links and running handshakes stay."""
        ...

    def close(self) -> None:
        """Close everything."""
        ...


class PlainLink:
    """A TCP or unix connection without TLS."""

    __slots__ = ("_interest", "_is_favoured", "_owner", "_sock", "handle", "peer")

    def __init__(self, owner: EpollSockets, sock: socket.socket, peer: PeerInfo) -> None:
        self._owner = owner
        self._sock = sock
        self._interest = READ
        self._is_favoured = False
        self.handle = sock.fileno()
        self.peer = peer

    def recv(self, size: int) -> bytes | None:
        """See Link."""
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None

    def send(self, data: memoryview) -> int:
        """See Link."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    def want(self, interest: int) -> None:
        """See Link."""
        if interest != self._interest:
            self._interest = interest
            self._owner.set_interest(self.handle, interest, favoured=self._is_favoured)

    def favour(self) -> None:
        """See Link."""
        if not self._is_favoured:
            self._is_favoured = True
            self._owner.favour(self.handle, self._interest)

    def shutdown(self) -> None:
        """See Link."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # The other end was faster.
                raise

    def close(self) -> None:
        """See Link."""
        self._owner.forget(self.handle, favoured=self._is_favoured)
        self._sock.close()


class TlsLink(PlainLink):
    """A connection whose TLS handshake is over."""

    __slots__ = ("_tls",)

    def __init__(self, owner: EpollSockets, sock: ssl.SSLSocket, peer: PeerInfo) -> None:
        super().__init__(owner, sock, peer)
        self._tls = sock

    def recv(self, size: int) -> bytes | None:
        """See Link. OpenSSL gives one record (16 KiB at most) a call: read on after a full one."""
        pieces: list[bytes] = []
        received = 0
        try:
            while received < size:
                piece = self._tls.recv(size)
                pieces.append(piece)
                received += len(piece)
                if len(piece) < TLS_RECORD_BYTES and not self._tls.pending():
                    break
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not pieces:
                return None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def send(self, data: memoryview) -> int:
        """See Link. One record goes out a call to OpenSSL, so go on until one does not fit."""
        sent = 0
        try:
            while sent < len(data):
                sent += self._tls.send(data[sent:])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        return sent

    def shutdown(self) -> None:
        """See Link. Says goodbye in TLS as well, so that the end is not taken for a truncation."""
        # It wants the other end's goodbye, or the connection is gone: both are fine here.
        with suppress(OSError):
            self._tls.unwrap()
        super().shutdown()


class EpollSockets:
    """`Sockets` over one epoll that trio may wait for as a whole.

    Whoever was never answered is in an epoll of its own inside that one: a crowd of newcomers is
    read a few a turn, and never in the turn of somebody who was there before, but in every second.
    Listeners are owned from here on and closed by `stop_accepting` or `close`.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        log: Logger,
        *,
        connections_max: int = CONNECTIONS_MAX,
        handshake_timeout_s: float = 10.0,
    ) -> None:
        self._log = log
        self._connections_max = connections_max
        self._links: dict[int, PlainLink] = {}
        self._new: deque[PlainLink] = deque()
        self._paused_until_s: float | None = None
        self._epoll = select.epoll()
        self._newcomers = select.epoll()
        self._epoll.register(self._newcomers.fileno(), READ)
        self._are_waiting = False
        """Whether the last poll left newcomers out."""
        self._wake_lock = threading.Lock()
        self._wake_handle = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake_handle, select.EPOLLIN)
        self._listeners = {listener.sock.fileno(): listener for listener in listeners}
        for handle in self._listeners:
            self._epoll.register(handle, select.EPOLLIN)
        is_secure = any(listener.tls is not None for listener in listeners)
        threads = HANDSHAKE_THREADS if is_secure else 0
        self._handshakes = Handshakes(
            self._epoll,
            Jobs("handshake", self.wake, threads=threads),
            log,
            now_s=time.monotonic,
            timeout_s=handshake_timeout_s,
        )

    def poll(self, timeout_s: float) -> Sequence[tuple[int, int]]:
        """See Sockets."""
        ready = self._epoll.poll(timeout_s, EVENTS_MAX)
        links = self._links
        crowd = False
        for handle, _ in ready:
            if handle not in links:
                crowd |= self._inner_work(handle)
        if crowd:
            crowd = self._are_waiting = not self._are_waiting and len(ready) > 1
            if not crowd:
                ready += self._newcomers.poll(0, NEWCOMERS_MAX)
        if self._handshakes.pending:
            self._handshakes.expire()
        if self._paused_until_s is not None and time.monotonic() >= self._paused_until_s:
            self._accept_again()
        return ready

    def accept(self) -> Link | None:
        """See Sockets."""
        return self._new.popleft() if self._new else None

    async def wait(self, timeout_s: float) -> None:
        """See Sockets."""
        if self._handshakes or self._paused_until_s is not None:
            timeout_s = min(timeout_s, UPKEEP_S)
        with trio.move_on_after(timeout_s):
            await trio.lowlevel.wait_readable(self._epoll.fileno())

    def wake(self) -> None:
        """See Sockets. After a `close` it does nothing: a thread may end later than the sockets."""
        with self._wake_lock:
            if self._wake_handle >= 0:
                os.eventfd_write(self._wake_handle, 1)

    def adopt(self, sock: socket.socket, peer: PeerInfo) -> Link:
        """Take over a connected socket that somebody else opened; TLS must be through."""
        sock.setblocking(False)
        link = (
            TlsLink(self, sock, peer)
            if isinstance(sock, ssl.SSLSocket)
            else PlainLink(self, sock, peer)
        )
        self._meet(link)
        return link

    def stop_accepting(self) -> None:
        """See Sockets."""
        for handle, listener in self._listeners.items():
            self._epoll.unregister(handle)
            listener.close()
        self._listeners.clear()
        self._paused_until_s = None

    def close(self) -> None:
        """See Sockets."""
        if self._epoll.closed:
            return
        self.stop_accepting()
        self._handshakes.close()
        for link in list(self._links.values()):
            link.close()
        self._newcomers.close()
        self._epoll.close()
        with self._wake_lock:
            os.close(self._wake_handle)
            self._wake_handle = -1

    def set_interest(self, handle: int, interest: int, *, favoured: bool) -> None:
        """Change what the poll reports of a link (for links)."""
        (self._epoll if favoured else self._newcomers).modify(handle, interest)

    def favour(self, handle: int, interest: int) -> None:
        """Put a link among those that go first (for links)."""
        if handle in self._links:
            self._newcomers.unregister(handle)
            self._epoll.register(handle, interest)

    def forget(self, handle: int, *, favoured: bool) -> None:
        """Drop a link that closes (for links)."""
        if self._links.pop(handle, None) is not None:
            (self._epoll if favoured else self._newcomers).unregister(handle)

    def _meet(self, link: PlainLink) -> None:
        self._links[link.handle] = link
        self._newcomers.register(link.handle, READ)

    def _inner_work(self, handle: int) -> bool:
        """Do what a handle without a link stands for; whether that is: newcomers can be read."""
        if handle == self._newcomers.fileno():
            return True
        if handle in self._listeners:
            self._accept_from(self._listeners[handle])
        elif handle == self._wake_handle:
            os.eventfd_read(handle)
            self._handshakes.deliver()
            while self._handshakes.done:
                sock, peer = self._handshakes.done.popleft()
                link = TlsLink(self, sock, peer)
                self._epoll.unregister(link.handle)
                self._meet(link)
                self._new.append(link)
        elif handle in self._handshakes:
            self._handshakes.ready(handle)
        return False

    def _accept_from(self, listener: Listener) -> None:
        is_member = listener.role is Role.PEER
        for _ in range(ACCEPTS_MAX):
            if is_member and self._handshakes.members_pending >= MEMBER_HANDSHAKES_MAX:
                self._refuse_one(listener)
                return
            if not is_member and len(self._links) + len(self._handshakes) >= self._connections_max:
                self._stop_for_now("as many connections as allowed", spares_members=True)
                return
            try:
                sock, address = listener.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OURS:
                    raise
                if error.errno in _EXHAUSTED:
                    self._stop_for_now(os.strerror(error.errno).lower())
                    return
                continue  # The connection broke while it waited: Linux reports that here.
            sock.setblocking(False)
            if listener.tls is not None:
                self._handshakes.begin(sock, listener, _name(address))
            else:
                peer = PeerInfo(_name(address), listener.role, str(listener.url))
                link = PlainLink(self, sock, peer)
                self._meet(link)
                self._new.append(link)

    def _refuse_one(self, listener: Listener) -> None:
        """Close what waits at a listener for members: it is more than members ever are."""
        with suppress(OSError):
            listener.sock.accept()[0].close()
        self._log.warn_every(60_000, "too many handshakes under way", listener=str(listener.url))

    def _stop_for_now(self, reason: str, *, spares_members: bool = False) -> None:
        """Stop accepting for a while; waiting clients stay in the kernel's queue."""
        self._log.warn_every(60_000, "accepting no connections for now", reason=reason)
        self._paused_until_s = time.monotonic() + ACCEPT_PAUSE_S
        for handle, listener in self._listeners.items():
            if not (spares_members and listener.role is Role.PEER):
                self._epoll.modify(handle, 0)

    def _accept_again(self) -> None:
        self._paused_until_s = None
        for handle in self._listeners:
            self._epoll.modify(handle, select.EPOLLIN)


def _name(address: tuple[str, int] | str | bytes) -> str:
    """Write an address as Go does; "@" for the nameless end of a unix socket."""
    if not isinstance(address, tuple):
        return "@"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
