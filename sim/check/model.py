"""A small etcd: operations in, exact results out; it never forgets, so any revision can be read.

Rule of this file: it sees `sim.ops` alone and shares nothing with the product or with `sim.oracle`.
A compaction is one number; time is unknown here: leases end when they are told to.

    live       key -> Kv, and `names`, the same keys sorted
    changes    what each revision changed, by revision; revisions 0 and 1 changed nothing
    versions   key -> every Kv it ever had, oldest first; a tombstone has version 0
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from operator import attrgetter, eq, gt, lt, ne
from typing import Final, Protocol, TypeVar

from sim.check import shape
from sim.ops import (
    Compact,
    CompactDone,
    Compare,
    Delete,
    DeleteDone,
    Failed,
    Grant,
    GrantDone,
    Kv,
    Op,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Revoke,
    RevokeDone,
    Txn,
    TxnDone,
    TxnOp,
    TxnResult,
)

COMPACTED: Final = Failed(shape.COMPACTED)
FUTURE: Final = Failed(shape.FUTURE)
LEASE_NOT_FOUND: Final = Failed(shape.LEASE_NOT_FOUND)
LEASE_EXISTS: Final = Failed(shape.LEASE_EXISTS)

SIGNS: Final = {"=": eq, "!=": ne, "<": lt, ">": gt}
NO_KV: Final = Kv("", "", 0, 0, 0)
MOD: Final = attrgetter("mod")

Shape = TypeVar("Shape")


class _Maker(Protocol):
    def __call__(self, kind: type[Shape], fields: tuple[object, ...]) -> Shape: ...


_new: Final[_Maker] = type.__getattribute__(tuple, "__new__")
"""Makes a named tuple of a tuple, in half the time that its class takes."""

Path = tuple[bool, "tuple[Path, ...]"]
"""Which branch a transaction takes, and the paths of the transactions nested in that branch."""


class Model:
    """One etcd without clock, network, disk or members."""

    def __init__(self, *, knows_leases: bool = True) -> None:
        """Begin at revision 1. Without `knows_leases` any lease named is taken to exist."""
        self.rev = 1
        self.compacted = -1
        self.live: dict[str, Kv] = {}
        self.names: list[str] = []
        self.changes: list[tuple[Kv, ...]] = [(), ()]
        self.versions: dict[str, list[Kv]] = {}
        self.leases: dict[int, int] = {}
        self.knows_leases = knows_leases
        self._ever: list[str] = []

    def apply(self, op: Op) -> Result:
        """Do an operation and return what a client must be told. An error applies nothing.

        Only what the state decides: a misshapen request is the caller's to refuse. Costs
        O(keys touched); raises TypeError for operations that depend on time or on members.
        """
        if isinstance(op, Put):
            return self._put(op)
        if isinstance(op, Range):
            return self.read(op)
        if isinstance(op, Txn):
            return self._txn(op)
        if isinstance(op, Delete):
            return self._delete(op)
        if isinstance(op, Compact):
            return self._compact(op)
        if isinstance(op, Grant):
            return self._grant(op)
        if isinstance(op, Revoke):
            return RevokeDone(self.rev) if self.revoke(op.lease) else LEASE_NOT_FOUND
        raise TypeError(f"the model cannot do {op}")

    def revoke(self, lease: int) -> bool:
        """End a lease: all its keys go in one revision. Return whether it existed."""
        if self.knows_leases and self.leases.pop(lease, None) is None:
            return False
        fresh: list[Kv] = []
        for name in self.keys_of(lease):
            self._bury(name, self.rev + 1, fresh)
        self._commit(fresh)
        return True

    def impose(self, changes: tuple[Kv, ...]) -> None:
        """Make the next revision of changes that are known; a tombstone has version 0."""
        fresh: list[Kv] = []
        for kv in changes:
            if kv.key in self.live:
                self._bury(kv.key, kv.mod, fresh)
                self.versions[kv.key].pop()
            if kv.version:
                self._born(kv.key, kv)
                self.live[kv.key] = kv
            else:
                self.versions.setdefault(kv.key, []).append(kv)
        self._commit(list(changes))

    def keys_of(self, lease: int) -> list[str]:
        """Return the keys attached to a lease, sorted. Costs O(keys)."""
        return [name for name in self.names if self.live[name].lease == lease]

    def undo(self) -> None:
        """Take back the newest revision."""
        for kv in reversed(self.changes.pop()):
            name = kv.key
            versions = self.versions[name]
            versions.pop()
            before = versions[-1] if versions else None
            if before is not None and before.version:
                if name not in self.live:
                    insort(self.names, name)
                self.live[name] = before
            elif name in self.live:
                del self.live[name]
                del self.names[bisect_left(self.names, name)]
        self.rev -= 1

    # Reading.

    def read(self, op: Range) -> Result:
        """Answer a range at the newest revision or at the one it names."""
        key, end, rev, limit, _, keys_only, count_only = op
        if rev > 0:
            if rev > self.rev:
                return FUTURE
            if rev < self.compacted:
                return COMPACTED
        return self._read(key, end, rev, (limit, keys_only, count_only), self.rev)

    def read_any(self, op: Range) -> Result:
        """Answer a range as if nothing had been compacted."""
        key, end, rev, limit, _, keys_only, count_only = op
        if rev > self.rev:
            return FUTURE
        return self._read(key, end, rev, (limit, keys_only, count_only), self.rev)

    def _read(
        self, key: str, end: str, rev: int, form: tuple[int, bool, bool], head: int
    ) -> RangeDone:
        """`form`: limit, keys only, count only."""
        limit, keys_only, count_only = form
        if 0 < rev < head:
            kvs = tuple(self.at(key, end, rev))
        elif not end:
            kv = self.live.get(key)
            kvs = () if kv is None else (kv,)
        else:
            live = self.live
            kvs = tuple([live[name] for name in _span(self.names, key, end)])
        total = len(kvs)
        if count_only:
            return RangeDone(head, (), total)
        more = 0 < limit < total
        if more:
            kvs = kvs[:limit]
        if keys_only:
            kvs = tuple([kv._replace(value="") for kv in kvs])
        return _new(RangeDone, (head, kvs, total, more))

    def at(self, key: str, end: str, rev: int) -> Iterator[Kv]:
        """Yield the keys of a range as they were at a revision, compacted or not, sorted."""
        for name in _span(self._ever, key, end) if end else (key,):
            kv = self.version_at(name, rev)
            if kv is not None:
                yield kv

    def version_at(self, name: str, rev: int) -> Kv | None:
        """Return a key as it was at a revision; None where it was absent."""
        versions = self.versions.get(name)
        if not versions:
            return None
        kv = versions[bisect_right(versions, rev, key=MOD) - 1]
        return kv if kv.version and kv.mod <= rev else None

    # Writing.

    def _put(self, op: Put) -> Result:
        key, value, lease, prev_kv = op
        if lease and self.knows_leases and lease not in self.leases:
            return LEASE_NOT_FOUND
        rev = self.rev + 1
        old = self.live.get(key)
        if old is None:
            kv = _new(Kv, (key, value, rev, rev, 1, lease))
            self._born(key, kv)
        else:
            kv = _new(Kv, (key, value, old[2], rev, old[4] + 1, lease))
            self.versions[key].append(kv)
        self.live[key] = kv
        self.changes.append((kv,))
        self.rev = rev
        return _new(PutDone, (rev, old if prev_kv else None))

    def _delete(self, op: Delete) -> DeleteDone:
        fresh: list[Kv] = []
        gone = self._bury_all(op, self.rev + 1, fresh)
        self._commit(fresh)
        return DeleteDone(self.rev, len(gone), gone if op.prev_kv else ())

    def _bury_all(self, op: Delete, rev: int, fresh: list[Kv]) -> tuple[Kv, ...]:
        if op.end:
            names = list(_span(self.names, op.key, op.end))
        else:
            names = [op.key] if op.key in self.live else []
        return tuple([self._bury(name, rev, fresh) for name in names])

    def _bury(self, name: str, rev: int, fresh: list[Kv]) -> Kv:
        old = self.live.pop(name)
        del self.names[bisect_left(self.names, name)]
        tombstone = Kv(name, "", 0, rev, 0)
        self.versions[name].append(tombstone)
        fresh.append(tombstone)
        return old

    def _born(self, name: str, kv: Kv) -> None:
        insort(self.names, name)
        versions = self.versions.get(name)
        if versions is None:
            insort(self._ever, name)
            self.versions[name] = [kv]
        else:
            versions.append(kv)

    def _commit(self, fresh: list[Kv]) -> None:
        if fresh:
            self.changes.append(tuple(fresh))
            self.rev += 1

    def _txn(self, op: Txn) -> Result:
        path = self._path(op)
        branch = op[1] if path[0] else op[2]
        if len(branch) == 1:
            each = branch[0]
            if type(each) is Put and not each[2]:
                done = self._put(each)
                return _new(TxnDone, (self.rev, path[0], (done,)))
            if type(each) is Range and not each[2]:
                return _new(TxnDone, (self.rev, path[0], (self.read(each),)))
        error = self._forbidden(op, path)
        if error is not None:
            return error
        fresh: list[Kv] = []
        done = self._run(op, path, fresh)
        self._commit(fresh)
        return done if done.rev == self.rev else stamped(done, self.rev)

    def _path(self, op: Txn) -> Path:
        """Decide every comparison on the state before."""
        succeeded = True
        for compare in op[0]:
            if not self._holds(compare):
                succeeded = False
                break
        branch = op[1] if succeeded else op[2]
        nested = [self._path(each) for each in branch if type(each) is Txn]
        return succeeded, tuple(nested) if nested else ()

    def _holds(self, compare: Compare) -> bool:
        key, target, sign, operand, end = compare
        if target == "mod" and sign == "=" and not end:
            kv = self.live.get(key)
            return (0 if kv is None else kv[3]) == operand
        holds = SIGNS[sign]
        if end:
            kvs = [self.live[name] for name in _span(self.names, key, end)]
        else:
            kvs = [self.live[key]] if key in self.live else []
        if not kvs:
            return target != "value" and holds(getattr(NO_KV, target), operand)
        return all([holds(getattr(kv, target), operand) for kv in kvs])

    def _forbidden(self, op: Txn, path: Path) -> Failed | None:
        """Check the taken branches, so that running them cannot fail."""
        succeeded, nested = path
        paths = iter(nested)
        for each in op.then if succeeded else op.orelse:
            error: Failed | None = None
            if isinstance(each, Range):
                if each.rev > self.rev:
                    error = FUTURE
                elif each.rev and each.rev < self.compacted:
                    error = COMPACTED
            elif isinstance(each, Put):
                if each.lease and self.knows_leases and each.lease not in self.leases:
                    error = LEASE_NOT_FOUND
            elif isinstance(each, Txn):
                error = self._forbidden(each, next(paths))
            if error is not None:
                return error
        return None

    def _run(self, op: Txn, path: Path, fresh: list[Kv]) -> TxnDone:
        """Run the taken branch. Results bear the revision as it is then known."""
        succeeded, nested = path
        paths = iter(nested)
        rev = self.rev + 1
        results: list[TxnResult] = []
        for each in op.then if succeeded else op.orelse:
            if isinstance(each, Put):
                results.append(self._write(each, rev, fresh))
            elif isinstance(each, Range):
                key, end, at, limit, _, keys_only, count_only = each
                head = rev if fresh else self.rev
                results.append(self._read(key, end, at, (limit, keys_only, count_only), head))
            elif isinstance(each, Delete):
                gone = self._bury_all(each, rev, fresh)
                head = rev if fresh else self.rev
                results.append(DeleteDone(head, len(gone), gone if each.prev_kv else ()))
            else:
                results.append(self._run(each, next(paths), fresh))
        head = rev if fresh else self.rev
        done = TxnDone(head, succeeded, tuple(results))
        return done if all([each.rev == head for each in results]) else stamped(done, head)

    def _write(self, op: Put, rev: int, fresh: list[Kv]) -> PutDone:
        key, value, lease, prev_kv = op
        old = self.live.get(key)
        if old is None:
            kv = _new(Kv, (key, value, rev, rev, 1, lease))
            self._born(key, kv)
        else:
            kv = _new(Kv, (key, value, old[2], rev, old[4] + 1, lease))
            self.versions[key].append(kv)
        self.live[key] = kv
        fresh.append(kv)
        return _new(PutDone, (rev, old if prev_kv else None))

    # Compaction and leases.

    def _compact(self, op: Compact) -> Result:
        if op.rev <= self.compacted:
            return COMPACTED
        if op.rev > self.rev:
            return FUTURE
        self.compacted = op.rev
        return CompactDone(self.rev)

    def _grant(self, op: Grant) -> Result:
        if op.lease in self.leases:
            return LEASE_EXISTS
        if op.lease:  # Else the server chooses; only its answer tells.
            self.leases[op.lease] = op.ttl_s
        return GrantDone(self.rev, op.lease, op.ttl_s)


def agrees(expected: Result, told: Result) -> bool:
    """Whether a client was told what the model expects: of a refusal its text, as of its revision.

    A transaction's parts may carry headers of their own; all of it happened at one revision.
    """
    if isinstance(expected, Failed) and isinstance(told, Failed):
        return expected.text == told.text
    if isinstance(told, TxnDone):
        told = stamped(told, told.rev)
    return expected == told


def stamped(done: TxnDone, rev: int) -> TxnDone:
    """Return a transaction's result with its revision in every part."""
    return TxnDone(rev, done.succeeded, tuple([_restamped(each, rev) for each in done.results]))


def _restamped(done: TxnResult, rev: int) -> TxnResult:
    return stamped(done, rev) if isinstance(done, TxnDone) else done._replace(rev=rev)


def _span(names: list[str], key: str, end: str) -> list[str]:
    low = bisect_left(names, key)
    return names[low:] if end == shape.REST else names[low : bisect_left(names, end, low)]


def writes(op: Op | TxnOp, done: Result) -> bool:
    """Whether an answer says that the operation made a revision."""
    if type(done) is PutDone:
        return True
    if type(done) is DeleteDone:
        return done.deleted > 0
    if type(done) is TxnDone and type(op) is Txn:
        branch = op[1] if done[1] else op[2]
        for each, part in zip(branch, done[2], strict=False):
            if writes(each, part):
                return True
    return False
