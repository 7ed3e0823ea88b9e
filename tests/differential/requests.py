"""Random well-formed requests, near to what the oracle holds.

The rule of this file: a number is drawn from around the true one, a key from ten, a value from few.
"""

import random

from net.etcd.pb import rpc_pb2
from sim.oracle import Oracle
from sim.oracle_history import Row
from tests.differential.trace import Seen

KEYS = (b"\0", b"a", b"a/", b"a/1", b"a/2", b"a/2\0", b"b", b"b/1", b"\xff", b"\xff\xff")
VALUES = (b"", b"0", b"1", b"2", b"two", b"\0\xff", b"longer " * 9)
LEASE_IDS = (1, 2, 3, -5, 77, (1 << 62) + 1)
FILTERS = (rpc_pb2.WatchCreateRequest.NOPUT, rpc_pb2.WatchCreateRequest.NODELETE)
SORT_ORDERS = (
    rpc_pb2.RangeRequest.NONE,
    rpc_pb2.RangeRequest.ASCEND,
    rpc_pb2.RangeRequest.DESCEND,
)
SORT_TARGETS = (
    rpc_pb2.RangeRequest.KEY,
    rpc_pb2.RangeRequest.VERSION,
    rpc_pb2.RangeRequest.CREATE,
    rpc_pb2.RangeRequest.MOD,
    rpc_pb2.RangeRequest.VALUE,
)
COMPARE_TARGETS = (
    rpc_pb2.Compare.VERSION,
    rpc_pb2.Compare.CREATE,
    rpc_pb2.Compare.MOD,
    rpc_pb2.Compare.VALUE,
    rpc_pb2.Compare.LEASE,
)
COMPARE_RESULTS = (
    rpc_pb2.Compare.EQUAL,
    rpc_pb2.Compare.GREATER,
    rpc_pb2.Compare.LESS,
    rpc_pb2.Compare.NOT_EQUAL,
)


