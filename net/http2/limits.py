"""Every bound of the HTTP/2 codec, by name: nothing a peer sends is unlimited.

What an operator may set is a field of `Http2Settings`; what protects the process whatever the
operator wants is a constant here. Rates are token buckets: `burst` at once, then `per_second`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import attrs

FRAME_BYTES_MAX: Final = 16_384
"""Largest frame payload, both ways: the least every peer accepts, and fair between streams."""

WINDOW_MAX: Final = 2**31 - 1
"""Largest flow-control window (RFC 9113 section 6.9.1)."""

STREAM_WINDOW_BYTES: Final = 65_536
"""What a peer may send on one stream before we must grant more; most requests fit."""

CONNECTION_WINDOW_BYTES: Final = 1 << 20
"""What a peer may send on one connection before we grant more; replenished on arrival."""

GRANTED_BYTES_MAX: Final = 16 << 20
"""Sum of the grants for messages longer than a stream window; later ones wait in line."""

PARTIAL_BYTES_MAX: Final = 64 << 20
"""Bytes of incomplete messages held for one connection, before streams are refused."""

HEADER_BLOCK_BYTES_MAX: Final = 16_384
"""Encoded header block over HEADERS and CONTINUATION (CVE-2024-27316)."""

CONTINUATION_FRAMES_MAX: Final = 8
"""CONTINUATION frames in one block: small fragments are an attack, not a need."""

HEADER_LIST_BOMB_FACTOR: Final = 4
"""A header list so many times the limit ends the connection, not only its request."""

HEADER_TABLE_BYTES: Final = 4_096
"""The HPACK table a client may use until it has seen our SETTINGS, which say 0."""

HEADER_MEMO_BYTES_MAX: Final = 65_536
"""Header blocks remembered for one connection, by their encoded size."""

HEADER_MEMO_BLOCK_BYTES_MAX: Final = 4_096
"""A header block longer than this is decoded each time."""

CONTROL_BYTES_MAX: Final = 65_536
"""Answers to control frames that a peer has not read yet (CVE-2019-9512, 9514, 9515)."""

LINGERING_STREAMS_MAX: Final = 10_000
"""Streams we ended first, whose late frames are still tolerated."""

PING_STRIKES_MAX: Final = 2
"""Pings that come too early before the connection is closed, as grpc-go's server counts."""

PING_IDLE_MS_MIN: Final = 7_200_000
"""Least time between pings while no stream is open and that is not permitted."""

DEADLINE_GRAIN_MS: Final = 16
"""Stream deadlines are looked at on multiples of this, or many of them would cost a scan each."""

MESSAGE_WORK: Final = 4
"""What a request costs, where a frame that asks for nothing costs 1; to undo one costs double."""

FEED_WORK_MAX: Final = 64 * MESSAGE_WORK
"""What one `feed` does before it leaves the rest for the next.

A turn of the member serves everybody: 64 requests of one connection take 1 to 2 ms of it.
"""

SMALL_WINDOW_UPDATE_BYTES: Final = 256
"""A window update below this counts as busy-work (CVE-2019-9511), if it was not earned."""

SMALL_UPDATES_PER_MESSAGE: Final = 4
"""Small window updates that each message of ours earns: C-core answers one with two or three."""

LAZY_SHARE: Final = 4
"""Of the bytes of one `take`, at least 1/4 belongs to streams with queued messages."""


class Rate(NamedTuple):
    """A token bucket: `burst` at once, `per_second` after that."""

    burst: int
    per_second: int


RESETS: Final = Rate(2_000, 200)
"""Streams reset before they were answered (CVE-2023-44487), and the mistakes we reset."""

SETTINGS_FRAMES: Final = Rate(100, 5)
"""SETTINGS frames (CVE-2019-9515); honest clients send one, and a few when they tune windows."""

BUSY_WORK: Final = Rate(2_000, 200)
"""Frames without effect: PRIORITY, unknown, empty, stray, tiny window updates, ping answers."""


@attrs.frozen(kw_only=True)
class Http2Settings:
    """What the operator decides about client connections; the defaults are etcd's where it has one.

    Times are milliseconds. `message_bytes_max` is etcd's request limit of 1.5 MiB plus its
    512 KiB allowance for the envelope.
    """

    streams_max: int = 10_000
    message_bytes_max: int = 1_572_864 + 524_288
    header_list_bytes_max: int = 16_384
    ping_interval_ms_min: int = 5_000
    ping_without_stream: bool = False
    keepalive_interval_ms: int = 7_200_000
    keepalive_timeout_ms: int = 20_000
    handshake_timeout_ms: int = 10_000
    header_block_timeout_ms: int = 10_000
    drain_ping_timeout_ms: int = 5_000
