"""TLS options, certificate names, revocation lists and the reload of changed files."""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from net.revocation import RevocationListError, revoked_serials
from net.telemetry import SILENT
from net.tls import CertificateNames, ServerTls, TlsConfigError, TlsOptions, certificate_names
from tests.certificates import Authority, Files, client_context, replace
from tests.loopback import Lines


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(shelf: Path) -> Authority:
    return Authority(shelf)


@pytest.fixture(scope="module")
def server(authority: Authority) -> Files:
    return authority.issue("server", "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Files:
    return authority.issue("client", "root.example", "10.0.0.9", common_name="root")


def options(server: Files) -> TlsOptions:
    return TlsOptions(server.cert_file, server.key_file)


def handshake(tls: ServerTls, context: ssl.SSLContext) -> tuple[CertificateNames, str | None]:
    """Shake hands in memory; return the client's names and the refusal of them."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    far = tls.context().wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    names = certificate_names(far)
    return names, tls.refusal(names)


def served_serial(tls: ServerTls, ca_file: str) -> int:
    """The serial number of the certificate that a new client is shown."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client_context(ca_file).wrap_bio(to_client, to_server, server_hostname="localhost")
    far = tls.context().wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = near.getpeercert()
    assert shown is not None
    return int(str(shown["serialNumber"]), 16)


def test_without_client_certificates_there_are_no_names(
    authority: Authority, server: Files
) -> None:
    tls = ServerTls(options(server), SILENT)
    assert handshake(tls, client_context(authority.ca_file)) == (CertificateNames(), None)


def test_the_names_of_a_client_are_read_from_its_certificate(
    authority: Authority, server: Files, client: Files
) -> None:
    tls = ServerTls(attrs.evolve(options(server), trusted_ca_file=authority.ca_file), SILENT)
    names, refusal = handshake(tls, client_context(authority.ca_file, client))
    assert (attrs.evolve(names, fingerprint=b""), refusal) == (
        CertificateNames("root", ("root.example",), ("10.0.0.9",), (), client.serial),
        None,
    )
    assert names.all == ("root.example", "10.0.0.9")


def test_a_trusted_ca_file_makes_client_certificates_mandatory(
    authority: Authority, server: Files
) -> None:
    tls = ServerTls(attrs.evolve(options(server), trusted_ca_file=authority.ca_file), SILENT)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        handshake(tls, client_context(authority.ca_file))


def test_a_certificate_of_another_authority_is_refused(
    authority: Authority, server: Files, tmp_path: Path
) -> None:
    tls = ServerTls(attrs.evolve(options(server), trusted_ca_file=authority.ca_file), SILENT)
    stranger = Authority(tmp_path).issue("stranger", "root.example", common_name="root")
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(tls, client_context(authority.ca_file, stranger))


@pytest.mark.parametrize(
    ("allowed", "refusal"),
    [
        ({"allowed_common_names": ("admin", "root")}, None),
        (
            {"allowed_common_names": ("admin",)},
            "the certificate's common name is not allowed",
        ),
        ({"allowed_hostnames": ("ROOT.example.",)}, None),
        ({"allowed_hostnames": ("10.0.0.9",)}, None),
        ({"allowed_hostnames": ("root",)}, "the certificate has no allowed host name"),
        ({"allowed_hostnames": ("10.0.0.8",)}, "the certificate has no allowed host name"),
    ],
)
def test_only_allowed_names_come_in(
    server: Files, client: Files, allowed: dict[str, tuple[str, ...]], refusal: str | None
) -> None:
    tls = ServerTls(attrs.evolve(options(server), **allowed), SILENT)  # type: ignore[arg-type]  # typed by name
    names = CertificateNames("root", ("root.example",), ("10.0.0.9",), (), client.serial)
    assert tls.refusal(names) == refusal


@pytest.mark.parametrize(
    ("pattern", "hostname", "is_valid"),
    [
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", False),
        ("*.example.com", "example.com", False),
        ("*", "example", False),
        ("a.example.com", "A.EXAMPLE.COM", True),
        ("a*.example.com", "ab.example.com", False),
    ],
)
def test_a_wildcard_stands_for_one_label(
    server: Files, pattern: str, hostname: str, is_valid: bool
) -> None:
    tls = ServerTls(attrs.evolve(options(server), allowed_hostnames=(hostname,)), SILENT)
    assert (tls.refusal(CertificateNames(dns_names=(pattern,))) is None) is is_valid


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_revoked_certificate_is_refused_and_its_sister_is_not(
    authority: Authority, server: Files, client: Files, tmp_path: Path, encoding: Encoding
) -> None:
    sister = authority.issue("sister", "root.example", common_name="root")
    crl = tmp_path / "crl"
    crl.write_bytes(authority.revoke(7, client.serial, encoding=encoding))
    wanted = attrs.evolve(options(server), trusted_ca_file=authority.ca_file, crl_file=str(crl))
    tls = ServerTls(wanted, SILENT)
    assert [
        handshake(tls, client_context(authority.ca_file, files))[1] for files in (client, sister)
    ] == [f"certificate serial {client.serial:x} revoked", None]


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_list_that_revokes_nothing_is_empty(authority: Authority, encoding: Encoding) -> None:
    assert revoked_serials(authority.revoke(encoding=encoding)) == frozenset()


def test_every_cut_of_a_revocation_list_is_refused(authority: Authority) -> None:
    whole = authority.revoke(1, 2, 1 << 150, encoding=Encoding.DER)
    assert revoked_serials(whole) == {1, 2, 1 << 150}
    for size in range(len(whole)):
        with pytest.raises(RevocationListError):
            revoked_serials(whole[:size])


@pytest.mark.parametrize(
    "data",
    [b"-----BEGIN X509 CRL-----\nAAAA", b"-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----"],
)
def test_a_broken_pem_revocation_list_is_refused(data: bytes) -> None:
    with pytest.raises(RevocationListError):
        revoked_serials(data)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"cert_file": "/nowhere"}, "cannot use certificate and key /nowhere and "),
        ({"key_file": "WRONG"}, "cannot use certificate and key "),
        ({"trusted_ca_file": "/nowhere"}, "cannot use trusted CA file /nowhere: "),
        ({"crl_file": "/nowhere"}, "cannot use revocation list /nowhere: "),
        ({"crl_file": "WRONG"}, "cannot use revocation list "),
        ({"ciphers": "NO-SUCH"}, "no usable cipher in 'NO-SUCH'"),
        (
            {"allowed_common_names": ("a",), "allowed_hostnames": ("b",)},
            "allowed common names and allowed host names exclude each other",
        ),
    ],
)
def test_options_that_cannot_be_used_are_refused_in_one_sentence(
    server: Files, client: Files, changed: dict[str, str], sentence: str
) -> None:
    changed = {name: client.key_file if v == "WRONG" else v for name, v in changed.items()}
    with pytest.raises(TlsConfigError) as refused:
        ServerTls(attrs.evolve(options(server), **changed), SILENT)  # type: ignore[arg-type]  # typed by name
    assert str(refused.value).startswith(sentence)


