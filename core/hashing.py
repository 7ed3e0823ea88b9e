"""HashKV: one 32-bit hash over the stored versions up to a revision, in slices.

Superseded versions and tombstones that the last compaction made invisible do not count,
whether or not they have been freed, so members agree however far their freeing is.
O(keys): etcd's semantics force it; each slice hashes a bounded number of keys.
"""

from zlib import crc32

from attrs import define

from core.answers import HashKvAnswer
from core.errors import COMPACTED, FUTURE_REVISION, Failure
from core.limits import HASH_SLICE_KEYS
from core.state import State


@define(eq=False)
class HashJob:
    """One HashKV under way."""

    token: object
    revision: int
    compact_revision: int
    key: bytes = b""
    hash: int = 0


def open_hash(state: State, token: object, revision: int) -> HashJob | Failure:
    """Begin hashing up to a revision; 0 means the head."""
    if revision > state.revision:
        return FUTURE_REVISION
    if 0 < revision < state.compact_revision:
        return COMPACTED
    return HashJob(token, revision or state.revision, state.compact_revision)


def hash_step(state: State, job: HashJob, keys: int = HASH_SLICE_KEYS) -> HashKvAnswer | None:
    """Hash one slice; the answer when it was the last. A compaction meanwhile starts it anew."""
    if job.compact_revision != state.compact_revision:
        job.compact_revision = state.compact_revision
        job.revision = max(job.revision, state.compact_revision)
        job.key = b""
        job.hash = 0
    slice_keys = state.index.next_keys(job.key, keys)
    total = job.hash
    for key in slice_keys:
        versions = [v for v in state.index.all_versions(key) if v.mod <= job.revision]
        kept = 0
        for position, version in enumerate(versions):
            if version.mod <= job.compact_revision:
                kept = position
        for position in range(kept, len(versions)):
            version = versions[position]
            if position == kept and not version.version and version.mod < job.compact_revision:
                continue
            total = crc32(version.framed, total)
    job.hash = total
    if len(slice_keys) == keys:
        job.key = slice_keys[-1] + b"\x00"
        return None
    return HashKvAnswer(state.revision, total, job.compact_revision, job.revision)
