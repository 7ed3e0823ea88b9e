"""HTTP/1.1 at the level of bytes: requests split anywhere, bounds, and Go's texts."""

from __future__ import annotations

import pytest

from net.http1 import (
    BODY_BYTES_MAX,
    HEADER_BYTES_MAX,
    IDLE_MS_MAX,
    PIPELINED_BYTES_MAX,
    REQUEST_MS_MAX,
    Http1Connection,
    Http1Pending,
    Http1Request,
    Http1Response,
    method_not_allowed,
)

NOW_MS = 5_000
GET = b"GET /version?verbose&exclude=NOSPACE&exclude=CORRUPT HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    b"Date: today\r\n\r\n{}"
)


class Client:
    """The other end of one connection, and the handler behind it."""

    def __init__(self, answer: Http1Response | Http1Pending | None = None) -> None:
        self.answer = answer or Http1Response(200, b"{}", "application/json")
        self.requests: list[Http1Request] = []
        self.touched = 0
        self.connection = Http1Connection(
            self._handle, NOW_MS, touched=self._touch, date=lambda: "today"
        )

    def _handle(self, request: Http1Request) -> Http1Response | Http1Pending | None:
        self.requests.append(request)
        return None if request.path == "/nowhere" else self.answer

    def _touch(self, _: Http1Connection) -> None:
        self.touched += 1

    def says(self, *pieces: bytes) -> bytes:
        for piece in pieces:
            self.connection.feed(piece, NOW_MS)
        return self.hears()

    def hears(self, limit: int = 1 << 30) -> bytes:
        data = b""
        while piece := self.connection.take(limit):
            data += piece
        assert self.connection.pending_bytes == 0
        return data


def test_a_request_is_handled_whole_and_answered_whole() -> None:
    client = Client()
    assert client.says(GET) == ANSWER
    assert client.requests == [
        Http1Request(
            "GET", "/version?verbose&exclude=NOSPACE&exclude=CORRUPT", ((b"host", b"x"),), b""
        )
    ]
    assert (client.requests[0].path, client.requests[0].query) == (
        "/version",
        {"verbose": [""], "exclude": ["NOSPACE", "CORRUPT"]},
    )


@pytest.mark.parametrize("cut", range(1, len(GET)))
def test_where_a_request_is_cut_makes_no_difference(cut: int) -> None:
    assert Client().says(GET[:cut], GET[cut:]) == ANSWER


def test_output_is_taken_in_the_sizes_asked_for() -> None:
    client = Client()
    client.connection.feed(GET, NOW_MS)
    assert client.hears(7) == ANSWER


def test_a_connection_serves_one_request_after_the_other() -> None:
    client = Client()
    assert client.says(GET) + client.says(GET + GET) == ANSWER * 3
    assert not client.connection.closing


def test_head_is_answered_with_the_length_alone() -> None:
    assert Client().says(GET.replace(b"GET", b"HEAD")) == ANSWER.removesuffix(b"{}")


def test_a_body_reaches_the_handler_also_in_chunks() -> None:
    client = Client()
    client.says(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel", b"lo")
    client.says(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.says(b"3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n")
    assert [request.body for request in client.requests] == [b"hello", b"hello"]


def test_a_client_that_asks_whether_to_send_its_body_is_told_to() -> None:
    client = Client()
    ask = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    assert client.says(ask) == b"HTTP/1.1 100 \r\n\r\n"
    assert client.says(b"{}") == ANSWER


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_a_client_that_wants_one_answer_is_closed_after_it(request_bytes: bytes) -> None:
    client = Client()
    assert b"200 OK" in client.says(request_bytes)
    assert client.connection.closing


def test_an_unknown_path_gets_gos_not_found() -> None:
    assert Client().says(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n") == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 19\r\nX-Content-Type-Options: nosniff\r\nDate: today\r\n\r\n"
        b"404 page not found\n"
    )


def test_a_wrong_method_gets_etcds_refusal() -> None:
    assert Client(method_not_allowed()).says(GET.replace(b"GET", b"PUT")) == (
        b"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 19\r\nAllow: GET\r\nX-Content-Type-Options: nosniff\r\n"
        b"Date: today\r\n\r\nMethod Not Allowed\n"
    )


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * HEADER_BYTES_MAX, b"431 Request Header"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505 HTTP Version Not Supported"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
            + b"y" * (BODY_BYTES_MAX + 1),
            b"413 Request Entity Too Large",
        ),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_and_closed(sent: bytes, status: bytes) -> None:
    client = Client()
    answer = client.says(sent)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(status) == 2
    assert (client.connection.closing, client.requests) == (True, [])
    assert client.says(GET) == b""


def test_a_pending_answer_holds_back_the_requests_behind_it() -> None:
    pending = Http1Pending()
    client = Client(pending)
    assert client.says(GET, GET) == b""
    client.answer = Http1Response(200, b"{}", "application/json")
    pending.answer(Http1Response(503, b"no leader\n"))
    heard = client.hears()
    assert heard.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert heard.endswith(b"no leader\n" + ANSWER)
    assert client.touched == 1


def test_an_answer_given_before_it_was_returned_counts() -> None:
    pending = Http1Pending()
    pending.answer(Http1Response(200, b"{}", "application/json"))
    assert Client(pending).says(GET) == ANSWER


def test_too_many_pipelined_bytes_close_the_connection() -> None:
    pending = Http1Pending()
    client = Client(pending)
    client.says(GET, b"x" * (PIPELINED_BYTES_MAX + 1))
    assert (client.connection.closing, pending.is_wanted) == (True, False)
    pending.answer(Http1Response(200))
    assert client.hears() == b""


def test_the_end_of_the_client_leaves_the_answer_under_way() -> None:
    pending = Http1Pending()
    client = Client(pending)
    client.says(GET)
    client.connection.eof()
    assert not client.connection.closing
    pending.answer(Http1Response(200, b"{}", "application/json"))
    assert client.hears().endswith(b"{}")
    assert client.connection.closing


def test_a_drain_finishes_the_request_under_way() -> None:
    client = Client()
    client.says(GET[:20])
    client.connection.drain(NOW_MS)
    assert not client.connection.closing
    assert b"Connection: close\r\n" in client.says(GET[20:])
    assert client.connection.closing


def test_a_drain_closes_an_idle_connection() -> None:
    client = Client()
    client.says(GET)
    client.connection.drain(NOW_MS)
    assert client.connection.closing


def test_a_request_that_dribbles_in_is_cut_off_in_time() -> None:
    client = Client()
    for second in range(29):
        client.connection.feed(GET[second : second + 1], NOW_MS + second * 1000)
        client.connection.tick(NOW_MS + second * 1000)
    assert not client.connection.closing
    client.connection.tick(NOW_MS + REQUEST_MS_MAX)
    assert client.connection.closing


def test_an_idle_connection_has_longer() -> None:
    client = Client()
    client.says(GET)
    client.connection.tick(NOW_MS + IDLE_MS_MAX - 1)
    assert not client.connection.closing
    client.connection.feed(GET[:1], NOW_MS + IDLE_MS_MAX - 1)
    assert client.connection.next_deadline_ms == NOW_MS + IDLE_MS_MAX
    client.connection.tick(client.connection.next_deadline_ms)
    assert client.connection.closing
