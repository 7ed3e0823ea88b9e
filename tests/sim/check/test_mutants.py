"""An etcd that is wrong in one thing is caught, by the check that is there for it.

Each mutant stands in for the perfect copy behind the clients of real workloads; what they saw and
the log it wrote go to `check`. A mutant that no plan shows would be a judge that sees nothing.
"""

from collections.abc import Callable

import pytest

from sim.check import check
from sim.check.model import COMPACTED, Model
from sim.generate import make_plan
from sim.history import Event, Seen, WatchSpec
from sim.ops import (
    Compact,
    CompactDone,
    Compare,
    Delete,
    DeleteDone,
    Failed,
    KeepAlive,
    KeepAliveDone,
    Kv,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
)
from tests import single_copy
from tests.single_copy import SingleCopy

SEEDS = 16


# ---- models that are wrong


class VersionSurvivesDelete(Model):
    def _put(self, op: Put) -> Result:
        gone = op.key not in self.live and op.key in self.versions
        count = sum(1 for kv in self.versions.get(op.key, ()) if kv.version)
        done = super()._put(op)
        if gone and isinstance(done, PutDone):
            _rewrite(self, op.key, version=count + 1)
        return done


class CreateSurvivesDelete(Model):
    def _put(self, op: Put) -> Result:
        old = self.versions.get(op.key)
        done = super()._put(op)
        if old and isinstance(done, PutDone):
            _rewrite(self, op.key, create=old[0].create)
        return done


class DeleteOfNothingCounts(Model):
    def _delete(self, op: Delete) -> DeleteDone:
        done = super()._delete(op)
        if not done.deleted:
            self.changes.append(())
            self.rev += 1
        return done._replace(rev=self.rev)


class ComparesLooksAtCreate(Model):
    def _holds(self, compare: Compare) -> bool:
        return super()._holds(compare._replace(target=compare.target.replace("mod", "create")))


class AbsentValueIsEmpty(Model):
    def _holds(self, compare: Compare) -> bool:
        if compare.target == "value" and compare.key not in self.live:
            return compare.operand == ""
        return super()._holds(compare) or compare.target == "version"


class AlwaysSucceeds(Model):
    def _holds(self, compare: Compare) -> bool:
        return True


class CompactsOneTooMuch(Model):
    def read(self, op: Range) -> Result:
        return COMPACTED if 0 < op.rev == self.compacted else super().read(op)


class ServesTheCompacted(Model):
    def read(self, op: Range) -> Result:
        return self.read_any(op)


class CompactsAgain(Model):
    def _compact(self, op: Compact) -> Result:
        if op.rev <= self.compacted:
            return CompactDone(self.rev)
        return super()._compact(op)


class CompactionEatsALiveKey(Model):
    def _compact(self, op: Compact) -> Result:
        done = super()._compact(op)
        if isinstance(done, CompactDone) and self.names:
            del self.live[self.names.pop(0)]
        return done


class RevokeKeepsKeys(Model):
    def revoke(self, lease: int) -> bool:
        return self.leases.pop(lease, None) is not None


class RevokeTakesARevisionAKey(Model):
    def revoke(self, lease: int) -> bool:
        for name in self.keys_of(lease):
            fresh: list[Kv] = []
            self._bury(name, self.rev + 1, fresh)
            self._commit(fresh)
        return self.leases.pop(lease, None) is not None


class PutKeepsTheOldLease(Model):
    def _put(self, op: Put) -> Result:
        old = self.live.get(op.key)
        done = super()._put(op)
        if old is not None and not op.lease and isinstance(done, PutDone):
            _rewrite(self, op.key, lease=old.lease)
        return done


class CountStopsAtTheLimit(Model):
    def read(self, op: Range) -> Result:
        done = super().read(op)
        return done._replace(total=len(done.kvs)) if isinstance(done, RangeDone) else done


class NeverSaysMore(Model):
    def read(self, op: Range) -> Result:
        done = super().read(op)
        return done._replace(more=False) if isinstance(done, RangeDone) else done


class FutureIsNow(Model):
    def read(self, op: Range) -> Result:
        return super().read(op._replace(rev=0 if op.rev > self.rev else op.rev))


class PastIsNow(Model):
    def read(self, op: Range) -> Result:
        done = super().read(op)
        return super().read(op._replace(rev=0)) if isinstance(done, RangeDone) else done


def _rewrite(model: Model, key: str, **fields: int) -> None:
    """Change what was just written, wherever it is kept."""
    kv = model.live[key]._replace(**fields)  # type: ignore[arg-type]  # Only numbers are given.
    model.live[key] = model.versions[key][-1] = kv
    model.changes[-1] = (*model.changes[-1][:-1], kv)


