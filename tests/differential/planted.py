"""Oracles that are wrong in one small point of meaning each.

The rule of this file: the docstring of a class says what it gets wrong, and each is a mistake that
somebody could make. A comparison that cannot tell one of them from etcd is too weak: see
test_planted.py.
"""

from net.etcd.pb import kv_pb2, rpc_pb2
from sim import oracle_alarms, oracle_errors, oracle_history, oracle_range, oracle_watch
from sim.oracle import Decision, Oracle
from sim.oracle_history import Row


class CountRespectsLimit(Oracle):
    """`count` is the number of records sent."""

    class Reader(oracle_range.Reader):
        def count(self, rows: list[Row], request: rpc_pb2.RangeRequest) -> int:
            return min(len(rows), request.limit) if request.limit > 0 else len(rows)


class CountRespectsFilters(Oracle):
    """`count` leaves out what the revision filters leave out."""

    class Reader(oracle_range.Reader):
        def count(self, rows: list[Row], request: rpc_pb2.RangeRequest) -> int:
            return sum(self._passes(row, request) for row in rows)


class MoreAtExactlyTheLimit(Oracle):
    """`more` is set when the limit is met, not only when it is passed."""

    class Reader(oracle_range.Reader):
        def read(self, request: rpc_pb2.RangeRequest, *, head: int) -> rpc_pb2.RangeResponse:
            response = super().read(request, head=head)
            response.more = response.more or 0 < request.limit == len(response.kvs)
            return response


class DescendingReversesEquals(Oracle):
    """A descending sort turns the order of equals around, too."""

    class Reader(oracle_range.Reader):
        def _sorted(self, rows: list[Row], request: rpc_pb2.RangeRequest) -> list[Row]:
            if request.sort_order != rpc_pb2.RangeRequest.DESCEND:
                return super()._sorted(rows, request)
            key = oracle_range.SORT_KEYS[request.sort_target]
            return list(reversed(sorted(rows, key=key)))


class HeaderOfThePast(Oracle):
    """A read of the past has the header of its revision."""

    class Reader(oracle_range.Reader):
        def read(self, request: rpc_pb2.RangeRequest, *, head: int) -> rpc_pb2.RangeResponse:
            response = super().read(request, head=head)
            if request.revision > 0:
                response.header.revision = request.revision
            return response


class FutureIsNow(Oracle):
    """A read of a revision to come is a read of now."""

    class Reader(oracle_range.Reader):
        def read(self, request: rpc_pb2.RangeRequest, *, head: int) -> rpc_pb2.RangeResponse:
            if request.revision > head:
                request = rpc_pb2.RangeRequest.FromString(request.SerializeToString())
                request.revision = 0
            return super().read(request, head=head)


class CompactRevisionIsGone(Oracle):
    """A read at the compact revision itself is refused."""

    class Reader(oracle_range.Reader):
        def read(self, request: rpc_pb2.RangeRequest, *, head: int) -> rpc_pb2.RangeResponse:
            if 0 < request.revision == self.history.compacted:
                raise oracle_errors.compacted()
            return super().read(request, head=head)


class TombstoneDropped(Oracle):
    """A compaction forgets the tombstone at its own revision (etcd #19179)."""

    class History(oracle_history.History):
        def survivors(self, rows: list[Row], at: int) -> list[Row]:
            kept = super().survivors(rows, at)
            return [row for row in kept if row.main > at or not row.is_tombstone]


class VersionNotReset(Oracle):
    """A key that is put again after a deletion goes on counting its versions."""

    def _put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        is_new = self.history.newest(request.key, self._head()) is None
        response = super()._put(request)
        rows = self.history.rows_of(request.key)
        if is_new and len(rows) > 2:
            rows[-1] = row_with(rows[-1], version=rows[-3].version + 1)
        return response


