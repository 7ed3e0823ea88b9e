"""Compaction: the visible effect at once, the freeing in slices.

`compact` moves the compact revision: from then on reads and watches below it are refused and
the account no longer holds what became invisible. `Scrub.step` frees it: for each revision up
to the compact one it drops the versions that the revision's changes replaced, then tombstones
older than the compact revision, and names the store rows to delete. A tombstone at exactly
the compact revision stays: a watch that starts there must see it (etcd #19179).
Cost O(changes between the old and the new compact revision), never O(keys).
INV-COMPACT-KEEPS-LATEST.
"""

from core.errors import COMPACTED, FUTURE_REVISION, Failure
from core.limits import SCRUB_SLICE_REVISIONS
from core.state import State


def compact(state: State, revision: int) -> Failure | None:
    """Make `revision` the compact revision, or refuse: not beyond the last, or beyond the head."""
    if revision <= state.compact_revision:
        return COMPACTED
    if revision > state.revision:
        return FUTURE_REVISION
    before = max(state.compact_revision, state.changes.first - 1, 0)
    state.resident_bytes -= state.changes.freed_bytes(before, revision)
    state.compact_revision = revision
    return None


def is_scrubbed(state: State) -> bool:
    """Whether everything invisible has been freed."""
    return state.scrubbed_revision >= state.compact_revision


def scrub_step(state: State, revisions: int = SCRUB_SLICE_REVISIONS) -> list[int]:
    """Free one slice and return the numbers of the changes whose rows are dead.

    Resumable: after a crash it starts again from what the store still holds.
    """
    target = state.compact_revision
    begin = max(state.scrubbed_revision, state.changes.first)
    end = min(target, begin + revisions - 1, state.changes.last)
    dead: list[int] = []
    for change in state.changes.between(begin, end):
        dead += (gone.number for gone in state.index.forget_before(change))
        if not change.version and change.mod < target and state.index.forget_tombstone(change):
            dead.append(change.number)
    if end >= target or end >= state.changes.last:
        _thin_out(state, target)
        state.changes.forget_before(target)
        state.scrubbed_revision = target
    else:
        state.changes.forget_before(end + 1)
        # Not one more: a next revision that is the target must not pass for freed.
        state.scrubbed_revision = end
    return dead


def _thin_out(state: State, revision: int) -> None:
    """Leave at the compact revision only the last change of each key changed there twice."""
    changes = state.changes.at(revision)
    if len(changes) < 2:
        return
    newest = {change.key: change for change in changes}
    if len(newest) < len(changes):
        state.changes.replace(
            revision, tuple(change for change in changes if newest[change.key] is change)
        )
