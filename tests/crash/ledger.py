"""What a store must hold after a sequence of commands: said once more, naively.

The rule of this file: nothing of `core` but the shapes of commands; every question is answered by
walking a list. One `Ledger` is the whole history of one data directory.
"""

from attrs import define, field, frozen

from core.operations import (
    AlarmSet,
    Command,
    Compact,
    Compare,
    CompareTarget,
    DeleteRange,
    LeaseExpire,
    LeaseGrant,
    LeaseRevoke,
    Operation,
    Put,
    Range,
    Txn,
)


@frozen
class Fact:
    """One change: a value or, with `value` None, a deletion."""

    revision: int
    key: bytes
    value: bytes | None
    create: int = 0
    version: int = 0
    lease: int = 0


@define
class Ledger:
    """Everything that was ever changed, and what is in force now."""

    revision: int = 1
    compacted: int = -1
    facts: dict[int, list[Fact]] = field(factory=dict[int, list[Fact]])
    live: dict[bytes, Fact] = field(factory=dict[bytes, Fact])
    leases: dict[int, tuple[int, int]] = field(factory=dict[int, tuple[int, int]])
    """id -> (TTL in seconds, index of the grant)."""
    alarms: set[tuple[int, int]] = field(factory=set[tuple[int, int]])
    _fresh: list[Fact] = field(factory=list[Fact])

    def take(self, command: Command, index: int, term: int) -> None:
        """Do what the command says, as the pack at `index` of `term` has it."""
        if self.alarms and _grows(command):
            return
        match command:
            case Put() | DeleteRange() | Txn():
                if self._may(command):
                    self._do(command)
            case LeaseGrant(lease, ttl_s):
                if lease not in self.leases:
                    self.leases[lease] = (max(ttl_s, 2), index)
            case LeaseRevoke(lease):
                self._end_lease(lease)
            case LeaseExpire(lease, in_term, generation):
                if in_term == term and self.leases.get(lease, (0, 0))[1] == generation:
                    self._end_lease(lease)
            case Compact(revision):
                if self.compacted < revision <= self.revision:
                    self.compacted = revision
            case AlarmSet(member, kind, raised):
                (self.alarms.add if raised else self.alarms.discard)((member, kind))
            case _:
                pass
        if self._fresh:
            self.revision += 1
            self.facts[self.revision] = self._fresh
            self._fresh = []

    def of(self, revision: int) -> list[Fact]:
        """Return what a revision changed, in order."""
        return self.facts.get(revision, [])

    def said(self, revision: int, key: bytes) -> Fact | None:
        """Return what a revision made of a key."""
        told = [fact for fact in self.of(revision) if fact.key == key]
        return told[-1] if told else None

    def _may(self, op: Operation) -> bool:
        """Whether no put names a lease that is not there: then the whole command is refused."""
        if isinstance(op, Put):
            return not op.lease or op.lease in self.leases
        if isinstance(op, Txn):
            return all(self._may(each) for each in self._branch(op))
        return True

    def _branch(self, txn: Txn) -> tuple[Operation, ...]:
        return txn.success if all(map(self._holds, txn.compares)) else txn.failure

    def _holds(self, compare: Compare) -> bool:
        fact = self.live.get(compare.key)
        match CompareTarget(compare.target):
            case CompareTarget.MOD:
                return (fact.revision if fact else 0) == compare.operand
            case CompareTarget.CREATE:
                return (fact.create if fact else 0) == compare.operand
            case CompareTarget.VERSION:
                return (fact.version if fact else 0) == compare.operand
            case _:
                return fact is not None and fact.value == compare.operand

    def _do(self, op: Operation) -> None:
        match op:
            case Put(key, value, lease):
                before = self.live.get(key)
                create, version = (before.create, before.version) if before else (0, 0)
                now = self.revision + 1
                fact = Fact(now, key, value, create or now, version + 1, lease)
                self.live[key] = fact
                self._fresh.append(fact)
            case DeleteRange(key, end):
                for gone in sorted(k for k in self.live if (key <= k < end if end else k == key)):
                    self._delete(gone)
            case Txn():
                for each in self._branch(op):
                    self._do(each)
            case Range():
                pass

    def _delete(self, key: bytes) -> None:
        del self.live[key]
        self._fresh.append(Fact(self.revision + 1, key, None))

    def _end_lease(self, lease: int) -> None:
        if self.leases.pop(lease, None) is not None:
            for key in sorted(k for k, fact in self.live.items() if fact.lease == lease):
                self._delete(key)


def _grows(command: Command) -> bool:
    if isinstance(command, Txn):
        return any(map(_puts, (*command.success, *command.failure)))
    return isinstance(command, Put | LeaseGrant)


def _puts(op: Operation) -> bool:
    return isinstance(op, Put) or (isinstance(op, Txn) and _grows(op))
