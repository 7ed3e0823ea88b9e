"""Verbs for tests of the command line: call `trine`, and stand in for a member over gRPC."""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import attrs
import grpc
from click.testing import CliRunner

from net.etcd.pb import rpc_pb2
from server.main import cli


@attrs.frozen
class Told:
    """What a command answered: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def trine(*args: str, stdin: str | None = None) -> Told:
    """Call the command line in this process, in a terminal of 80 columns."""
    result = CliRunner().invoke(cli, args, input=stdin, prog_name="trine", terminal_width=80)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Told(result.exit_code, result.stdout, result.stderr)


Answers = Mapping[str, Callable[[bytes], bytes]]
"""By `Service/Method`: from the bytes of a request to those of its answer."""


@contextmanager
def member(
    directory: Path,
    *,
    status: rpc_pb2.StatusResponse,
    snapshot: Sequence[bytes] = (),
    answers: Answers = MappingProxyType({}),
) -> Generator[str]:
    """Serve one status and one snapshot, in these parts, on a socket file; yield its URL.

    `answers` serve other unary methods.
    """

    def answer_status(_: rpc_pb2.StatusRequest, __: object) -> rpc_pb2.StatusResponse:
        return status

    def answer_snapshot(
        _: rpc_pb2.SnapshotRequest, __: object
    ) -> Generator[rpc_pb2.SnapshotResponse]:
        left = sum(map(len, snapshot))
        for part in snapshot:
            left -= len(part)
            yield rpc_pb2.SnapshotResponse(remaining_bytes=left, blob=part)

    handlers = {
        "Status": grpc.unary_unary_rpc_method_handler(
            answer_status,
            request_deserializer=rpc_pb2.StatusRequest.FromString,
            response_serializer=rpc_pb2.StatusResponse.SerializeToString,
        ),
        "Snapshot": grpc.unary_stream_rpc_method_handler(
            answer_snapshot,
            request_deserializer=rpc_pb2.SnapshotRequest.FromString,
            response_serializer=rpc_pb2.SnapshotResponse.SerializeToString,
        ),
    }
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        generic = grpc.method_handlers_generic_handler("etcdserverpb.Maintenance", handlers)
        server.add_generic_rpc_handlers((generic,))
        for name, answer in answers.items():
            service, _, method = name.partition("/")
            plain = grpc.unary_unary_rpc_method_handler(
                _plain(answer),
                request_deserializer=bytes,
                response_serializer=bytes,
            )
            extra = grpc.method_handlers_generic_handler(f"etcdserverpb.{service}", {method: plain})
            server.add_generic_rpc_handlers((extra,))
        # A name as kine has it: all after unix:// is the file's name.
        path = directory / "m.sock:12379"
        server.add_insecure_port(f"unix:{path}")
        server.start()
        try:
            yield f"unix://{path}"
        finally:
            server.stop(None).wait()


def _plain(answer: Callable[[bytes], bytes]) -> Callable[[bytes, object], bytes]:
    return lambda request, _: answer(request)
