"""Warnings about slow requests, in etcd's words, and few enough to be read.

Rule: two durations are judged. From arrival to answer (`--warning-unary-request-duration`) the line
is "request stats"; carrying out alone (`--warning-apply-duration`) it is "apply request took too
long", with the fields that etcd's lines have, so that the searches of operators find them. Values
are never logged, only their size. When everything is slow, lines would make it slower: at most
`LINES_MAX` a second are written and the next one says how many were held back.

A request is given as its path and bytes; it is parsed for the line alone, never on the way there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from net import duration
from net.etcd.pb import rpc_pb2
from net.metrics import Metrics
from net.telemetry import Logger

LINES_MAX: Final = 10
WINDOW_MS: Final = 1_000
SUMMARY_CHARS_MAX: Final = 2_048
_VALUES: Final = frozenset({"value", "password", "hashedPassword", "blob"})

_REQUESTS: Final[Mapping[str, type[Message]]] = {
    "/etcdserverpb.KV/Range": rpc_pb2.RangeRequest,
    "/etcdserverpb.KV/RangeStream": rpc_pb2.RangeRequest,
    "/etcdserverpb.KV/Put": rpc_pb2.PutRequest,
    "/etcdserverpb.KV/DeleteRange": rpc_pb2.DeleteRangeRequest,
    "/etcdserverpb.KV/Txn": rpc_pb2.TxnRequest,
    "/etcdserverpb.KV/Compact": rpc_pb2.CompactionRequest,
    "/etcdserverpb.Lease/LeaseGrant": rpc_pb2.LeaseGrantRequest,
    "/etcdserverpb.Lease/LeaseRevoke": rpc_pb2.LeaseRevokeRequest,
    "/etcdserverpb.Lease/LeaseTimeToLive": rpc_pb2.LeaseTimeToLiveRequest,
}
_PREFIXES: Final[Mapping[str, str]] = {
    "/etcdserverpb.KV/Range": "read-only range ",
    "/etcdserverpb.KV/RangeStream": "read-only range ",
}


@attrs.define(eq=False)
class _Window:
    """How many lines were written in the second that began at `since_ms`, and held back since."""

    since_ms: int
    written: int = 0
    held_back: int = 0

    def admit(self, now_ms: int) -> int | None:
        """Return how many were held back before this one, or None to hold it back too."""
        if not 0 <= now_ms - self.since_ms < WINDOW_MS:
            self.since_ms, self.written = now_ms, 0
        if self.written >= LINES_MAX:
            self.held_back += 1
            return None
        self.written += 1
        held_back, self.held_back = self.held_back, 0
        return held_back


@attrs.define(eq=False)
class SlowLog:
    """Judges durations and writes the warnings of one member."""

    log: Logger
    metrics: Metrics
    request_ms: int
    apply_ms: int
    _requests: _Window = attrs.field(factory=lambda: _Window(0), init=False)
    _applies: _Window = attrs.field(factory=lambda: _Window(0), init=False)

    def answered(
        self, path: str, request: bytes, *, remote: str, began_ms: int, now_ms: int
    ) -> None:
        """Tell of a request that was answered now, if it took too long."""
        if now_ms - began_ms <= self.request_ms:
            return
        held_back = self._requests.admit(now_ms)
        if held_back is None:
            return
        self.log.warn(
            "request stats",
            **{
                "time spent": _text(now_ms - began_ms),
                "expected-duration": _text(self.request_ms),
                "remote": remote,
                "response type": path,
                "request size": len(request),
                "request content": summary(path, request),
                **_counted(held_back),
            },
        )

    def applied(self, path: str, request: bytes, *, took_ms: int, now_ms: int) -> None:
        """Tell of a request that took too long to carry out, and count it."""
        if took_ms <= self.apply_ms:
            return
        self.metrics.slow_apply_total += 1
        held_back = self._applies.admit(now_ms)
        if held_back is None:
            return
        self.log.warn(
            "apply request took too long",
            **{
                "took": _text(took_ms),
                "expected-duration": _text(self.apply_ms),
                "prefix": _PREFIXES.get(path, ""),
                "request": summary(path, request),
                "response": "",
                **_counted(held_back),
            },
        )


def summary(path: str, request: bytes) -> str:
    """Return a request as etcd logs it: `key:"a" range_end:"b" limit:500`, values by their size.

    Empty for a method that etcd does not describe either, or for bytes that are no such request.
    """
    kind = _REQUESTS.get(path)
    if kind is None:
        return ""
    message = kind()
    try:
        message.ParseFromString(request)
    except DecodeError:
        return ""
    text = described(message)
    return text if len(text) <= SUMMARY_CHARS_MAX else f"{text[:SUMMARY_CHARS_MAX]}..."


def described(message: Message) -> str:
    """Return the fields of a message that are set, in the order of their numbers."""
    parts: list[str] = []
    for field, value in message.ListFields():
        values = value if field.is_repeated else (value,)
        parts += [_field(field, one) for one in values]
    return " ".join(parts)


def _field(field: FieldDescriptor, value: object) -> str:
    if isinstance(value, Message):
        return f"{field.name}:<{described(value)}>"
    if field.name in _VALUES and isinstance(value, bytes | str):
        return f"{field.name}_size:{len(value)}"
    if isinstance(value, bytes):
        return f"{field.name}:{_quoted(value)}"
    if field.enum_type is not None and isinstance(value, int):
        known = field.enum_type.values_by_number.get(value)
        return f"{field.name}:{known.name if known is not None else value}"
    return f"{field.name}:{str(value).lower() if isinstance(value, bool) else value}"


def _quoted(data: bytes) -> str:
    """Return bytes in quotes, those that are no printable ASCII as octal, as Go's protobuf does."""
    escaped = (
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
        for byte in data
    )
    return f'"{"".join(escaped)}"'


def _text(ms: int) -> str:
    return duration.text_of(ms * duration.MILLISECOND_NS)


def _counted(held_back: int) -> dict[str, object]:
    return {"held-back": held_back} if held_back else {}
