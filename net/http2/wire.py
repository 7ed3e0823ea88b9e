"""HTTP/2 on the wire: frame layouts, numbers, and why a connection or a stream is refused.

Nothing here keeps state. `Fault` ends the connection by GOAWAY; its members are the complete
list of reasons, and a test reaches every one of them.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from struct import Struct
from typing import Final

from net.http2.status import OK_TRAILERS, RESPONSE_HEADERS

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES: Final = 9
STREAM_ID_MAX: Final = 2**31 - 1

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x01
ACK: Final = 0x01
END_HEADERS: Final = 0x04
PADDED: Final = 0x08
WITH_PRIORITY: Final = 0x20


class ErrorCode(IntEnum):
    """The HTTP/2 error codes."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Setting(IntEnum):
    """The SETTINGS parameters that we send or obey."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Fault(Enum):
    """Why a connection ends by GOAWAY: (error code, debug text)."""

    BAD_PREFACE = ErrorCode.PROTOCOL_ERROR, "bad client preface"
    SETTINGS_NOT_FIRST = ErrorCode.PROTOCOL_ERROR, "first frame is not SETTINGS"
    HANDSHAKE_TIMEOUT = ErrorCode.SETTINGS_TIMEOUT, "handshake took too long"
    SETTINGS_ACK_TIMEOUT = ErrorCode.SETTINGS_TIMEOUT, "SETTINGS were not acknowledged in time"
    FRAME_TOO_LARGE = ErrorCode.FRAME_SIZE_ERROR, "frame larger than 16384 bytes"
    FRAME_LENGTH = ErrorCode.FRAME_SIZE_ERROR, "frame of wrong length for its type"
    PADDING = ErrorCode.PROTOCOL_ERROR, "padding as long as the frame or longer"
    STREAM_ID_ZERO = ErrorCode.PROTOCOL_ERROR, "frame needs a stream"
    STREAM_ID_NOT_ZERO = ErrorCode.PROTOCOL_ERROR, "frame belongs to the connection"
    STREAM_ID_EVEN = ErrorCode.PROTOCOL_ERROR, "stream id is even"
    STREAM_ID_REUSED = ErrorCode.PROTOCOL_ERROR, "stream id was used before"
    STREAM_IDLE = ErrorCode.PROTOCOL_ERROR, "frame for a stream that was never opened"
    CONTINUATION_EXPECTED = ErrorCode.PROTOCOL_ERROR, "header block interrupted"
    CONTINUATION_UNEXPECTED = ErrorCode.PROTOCOL_ERROR, "CONTINUATION without a header block"
    CONTINUATION_FLOOD = ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames"
    HEADER_BLOCK_TOO_LARGE = ErrorCode.ENHANCE_YOUR_CALM, "header block larger than 16384 bytes"
    HEADER_BLOCK_TIMEOUT = ErrorCode.ENHANCE_YOUR_CALM, "header block took too long"
    HEADER_LIST_BOMB = ErrorCode.ENHANCE_YOUR_CALM, "header list far larger than allowed"
    HPACK_INDEX = ErrorCode.COMPRESSION_ERROR, "header index out of range"
    HPACK_INTEGER = ErrorCode.COMPRESSION_ERROR, "header integer too large"
    HPACK_TRUNCATED = ErrorCode.COMPRESSION_ERROR, "header block truncated"
    HPACK_HUFFMAN = ErrorCode.COMPRESSION_ERROR, "bad Huffman coding"
    HPACK_TABLE_SIZE = ErrorCode.COMPRESSION_ERROR, "header table larger than allowed"
    HPACK_SIZE_UPDATE_LATE = ErrorCode.COMPRESSION_ERROR, "table size update inside a header block"
    HPACK_SIZE_UPDATE_MISSING = ErrorCode.COMPRESSION_ERROR, "table size update is missing"
    PUSH_PROMISE = ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client"
    SETTINGS_ACK_UNEXPECTED = ErrorCode.PROTOCOL_ERROR, "SETTINGS ack without SETTINGS"
    ENABLE_PUSH_VALUE = ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1"
    INITIAL_WINDOW_VALUE = ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2^31-1"
    MAX_FRAME_SIZE_VALUE = ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range"
    WINDOW_UPDATE_ZERO = ErrorCode.PROTOCOL_ERROR, "window update of 0"
    WINDOW_OVERFLOW = ErrorCode.FLOW_CONTROL_ERROR, "window above 2^31-1"
    RESET_FLOOD = ErrorCode.ENHANCE_YOUR_CALM, "too many reset streams"
    SETTINGS_FLOOD = ErrorCode.ENHANCE_YOUR_CALM, "too many SETTINGS frames"
    BUSY_WORK_FLOOD = ErrorCode.ENHANCE_YOUR_CALM, "too many frames without effect"
    CONTROL_FLOOD = ErrorCode.ENHANCE_YOUR_CALM, "answers to control frames are not being read"
    TOO_MANY_PINGS = ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings"
    KEEPALIVE_TIMEOUT = ErrorCode.NO_ERROR, "keepalive ping was not answered"

    @property
    def code(self) -> ErrorCode:
        """The HTTP/2 error code."""
        return self.value[0]

    @property
    def text(self) -> str:
        """The debug text of the GOAWAY frame."""
        return self.value[1]


class ConnectionFault(Exception):
    """The peer broke the protocol beyond repair. Never leaves the codec."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


read_frame_header: Final = Struct(">HBBBI").unpack_from
"""(length's high 16 bits, its low 8, type, flags, stream id with its reserved bit)."""

read_message_prefix: Final = Struct(">BI").unpack_from
"""(compressed flag, length) of a gRPC message."""

_FRAME: Final = Struct(">IBI").pack


def unpadded(payload: bytes) -> bytes:
    """Return the payload of a padded frame. Raises ConnectionFault for padding it cannot hold."""
    if not payload:
        raise ConnectionFault(Fault.FRAME_LENGTH)
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFault(Fault.PADDING)
    return payload[1 : len(payload) - padding]


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """Return a whole frame."""
    return _FRAME(len(payload) << 8 | kind, flags, stream_id) + payload


def frame_header(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """Return the 9 bytes before a payload of `length` bytes."""
    return _FRAME(length << 8 | kind, flags, stream_id)


def _start(block: bytes, flags: int) -> bytes:
    """Return the first 5 bytes of a HEADERS frame: the stream id and `block` follow."""
    return (len(block) << 16 | HEADERS << 8 | flags | END_HEADERS).to_bytes(5, "big")


HEADERS_START: Final = _start(RESPONSE_HEADERS, 0)
TRAILERS_START: Final = _start(OK_TRAILERS, END_STREAM)
ANSWER_BYTES: Final = 9 + len(RESPONSE_HEADERS) + 9 + 5 + 9 + len(OK_TRAILERS)
"""What a unary OK answer costs on the wire besides its message."""

pack_answer: Final = Struct(f">5sI{len(RESPONSE_HEADERS)}sIxIxI").pack
"""HEADERS, DATA header and message prefix, from (HEADERS_START, id, RESPONSE_HEADERS,
message length + 5 << 8, id, message length)."""

pack_trailers: Final = Struct(f">5sI{len(OK_TRAILERS)}s").pack
"""OK trailers, from (TRAILERS_START, id, OK_TRAILERS)."""

pack_message: Final = Struct(">IxIxI").pack
"""DATA header and message prefix, from (message length + 5 << 8, id, message length)."""