# ---- servers that are wrong


class StaleReads(SingleCopy):
    """One read in eight is answered by the state of two revisions ago."""

    def _do(self, op: Op, call: int) -> Result:
        rev = self.model.rev - 2
        if isinstance(op, Range) and not op.rev and rev > 1 and call % 8 == 0:
            done = self.model.read_any(op._replace(rev=rev))
            return done._replace(rev=rev) if isinstance(done, RangeDone) else done
        return super()._do(op, call)


class LosesWrites(SingleCopy):
    """One put in twenty is acknowledged and forgotten."""

    def _do(self, op: Op, call: int) -> Result:
        if isinstance(op, Put) and call % 20 == 0:
            return PutDone(self.model.rev + 1)
        return super()._do(op, call)


class RefusesAndApplies(SingleCopy):
    def _do(self, op: Op, call: int) -> Result:
        done = super()._do(op, call)
        return Failed(single_copy.NO_LEADER) if isinstance(op, Put) and call % 20 == 0 else done


class AppliesTwice(SingleCopy):
    def _do(self, op: Op, call: int) -> Result:
        done = super()._do(op, call)
        if isinstance(op, Put) and call % 20 == 0:
            super()._do(op, call)
        return done


class ExpiresEarly(SingleCopy):
    def _hold(self, lease: int, ttl_s: int) -> None:
        super()._hold(lease, ttl_s)
        self._ends_us[lease] = self.world.now_us
        self.world.after(ttl_s * 500, lambda: self._expire(lease))


class ForgetsRenewals(SingleCopy):
    def _do(self, op: Op, call: int) -> Result:
        if isinstance(op, KeepAlive) and op.lease in self.model.leases:
            return KeepAliveDone(self.model.rev, op.lease, self.model.leases[op.lease])
        return super()._do(op, call)


class NeverExpires(SingleCopy):
    def _expire(self, lease: int) -> None:
        pass


class DeniesLeases(SingleCopy):
    def _do(self, op: Op, call: int) -> Result:
        if isinstance(op, KeepAlive) and call % 5 == 0:
            return KeepAliveDone(self.model.rev, op.lease, 0)
        return super()._do(op, call)


class RenewsTheDead(SingleCopy):
    def _do(self, op: Op, call: int) -> Result:
        done = super()._do(op, call)
        return (
            done._replace(ttl_s=5) if isinstance(done, KeepAliveDone) and not done.ttl_s else done
        )


class DropsEvents(SingleCopy):
    def _events(self, spec: WatchSpec, rev: int) -> list[Event]:
        return [] if rev % 7 == 0 else super()._events(spec, rev)


class RepeatsEvents(SingleCopy):
    def _see(self, stream: object, seen: Seen) -> None:
        super()._see(stream, seen)  # type: ignore[arg-type]  # The stream's class is its own.
        if seen.events and seen.rev % 7 == 0:
            super()._see(stream, seen)  # type: ignore[arg-type]


class SplitsRevisions(SingleCopy):
    def _see(self, stream: object, seen: Seen) -> None:
        for event in seen.events[:-1]:
            super()._see(stream, seen._replace(events=(event,)))  # type: ignore[arg-type]
        super()._see(stream, seen._replace(events=seen.events[-1:]))  # type: ignore[arg-type]


class ForgetsPreviousOfDeletes(SingleCopy):
    def _events(self, spec: WatchSpec, rev: int) -> list[Event]:
        events = super()._events(spec, rev)
        return [each._replace(prev=None) if each.kind == "delete" else each for each in events]


class TellsOthersKeys(SingleCopy):
    def _events(self, spec: WatchSpec, rev: int) -> list[Event]:
        return super()._events(spec._replace(end="\0", filters=()), rev)


class StartsTooLate(SingleCopy):
    def feed(self, stream: object) -> None:
        spec, rev = stream.spec, stream.next_rev  # type: ignore[attr-defined]
        if spec.rev and rev == spec.rev:
            stream.next_rev += 1  # type: ignore[attr-defined]
        super().feed(stream)  # type: ignore[arg-type]


class StartsTooEarly(SingleCopy):
    def feed(self, stream: object) -> None:
        spec, rev = stream.spec, stream.next_rev  # type: ignore[attr-defined]
        if spec.rev > 2 and rev == spec.rev:
            stream.next_rev -= 1  # type: ignore[attr-defined]
        super().feed(stream)  # type: ignore[arg-type]


