"""The reactor: one task that owns every client connection and gives the application its turns.

Rule: bytes are moved, nothing is decided about them. One turn reads every ready connection, lets
the application do the work those bytes asked for, and writes each connection that has output:

    poll -> recv, feed (each ready link) -> application.turn -> take, send (each dirty link)
                                            [-> goes_on -> send, application.turn -> take, send]

No task, future or channel per connection or request. `turn` is synchronous: the simulator calls it
from a bare heap, `run` from the one trio task of production.

What one connection can take from the others is bounded: `RECV_BYTES` read and `SEND_BYTES_MAX`
written a turn; one slice of `TAKE_BYTES` outside its codec; and while its socket is stuck, nothing
is read from it once its codec holds more than `OUTPUT_BYTES_MAX`. What a codec leaves of its bytes
for the next turn (`has_more`) it gets there, last in line. A turn ends its reading when the
application `is_full`: who was not read is first in the next turn, which follows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from net.application import Application as Application
from net.application import Codec as Codec
from net.http1 import Http1Connection
from net.listen import PeerInfo, Role
from net.sockets import READ, WRITE, Link, Sockets
from net.sweeps import Sweeps
from net.telemetry import DEBUG, Logger

RECV_BYTES: Final = 64 << 10
"""Read from one connection a turn: so much of the worst flood takes its codec 2 ms."""
TAKE_BYTES: Final = 256 << 10
SEND_BYTES_MAX: Final = 1 << 20
TURN_BYTES_MAX: Final = 4 << 20
"""Received from all connections together in one turn."""
OUTPUT_BYTES_MAX: Final = 1 << 20

SNIFF_MS_MAX: Final = 10_000
"""How long a connection may leave it open what it speaks."""
LINGER_MS_MAX: Final = 1_000
"""How long a closed connection's last words wait for the other end to read them."""
LINGER_BYTES_MAX: Final = 256 << 10
"""Thrown away of who goes on talking meanwhile: then it is a flood, and is cut off."""
STALL_MS_MAX: Final = 30_000
"""How long last words wait for a socket that takes nothing."""
UNDECIDED_PEERS_MAX: Final = 32
"""Connections of members at once that have said nothing: who is a member speaks first."""
PEERS_LOG_MS: Final = 5_000
TRIO_MS_MAX: Final = 5
"""How long a busy reactor keeps trio's other tasks waiting."""
LINGER_IN_POLL_S: Final = 0.001
"""How long a reactor without work stays in its own poll before it lets trio wait for it.

One request at a time costs 24 us of CPU so, 27 without this; a busy loop gained nothing."""
WAIT_S_MAX: Final = 3600.0
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_TLS_RECORD: Final = b"\x16\x03"
_NOTHING: Final = memoryview(b"")


@attrs.define(eq=False)
class Connection:
    """One link, the codec that speaks on it, and the output between them.

    `codec` is None while the first bytes, kept in `first`, do not tell what is spoken.
    """

    link: Link
    codec: Codec | None
    deadline_ms: int
    first: bytes = b""
    unsent: memoryview = _NOTHING
    is_ended: bool = False
    """The other end sends nothing more."""
    is_lingering: bool = False
    """We send nothing more; what still comes is thrown away."""
    ignored_bytes: int = 0
    is_closed: bool = False

    @property
    def due_ms(self) -> int:
        """When time has something to do to it; 0 for never."""
        codec_ms = 0 if self.codec is None else self.codec.next_deadline_ms
        return 0 if self.is_closed else self.deadline_ms or codec_ms


