"""Members as clients reach them: grpc's own client, which shares no code with the product.

The rule of this file: it asks once and tells what came back, in the simulator's words. Every answer
is posted to the clients' thread. A connection that is lost is made anew within a tenth of a second.
An error whose code proves that nothing was applied is `Failed`; any other is `Unknown`.
"""

import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol, cast

import grpc

from net.etcd.pb import rpc_pb2 as pb
from sim.history import Seen, WatchSpec
from sim.ops import Admin, Failed, Op, Result, Unknown
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

Post = Callable[[Callable[[], None]], None]
Then = Callable[[Result], None]

OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    # For so long one attempt may take: on a busy machine a connection is not made in 50 ms.
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    # A peer that is cut off is noticed although nothing is ever refused.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    # No proxy that the environment names is on the way to a member.
    ("grpc.enable_http_proxy", 0),
)
STATUS: Final = "/etcdserverpb.Maintenance/Status"
SNAPSHOT: Final = "/etcdserverpb.Maintenance/Snapshot"
CANCELLED: Final = 1
LARGE: Final = 1_000


class Answer(Protocol):
    """What grpc says when a call is over."""

    def result(self) -> bytes: ...

    def code(self) -> grpc.StatusCode: ...

    def details(self) -> str | None: ...

    def cancel(self) -> object: ...

    def add_done_callback(self, call: Callable[["Answer"], None], /) -> object: ...


class Bytes(Protocol):
    """What a stream brings, until it is over or cancelled; raises grpc.RpcError at its end."""

    def __iter__(self) -> Iterator[bytes]: ...

    def cancel(self) -> object: ...


class Unary(Protocol):
    """A method of one message each way."""

    def __call__(self, data: bytes, /, *, timeout: float) -> bytes: ...

    def future(self, data: bytes, /, *, timeout: float) -> Answer: ...


class Streaming(Protocol):
    """A method that streams both ways."""

    def __call__(self, asked: Iterator[bytes], /, *, wait_for_ready: bool) -> Bytes: ...


class Downloading(Protocol):
    """A method that is asked once and answers with a stream."""

    def __call__(self, asked: bytes, /, *, timeout: float) -> Bytes: ...


