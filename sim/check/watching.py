"""The watch guarantees: what each watcher was told, held against the revisions of the run.

Rule of this file: what a watcher is owed follows from the timeline, from what it asked for and
from the revision it was created at; each message is held against that at once, and what is
missing, once the run is over and healed.
"""

from sim.check import shape
from sim.check.guarantees import Found
from sim.check.settings import Bounds
from sim.check.timeline import Timeline
from sim.check.verdict import Side
from sim.check.wording import side, watcher_side
from sim.history import NEVER_US, Event, History, Seen, Watcher
from sim.ops import Kv
from sim.wording import happened, held


def judge_watches(history: History, timeline: Timeline, bounds: Bounds, found: Found) -> None:
    """Judge every watcher of a run."""
    for watcher in history.watchers:
        judge = _Judge(watcher, timeline, found)
        for seen in watcher.seen:
            if not judge.hear(seen):
                break
        else:
            judge.end(history, bounds)


class _Judge:
    """Follows one watcher."""

    def __init__(self, watcher: Watcher, timeline: Timeline, found: Found) -> None:
        self.watcher = watcher
        self.timeline = timeline
        self.changes = timeline.model.changes
        self.found = found
        spec = watcher.spec
        self.start = spec.rev
        self.next = spec.rev
        """All wanted events of revisions before it were delivered."""
        self.partial: list[Event] = []
        """Delivered of revision `next`, in fragments."""
        self.marked = 0
        self.is_created = False
        self.is_over = False

    # Messages.

    def hear(self, seen: Seen) -> bool:
        """Take one message. Return False where it broke a guarantee: the rest is moot."""
        if self.is_over and seen.kind != "lost":
            return self._broken("watch/after-cancel", "it was told more after its end", seen)
        match seen.kind:
            case "created":
                return self._created(seen)
            case "events":
                return self._events(seen)
            case "progress":
                return self._progress(seen)
            case "canceled":
                self.is_over = True
                return self._canceled(seen)
            case _:
                self.is_over = True
                return True

    def _created(self, seen: Seen) -> bool:
        self.is_created = True
        if self.start <= 0:
            self.start = self.next = seen.rev + 1
        return self._in_time(seen, seen.rev)

    def _events(self, seen: Seen) -> bool:
        if not self.is_created:
            why = "it was told of changes before it was told that it is there"
            return self._broken("watch/resumable", why, seen)
        if seen.fragment and not self.watcher.spec.fragment:
            return self._broken("watch/atomic", "a fragment that it did not ask for", seen)
        if not self._in_time(seen, seen.events[-1].kv.mod if seen.events else seen.rev):
            return False
        for event in seen.events:
            if not self._event(event, seen):
                return False
        if seen.fragment or not self.partial:
            return True
        wanted = self._wanted(self.next)
        if len(self.partial) < len(wanted):
            why = f"revision {self.next} was cut before {_named(wanted[len(self.partial)])}"
            return self._broken("watch/atomic", why, seen, self.next)
        self._pass()
        return True

    def _event(self, event: Event, seen: Seen) -> bool:
        kv = event.kv
        if not self._is_wanted(kv, event.kind == "delete"):
            why = f"it did not ask for {happened(event)}"
            return self._broken("watch/filter", why, seen, kv.mod)
        if kv.mod < self.start:
            why = f"it asked for revision {self.start} and later, not for {kv.mod}"
            return self._broken("watch/older-than-asked", why, seen, kv.mod)
        if self.partial and kv.mod > self.next:
            wanted = self._wanted(self.next)
            if len(self.partial) < len(wanted):
                why = f"{_named(wanted[len(self.partial)])} is missing before {happened(event)}"
                return self._broken("watch/reliable", why, seen, self.next)
            self._pass()
        if kv.mod < self.next:
            return self._backwards(event, seen)
        return self._forwards(event, seen)

    def _backwards(self, event: Event, seen: Seen) -> bool:
        mod = event.kv.mod
        if mod <= self.marked:
            why = f"everything up to {self.marked} was said to be delivered; then {mod} came"
            return self._broken("watch/bookmarkable", why, seen, mod)
        is_again = (
            any(
                event.kv.key == old.kv.key and mod == old.kv.mod
                for each in self.watcher.seen
                if each is not seen and each.time_us <= seen.time_us
                for old in each.events
            )
            or sum(old.kv[:2] == event.kv[:2] and old.kv.mod == mod for old in seen.events) > 1
        )
        why = f"{happened(event)} came after revision {self.next - 1}"
        if is_again:
            return self._broken("watch/unique", f"{happened(event)} came twice", seen, mod)
        return self._broken("watch/ordered", why, seen, mod)

    def _forwards(self, event: Event, seen: Seen) -> bool:
        mod = event.kv.mod
        head = self.timeline.model.rev
        if mod > head:
            why = f"revision {mod} never came about; the newest is {head}"
            return self._broken("watch/wrong-event", why, seen)
        for rev in range(self.next, mod):
            wanted = self._wanted(rev)
            if wanted:
                return self._gap(wanted[0], event, seen)
        self.next = mod
        wanted = self._wanted(mod)
        place = len(self.partial)
        if place >= len(wanted):
            is_again = any(event.kv == old.kv for old in self.partial)
            klass = "watch/unique" if is_again else "watch/wrong-event"
            why = f"{happened(event)} is no change, or came twice"
            return self._broken(klass, why, seen, mod)
        self.partial.append(event)
        return self._same(event, wanted[place], seen)

    def _gap(self, missing: Kv, event: Event, seen: Seen) -> bool:
        """An event came, and one before it had not."""
        why = f"{_named(missing)} is missing before {happened(event)}"
        klass = "watch/resumable" if self._is_first(seen) else "watch/reliable"
        for later in self.watcher.seen:
            for each in later.events:
                if each.kv.key == missing.key and each.kv.mod == missing.mod:
                    klass = "watch/ordered"
                    why = f"{_named(missing)} came only after {happened(event)}"
        return self._broken(klass, why, seen, missing.mod)

    def _same(self, event: Event, kv: Kv, seen: Seen) -> bool:
        """Hold an event against the change that it must be."""
        given = event.kv
        is_delete = event.kind == "delete"
        if given == kv and is_delete == (not kv.version):
            return self._prev(event, seen)
        why = f"{happened(event)} must be {_named(kv)}"
        if given.key != kv.key and any(each.key == given.key for each in self._wanted(kv.mod)):
            return self._broken("watch/ordered", why, seen, kv.mod)
        if given._replace(create=kv.create, version=kv.version) == kv:
            return self._broken("watch/is-create", why, seen, kv.mod)
        return self._broken("watch/wrong-event", why, seen, kv.mod)

    def _prev(self, event: Event, seen: Seen) -> bool:
        prev, kv = event.prev, event.kv
        before = self.timeline.model.version_at(kv.key, kv.mod - 1)
        if not self.watcher.spec.prev_kv:
            if prev is None:
                return True
            why = f"{happened(event)} carries what was before, which was not asked for"
            return self._broken("watch/prev-kv", why, seen, kv.mod)
        if prev == before:
            return True
        if prev is None:
            compaction = self.timeline.compacted_maybe(seen.time_us)
            if compaction is not None and compaction.rev > kv.mod - 1:
                return True
        why = f"{happened(event)} must carry {held(before)}, not {held(prev)}"
        return self._broken("watch/prev-kv", why, seen, kv.mod)

    def _progress(self, seen: Seen) -> bool:
        if self.partial:
            return self._broken("watch/atomic", "a mark among fragments", seen, self.next)
        if not self._in_time(seen, seen.rev):
            return False
        if seen.rev < self.start - 1:
            why = f"it asked for revision {self.start} and later, not for a mark at {seen.rev}"
            return self._broken("watch/older-than-asked", why, seen)
        if seen.rev < self.marked:
            why = f"a mark at {seen.rev} after one at {self.marked}"
            return self._broken("watch/bookmarkable", why, seen)
        for rev in range(self.next, seen.rev + 1):
            wanted = self._wanted(rev)
            if wanted:
                why = f"all up to {seen.rev} was said to be delivered, {_named(wanted[0])} was not"
                return self._broken("watch/bookmarkable", why, seen, rev)
        self.marked = seen.rev
        self.next = max(self.next, seen.rev + 1)
        return True

    def _canceled(self, seen: Seen) -> bool:
        if not seen.compact_rev:
            if seen.reason == shape.COMPACTED and self.watcher.spec.rev >= 0:
                why = "it was cancelled as compacted without being told the revision"
                return self._broken("watch/compacted-cancel", why, seen)
            return True
        if self.next >= seen.compact_rev:
            why = f"it needs revision {self.next}, which {seen.compact_rev} does not forget"
            return self._broken("watch/compacted-cancel", why, seen)
        possible = [
            each
            for each in self.timeline.compactions
            if each.rev == seen.compact_rev and each.low_us <= seen.time_us
        ]
        if not possible:
            why = f"nothing had been compacted at {seen.compact_rev}"
            return self._broken("watch/compacted-cancel", why, seen)
        return True

    # The end.

    def end(self, history: History, bounds: Bounds) -> None:
        """Nothing more came: what is owed to a watcher that is still open?"""
        watcher = self.watcher
        if self.is_over or watcher.closed_us != NEVER_US or history.healed_us == NEVER_US:
            return
        quiet_us = history.ended_us - bounds.watch_us
        if max(watcher.opened_us, history.healed_us) > quiet_us:
            return
        seen = watcher.seen[-1] if watcher.seen else None
        if not self.is_created:
            self._broken("watch/liveness", "it was never created", seen)
            return
        for rev in range(self.next, self.timeline.surely(quiet_us) + 1):
            wanted = self._wanted(rev)[len(self.partial) if rev == self.next else 0 :]
            if wanted:
                why = f"{_named(wanted[0])} never came, nor anything after it"
                time_us = max(self.timeline.high[rev], history.healed_us)
                self._broken("watch/liveness", why, seen, rev, time_us=time_us)
                return

    # What is owed.

    def _is_wanted(self, kv: Kv, is_delete: bool) -> bool:
        return shape.wants(self.watcher.spec, kv.key, is_delete=is_delete)

    def _wanted(self, rev: int) -> list[Kv]:
        if not 0 <= rev < len(self.changes):
            return []
        return [kv for kv in self.changes[rev] if self._is_wanted(kv, not kv.version)]

    def _pass(self) -> None:
        self.next += 1
        self.partial = []

    def _is_first(self, seen: Seen) -> bool:
        first = next((each for each in self.watcher.seen if each.events), None)
        return first is seen and self.watcher.spec.rev > 0 and not self.partial

    def _in_time(self, seen: Seen, rev: int) -> bool:
        low = self.timeline.low
        if rev < len(low) and low[rev] > seen.time_us:
            why = f"revision {rev} was asked for only after it was shown"
            return self._broken("watch/from-the-future", why, seen, rev)
        return True

    def _broken(
        self, klass: str, why: str, seen: Seen | None, rev: int = 0, *, time_us: int = -1
    ) -> bool:
        """Report it, against the write of a revision; return False."""
        sides: tuple[Side, ...] = (watcher_side(self.watcher, seen),)
        if 1 < rev < len(self.timeline.writers):
            call = self.timeline.writers[rev]
            maker = (
                Side(f"revision {rev}", "no client asked for it") if call is None else side(call)
            )
            sides = (maker, *sides)
        if time_us < 0:
            time_us = self.watcher.opened_us if seen is None else seen.time_us
        self.found.add(klass, why, sides, time_us)
        return False


def _named(kv: Kv) -> str:
    return happened(Event("put" if kv.version else "delete", kv))
