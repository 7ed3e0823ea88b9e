"""The settings of TLS, as listeners and links take them.

Rule: files are named here, not opened: `server/preflight.py` looks whether they can be read.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

from net.listen import ListenUrl
from net.tls import TlsOptions
from server.ciphers import OPENSSL_NAMES, TLS13_NAMES
from server.reading import Reader

_TLS_VERSIONS: Final = {"TLS1.2": ssl.TLSVersion.TLSv1_2, "TLS1.3": ssl.TLSVersion.TLSv1_3}


def client_tls(read: Reader, endpoints: Sequence[ListenUrl]) -> TlsOptions | None:
    """Return what listeners for clients show and ask for; None without a certificate."""
    has_tls = any(endpoint.is_secure for endpoint in endpoints)
    return _tls(read, prefix="", crl="client-crl-file", has_tls=has_tls)


def peer_tls(read: Reader, endpoints: Sequence[ListenUrl]) -> TlsOptions | None:
    """Return what members show each other and ask for; None without a certificate."""
    has_tls = any(endpoint.is_secure for endpoint in endpoints)
    if has_tls and read.truth("peer-auto-tls"):
        return None
    return _tls(read, prefix="peer-", crl="peer-crl-file", has_tls=has_tls)


def dial_pair(read: Reader) -> tuple[str, str] | None:
    """Return certificate and key for links this member opens, if they have a pair apart."""
    cert_file, key_file = read.text("peer-client-cert-file"), read.text("peer-client-key-file")
    if bool(cert_file) != bool(key_file):
        absent = "peer-client-key-file" if cert_file else "peer-client-cert-file"
        read.fault(
            f"--peer-client-cert-file and --peer-client-key-file belong together: give --{absent}."
        )
        return None
    return (cert_file, key_file) if cert_file else None


def _tls(read: Reader, *, prefix: str, crl: str, has_tls: bool) -> TlsOptions | None:
    cert_file, key_file = read.text(f"{prefix}cert-file"), read.text(f"{prefix}key-file")
    trusted_ca_file = read.text(f"{prefix}trusted-ca-file") or None
    must_show = read.truth(f"{prefix}client-cert-auth")
    versions, ciphers = _versions(read), _ciphers(read)
    if bool(cert_file) != bool(key_file):
        absent = f"{prefix}key-file" if cert_file else f"{prefix}cert-file"
        read.fault(f"--{prefix}cert-file and --{prefix}key-file belong together: give --{absent}.")
        return None
    if not cert_file:
        if has_tls:
            read.fault(
                f"an https or unixs URL needs a certificate: give --{prefix}cert-file and "
                f"--{prefix}key-file, or an http URL."
            )
        return None
    return TlsOptions(
        cert_file=cert_file,
        key_file=key_file,
        trusted_ca_file=trusted_ca_file,
        # As in etcd: naming authorities is asking for certificates.
        client_cert_required=must_show or trusted_ca_file is not None,
        crl_file=read.text(crl) or None,
        allowed_common_names=read.items("peer-cert-allowed-cn") if prefix else (),
        allowed_hostnames=read.items(f"{prefix or 'client-'}cert-allowed-hostname"),
        min_version=versions[0],
        max_version=versions[1],
        ciphers=ciphers,
    )


def _versions(read: Reader) -> tuple[ssl.TLSVersion, ssl.TLSVersion | None]:
    minimum, maximum = read.text("tls-min-version"), read.text("tls-max-version")
    if maximum and minimum > maximum:
        read.fault(f"--tls-min-version={minimum} is above --tls-max-version={maximum}: swap them.")
    return _TLS_VERSIONS[minimum], _TLS_VERSIONS[maximum] if maximum else None


def _ciphers(read: Reader) -> str | None:
    suites = read.items("cipher-suites")
    known = [OPENSSL_NAMES[suite] for suite in suites if suite in OPENSSL_NAMES]
    for suite in suites:
        if suite not in OPENSSL_NAMES and suite not in TLS13_NAMES:
            read.wrong("cipher-suites", f'no such suite: "{suite}"')
    if known and read.text("tls-min-version") == "TLS1.3":
        read.wrong("cipher-suites", "TLS 1.3 has no choice of suites: drop it or TLS1.3")
    return ":".join(dict.fromkeys(known)) or None
