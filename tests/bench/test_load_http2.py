"""The generator's HTTP/2 held against h2, which checks every frame and every window."""

import shutil
import socket
import threading
from collections.abc import Iterator

import h2.config
import h2.connection
import h2.events
import pytest
from h2.settings import SettingCodes

from tests.bench.generator import Generator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler"),
]


class StrictServer:
    """Answers every request with the next revision, from behind narrow windows."""

    def __init__(self, table_size: int, window: int) -> None:
        self.settings: dict[SettingCodes | int, int] = {
            SettingCodes.HEADER_TABLE_SIZE: table_size,
            SettingCodes.INITIAL_WINDOW_SIZE: window,
        }
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.revision = 1
        self.paths: set[str] = set()
        self.timeouts: set[str] = set()
        self.threads: list[threading.Thread] = []

    def accept_all(self) -> None:
        """Until the listener is shut down."""
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.serve, args=(link,)))
            self.threads[-1].start()

    def serve(self, link: socket.socket) -> None:
        """One connection to its end."""
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        h2_side = h2.connection.H2Connection(config)
        h2_side.initiate_connection()
        h2_side.update_settings(self.settings)
        with link:
            while True:
                link.sendall(h2_side.data_to_send())
                received = link.recv(65536)
                if not received:
                    return
                for event in h2_side.receive_data(received):
                    self.answer(h2_side, event)

    def answer(self, h2_side: h2.connection.H2Connection, event: h2.events.Event) -> None:
        """PutResponse{header{revision}} at the end of each request."""
        match event:
            case h2.events.RequestReceived(headers=headers):
                told = {str(name): str(value) for name, value in headers or ()}
                self.paths.add(told[":path"])
                self.timeouts.add(told.get("grpc-timeout", ""))
            case h2.events.DataReceived(flow_controlled_length=size, stream_id=stream):
                h2_side.acknowledge_received_data(size or 0, stream or 0)
            case h2.events.StreamEnded(stream_id=stream):
                self.revision += 1
                header = b"\x18" + varint(self.revision)
                message = b"\x0a" + varint(len(header)) + header
                reply = [(":status", "200"), ("content-type", "application/grpc")]
                assert stream is not None
                h2_side.send_headers(stream, reply)
                h2_side.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message)
                h2_side.send_headers(stream, [("grpc-status", "0")], end_stream=True)
            case _:
                pass


def varint(n: int) -> bytes:
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


@pytest.fixture(params=[(0, 65535), (4096, 65535), (0, 700), (200, 1)])
def server(request: pytest.FixtureRequest) -> Iterator[StrictServer]:
    """A server with a table of so many bytes and stream windows of so many."""
    table_size, window = request.param
    one = StrictServer(table_size, window)
    accepting = threading.Thread(target=one.accept_all)
    accepting.start()
    yield one
    one.listener.shutdown(socket.SHUT_RDWR)
    accepting.join()
    for thread in one.threads:
        thread.join()
    one.listener.close()


def test_every_request_passes_under_any_table_and_window(server: StrictServer) -> None:
    sample = Generator().run(
        "preload", port=server.port, keys=60, value=2048, connections=1, streams=8
    )
    assert (sample.errors, sample["requests"]) == (0, 60)
    assert server.paths == {"/etcdserverpb.KV/Put"}
    assert len(server.timeouts) > 30  # they differ, as those of Go clients do
