"""A client of one etcd endpoint: unary calls, and watch streams read by a thread each.

The rule of this file: it moves messages and decides nothing. One lock guards what the threads
write; `wait` is woken by every response.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from net.etcd.pb import rpc_pb2
from tests.differential.trace import Refused

UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),
]
DEADLINE_S = 60.0
Answering = Callable[..., Any]
"""One of grpcio's four kinds of call, which have no common type."""
RECONNECTS_MAX = 50


class Receiver(Protocol):
    """Takes one response of a watch stream."""

    def __call__(self, response: rpc_pb2.WatchResponse, /) -> None: ...


def _paths() -> dict[str, tuple[str, type[Message], type[Message]]]:
    paths: dict[str, tuple[str, type[Message], type[Message]]] = {}
    for service in rpc_pb2.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            paths[method.name] = (
                f"/{service.full_name}/{method.name}",
                GetMessageClass(method.input_type),
                GetMessageClass(method.output_type),
            )
    return paths


class Endpoint:
    """A connection to `address` (host:port, or unix:path). Close it after use."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(address, options=UNLIMITED)
        self._calls = {name: self._callable(name) for name in _paths()}
        self._streams: dict[int, _Stream] = {}
        self._changed = threading.Condition()
        self._probe_number = -1

    def _callable(self, name: str) -> Answering:
        path, request, response = _paths()[name]
        kinds: dict[str, Callable[..., Answering]] = {
            "RangeStream": self._channel.unary_stream,
            "Snapshot": self._channel.unary_stream,
            "LeaseKeepAlive": self._channel.stream_stream,
            "Watch": self._channel.stream_stream,
        }
        return kinds.get(name, self._channel.unary_unary)(
            path,
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    def close(self) -> None:
        """End all streams and the connection."""
        for number in list(self._streams):
            self.close_stream(number)
        self._channel.close()

    def call(self, method: str, request: Message) -> Message | Refused:
        """Ask, and wait for the answer. A stream of chunks is merged, a keepalive asks once.

        A refusal of the transport to connect is asked again: the endpoint may be starting.
        """
        for _ in range(RECONNECTS_MAX):
            try:
                return self._call_once(method, request)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    return Refused(error.code().value[0], error.details() or "")
                time.sleep(0.1)
        return Refused(grpc.StatusCode.UNAVAILABLE.value[0], f"{self.address} is not there")

    def _call_once(self, method: str, request: Message) -> Message:
        call = self._calls[method]
        if method == "LeaseKeepAlive":
            answers = call(iter([request]), timeout=DEADLINE_S)
            first: Message = next(answers)
            answers.cancel()
            return first
        if method == "RangeStream":
            return _merged(call(request, timeout=DEADLINE_S))
        answer: Message = call(request, timeout=DEADLINE_S)
        return answer

    # -- watch streams

    def send(self, number: int, request: rpc_pb2.WatchRequest, receiver: Receiver) -> None:
        """Send on a stream; the first request begins it, and names who gets its responses."""
        if number not in self._streams:
            self._streams[number] = _Stream(self._calls["Watch"], receiver, self._changed)
        self._streams[number].send(request)

    def close_stream(self, number: int) -> None:
        """End a stream; the end of one that has not begun is nothing."""
        stream = self._streams.pop(number, None)
        if stream is not None:
            stream.close()

    def open_streams(self) -> list[int]:
        """Return the numbers of the streams that have begun and not ended, without probes."""
        return [number for number in self._streams if number >= 0]

    def wait(self, is_there: Callable[[], bool], deadline: float) -> bool:
        """Wait until a condition on what receivers have got holds; False at the deadline."""
        with self._changed:
            return self._changed.wait_for(is_there, timeout=deadline - time.monotonic())

    def probe(self, revision: int, patience_s: float) -> None:
        """Wait until the endpoint has worked off all watches that were asked for before this.

        A watch of everything from `revision` on is served after them. If there is nothing to see
        at that revision, patience decides.
        """
        seen: list[rpc_pb2.WatchResponse] = []
        self._probe_number -= 1
        create = rpc_pb2.WatchCreateRequest(
            key=b"\0", range_end=b"\0", start_revision=max(revision, 1)
        )
        self.send(self._probe_number, rpc_pb2.WatchRequest(create_request=create), seen.append)
        self.wait(lambda: len(seen) > 1, time.monotonic() + patience_s)
        self.close_stream(self._probe_number)


class _Stream:
    """One Watch call and the thread that reads it."""

    def __init__(self, call: Answering, receiver: Receiver, changed: threading.Condition) -> None:
        self._requests: queue.SimpleQueue[rpc_pb2.WatchRequest | None] = queue.SimpleQueue()
        self._receiver = receiver
        self._changed = changed
        self._responses = call(self._outgoing())
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def send(self, request: rpc_pb2.WatchRequest) -> None:
        self._requests.put(request)

    def close(self) -> None:
        self._requests.put(None)
        self._responses.cancel()
        self._thread.join()

    def _outgoing(self) -> Iterator[rpc_pb2.WatchRequest]:
        yield from iter(self._requests.get, None)

    def _read(self) -> None:
        try:
            for response in self._responses:
                with self._changed:
                    self._receiver(response)
                    self._changed.notify_all()
        except grpc.RpcError:
            # The stream has ended; if that was not asked for, what is owed on it will not come.
            pass


def _merged(chunks: Iterator[rpc_pb2.RangeStreamResponse]) -> rpc_pb2.RangeResponse:
    whole = rpc_pb2.RangeResponse()
    for chunk in chunks:
        whole.MergeFrom(chunk.range_response)
    return whole
