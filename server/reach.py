"""Questions to a running member from outside of it: over its socket file, or its peer port.

Rule: blocking, one connection a question, every wait under a deadline. The other end's certificate
must come from the authority that was named, or, where all members share one pair, be that very
one; its names are not looked at, since a member is asked by the address that a list gave. A fault
is a sentence that names the place.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import urlsplit

import attrs

from net.tls import TlsConfigError, TlsOptions, dialling_context
from server.clustering import KnownMember
from server.documents import Fields, unlisted

ANSWER_BYTES_MAX: Final = 64 << 20


class ReachError(Exception):
    """A question that got no answer of use; the text is a sentence that names the place."""


class RefusedError(ReachError):
    """The member answered that it cannot or may not."""


@attrs.frozen
class Place:
    """Where a member is asked: a URL (http, https, unix), and what to show there."""

    url: str
    tls: TlsOptions | None = None
    dial_pair: tuple[str, str] | None = None
    is_pinned: bool = False
    """Whether the other end must show the very certificate of `tls`."""


@attrs.frozen
class View:
    """A cluster as one of its members sees it; `joined` is who the asking member is in it."""

    cluster_id: int
    member_id: int
    leader: int
    members: tuple[KnownMember, ...]
    joined: int | None = None

    def at(self, address: str) -> KnownMember | None:
        """Return the member that is reached at host:port."""
        for member in self.members:
            if any(url.partition("://")[2] == address for url in member.peer_urls):
                return member
        return None

    def leading(self) -> KnownMember | None:
        """Return the member that leads."""
        return next((each for each in self.members if each.id == self.leader), None)


@attrs.frozen
class Reply:
    """A whole answer."""

    status: int
    document: object
    headers: dict[str, str]


def shared_pair(certificate: str, key: str) -> TlsOptions:
    """Return what to show, and to ask for, where all members share one pair."""
    return TlsOptions(certificate, key, certificate, client_cert_required=True)


def ask(
    place: Place, method: str, path: str, fields: Fields | None = None, *, timeout_s: float
) -> Fields:
    """Return the object that a member answers. Raises ReachError, RefusedError."""
    document = ask_whole(place, method, path, fields, timeout_s=timeout_s).document
    if not isinstance(document, dict):
        raise ReachError(f"{place.url}: the answer is none of a member's.")
    # JSON has no other keys than text.
    return cast("Fields", document)


def ask_whole(
    place: Place, method: str, path: str, fields: Fields | None = None, *, timeout_s: float
) -> Reply:
    """Return a member's answer with its headers. Raises ReachError, RefusedError."""
    body = None if fields is None else json.dumps(fields).encode()
    connection = _Connection(place, timeout_s)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        data = response.read(ANSWER_BYTES_MAX + 1)
    except TlsConfigError as fault:
        raise ReachError(f"{place.url}: {fault}.") from fault
    except ssl.SSLError as fault:
        why = fault.reason or str(fault)
        raise ReachError(f"{place.url}: TLS failed: {why.lower().replace('_', ' ')}.") from fault
    except (OSError, http.client.HTTPException) as fault:
        why = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise ReachError(f"{place.url}: {why or type(fault).__name__}.") from fault
    finally:
        connection.close()
    return Reply(response.status, _document(place, response.status, data), dict(response.headers))


def view_of(document: Fields, place: Place) -> View:
    """Return the cluster that an answer describes. Raises ReachError."""
    try:
        joined = document.get("joined")
        return View(
            int(document["clusterID"], 16),
            int(document["memberID"], 16),
            int(document["leader"], 16),
            tuple(unlisted(each) for each in document["members"]),
            None if joined is None else int(joined, 16),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise ReachError(f"{place.url}: the answer is none of a member's.") from fault


def _document(place: Place, status: int, data: bytes) -> object:
    try:
        document: object = json.loads(data)
    except ValueError:
        document = None
    if status == HTTPStatus.OK and document is not None:
        return document
    if isinstance(document, dict) and "error" in document:
        # As above.
        raise RefusedError(str(cast("Fields", document)["error"]))
    raise ReachError(f"{place.url}: HTTP status {status}: is it a member's peer port?")


class _Connection(http.client.HTTPConnection):
    """A connection to a place: TCP or a socket file, with TLS where the URL says so."""

    def __init__(self, place: Place, timeout_s: float) -> None:
        parts = urlsplit(place.url)
        self._place = place
        self._scheme = parts.scheme
        self._path = place.url.partition("://")[2]
        host = parts.hostname or "localhost"
        super().__init__(host, parts.port or 0, timeout=timeout_s)

    def connect(self) -> None:
        """Open the connection. Raises OSError, TlsConfigError."""
        timeout: Any = self.timeout  # typeshed leaves it open; it is what was passed above
        if self._scheme == "unix":
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(timeout)
            self.sock.connect(self._path)
            return
        sock = socket.create_connection((self.host, self.port), timeout=timeout)
        if self._scheme != "https":
            self.sock = sock
            return
        try:
            self.sock = self._secured(sock)
        except BaseException:
            sock.close()
            raise

    def _secured(self, sock: socket.socket) -> ssl.SSLSocket:
        tls = self._place.tls
        if tls is None:
            raise TlsConfigError("it wants TLS: give a certificate and its key")
        secure = dialling_context(tls, self._place.dial_pair).wrap_socket(
            sock, server_hostname=self.host
        )
        if self._place.is_pinned:
            shown = secure.getpeercert(binary_form=True) or b""
            if sha256(shown).digest() != _fingerprint(tls.cert_file):
                secure.close()
                raise TlsConfigError("it shows another certificate than the cluster's")
        return secure


def _fingerprint(cert_file: str) -> bytes:
    """Return the SHA-256 of the first certificate in a file that was loaded."""
    with open(cert_file, encoding="ascii", errors="replace") as file:
        text = file.read()
    begins = text.index(ssl.PEM_HEADER)
    ends = text.index(ssl.PEM_FOOTER, begins) + len(ssl.PEM_FOOTER)
    return sha256(ssl.PEM_cert_to_DER_cert(text[begins:ends])).digest()
