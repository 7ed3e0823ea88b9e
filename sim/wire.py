"""Clients' connections: operations asked over real bytes, watches on real streams.

Rule of this file: it is the network's client side and decides nothing about workloads. Each member
has a few connections that all clients share, as grpc shares a channel; one that is lost is made
anew at the next call. An operation is answered once: by the member, by the connection's end, or by
its deadline; the last two say `Unknown`, but for a connection that never stood: nobody was asked.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from attrs import define, field

from sim.history import Seen, WatchSpec
from sim.ops import NO_CONNECTION, Admin, Op, Result, Unknown
from sim.streams import End
from sim.wire_codes import UNAVAILABLE, UNTAKEN
from sim.wire_http2 import Http2Client, Sink
from sim.wire_words import (
    TARGETED,
    WATCH,
    progress_request,
    refusal,
    request,
    result,
    seen,
    watch_request,
)
from sim.world import World

DEADLINE_MARGIN_MS = 50
"""The member is told a deadline so much later: the client's own clock decides."""
CHANNELS = 2
"""Connections to one member for calls; as many again for watches."""
RECV_BYTES = 64 << 10
KEEPALIVE_MS = 3_000
"""A connection with calls on it that is silent for so long is asked for a sign of life.

One on which nobody has said a word by then is given up.
"""
KEEPALIVE_TIMEOUT_MS = 1_500
NO_LEADER = "etcdserver: no leader"
"""What a stream ends with that wants a leader where nobody leads for too long."""

Then = Callable[[Result], None]


class Dial(Protocol):
    """How a client machine reaches a member."""

    def __call__(self, member: int, address: str) -> End:
        """Begin a connection, from an address; whether anybody is there shows later."""
        ...


class Channel:
    """One connection, with an HTTP/2 client on it."""

    def __init__(self, world: World, end: End, address: str) -> None:
        self._world = world
        self._heard_us = world.now_us
        self._has_stood = False
        self.http2 = Http2Client()
        self.address = address
        self.is_lost = False
        self._end = end
        self._unsent = b""
        end.changed = self._changed
        world.after(KEEPALIVE_MS, self._look)

    @property
    def is_usable(self) -> bool:
        """Whether a new call may begin here."""
        return not self.is_lost and not self.http2.is_going

    def flush(self) -> None:
        """Send what the connection takes."""
        if self.is_lost:
            return
        try:
            while data := self._unsent or self.http2.take():
                size = self._end.send(data)
                self._unsent = data[size:]
                if not size:
                    break
        except ConnectionResetError as error:
            self._lose(str(error))

    def close(self) -> None:
        """Give the connection up."""
        if not self.is_lost:
            self._end.abort()
            self._lose("the client closed the connection")

    def _changed(self) -> None:
        try:
            while (data := self._end.recv(RECV_BYTES)) is not None:
                if not data:
                    self._lose("the member closed the connection")
                    return
                self._heard_us = self._world.now_us
                self._has_stood = True
                self.http2.feed(data)
        except ConnectionResetError as error:
            self._lose(str(error))
            return
        self.flush()
        if self.http2.is_going and not len(self.http2):
            self.close()

    def _look(self) -> None:
        """Find out, now and then, whether anybody is still there."""
        if self.is_lost:
            return
        if not self._has_stood:
            self.close()
        elif len(self.http2) and self._world.now_us - self._heard_us >= KEEPALIVE_MS * 1000:
            self.http2.ping()
            self.flush()
            self._world.after(KEEPALIVE_TIMEOUT_MS, partial(self._judge, self._heard_us))
        else:
            self._world.after(KEEPALIVE_MS, self._look)

    def _judge(self, heard_us: int) -> None:
        if self._heard_us == heard_us:
            self.close()
        else:
            self._look()

    def _lose(self, reason: str) -> None:
        reason = self._end.error or reason
        if not self.is_lost:
            self.is_lost = True
            never_stood = self._end.error == NO_CONNECTION
            self._end.close()
            self.http2.lost(reason, code=UNTAKEN if never_stood else UNAVAILABLE)


@define(eq=False)
class _Asked:
    """One operation under way."""

    op: Op
    then: Then | None
    answers: list[bytes] = field(factory=list[bytes])

    def message(self, data: bytes) -> None:
        self.answers.append(data)

    def ended(self, code: int, text: str) -> None:
        self.settle(result(self.op, self.answers) if code == 0 else refusal(code, text))

    def settle(self, told: Result) -> None:
        """Answer, the first time."""
        then, self.then = self.then, None
        if then is not None:
            then(told)