class MarksAhead(SingleCopy):
    def mark(self) -> None:
        for stream in self._streams:
            if stream.is_open and stream.spec.progress:
                self._see(stream, Seen(0, "progress", self.model.rev + 1))


class LosesTombstones(SingleCopy):
    """What is told of a compacted revision lacks its deletions (etcd #19179)."""

    def _events(self, spec: WatchSpec, rev: int) -> list[Event]:
        events = super()._events(spec, rev)
        if rev <= self.model.compacted:
            events = [each for each in events if each.kind == "put"]
        return events


class CancelsAtTheCompactRevision(SingleCopy):
    def _see(self, stream: object, seen: Seen) -> None:
        spec = stream.spec  # type: ignore[attr-defined]
        compacted = self.model.compacted
        super()._see(stream, seen)  # type: ignore[arg-type]
        if seen.kind == "created" and 0 < spec.rev == compacted:
            stream.is_open = False  # type: ignore[attr-defined]
            over = Seen(0, "canceled", 0, compact_rev=compacted)
            super()._see(stream, over)  # type: ignore[arg-type]


class StallsForEver(SingleCopy):
    def feed(self, stream: object) -> None:
        if self.model.rev < 60:
            super().feed(stream)  # type: ignore[arg-type]


def _with(model: type[Model]) -> Callable[..., SingleCopy]:
    def make(*arguments: object) -> SingleCopy:
        copy = SingleCopy(*arguments)  # type: ignore[arg-type]  # Handed through.
        copy.model = model()
        return copy

    return make


WRONG: list[tuple[type[Model] | type[SingleCopy], str, str]] = [
    (VersionSurvivesDelete, "register", "linear"),
    (CreateSurvivesDelete, "register", "linear"),
    (DeleteOfNothingCounts, "register", "linear"),
    (ComparesLooksAtCreate, "txn", "linear"),
    (AbsentValueIsEmpty, "txn", "linear"),
    (AlwaysSucceeds, "txn", "linear"),
    (CompactsOneTooMuch, "compaction", "compaction"),
    (ServesTheCompacted, "compaction", "compaction"),
    (CompactsAgain, "compaction", "linear"),
    (CompactionEatsALiveKey, "compaction", "linear"),
    (RevokeKeepsKeys, "lease", "lease"),
    (RevokeTakesARevisionAKey, "lease", "lease"),
    (PutKeepsTheOldLease, "lease", "linear"),
    (CountStopsAtTheLimit, "kube", "linear"),
    (NeverSaysMore, "kube", "linear"),
    (FutureIsNow, "register", "linear"),
    (PastIsNow, "register", "linear"),
    (StaleReads, "register", "linear"),
    (LosesWrites, "register", "durability"),
    (RefusesAndApplies, "register", "durability"),
    (AppliesTwice, "register", "durability"),
    (ExpiresEarly, "lease", "lease"),
    (ForgetsRenewals, "lease", "lease"),
    (NeverExpires, "lease", "lease"),
    (DeniesLeases, "lease", "lease"),
    (RenewsTheDead, "lease", "lease"),
    (DropsEvents, "watch", "watch"),
    (RepeatsEvents, "watch", "watch"),
    (SplitsRevisions, "watch", "watch"),
    (ForgetsPreviousOfDeletes, "kube", "watch"),
    (TellsOthersKeys, "watch", "watch"),
    (StartsTooLate, "watch", "watch"),
    (StartsTooEarly, "watch", "watch"),
    (MarksAhead, "kube", "watch"),
    (LosesTombstones, "compaction", "watch"),
    (CancelsAtTheCompactRevision, "watch", "watch"),
    (StallsForEver, "register", "watch"),
]


@pytest.mark.parametrize(
    ("wrong", "workload", "named"), WRONG, ids=[each[0].__name__ for each in WRONG]
)
def test_a_mutant_is_caught_by_its_check(
    wrong: type[Model] | type[SingleCopy],
    workload: str,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = _with(wrong) if issubclass(wrong, Model) else wrong
    monkeypatch.setattr(single_copy, "SingleCopy", made)
    found: set[str] = set()
    for seed in range(SEEDS):
        plan = make_plan(seed, {"workload": workload})
        history = single_copy.play(plan, breaks_ms=3000).history
        found |= {verdict.check for verdict in check(history)}
        if named in found:
            return
    pytest.fail(f"{wrong.__name__} was caught by {sorted(found) or 'nobody'}")


def test_the_copy_itself_is_sound() -> None:
    for seed in range(2):
        for workload in sorted({each[1] for each in WRONG}):
            plan = make_plan(seed, {"workload": workload})
            history = single_copy.play(plan, breaks_ms=3000).history
            assert check(history) == []
