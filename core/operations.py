"""What a client may ask: queries, which only read, and commands, which enter the log.

Tuples, because they are made once per request on the hot path; they are valid by
construction once `core.checks` has passed them.
"""

from enum import IntEnum
from typing import NamedTuple, TypeAlias

from core.members import MemberRole


class SortOrder(IntEnum):
    """How a range is sorted; numbers are etcd's."""

    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(IntEnum):
    """What a range is sorted by; numbers are etcd's."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class CompareResult(IntEnum):
    """The relation a compare asks for; numbers are etcd's."""

    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


class CompareTarget(IntEnum):
    """The field a compare looks at; numbers are etcd's."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


class AlarmKind(IntEnum):
    """Kinds of alarm; numbers are etcd's."""

    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


class Range(NamedTuple):
    """Read the keys of [key, range_end). Bounds of 0 mean none."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: int = 0
    sort_target: int = 0
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False
    min_mod: int = 0
    max_mod: int = 0
    min_create: int = 0
    max_create: int = 0


class Put(NamedTuple):
    """Write one key; a lease of 0 detaches it."""

    key: bytes
    value: bytes = b""
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteRange(NamedTuple):
    """Delete the keys of [key, range_end) in one revision."""

    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False


class Compare(NamedTuple):
    """Hold one field of a key, or of every key of a range, against an operand."""

    result: int
    target: int
    key: bytes
    range_end: bytes
    operand: int | bytes


class Txn(NamedTuple):
    """If all compares hold, do `success`, else `failure`; all in one revision."""

    compares: "tuple[Compare, ...]"
    success: "tuple[Operation, ...]"
    failure: "tuple[Operation, ...]"


Operation: TypeAlias = Range | Put | DeleteRange | Txn


class Compact(NamedTuple):
    """Forget history before a revision; a physical one answers when the rows are gone."""

    revision: int
    physical: bool = False


class LeaseGrant(NamedTuple):
    """Make a lease; the shell has drawn an id if the client gave none."""

    id: int
    ttl_s: int


class LeaseRevoke(NamedTuple):
    """End a lease and delete its keys, in one revision."""

    id: int


class LeaseExpire(NamedTuple):
    """End a lease that fell due under the leader of `term`.

    Ignored if the log entry has another term, or if the lease of this id was granted at
    another index than `generation`: then somebody else decides about it.
    """

    id: int
    term: int
    generation: int


class AlarmSet(NamedTuple):
    """Raise or clear one alarm of a member; kind NONE changes nothing, as in etcd."""

    member: int
    kind: int
    raised: bool


class Noop(NamedTuple):
    """Change nothing; what a new leader commits first."""


class MemberAdd(NamedTuple):
    """Make a member; the shell has drawn its id. A learner only if so many are not there yet.

    Who founds a cluster is a voter from the start; who is to be one later joins first.
    """

    id: int
    peer_urls: tuple[str, ...]
    role: int = MemberRole.VOTER
    learners_max: int = 1
    name: str = ""
    client_urls: tuple[str, ...] = ()


class MemberRemove(NamedTuple):
    """End a member; its id is never given again."""

    id: int


class MemberUpdate(NamedTuple):
    """Change where other members reach a member."""

    id: int
    peer_urls: tuple[str, ...]


class MemberPromote(NamedTuple):
    """Make a learner a voter."""

    id: int


class MemberPublish(NamedTuple):
    """What a member tells of itself: its name, and where clients reach it."""

    id: int
    name: str
    client_urls: tuple[str, ...]
    failure_domain: int = 0


class RoleAssign(NamedTuple):
    """Keep a member for something else, if it is kept for `was`: else this came too late.

    The leader fills in `was`. Raft is told only where a vote comes or goes: a command that waited
    somewhere while the role changed must not change it alone.
    """

    id: int
    role: int
    was: int = -1


MembersChange: TypeAlias = MemberAdd | MemberRemove | MemberUpdate | MemberPromote | RoleAssign
"""Commands that the leader admits one at a time, each checked against the table it will meet."""

Command: TypeAlias = (
    Put
    | DeleteRange
    | Txn
    | Compact
    | LeaseGrant
    | LeaseRevoke
    | LeaseExpire
    | AlarmSet
    | Noop
    | MemberPublish
    | MembersChange
)


class LeaseKeepAlive(NamedTuple):
    """Renew a lease."""

    id: int


class LeaseTimeToLive(NamedTuple):
    """Ask a lease's remaining and granted TTL, and its keys."""

    id: int
    keys: bool = False


class LeaseLeases(NamedTuple):
    """List the leases."""


class AlarmList(NamedTuple):
    """List the alarms of one kind, or all for NONE."""

    kind: int = 0


class HashKv(NamedTuple):
    """Hash every stored version up to a revision (0: the head)."""

    revision: int = 0


class RangeStream(NamedTuple):
    """Read a range as a stream of chunks."""

    range: Range


class Barrier(NamedTuple):
    """Answered when a linearizable read would be."""


Query: TypeAlias = (
    Range
    | Txn
    | LeaseKeepAlive
    | LeaseTimeToLive
    | LeaseLeases
    | AlarmList
    | HashKv
    | RangeStream
    | Barrier
)


def is_readonly(txn: Txn) -> bool:
    """Whether no branch holds anything but ranges; nested transactions count as writes."""
    return all(type(op) is Range for op in txn.success) and all(
        type(op) is Range for op in txn.failure
    )


def is_serializable(txn: Txn) -> bool:
    """Whether a read-only transaction asks for local reads only; an empty one does, as in etcd."""
    return all(type(op) is Range and op.serializable for op in txn.success) and all(
        type(op) is Range and op.serializable for op in txn.failure
    )