class WatchStream:
    """One watch on a stream of its own. Call it to give it up."""

    def __init__(self, world: World, channel: Channel, sink: Callable[[Seen], None]) -> None:
        self._world = world
        self._channel = channel
        self._sink: Callable[[Seen], None] | None = sink
        self._stream_id = 0
        self._watch_id = 0

    def begin(self, spec: WatchSpec, *, wants_leader: bool) -> None:
        """Ask for the watcher."""
        http2 = self._channel.http2
        self._stream_id = http2.call(WATCH, self, wants_leader=wants_leader)
        http2.send(self._stream_id, watch_request(spec))
        self._channel.flush()

    def __call__(self) -> None:
        """Close it; nothing is seen any more."""
        self._sink = None
        self._channel.http2.cancel(self._stream_id)
        self._channel.flush()

    def slow(self, ms: int) -> None:
        """Read nothing for so long."""
        self._channel.http2.slow(self._stream_id, True)
        self._world.after(ms, self._read_on)

    def ask_progress(self) -> None:
        """Ask how far the stream is."""
        self._channel.http2.send(self._stream_id, progress_request())
        self._channel.flush()

    def message(self, data: bytes) -> None:
        """See Sink."""
        if self._sink is not None:
            self._sink(seen(data, self._world.now_us))

    def ended(self, code: int, text: str) -> None:
        """See Sink."""
        sink, self._sink = self._sink, None
        if text == NO_LEADER:
            self._world.mark("stream ended without a leader")
        if sink is not None:
            sink(Seen(self._world.now_us, "lost", 0, reason=f"{code}: {text}"))

    def _read_on(self) -> None:
        self._channel.http2.slow(self._stream_id, False)
        self._channel.flush()


class WireEndpoint:
    """`Endpoint` over connections. `ids` are the members' ids, by number."""

    def __init__(self, world: World, dial: Dial, ids: Callable[[int], int]) -> None:
        self._world = world
        self._dial = dial
        self._ids = ids
        self._channels: dict[tuple[int, int], Channel] = {}
        self._wants = world.chance("wants-leader")
        self._turn = 0
        self._asked = 0
        self._dialled = 0
        self.open_asks = 0
        """How many asks have neither been answered nor given up."""
        self.numbers: dict[tuple[str, int], tuple[int, Op]] = {}
        """Which ask, from 0, a stream of a connection (by its address) belongs to."""

    def ask(self, member: int, op: Op, deadline_ms: int, then: Then) -> None:
        """See Endpoint."""

        def answered(told: Result) -> None:
            self.open_asks -= 1
            then(told)

        self.open_asks += 1
        asked = _Asked(op, answered)
        if isinstance(op, Admin) and op.what in TARGETED:
            op = op._replace(target=self._ids(op.target))
        path, data = request(op)
        channel = self._channel(member, watches=False)
        stream_id = channel.http2.call(path, asked, timeout_ms=deadline_ms + DEADLINE_MARGIN_MS)
        # A renewal is a stream of one: like a call it ends its side at once.
        self.numbers[channel.address, stream_id] = (self._asked, asked.op)
        self._asked += 1
        channel.http2.send(stream_id, data, ends=True)
        channel.flush()
        self._world.after(deadline_ms, partial(self._late, asked, channel, stream_id))

    def watch(self, member: int, spec: WatchSpec, sink: Callable[[Seen], None]) -> WatchStream:
        """See Endpoint."""
        stream = WatchStream(self._world, self._channel(member, watches=True), sink)
        # What fails at once is told at a later event all the same.
        wants_leader = self._wants.random() < 0.5
        self._world.after_us(0, partial(stream.begin, spec, wants_leader=wants_leader))
        return stream

    def call(self, member: int, path: str, data: bytes, sink: Sink) -> None:
        """Make a call that no history knows; its sink hears all that comes of it."""
        channel = self._channel(member, watches=False)
        stream_id = channel.http2.call(path, sink)
        channel.http2.send(stream_id, data, ends=True)
        channel.flush()

    def close(self) -> None:
        """Give everything up; nobody is told."""
        for channel in self._channels.values():
            channel.http2.forget()
            channel.close()
        self._channels.clear()

    def _late(self, asked: _Asked, channel: Channel, stream_id: int) -> None:
        if asked.then is not None:
            channel.http2.cancel(stream_id)
            channel.flush()
            asked.settle(Unknown("deadline"))

    def _channel(self, member: int, *, watches: bool) -> Channel:
        self._turn += 1
        slot = self._turn % CHANNELS + (CHANNELS if watches else 0)
        channel = self._channels.get((member, slot))
        if channel is None or not channel.is_usable:
            self._dialled += 1
            address = f"10.0.0.9:{self._dialled}"
            channel = Channel(self._world, self._dial(member, address), address)
            self._channels[member, slot] = channel
        return channel
