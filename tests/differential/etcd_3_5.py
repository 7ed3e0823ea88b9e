"""Where etcd 3.5.1 is known to answer otherwise than etcd 3.6, as an oracle of its own.

The rule of this file: each difference is one override, and says what the later releases do. What
is not listed here has to be equal. `WITHOUT` are requests that 3.5.1 does not survive.
"""

from net.etcd.pb import rpc_pb2
from sim import (
    oracle,
    oracle_alarms,
    oracle_errors,
    oracle_history,
    oracle_members,
    oracle_range,
    oracle_watch,
)
from sim.oracle_checks import is_plain_order
from sim.oracle_history import Row
from tests.differential.refusals import invalid_sort
from tests.differential.statistics import WATCH_REFUSED

WITHOUT = (invalid_sort,)
"""3.5.1 panics at a sort option that it does not know; 3.6 answers "invalid sort option".

It also takes a negative start revision of a watch as it is, and then forgets the events of every
watch that it catches up with in the same round; 3.6 refuses such a watch.
"""
WAIVED = (
    oracle_errors.invalid_sort_option().text,
    WATCH_REFUSED + oracle_watch.COMPACTED_REASON,
)
"""What therefore cannot be met."""


class Etcd35(oracle.Oracle):
    """etcd 3.5.1."""

    class History(oracle_history.History):
        """A tombstone at the compact revision is lost, too; 3.6 keeps it (#19179)."""

        def survivors(self, rows: list[Row], at: int) -> list[Row]:
            return [
                row for row in super().survivors(rows, at) if row.main > at or not row.is_tombstone
            ]

    class Reader(oracle_range.Reader):
        """More than six equals of a sort are out of order; 3.6 was built with a newer Go.

        Before Go 1.19 a short sort began with one pass over pairs that are six apart.
        """

        def _sorted(self, rows: list[Row], request: rpc_pb2.RangeRequest) -> list[Row]:
            if is_plain_order(request):
                return rows
            key = oracle_range.SORT_KEYS[request.sort_target]
            is_descending = request.sort_order == rpc_pb2.RangeRequest.DESCEND
            rows = list(rows)
            for late in range(6, len(rows)):
                pair = [rows[late - 6], rows[late]]
                rows[late - 6], rows[late] = sorted(pair, key=key, reverse=is_descending)
            return super()._sorted(rows, request)

    def _check_branch(self, request: rpc_pb2.TxnRequest, decision: oracle.Decision) -> None:
        """All puts are checked before all ranges; 3.6 checks in order."""
        taken = list(self._taken(request, decision))
        for op in taken:
            if op.HasField("request_put"):
                self._check_txn_put(op.request_put)
        for op in taken:
            if op.HasField("request_range"):
                self._check_revision(op.request_range.revision)

    def _may_put(self, request: rpc_pb2.TxnRequest) -> bool:
        """A put in a nested transaction does not count as one while space is out; 3.6 counts it."""
        return any(op.HasField("request_put") for op in (*request.success, *request.failure))

    def hash_kv(self, request: rpc_pb2.HashKVRequest) -> rpc_pb2.HashKVResponse:
        """There is no hash_revision before 3.6."""
        response = super().hash_kv(request)
        response.ClearField("hash_revision")
        return response

    class Alarms(oracle_alarms.Alarms):
        """Of two kinds of alarm only the later one forbids, and dropping either allows all.

        3.6 looks at what is up.
        """

        in_force: rpc_pb2.AlarmType = rpc_pb2.NONE

        def call(
            self, request: rpc_pb2.AlarmRequest, header: rpc_pb2.ResponseHeader
        ) -> rpc_pb2.AlarmResponse:
            before = {kind for _, kind in self.raised}
            response = super().call(request, header)
            after = {kind for _, kind in self.raised}
            if after - before:
                self.in_force = request.alarm
            elif before - after:
                self.in_force = rpc_pb2.NONE
            return response

        def kinds(self) -> set[rpc_pb2.AlarmType]:
            return {self.in_force}

    class WatchStream(oracle_watch.WatchStream):
        """Progress is announced at once, whatever the watches have seen; 3.6 waits (#15220)."""

        def _progress(self) -> None:
            self._respond(oracle_watch.NO_WATCH)

    class Members(oracle_members.Members):
        """The cancellation of a downgrade that was not begun is an error; 3.6 answers."""

        def cancel_downgrade(self, header: rpc_pb2.ResponseHeader) -> rpc_pb2.DowngradeResponse:
            raise oracle_errors.no_inflight_downgrade()
