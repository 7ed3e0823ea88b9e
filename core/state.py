"""The replicated state: everything that equal logs make equal on all members.

Its only writer is `core.machine.apply`; `core.compaction` frees what became invisible,
which changes no answer, no hash and no account.

Invariants: INV-REV-DENSE (each revision after the compact one has at least one change, and
`number` has no holes), INV-APPLY-ONCE, INV-SAME-INDEX-SAME-HASH, INV-COMPACT-KEEPS-LATEST.
"""

from attrs import define, field

from core.changelog import ChangeLog
from core.index import KeyIndex
from core.limits import KEY_COST_BYTES, LEASE_COST_BYTES, VERSION_COST_BYTES
from core.members import Member, member_hash, removed_hash
from core.records import Version

HASH_MASK = (1 << 64) - 1
CHAIN_FACTOR = 0x100000001B3
"""The FNV prime: each change multiplies the chain by it and adds its row hash."""

NOT_COMPACTED = -1


@define
class Lease:
    """A granted lease: TTL in seconds, the index of its grant, the keys attached to it."""

    id: int
    ttl_s: int
    generation: int
    keys: dict[bytes, None] = field(factory=dict[bytes, None])


@define
class State:
    """What a member knows at an applied index. A fresh store is at revision 1."""

    revision: int = 1
    compact_revision: int = NOT_COMPACTED
    scrubbed_revision: int = NOT_COMPACTED
    """Physical: invisible versions up to here have been freed. Differs between members."""
    applied_index: int = 0
    applied_term: int = 0
    change_count: int = 0
    """Number of the newest change; numbers start at 1."""
    logged_count: int = 0
    """Number of the newest change in the log; less than `change_count` only inside a command."""
    index: KeyIndex = field(factory=KeyIndex)
    changes: ChangeLog = field(factory=ChangeLog)
    leases: dict[int, Lease] = field(factory=dict[int, Lease])
    alarms: set[tuple[int, int]] = field(factory=set[tuple[int, int]])
    """(member, kind); never iterated unsorted."""
    members: dict[int, Member] = field(factory=dict[int, Member])
    """Who the cluster is; empty where nobody has said so, as in a log of fixed members."""
    removed: set[int] = field(factory=set[int])
    """Ids that were members and never are again; never iterated unsorted."""
    resident_bytes: int = 0
    """The account that the quota bounds: equal on all members."""
    live_hash: int = 0
    chain_hash: int = 0

    def state_hash(self) -> int:
        """Return 64 bits over live rows, leases, members, history, the compact revision; O(1)."""
        mixed = (self.live_hash * CHAIN_FACTOR) ^ self.chain_hash ^ (self.compact_revision << 20)
        return (mixed * CHAIN_FACTOR + self.revision) & HASH_MASK


def version_bytes(version: Version) -> int:
    """Return what one stored version weighs in the account."""
    return len(version.framed) + VERSION_COST_BYTES


def key_bytes(key: bytes) -> int:
    """Return what a key weighs in the account beside its versions."""
    return len(key) + KEY_COST_BYTES


def lease_hash(lease_id: int, ttl_s: int) -> int:
    """Return a lease's share of the live hash."""
    return ((lease_id * CHAIN_FACTOR) ^ (ttl_s * 0x9E3779B97F4A7C15)) & HASH_MASK


def add_lease(state: State, lease: Lease) -> None:
    """Enter a lease into the state."""
    state.leases[lease.id] = lease
    state.live_hash = (state.live_hash + lease_hash(lease.id, lease.ttl_s)) & HASH_MASK
    state.resident_bytes += LEASE_COST_BYTES


def drop_lease(state: State, lease: Lease) -> None:
    """Take a lease out of the state."""
    del state.leases[lease.id]
    state.live_hash = (state.live_hash - lease_hash(lease.id, lease.ttl_s)) & HASH_MASK
    state.resident_bytes -= LEASE_COST_BYTES


def put_member(state: State, member: Member) -> None:
    """Enter a member into the table, in place of what it was."""
    known = state.members.get(member.id)
    change = member_hash(member) - (0 if known is None else member_hash(known))
    state.members[member.id] = member
    state.live_hash = (state.live_hash + change) & HASH_MASK


def drop_member(state: State, member_id: int) -> None:
    """Take a member out of the table; its id is used up."""
    known = state.members.pop(member_id)
    state.live_hash = (state.live_hash - member_hash(known)) & HASH_MASK
    put_removed(state, member_id)


def put_removed(state: State, member_id: int) -> None:
    """Enter an id that is used up."""
    state.removed.add(member_id)
    state.live_hash = (state.live_hash + removed_hash(member_id)) & HASH_MASK
