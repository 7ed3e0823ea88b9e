"""A naive judge of watch messages: it keeps the whole history and knows nothing of the hub.

The rule of this file: what a watcher must be told follows from the list of all changes, from what
was asked and from when; each message is held against that list at once, and what is still owed at
the end. It names the guarantee that a message breaks.
"""

from attrs import define, field, frozen

from core.keys import span_end
from core.watching import (
    Canceled,
    Compacted,
    Created,
    Events,
    Message,
    NotCreated,
    Progress,
    WatchCreate,
)
from net.etcd.pb import kv_pb2
from net.etcd.pb import rpc_pb2 as pb


@frozen
class Fact:
    """One change as a client sees it, and the key before its revision."""

    kv: kv_pb2.KeyValue
    deleted: bool
    before: kv_pb2.KeyValue | None


@define
class History:
    """Every change since the beginning, by revision; nothing is ever forgotten."""

    revision: int = 1
    compact: int = -1
    facts: list[Fact] = field(factory=list[Fact])
    live: dict[bytes, kv_pb2.KeyValue] = field(factory=dict[bytes, kv_pb2.KeyValue])

    def write(self, puts: list[tuple[bytes, bytes]], deletes: list[bytes]) -> None:
        """One transaction: puts first, then deletes of live keys; none is no revision."""
        main = self.revision + 1
        before = dict(self.live)
        done: list[Fact] = []
        for key, value in puts:
            old = self.live.get(key)
            kv = kv_pb2.KeyValue(
                key=key,
                value=value,
                mod_revision=main,
                create_revision=old.create_revision if old else main,
                version=old.version + 1 if old else 1,
            )
            done.append(Fact(kv, False, before.get(key)))
            self.live[key] = kv
        for key in deletes:
            if self.live.pop(key, None) is not None:
                gone = kv_pb2.KeyValue(key=key, mod_revision=main)
                done.append(Fact(gone, True, before.get(key)))
        if done:
            self.revision = main
            self.facts += done


@define(eq=False)
class Told:
    """One watcher: what it asked, and how far it has been told."""

    want: WatchCreate
    start: int
    position: int
    """The first entry of the history that it has not passed."""
    low: int | None
    """A bound below which it is surely served; None while it must get all at once."""
    compacted: bool = False
    fragmented: bool = False
    marked: int = 0
    marks: int = 0
    events: int = 0


@define(eq=False)
class Stream:
    """One stream as the client knows it."""

    watchers: dict[int, Told] = field(factory=dict[int, Told])
    next_id: int = 0
    blocked: bool = False
    asked: list[WatchCreate] = field(factory=list[WatchCreate])
    canceling: list[int] = field(factory=list[int])
    marks: int = 0


