"""States compared in every field that a compaction's leisurely freeing does not change."""

from collections.abc import Iterable
from itertools import takewhile

from core.codec import decode_pack
from core.compaction import is_scrubbed
from core.machine import apply
from core.ranges import PageCounts
from core.records import Version
from core.state import State
from net.replicator import Entry
from tests.crash.ledger import Fact, Ledger

_SCALARS = (
    "revision",
    "compact_revision",
    "applied_index",
    "applied_term",
    "change_count",
    "resident_bytes",
    "live_hash",
    "chain_hash",
    "leases",
    "alarms",
)


def replayed(entries: Iterable[Entry]) -> tuple[State, Ledger]:
    """Apply packs from the first one on, to a new state and to a new ledger."""
    state, ledger, counts = State(), Ledger(), PageCounts()
    for entry in entries:
        for proposed in decode_pack(entry.payload):
            apply(state, proposed.command, entry.index, entry.term, counts)
            ledger.take(proposed.command, entry.index, entry.term)
        state.applied_index = entry.index
        state.applied_term = entry.term
    return state, ledger


def differences(found: State, wanted: State, *, numbers: bool = True) -> list[str]:
    """Say in what two states differ."""
    told = [
        f"{name}: {getattr(found, name)!r}, not {getattr(wanted, name)!r}"
        for name in _SCALARS
        if getattr(found, name) != getattr(wanted, name)
    ]
    if found.state_hash() != wanted.state_hash():
        told.append("state hash")
    if found.index.live != wanted.index.live:
        told.append("live keys")
    if visible(found) != visible(wanted):
        told.append("history")
    if is_scrubbed(found) and is_scrubbed(wanted) and found.index.history != wanted.index.history:
        told.append("stored history")
    if not told:
        for revision in range(max(found.compact_revision, 1) + 1, found.revision + 1):
            if found.changes.at(revision) != wanted.changes.at(revision):
                told.append(f"changes of revision {revision}")
    return told


def strays(state: State, ledger: Ledger) -> list[str]:
    """Say in what a state differs from what the ledger has of the same history."""
    told: list[str] = []
    facts = {
        "revision": (state.revision, ledger.revision),
        "compact revision": (state.compact_revision, ledger.compacted),
        "leases": (
            {lease.id: (lease.ttl_s, lease.generation) for lease in state.leases.values()},
            ledger.leases,
        ),
        "alarms": (state.alarms, ledger.alarms),
        "keys": ({key: _fact(one) for key, one in state.index.live.items()}, ledger.live),
    }
    told += [f"{name}: {found!r}, not {wanted!r}" for name, (found, wanted) in facts.items()
             if found != wanted]  # fmt: skip
    for revision in range(max(state.compact_revision, 1) + 1, state.revision + 1):
        found = [_fact(change) for change in state.changes.at(revision)]
        if found != ledger.of(revision):
            told.append(f"revision {revision}: {found!r}, not {ledger.of(revision)!r}")
    return told


def visible(state: State) -> dict[bytes, list[Version]]:
    """Return, by key, the versions that a reader may still see."""
    kept: dict[bytes, list[Version]] = {}
    compacted = state.compact_revision
    for key in {*state.index.live, *state.index.history}:
        versions = state.index.all_versions(key)
        hidden = len(list(takewhile(lambda one: one.mod <= compacted, versions)))
        versions = versions[max(0, hidden - 1) :]
        if versions and not versions[0].version and versions[0].mod < compacted:
            versions = versions[1:]
        if versions:
            kept[key] = versions
    return kept


def _fact(version: Version) -> Fact:
    value = version.value if version.version else None
    return Fact(version.mod, version.key, value, version.create, version.version, version.lease)
