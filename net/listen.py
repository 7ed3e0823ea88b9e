"""Listen URLs, the sockets bound to them, and who is at the other end of a connection.

Rule: a URL names its address literally. Everything after `unix://` is a file name, so that
`unix:///run/trine.sock:12379` is a file called `trine.sock:12379`, as etcd clients and kine have
it; a relative name is relative to the working directory, and a leading `@` means the abstract
namespace. A socket file is deleted only when nobody listens behind it any more.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import re
import socket
import stat
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from net.tls import ServerTls

BACKLOG: Final = 4096
"""The kernel lowers it to net.core.somaxconn."""

KEEPALIVE_S: Final = 15
"""TCP's own probes, at Go's interval; they find machines that vanished without a word."""

_FILE_SCHEMES: Final = ("unix", "unixs")
_HOST_SCHEMES: Final = ("http", "https", "tcp")
_HOST_PORT = re.compile(r"(?:\[(?P<six>[^][]*)]|(?P<host>[^][:/]*)):(?P<port>[0-9]{1,5})")


class ListenError(Exception):
    """A listen URL is malformed or cannot be bound; the text is one sentence for the operator."""


class Role(enum.Enum):
    """What is spoken on a listener."""

    CLIENT = "client"
    """gRPC and HTTP/1.1 on one port; the first bytes decide."""
    GRPC = "grpc"
    """gRPC alone, because HTTP has listeners of its own."""
    HTTP = "http"
    """HTTP/1.1 alone: health, metrics, version."""
    PEER = "peer"
    """The application's own protocol between members, from the first byte on."""


@attrs.frozen
class ListenUrl:
    """A parsed listen URL: host and port, or a socket file's name."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme in ("https", "unixs")

    def __str__(self) -> str:
        if self.scheme in _FILE_SCHEMES:
            return f"{self.scheme}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@attrs.frozen(eq=False)
class Listener:
    """A bound, listening socket with the URL it came from; `tls` is there if the URL is secure."""

    url: ListenUrl
    sock: socket.socket
    role: Role = Role.CLIENT
    tls: ServerTls | None = None
    file: tuple[int, int] | None = None
    """Device and inode of the socket file, if there is one."""

    def close(self) -> None:
        """Stop listening; remove the socket file if it is still the one that was bound here."""
        if self.file is not None and _identity(self.url.path) == self.file:
            # On a disk that fails the file stays, and the next start replaces it: what failed
            # before is the news, and an error from here would be told in its place.
            with contextlib.suppress(OSError):
                os.unlink(self.url.path)
        self.sock.close()


@attrs.frozen
class PeerInfo:
    """Who connected, where, and as whom; the names come from a verified client certificate."""

    address: str
    role: Role = Role.CLIENT
    url: str = ""
    is_secure: bool = False
    alpn: str | None = None
    common_name: str | None = None
    names: tuple[str, ...] = ()


def parse_listen_url(text: str) -> ListenUrl:
    """Parse `http`, `https`, `tcp`, `unix` or `unixs` URLs.

    A host is an IP address, `localhost` or nothing (every address). Raises ListenError.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme not in (*_FILE_SCHEMES, *_HOST_SCHEMES):
        raise ListenError(f"URL scheme must be http, https, tcp, unix, or unixs: {text}")
    if scheme in _FILE_SCHEMES:
        if not rest:
            raise ListenError(f"URL names no socket file: {text}")
        return ListenUrl(scheme, path=rest)
    if "/" in rest:
        raise ListenError(f"URL must not contain a path: {text}")
    found = _HOST_PORT.fullmatch(rest)
    if found is None or int(found["port"]) > 65535:
        raise ListenError(f'URL address does not have the form "host:port": {text}')
    host = found["host"] if found["six"] is None else found["six"]
    if host not in ("", "localhost") and not _is_address(host):
        raise ListenError(f"expected IP in URL for binding ({text})")
    return ListenUrl(scheme, host=host, port=int(found["port"]))


def listen(
    url: ListenUrl,
    role: Role = Role.CLIENT,
    *,
    tls: ServerTls | None = None,
    reuse_port: bool = False,
    backlog: int = BACKLOG,
) -> Listener:
    """Bind and listen; the URL of the result has the port that was bound (0 asks for any).

    Raises ListenError, also for a secure URL without `tls`.
    """
    if url.is_secure and tls is None:
        raise ListenError(f"cannot listen on {url}: a certificate and key are needed for TLS")
    sock = _bind_file(url) if url.path else _bind_host(url, reuse_port=reuse_port)
    try:
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise _refusal(url, error) from error
    sock.setblocking(False)
    if not url.path:
        url = attrs.evolve(url, port=sock.getsockname()[1])
    is_file = url.path and not url.path.startswith("@")
    file = _identity(url.path) if is_file else None
    return Listener(url, sock, role, tls if url.is_secure else None, file)


def _bind_host(url: ListenUrl, *, reuse_port: bool) -> socket.socket:
    """Bind a TCP address; no host means every address of both families, as in etcd."""
    host = {"localhost": "127.0.0.1", "": "::"}.get(url.host, url.host)
    if host == "::" and not (socket.has_ipv6 and _has_six()):
        host = "0.0.0.0"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit these on Linux, which saves a call for each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        sock.bind((host, url.port))
    except OSError as error:
        sock.close()
        raise _refusal(url, error) from error
    return sock


def _bind_file(url: ListenUrl) -> socket.socket:
    name = "\0" + url.path[1:] if url.path.startswith("@") else url.path
    if not name.startswith("\0"):
        _remove_stale(url)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(name)
    except OSError as error:
        sock.close()
        raise _refusal(url, error) from error
    return sock


def _remove_stale(url: ListenUrl) -> None:
    """Delete the socket file of a process that is gone; refuse if it is not ours to delete."""
    try:
        mode = os.stat(url.path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refusal(url, error) from error
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on {url}: {url.path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(url.path)
        except (ConnectionRefusedError, FileNotFoundError):
            pass  # Nobody listens: the file outlived its process.
        except OSError as error:
            # A full backlog or a refusal of access: somebody may well be there.
            raise _refusal(url, error) from error
        else:
            raise _refusal(url, OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)))
    try:
        os.unlink(url.path)
    except OSError as error:
        raise _refusal(url, error) from error


def _refusal(url: ListenUrl, error: OSError) -> ListenError:
    reason = (error.strerror or str(error)).lower()
    hint = ""
    if error.errno == errno.EADDRINUSE:
        hint = "; is another member running there?"
    elif error.errno == errno.EADDRNOTAVAIL:
        hint = "; no interface of this machine has it"
    elif error.errno == errno.EACCES:
        hint = "; a port below 1024 or this directory needs more rights"
    return ListenError(f"cannot listen on {url}: {reason}{hint}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _has_six() -> bool:
    """Whether this machine can bind an IPv6 wildcard (it may be switched off in the kernel)."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
