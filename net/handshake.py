"""TLS handshakes that cost the reactor nothing: each step runs in a thread, none of them waits.

Rule: a socket belongs to the poll (armed once, waiting for bytes) or to a thread (one
`do_handshake` step), never to both. A client that is slow or silent therefore occupies no thread;
it is closed when its time is up. The signature of an RSA-4096 handshake costs 4 ms, and three
apiservers that reconnect 73 sockets each must not cost an election.

The first byte tells a client that speaks no TLS; one that speaks HTTP/1 is told so in Go's words.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs
import outcome

from net.listen import Listener, PeerInfo, Role
from net.syncer import Jobs
from net.telemetry import Logger
from net.tls import certificate_names

HANDSHAKE_TIMEOUT_S: Final = 10.0
"""etcd's tlsHandshakeTimeout."""
REJECTED_EVERY_MS: Final = 5_000
"""Anybody can have a connection rejected: the log tells of one in a while, and how many more."""

_TLS_HANDSHAKE_RECORD: Final = 0x16
_HTTP_METHODS: Final = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC")
_PLAINTEXT_ANSWER: Final = (
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
)


@attrs.define(eq=False)
class _Handshake:
    sock: socket.socket
    handle: int
    listener: Listener
    address: str
    expires_s: float
    is_running: bool = False
    is_expired: bool = False


class Handshakes:
    """All connections of TLS listeners that are not established yet.

    `done` holds established sockets, still registered in the epoll, with what is known about the
    client; whoever takes one from there owns it. The caller runs `deliver` after each wake.
    """

    def __init__(
        self,
        poll: select.epoll,
        jobs: Jobs,
        log: Logger,
        *,
        now_s: Callable[[], float],
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
    ) -> None:
        self._poll = poll
        self._jobs = jobs
        self._log = log
        self._now_s = now_s
        self._timeout_s = timeout_s
        self.pending: dict[int, _Handshake] = {}
        """Those under way, by handle."""
        self.members_pending = 0
        """How many are of listeners for members."""
        self.done: deque[tuple[ssl.SSLSocket, PeerInfo]] = deque()

    def __len__(self) -> int:
        return len(self.pending)

    def __contains__(self, handle: int) -> bool:
        return handle in self.pending

    def begin(self, sock: socket.socket, listener: Listener, address: str) -> None:
        """Take over a freshly accepted, non-blocking socket."""
        expires_s = self._now_s() + self._timeout_s
        shake = _Handshake(sock, sock.fileno(), listener, address, expires_s)
        self.pending[shake.handle] = shake
        self.members_pending += listener.role is Role.PEER
        self._poll.register(shake.handle, select.EPOLLIN | select.EPOLLONESHOT)

    def ready(self, handle: int) -> None:
        """Go on with the handshake whose socket the poll reported."""
        shake = self.pending[handle]
        if not isinstance(shake.sock, ssl.SSLSocket) and not self._wrap(shake):
            return
        assert isinstance(shake.sock, ssl.SSLSocket)
        shake.is_running = True
        self._jobs.submit(shake.sock.do_handshake, partial(self._stepped, shake))

    def deliver(self) -> None:
        """Look at the steps that threads have finished."""
        self._jobs.deliver()

    def expire(self) -> None:
        """Close every handshake whose time is up."""
        now_s = self._now_s()
        for shake in list(self.pending.values()):
            if shake.expires_s > now_s:
                break  # The dict is in order of arrival, and all wait equally long.
            if shake.is_running:
                shake.is_expired = True
            else:
                self._drop(shake, "handshake timed out")

    def close(self) -> None:
        """End the threads, then drop everything that is pending or was not taken."""
        self._jobs.close()
        self._jobs.deliver()
        for shake in list(self.pending.values()):
            self._drop(shake, "closing")
        while self.done:
            self.done.popleft()[0].close()

    def _wrap(self, shake: _Handshake) -> bool:
        """Turn the plain socket into a TLS one if its first bytes are TLS; else drop it."""
        listener = shake.listener
        assert listener.tls is not None
        try:
            first = shake.sock.recv(4, socket.MSG_PEEK)
            if not first:
                self._drop(shake, "closed before the handshake")
                return False
            if first[0] != _TLS_HANDSHAKE_RECORD:
                if first in _HTTP_METHODS:
                    # Read what is to be answered, or closing would reset the answer away.
                    shake.sock.recv(65536)
                    shake.sock.send(_PLAINTEXT_ANSWER)
                self._drop(shake, "client speaks no TLS on a TLS listener")
                return False
            shake.sock = listener.tls.context().wrap_socket(
                shake.sock, server_side=True, do_handshake_on_connect=False
            )
        except OSError as error:
            self._drop(shake, str(error))
            return False
        return True

    def _stepped(self, shake: _Handshake, result: outcome.Maybe[None]) -> None:
        shake.is_running = False
        if shake.is_expired:
            self._drop(shake, "handshake timed out")
            return
        try:
            result.unwrap()
        except ssl.SSLWantReadError:
            self._poll.modify(shake.handle, select.EPOLLIN | select.EPOLLONESHOT)
        except ssl.SSLWantWriteError:
            self._poll.modify(shake.handle, select.EPOLLOUT | select.EPOLLONESHOT)
        except OSError as error:  # ssl.SSLError is one.
            self._drop(shake, str(error))
        else:
            self._establish(shake)

    def _establish(self, shake: _Handshake) -> None:
        sock, listener = shake.sock, shake.listener
        assert isinstance(sock, ssl.SSLSocket)
        assert listener.tls is not None
        names = certificate_names(sock)
        refusal = listener.tls.refusal(names)
        if refusal is not None:
            self._drop(shake, refusal)
            return
        self._forget(shake)
        peer = PeerInfo(
            shake.address,
            listener.role,
            str(listener.url),
            is_secure=True,
            alpn=sock.selected_alpn_protocol(),
            common_name=names.common_name,
            names=names.all,
        )
        self.done.append((sock, peer))

    def _drop(self, shake: _Handshake, reason: str) -> None:
        self._log.warn_every(
            REJECTED_EVERY_MS,
            "rejected connection on TLS listener",
            remote_addr=shake.address,
            listener=str(shake.listener.url),
            error=reason,
        )
        self._forget(shake)
        self._poll.unregister(shake.handle)
        shake.sock.close()

    def _forget(self, shake: _Handshake) -> None:
        del self.pending[shake.handle]
        self.members_pending -= shake.listener.role is Role.PEER