class Member:
    """One member: two connections, one for calls and one for watches."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._calls = grpc.insecure_channel(endpoint, options=(*OPTIONS, ("trine.channel", 0)))
        self._streams = grpc.insecure_channel(endpoint, options=(*OPTIONS, ("trine.channel", 1)))
        self._methods: dict[str, Unary] = {}

    def method(self, path: str) -> Unary:
        """Return a method to be called with one message.

        A renewal is a stream of one: on the wire it is a call like any other.
        """
        found = self._methods.get(path)
        if found is None:
            found = self._methods[path] = cast(Unary, self._calls.unary_unary(path))
        return found

    def watches(self) -> Streaming:
        """Return the method that opens a watch."""
        return cast(Streaming, self._streams.stream_stream(WATCH))

    def downloads(self, path: str) -> Downloading:
        """Return a method that answers with a stream."""
        return cast(Downloading, self._streams.unary_stream(path))

    def ask(self, op: Op, deadline_s: float) -> Result:
        """Ask once, and wait. What is not answered in time, or not proved refused, is Unknown."""
        path, data = request(op)
        try:
            answer = self.method(path)(data, timeout=deadline_s)
        except grpc.RpcError as error:
            return refusal(_code(error.code()), str(error.details()))
        except ValueError as error:
            # The connection was closed: the run is over.
            return Unknown(str(error))
        return result(op, [answer])

    def status(self, timeout_s: float = 1.0) -> pb.StatusResponse | None:
        """What it says of itself; None if it says nothing in that time."""
        try:
            return pb.StatusResponse.FromString(self.method(STATUS)(b"", timeout=timeout_s))
        except grpc.RpcError:
            return None

    def close(self) -> None:
        """Lose the connections."""
        self._calls.close()
        self._streams.close()


class GrpcEndpoint:
    """`sim.clients.Endpoint` over grpc. `post` hands a call to the clients' thread."""

    def __init__(self, endpoints: Sequence[str], post: Post) -> None:
        self.members = [Member(endpoint) for endpoint in endpoints]
        self._post = post
        self._ids: dict[int, int] = {}
        self._threads: list[threading.Thread] = []
        self._streams: set[GrpcStream] = set()

    def ask(self, member: int, op: Op, deadline_ms: int, then: Then) -> None:
        """See Endpoint."""
        if isinstance(op, Admin) and op.what in TARGETED:
            number = self._ids.get(op.target)
            if number is None:
                told = Failed(f"nobody knows the id of member {op.target}")
                self._post(partial(then, told))
                return
            op = op._replace(target=number)
        path, data = request(op)
        if path == SNAPSHOT:
            self._begin(partial(self._download, member, op, deadline_ms, then))
            return

        def done(answer: Answer) -> None:
            told = _told(op, answer)
            self._post(partial(then, told))

        method = self.members[member].method(path)
        method.future(data, timeout=deadline_ms / 1000).add_done_callback(done)

    def watch(self, member: int, spec: WatchSpec, sink: Callable[[Seen], None]) -> "GrpcStream":
        """See Endpoint."""
        stream = GrpcStream(self.members[member], spec, sink, self._post, self._streams.discard)
        self._streams.add(stream)
        self._begin(stream.read)
        return stream

    def learn_ids(self) -> None:
        """Ask every member for its id; who says nothing keeps the one it had. Blocks."""
        for number, member in enumerate(self.members):
            told = member.status()
            if told is not None:
                self._ids[number] = told.header.member_id

    def close(self) -> None:
        """Give everything up, and wait for the threads that read."""
        for stream in list(self._streams):
            stream()
        for member in self.members:
            member.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _begin(self, work: Callable[[], None]) -> None:
        self._threads = [each for each in self._threads if each.is_alive()]
        thread = threading.Thread(target=work, name="stream", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _download(self, member: int, op: Op, deadline_ms: int, then: Then) -> None:
        """Take a stream of answers to its end, in a thread of its own."""
        path, data = request(op)
        try:
            parts = self.members[member].downloads(path)(data, timeout=deadline_ms / 1000)
            told = result(op, list(parts))
        except grpc.RpcError as error:
            told = refusal(_code(error.code()), str(error.details()))
        except ValueError as error:
            told = Unknown(str(error))
        self._post(partial(then, told))


class GrpcStream:
    """One watch on a stream of its own: see `sim.clients.Stream`. Read by a thread of its own."""

    def __init__(
        self,
        member: Member,
        spec: WatchSpec,
        sink: Callable[[Seen], None],
        post: Post,
        gone: Callable[["GrpcStream"], None],
    ) -> None:
        self._spec = spec
        self._sink = sink
        self._post = post
        self._gone = gone
        self._member = member
        self._asked: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._slow_ms = 0
        self._call: Bytes | None = None
        self._asked.put(watch_request(spec))

    def __call__(self) -> None:
        """Close it; nothing is seen any more."""
        self._over.set()
        self._asked.put(None)
        if self._call is not None:
            self._call.cancel()

    def slow(self, ms: int) -> None:
        """Read nothing for so long, after what comes next."""
        self._slow_ms = ms

    def ask_progress(self) -> None:
        """Ask how far the stream is."""
        self._asked.put(progress_request())

    def read(self) -> None:
        """Read until it ends. Runs in a thread of its own."""
        why = "it ended"
        try:
            self._call = self._member.watches()(self._requests(), wait_for_ready=False)
            if self._over.is_set():
                self._call.cancel()
            for data in self._call:
                if self._over.is_set():
                    break
                message = lean(seen(data, 0))
                self._post(partial(self._tell, message))
                if message.kind == "canceled":
                    why = ""
                    break
                if self._slow_ms:
                    self._over.wait(self._slow_ms / 1000)
                    self._slow_ms = 0
        except grpc.RpcError as error:
            why = f"{error.code()}: {error.details()}"
        except ValueError as error:
            # The channel was closed: the run is over.
            why = str(error)
        if why:
            self._post(partial(self._tell, Seen(0, "lost", 0, reason=why)))
        self()
        self._post(partial(self._gone, self))

    def _tell(self, message: Seen) -> None:
        if not self._over.is_set() or message.kind in ("lost", "canceled"):
            self._sink(message)

    def _requests(self) -> Iterator[bytes]:
        while (data := self._asked.get()) is not None:
            yield data


def _told(op: Op, answer: Answer) -> Result:
    """Return what came back, in the simulator's words."""
    try:
        data = answer.result()
    except (grpc.RpcError, grpc.FutureCancelledError):
        return refusal(_code(answer.code()), str(answer.details()))
    return result(op, [data])


def _code(code: grpc.StatusCode) -> int:
    number: int = code.value[0]
    return number


def lean(message: Seen) -> Seen:
    """Keep one copy of each large value, however many witnesses are told of it."""
    if not any(len(event.kv.value) > LARGE for event in message.events):
        return message
    return message._replace(
        events=tuple(
            event._replace(kv=event.kv._replace(value=sys.intern(event.kv.value)))
            for event in message.events
        )
    )