def test_an_old_protocol_version_is_refused(authority: Authority, server: Files) -> None:
    tls = ServerTls(attrs.evolve(options(server), min_version=ssl.TLSVersion.TLSv1_3), SILENT)
    context = client_context(authority.ca_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        handshake(tls, context)


def test_changed_files_serve_the_next_connection(authority: Authority) -> None:
    lines = Lines()
    first = authority.issue("renewed", "localhost")
    tls = ServerTls(options(first), lines.log)
    assert served_serial(tls, authority.ca_file) == first.serial
    second = authority.issue("renewed", "localhost")
    assert served_serial(tls, authority.ca_file) == second.serial != first.serial
    assert lines.having("reloaded certificates") == 1


def test_files_that_do_not_fit_keep_the_old_ones_with_one_warning(
    authority: Authority, server: Files
) -> None:
    lines = Lines()
    first = authority.issue("renewed", "localhost")
    tls = ServerTls(options(first), lines.log)
    replace(Path(first.key_file), Path(server.key_file).read_bytes())
    assert [served_serial(tls, authority.ca_file) for _ in range(3)] == [first.serial] * 3
    assert lines.having("keeping the old ones") == 1
    second = authority.issue("renewed", "localhost")
    assert served_serial(tls, authority.ca_file) == second.serial


def test_a_reload_may_be_asked_for(authority: Authority) -> None:
    files = authority.issue("renewed", "localhost")
    tls = ServerTls(options(files), SILENT)
    assert tls.reload()
    Path(files.cert_file).unlink()
    assert not tls.reload()
