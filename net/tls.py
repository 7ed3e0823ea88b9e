"""TLS for listeners: contexts built from files, rebuilt when the files change, and names checked.

Rule: files are looked at again for every new connection (one `stat` each) and on `reload()`. Files
that cannot be used together leave the old ones in force, with one warning per state of the files;
at start they are an error. A connection keeps the certificate of its handshake.

Client certificates follow etcd: a trusted CA file or `client_cert_required` makes them mandatory
(the machine's CA store judges when no file is given); allowed common names and allowed host names
are looked for in the leaf certificate, and exclude each other; serial numbers in the revocation
list are refused. No session is resumed, so that each connection is judged anew.
"""

from __future__ import annotations

import os
import ssl
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, cast

import attrs

from net.revocation import RevocationListError, revoked_serials

if TYPE_CHECKING:
    from net.telemetry import Logger

ALPN_CLIENT: Final = ("http/1.1", "h2")
"""In our order of preference. A client that offers both (curl, Prometheus) wants /health or
/metrics, which are HTTP/1.1 here; gRPC clients offer h2 alone."""
ALPN_GRPC: Final = ("h2",)
ALPN_HTTP: Final = ("http/1.1",)


class TlsConfigError(Exception):
    """The TLS options or files cannot be used; the text is one sentence for the operator."""


@attrs.frozen
class TlsOptions:
    """The files and limits of one listener's TLS; `ciphers` is OpenSSL's spelling (TLS 1.2)."""

    cert_file: str
    key_file: str
    trusted_ca_file: str | None = None
    client_cert_required: bool = False
    crl_file: str | None = None
    allowed_common_names: tuple[str, ...] = ()
    allowed_hostnames: tuple[str, ...] = ()
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    max_version: ssl.TLSVersion | None = None
    ciphers: str | None = None
    is_pinned: bool = False
    """Whether the other end must show the very certificate of `cert_file`."""

    @property
    def judges_clients(self) -> bool:
        """Whether a client must show a certificate."""
        return self.client_cert_required or self.trusted_ca_file is not None

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read."""
        named = (self.cert_file, self.key_file, self.trusted_ca_file, self.crl_file)
        return tuple(name for name in named if name)


@attrs.frozen
class CertificateNames:
    """What a verified client certificate says about its holder; empty if there was none."""

    common_name: str | None = None
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    serial: int | None = None
    fingerprint: bytes = b""
    """SHA-256 of the whole certificate."""

    @property
    def all(self) -> tuple[str, ...]:
        """All subject alternative names."""
        return self.dns_names + self.addresses + self.others


@attrs.frozen
class _Loaded:
    context: ssl.SSLContext
    revoked: frozenset[int]
    fingerprint: bytes
    """Of our own certificate."""


_Stamp = tuple[tuple[int, int, int] | None, ...]


class ServerTls:
    """The TLS side of one listener. Raises TlsConfigError at once if the files are unusable."""

    def __init__(
        self, options: TlsOptions, log: Logger, *, alpn: tuple[str, ...] = ALPN_CLIENT
    ) -> None:
        if options.allowed_common_names and options.allowed_hostnames:
            raise TlsConfigError("allowed common names and allowed host names exclude each other")
        self._options = options
        self._alpn = alpn
        self._log = log
        self._stamp = _stamp(options)
        self._loaded = _load(options, alpn)

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection, made from the files as they are now."""
        if _stamp(self._options) != self._stamp:
            self.reload()
        return self._loaded.context

    def reload(self) -> bool:
        """Read the files again; say whether they were usable (else the old ones stay in force)."""
        self._stamp = _stamp(self._options)
        try:
            self._loaded = _load(self._options, self._alpn)
        except TlsConfigError as error:
            self._log.warn(
                "cannot use the changed certificate files; keeping the old ones", error=str(error)
            )
            return False
        self._log.info("reloaded certificates", cert_file=self._options.cert_file)
        return True

    def refusal(self, names: CertificateNames) -> str | None:
        """Say why a client with this verified certificate may not come in; None if it may."""
        options = self._options
        if names.serial is not None and names.serial in self._loaded.revoked:
            return f"certificate serial {names.serial:x} revoked"
        if options.is_pinned and names.fingerprint != self._loaded.fingerprint:
            return "the certificate is not the cluster's"
        if options.allowed_common_names:
            if names.common_name not in options.allowed_common_names:
                return "the certificate's common name is not allowed"
        elif options.allowed_hostnames and not any(
            _matches(names, hostname) for hostname in options.allowed_hostnames
        ):
            return "the certificate has no allowed host name"
        return None


