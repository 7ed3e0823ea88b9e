"""Opening connections to other members, each attempt in a thread of its own.

Rule: a thread resolves, connects and shakes hands within `DIAL_S_MAX`, then is over; one attempt at
a time for each member, so there are never more threads than members. What it opened lies still
until `deliver` is called by the owner, in its own turn. A plain connection leaves this machine only
if that was asked for by name.
"""

import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from attrs import define, field, frozen

from net.application import Codec
from net.listen import KEEPALIVE_S, PeerInfo, Role
from net.peers.hello import Contact
from net.peers.identity import is_loopback
from net.peers.limits import DIAL_S_MAX
from net.peers.mesh import Dialled
from net.tls import CertificateNames, TlsConfigError, certificate_names

_SECURE: Final = ("https", "unixs")

Adopt = Callable[[socket.socket, PeerInfo, Codec], None]
Judge = Callable[[CertificateNames], str | None]


class DialError(Exception):
    """A URL cannot be dialled; the text says why."""


@frozen(eq=False)
class OpenSocket:
    """See `net.peers.mesh.Dialled`."""

    sock: socket.socket
    info: PeerInfo
    take: Adopt

    def adopt(self, codec: Codec) -> None:
        """See Dialled."""
        self.take(self.sock, self.info, codec)

    def abandon(self) -> None:
        """See Dialled."""
        self.sock.close()


@define(eq=False)
class ThreadDialler:
    """`net.peers.mesh.Dialler` over the operating system's sockets."""

    context: Callable[[], ssl.SSLContext] | None
    """Makes the TLS side of an attempt; None if there are no certificates."""
    judge: Judge
    """Says why the other end's certificate is none of ours; None if it is."""
    adopt: Adopt
    """Serves a connection from now on."""
    is_plain_allowed: bool = False
    """Whether a plain connection may leave this machine."""
    _wake: Callable[[], None] = field(default=lambda: None, init=False)
    _finished: deque[Callable[[], None]] = field(factory=deque[Callable[[], None]], init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _is_closed: bool = field(default=False, init=False)

    def start(self, wake: Callable[[], None]) -> None:
        """See Dialler."""
        self._wake = wake

    def dial(self, contact: Contact, done: Callable[[Dialled | str], None]) -> None:
        """See Dialler."""
        run = partial(self._run, contact, done)
        threading.Thread(target=run, name=f"trine-dial-{contact.id:x}", daemon=True).start()

    def deliver(self) -> None:
        """See Dialler."""
        while self._finished:
            self._finished.popleft()()

    def close(self) -> None:
        """See Dialler. Threads end by themselves; what they open they close."""
        with self._lock:
            self._is_closed = True
        self.deliver()

    def _run(self, contact: Contact, done: Callable[[Dialled | str], None]) -> None:
        faults: list[str] = []
        for url in contact.urls:
            try:
                opened = self._dial(url)
            except (OSError, ValueError, TlsConfigError, DialError) as error:
                faults.append(f"{url}: {error}")
                continue
            with self._lock:
                if self._is_closed:
                    opened.abandon()
                else:
                    self._finished.append(partial(done, opened))
            self._wake()
            return
        self._finished.append(partial(done, "; ".join(faults)))
        self._wake()

    def _dial(self, url: str) -> OpenSocket:
        parts = urlsplit(url)
        is_secure = parts.scheme in _SECURE
        self._check(url, parts.scheme, parts.hostname or "")
        sock = _connect(parts.scheme, parts.hostname or "", parts.port or 0, url)
        try:
            names = CertificateNames()
            if is_secure:
                assert self.context is not None, "INV-PEER-JUDGED"
                secure = self.context().wrap_socket(sock, server_hostname=parts.hostname)
                sock = secure
                names = certificate_names(secure)
                refused = self.judge(names)
                if refused is not None:
                    raise DialError(refused)
        except BaseException:
            sock.close()
            raise
        info = PeerInfo(
            parts.netloc or parts.path,
            Role.PEER,
            url,
            is_secure=is_secure,
            common_name=names.common_name,
            names=names.all,
        )
        return OpenSocket(sock, info, self.adopt)

    def _check(self, url: str, scheme: str, host: str) -> None:
        if scheme not in (*_SECURE, "http", "unix"):
            raise DialError(f"no member can be dialled by {url}")
        if scheme in _SECURE:
            if self.context is None:
                raise DialError("it wants TLS, and this member has no --peer-cert-file")
        elif scheme == "http" and not (self.is_plain_allowed or is_loopback(host)):
            raise DialError("plain connections between members stay on one machine")


def _connect(scheme: str, host: str, port: int, url: str) -> socket.socket:
    if scheme in ("unix", "unixs"):
        path = url.partition("://")[2]
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(DIAL_S_MAX)
            sock.connect("\0" + path[1:] if path.startswith("@") else path)
        except OSError:
            sock.close()
            raise
        return sock
    sock = socket.create_connection((host, port), timeout=DIAL_S_MAX)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
    return sock
