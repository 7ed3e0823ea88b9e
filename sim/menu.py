"""The fault menu: every name that an item of `who` "fault" may carry, with its arguments.

Rule of this file: words only. `sim.faults` and `sim.clients` say how they are done, `sim.generate`
how often. How all of them read:

* An item is in force from its time for its `ms`, then ends by itself. Two that overlap each hold
  their own grip: a link delivers when nobody holds it. At `Options.duration_ms` everything ends.
* A member is a number from 0, taken modulo the members of the plan, so that a plan stays valid with
  fewer members. `LEADER` (-1) is whoever leads at that moment; without a leader, member 0.
  So is a client's or a watcher's number, modulo those of the plan.
* A link is one direction, `from` to `to`; where both are the same member nothing happens.
* `down_ms`: how long a member that ended stays down. It then starts again with what its disk kept.
* `survival` is that of `sim.platter`: what of the unsynced writes is left. "all" is a kill, the
  others losses of power.
* An item that would break a budget does nothing: at most a minority of the disks is ever damaged
  (bit_rot, truncate), and a damaged member that refuses to start stays down.
* Where a tier has no such thing (a disk in tier 1), the member merely ends and starts (`crash`), or
  nothing happens; the item's counter says which.

A restore from a backup is no fault of this menu: it declares acknowledged writes lost and begins
another cluster, so that one history through it could be judged only by excusing what the checks
are for. It has a scenario with a check of its own (`sim.restoring`).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, cast

LEADER: Final = -1


class Argument(NamedTuple):
    """`kind`: member, members, client, watcher, ms, number (any sign), flag, word."""

    name: str
    kind: str
    words: tuple[str, ...] = ()


class Dish(NamedTuple):
    """One fault. `by`: world or clients, who does it. `drawn`: whether the swarm ever picks it."""

    name: str
    group: str
    by: str
    arguments: tuple[Argument, ...]
    meaning: str
    drawn: bool = True


GROUPS: Final = ("message", "partition", "clock", "process", "disk", "operations", "client")
MEMBERSHIP: Final = "membership"
"""One group more, for the engine whose members may change; drawn by itself."""

_FROM, _TO = Argument("from", "member"), Argument("to", "member")
_MEMBER, _MS = Argument("member", "member"), Argument("ms", "ms")
_DOWN = Argument("down_ms", "ms")
_SURVIVAL = Argument("survival", "word", ("none", "prefix", "subset", "all"))
_LOSS = Argument("survival", "word", ("none", "prefix", "subset"))
_SIDE = Argument("side", "members")
_FILE = Argument("file", "word", ("journal", "store"))
_CLIENT = Argument("client", "client")
_NAMING = Argument("operation", "word", ("create", "rename", "unlink", "sync"))

POINTS: Final = (
    "persist.before", "persist.after", "send.before", "send.after", "apply.before", "apply.after",
    "answer.before", "answer.after", "store.before", "store.after", "snapshot.before",
    "snapshot.after", "install.before", "install.after", "disk",
)  # fmt: skip
"""Where `crash_at` may strike: the driver's steps in either tier, and any operation of the disk.
A faultpoint of `net` may be named as well; one that is never passed never fires."""

DISHES: Final = (
    # ---- message
    Dish("clog", "message", "world", (_FROM, _TO, _MS),
         "nothing arrives; what was sent arrives afterwards, in order"),
    Dish("delay", "message", "world", (_FROM, _TO, _MS, Argument("mean_ms", "ms")),
         "every message waits an exponential time more; order is kept"),
    Dish("reset", "message", "world", (_FROM, _TO),
         "the connection between both breaks: what is under way in either direction is lost"),
    Dish("half_open", "message", "world", (_FROM, _TO, _MS),
         "what is sent is lost and the sender is not told; at the end the connection breaks"),
    Dish("slow_link", "message", "world", (_FROM, _TO, _MS, Argument("bytes_per_s", "number")),
         "messages leave one after the other at that rate"),
    Dish("noise", "message", "world",
         (_FROM, _TO, _MS, Argument("drop_percent", "number"), Argument("twice_percent", "number"),
          Argument("swap_percent", "number")),
         "messages are lost, doubled, overtaken; only with `Options.datagrams`"),
    # ---- partition: both directions between members, unless said; clients reach everybody
    Dish("isolate", "partition", "world", (_MEMBER, _MS), "one member against the rest"),
    Dish("isolate_leader", "partition", "world", (_MS,), "whoever leads then against the rest"),
    Dish("halves", "partition", "world", (_SIDE, _MS), "`side` against the rest"),
    Dish("bridge", "partition", "world", (_MEMBER, _SIDE, _MS),
         "`side` against the rest, but `member` sees both"),
    Dish("ring", "partition", "world", (_MS,), "each member sees only the next and the one before"),
    Dish("one_way", "partition", "world", (_FROM, _TO, _MS), "one direction of one link only"),
    Dish("client_side", "partition", "world", (_MEMBER, _MS),
         "clients do not reach the member, its streams break; the members see each other"),
    Dish("swizzle", "partition", "world",
         (Argument("clog", "members"), Argument("heal", "members"), Argument("step_ms", "ms")),
         "members are cut off one by one, a step apart, then healed in the other order"),
    # ---- clock
    Dish("clock_rate", "clock", "world", (_MEMBER, _MS, Argument("ppm", "number")),
         "the member's clock runs faster or slower by that"),
    Dish("clock_step", "clock", "world", (_MEMBER, Argument("step_ms", "number")),
         "the member's wall clock jumps, for good; its monotonic clock does not"),
    Dish("clock_stall", "clock", "world", (_MEMBER, _MS),
         "the machine is suspended: the member does nothing, its monotonic clock stands still"),
    # ---- process
    Dish("crash", "process", "world", (_MEMBER, _DOWN, _SURVIVAL), "the member ends at once"),
    Dish("crash_at", "process", "world",
         (_MEMBER, Argument("point", "word", POINTS), Argument("hits", "number"), _MS, _DOWN,
          _SURVIVAL),
         "the member ends when it passes the point for the so-many-th time within `ms`"),
    Dish("pause", "process", "world", (_MEMBER, _MS),
         "the process is stopped; its clocks run on, its connections stay and fill up"),
    Dish("crash_loop", "process", "world",
         (_MEMBER, Argument("times", "number"), Argument("up_ms", "ms"), _DOWN, _SURVIVAL),
         "the member ends, starts, lives `up_ms`, ends, ..."),
    Dish("crash_all", "process", "world", (_DOWN, Argument("apart_ms", "ms"), _SURVIVAL),
         "all members end together, and start one after the other, that far apart"),
    # ---- disk
    Dish("power_loss", "disk", "world", (_MEMBER, Argument("operations", "number"), _DOWN, _LOSS),
         "the power goes at the so-many-th operation of the disk from now"),
    Dish("eio", "disk", "world",
         (_MEMBER, Argument("what", "word", ("read", "write", "sync")), _DOWN),
         "the disk's next such operation fails; the member must end itself"),
    Dish("enospc", "disk", "world", (_MEMBER, _MS), "the disk is full, then has room again"),
    Dish("disarm", "disk", "clients", (_MEMBER,),
         "the alarm that the member raised when its disk was full is cleared"),
    Dish("slow_disk", "disk", "world", (_MEMBER, _MS, Argument("operation_ms", "ms")),
         "every sync takes so long"),
    Dish("bit_rot", "disk", "world",
         (_MEMBER, _FILE, Argument("at_permille", "number"), Argument("bit", "number"), _DOWN),
         "the member is killed, one bit of a durable file flips, it starts"),
    Dish("truncate", "disk", "world", (_MEMBER, _FILE, Argument("at_permille", "number"), _DOWN),
         "the member is killed, a durable file loses its tail, it starts"),
    Dish("lying_sync", "disk", "world", (_MEMBER, _MS),
         "syncs say yes and do nothing: only to prove that it is seen", drawn=False),
    # ---- operations: those by clients are asked by a process of their own, and recorded
    Dish("transfer", "operations", "world", (_MEMBER,), "leadership goes to the member"),
    Dish("depose", "operations", "world", (_MS,), "the leader steps down; nobody leads for `ms`"),
    Dish("snapshot", "operations", "world", (_MEMBER,),
         "the member takes a snapshot and cuts its log, however short"),
    Dish("restart", "operations", "world", (_MEMBER, _DOWN),
         "the member is killed, and started again"),
    Dish("compact", "operations", "clients", (_MEMBER, Argument("back", "number")),
         "a compaction so many revisions behind the newest that any client saw"),
    Dish("defragment", "operations", "clients", (_MEMBER,), "the member rewrites its store"),
    Dish("backup", "operations", "clients", (_MEMBER,), "a snapshot of the member is downloaded"),
    # ---- client
    Dish("cancel", "client", "clients", (_CLIENT,),
         "the client gives up its operation under way: its outcome is unknown"),
    Dish("reconnect", "client", "clients", (_CLIENT, _MEMBER),
         "the client gives up its operation and its streams, and goes on at the member"),
    Dish("slow_watcher", "client", "clients", (Argument("watcher", "watcher"), _MS),
         "the watcher's client reads nothing for so long"),
    Dish("oversized", "client", "clients", (_CLIENT, Argument("kib", "number")),
         "the client puts a value of that size, which may be too large"),
)  # fmt: skip

WHOLE_DISHES: Final = (
    Dish("eio_at_start", "disk", "world", (_MEMBER, Argument("operation", "number"), _DOWN),
         "the member is killed; of its next start the first operation of the disk from the "
         "so-many-th on that may fail does, and it starts again"),
    Dish("power_loss_naming", "disk", "world", (_MEMBER, _NAMING, _MS, _DOWN, _LOSS),
         "the power goes at the disk's next such change of a name, if one comes within `ms`"),
)  # fmt: skip
"""What only a member with files of its own can meet: drawn for tier 2 alone, beside the rest."""

_SPARE = Argument("spare", "number")
_ROLE = Argument("role", "word", ("voter", "learner"))

MEMBERSHIP_DISHES: Final = (
    Dish("member_add", MEMBERSHIP, "clients", (_SPARE, _ROLE),
         "a spare machine joins, to vote, or as a learner that is promoted by a client"),
    Dish("member_remove", MEMBERSHIP, "clients", (_MEMBER,),
         "the member is removed; its machine is turned off a while later"),
    Dish("member_replace", MEMBERSHIP, "clients", (_MEMBER, _SPARE, _ROLE),
         "the member is removed, and a spare machine joins in its place"),
    Dish("rolling_restart", MEMBERSHIP, "world", (_DOWN, Argument("apart_ms", "ms")),
         "all members stop and start, one after the other"),
)  # fmt: skip
"""What an operator does to who the cluster is; needs `Options.spares` to join."""

ROLE_DISHES: Final = (
    Dish("outage", MEMBERSHIP, "world", (_MEMBER, _DOWN, _SURVIVAL),
         "the member ends and stays away for so long that another may take its vote"),
)  # fmt: skip
"""What only a leader that keeps roles by itself answers: drawn where `Options.voters` is given."""

MENU: Final[Mapping[str, Dish]] = {
    dish.name: dish for dish in (*DISHES, *WHOLE_DISHES, *MEMBERSHIP_DISHES, *ROLE_DISHES)
}


def wrong(name: str, args: Mapping[str, object]) -> str:
    """Return what is wrong with a fault item's name or arguments, "" if nothing is."""
    dish = MENU.get(name)
    if dish is None:
        return f"no fault is called {name!r}"
    wanted = {argument.name for argument in dish.arguments}
    if odd := sorted(wanted ^ set(args)):
        return f"{name}: missing or unknown: {', '.join(odd)}"
    for argument in dish.arguments:
        if not _fits(argument, args[argument.name]):
            return f"{name}: {argument.name} is no {argument.kind}: {args[argument.name]!r}"
    return ""


def _fits(argument: Argument, value: object) -> bool:
    match argument.kind, value:
        case "flag", bool():
            return True
        case _, bool():
            return False
        case "member", int():
            return value >= LEADER
        case "client" | "watcher" | "ms", int():
            return value >= 0
        case "number", int():
            return True
        case "word", str():
            return not argument.words or value in argument.words or argument.name == "point"
        case "members", list():
            return all(isinstance(each, int) and each >= 0 for each in cast(list[object], value))
        case _:
            return False
