"""URLs at which a member listens, parsed once.

Rule: an `Endpoint` can be bound as it is. Written forms: `http://IP:port`, `https://IP:port`,
`unix:///path` and `unixs:///path` (TLS over it), and k8s-dqlite's `tcp://IP:port`, which is plain
unless a certificate is given. All that follows `unix://` is the file's name, letter by letter: the
tools of that world write `unix:///path/kine.sock:12379` and mean a file of that name.
"""

from __future__ import annotations

import ipaddress
from typing import Final, Literal

import attrs

Scheme = Literal["http", "https", "unix", "unixs"]

PORT_MAX: Final = 65_535


class EndpointError(Exception):
    """A URL at which nothing can listen; the text completes "--listen-client-urls=X: ..."."""


@attrs.frozen
class Endpoint:
    """One listening address: host and port, or the path of a socket file.

    `host` is an IP address without brackets, "localhost", or "" for every interface.
    """

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def has_tls(self) -> bool:
        """Say whether TLS is spoken here."""
        return self.scheme in ("https", "unixs")

    @property
    def is_everywhere(self) -> bool:
        """Say whether every interface is meant, so that no client can use the URL as it stands."""
        return not self.path and self.host in ("", "0.0.0.0", "::")

    @property
    def url(self) -> str:
        """Return the URL a client would use."""
        if self.path:
            return f"{self.scheme}://{self.path}"
        return f"{self.scheme}://{at(self.host, self.port)}"


def at(host: str, port: int) -> str:
    """Return host:port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_endpoint(text: str, *, is_tcp_tls: bool) -> Endpoint:
    """Return the endpoint a URL names; `is_tcp_tls`: `tcp://` means TLS. Raises EndpointError."""
    scheme, separator, rest = text.strip().partition(":")
    if not separator:
        raise EndpointError(f'"{text}" is no URL; write it as http://127.0.0.1:2379')
    if scheme in ("unix", "unixs"):
        path = rest.removeprefix("//")
        if not path:
            raise EndpointError(f'"{text}" names no socket file; write it as {scheme}:///path')
        return Endpoint("unix" if scheme == "unix" else "unixs", path=path)
    if scheme not in ("http", "https", "tcp"):
        raise EndpointError(
            f'"{text}" begins with "{scheme}"; known are http, https, unix, unixs and tcp'
        )
    if not rest.startswith("//"):
        raise EndpointError(f'"{text}" lacks the slashes; write it as {scheme}://127.0.0.1:2379')
    has_tls = is_tcp_tls if scheme == "tcp" else scheme == "https"
    host, port = split_address(rest.removeprefix("//").removesuffix("/"), text)
    if host not in ("", "localhost"):
        try:
            host = str(ipaddress.ip_address(host))
        except ValueError as fault:
            raise EndpointError(
                f'"{text}": to listen, give an IP address or localhost instead of "{host}"'
            ) from fault
    return Endpoint("https" if has_tls else "http", host=host, port=port)


def split_address(address: str, text: str) -> tuple[str, int]:
    """Return host and port of `host:port`; `text` is what messages quote. Raises EndpointError."""
    if "/" in address or "?" in address or "@" in address:
        raise EndpointError(f'"{text}" must end after the port')
    host, separator, port = address.rpartition(":")
    if not separator or not (port.isascii() and port.isdecimal()) or int(port) > PORT_MAX:
        raise EndpointError(f'"{text}" needs a port from 0 to {PORT_MAX} at its end, as in :2379')
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise EndpointError(f'"{text}": an IPv6 address is written in brackets, as in [::1]:2379')
    return host, int(port)


def parse_url(text: str) -> str:
    """Check a URL that others will use (it may name a host) and return it. Raises EndpointError."""
    scheme, separator, rest = text.strip().partition("://")
    if scheme in ("unix", "unixs") and separator and rest:
        return text.strip()
    if scheme not in ("http", "https") or not separator:
        raise EndpointError(f'"{text}" is no URL for clients; write it as http://host:2379')
    host, port = split_address(rest.removesuffix("/"), text)
    if not host:
        raise EndpointError(f'"{text}" names no host')
    return f"{scheme}://{at(host, port)}"
