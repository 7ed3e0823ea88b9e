"""What the store is given and gives back: plain values, one `Batch` a transaction.

Rows travel as plain tuples in column order, so that a flush hands them to SQLite as they are.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import attrs

ChangeRow: TypeAlias = tuple[int, int, int, bytes, int, int, int, int, int, bytes | None]
"""(number, main, sub, key, create_revision, version, prev, lease, tombstone, value).

`number` is the dense change number, first 1. `prev` is the number of the key's row before
this one, 0 if there is none. A tombstone has create_revision 0, version 0 and value None.
"""

Note: TypeAlias = int | str | bytes

_NO_NOTES: Mapping[str, Note] = MappingProxyType({})


@attrs.frozen
class Identity:
    """Whose data this is; both numbers are unsigned 64-bit."""

    cluster_id: int
    member_id: int


@attrs.frozen(kw_only=True)
class Batch:
    """One transaction: what changed up to and including `index`.

    `None` means "as before". `dead` is ascending, and over several batches a key's older rows
    never go after its newer ones: a half-finished compaction must not bring a key back.
    """

    index: int
    term: int
    revision: int
    compact_revision: int
    changes: Sequence[ChangeRow] = ()
    dead: Sequence[int] = ()
    leases_put: Sequence[tuple[int, int, int]] = ()
    """(id, granted TTL in seconds, index of the grant)."""
    leases_gone: Sequence[int] = ()
    alarms: Sequence[tuple[int, int]] | None = None
    members: Sequence[tuple[int, bytes]] | None = None
    scrubbed: int | None = None
    chain_hash: bytes | None = None
    notes: Mapping[str, Note] = _NO_NOTES


@attrs.frozen(kw_only=True)
class Meta:
    """The facts that go with the rows, as of the last committed batch."""

    index: int
    term: int
    revision: int
    compact_revision: int
    scrubbed: int
    last_number: int
    chain_hash: bytes
    cluster_id: int
    member_id: int
    notes: Mapping[str, Note] = _NO_NOTES


def signed(number: int) -> int:
    """Return an unsigned 64-bit number as the int64 that SQLite can hold."""
    return number - (1 << 64) if number >= 1 << 63 else number


def unsigned(number: int) -> int:
    """Return the unsigned 64-bit number that `signed` was given."""
    return number & ((1 << 64) - 1)
