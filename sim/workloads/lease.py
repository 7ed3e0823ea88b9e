"""Workload "lease": keys that go when their lease goes.

What it does: grants of 2 to 6 seconds, keys attached, moved to another lease, taken off it; leases
held by keepalives for a while and then left to expire or revoked; leases nobody renews; questions
for their time to live; grants of an id that is taken, uses of one that is gone.
Checked by: lease (never early after an acknowledged keepalive, gone in time, keys and lease in one
revision), linear, watch (expiry gives deletes).
"""

from sim.clients import Ask, Memory, Performance, Sleep
from sim.ops import (
    Grant,
    GrantDone,
    KeepAlive,
    KeepAliveDone,
    Leases,
    Put,
    Range,
    Revoke,
    RevokeDone,
    TimeToLive,
)
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import Intent, Workload, between, flag, key, n, near

PREFIX = "l/"
_KEY = key(PREFIX)


def _grant(item: Item, memory: Memory) -> Performance:
    """Grant a lease and attach a key; nobody renews it."""
    yield from _granted(item, memory)
    if memory.leases and memory.leases[-1] == verbs.integer(item, "n"):
        op = Put(verbs.text(item, "key"), verbs.value(item, memory), lease=memory.leases[-1])
        yield from verbs.put(memory, op, verbs.at(item, memory))


def _granted(item: Item, memory: Memory) -> Performance:
    lease = verbs.integer(item, "n")
    result = yield Ask(Grant(lease, verbs.integer(item, "ttl_s")), verbs.at(item, memory))
    if isinstance(result, GrantDone):
        memory.leases.append(lease)
        memory.common.leases.append(lease)


def _hold(item: Item, memory: Memory) -> Performance:
    """Grant, attach, renew every third of the time to live; then revoke, or let it expire."""
    yield from _grant(item, memory)
    lease = verbs.integer(item, "n")
    if lease not in memory.leases:
        return
    for _ in range(verbs.integer(item, "times")):
        yield Sleep(verbs.integer(item, "ttl_s") * 1000 // 3)
        result = yield Ask(KeepAlive(lease), verbs.at(item, memory))
        if isinstance(result, KeepAliveDone) and result.ttl_s <= 0:
            return
    if verbs.flag(item, "revoke"):
        yield from _revoked(memory, lease, verbs.at(item, memory))


def _revoked(memory: Memory, lease: int, member: int) -> Performance:
    result = yield Ask(Revoke(lease), member)
    if isinstance(result, RevokeDone):
        for known in (memory.leases, memory.common.leases):
            if lease in known:
                known.remove(lease)


def _attach(item: Item, memory: Memory) -> Performance:
    """Put a key under a lease that may be another than before, or be gone."""
    lease = _picked(item, memory)
    op = Put(verbs.text(item, "key"), verbs.value(item, memory), lease=lease)
    yield from verbs.put(memory, op, verbs.at(item, memory))


def _detach(item: Item, memory: Memory) -> Performance:
    """Put a key under no lease: it stays when its old lease goes."""
    op = Put(verbs.text(item, "key"), verbs.value(item, memory))
    yield from verbs.put(memory, op, verbs.at(item, memory))


def _keep_alive(item: Item, memory: Memory) -> Performance:
    yield Ask(KeepAlive(_picked(item, memory)), verbs.at(item, memory))


def _revoke(item: Item, memory: Memory) -> Performance:
    yield from _revoked(memory, _picked(item, memory), verbs.at(item, memory))


def _again(item: Item, memory: Memory) -> Performance:
    """Grant an id that is taken, or was."""
    yield Ask(Grant(_picked(item, memory), 5), verbs.at(item, memory))


def _time_to_live(item: Item, memory: Memory) -> Performance:
    op = TimeToLive(_picked(item, memory), keys=verbs.flag(item, "keys"))
    yield Ask(op, verbs.at(item, memory))


def _leases(item: Item, memory: Memory) -> Performance:
    yield Ask(Leases(), verbs.at(item, memory))


def _list(item: Item, memory: Memory) -> Performance:
    op = Range(PREFIX, verbs.prefix_end(PREFIX), serializable=verbs.flag(item, "serializable"))
    yield from verbs.read(memory, op, verbs.at(item, memory))


def _picked(item: Item, memory: Memory) -> int:
    """Return one of the newest leases that anybody was granted; one that never was if none."""
    known = memory.common.leases
    return known[-1 - verbs.integer(item, "pick") % len(known)] if known else 999_999_999


_PICK = near(12)
_TTL = between(2, 6)

WORKLOAD = Workload(
    "lease",
    PREFIX,
    (
        Intent("lease.grant", 14, _grant, {"key": _KEY, "n": n, "ttl_s": _TTL}),
        Intent(
            "lease.hold",
            10,
            _hold,
            {"key": _KEY, "n": n, "ttl_s": _TTL, "times": between(1, 6), "revoke": flag},
        ),
        Intent("lease.attach", 20, _attach, {"key": _KEY, "n": n, "pick": _PICK}),
        Intent("lease.detach", 8, _detach, {"key": _KEY, "n": n}),
        Intent("lease.keep_alive", 15, _keep_alive, {"pick": _PICK}),
        Intent("lease.revoke", 6, _revoke, {"pick": _PICK}),
        Intent("lease.again", 2, _again, {"pick": _PICK}),
        Intent("lease.time_to_live", 8, _time_to_live, {"pick": _PICK, "keys": flag}),
        Intent("lease.leases", 4, _leases, {}),
        Intent("lease.list", 13, _list, {"serializable": flag}),
    ),
)
