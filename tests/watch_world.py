"""Random lives of watch streams on one node, judged message by message.

The rule of this file: a sequence is drawn from a seed alone. Writes come in packs of one to three
commands; streams are opened, filled, blocked, let go and closed at any moment; a catch-up slice is
done when chance says so; every now and then all is let come to rest, and nothing may be owed.
"""

from random import Random

from core.codec import ProposalId, Proposed
from core.effects import Effect, Notify
from core.inputs import (
    Committed,
    Input,
    RoomChanged,
    Ticked,
    WatchAsked,
    WatchCanceled,
    WatchClosed,
    WatchOpened,
    WatchProgressAsked,
)
from core.node import Node, NodeConfig
from core.operations import Command, Compact, DeleteRange, Put, Txn
from core.state import State
from core.watching import WatchCreate, WatchStream
from tests.watch_judge import Judge, Stream

KEYS = (b"a", b"a/1", b"a/2", b"b", b"b\xff")
ENDS = (b"", b"", b"b", b"c", b"\0", b"a0", b"a/2")
INTERVAL_MS = 1000
FRAGMENT_BYTES = 180


class Life:
    """One node, the streams on it, and the judge who hears what they hear."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.judge = Judge(FRAGMENT_BYTES)
        config = NodeConfig(
            member_id=1,
            origin=7,
            quota_bytes=1 << 40,
            request_bytes_max=1 << 20,
            fragment_bytes=FRAGMENT_BYTES,
            progress_interval_ms=INTERVAL_MS,
        )
        self.node = Node(State(), config)
        self.index = 0
        self.now_ms = 0
        self.streams: dict[WatchStream, Stream] = {}
        self._step(Ticked(0))

    def run(self, steps: int) -> None:
        """Do that many things, then let it all come to rest."""
        deeds = (
            (self.write, 12),
            (self.watch, 6),
            (self.block, 4),
            (self.room, 4),
            (self.work, 5),
            (self.progress, 3),
            (self.compact, 1),
            (self.cancel, 1),
            (self.close, 0.3),
            (self.tick, 1),
            (self.rest, 0.7),
        )
        self.watch()
        for deed in self.chance.choices([d for d, _ in deeds], [w for _, w in deeds], k=steps):
            deed()
        self.rest()

    # What may happen.

    def write(self) -> None:
        """Commit a pack of one to three commands."""
        history = self.judge.history
        first = len(history.facts)
        commands = [self._command() for _ in range(self.chance.choice((1, 1, 1, 2, 3)))]
        self.judge.changed(list(self.streams.values()), first)
        self._commit(commands)
        self.judge.prompt(list(self.streams.values()))

    def compact(self) -> None:
        """Compact to a recent revision, the head included."""
        history = self.judge.history
        revision = history.revision - self.chance.choice((0, 0, 1, 2, 5))
        if revision > max(history.compact, 0):
            history.compact = revision
            self._commit([Compact(revision)])

    def watch(self) -> None:
        """Ask a stream, perhaps a new one, for a watcher."""
        chance, history = self.chance, self.judge.history
        if not self.streams or chance.random() < 0.2:
            opened = WatchStream()
            self.streams[opened] = Stream()
            self._step(WatchOpened(opened, chance.choice((0, 50))))
        stream, known = self._any_stream()
        head = history.revision
        starts = (0, 0, 1, 2, history.compact, history.compact - 1, head - 3, head, head + 1)
        want = WatchCreate(
            chance.choice((*KEYS, b"")),
            chance.choice(ENDS),
            chance.choice((*starts, head + 4, -1)),
            progress_notify=chance.random() < 0.5,
            no_put=chance.random() < 0.2,
            no_delete=chance.random() < 0.2,
            prev_kv=chance.random() < 0.5,
            watch_id=chance.choice((0, 0, 0, 1, 5)),
            fragment=chance.random() < 0.3,
        )
        known.asked.append(want)
        self._step(WatchAsked(stream, want))
        assert not known.asked, "a request for a watcher was not answered"

    def cancel(self) -> None:
        """Cancel a watcher that is there, or one that is not."""
        if self.streams:
            stream, known = self._any_stream()
            watch_id = self.chance.choice([*known.watchers, 99])
            if watch_id in known.watchers:
                known.canceling.append(watch_id)
            self._step(WatchCanceled(stream, watch_id))
            assert not known.canceling, "a cancellation was not answered"

    def close(self) -> None:
        """End a stream."""
        if self.streams:
            stream, _ = self._any_stream()
            self._step(WatchClosed(stream))
            del self.streams[stream]

    def block(self) -> None:
        """Let a connection be full."""
        self._set_room(blocked=True)

    def room(self) -> None:
        """Let a connection have room."""
        self._set_room(blocked=False)

    def work(self) -> None:
        """Do one slice of what waits."""
        self._take(self.node.work())

    def progress(self) -> None:
        """Ask for progress; the judge hears what comes of it."""
        if self.streams:
            self._step(WatchProgressAsked(self._any_stream()[0]))

    def tick(self) -> None:
        """Let time pass."""
        self.now_ms += self.chance.choice((50, 400, 1200))
        self._step(Ticked(self.now_ms))

    def rest(self) -> None:
        """Give everybody room, do all work; then nobody is owed anything, and marks come."""
        for stream, known in self.streams.items():
            self.judge.room(known, False)
            self._step(RoomChanged(stream, False))
        slices = 0
        while self.node.has_work():
            slices += 1
            assert slices < 2_000, "catch-up never ends"
            self._take(self.node.work())
        self.judge.settled(list(self.streams.values()))
        self._marks_come()

    def _marks_come(self) -> None:
        for stream, known in self.streams.items():
            marks = known.marks
            self._step(WatchProgressAsked(stream))
            expected = marks + self.judge.may_mark(known)
            assert known.marks == expected, "a settled stream is silent about its progress"
        head = self.judge.history.revision
        for _ in range(2):
            before = [
                (told, told.marks)
                for known in self.streams.values()
                for told in known.watchers.values()
            ]
            self.now_ms += INTERVAL_MS + 100
            self._step(Ticked(self.now_ms))
        for told, marks in before:
            due = told.want.progress_notify and not told.compacted
            expected = marks + (due and told.want.start_revision <= head)
            assert told.marks == expected, "a quiet watcher gets one mark an interval"

    # How it is driven.

    def _command(self) -> Command:
        chance, history = self.chance, self.judge.history
        pick = chance.random()
        if pick < 0.55:
            key, value = chance.choice(KEYS), b"v" * chance.choice((0, 1, 9, 40, 120))
            history.write([(key, value)], [])
            return Put(key, value)
        if pick < 0.75:
            key, end = chance.choice(KEYS), chance.choice((b"", b"b", b"\0"))
            doomed = [k for k in sorted(history.live) if _in_span(k, key, end)]
            history.write([], doomed)
            return DeleteRange(key, end)
        chosen = chance.sample(KEYS, chance.randint(1, len(KEYS)))
        split = chance.randint(0, len(chosen))
        puts = [(key, b"t" * chance.choice((1, 60))) for key in chosen[:split]]
        history.write(puts, chosen[split:])
        deletes = [DeleteRange(key) for key in chosen[split:]]
        return Txn((), (*(Put(*pair) for pair in puts), *deletes), ())

    def _commit(self, commands: list[Command]) -> None:
        self.index += 1
        pack = [Proposed(ProposalId(9, self.index), command) for command in commands]
        self._step(Committed(self.index, 1, pack))

    def _any_stream(self) -> tuple[WatchStream, Stream]:
        return self.chance.choice(list(self.streams.items()))

    def _set_room(self, *, blocked: bool) -> None:
        if self.streams:
            stream, known = self._any_stream()
            self.judge.room(known, blocked)
            self._step(RoomChanged(stream, blocked))

    def _step(self, given: Input) -> None:
        self._take(self.node.step(given))

    def _take(self, effects: object) -> None:
        assert isinstance(effects, list | tuple)
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, Notify):
            assert effect.stream in self.streams, "a message for a closed stream"
            self.judge.hear(self.streams[effect.stream], effect.message)


def _in_span(key: bytes, begin: bytes, end: bytes) -> bool:
    if not end:
        return key == begin
    return key >= begin and (end == b"\0" or key < end)
