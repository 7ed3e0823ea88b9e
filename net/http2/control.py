"""Frames that carry no message: SETTINGS, PING, WINDOW_UPDATE, RST_STREAM and the idle ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from net.http2.budget import Budgets, Clock
from net.http2.endings import Endings
from net.http2.keepalive import DRAIN_PING, Keepalive
from net.http2.limits import (
    CONTROL_BYTES_MAX,
    FRAME_BYTES_MAX,
    SMALL_UPDATES_PER_MESSAGE,
    SMALL_WINDOW_UPDATE_BYTES,
    WINDOW_MAX,
)
from net.http2.wire import (
    ACK,
    CONTINUATION,
    GOAWAY,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_ID_MAX,
    WINDOW_UPDATE,
    ConnectionFault,
    ErrorCode,
    Fault,
    Setting,
)

M = TypeVar("M")

_MAX_FRAME_SIZE_MAX = 2**24 - 1


class Control(Generic[M]):
    """The control frames of one connection, in."""

    def __init__(
        self,
        *,
        clock: Clock,
        endings: Endings[M],
        budgets: Budgets,
        keepalive: Keepalive,
        acknowledged: Callable[[], None],
        drain_answered: Callable[[], None],
    ) -> None:
        """`acknowledged`: our SETTINGS hold now. `drain_answered`: the ping of a drain is back."""
        self._clock = clock
        self._endings = endings
        self._out = endings.out
        self._budgets = budgets
        self._keepalive = keepalive
        self._acknowledged = acknowledged
        self._drain_answered = drain_answered
        self._awaits_ack = True
        self._small_updates = 0

    def frame(
        self, kind: int, flags: int, stream_id: int, payload: bytes, *, last_stream_id: int
    ) -> None:
        """Take a frame that is neither DATA, HEADERS nor CONTINUATION."""
        if kind == WINDOW_UPDATE:
            self._window_update(stream_id, payload, last_stream_id)
        elif kind == PING:
            self._ping(flags, stream_id, payload)
        elif kind == RST_STREAM:
            self._rst_stream(stream_id, payload, last_stream_id)
        elif kind == SETTINGS:
            self._settings(flags, stream_id, payload)
        elif kind == PUSH_PROMISE:
            raise ConnectionFault(Fault.PUSH_PROMISE)
        elif kind == CONTINUATION:
            raise ConnectionFault(Fault.CONTINUATION_UNEXPECTED)
        else:
            self._without_effect(kind, stream_id, payload)
        if self._out.control_bytes > CONTROL_BYTES_MAX:
            raise ConnectionFault(Fault.CONTROL_FLOOD)

    def _window_update(self, stream_id: int, payload: bytes, last_stream_id: int) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Fault.FRAME_LENGTH)
        increment = int.from_bytes(payload, "big") & STREAM_ID_MAX
        if increment < SMALL_WINDOW_UPDATE_BYTES:
            self._small_update()
        if stream_id == 0:
            if increment == 0:
                raise ConnectionFault(Fault.WINDOW_UPDATE_ZERO)
            self._out.open_connection_window(increment)
            return
        if stream_id > last_stream_id or not stream_id & 1:
            raise ConnectionFault(Fault.STREAM_IDLE)
        stream = self._out.streams.get(stream_id)
        if stream is None:
            return
        if increment == 0:
            self._endings.offence(stream, ErrorCode.PROTOCOL_ERROR)
        elif not self._out.open_stream_window(stream, increment):
            self._endings.offence(stream, ErrorCode.FLOW_CONTROL_ERROR)

    def _small_update(self) -> None:
        """Count a small grant as busy-work, unless messages of ours have earned it.

        C-core grants each small message back at once, for the stream and for the connection:
        a grpcio client was seen to send two and a half such updates a call.
        """
        if self._small_updates < self._out.messages_out * SMALL_UPDATES_PER_MESSAGE:
            self._small_updates += 1
        else:
            self._budgets.busy_work.spend()

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Fault.STREAM_ID_NOT_ZERO)
        if len(payload) != 8:
            raise ConnectionFault(Fault.FRAME_LENGTH)
        if flags & ACK:
            if payload == DRAIN_PING:
                self._drain_answered()
            self._budgets.busy_work.spend()
            return
        self._out.ping(payload, ack=True)
        has_sent, self._out.has_sent = self._out.has_sent, False
        self._keepalive.pinged(
            self._clock.now_ms, streams=len(self._out.streams), has_sent=has_sent
        )

    def _rst_stream(self, stream_id: int, payload: bytes, last_stream_id: int) -> None:
        if stream_id == 0:
            raise ConnectionFault(Fault.STREAM_ID_ZERO)
        if len(payload) != 4:
            raise ConnectionFault(Fault.FRAME_LENGTH)
        if stream_id > last_stream_id or not stream_id & 1:
            raise ConnectionFault(Fault.STREAM_IDLE)
        stream = self._out.streams.get(stream_id)
        if stream is not None:
            self._endings.reset_by_peer(stream)
        elif stream_id in self._out.lingering:
            del self._out.lingering[stream_id]
        else:
            self._budgets.busy_work.spend()

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Fault.STREAM_ID_NOT_ZERO)
        if flags & ACK:
            if payload:
                raise ConnectionFault(Fault.FRAME_LENGTH)
            if not self._awaits_ack:
                raise ConnectionFault(Fault.SETTINGS_ACK_UNEXPECTED)
            self._awaits_ack = False
            self._acknowledged()
            return
        if len(payload) % 6:
            raise ConnectionFault(Fault.FRAME_LENGTH)
        self._budgets.settings.spend()
        initial_window: int | None = None
        for at in range(0, len(payload), 6):
            key = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if key == Setting.INITIAL_WINDOW_SIZE:
                if value > WINDOW_MAX:
                    raise ConnectionFault(Fault.INITIAL_WINDOW_VALUE)
                initial_window = value
            elif key == Setting.ENABLE_PUSH and value > 1:
                raise ConnectionFault(Fault.ENABLE_PUSH_VALUE)
            elif key == Setting.MAX_FRAME_SIZE and not (
                FRAME_BYTES_MAX <= value <= _MAX_FRAME_SIZE_MAX
            ):
                raise ConnectionFault(Fault.MAX_FRAME_SIZE_VALUE)
        if initial_window is not None:
            self._out.set_initial_window(initial_window)
        self._out.acknowledge_settings()

    def _without_effect(self, kind: int, stream_id: int, payload: bytes) -> None:
        """PRIORITY, GOAWAY and unknown frames: judged by their form, then dropped."""
        if kind == PRIORITY:
            if stream_id == 0:
                raise ConnectionFault(Fault.STREAM_ID_ZERO)
            if len(payload) != 5:
                raise ConnectionFault(Fault.FRAME_LENGTH)
        elif kind == GOAWAY:
            if stream_id:
                raise ConnectionFault(Fault.STREAM_ID_NOT_ZERO)
            if len(payload) < 8:
                raise ConnectionFault(Fault.FRAME_LENGTH)
        self._budgets.busy_work.spend()
