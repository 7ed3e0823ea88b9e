"""A whole client port in memory: codec, services, driver, journal and store, without sockets.

The rule of this file: helper threads are done inline, at the next turn; clients speak HTTP/2 by
hand and grant the windows that they mean to. Nothing here makes cycles, so that what is left over
is the port's.
"""

from collections.abc import Callable
from pathlib import Path

import outcome
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from core.members import Member
from core.state import put_member
from net.disk import RealDisk
from net.etcd.cluster import Cluster
from net.etcd.encode import Encoder
from net.etcd.maintenance import Maintenance
from net.etcd.pb import rpc_pb2 as pb
from net.etcd.port import ClientConnection, ClientPort
from net.etcd.services import Services
from net.http1 import Http1Request, Http1Response
from net.http2.limits import Http2Settings
from net.listen import PeerInfo
from net.metrics import Metrics, rpc_table
from net.slow import SlowLog
from net.telemetry import SILENT
from tests.driver_world import DriverWorld
from tests.http2_client import (
    DATA,
    HEADERS,
    NO_TABLE,
    PREFACE,
    RST_STREAM,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    block,
    fields,
    frame,
    frames,
    headers,
    prefixed,
    settings,
)

KV = "/etcdserverpb.KV/"
LEASE = "/etcdserverpb.Lease/"
MAINTENANCE = "/etcdserverpb.Maintenance/"
CLUSTER = "/etcdserverpb.Cluster/"
WATCH = "/etcdserverpb.Watch/Watch"
KEEPALIVE = LEASE + "LeaseKeepAlive"
WINDOW_MAX = (1 << 31) - 1
MEMBER = Member(1, "me", ("http://127.0.0.1:2380",), ("http://127.0.0.1:2379",))
NEW_ID = 0x123


class InlineSyncer:
    """The sync thread, done when asked how far it is."""

    is_slow = False

    def __init__(self, sync: Callable[[], object]) -> None:
        self._sync = sync
        self._wanted: int | None = None

    def request(self, position: int) -> None:
        self._wanted = position

    def here(self, position: int) -> bool:
        return False

    def reached(self) -> int | None:
        if self._wanted is None or self.is_slow:
            return None
        reached, self._wanted = self._wanted, None
        self._sync()
        return reached

    def close(self) -> None:
        """Nothing runs."""


class InlineJobs:
    """The job threads, done at the next turn."""

    def __init__(self) -> None:
        self._done: list[tuple[Callable[[], object], Callable[[outcome.Maybe[object]], None]]] = []

    def submit(
        self, job: Callable[[], object], done: Callable[[outcome.Maybe[object]], None]
    ) -> None:
        self._done.append((job, done))

    def deliver(self) -> int:
        pairs, self._done = self._done, []
        for job, done in pairs:
            done(outcome.capture(job))
        return len(pairs)

    def close(self) -> None:
        """Nothing runs."""


class GrpcWorld:
    """One member's client port, and its clients."""

    def __init__(self, directory: Path) -> None:
        self.inner = DriverWorld(directory).lead()
        driver = self.inner.driver
        self.metrics = Metrics(rpc=rpc_table(has_handling=False))
        encoder = Encoder(cluster_id=77, member_id=1)
        put_member(driver.node.state, MEMBER)
        self.cluster = Cluster(
            driver.node, lambda: encoder.header(0), lambda urls: NEW_ID, self.metrics
        )
        self.maintenance = Maintenance(
            driver, self.cluster, encoder, SILENT, disk=RealDisk(), directory=str(directory)
        )
        self.services = Services(
            self.metrics, self.maintenance, txn_ops_max=128, watch_jitter_ms_max=0
        )
        self.port = ClientPort(
            driver,
            self.services,
            self.maintenance,
            self.cluster,
            encoder,
            self.metrics,
            settings=Http2Settings(),
            http=_no_http,
            slow=SlowLog(SILENT, self.metrics, 1 << 30, 1 << 30),
        )
        self.syncer = InlineSyncer(self.port._sync_journal)
        self.port._syncer = self.syncer
        self.port._jobs = InlineJobs()  # type: ignore[assignment]  # a double
        self.clients: list[Client] = []
        self.now_ms = self.inner.now_ms

    def connect(self, window: int = WINDOW_MAX) -> "Client":
        """A new connection that has shaken hands, with streams of that window."""
        peer = PeerInfo("192.0.2.1:4000")
        client = Client(self, self.port.accepted(peer, self.now_ms), window)
        self.clients.append(client)
        return client

    def turn(self, after_ms: int = 1) -> None:
        """One turn of the reactor: what clients said is there already; they hear the rest."""
        self.now_ms += after_ms
        self.port.turn(self.now_ms)
        assert not self.port.goes_on()
        self.port.dirty.clear()
        for client in self.clients:
            client.hear()

    def settle(self, turns: int = 8) -> None:
        """A few turns: enough for a proposal to be synced, applied and answered."""
        for _ in range(turns):
            self.turn()

    def close(self) -> None:
        """End all connections, then the member."""
        for client in self.clients:
            client.leave()
        self.settle()
        self.port.close()
        self.inner.close()