class Reactor:
    """Serves one application on one set of sockets until it is told to stop."""

    def __init__(
        self,
        sockets: Sockets,
        application: Application,
        log: Logger,
        *,
        now_ms: Callable[[], int],
        date: Callable[[], str] | None = None,
    ) -> None:
        self._sockets = sockets
        self._application = application
        self._log = log
        self._now_ms = now_ms
        self._date = date
        self._connections: dict[int, Connection] = {}
        self._by_codec: dict[Codec, Connection] = {}
        self._again: dict[Connection, None] = {}
        self._unread: Sequence[tuple[int, int]] = ()
        """Links that were ready, and whose turn has not come."""
        self._unfed: dict[int, int] = {}
        """Links whose codec has more to do without reading anything."""
        self._due_ms: int | None = 0
        """When the application wants its next turn: the first one at once, nobody need ask."""
        self._sweeps = Sweeps[Connection]()
        self._stop_ms: int | None = None
        self.is_over = False
        """Whether a stop has been completed."""
        self.received_bytes_total = 0
        self.sent_bytes_total = 0

    def __len__(self) -> int:
        return len(self._connections)

    def wake(self) -> None:
        """Make a turn happen soon; callable from any thread."""
        self._sockets.wake()

    def stop(self, grace_ms: int) -> None:
        """Accept nothing more, let all connections finish, close what is left after `grace_ms`."""
        if self.is_over:
            return
        if self._stop_ms is None:
            self._sockets.stop_accepting()
        self._stop_ms = self._now_ms() + grace_ms
        for connection in list(self._connections.values()):
            self._drain(connection)
        self._sockets.wake()

    def adopt(self, link: Link, codec: Codec) -> None:
        """Serve a connection that was opened from this side; the codec sends first if it likes."""
        self._flush(self._open(link, codec))
        self._sweeps.expect(self._now_ms())

    def next_ms(self) -> int | None:
        """When the next turn is due although nothing happened; None for never."""
        due_ms, stop_ms = self._due_ms, self._stop_ms
        if stop_ms is not None and (due_ms is None or stop_ms < due_ms):
            due_ms = stop_ms
        if self._connections and (due_ms is None or self._sweeps.due_ms < due_ms):
            due_ms = self._sweeps.due_ms
        return due_ms

    def wait_s(self, now_ms: int) -> float:
        """How long to wait for something to happen before the next turn."""
        if self._again or self._unread or self._unfed:
            return 0
        due_ms = self.next_ms()
        return WAIT_S_MAX if due_ms is None else max(0, due_ms - now_ms) / 1000

    async def run(self) -> None:
        """Take turns until a stop is complete; then every socket is closed.

        Between turns without events it stays in the poll for a moment, because a trio wait costs
        more than most requests do; trio's other tasks run at least every `TRIO_MS_MAX`.
        """
        try:
            now_ms = yielded_ms = self._now_ms()
            while not self.is_over:
                is_busy = self.turn(min(LINGER_IN_POLL_S, self.wait_s(now_ms)))
                now_ms = self._now_ms()
                if not is_busy:
                    await self._sockets.wait(self.wait_s(now_ms))
                    now_ms = yielded_ms = self._now_ms()
                elif now_ms - yielded_ms >= TRIO_MS_MAX:
                    await trio.lowlevel.checkpoint()
                    yielded_ms = self._now_ms()
        finally:
            self._sockets.close()

    def close(self) -> None:
        """Close everything at once; codecs learn that their connections are gone."""
        for connection in list(self._connections.values()):
            self._lost(connection, "closing")
        self._sockets.close()
        self.is_over = True

    def turn(self, timeout_s: float) -> bool:
        """Do one turn if anything is ready or due; say whether anything was."""
        if self.is_over:
            return False
        ready, now_ms = self._ready(timeout_s), self._now_ms()
        is_asked = bool(ready or self._again) or self._is_due(now_ms)
        if not (is_asked or self._sweep(now_ms)):
            return False
        while (link := self._sockets.accept()) is not None:
            self._accepted(link, now_ms)
        touched, self._again = self._again, {}
        self._read_all(ready, touched, now_ms)
        if is_asked:
            self._sweep(now_ms)
        self._due_ms = self._application.turn(now_ms)
        self._flush_all(touched)
        if self._application.goes_on():
            self._flush_all({})
            self._due_ms = self._application.turn(self._now_ms())
            self._flush_all({})
        if touched:
            self._sweeps.expect(now_ms)
        if self._stop_ms is not None and (now_ms >= self._stop_ms or not self._has_clients):
            self.close()
        return True

    @property
    def _has_clients(self) -> bool:
        """Whether anybody but other members is connected: those stay until the last answer."""
        return any(one.link.peer.role is not Role.PEER for one in self._connections.values())

    def _ready(self, timeout_s: float) -> Sequence[tuple[int, int]]:
        """Return the links to read in this turn: first those that the last one had no room for."""
        if not self._unread and not self._unfed:
            return self._sockets.poll(timeout_s)
        line = dict(self._unread)
        for handle, what in (*self._sockets.poll(0.0), *self._unfed.items()):
            line[handle] = line.get(handle, 0) | what
        self._unfed = {}
        return list(line.items())

    def _read_all(
        self, ready: Sequence[tuple[int, int]], touched: dict[Connection, None], now_ms: int
    ) -> None:
        """Read what is ready, in order; what exceeds a turn's share is first in the next turn."""
        connections = self._connections
        application = self._application
        received = 0
        self._unread = ()
        for at, (handle, what) in enumerate(ready):
            connection = connections.get(handle)
            if connection is None:
                continue
            if what & WRITE:
                self._flush(connection)
                self._sweeps.expect(now_ms)
            if what != WRITE and not connection.is_closed:
                received += self._receive(connection, now_ms)
                touched[connection] = None
                if received > TURN_BYTES_MAX or application.is_full:
                    self._unread = ready[at + 1 :]
                    break
        self.received_bytes_total += received

    def _is_due(self, now_ms: int) -> bool:
        due_ms, stop_ms = self._due_ms, self._stop_ms
        is_stopping = stop_ms is not None and now_ms >= stop_ms
        return is_stopping or (due_ms is not None and now_ms >= due_ms)

    def _flush_all(self, touched: dict[Connection, None]) -> None:
        application = self._application
        if application.dirty:
            by_codec = self._by_codec
            for codec in application.dirty:
                connection = by_codec.get(codec)
                if connection is not None:
                    if codec.messages_in:
                        connection.link.favour()
                    touched[connection] = None
            application.dirty.clear()
        for connection in touched:
            self._flush(connection)

    def _accepted(self, link: Link, now_ms: int) -> None:
        peer = link.peer
        if peer.role is Role.PEER and self._undecided >= UNDECIDED_PEERS_MAX:
            self._log.warn_every(PEERS_LOG_MS, "too many silent connections on a peer port")
            link.close()
            return
        if peer.alpn == "h2" and peer.role not in (Role.HTTP, Role.PEER):
            connection = self._open(link, self._application.accepted(peer, now_ms))
        elif peer.role is Role.HTTP or (peer.alpn == "http/1.1" and peer.role is Role.CLIENT):
            connection = self._open(link, self._http1(peer, now_ms))
        else:
            connection = self._open(link, None)
            connection.deadline_ms = now_ms + SNIFF_MS_MAX
        if self._stop_ms is not None:
            self._drain(connection)
        else:
            self._again[connection] = None

    @property
    def _undecided(self) -> int:
        """How many connections of members have not said anything yet."""
        every = self._connections.values()
        return sum(one.codec is None and one.link.peer.role is Role.PEER for one in every)

    def _open(self, link: Link, codec: Codec | None) -> Connection:
        connection = Connection(link, codec, 0)
        self._connections[link.handle] = connection
        if codec is not None:
            self._by_codec[codec] = connection
        return connection

    def _http1(self, peer: PeerInfo, now_ms: int) -> Http1Connection:
        return Http1Connection(
            lambda request: self._application.http1(request, peer),
            now_ms,
            touched=self._touched,
            date=self._date,
        )

    def _touched(self, codec: Http1Connection) -> None:
        connection = self._by_codec.get(codec)
        if connection is not None:
            self._again[connection] = None

    def _receive(self, connection: Connection, now_ms: int) -> int:
        """Read once from a ready link and feed its codec; return how many bytes came."""
        codec = connection.codec
        if codec is not None and codec.has_more and not connection.is_lingering:
            self._feed(connection, codec, b"", now_ms)
            return 0
        try:
            data = connection.link.recv(RECV_BYTES)
        except OSError as error:
            self._lost(connection, str(error))
            data = None
        if data is None:
            return 0
        if connection.is_lingering or not data:
            self._ended(connection, len(data))
        elif codec is not None:
            self._feed(connection, codec, data, now_ms)
        else:
            self._sniff(connection, connection.first + data, now_ms)
        return len(data)

    def _feed(self, connection: Connection, codec: Codec, data: bytes, now_ms: int) -> None:
        codec.feed(data, now_ms)
        if codec.has_more:
            self._unfed[connection.link.handle] = READ

    def _ended(self, connection: Connection, received: int) -> None:
        """The other end has closed, or goes on talking to a connection that we closed."""
        if received:
            connection.ignored_bytes += received
            if connection.ignored_bytes > LINGER_BYTES_MAX:
                self._forget(connection)
            return
        codec = connection.codec
        is_over = connection.is_ended or connection.is_lingering
        if is_over or not isinstance(codec, Http1Connection):
            self._lost(connection, "closed by the client")
            return
        # A script may close its side after the request and wait for the answer.
        connection.is_ended = True
        codec.eof()
        self._show_interest(connection)

    def _sniff(self, connection: Connection, data: bytes, now_ms: int) -> None:
        """Find the codec for a connection by its first bytes, or wait for more of them."""
        peer = connection.link.peer
        if peer.role is Role.PEER:
            # Members' frames begin with a zero; whoever asks about membership speaks HTTP/1.1.
            begin = self._http1 if data[:1].isalpha() else self._application.accepted
            codec = begin(peer, now_ms)
        elif data.startswith(_PREFACE):
            codec = self._application.accepted(peer, now_ms)
        elif _PREFACE.startswith(data):
            connection.first = data
            return
        elif data.startswith(_TLS_RECORD):
            self._lost(connection, "client speaks TLS on a listener without TLS")
            return
        elif peer.role is not Role.CLIENT or not data[:1].isalpha():
            self._lost(connection, "client speaks neither HTTP/2 nor HTTP/1.1")
            return
        else:
            codec = self._http1(peer, now_ms)
        connection.codec = codec
        connection.first = b""
        connection.deadline_ms = 0
        self._by_codec[codec] = connection
        if self._stop_ms is not None:
            codec.drain(now_ms)
        self._feed(connection, codec, data, now_ms)

    def _flush(self, connection: Connection) -> None:
        """Send what the codec has and the socket takes, up to a turn's share."""
        codec, unsent = connection.codec, connection.unsent
        if codec is None or connection.is_lingering or connection.is_closed:
            return
        link = connection.link
        sent_bytes = 0
        try:
            while True:
                if not unsent:
                    data = codec.take(TAKE_BYTES)
                    if not data:
                        break
                    unsent = memoryview(data)
                size = link.send(unsent)
                if size == 0:
                    break
                unsent = unsent[size:]
                sent_bytes += size
                self.sent_bytes_total += size
                if sent_bytes >= SEND_BYTES_MAX:
                    connection.unsent = unsent
                    self._again[connection] = None
                    return
        except OSError as error:
            self._lost(connection, str(error))
            return
        connection.unsent = unsent
        if codec.closing and not unsent:
            self._finish(connection, codec)
            return
        if codec.closing and (sent_bytes or not connection.deadline_ms):
            connection.deadline_ms = self._now_ms() + STALL_MS_MAX
        if unsent or connection.is_ended:
            self._show_interest(connection)
        else:
            link.want(READ)

    def _show_interest(self, connection: Connection) -> None:
        """Tell the poll what this connection waits for."""
        codec = connection.codec
        interest = WRITE if connection.unsent else 0
        is_full = connection.unsent and codec and codec.pending_bytes > OUTPUT_BYTES_MAX
        if not is_full and not connection.is_ended:
            interest |= READ
        connection.link.want(interest)

    def _finish(self, connection: Connection, codec: Codec) -> None:
        """Close after the last byte went out; wait for the other end to have read it."""
        if connection.is_ended:
            self._lost(connection, codec.reason)
            return
        self._log_close(connection, codec.reason)
        self._end(codec)
        connection.is_lingering = True
        connection.deadline_ms = self._now_ms() + LINGER_MS_MAX
        try:
            connection.link.shutdown()
        except OSError:
            self._forget(connection)
            return
        connection.link.want(READ)

    def _drain(self, connection: Connection) -> None:
        """Ask one connection to finish; one that has not begun is closed."""
        if connection.codec is None:
            self._lost(connection, "closing")
        elif not connection.is_lingering:
            connection.codec.drain(self._now_ms())
            self._again[connection] = None

    def _sweep(self, now_ms: int) -> bool:
        """Act on the deadlines of a few connections; whether that makes it a turn."""
        over = self._sweeps.over(self._connections.values(), now_ms)
        for connection in over:
            if connection.codec is None or connection.deadline_ms:
                self._lost(connection, "the client let a deadline pass")
            else:
                connection.codec.tick(now_ms)
                self._again[connection] = None
        return bool(over) or self._sweeps.has_more

    def _lost(self, connection: Connection, reason: str) -> None:
        """Drop a connection without further words; the codec ends its streams."""
        if connection.is_closed:
            return
        self._log_close(connection, reason)
        codec = connection.codec
        self._forget(connection)
        if codec is not None and not connection.is_lingering:
            self._end(codec)

    def _end(self, codec: Codec) -> None:
        """Tell a codec that its connection is over in both directions."""
        self._by_codec.pop(codec, None)
        if isinstance(codec, Http1Connection):
            codec.lost()
        else:
            codec.eof()

    def _forget(self, connection: Connection) -> None:
        connection.is_closed = True
        self._connections.pop(connection.link.handle, None)
        self._again.pop(connection, None)
        connection.link.close()

    def _log_close(self, connection: Connection, reason: str) -> None:
        if self._log.enabled(DEBUG):
            peer = connection.link.peer
            self._log.debug(
                "closed connection", remote_addr=peer.address, listener=peer.url, reason=reason
            )
