"""Which certificates a certificate revocation list takes back.

Rule: only serial numbers are read, whatever the issuer; neither the list's signature nor its age is
judged. That is etcd's behaviour for `--client-crl-file`, and what a file the operator put there by
hand can be held to. DER (what etcd reads) and PEM are both accepted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

_SEQUENCE = 0x30
_INTEGER = 0x02
_TIMES = (0x17, 0x18)
_PEM_BEGIN = b"-----BEGIN X509 CRL-----"
_PEM_END = b"-----END X509 CRL-----"


class RevocationListError(ValueError):
    """The bytes are not a certificate revocation list."""


def revoked_serials(data: bytes) -> frozenset[int]:
    """Return the serial numbers that a list in PEM (one or more blocks) or DER revokes.

    Raises RevocationListError.
    """
    if _PEM_BEGIN not in data:
        return frozenset(_serials(data))
    found: set[int] = set()
    for block in data.split(_PEM_BEGIN)[1:]:
        body, end, _ = block.partition(_PEM_END)
        if not end:
            raise RevocationListError("a revocation list has no end line")
        try:
            found.update(_serials(base64.b64decode(b"".join(body.split()), validate=True)))
        except binascii.Error as error:
            raise RevocationListError(f"a revocation list is not base64: {error}") from error
    return frozenset(found)


def _serials(data: bytes) -> Iterator[int]:
    """Walk RFC 5280's TBSCertList: version, algorithm, issuer, this update, next update, revoked.

    Nothing but the revoked entries is a sequence after the first time, so they need no counting.
    """
    outer = _only(data, _SEQUENCE)
    parts = _elements(outer)
    _, listed = _expect(next(parts, None), _SEQUENCE)
    after_time = False
    for tag, content in _elements(listed):
        if tag in _TIMES:
            after_time = True
        elif after_time and tag == _SEQUENCE:
            for entry in _elements(content):
                _, fields = _expect(entry, _SEQUENCE)
                _, serial = _expect(next(_elements(fields), None), _INTEGER)
                yield int.from_bytes(serial, "big", signed=True)
            return
    if not after_time:
        raise RevocationListError("a revocation list without a time of issue")


def _only(data: bytes, tag: int) -> bytes:
    return _expect(next(_elements(data), None), tag)[1]


def _expect(element: tuple[int, bytes] | None, tag: int) -> tuple[int, bytes]:
    if element is None or element[0] != tag:
        raise RevocationListError("not a certificate revocation list")
    return element


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, content) of the DER elements laid one after the other in `data`."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise RevocationListError("a revocation list ends inside an element")
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4:
                raise RevocationListError("a revocation list has an element of unusable length")
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        if at + size > len(data):
            raise RevocationListError("a revocation list ends inside an element")
        yield tag, data[at : at + size]
        at += size
