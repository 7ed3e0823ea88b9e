"""What the core answers: values that the client port lays out as protobuf.

Each carries the header's revision. Keys and values stay in the stored `Version`s.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from core.errors import Failure
from core.members import Member
from core.records import Version


class RangeAnswer(NamedTuple):
    """Versions in answer order; `total` (etcd's count) ignores the limit."""

    revision: int
    versions: Sequence[Version]
    total: int
    more: bool
    keys_only: bool


class RangeParts(NamedTuple):
    """A long range, laid out already: the records behind their tags, `size_bytes` in sum.

    The parts are given away: whoever sends them may take them out one by one.
    """

    revision: int
    parts: deque[bytes | memoryview]
    size_bytes: int
    total: int
    more: bool


class PutAnswer(NamedTuple):
    """`previous` only if it was asked for and existed."""

    revision: int
    previous: Version | None


class DeleteAnswer(NamedTuple):
    """How many keys went, and their last versions if asked for."""

    revision: int
    deleted: int
    previous: Sequence[Version]


class TxnAnswer(NamedTuple):
    """The branch taken and one answer per operation; a nested one has revision 0."""

    revision: int
    succeeded: bool
    answers: "tuple[OperationAnswer, ...]"


OperationAnswer: TypeAlias = RangeAnswer | PutAnswer | DeleteAnswer | TxnAnswer


class CompactAnswer(NamedTuple):
    """The revision of the store, not of the compaction."""

    revision: int


class LeaseGrantAnswer(NamedTuple):
    """The id and the TTL in seconds as granted."""

    revision: int
    id: int
    ttl_s: int


class LeaseRevokeAnswer(NamedTuple):
    """The revision after the keys are gone."""

    revision: int


class LeaseKeepAliveAnswer(NamedTuple):
    """TTL in seconds; 0 if there is no such lease."""

    revision: int
    id: int
    ttl_s: int


class LeaseTimeToLiveAnswer(NamedTuple):
    """Remaining and granted TTL in seconds (-1 and 0 for no such lease), keys if asked for."""

    revision: int
    id: int
    ttl_s: int
    granted_ttl_s: int
    keys: Sequence[bytes]


class LeaseLeasesAnswer(NamedTuple):
    """Lease ids, ascending."""

    revision: int
    ids: Sequence[int]


class AlarmAnswer(NamedTuple):
    """(member, kind) pairs."""

    revision: int
    alarms: Sequence[tuple[int, int]]


class HashKvAnswer(NamedTuple):
    """A 32-bit hash over the versions up to `hash_revision` that the compaction left."""

    revision: int
    hash: int
    compact_revision: int
    hash_revision: int


class RangeChunk(NamedTuple):
    """One message of a range stream; the last one carries revision, total and more."""

    versions: Sequence[Version]
    keys_only: bool
    last: bool
    revision: int = 0
    total: int = 0
    more: bool = False


class MembersAnswer(NamedTuple):
    """The members by id, once a change of them is applied at `log_index`."""

    revision: int
    log_index: int
    members: Sequence[Member]


class Done(NamedTuple):
    """Nothing but the header: barriers, expiries, no-ops."""

    revision: int


Answer: TypeAlias = (
    RangeAnswer
    | RangeParts
    | PutAnswer
    | DeleteAnswer
    | TxnAnswer
    | CompactAnswer
    | LeaseGrantAnswer
    | LeaseRevokeAnswer
    | LeaseKeepAliveAnswer
    | LeaseTimeToLiveAnswer
    | LeaseLeasesAnswer
    | AlarmAnswer
    | HashKvAnswer
    | RangeChunk
    | MembersAnswer
    | Done
    | Failure
)
