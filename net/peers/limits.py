"""Every bound of the member protocol, in one place.

Rule: a stranger costs at most `HALF_OPEN_MAX` connections of `GREETING_BYTES_MAX` for
`GREETING_MS_MAX`; a certified member that misbehaves costs one frame and one outbox.
"""

from typing import Final

FRAME_BYTES_MAX: Final = 16 << 20
"""Largest frame taken from a member; a member that allows larger requests raises it."""
GREETING_BYTES_MAX: Final = 4 << 10
"""Largest frame before a connection has said who it is."""
GREETING_MS_MAX: Final = 5_000
HALF_OPEN_MAX: Final = 32
"""Connections at once that have not said who they are."""
OUTBOX_BYTES_MAX: Final = 32 << 20
"""What waits for one member; beyond it messages are dropped, and the engine repairs that."""

PING_MS: Final = 1_000
SILENCE_MS: Final = 3_000
"""A connection on which nothing came for so long is given up."""
RETRY_MS_MIN: Final = 50
RETRY_MS_MAX: Final = 2_000
STEADY_MS: Final = 5_000
"""A link that stood so long was a good one: the next attempt comes soon."""
YIELD_MS: Final = 1_000
"""How long the member that should be dialled waits before it dials itself."""
FIRST_MS: Final = 100
"""How long it does so when it starts: then most pairs begin with one connection, not with two."""
FAREWELL_MS: Final = 1_000
"""How long one that was removed keeps its link, so that it learns of that from the log."""
ROSTER_MS: Final = 100
"""Between two looks at who the members are."""
DIAL_S_MAX: Final = 5.0

CHUNK_BYTES: Final = 256 << 10
"""A piece of a snapshot: what a heartbeat may have to wait behind in our own queue."""
READ_BYTES: Final = 256 << 10
"""Read of a snapshot at once."""
PACE_MS: Final = 3
"""From one piece to the next, where clients are served meanwhile: 87 MB/s at most.

As fast as it went, and 1 MiB a piece, the put p99 of a busy cluster on one disk of two cores rose
from 13 to 23 ms; at this pace it is twice that of quiet times, most of it the receiver's writes.
"""
WINDOW_BYTES: Final = 8 << 20
"""Of a snapshot under way and not written by its receiver: 70 ms of a 1 Gbit/s wire."""
SYNC_BYTES: Final = 512 << 10
"""Of a snapshot written between two syncs: all of a large one at once would be in every commit's
way for seconds, on this member's disk."""
LOAD_SLICES: Final = 16
"""Of a received state loaded in one job: 8192 rows, 40 to 100 ms of a thread."""
BACKUP_KEPT_MS: Final = 60_000
"""How long a snapshot that was sent stays, so that a broken stream can go on."""
STRANGER_LOG_MS: Final = 5_000
"""Anybody can have a connection refused: the log tells of one in a while, and how many more."""
LINK_LINES_MAX: Final = 10
"""Log lines in a row on one link's coming and going,"""
LINK_LINE_MS: Final = 5_000
"""and one more each time so long has passed."""
