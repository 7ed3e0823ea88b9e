"""Every bound of the core with its unit; relations between bounds are asserted at import."""

LEASE_TTL_S_MIN = 2
"""A shorter TTL is raised to this: ceil(3/2 of the default election timeout of 1 s)."""
LEASE_TTL_S_MAX = 9_000_000_000
LEASE_CLOCK_STEP_MS_MAX = 1000
"""A longer gap between two ticks means a paused machine; lease time does not run in it."""
LEASE_EXPIRIES_PER_TICK_MAX = 500

TXN_OPS_MAX = 128
REQUEST_BYTES_MAX = 1_572_864
REQUEST_OVERHEAD_BYTES = 524_288
"""What a gRPC message may carry beyond the request limit before the transport refuses it."""

PACK_COMMANDS_MAX = 512
PACK_BYTES_MAX = 4 << 20
PROPOSALS_WAITING_MAX = 20_000
"""Commands proposed and not yet applied; beyond it a request is refused as too many."""

CHANGES_WAITING_MAX = 64
"""Changes of members that wait for the one under way."""

KEY_COST_BYTES = 150
"""Resident bytes of a live key beside its bytes and version: dict, order, room for a history."""
VERSION_COST_BYTES = 450
"""Resident bytes of one stored version beside its serialised record: tuple, numbers, log entry.

Measured with values of 100 B and 1 KiB: key and version 419 and 471, the first superseded version
of a key 556 and 585, each further one 400 and 468.
"""
LEASE_COST_BYTES = 600
GROWTH_PER_BYTE_MAX = 1024
"""Account bytes that one byte of a request can add at the very most: a put of an empty value
takes six bytes on the wire and is charged a key and a version."""

WATCH_SLICE_REVISIONS = 1000
"""Revisions that one catch-up slice reads for all unsynced watchers together."""
WATCH_MESSAGE_BYTES = 1 << 20
"""Catch-up ends a message at the first whole revision beyond this."""
PROGRESS_INTERVAL_MS_MIN = 100

SCRUB_SLICE_REVISIONS = 500
HASH_SLICE_KEYS = 400
LISTING_SLICE_KEYS = 500
"""A range of more keys is read in slices of so many: 0.5 to 3 ms each at 1M keys of 1 KiB."""
STREAM_CHUNK_BYTES = 1_572_864
STREAM_FIRST_CHUNK_KEYS = 10
PAGE_COUNTS_KEPT = 256
"""How many (range, revision) counts of paginated lists are remembered."""

CHANGE_CHUNK_REVISIONS = 1024

assert PACK_BYTES_MAX > REQUEST_BYTES_MAX + REQUEST_OVERHEAD_BYTES
assert LEASE_TTL_S_MIN * 1000 > LEASE_CLOCK_STEP_MS_MAX
