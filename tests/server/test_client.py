"""How endpoints are reached."""

import click
import pytest

from server.client import Access, access_of, target_of


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        ("127.0.0.1:2379", ("127.0.0.1:2379", False)),
        ("http://h:1", ("h:1", False)),
        ("https://h:1/", ("h:1", True)),
        ("unix:///a/b.sock:12379", ("unix:/a/b.sock:12379", False)),
        ("unixs:///a", ("unix:/a", True)),
        ("unix://@a", ("unix-abstract:a", False)),
    ],
)
def test_an_endpoint_is_named_as_grpc_names_it(endpoint: str, target: tuple[str, bool]) -> None:
    assert target_of(endpoint, has_certificates=False) == target


def test_certificates_mean_tls_where_the_endpoint_does_not_say() -> None:
    assert target_of("h:1", has_certificates=True) == ("h:1", True)
    assert target_of("http://h:1", has_certificates=True) == ("h:1", False)


def test_a_scheme_that_nobody_speaks_is_refused() -> None:
    with pytest.raises(click.UsageError, match='begins with "ftp"'):
        target_of("ftp://h:1", has_certificates=False)


def access(endpoints: str, *, cert: str | None = None, key: str | None = None) -> Access:
    return access_of(endpoints=endpoints, cacert=None, cert=cert, key=key, command_timeout=60.0)


def test_endpoints_are_a_list() -> None:
    assert access(" a:1, b:2,").endpoints == ("a:1", "b:2")


def test_no_endpoint_is_refused() -> None:
    with pytest.raises(click.UsageError, match="names no member"):
        access(",")


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(click.UsageError, match="belong together"):
        access("a:1", cert="c")