class Requests:
    """Draws requests; looks at `oracle`, and changes nothing."""

    def __init__(
        self,
        chance: random.Random,
        oracle: Oracle,
        *,
        negative_watch_starts: bool = True,
        rewrites: bool = False,
    ) -> None:
        """`rewrites`: transactions may delete to the end and put, which etcd does not survive."""
        self.chance = chance
        self.oracle = oracle
        self._rewrites = rewrites
        self._watch_start_min = -3 if negative_watch_starts else 0
        self._watch_ids: dict[int, list[int]] = {}

    # -- parts

    def key(self) -> bytes:
        """Return one of the ten keys."""
        return self.chance.choice(KEYS)

    def range_end(self, key: bytes) -> bytes:
        """Return a range_end of any kind: none, to the end, prefix, next, or any other key."""
        kind = self.chance.choices(range(5), (8, 3, 4, 1, 4))[0]
        if kind == 1:
            return b"\0"
        if kind == 2 and not key.endswith(b"\xff"):
            return key[:-1] + bytes([key[-1] + 1])
        if kind == 3:
            return key + b"\0"
        return self.key() if kind == 4 else b""

    def revision(self) -> int:
        """Return a revision: mostly of the past that is there, seldom compacted or to come."""
        history = self.oracle.history
        oldest, newest = max(history.compacted, 1), history.revision
        kind = self.chance.choices(range(7), (16, 72, 3, 4, 4, 2, 3))[0]
        match kind:
            case 0:
                return 0
            case 1:
                return self.chance.randint(oldest, newest)
            case 2:
                return newest
            case 3:
                return oldest
            case 4:
                return max(1, oldest - self.chance.randint(1, 3))
            case 5:
                return -self.chance.randint(1, 3)
            case _:
                return newest + self.chance.choice((1, 1, 2, 1000))

    def lease_id(self) -> int:
        """Return one of the six ids, granted or not."""
        return self.chance.choice(LEASE_IDS)

    def granted_lease_id(self) -> int:
        """Return the id of a lease that is there, else 0."""
        granted = sorted(self.oracle.leases)
        return self.chance.choice(granted) if granted else 0

    def negative_start(self) -> int:
        """Return a start revision that is refused, where the peer survives it, else 0."""
        return max(-self.chance.randint(1, 3), self._watch_start_min)

    def near(self, true: int) -> int:
        """Return a number that is often the true one, else beside it."""
        return true + self.chance.choice((0, 0, 0, 1, -1))

    def _row(self, key: bytes) -> Row | None:
        return self.oracle.history.newest(key, self.oracle.history.revision)

    # -- key-value

    def range(self) -> rpc_pb2.RangeRequest:
        """Return a Range with any combination of its options."""
        chance, key = self.chance, self.key()
        request = rpc_pb2.RangeRequest(
            key=key,
            range_end=self.range_end(key),
            revision=self.revision(),
            serializable=chance.random() < 0.2,
            keys_only=chance.random() < 0.15,
            count_only=chance.random() < 0.1,
        )
        if chance.random() < 0.4:
            request.limit = chance.choice((1, 1, 2, 3, 5, 10, -1, (1 << 63) - 1))
        if chance.random() < 0.3:
            request.sort_order = chance.choice(SORT_ORDERS)
            request.sort_target = chance.choice(SORT_TARGETS)
            if chance.random() < 0.3:
                request.key, request.range_end = b"\0", b"\0"
        if chance.random() < 0.15:
            self._filter(request)
        return request

    def _filter(self, request: rpc_pb2.RangeRequest) -> None:
        newest = self.oracle.history.revision
        for name in ("mod", "create"):
            for bound in ("min", "max"):
                if self.chance.random() < 0.4:
                    revision = newest - self.chance.randint(-2, 40)
                    setattr(request, f"{bound}_{name}_revision", revision)

    def put(self) -> rpc_pb2.PutRequest:
        """Return a Put that is mostly answered."""
        chance = self.chance
        request = rpc_pb2.PutRequest(
            key=self.key(), value=chance.choice(VALUES), prev_kv=chance.random() < 0.3
        )
        if chance.random() < 0.3:
            request.lease = self.granted_lease_id()
        if chance.random() < 0.1:
            request.ignore_value = True
            request.ClearField("value")
        if chance.random() < 0.1:
            request.ignore_lease = True
            request.ClearField("lease")
        return request

    def delete(self) -> rpc_pb2.DeleteRangeRequest:
        """Return a DeleteRange; mostly of few keys."""
        key = self.key()
        end = self.range_end(key) if self.chance.random() < 0.5 else b""
        return rpc_pb2.DeleteRangeRequest(
            key=key, range_end=end, prev_kv=self.chance.random() < 0.4
        )

    # -- transactions

    def txn(self, depth: int = 0) -> rpc_pb2.TxnRequest:
        """Return a Txn of up to three levels."""
        chance = self.chance
        sizes = (1, 1, 1, 2, 2, 3) if depth == 0 else (0, 1, 1, 2)
        return rpc_pb2.TxnRequest(
            compare=[self.compare() for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))],
            success=[self.operation(depth) for _ in range(chance.choice(sizes))],
            failure=[self.operation(depth) for _ in range(chance.choice(sizes))],
        )

    def txn_that_looks_at_itself(self) -> rpc_pb2.TxnRequest:
        """Return a Txn whose nested compare is about a key that it writes before."""
        put = self.put()
        row = self._row(put.key) or Row(main=0, sub=0, key=put.key)
        new = self.chance.random() < 0.5
        nested = rpc_pb2.TxnRequest(
            compare=[rpc_pb2.Compare(key=put.key, version=row.version + new)],
            success=[rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=put.key))],
            failure=[self.operation(2)],
        )
        return rpc_pb2.TxnRequest(
            success=[
                rpc_pb2.RequestOp(request_put=put),
                rpc_pb2.RequestOp(request_txn=nested),
            ]
        )

    def operation(self, depth: int) -> rpc_pb2.RequestOp:
        """Return one operation of a transaction."""
        kind = self.chance.choices(range(4), (4, 5, 3, 2 if depth < 2 else 0))[0]
        if kind == 0:
            return rpc_pb2.RequestOp(request_range=self.range())
        if kind == 1:
            return rpc_pb2.RequestOp(request_put=self.put())
        if kind == 2:
            delete = self.delete()
            if delete.range_end == b"\0" and not self._rewrites:
                delete.range_end = KEYS[-1] + b"\0"
            return rpc_pb2.RequestOp(request_delete_range=delete)
        return rpc_pb2.RequestOp(request_txn=self.txn(depth + 1))

    def compare(self) -> rpc_pb2.Compare:
        """Return a compare of any target and relation, its operand near the truth."""
        chance, key = self.chance, self.key()
        target = chance.choice(COMPARE_TARGETS)
        row = self._row(key) or Row(main=0, sub=0, key=key)
        compare = rpc_pb2.Compare(
            key=key,
            target=target,
            result=chance.choice(COMPARE_RESULTS),
            range_end=self.range_end(key) if chance.random() < 0.25 else b"",
        )
        if chance.random() < 0.04:
            target = chance.choice(COMPARE_TARGETS)
        match target:
            case rpc_pb2.Compare.VERSION:
                compare.version = self.near(row.version)
            case rpc_pb2.Compare.CREATE:
                compare.create_revision = self.near(row.create)
            case rpc_pb2.Compare.MOD:
                compare.mod_revision = self.near(row.main)
            case rpc_pb2.Compare.VALUE:
                compare.value = chance.choice((row.value, row.value, *VALUES))
            case _:
                compare.lease = chance.choice((row.lease, row.lease, 0, self.lease_id()))
        if chance.random() < 0.02:
            compare.ClearField("target_union")
        return compare

    # -- watches

    def watch_ids(self, stream: int) -> list[int]:
        """Return the ids in use on a stream."""
        return self._watch_ids.get(stream, [])

    def learn(self, stream: int, seen: Seen) -> None:
        """Take the ids that are in use from what the oracle has sent on a stream."""
        self._watch_ids[stream] = [
            watch_id
            for watch_id, items in seen.by_watch.items()
            if watch_id != -1 and not _is_cancelled(items[-1][1])
        ]

    def cancelled_watch_id(self, stream: int) -> int:
        """Return the id of a watch to cancel, seldom of none."""
        known = self.watch_ids(stream)
        if known and self.chance.random() < 0.85:
            return self.chance.choice(known)
        return self.chance.choice((0, 1, 5, 40, 999))

    def watch_create(self, stream: int) -> rpc_pb2.WatchRequest:
        """Return a create request with any combination of fields."""
        chance, key = self.chance, self.key()
        newest = self.oracle.history.revision
        start = chance.choice((0, self.revision(), newest, newest + 1, newest + 9))
        create = rpc_pb2.WatchCreateRequest(
            key=key,
            range_end=self.range_end(key),
            start_revision=max(start, self._watch_start_min),
            progress_notify=chance.random() < 0.3,
            prev_kv=chance.random() < 0.5,
            fragment=chance.random() < 0.2,
        )
        if chance.random() < 0.05:
            create.ClearField("key")
        if chance.random() < 0.2:
            create.filters.extend(chance.choices(FILTERS, k=chance.choice((1, 1, 2))))
        if chance.random() < 0.25:
            known = self.watch_ids(stream)
            create.watch_id = chance.choice((*known, 3, 40, 41, -7))
        return rpc_pb2.WatchRequest(create_request=create)


def _is_cancelled(item: object) -> bool:
    return isinstance(item, rpc_pb2.WatchResponse) and item.canceled and not item.compact_revision
