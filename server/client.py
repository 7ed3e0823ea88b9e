"""Calls from the command line to members: which, with what certificates, for how long.

Rule: options and environment variables are etcdctl's, so that a shell set up for etcdctl works
(ETCDCTL_ENDPOINTS, ETCDCTL_CACERT, ...). One channel a call; a fault is a sentence that names the
endpoint, never a traceback.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import attrs
import click

# The library would write its own lines beside ours; it reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from net import duration
from net.etcd.pb import rpc_pb2

RECEIVE_BYTES_MAX: Final = (1 << 31) - 1
_COMMAND = TypeVar("_COMMAND", bound=Callable[..., object])
_ANSWER = TypeVar("_ANSWER")


class CallError(Exception):
    """A call that failed; the text is a sentence that names the endpoint."""


@attrs.frozen
class Access:
    """How members are reached."""

    endpoints: tuple[str, ...]
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    timeout_s: float

    @property
    def has_certificates(self) -> bool:
        """Say whether TLS is meant where an endpoint does not say."""
        return self.ca_file is not None or self.cert_file is not None


class _Duration(click.ParamType[float]):
    """A duration in Go's spelling, as seconds."""

    name = "DURATION"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds; fails with what to write."""
        ns = duration.parse(str(value))
        if ns is None or ns <= 0:
            self.fail(f'"{value}" is no duration: write 5s, 500ms or 1m30s.', param, ctx)
        return ns / duration.SECOND_NS


def access_options(command: _COMMAND) -> _COMMAND:
    """Add the options that say how members are reached; `access_of` reads them back."""
    path = click.Path(exists=True, dir_okay=False, readable=True)
    options = (
        click.option(
            "--endpoints",
            default="127.0.0.1:2379",
            show_default=True,
            envvar="ETCDCTL_ENDPOINTS",
            show_envvar=True,
            help="Members to ask: host:port, http://, https:// or unix:// URLs, comma separated.",
        ),
        click.option(
            "--cacert",
            type=path,
            default=None,
            envvar="ETCDCTL_CACERT",
            show_envvar=True,
            help="Authorities whose server certificates are accepted (PEM).",
        ),
        click.option(
            "--cert",
            type=path,
            default=None,
            envvar="ETCDCTL_CERT",
            show_envvar=True,
            help="Certificate to show (PEM).",
        ),
        click.option(
            "--key",
            type=path,
            default=None,
            envvar="ETCDCTL_KEY",
            show_envvar=True,
            help="Private key of --cert (PEM).",
        ),
        click.option(
            "--command-timeout",
            type=_Duration(),
            default="5s",
            show_default=True,
            envvar="ETCDCTL_COMMAND_TIMEOUT",
            show_envvar=True,
            help="How long one call may take.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def access_of(
    *,
    endpoints: str,
    cacert: str | None,
    cert: str | None,
    key: str | None,
    command_timeout: float,
) -> Access:
    """Return what the options say. Raises click.UsageError if they contradict each other."""
    listed = tuple(part.strip() for part in endpoints.split(",") if part.strip())
    if not listed:
        raise click.UsageError("--endpoints names no member: write 127.0.0.1:2379.")
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together: give both.")
    return Access(listed, cacert, cert, key, command_timeout)


def status(access: Access, endpoint: str) -> rpc_pb2.StatusResponse:
    """Ask one member for its status. Raises CallError."""
    with _channel(access, endpoint) as channel:
        call = channel.unary_unary(
            "/etcdserverpb.Maintenance/Status",
            request_serializer=rpc_pb2.StatusRequest.SerializeToString,
            response_deserializer=rpc_pb2.StatusResponse.FromString,
        )
        with _told(access, endpoint):
            answer: rpc_pb2.StatusResponse = call(rpc_pb2.StatusRequest(), timeout=access.timeout_s)
            return answer


def snapshot(access: Access, endpoint: str) -> Iterator[rpc_pb2.SnapshotResponse]:
    """Yield the parts of a snapshot as one member sends them. Raises CallError.

    A snapshot takes as long as it takes: the timeout holds for reaching the member alone.
    """
    status(access, endpoint)
    with _channel(access, endpoint) as channel:
        call = channel.unary_stream(
            "/etcdserverpb.Maintenance/Snapshot",
            request_serializer=rpc_pb2.SnapshotRequest.SerializeToString,
            response_deserializer=rpc_pb2.SnapshotResponse.FromString,
        )
        with _told(access, endpoint):
            yield from call(rpc_pb2.SnapshotRequest())


def call(
    access: Access, endpoint: str, method: str, request: bytes, decode: Callable[[bytes], _ANSWER]
) -> _ANSWER:
    """Ask one member with a unary method, `Service/Method` of etcd's. Raises CallError.

    `request` is laid out already.
    """
    with _channel(access, endpoint) as channel:
        asked = channel.unary_unary(
            f"/etcdserverpb.{method}", request_serializer=_as_is, response_deserializer=decode
        )
        with _told(access, endpoint):
            answer: _ANSWER = asked(request, timeout=access.timeout_s)
            return answer


def _as_is(request: bytes) -> bytes:
    return request


def reachable(access: Access) -> tuple[str, rpc_pb2.StatusResponse]:
    """Return the first endpoint that answers, and its status. Raises CallError.

    What changes a cluster is asked once, of one that is there: a second try might do it twice.
    """
    faults: list[str] = []
    for endpoint in access.endpoints:
        try:
            return endpoint, status(access, endpoint)
        except CallError as fault:
            faults.append(str(fault))
    raise CallError("; ".join(faults))


@contextmanager
def _channel(access: Access, endpoint: str) -> Generator[grpc.Channel]:
    target, has_tls = target_of(endpoint, has_certificates=access.has_certificates)
    options = [
        ("grpc.max_receive_message_length", RECEIVE_BYTES_MAX),
        ("grpc.enable_http_proxy", 0),
    ]
    if has_tls:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_read(access.ca_file),
            private_key=_read(access.key_file),
            certificate_chain=_read(access.cert_file),
        )
        channel = grpc.secure_channel(target, credentials, options=options)
    else:
        channel = grpc.insecure_channel(target, options=options)
    with channel:
        yield channel


@contextmanager
def _told(access: Access, endpoint: str) -> Generator[None]:
    """Turn a gRPC failure into a sentence, with what may help."""
    try:
        yield
    except grpc.RpcError as fault:
        if not isinstance(fault, grpc.Call):
            raise
        code, details = fault.code(), fault.details() or ""
        hint = _hint(access, endpoint, details) if code == grpc.StatusCode.UNAVAILABLE else ""
        raise CallError(f"{endpoint}: {code.name}: {details}{hint}") from fault


def _hint(access: Access, endpoint: str, details: str) -> str:
    """Return advice where somebody answered, but not as was expected."""
    if details.startswith("etcdserver: "):
        return ""
    if any(absent in details for absent in ("refused", "No such file", "timed out")):
        return ""
    has_tls = target_of(endpoint, has_certificates=access.has_certificates)[1]
    if not has_tls:
        return "; if it speaks TLS, write https:// and give --cacert"
    if access.cert_file is None:
        return "; if it asks for a certificate, give --cert and --key"
    return "; do --cacert, --cert and --key belong to this member?"


def target_of(endpoint: str, *, has_certificates: bool) -> tuple[str, bool]:
    """Return an endpoint as gRPC names it, and whether TLS is spoken there.

    A socket file's name is taken letter by letter, as members take it.
    """
    scheme, separator, rest = endpoint.partition("://")
    if not separator:
        return endpoint, has_certificates
    if scheme in ("unix", "unixs"):
        name = f"unix-abstract:{rest[1:]}" if rest.startswith("@") else f"unix:{rest}"
        return name, scheme == "unixs"
    if scheme not in ("http", "https"):
        raise click.UsageError(
            f'--endpoints: "{endpoint}" begins with "{scheme}": write host:port, http://, '
            "https:// or unix://."
        )
    return rest.removesuffix("/"), scheme == "https"


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()
