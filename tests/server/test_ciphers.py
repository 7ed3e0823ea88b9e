"""Cipher suites have names that OpenSSL knows."""

import ssl

import pytest

from server.ciphers import OPENSSL_NAMES, TLS13_NAMES


@pytest.mark.parametrize("name", sorted(set(OPENSSL_NAMES.values())))
def test_openssl_knows_the_suite(name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(f"{name}:@SECLEVEL=0")
    assert name in {cipher["name"] for cipher in context.get_ciphers()}


def test_suites_of_the_two_versions_are_apart() -> None:
    assert TLS13_NAMES.isdisjoint(OPENSSL_NAMES)
