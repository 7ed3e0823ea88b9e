"""A member without sockets, disk or threads: etcd's messages in, etcd's messages out.

The rule of this file: services, node and encoder are the shipped ones, and nothing waits.
What is proposed is committed at once, in a pack of its own that went through the codec; reads are
confirmed at once; all slices of work are done before anything else is asked. It has the verbs of
`tests.differential.endpoint.Endpoint`, so what plays there plays here.
"""

from collections.abc import Callable
from typing import cast

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from core.codec import decode_pack, encode_pack
from core.effects import Effect, Notify, Propose, ReadIndex, Reply
from core.errors import UNIMPLEMENTED, Failure
from core.inputs import Committed, Elected, Input, ReadReady, Ticked
from core.node import Node, NodeConfig
from core.state import State
from net.etcd.calls import AnyConnection, AnyStream, Call, WatchCall
from net.etcd.encode import Encoder
from net.etcd.pb import rpc_pb2
from net.etcd.services import Method, Services
from net.http2.stream import Kind
from net.metrics import Metrics
from tests.differential.endpoint import Receiver
from tests.differential.trace import Refused

TICK_MS = 500
MESSAGE_BYTES_MAX = 1_572_864 + 512 * 1024
NOT_HERE = Failure(UNIMPLEMENTED, "a wire world has no such service")


class WireStream:
    """One call as the services see it: their stream, and their connection, in one."""

    def __init__(self, kind: Kind, method: Method, receive: Callable[[bytes], None]) -> None:
        self.kind = kind
        self.method = method
        self.state: object = None
        self.headers: dict[bytes, bytes] = {}
        self.queued_bytes = 0
        self.failure: Failure | None = None
        self._receive = receive

    def open(self, _: AnyStream) -> None:
        """Response headers: nothing to do."""

    def respond(self, _: AnyStream, message: bytes) -> None:
        self._receive(message)

    def respond_parts(self, _: AnyStream, parts: list[bytes], size: int) -> None:
        assert sum(map(len, parts)) == size
        self._receive(b"".join(parts))

    send = respond
    send_parts = respond_parts

    def finish(self, _: AnyStream) -> None:
        """The end of a stream: nothing to do."""

    def fail(self, _: AnyStream, code: int, text: str) -> None:
        self.failure = Failure(code, text)

    def both(self) -> tuple[AnyConnection, AnyStream]:
        """Return this as what the services' signatures name."""
        # The codec's classes are not asked for more than the methods above.
        return cast(AnyConnection, self), cast(AnyStream, self)


class Nobody:
    """The administration of a world that has none."""

    def begin(self, method: str, call: Call, message: bytes) -> None:
        call.fail(NOT_HERE)

    def ended(self, call: Call) -> None:
        """Nothing was begun."""


