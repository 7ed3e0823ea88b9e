"""What a sequence consists of: calls, and requests on numbered watch streams.

The rule of this file: an operation is plain data with every number in it, so the same sequence can
be played on anything, cut anywhere, and printed. A stream begins with the first request on it.
"""

from collections.abc import Iterable

import attrs
from google.protobuf.message import Message
from google.protobuf.text_format import MessageToString

from net.etcd.pb import rpc_pb2


@attrs.frozen
class Call:
    """One request and its one answer. `method` is the name of the RPC, without its service."""

    method: str
    request: Message


@attrs.frozen
class Send:
    """One request on a watch stream."""

    stream: int
    request: rpc_pb2.WatchRequest


@attrs.frozen
class Close:
    """The end of a watch stream, by the client. Nothing, if it has not begun."""

    stream: int


Operation = Call | Send | Close


def described(operation: Operation) -> str:
    """Return an operation on one line, long values cut."""
    match operation:
        case Call(method, request):
            return f"{method} {{ {one_line(request)} }}"
        case Send(stream, request):
            return f"watch stream {stream} {{ {one_line(request)} }}"
        case Close(stream):
            return f"watch stream {stream} closed"


def one_line(message: Message) -> str:
    """Return a message on one line; what is longer than a screen is cut."""
    text = MessageToString(message, as_one_line=True)
    return text if len(text) <= 1200 else f"{text[:900]} … {text[-200:]} ({len(text)} characters)"


def listed(operations: Iterable[Operation], first: int = 0) -> str:
    """Return numbered lines of operations."""
    return "\n".join(f"{i:6} {described(op)}" for i, op in enumerate(operations, first))