def certificate_names(sock: ssl.SSLSocket | ssl.SSLObject) -> CertificateNames:
    """Read the names of the verified certificate that the other end has shown."""
    found = sock.getpeercert()
    if not found:
        return CertificateNames()
    # typeshed types each entry as any of three shapes; ssl documents which entry has which.
    subject = cast("tuple[tuple[tuple[str, str], ...], ...]", found.get("subject", ()))
    alternatives = cast("tuple[tuple[str, str], ...]", found.get("subjectAltName", ()))
    common_names = [value for group in subject for kind, value in group if kind == "commonName"]
    names: dict[str, list[str]] = {"DNS": [], "IP Address": [], "": []}
    for kind, name in alternatives:
        names.get(kind, names[""]).append(name.strip())
    return CertificateNames(
        common_names[-1] if common_names else None,
        tuple(names["DNS"]),
        tuple(names["IP Address"]),
        tuple(names[""]),
        int(str(found["serialNumber"]), 16),
        sha256(sock.getpeercert(binary_form=True) or b"").digest(),
    )


def _load(options: TlsOptions, alpn: tuple[str, ...]) -> _Loaded:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = options.min_version
    if options.max_version is not None:
        context.maximum_version = options.max_version
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    context.set_alpn_protocols(list(alpn))
    if options.ciphers:
        try:
            context.set_ciphers(options.ciphers)
        except ssl.SSLError as error:
            raise TlsConfigError(f"no usable cipher in {options.ciphers!r}") from error
    try:
        context.load_cert_chain(options.cert_file, options.key_file)
        fingerprint = _fingerprint(options.cert_file)
    except (OSError, ValueError) as error:
        names = f"{options.cert_file} and {options.key_file}"
        raise TlsConfigError(f"cannot use certificate and key {names}: {error}") from error
    if options.judges_clients:
        _require_clients(context, options.trusted_ca_file)
    return _Loaded(context, _revoked(options.crl_file), fingerprint)


def dialling_context(options: TlsOptions, pair: tuple[str, str] | None = None) -> ssl.SSLContext:
    """Return the context of a connection that is opened to another member: TLS 1.3, both certified.

    `pair` is the certificate and key to show, if not those of the listener. Names are for the
    caller to judge: a member is known by what its certificate says, not by where it was found.
    Raises TlsConfigError. Made anew for each connection: so files may change at any time.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    cert_file, key_file = pair or (options.cert_file, options.key_file)
    try:
        context.load_cert_chain(cert_file, key_file)
    except (OSError, ValueError) as error:
        message = f"cannot use certificate and key {cert_file} and {key_file}: {error}"
        raise TlsConfigError(message) from error
    _require_clients(context, options.trusted_ca_file)
    return context


def _fingerprint(cert_file: str) -> bytes:
    """Return the SHA-256 of the first certificate in a file that `load_cert_chain` took."""
    with open(cert_file, encoding="ascii", errors="replace") as file:
        text = file.read()
    begins = text.index(ssl.PEM_HEADER)
    ends = text.index(ssl.PEM_FOOTER, begins) + len(ssl.PEM_FOOTER)
    return sha256(ssl.PEM_cert_to_DER_cert(text[begins:ends])).digest()


def _require_clients(context: ssl.SSLContext, trusted_ca_file: str | None) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    # Go, and with it etcd, takes any certificate in the file as an anchor, intermediates too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if trusted_ca_file is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        context.load_verify_locations(cafile=trusted_ca_file)
    except (OSError, ValueError) as error:
        message = f"cannot use trusted CA file {trusted_ca_file}: {error}"
        raise TlsConfigError(message) from error


def _revoked(crl_file: str | None) -> frozenset[int]:
    if crl_file is None:
        return frozenset()
    try:
        with open(crl_file, "rb") as file:
            return revoked_serials(file.read())
    except (OSError, RevocationListError) as error:
        raise TlsConfigError(f"cannot use revocation list {crl_file}: {error}") from error


def _stamp(options: TlsOptions) -> _Stamp:
    """Return what changes when a file is written or replaced; None stands for a missing file."""
    stamps: list[tuple[int, int, int] | None] = []
    for name in options.files:
        try:
            found = os.stat(name)
        except OSError:
            stamps.append(None)
        else:
            stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(stamps)


def _matches(names: CertificateNames, hostname: str) -> bool:
    """Whether the certificate is valid for `hostname`, an address or a name (RFC 6125, as in Go).

    A wildcard stands for the whole leftmost label. The common name does not count.
    """
    try:
        wanted = ip_address(hostname.strip("[]"))
    except ValueError:
        pass
    else:
        return any(ip_address(address) == wanted for address in names.addresses)
    host = hostname.rstrip(".").lower()
    _, _, parent = host.partition(".")
    for pattern in names.dns_names:
        name = pattern.rstrip(".").lower()
        if name == host or (parent and name == f"*.{parent}"):
            return True
    return False
