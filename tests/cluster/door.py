"""One member as its clients reach it: grpc's own client, which shares no code with the product.

The rule of this file: it asks and tells what came back, in the simulator's words. It never asks
twice; a connection that is lost is made anew within a tenth of a second.
"""

import sys
import threading
from collections.abc import Iterator
from typing import Protocol, cast

import grpc

from net.etcd.pb import rpc_pb2 as pb
from sim.history import Seen, WatchSpec
from sim.ops import Op, Result, Unknown
from sim.wire_words import WATCH, refusal, request, result, seen, watch_request

STATUS_S = 1.0
LARGE = 1000
OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_retries", 0),
)
STATUS = "/etcdserverpb.Maintenance/Status"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"


class Call(Protocol):
    """A stream of answers that can be given up."""

    def __iter__(self) -> Iterator[bytes]: ...

    def cancel(self) -> object: ...


class Streaming(Protocol):
    """A method that streams both ways."""

    def __call__(self, asked: Iterator[bytes], /, *, timeout: float) -> Call: ...


class LostError(Exception):
    """A stream ended; says why."""


class Door:
    """Calls and watches on one member, each kind on a connection of its own."""

    def __init__(self, endpoint: str) -> None:
        self._calls = grpc.insecure_channel(endpoint, options=OPTIONS)
        self._streams = grpc.insecure_channel(endpoint, options=OPTIONS)

    def close(self) -> None:
        """Lose the connections."""
        self._calls.close()
        self._streams.close()

    def ask(self, op: Op, deadline_s: float) -> Result:
        """Ask once. What is not answered in time, or not proved refused, is Unknown."""
        path, data = request(op)
        try:
            answer = self._call(path, data, deadline_s)
        except grpc.RpcError as error:
            code: int = error.code().value[0]
            words = str(error.details())
            return refusal(code, words)
        except ValueError as error:
            # The channel was closed: the run is over.
            return Unknown(str(error))
        return result(op, [answer])

    def status(self) -> pb.StatusResponse | None:
        """What it says of itself; None if it says nothing within a second."""
        try:
            answer = self._call(STATUS, b"", STATUS_S)
        except grpc.RpcError:
            return None
        return pb.StatusResponse.FromString(answer)

    def _call(self, path: str, data: bytes, deadline_s: float) -> bytes:
        if path == KEEP_ALIVE:
            keep = cast(Streaming, self._calls.stream_stream(path))
            answer = next(iter(keep(iter([data]), timeout=deadline_s)), None)
        else:
            # grpc's stubs leave the type of bytes that nobody parses open.
            answer = cast(bytes, self._calls.unary_unary(path)(data, timeout=deadline_s))
        assert isinstance(answer, bytes), "bytes are read as they are"
        return answer

    def watch(self, spec: WatchSpec) -> "Stream":
        """Open a watch on a stream of its own."""
        return Stream(self._streams, spec)


class Stream:
    """One watch: iterate over what it is told, in one thread; cancel it in any."""

    def __init__(self, channel: grpc.Channel, spec: WatchSpec) -> None:
        self._over = threading.Event()
        self._call: Call = channel.stream_stream(WATCH)(self._asked(spec))

    def __iter__(self) -> Iterator[Seen]:
        """Yield until it ends. Raises LostError then, whatever the reason."""
        try:
            for data in self._call:
                yield _lean(seen(data, 0))
            raise LostError("it ended")
        except grpc.RpcError as error:
            raise LostError(str(error.details())) from error
        finally:
            self.cancel()

    def cancel(self) -> None:
        """End it."""
        self._over.set()
        self._call.cancel()

    def _asked(self, spec: WatchSpec) -> Iterator[bytes]:
        yield watch_request(spec)
        self._over.wait()


def _lean(message: Seen) -> Seen:
    """Keep one copy of each large value, however many witnesses are told of it."""
    if not any(len(event.kv.value) > LARGE for event in message.events):
        return message
    return message._replace(
        events=tuple(
            event._replace(kv=event.kv._replace(value=sys.intern(event.kv.value)))
            for event in message.events
        )
    )
