"""Header blocks become requests, once; their equals are remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.http2.limits import HEADER_MEMO_BYTES_MAX
from net.http2.request import NO_TIMEOUT, RequestReader
from net.http2.stream import Head, Kind, Malformed, Refusal
from tests.http2_client import METHODS, RANGE, WATCH, block, literal


def reader() -> RequestReader[str]:
    return RequestReader(METHODS, 16_384)


def test_a_request_names_its_method_and_its_first_headers() -> None:
    asked, timeout_ms = reader().request(
        block(WATCH, timeout=b"7S", extra=[(b"token", b"1"), (b"token", b"2")])
    )
    assert isinstance(asked, Head)
    assert (asked.path, asked.kind, asked.method, timeout_ms) == (WATCH, Kind.BIDI, "watch", 7_000)
    assert asked.headers == {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": WATCH,
        b":authority": b"127.0.0.1:2379",
        b"content-type": b"application/grpc",
        b"user-agent": b"grpc-go/1.79.3",
        b"te": b"trailers",
        b"client-api-version": b"3.7.0",
        b"hasleader": b"true",
        b"token": b"1",
    }


@pytest.mark.parametrize("huffman", [True, False])
def test_blocks_that_differ_in_their_timeout_share_a_head(huffman: bool) -> None:
    requests = reader()
    base = block()

    def timed(value: bytes) -> bytes:
        return base + literal(b"grpc-timeout", value, huffman=huffman) + literal(b"a", b"b")

    first, _ = requests.request(timed(b"999u"))
    for milliseconds in (1, 20, 300_000):
        assert requests.request(timed(b"%dm" % milliseconds)) == (first, milliseconds)
    assert requests.request(base + literal(b"a", b"b")) == (first, NO_TIMEOUT)


def test_a_timeout_lookalike_inside_a_value_shares_nothing() -> None:
    requests = reader()
    mark = literal(b"grpc-timeout", b"")[:-1]
    honest, _ = requests.request(block(extra=[(b"token", b"1")]))
    whole = block() + literal(b"token", b"1" + mark + b"\x01A", huffman=False)
    start = whole.index(mark)
    for octet in (b"A", b"B", b"A"):
        hiding = whole[: start + len(mark) + 1] + octet + whole[start + len(mark) + 2 :]
        asked, timeout_ms = requests.request(hiding)
        assert (type(asked), timeout_ms) == (Malformed, NO_TIMEOUT)
    assert requests.request(block(extra=[(b"token", b"1")])) == (honest, NO_TIMEOUT)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"token", b"grpc-timeout", b"a"]),
            st.sampled_from(
                [b"1S", b"2S", b"\x8bX", b"", b"grpc-timeout", b"\x0cgrpc-timeout\x02"]
            ),
            st.booleans(),
            st.sampled_from([0, 0x10]),
        ),
        max_size=5,
    ).flatmap(lambda fields: st.tuples(st.just(fields), st.permutations(fields)))
)
def test_the_memo_changes_nothing(
    lists: tuple[list[tuple[bytes, bytes, bool, int]], list[tuple[bytes, bytes, bool, int]]],
) -> None:
    warm = reader()
    for fields in (*lists, *lists):
        encoded = block() + b"".join(
            literal(name, value, huffman=coded, first=first) for name, value, coded, first in fields
        )
        cold, cold_ms = reader().request(encoded)
        asked, timeout_ms = warm.request(encoded)
        assert timeout_ms == cold_ms
        assert type(asked) is type(cold)
        if isinstance(asked, Head) and isinstance(cold, Head):
            assert asked.headers == cold.headers
        else:
            assert asked == cold


def test_the_memo_is_bounded() -> None:
    requests = reader()
    for i in range(2_000):
        requests.request(block(extra=[(b"traceparent", b"%032d" % i)]))
    assert requests._memo_bytes <= HEADER_MEMO_BYTES_MAX + 4_096
    assert sum(map(len, requests._memo)) == requests._memo_bytes


def test_a_long_block_is_read_each_time() -> None:
    requests = reader()
    long = block(extra=[(b"token", b"x" * 8_000)])
    first, _ = requests.request(long)
    again, _ = requests.request(long)
    assert isinstance(first, Head)
    assert isinstance(again, Head)
    assert (first.headers, requests._memo) == (again.headers, {})


def well_formed(*extra: bytes) -> bytes:
    return block() + b"".join(extra)


@pytest.mark.parametrize(
    "encoded",
    [
        well_formed(literal(b":path", RANGE)),
        well_formed(literal(b":late", b"x")),
        literal(b"a", b"b") + block(),
        literal(b":status", b"200") + block(),
        literal(b":path", RANGE) + block(),
        well_formed(literal(b"Token", b"x")),
        well_formed(literal(b"", b"x")),
        well_formed(literal(b"sp ace", b"x")),
        well_formed(literal(b"token", b"a\nb")),
        well_formed(literal(b"token", b"a\0b")),
        well_formed(literal(b"connection", b"close")),
        well_formed(literal(b"transfer-encoding", b"chunked")),
        well_formed(literal(b"te", b"gzip")),
        literal(b":method", b"POST") + literal(b":scheme", b"http"),
        b"",
    ],
)
def test_a_request_that_is_not_http_is_malformed(encoded: bytes) -> None:
    asked, _ = reader().request(encoded)
    assert isinstance(asked, Malformed)


@pytest.mark.parametrize(
    ("encoded", "http_status", "code", "text"),
    [
        (block(content_type=b"text/html"), 415, 3, 'invalid gRPC request content-type "text/html"'),
        (
            block(content_type=b"application/grpcweb"),
            415,
            3,
            'invalid gRPC request content-type "application/grpcweb"',
        ),
        (
            block(method=b"GET"),
            405,
            13,
            'Received a HEADERS frame with :method "GET" which should be POST',
        ),
        (
            well_formed(literal(b"host", b"a"), literal(b"host", b"b")),
            400,
            13,
            "num values of :authority: 1, num values of host: 2, "
            "both must only have 1 value as per HTTP/2 spec",
        ),
        (
            block(timeout=b"5x"),
            400,
            13,
            'malformed grpc-timeout: transport: timeout unit is not recognized: "5x"',
        ),
        (
            block(extra=[(b"a", b"v" * 16_384)]),
            431,
            8,
            "received header list larger than max (16876 vs. 16384)",
        ),
        (block(b"/a.B/C"), 200, 12, "unknown service a.B"),
        (
            block(b"/etcdserverpb.KV/C"),
            200,
            12,
            "unknown method C for service etcdserverpb.KV",
        ),
        (block(b"*"), 200, 12, 'malformed method name: "*"'),
        (block(b"/x"), 200, 12, 'malformed method name: "/x"'),
    ],
)
def test_a_request_that_is_not_grpc_is_refused_in_grpc_go_words(
    encoded: bytes, http_status: int, code: int, text: str
) -> None:
    requests = reader()
    for _ in range(2):
        assert requests.request(encoded) == (Refusal(code, text, http_status), NO_TIMEOUT)


def test_host_stands_in_for_authority() -> None:
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", RANGE)]
    bare = b"".join(literal(n, v) for n, v in fields)
    grpc = literal(b"content-type", b"application/grpc+proto")
    asked, _ = reader().request(bare + grpc)
    assert asked == Refusal(13, "no host or :authority header present", 400)
    asked, _ = reader().request(bare + grpc + literal(b"host", b"h"))
    assert isinstance(asked, Head)


def test_trailers_may_hold_no_pseudo_headers() -> None:
    requests = reader()
    assert requests.trailers(literal(b"a", b"b")) is None
    assert isinstance(requests.trailers(literal(b":path", b"b")), Malformed)