class Judge:
    """Holds each message against the history."""

    def __init__(self, fragment_bytes: int) -> None:
        self.history = History()
        self.fragment_bytes = fragment_bytes

    def room(self, stream: Stream, blocked: bool) -> None:
        """The stream's connection is full, or has room again."""
        stream.blocked = blocked

    def changed(self, streams: list[Stream], first: int) -> None:
        """The history grew from this entry on: note who falls behind."""
        for stream in streams:
            for told in stream.watchers.values():
                if not stream.blocked or told.low is not None:
                    continue
                for fact in self.history.facts[first:]:
                    mod = fact.kv.mod_revision
                    if mod >= told.start and _inside(told.want, fact.kv.key):
                        told.low = mod
                        break

    def hear(self, stream: Stream, message: Message) -> None:
        """Take one message; an assertion names the guarantee that it breaks."""
        history = self.history
        match message:
            case Created(revision, watch_id):
                self._created(stream, revision, watch_id)
            case NotCreated(revision, _):
                want = stream.asked.pop(0)
                assert revision == history.revision
                assert self._is_refused(stream, want), "a good watch was refused"
            case Canceled(_, watch_id):
                assert stream.canceling.pop(0) == watch_id, "cancelled what was not asked"
                del stream.watchers[watch_id]
            case Compacted(watch_id, compact_revision):
                told = stream.watchers[watch_id]
                assert compact_revision == history.compact, "compacted at another revision"
                assert told.low is not None, "cancelled though nothing was missed"
                assert told.low < history.compact, "cancelled though its history is there"
                assert not told.compacted, "cancelled twice"
                told.compacted = True
            case Progress(revision, watch_id):
                self._progress(stream, revision, watch_id)
            case Events():
                self._events(stream, message)

    def settled(self, streams: list[Stream]) -> None:
        """Nothing is under way any more: nobody may be owed anything."""
        for stream in streams:
            for told in stream.watchers.values():
                if told.compacted:
                    continue
                assert not self.owed(told), "INV-WATCH-RELIABLE: events never came"
                assert not told.fragmented, "INV-WATCH-ATOMIC: the last fragment never came"
                told.low = None

    def prompt(self, streams: list[Stream]) -> None:
        """Who is up to date and has room was told of every change at once."""
        for stream in streams:
            for told in stream.watchers.values():
                if told.low is None and not stream.blocked:
                    assert not self.owed(told), "INV-WATCH-RELIABLE: a synced watcher must wait"

    def owed(self, told: Told) -> list[Fact]:
        """Return what a watcher has still to be told, in order."""
        return [f for f in self.history.facts[told.position :] if self._is_wanted(told, f)]

    def may_mark(self, stream: Stream) -> bool:
        """Whether a settled stream answers a request for progress."""
        told = stream.watchers.values()
        return bool(told) and all(
            not each.compacted and each.want.start_revision <= self.history.revision
            for each in told
        )

    def _created(self, stream: Stream, revision: int, watch_id: int) -> None:
        want = stream.asked.pop(0)
        history = self.history
        assert not self._is_refused(stream, want), "a bad watch was taken"
        assert revision == history.revision
        if want.watch_id:
            assert watch_id == want.watch_id
        else:
            while stream.next_id in stream.watchers:
                stream.next_id += 1
            assert watch_id == stream.next_id
            stream.next_id += 1
        start = want.start_revision or revision + 1
        low = start if start <= revision else None
        stream.watchers[watch_id] = Told(want, start, 0, low)

    def _is_refused(self, stream: Stream, want: WatchCreate) -> bool:
        key, end = want.key or b"\x00", want.range_end
        empty = end not in (b"", b"\x00") and end <= key
        return want.start_revision < 0 or empty or want.watch_id in (set(stream.watchers) - {0})

    def _is_wanted(self, told: Told, fact: Fact) -> bool:
        want = told.want
        filtered = want.no_delete if fact.deleted else want.no_put
        late = fact.kv.mod_revision >= told.start
        return late and not filtered and _inside(want, fact.kv.key)

    def _progress(self, stream: Stream, revision: int, watch_id: int) -> None:
        assert revision <= self.history.revision, "INV-WATCH-BOOKMARKABLE: marks the future"
        if watch_id == -1:
            stream.marks += 1
            marked = list(stream.watchers.values())
        else:
            marked = [stream.watchers[watch_id]]
            assert marked[0].want.progress_notify, "a mark that nobody asked for"
        assert marked
        for told in marked:
            assert not told.compacted, "INV-WATCH-BOOKMARKABLE: marks a dead watcher"
            assert not told.fragmented, "INV-WATCH-ATOMIC: a mark among fragments"
            assert told.want.start_revision <= revision, "a mark before the start"
            missed = [f for f in self.owed(told) if f.kv.mod_revision <= revision]
            assert not missed, "INV-WATCH-BOOKMARKABLE: marks what was not sent"
            told.marked = revision
            told.marks += watch_id != -1

    def _events(self, stream: Stream, message: Events) -> None:
        assert message.watch_id in stream.watchers, "events for a watcher that is no more"
        told = stream.watchers[message.watch_id]
        assert not told.compacted, "events after the cancellation"
        events = pb.WatchResponse.FromString(message.events).events
        assert len(events) == message.event_count
        assert events, "an empty message"
        for event in events:
            self._event(told, event)
        told.fragmented = message.fragment
        self._fragment(told, message)
        last = events[-1].kv.mod_revision
        assert last <= message.revision <= self.history.revision
        if told.low is not None:
            told.low = max(told.low, last + (not message.fragment))
        if not message.fragment:
            rest = [f for f in self.owed(told) if f.kv.mod_revision == last]
            assert not rest, "INV-WATCH-ATOMIC: a revision in two messages"

    def _event(self, told: Told, event: kv_pb2.Event) -> None:
        facts = self.history.facts
        while told.position < len(facts) and not self._is_wanted(told, facts[told.position]):
            told.position += 1
        assert told.position < len(facts), "INV-WATCH-UNIQUE: more events than changes"
        fact = facts[told.position]
        told.position += 1
        told.events += 1
        mod = fact.kv.mod_revision
        assert mod > told.marked, "INV-WATCH-BOOKMARKABLE: an event at or before a mark"
        compact = self.history.compact
        assert told.low is None or mod >= compact, "an event of a compacted revision"
        expected = kv_pb2.Event(kv=fact.kv)
        if fact.deleted:
            expected.type = kv_pb2.Event.DELETE
        created = fact.kv.create_revision == mod
        if told.want.prev_kv and fact.before is not None and not created and mod - 1 >= compact:
            expected.prev_kv.CopyFrom(fact.before)
        assert event == expected, f"INV-WATCH-ORDERED, PrevKV or IsCreate: {event} {expected}"

    def _fragment(self, told: Told, message: Events) -> None:
        assert told.want.fragment or not message.fragment, "a fragment that nobody asked for"
        if told.want.fragment and message.event_count > 1:
            assert len(message.events) < self.fragment_bytes, "a fragment above its bound"


def _inside(want: WatchCreate, key: bytes) -> bool:
    begin = want.key or b"\x00"
    end = span_end(begin, want.range_end)
    return begin <= key and (end is None or key < end)
