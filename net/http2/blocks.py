"""Header blocks in pieces: a HEADERS frame and the CONTINUATION frames that follow it.

Bounded three ways: bytes, frames, time.
"""

from __future__ import annotations

import attrs

from net.http2.limits import CONTINUATION_FRAMES_MAX, HEADER_BLOCK_BYTES_MAX
from net.http2.wire import ConnectionFault, Fault


@attrs.define
class PartialBlock:
    """A header block of which CONTINUATION frames are still to come."""

    stream_id: int
    ended: bool
    """HEADERS had END_STREAM."""
    data: bytes
    due_ms: int
    """When it must be whole."""
    frames: int = 0

    def append(self, stream_id: int, payload: bytes) -> None:
        """Add a CONTINUATION frame. Raises ConnectionFault for one that is not allowed here."""
        if stream_id != self.stream_id:
            raise ConnectionFault(Fault.CONTINUATION_EXPECTED)
        self.frames += 1
        if self.frames > CONTINUATION_FRAMES_MAX:
            raise ConnectionFault(Fault.CONTINUATION_FLOOD)
        self.data += payload
        if len(self.data) > HEADER_BLOCK_BYTES_MAX:
            raise ConnectionFault(Fault.HEADER_BLOCK_TOO_LARGE)
