"""Random conversations after a valid handshake: mostly legal, then mutated by structure."""

from __future__ import annotations

import gzip
from functools import cache
from random import Random

from tests.http2_client import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RANGE,
    RST_STREAM,
    SNAPSHOT,
    WATCH,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    block,
    frame,
    literal,
    prefixed,
    settings,
    unary,
)

PATHS = (RANGE, RANGE, RANGE, SNAPSHOT, WATCH, WATCH, b"/etcdserverpb.KV/No", b"/no.such/X")
EXTRAS = ((), ((b"grpc-encoding", b"gzip"),), ((b"token", b"t"),), ((b"a", b"v" * 900),))
TIMEOUTS = (None, None, b"1S", b"999999u", b"0n", b"5x", b"99999999H")
CONTENT_TYPES = (b"application/grpc",) * 9 + (b"text/html",)

_block = cache(block)


class Storm:
    """A client that forgets nothing it said, so that what it breaks is mostly what it means to."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.next_id = 3
        self.open_ids: list[int] = []

    def frames(self, count: int) -> list[bytes]:
        """That many frames or a few more; one in fifty is mutated."""
        out: list[bytes] = []
        while len(out) < count:
            made = self._legal()
            if self.random.random() < 0.04:
                made = [self._mutated(f) if self.random.random() < 0.5 else f for f in made]
            out += made
        return out

    def _legal(self) -> list[bytes]:
        pick = self.random.random()
        if pick < 0.30:
            self.next_id += 2
            return [unary(self.next_id - 2, self._bytes(60), self._block(RANGE))]
        if pick < 0.55 or not self.open_ids:
            return self._opening()
        stream_id = self.random.choice(self.open_ids)
        if pick < 0.80:
            return self._data(stream_id)
        if pick < 0.85:
            self.open_ids.remove(stream_id)
            return [frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")]
        if pick < 0.93:
            increment = self.random.choice((0, 1, 255, 20_000, 20_000, 1 << 20))
            to = self.random.choice((0, stream_id)) if increment else stream_id
            return [frame(WINDOW_UPDATE, 0, to, increment.to_bytes(4, "big"))]
        return [self._connection_frame()]

    def _block(self, path: bytes) -> bytes:
        random = self.random
        return _block(
            path,
            timeout=random.choice(TIMEOUTS),
            content_type=random.choice(CONTENT_TYPES),
            extra=random.choice(EXTRAS),
        )

    def _opening(self) -> list[bytes]:
        random, stream_id = self.random, self.next_id
        self.next_id += 2
        flags = END_STREAM if random.random() < 0.05 else 0
        if not flags:
            self.open_ids = [*self.open_ids[-20:], stream_id]
        encoded = self._block(random.choice(PATHS))
        shape = random.random()
        if shape < 0.7:
            return [frame(HEADERS, flags | END_HEADERS, stream_id, encoded)]
        if shape < 0.85:
            padded = b"\x04\0\0\0\0\x10" + encoded + b"\0" * 4
            return [frame(HEADERS, flags | END_HEADERS | PADDED | WITH_PRIORITY, stream_id, padded)]
        at = random.randrange(len(encoded))
        return [
            frame(HEADERS, flags, stream_id, encoded[:at]),
            frame(CONTINUATION, END_HEADERS, stream_id, encoded[at:]),
        ]

    def _data(self, stream_id: int) -> list[bytes]:
        random = self.random
        message = self._bytes(random.choice((0, 5, 50, 4_000, 16_000)))
        raw = prefixed(message)
        if random.random() < 0.2:
            raw = prefixed(gzip.compress(message, mtime=0), flag=1)
        elif random.random() < 0.1:
            raw = raw * 3
        flags = END_STREAM if random.random() < 0.3 else 0
        if flags:
            self.open_ids.remove(stream_id)
        if random.random() < 0.1:
            return [frame(DATA, flags | PADDED, stream_id, b"\x05" + raw[:16_000] + b"\0" * 5)]
        at = random.randrange(len(raw) + 1) if random.random() < 0.3 else 0
        pieces = [frame(DATA, 0, stream_id, raw[:at])] if at else []
        return [*pieces, frame(DATA, flags, stream_id, raw[at : at + 16_384])]

    def _connection_frame(self) -> bytes:
        random = self.random
        return random.choice(
            (
                frame(PING, 0, 0, b"pingping"),
                settings((4, random.choice((0, 1, 100, 65_535, 1 << 20)))),
                settings((5, 16_384), (1, random.randrange(5_000))),
                frame(PRIORITY, 0, self.next_id, b"\0\0\0\0\x10"),
                frame(0xBE, random.randrange(256), random.randrange(9), self._bytes(30)),
                frame(GOAWAY, 0, 0, b"\0" * 8),
            )
        )

    def _bytes(self, size_max: int) -> bytes:
        return self.random.randbytes(self.random.randint(0, size_max))

    def _mutated(self, raw: bytes) -> bytes:
        random = self.random
        header, payload = bytearray(raw[:9]), bytearray(raw[9:])
        match random.randrange(9):
            case 0:
                header[3] = random.randrange(12)
            case 1:
                header[4] ^= 1 << random.randrange(8)
            case 2:
                header[8] = random.randrange(256)
            case 3 if payload:
                payload[random.randrange(len(payload))] ^= 1 << random.randrange(8)
            case 4 if payload:
                del payload[random.randrange(len(payload)) :]
            case 5:
                payload += self._bytes(20)
            case 6:
                payload = bytearray(literal(b"x", b"y", first=random.choice((0, 16, 64)))) + payload
            case 7:
                payload = bytearray(self._bytes(40))
            case _:
                header[0] = random.choice((0, 0, 0, 1))
        size = len(payload) + (header[0] << 16)
        header[:3] = min(size, 2**24 - 1).to_bytes(3, "big")
        if random.random() < 0.1:
            header[2] ^= 1 << random.randrange(3)
        return bytes(header + payload)
