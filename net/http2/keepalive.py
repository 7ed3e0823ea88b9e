"""Pings: what a client may send, and what we send to find out that it is gone.

The policy is that of grpc-go's server as etcd configures it. A client's ping earns a strike if
it comes sooner than `ping_interval_ms_min` after the last one, or than two hours while no stream
is open; more than two strikes end the connection. Any HEADERS or DATA that we send in between
wipes the strikes, so pings that measure bandwidth are free.
"""

from __future__ import annotations

from typing import Final

from net.http2.budget import Clock
from net.http2.limits import PING_IDLE_MS_MIN, PING_STRIKES_MAX, Http2Settings
from net.http2.wire import ConnectionFault, Fault

KEEPALIVE_PING: Final = b"\0" * 8
DRAIN_PING: Final = b"\x01\x06\x01\x08\x00\x03\x03\x09"


class Keepalive:
    """The ping state of one connection."""

    __slots__ = ("_clock", "_last_ping_ms", "_pinged_ms", "_settings", "_strikes")

    def __init__(self, settings: Http2Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._pinged_ms = clock.read_ms
        self._last_ping_ms: int | None = None
        self._strikes = 0

    def pinged(self, now_ms: int, *, streams: int, has_sent: bool) -> None:
        """Judge a ping of the client. Raises ConnectionFault for one too many."""
        last, self._last_ping_ms = self._last_ping_ms, now_ms
        if has_sent:
            self._strikes = 0
            return
        apart_ms = self._settings.ping_interval_ms_min
        if not streams and not self._settings.ping_without_stream:
            apart_ms = PING_IDLE_MS_MIN
        if last is not None and now_ms < last + apart_ms:
            self._strikes += 1
        if self._strikes > PING_STRIKES_MAX:
            raise ConnectionFault(Fault.TOO_MANY_PINGS)

    @property
    def due_ms(self) -> int:
        """When `is_ping_due` has something to say."""
        if self._clock.read_ms < self._pinged_ms:
            return self._pinged_ms + self._settings.keepalive_timeout_ms
        return self._clock.read_ms + self._settings.keepalive_interval_ms

    def is_ping_due(self, now_ms: int) -> bool:
        """Ask whether to ping the client now. Raises ConnectionFault if it did not answer."""
        if now_ms < self.due_ms:
            return False
        if self._clock.read_ms < self._pinged_ms:
            raise ConnectionFault(Fault.KEEPALIVE_TIMEOUT)
        self._pinged_ms = now_ms
        return True
