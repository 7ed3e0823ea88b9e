"""Microseconds per unary request for feed + respond + take, in memory.

Requests are a Range of 35 bytes answered by 594 bytes, as measured against etcd; headers are
those of grpc-go. Run: python -m tests.bench.codec_bench
"""

from __future__ import annotations

import gc
from time import perf_counter, process_time

from net.http2.connection import Connection
from net.http2.limits import Http2Settings
from net.http2.stream import Stream
from tests.http2_client import (
    HANDSHAKE,
    METHODS,
    NO_TABLE,
    RANGE,
    SETTINGS_ACK,
    WATCH,
    Recorder,
    block,
    data,
    frame,
    headers,
    literal,
)

REQUEST = b"r" * 35
ANSWER = b"a" * 594
FIELDS = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", RANGE),
    (b":authority", b"127.0.0.1:2379"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-go/1.79.3"),
    (b"te", b"trailers"),
)
INDEXING = b"".join(literal(name, value, first=0x40) for name, value in FIELDS)
INDEXED = bytes(0x80 | 62 + i for i in reversed(range(len(FIELDS))))
ROUNDS = 7
COUNT = 19_200


class Answering(Recorder):
    """Answers every unary request with the same bytes."""

    def request(self, connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        connection.respond(stream, ANSWER)

    def opened(self, connection: Connection[str], stream: Stream[str]) -> None:
        connection.open(stream)


def measured(blocks: list[bytes], *, in_flight: int, first_block: bytes = NO_TABLE) -> float:
    """Best CPU time of a request in microseconds; `in_flight` requests arrive in one read."""
    best = float("inf")
    for _ in range(ROUNDS):
        connection = Connection(METHODS, Answering(), Http2Settings(), 0)
        connection.feed(HANDSHAKE, 0)
        stream_id = 1
        if first_block:
            connection.feed(SETTINGS_ACK, 0)
        opening = first_block + blocks[0] if first_block else INDEXING
        connection.feed(headers(1, opening) + data(1, REQUEST), 0)
        window = frame(8, 0, 0, (in_flight * 700).to_bytes(4, "big"))
        chunks: list[bytes] = []
        for at in range(0, COUNT, in_flight):
            chunk = b""
            for i in range(in_flight):
                stream_id += 2
                chunk += headers(stream_id, blocks[(at + i) % len(blocks)]) + data(
                    stream_id, REQUEST
                )
            chunks.append(chunk + window)
        connection.take(1 << 20)
        gc.collect()
        gc.disable()
        began = process_time()
        for chunk in chunks:
            connection.feed(chunk, 1)
            while connection.has_more:
                connection.feed(b"", 1)
            connection.take(1 << 20)
        best = min(best, process_time() - began)
        gc.enable()
        assert connection.messages_out == COUNT + 1, connection.reason
    return best / COUNT * 1e6


def watch_events(streams: int) -> float:
    """Best CPU time of one event of 600 bytes sent to one of `streams` watches."""
    best = float("inf")
    rounds = COUNT // streams
    for _ in range(ROUNDS):
        connection = Connection(METHODS, Answering(), Http2Settings(), 0)
        connection.feed(HANDSHAKE + SETTINGS_ACK, 0)
        connection.feed(headers(1, NO_TABLE + block(WATCH)), 0)
        for i in range(1, streams):
            connection.feed(headers(1 + 2 * i, block(WATCH)), 0)
        opened = list(connection.streams.values())
        wide = (2**31 - 1 - 65_535).to_bytes(4, "big")
        for stream_id in (0, *connection.streams):
            connection.feed(frame(8, 0, stream_id, wide), 0)
        connection.take(1 << 20)
        began = process_time()
        for _ in range(rounds):
            for stream in opened:
                connection.send(stream, ANSWER)
            connection.take(1 << 20)
        best = min(best, process_time() - began)
    return best / (rounds * streams) * 1e6


def main() -> None:
    """Print the table."""
    began = perf_counter()
    steady = [block(RANGE)]
    timeouts = [block(RANGE, timeout=b"%du" % (9_999_999 - i * 37)) for i in range(COUNT)]
    coarse = [block(RANGE, timeout=b"5S")]
    print("µs of CPU per unary request (35 B in, 594 B out), feed + respond + take")
    print(f"{'headers':44} {'1':>6} {'16':>6} {'64':>6}   requests a read")
    for name, blocks in (
        ("literal, Huffman, no grpc-timeout", steady),
        ("literal, Huffman, constant grpc-timeout", coarse),
        ("literal, Huffman, changing grpc-timeout", timeouts),
    ):
        row = [measured(blocks, in_flight=n) for n in (1, 16, 64)]
        print(f"{name:44} " + " ".join(f"{us:6.2f}" for us in row))
    row = [measured([INDEXED], in_flight=n, first_block=b"") for n in (1, 16, 64)]
    print(
        f"{'all indexed (before our SETTINGS are seen)':44} " + " ".join(f"{us:6.2f}" for us in row)
    )
    for streams in (10, 1000):
        print(f"{f'watch event of 594 B, {streams} streams':44} {watch_events(streams):6.2f}")
    print(f"({perf_counter() - began:.1f} s)")


if __name__ == "__main__":
    main()