class WireWorld:
    """One member that leads from the start."""

    def __init__(self) -> None:
        config = NodeConfig(
            member_id=1,
            origin=7,
            quota_bytes=1 << 40,
            request_bytes_max=1_572_864,
            fragment_bytes=MESSAGE_BYTES_MAX,
            progress_interval_ms=600_000,
        )
        self.node = Node(State(), config)
        self.now_ms = 0
        self._services = Services(Metrics(), Nobody(), txn_ops_max=128, watch_jitter_ms_max=0)
        self._encoder = Encoder(cluster_id=1, member_id=1)
        self._methods = {
            path.rsplit(b"/", 1)[1].decode(): found
            for path, found in self._services.methods.items()
            if path.startswith(b"/etcdserverpb.")
        }
        self._watch_streams: dict[int, WireStream] = {}
        self._log_index = 0
        self._step(Elected(1))
        self._step(Ticked(0))

    # -- the verbs of an endpoint

    def call(self, method: str, request: Message) -> Message | Refused:
        """Ask, and return the answer; a stream of chunks merged, a keepalive asked once."""
        size = request.ByteSize()
        if size > MESSAGE_BYTES_MAX:
            text = f"grpc: received message larger than max ({size} vs. {MESSAGE_BYTES_MAX})"
            return Refused(8, text)
        answers: list[bytes] = []
        kind, found = self._methods[method]
        stream = WireStream(kind, found, answers.append)
        connection, as_stream = stream.both()
        if kind is Kind.BIDI:
            self._services.opened(connection, as_stream)
            self._services.message(connection, as_stream, request.SerializeToString())
        else:
            self._services.request(connection, as_stream, request.SerializeToString())
        self._settle()
        if stream.failure is not None:
            return Refused(*stream.failure)
        if method == "RangeStream":
            whole = rpc_pb2.RangeResponse()
            for answer in answers:
                whole.MergeFrom(rpc_pb2.RangeStreamResponse.FromString(answer).range_response)
            return whole
        (answer,) = answers
        return _answer_kind(found.name).FromString(answer)

    def send(self, number: int, request: rpc_pb2.WatchRequest, receiver: Receiver) -> None:
        """Send on a watch stream; the first request begins it."""
        if number not in self._watch_streams:
            kind, found = self._methods["Watch"]

            def receive(message: bytes) -> None:
                receiver(rpc_pb2.WatchResponse.FromString(message))

            self._watch_streams[number] = WireStream(kind, found, receive)
            self._services.opened(*self._watch_streams[number].both())
        stream = self._watch_streams[number]
        self._services.message(*stream.both(), request.SerializeToString())
        self._settle()

    def close_stream(self, number: int) -> None:
        """End a watch stream; nothing, if it has not begun."""
        stream = self._watch_streams.pop(number, None)
        if stream is not None:
            self._services.cancelled(*stream.both())
            self._settle()

    def open_streams(self) -> list[int]:
        """Return the numbers of the open watch streams."""
        return list(self._watch_streams)

    def wait(self, is_there: Callable[[], bool], deadline: float) -> bool:
        """Say whether it holds: nothing comes later here."""
        return is_there()

    def probe(self, revision: int, patience_s: float) -> None:
        """Nothing is ever behind here."""

    # -- time, and what follows from inputs

    def pass_time(self, now_ms: int) -> None:
        """Let time pass in steps that no deadline takes for a pause of the machine."""
        while self.now_ms < now_ms:
            self.now_ms = min(self.now_ms + TICK_MS, now_ms)
            self._services.now_ms = self.now_ms
            self._step(Ticked(self.now_ms))
            self._settle()

    def _settle(self) -> None:
        while self._services.inputs or self.node.has_work():
            inputs, self._services.inputs = self._services.inputs, []
            for given in inputs:
                # Synced and JobDone are the driver's own; the services give neither.
                self._step(cast(Input, given))
            self._perform(self.node.begin_reads())
            if self.node.has_work():
                self._perform(self.node.work())

    def _step(self, given: Input) -> None:
        self._perform(self.node.step(given))

    def _perform(self, effects: object) -> None:
        for effect in cast(list[Effect], effects):
            match effect:
                case Propose(_, payload, _):
                    self._log_index += 1
                    pack = decode_pack(encode_pack([payload]))
                    self._step(Committed(self._log_index, 1, pack))
                case ReadIndex(number):
                    self._step(ReadReady(number, self._log_index))
                case Reply(token, answer):
                    assert isinstance(token, Call)
                    if not token.over:
                        token.settle(self._encoder, answer)
                case Notify(stream, message):
                    assert isinstance(stream.token, WatchCall)
                    stream.token.notify(self._encoder, message)
                case _:
                    pass


def _answer_kind(path: str) -> type[Message]:
    service, method = path.lstrip("/").split("/")
    name = service.rsplit(".", 1)[1]
    kind = rpc_pb2.DESCRIPTOR.services_by_name[name].methods_by_name[method].output_type
    return GetMessageClass(kind)
