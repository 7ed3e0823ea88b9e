"""A run as its clients saw it: one JSON line for each thing that happened, in order.

Rule of this file: shapes and their JSON; nothing is judged here. The same file comes from the
simulator and from real processes. Times are microseconds since the run began, on the clock that
all clients share. Process ids are retired after an unknown outcome, as in Jepsen.

    {"type":"run", "facts", "healed", "logged"}    first line; facts: seed, options, versions
    {"type":"invoke", "i", "t", "p", "member", "v"}
    {"type":"ok"|"fail"|"info", "i", "t", "p", "v"}     `i` is that of the invocation
    {"type":"watch", "t", "w", "ev":"open", "p", "member", "spec", "after"}
    {"type":"watch", "t", "w", "ev":"created"|"events"|"progress"|"canceled"|"lost"|"closed", ...}
    {"type":"cache", "t", "p", "key", "end", "rev", "objects"}
    {"type":"fault", "t", "what", "members", "on", "detail"}
    {"type":"log", "index", "term", "commands": [[position, call or null, what, rev after it, t]]}
    {"type":"end", "t"}
"""

from typing import NamedTuple

from attrs import define, field

from sim.ops import Json, Kv, Op, Result

NEVER_US = 1 << 62
"""When an operation of unknown outcome returned."""


class Call(NamedTuple):
    """One operation of a client, from invocation to answer. `number` names it in the history."""

    number: int
    process: int
    member: int
    op: Op
    invoked_us: int
    returned_us: int
    """`NEVER_US` where the outcome is unknown."""
    result: Result


class WatchSpec(NamedTuple):
    """What one watcher asked for. `filters`: noput, nodelete."""

    key: str
    end: str = ""
    rev: int = 0
    prev_kv: bool = False
    progress: bool = False
    fragment: bool = False
    filters: tuple[str, ...] = ()


class Event(NamedTuple):
    """A put, or a delete (then `kv` has key and mod only)."""

    kind: str
    kv: Kv
    prev: Kv | None = None


class Seen(NamedTuple):
    """One thing that a watcher saw.

    `kind`: created, events, progress, canceled, or lost (the stream broke). `rev` is the header's.
    """

    time_us: int
    kind: str
    rev: int
    events: tuple[Event, ...] = ()
    compact_rev: int = 0
    reason: str = ""
    fragment: bool = False
    """More of the same revision follows in the next response."""


@define
class Watcher:
    """One watcher's life on one stream. A resumed watch is a new one."""

    number: int
    process: int
    member: int
    spec: WatchSpec
    opened_us: int
    opened_after_rev: int = 0
    """The highest revision its client had seen acknowledged when it asked."""
    seen: list[Seen] = field(factory=list[Seen])
    closed_us: int = NEVER_US
    """When its client gave it up."""


class Expire(NamedTuple):
    """A lease's end by time, as the log has it."""

    lease: int


class Logged(NamedTuple):
    """One command of the committed log. `call` is None where no client asked for it.

    `what` is the client's operation, an `Expire` that ended a lease, or None for what clients
    cannot tell: an alarm, an expiry that came too late to do anything.
    """

    log_index: int
    position: int
    term: int
    call: int | None
    what: Op | Expire | None
    rev: int
    """The store's revision after it."""
    time_us: int = -1
    """When the first member applied it; -1 where nobody looked."""


class Fault(NamedTuple):
    """Something that the world did to members, links, clocks or disks. `on`: begins or ends."""

    time_us: int
    what: str
    members: tuple[int, ...]
    on: bool
    detail: str = ""


class Cache(NamedTuple):
    """An informer's cache when the run ended: key, mod revision and value, sorted by key."""

    process: int
    time_us: int
    key: str
    end: str
    rev: int
    """The revision of which it is a picture."""
    objects: tuple[tuple[str, int, str], ...]


@define
class History:
    """A whole run."""

    facts: dict[str, Json] = field(factory=dict[str, Json])
    """Seed, options, commit, versions."""
    calls: list[Call] = field(factory=list[Call])
    watchers: list[Watcher] = field(factory=list[Watcher])
    faults: list[Fault] = field(factory=list[Fault])
    caches: list[Cache] = field(factory=list[Cache])
    """What informers that were still at work held in the end."""
    log: list[Logged] | None = None
    """The committed log, where the run could see it: in order, without gaps."""
    healed_us: int = NEVER_US
    """From when on nothing was wrong any more: liveness is owed."""
    ended_us: int = 0