class CreateNotReset(Oracle):
    """A key that is put again after a deletion keeps its first create revision."""

    def _put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        is_new = self.history.newest(request.key, self._head()) is None
        response = super()._put(request)
        rows = self.history.rows_of(request.key)
        if is_new and len(rows) > 2 and rows[-3].create:
            rows[-1] = row_with(rows[-1], create=rows[-3].create)
        return response


class EmptyDeletionIsARevision(Oracle):
    """A deletion that finds nothing still makes a revision."""

    def delete_range(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        response = super().delete_range(request)
        if not response.deleted:
            self.history.revision += 1
            response.header.revision += 1
        return response


class ValueOfAbsentKeyIsEmpty(Oracle):
    """A compare of the value of an absent key takes it for empty."""

    def holds(self, compare: rpc_pb2.Compare) -> bool:
        rows = self.history.live(compare.key, compare.range_end, self.history.revision)
        if rows:
            return super().holds(compare)
        return self.compare_row(Row(main=0, sub=0, key=b""), compare)


class CompareOfAnyKey(Oracle):
    """A compare of a range holds if it is true of one key."""

    def holds(self, compare: rpc_pb2.Compare) -> bool:
        rows = self.history.live(compare.key, compare.range_end, self.history.revision)
        if not rows:
            return super().holds(compare)
        return any(self.compare_row(row, compare) for row in rows)


class NestedComparesSeeEarlierOperations(Oracle):
    """A nested transaction is decided when it is reached, not before all."""

    def _run(self, request: rpc_pb2.TxnRequest, decision: Decision) -> rpc_pb2.TxnResponse:
        self.history.revision += 1 if self._sub else 0
        decided = self._decide(request) if self._sub else decision
        self.history.revision -= 1 if self._sub else 0
        return super()._run(request, decided)


class TransactionReadsThePreState(Oracle):
    """A range in a transaction does not see what the transaction has written."""

    def _head(self) -> int:
        return self.history.revision


class NegativeRevisionInTransactionIsNow(Oracle):
    """A negative revision means now in a transaction as well."""

    def _check_revision(self, revision: int) -> None:
        super()._check_revision(max(revision, 0))


class NestedAnswersHaveARevision(Oracle):
    """The answer of a nested transaction has a filled header."""

    def _run(self, request: rpc_pb2.TxnRequest, decision: Decision) -> rpc_pb2.TxnResponse:
        response = super()._run(request, decision)
        response.header.revision = self._head()
        return response


class FaultsInTheOtherOrder(Oracle):
    """A put with two faults in a transaction is told of the other one."""

    def _check_txn_put(self, request: rpc_pb2.PutRequest) -> None:
        if self.release.txn_checks_lease_before_key:
            self._check_previous(request)
            self._check_lease(request)
        else:
            self._check_lease(request)
            self._check_previous(request)


class LeaseNotDetached(Oracle):
    """A put without a lease leaves the key with its old one."""

    def attach(self, row: Row) -> None:
        if row.lease or row.is_tombstone:
            super().attach(row)


class RevokeForgetsKeys(Oracle):
    """A revoked lease leaves its keys behind."""

    def attached(self, lease_id: int) -> list[bytes]:
        return [] if lease_id in self.leases else super().attached(lease_id)


class RevokeInSeveralRevisions(Oracle):
    """Each key of a revoked lease is deleted in a revision of its own."""

    def _revoke(self, lease_id: int) -> None:
        for key in self.attached(lease_id):
            self.delete_range(rpc_pb2.DeleteRangeRequest(key=key))
        super()._revoke(lease_id)


class CompactionAgainIsFine(Oracle):
    """A compaction at the compact revision is answered."""

    def compact(self, request: rpc_pb2.CompactionRequest) -> rpc_pb2.CompactionResponse:
        if 0 < request.revision == self.history.compacted and not self.alarms.raised:
            return rpc_pb2.CompactionResponse(header=self.header())
        return super().compact(request)


class NoSpaceRefusesDeletions(Oracle):
    """Deletions are refused when space is out, so that nothing can free it."""

    def delete_range(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        if request.key:
            self.alarms.check(writes=True)
        return super().delete_range(request)


class AlarmsOfMembersAreOne(Oracle):
    """Dropping an alarm of one member drops those of the others."""

    class Alarms(oracle_alarms.Alarms):
        def call(
            self, request: rpc_pb2.AlarmRequest, header: rpc_pb2.ResponseHeader
        ) -> rpc_pb2.AlarmResponse:
            response = super().call(request, header)
            if request.action == request.DEACTIVATE:
                self.raised = {alarm for alarm in self.raised if alarm[1] != request.alarm}
            return response


class WatchBeginsLate(Oracle):
    """A watch from a past revision misses the changes of that revision."""

    class WatchStream(oracle_watch.WatchStream):
        def _catch_up(self, watch: oracle_watch.Watch) -> None:
            if watch.next_revision > self._history.compacted:
                watch.next_revision += 1
            super()._catch_up(watch)


class WatchAtCompactRevisionIsGone(Oracle):
    """A watch from the compact revision itself is cancelled."""

    class WatchStream(oracle_watch.WatchStream):
        def _catch_up(self, watch: oracle_watch.Watch) -> None:
            if watch.next_revision == self._history.compacted:
                watch.next_revision -= 1
            super()._catch_up(watch)


class FiltersSwapped(Oracle):
    """NOPUT leaves out deletions, NODELETE puts."""

    class WatchStream(oracle_watch.WatchStream):
        def _create(self, request: rpc_pb2.WatchCreateRequest) -> None:
            turned = rpc_pb2.WatchCreateRequest.FromString(request.SerializeToString())
            del turned.filters[:]
            turned.filters.extend(
                request.NODELETE if kind == request.NOPUT else request.NOPUT
                for kind in request.filters
            )
            super()._create(turned)


class PreviousOfItself(Oracle):
    """prev_kv of an event is the record that the event wrote."""

    class WatchStream(oracle_watch.WatchStream):
        def previous(self, row: Row) -> Row | None:
            return super().previous(row) if row.is_tombstone else row


class TombstoneEventTellsMore(Oracle):
    """The record in a DELETE event has the create revision of what was deleted."""

    class WatchStream(oracle_watch.WatchStream):
        def _event(self, watch: oracle_watch.Watch, row: Row) -> kv_pb2.Event:
            event = super()._event(watch, row)
            previous = self.previous(row)
            if row.is_tombstone and previous is not None:
                event.kv.create_revision = previous.create
            return event


class ProgressRegardless(Oracle):
    """Progress is announced although a watch has not come so far."""

    class WatchStream(oracle_watch.WatchStream):
        def _progress(self) -> None:
            if self._watches:
                self._respond(oracle_watch.NO_WATCH)


class WatchIdsAreReused(Oracle):
    """The id of a cancelled watch is given again."""

    class WatchStream(oracle_watch.WatchStream):
        def _free_id(self) -> int:
            self._next_id = 0
            return super()._free_id()


class UnknownCancelIsAnswered(Oracle):
    """The cancellation of a watch that is not there is confirmed."""

    class WatchStream(oracle_watch.WatchStream):
        def _cancel(self, watch_id: int) -> None:
            self._watches.pop(watch_id, None)
            self._respond(watch_id, canceled=True)


def row_with(row: Row, *, version: int | None = None, create: int | None = None) -> Row:
    """Return a change with another version or create revision."""
    return Row(
        main=row.main,
        sub=row.sub,
        key=row.key,
        value=row.value,
        create=row.create if create is None else create,
        version=row.version if version is None else version,
        lease=row.lease,
    )


PLANTED: tuple[type[Oracle], ...] = tuple(
    kind
    for kind in globals().values()
    if isinstance(kind, type) and issubclass(kind, Oracle) and kind is not Oracle
)
