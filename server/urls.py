"""URLs as people write them, for listening and for telling others.

Rule: this file makes the written forms of two worlds into `net.listen.ListenUrl`; it binds nothing.
k8s-dqlite's `tcp://` says nothing about TLS, so it means https if there is a certificate; Go reads
`unix:/path` like `unix:///path` and does not mind a slash at the end of a URL with a host.
"""

from __future__ import annotations

from typing import Final

import attrs

from net.listen import ListenError, ListenUrl, parse_listen_url

_ADVICE: Final = "write http://127.0.0.1:2379, https://10.0.0.1:2379 or unix:///run/trine.sock"
_PORT_MAX: Final = 65_535


class UrlError(Exception):
    """A URL that cannot be used; the text completes "--listen-client-urls=X: ..."."""


def listening(text: str, *, is_tcp_tls: bool) -> ListenUrl:
    """Return the URL to listen at; `is_tcp_tls`: `tcp://` means TLS. Raises UrlError."""
    try:
        url = parse_listen_url(_spelled_out(text.strip()))
    except ListenError as fault:
        raise UrlError(f"{fault}; {_ADVICE}") from fault
    if url.scheme == "tcp":
        return attrs.evolve(url, scheme="https" if is_tcp_tls else "http")
    return url


def advertised(text: str) -> str:
    """Check a URL that others will use (it may name a host) and return it. Raises UrlError."""
    scheme, separator, rest = _spelled_out(text.strip()).partition("://")
    if scheme in ("unix", "unixs") and rest:
        return f"{scheme}://{rest}"
    host, colon, port = rest.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and int(port) <= _PORT_MAX
    is_host = host and "/" not in host and "@" not in host
    if scheme not in ("http", "https") or not (separator and colon and is_port and is_host):
        raise UrlError(f'"{text}" is no URL that others can use; write http://host:port')
    return f"{scheme}://{host}:{port}"


def is_everywhere(url: ListenUrl) -> bool:
    """Say whether every interface is meant, so that nobody can connect to the URL as it stands."""
    return not url.path and url.host in ("", "0.0.0.0", "::")


def _spelled_out(text: str) -> str:
    for scheme in ("unix", "unixs"):
        if text.startswith(f"{scheme}:/") and not text.startswith(f"{scheme}://"):
            return f"{scheme}://{text.removeprefix(scheme + ':')}"
        if text.startswith(f"{scheme}:"):
            return text
    return text.removesuffix("/") if not text.endswith("://") else text
