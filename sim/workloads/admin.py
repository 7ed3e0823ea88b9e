"""Workload "admin": what operators ask, and what clients are bent to do by faults.

What it does: status, hash, defragment, snapshot, member list, alarms, leadership moved by request,
beside plain writes so that there is something to hash. The fault menu's client faults (compact,
defragment, backup, oversized) are performed here as well.
Checked by: convergence (equal hashes), linear for the writes, liveness.
"""

from sim.clients import Ask, Memory, Performance, Sleep
from sim.ops import Admin, AdminDone, Compact, Failed, Put, Range
from sim.plan import Item
from sim.workloads import verbs
from sim.workloads.draw import Intent, Workload, between, key, n

PREFIX = "d/"
_KEY = key(PREFIX)
_ATTEMPTS = 40
_AGAIN_MS = 400
_IS_SO = (
    "member not found",
    "member ID already exist",
    "not enough started members",
    "promote a learner member",
)
"""Failures after which there is nothing left to ask for."""


def _put(item: Item, memory: Memory) -> Performance:
    op = Put(verbs.text(item, "key"), verbs.value(item, memory))
    yield from verbs.put(memory, op, verbs.at(item, memory))


def _get(item: Item, memory: Memory) -> Performance:
    yield from verbs.read(memory, Range(verbs.text(item, "key")), verbs.at(item, memory))


def _admin(what: str) -> Intent:
    def perform(item: Item, memory: Memory) -> Performance:
        yield Ask(Admin(what), verbs.at(item, memory))

    return Intent(f"admin.{what}", 8, perform, {})


def _move_leader(item: Item, memory: Memory) -> Performance:
    target = verbs.integer(item, "target") % memory.options.members
    yield Ask(Admin("move_leader", target), verbs.at(item, memory))


def _compact(item: Item, memory: Memory) -> Performance:
    rev = verbs.past(memory, verbs.integer(item, "back"))
    yield Ask(Compact(rev), verbs.at(item, memory))


def _backup(item: Item, memory: Memory) -> Performance:
    yield Ask(Admin("snapshot"), verbs.at(item, memory))


def _disarm(item: Item, memory: Memory) -> Performance:
    """Clear the alarm of one member, by asking any."""
    target = verbs.at(item, memory)
    yield Ask(Admin("disarm", target), target)


def _until_done(op: Admin, memory: Memory) -> Performance:
    """Ask one member after the other until the cluster is as the operation wants it."""
    for attempt in range(_ATTEMPTS):
        if memory.is_late:
            return
        result = yield Ask(op, attempt % memory.options.members)
        if isinstance(result, AdminDone):
            return
        if isinstance(result, Failed) and result.text.endswith(_IS_SO):
            return
        yield Sleep(_AGAIN_MS)


def _member_add(item: Item, memory: Memory) -> Performance:
    """Have a spare machine join: the leader lets it vote when it has the log, or a client does."""
    spares = memory.options.spares
    if spares:
        target = memory.options.members + verbs.integer(item, "spare") % spares
        learns = verbs.text(item, "role") == "learner"
        yield from _until_done(Admin("member_learn" if learns else "member_add", target), memory)
        if learns:
            yield from _until_done(Admin("member_promote", target), memory)


def _member_remove(item: Item, memory: Memory) -> Performance:
    target = verbs.at(item, memory)
    yield from _until_done(Admin("member_remove", target), memory)


def _member_replace(item: Item, memory: Memory) -> Performance:
    yield from _member_remove(item, memory)
    yield from _member_add(item, memory)


def _oversized(item: Item, memory: Memory) -> Performance:
    """Put a value that may be larger than a request may be."""
    large = f"{item.time_ms}:".ljust(verbs.integer(item, "kib") * 1024, "+")
    yield Ask(Put(f"{PREFIX}large", large), verbs.at(item, memory))


def final(item: Item, memory: Memory) -> Performance:
    """Read everything when all is over: at the member itself, then through the quorum."""
    member = verbs.integer(item, "member") % memory.options.members
    keys_only = memory.options.value_bytes > 65_536
    everything = verbs.EVERYTHING._replace(keys_only=keys_only)
    yield Ask(everything, member)
    yield Ask(everything._replace(serializable=True), member)
    yield Ask(Admin("hash"), member)


def final_put(item: Item, memory: Memory) -> Performance:
    """Write when all is over, clearing alarms where it must: somebody must be able to."""
    member, number = verbs.integer(item, "member"), verbs.integer(item, "n")
    member %= memory.options.members
    result = yield Ask(Put("final", f"final-{number}"), member)
    if isinstance(result, Failed) and "space exceeded" in result.text:
        for target in range(memory.options.members):
            yield Ask(Admin("disarm", target), member)
        yield Ask(Put("final", f"final-{number}-again"), member)


FROM_FAULTS = (
    Intent("admin.compact", 0, _compact, {}),
    Intent("admin.backup", 0, _backup, {}),
    Intent("admin.disarm", 0, _disarm, {}),
    Intent("admin.oversized", 0, _oversized, {}),
    Intent("admin.member_add", 0, _member_add, {}),
    Intent("admin.member_remove", 0, _member_remove, {}),
    Intent("admin.member_replace", 0, _member_replace, {}),
    Intent("final.read", 0, final, {}),
    Intent("final.put", 0, final_put, {}),
)
"""What no mix draws: plans have it from the fault menu, or at their end."""

WORKLOAD = Workload(
    "admin",
    PREFIX,
    (
        Intent("admin.put", 40, _put, {"key": _KEY, "n": n}),
        Intent("admin.get", 15, _get, {"key": _KEY}),
        _admin("status"),
        _admin("hash"),
        _admin("defragment"),
        _admin("snapshot"),
        _admin("members"),
        _admin("alarms"),
        Intent("admin.move_leader", 4, _move_leader, {"target": between(0, 4)}),
    ),
)
