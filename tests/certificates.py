"""Certificate authorities and certificates for tests, as files."""

from __future__ import annotations

import datetime
import os
import ssl
from pathlib import Path

import attrs
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID


@attrs.frozen
class Files:
    """A certificate with its key on disk."""

    cert_file: str
    key_file: str
    serial: int


class Authority:
    """A certificate authority that writes what it issues into one directory."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.ca_file = str(directory / f"{name}.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, name: str, *identities: str, common_name: str | None = None) -> Files:
        """Write a certificate for these identities to `name`.pem, replacing older files."""
        leaf = self._ca.issue_cert(*identities, common_name=common_name)
        cert_file, key_file = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        replace(cert_file, b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        replace(key_file, leaf.private_key_pem.bytes())
        parsed = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
        return Files(str(cert_file), str(key_file), parsed.serial_number)

    def revoke(self, *serials: int, encoding: serialization.Encoding) -> bytes:
        """Return a revocation list, signed by the authority."""
        then = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]),
            last_update=then,
            next_update=then + datetime.timedelta(days=1),
        )
        for serial in serials:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder(serial, then).build()
            )
        key = serialization.load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        return builder.sign(key, hashes.SHA256()).public_bytes(encoding)  # type: ignore[arg-type]  # a CA's key signs


def replace(path: Path, data: bytes) -> None:
    """Write a file anew under its name, as certificate managers do."""
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(data)
    os.replace(fresh, path)


def client_context(
    ca_file: str, files: Files | None = None, *, alpn: tuple[str, ...] = ("h2",)
) -> ssl.SSLContext:
    """A client that trusts one authority and may have a certificate to show."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(list(alpn))
    if files is not None:
        context.load_cert_chain(files.cert_file, files.key_file)
    return context
