"""The core's invariants as code: run by tests and the simulator after every step, and by checks.

docs/INVARIANTS.md says each in a sentence, with why and where it is asserted. Cost O(state).
"""

from itertools import pairwise

from core.limits import LEASE_COST_BYTES
from core.members import configuration, member_hash, removed_hash
from core.state import HASH_MASK, State, key_bytes, lease_hash, version_bytes


def check(state: State) -> None:
    """Assert every invariant that can be seen in one state."""
    _check_revisions(state)
    _check_keys(state)
    _check_leases(state)
    _check_members(state)
    if state.scrubbed_revision == state.compact_revision:
        _check_account(state)


def _check_revisions(state: State) -> None:
    assert state.changes.last == state.revision, "INV-REV-DENSE"
    assert state.compact_revision <= state.revision, "INV-REV-DENSE"
    assert state.logged_count == state.change_count, "INV-REV-DENSE"
    number = 0
    for revision in range(state.changes.first, state.revision + 1):
        changes = state.changes.at(revision)
        if revision > state.compact_revision:
            assert changes, "INV-REV-DENSE"
        for change in changes:
            assert change.mod == revision, "INV-REV-DENSE"
            assert change.number > number, "INV-REV-DENSE"
            number = change.number


def _check_keys(state: State) -> None:
    index = state.index
    low, high = index.positions(b"", None)
    keys = list(index.keys_between(low, high))
    assert keys == sorted(index.live), "INV-INDEX-ORDER"
    for key, version in index.live.items():
        assert version.key == key, "INV-INDEX-ORDER"
        assert version.version >= 1, "INV-INDEX-ORDER"
        assert version.create <= version.mod, "INV-INDEX-ORDER"
    for key, older in index.history.items():
        versions = index.all_versions(key)
        numbers = [version.number for version in versions]
        assert numbers == sorted(set(numbers)), "INV-INDEX-ORDER"
        assert older, "INV-INDEX-ORDER"
        for before, after in pairwise(versions):
            if after.version > 1:
                assert before.version == after.version - 1, "INV-INDEX-ORDER"
                assert before.create == after.create, "INV-INDEX-ORDER"
    if state.scrubbed_revision == state.compact_revision:
        for versions in map(index.all_versions, index.history):
            kept = [v for v in versions if v.mod <= state.compact_revision]
            assert len(kept) <= 1, "INV-COMPACT-KEEPS-LATEST"


def _check_leases(state: State) -> None:
    attached = {(version.lease, key) for key, version in state.index.live.items() if version.lease}
    held = {(lease.id, key) for lease in state.leases.values() for key in lease.keys}
    assert attached == held, "INV-LEASE-KEYS"


def _check_members(state: State) -> None:
    assert state.removed.isdisjoint(state.members), "INV-MEMBER-ONCE"
    if state.members:
        assert any(configuration(state.members).values()), "INV-MEMBER-VOTES"


def _check_account(state: State) -> None:
    index = state.index
    total = len(state.leases) * LEASE_COST_BYTES
    live_hash = sum(lease_hash(lease.id, lease.ttl_s) for lease in state.leases.values())
    for key, version in index.live.items():
        total += version_bytes(version) + key_bytes(key)
        live_hash += version.row_hash
    for older in index.history.values():
        total += sum(map(version_bytes, older))
    live_hash += sum(map(member_hash, state.members.values()))
    live_hash += sum(map(removed_hash, state.removed))
    assert total == state.resident_bytes, "INV-ACCOUNT-EXACT"
    assert live_hash & HASH_MASK == state.live_hash, "INV-SAME-INDEX-SAME-HASH"
