"""The rule of this file: the client's HTTP/2 against the shipped codec, words both ways."""

import pytest

from net.etcd.pb import kv_pb2
from net.etcd.pb import rpc_pb2 as pb
from net.http2.connection import Connection
from net.http2.limits import Http2Settings
from net.http2.stream import Kind, Stream
from sim.history import Event, Seen, WatchSpec
from sim.ops import (
    Compare,
    Delete,
    Failed,
    Kv,
    Put,
    PutDone,
    Range,
    RangeDone,
    Txn,
    TxnDone,
    Unknown,
)
from sim.wire_http2 import Http2Client, WireError
from sim.wire_words import refusal, request, result, seen, watch_request
from tests.http2_client import METHODS, RANGE, WATCH, Recorder, echo, frame


class Heard:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.end: tuple[int, str] | None = None

    def message(self, data: bytes) -> None:
        self.messages.append(data)

    def ended(self, code: int, text: str) -> None:
        self.end = (code, text)


class Wired:
    """A client, and the shipped codec with an echo behind it."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        self.client = Http2Client()
        self.dirty: list[Connection[str]] = []
        handler = Recorder(echo) if recorder is None else recorder
        self.server = Connection(METHODS, handler, Http2Settings(), 0, self.dirty)

    def exchange(self) -> None:
        """Carry bytes until both are silent."""
        while True:
            there, back = self.client.take(), self.server.take(1 << 30)
            if there:
                self.server.feed(there, 0)
                while self.server.has_more:
                    self.server.feed(b"", 0)
            if back:
                self.client.feed(back)
            if not there and not back:
                return


def test_a_call_is_answered() -> None:
    wired, heard = Wired(), Heard()
    stream = wired.client.call(RANGE.decode(), heard, timeout_ms=100)
    wired.client.send(stream, b"hello", ends=True)
    wired.exchange()
    assert (heard.messages, heard.end) == ([b"hello"], (0, ""))


def test_messages_larger_than_every_window_go_through() -> None:
    wired, heard = Wired(), Heard()
    stream = wired.client.call(WATCH.decode(), heard)
    large = bytes(1_500_000)
    wired.client.send(stream, large)
    wired.client.send(stream, b"and more")
    wired.exchange()
    assert heard.messages == [large, b"and more"]
    assert heard.end is None


def test_a_stream_that_is_slow_gets_no_more_than_its_window() -> None:
    wired, heard = Wired(), Heard()
    stream = wired.client.call(WATCH.decode(), heard)
    wired.client.slow(stream, True)
    for _ in range(5):
        wired.client.send(stream, bytes(400_000))
    wired.exchange()
    assert len(heard.messages) == 2
    wired.client.slow(stream, False)
    wired.exchange()
    assert len(heard.messages) == 5


def test_a_status_ends_a_call_with_code_and_text() -> None:
    def fail(connection: Connection[str], stream: Stream[str], message: bytes) -> None:
        assert stream.kind is Kind.UNARY
        connection.fail(stream, 11, "etcdserver: 100 % wrong")

    wired, heard = Wired(Recorder(fail)), Heard()
    stream = wired.client.call(RANGE.decode(), heard)
    wired.client.send(stream, b"", ends=True)
    wired.exchange()
    assert (heard.messages, heard.end) == ([], (11, "etcdserver: 100 % wrong"))


def test_a_lost_connection_ends_every_call() -> None:
    wired, heard = Wired(Recorder()), Heard()
    wired.client.call(RANGE.decode(), heard)
    wired.client.lost("gone")
    assert heard.end == (14, "gone")


@pytest.mark.parametrize(
    "said",
    [
        frame(7, payload=bytes(8)),
        frame(3, stream_id=1, payload=(7).to_bytes(4, "big")),
    ],
)
def test_a_call_that_the_server_says_it_never_began_is_proved_not_applied(said: bytes) -> None:
    client, heard = Http2Client(), Heard()
    client.call(RANGE.decode(), heard)
    client.feed(said)
    assert heard.end is not None
    assert isinstance(refusal(*heard.end), Failed)


def test_a_stream_that_the_server_resets_for_another_reason_proves_nothing() -> None:
    client, heard = Http2Client(), Heard()
    client.call(RANGE.decode(), heard)
    client.feed(frame(3, stream_id=1, payload=(2).to_bytes(4, "big")))
    assert heard.end is not None
    assert isinstance(refusal(*heard.end), Unknown)


def test_nonsense_from_the_server_is_told() -> None:
    client = Http2Client()
    with pytest.raises(WireError):
        client.feed(frame(0, payload=bytes(20_000)))


def test_words_become_messages_and_answers_become_words() -> None:
    txn = Txn((Compare("k\xff", "mod", "<", 7),), (Put("a", "\x00", prev_kv=True),), (Delete("b"),))
    path, data = request(txn)
    sent = pb.TxnRequest.FromString(data)
    assert path == "/etcdserverpb.KV/Txn"
    assert sent.compare[0].key == b"k\xff"
    assert sent.compare[0].result == pb.Compare.LESS
    assert sent.compare[0].mod_revision == 7
    kv = kv_pb2.KeyValue(key=b"a", value=b"\xfe", create_revision=2, mod_revision=3, version=2)
    answer = pb.TxnResponse(
        header=pb.ResponseHeader(revision=9),
        succeeded=True,
        responses=[pb.ResponseOp(response_put=pb.PutResponse(prev_kv=kv))],
    )
    told = result(txn, [answer.SerializeToString()])
    assert told == TxnDone(9, True, (PutDone(9, Kv("a", "\xfe", 2, 3, 2)),))
    ranged = pb.RangeResponse(header=pb.ResponseHeader(revision=9), kvs=[kv], count=4, more=True)
    wanted = RangeDone(9, (Kv("a", "\xfe", 2, 3, 2),), 4, True)
    assert result(Range("a"), [ranged.SerializeToString()]) == wanted


def test_only_a_status_that_proves_it_means_not_applied() -> None:
    assert refusal(11, "compacted") == Failed("compacted")
    assert refusal(14, "etcdserver: request timed out") == Unknown("etcdserver: request timed out")
    assert refusal(4, "late") == Unknown("late")


def test_watches_are_asked_and_seen() -> None:
    spec = WatchSpec("a", "b", 5, prev_kv=True, progress=True, filters=("noput",))
    asked = pb.WatchRequest.FromString(watch_request(spec)).create_request
    assert asked.start_revision == 5
    assert list(asked.filters) == [pb.WatchCreateRequest.NOPUT]
    gone = kv_pb2.Event(type="DELETE", kv=kv_pb2.KeyValue(key=b"a", mod_revision=6))
    response = pb.WatchResponse(header=pb.ResponseHeader(revision=6), events=[gone])
    events = (Event("delete", Kv("a", "", 0, 6, 0)),)
    assert seen(response.SerializeToString(), 12) == Seen(12, "events", 6, events)
