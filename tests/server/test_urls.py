"""URLs in the spellings of two worlds."""

import pytest

from net.listen import ListenUrl
from server.urls import UrlError, advertised, is_everywhere, listening


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:2379", ListenUrl("http", host="127.0.0.1", port=2379)),
        ("http://127.0.0.1:2379/", ListenUrl("http", host="127.0.0.1", port=2379)),
        ("https://[::1]:1", ListenUrl("https", host="::1", port=1)),
        ("tcp://127.0.0.1:12379", ListenUrl("http", host="127.0.0.1", port=12379)),
        ("unix:///a/b.sock:12379", ListenUrl("unix", path="/a/b.sock:12379")),
        ("unix:/a/b", ListenUrl("unix", path="/a/b")),
        ("unixs:///a/", ListenUrl("unixs", path="/a/")),
        ("unix://a", ListenUrl("unix", path="a")),
    ],
)
def test_a_listen_url_is_read(text: str, url: ListenUrl) -> None:
    assert listening(text, is_tcp_tls=False) == url


@pytest.mark.parametrize("text", ["", "x", "ftp://h:1", "http://", "http://host:1", "unix://"])
def test_a_wrong_listen_url_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(UrlError, match=r"; write http://127\.0\.0\.1:2379, "):
        listening(text, is_tcp_tls=False)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://host:2379", "http://host:2379"),
        ("https://[::1]:1/", "https://[::1]:1"),
        ("unix:/a", "unix:///a"),
    ],
)
def test_an_advertised_url_may_name_a_host(text: str, url: str) -> None:
    assert advertised(text) == url


@pytest.mark.parametrize("text", ["h:1", "tcp://h:1", "http://:1", "http://h", "http://h:x",
                                  "http://h:99999", "http://h/x:1", "unix://"])  # fmt: skip
def test_an_advertised_url_that_nobody_can_use_is_refused(text: str) -> None:
    with pytest.raises(UrlError):
        advertised(text)


def test_no_host_and_the_zero_addresses_are_everywhere() -> None:
    urls = ["http://:1", "http://0.0.0.0:1", "http://[::]:1", "http://127.0.0.1:1", "unix:///a"]
    found = [is_everywhere(listening(url, is_tcp_tls=False)) for url in urls]
    assert found == [True, True, True, False, False]