class Heard:
    """What a client has heard on one stream."""

    def __init__(self) -> None:
        self.data = b""
        self.headers: dict[str, str] = {}
        self.trailers: dict[str, str] = {}
        self.reset: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether the server has ended it."""
        return bool(self.trailers) or self.reset is not None

    def messages(self) -> list[bytes]:
        """The whole gRPC messages so far."""
        found: list[bytes] = []
        rest = self.data
        while len(rest) >= 5:
            size = int.from_bytes(rest[1:5], "big")
            if len(rest) < 5 + size:
                break
            found.append(rest[5 : 5 + size])
            rest = rest[5 + size :]
        return found

    @property
    def status(self) -> tuple[int, str]:
        """gRPC's code and text."""
        return int(self.trailers["grpc-status"]), self.trailers.get("grpc-message", "")


class Client:
    """One connection; it reads as fast as it is told to."""

    def __init__(self, world: GrpcWorld, connection: ClientConnection, window: int) -> None:
        self.connection = connection
        self.streams: dict[int, Heard] = {}
        self.reads = True
        self._world = world
        self._next_id = 1
        self.say(PREFACE, settings((4, window)), SETTINGS_ACK)
        self.grant(0, WINDOW_MAX - 65_535)
        self.say(headers(1, NO_TABLE + block(b"/none")), frame(RST_STREAM, 0, 1, b"\0" * 4))
        connection.take(1 << 20)

    def say(self, *chunks: bytes) -> None:
        """Send bytes."""
        for chunk in chunks:
            self.connection.feed(chunk, self._world.now_ms)
            while self.connection.has_more:
                self.connection.feed(b"", self._world.now_ms)

    def grant(self, stream_id: int, size: int) -> None:
        """Let the server send so much more."""
        self.say(frame(WINDOW_UPDATE, 0, stream_id, size.to_bytes(4, "big")))

    def hear(self, limit: int = 1 << 30) -> None:
        """Take what the server has to say, unless this client does not read."""
        while self.reads and (raw := self.connection.take(limit)):
            for seen in frames(raw):
                heard = self.streams.get(seen.stream_id)
                if heard is None:
                    continue
                if seen.kind == DATA:
                    heard.data += seen.payload
                elif seen.kind == HEADERS:
                    said = fields(seen.payload)
                    if seen.flags & 1:
                        heard.trailers = said
                    else:
                        heard.headers = said
                elif seen.kind == RST_STREAM:
                    heard.reset = int.from_bytes(seen.payload, "big")

    def begin(self, path: str) -> int:
        """Open a stream and return its id."""
        self._next_id += 2
        self.streams[self._next_id] = Heard()
        self.say(headers(self._next_id, block(path.encode())))
        return self._next_id

    def send(self, stream_id: int, message: Message | bytes, *, ended: bool = False) -> None:
        """Send one message."""
        data = message if isinstance(message, bytes) else message.SerializeToString()
        raw = prefixed(data)
        while len(raw) > 16_384:
            self.say(frame(DATA, 0, stream_id, raw[:16_384]))
            raw = raw[16_384:]
        self.say(frame(DATA, int(ended), stream_id, raw))

    def half_close(self, stream_id: int) -> None:
        """Say that no more will be sent."""
        self.say(frame(DATA, 1, stream_id))

    def reset(self, stream_id: int) -> None:
        """Cancel a stream."""
        self.say(frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08"))

    def leave(self) -> None:
        """The connection is lost."""
        self.connection.eof()
        self.reads = False

    def ask(self, path: str, request: Message | bytes) -> Heard:
        """One request all the way; what was heard of it."""
        stream_id = self.begin(path)
        self.send(stream_id, request, ended=True)
        self._world.settle()
        return self.streams.pop(stream_id)

    def call(self, path: str, request: Message) -> Message:
        """A unary call that must succeed."""
        heard = self.ask(path, request)
        assert heard.status == (0, ""), heard.status
        (message,) = heard.messages()
        return _response_of(path).FromString(message)

    def refused(self, path: str, request: Message | bytes) -> tuple[int, str]:
        """A call that must fail: its code and text."""
        heard = self.ask(path, request)
        assert heard.status[0], "it was not refused"
        assert heard.messages() == []
        return heard.status

    def watch(self, request: pb.WatchCreateRequest) -> int:
        """Open a watch stream with one watcher; its stream id."""
        stream_id = self.begin(WATCH)
        self.send(stream_id, pb.WatchRequest(create_request=request))
        self._world.settle()
        return stream_id

    def watched(self, stream_id: int) -> list[pb.WatchResponse]:
        """The messages of a watch stream so far."""
        return [pb.WatchResponse.FromString(m) for m in self.streams[stream_id].messages()]


def put(key: bytes, value: bytes = b"v", **more: bool | int) -> pb.PutRequest:
    """A put request."""
    return pb.PutRequest(key=key, value=value, **more)  # type: ignore[arg-type]  # by field


def _response_of(path: str) -> type[Message]:
    service, method = path.rsplit("/", 1)
    described = pb.DESCRIPTOR.services_by_name[service.rsplit(".", 1)[-1]].methods_by_name[method]
    return GetMessageClass(described.output_type)


def _no_http(request: Http1Request, peer: PeerInfo) -> Http1Response | None:
    return None
