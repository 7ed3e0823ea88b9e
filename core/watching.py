"""The watch hub's nouns: streams, watchers, the groups they share, the messages they get."""

from typing import NamedTuple

from attrs import define, field

from core.records import Version, record_of, varint


class WatchCreate(NamedTuple):
    """A request to watch [key, range_end). An id of 0 asks for the next free one."""

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    progress_notify: bool = False
    no_put: bool = False
    no_delete: bool = False
    prev_kv: bool = False
    watch_id: int = 0
    fragment: bool = False


class Created(NamedTuple):
    """The watcher exists; what it sends follows."""

    revision: int
    watch_id: int


class NotCreated(NamedTuple):
    """The request was refused: created and cancelled at once, with id -1."""

    revision: int
    reason: str


class Canceled(NamedTuple):
    """The client ended the watcher."""

    revision: int
    watch_id: int


class Compacted(NamedTuple):
    """The watcher wanted history that is gone; header revision 0, as in etcd."""

    watch_id: int
    compact_revision: int


class Events(NamedTuple):
    """Whole revisions of events, serialised; `fragment` if more of the last one follow."""

    revision: int
    watch_id: int
    events: bytes
    event_count: int
    fragment: bool


class Progress(NamedTuple):
    """Everything up to `revision` has been sent; id -1 speaks for all watchers of the stream."""

    revision: int
    watch_id: int


Message = Created | NotCreated | Canceled | Compacted | Events | Progress


@define(eq=False)
class WatchStream:
    """One Watch RPC: its watchers by id, and whether its connection has room."""

    watchers: "dict[int, Watcher]" = field(factory=lambda: dict[int, Watcher]())
    next_id: int = 0
    blocked: bool = False
    progress_at_ms: int = 0
    wants_leader: bool = False
    """It ends once nobody has led for long."""
    token: object = None
    """The shell's own name for it."""


@define(eq=False)
class Watcher:
    """One watch. `next` is the first revision not sent yet; while synced it may lag behind."""

    stream: WatchStream
    id: int
    group: "Group"
    start: int
    next: int
    want: WatchCreate
    synced: bool = True
    compacted: bool = False
    quiet: bool = True
    """No event since the last progress tick."""


class Flavour(NamedTuple):
    """What shapes the bytes of an event besides the event."""

    prev_kv: bool
    no_put: bool
    no_delete: bool


@define(eq=False)
class Group:
    """All watchers of one range: a change is matched once for them together."""

    key: bytes
    range_end: bytes
    synced: "dict[Watcher, None]" = field(factory=dict[Watcher, None])
    unsynced: "dict[Watcher, None]" = field(factory=dict[Watcher, None])


class Change(NamedTuple):
    """A change on its way to watchers, with the version before it (None if compacted)."""

    version: Version
    previous: Version | None


def event_bytes(change: Change, prev_kv: bool) -> bytes:
    """Return one mvccpb.Event as field 11 of a WatchResponse."""
    version, previous = change
    body = version.framed
    if version.version == 0:
        body = b"\x08\x01" + body
    if prev_kv and previous is not None:
        record = record_of(previous.framed)
        body += b"\x1a" + varint(len(record)) + record
    return b"\x5a" + varint(len(body)) + body


def is_wanted(version: Version, flavour: Flavour) -> bool:
    """Whether a flavour's filters let a change through."""
    return not (flavour.no_delete if version.version == 0 else flavour.no_put)
