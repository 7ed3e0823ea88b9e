"""Leases whose keys vanished too soon, as watchers saw it.

Rule of this file: a revision that no client's operation explains, in which keys of one lease go and
nothing else happens, is that lease's end by time. The checkers judge what was said of leases; this
judges what happened to their keys. A renewal that was acknowledged took place at or after its
invocation, so the lease must not be gone before its TTL has passed since.
"""

from collections import defaultdict

from jepsen.judging.finding import Finding
from jepsen.judging.owners import Owners
from sim.check.guarantees import WORDS
from sim.check.settings import Bounds
from sim.check.timeline import Timeline
from sim.check.verdict import Side, Verdict, seconds
from sim.check.wording import side
from sim.history import NEVER_US, Call, History
from sim.ops import Grant, GrantDone, KeepAlive, KeepAliveDone

KLASS = "lease/early"


def judge_expiries(
    history: History, timeline: Timeline, bounds: Bounds, owners: Owners
) -> tuple[list[Finding], dict[str, int]]:
    """Judge every end by time; return what was found, and how many ends each workload had."""
    renewals = _renewals(history)
    found: list[Finding] = []
    counts: dict[str, int] = {}
    for rev, lease in expiries(timeline):
        ended_us = timeline.high[rev]
        owner = owners.of_lease(lease)
        counts[owner] = counts.get(owner, 0) + 1
        if ended_us == NEVER_US:
            continue
        for call, ttl_s in renewals[lease]:
            ttl_us = ttl_s * 1_000_000
            ttl_us -= ttl_us * bounds.drift_ppm // 1_000_000 + bounds.early_us
            if call.invoked_us <= ended_us < call.invoked_us + ttl_us:
                after = seconds(ended_us - call.invoked_us)
                why = f"lease {lease}: its keys were gone {after} s after a renewal for {ttl_s} s"
                there = Side(f"revision {rev}", f"the keys of lease {lease} vanish")
                verdict = Verdict("lease", KLASS, WORDS[KLASS], why, (side(call), there), ended_us)
                found.append(Finding.of(owner, verdict))
                break
    first: dict[str, Finding] = {}
    for each in sorted(found, key=lambda each: each.time_us):
        first.setdefault(each.workload, each)
    return list(first.values()), counts


def expiries(timeline: Timeline) -> list[tuple[int, int]]:
    """Return the revisions that are a lease's end by time, with the lease."""
    model, ends = timeline.model, list[tuple[int, int]]()
    for rev in range(2, timeline.head + 1):
        changes = model.changes[rev]
        if timeline.writers[rev] is not None or not changes or any(kv.version for kv in changes):
            continue
        before = [model.version_at(kv.key, rev - 1) for kv in changes]
        leases = {0 if kv is None else kv.lease for kv in before}
        if len(leases) == 1 and 0 not in leases:
            ends.append((rev, leases.pop()))
    return ends


def _renewals(history: History) -> defaultdict[int, list[tuple[Call, int]]]:
    """Return, by lease, who was told that it stands, and for how long.

    An id that was granted twice is left out: nobody can tell its lives apart.
    """
    renewals: defaultdict[int, list[tuple[Call, int]]] = defaultdict(list)
    grants: defaultdict[int, int] = defaultdict(int)
    for call in history.calls:
        match call.op, call.result:
            case Grant(), GrantDone(_, lease, ttl_s):
                grants[lease] += 1
                renewals[lease].append((call, ttl_s))
            case Grant(lease), _:
                grants[lease] += 1
            case KeepAlive(), KeepAliveDone(_, lease, ttl_s) if ttl_s > 0:
                renewals[lease].append((call, ttl_s))
            case _:
                pass
    for lease, count in grants.items():
        if count > 1:
            renewals.pop(lease, None)
    return renewals
