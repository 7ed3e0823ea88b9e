"""Where etcd 3.5.1 is known to answer otherwise than etcd 3.6, as an oracle of its own.

The rule of this file: each difference is one override, and says what the later releases do. What
is not listed here has to be equal. `WITHOUT` are requests that 3.5.1 does not survive.
"""

from net.etcd.pb import rpc_pb2
from sim import oracle, oracle_errors, oracle_history, oracle_members, oracle_watch
from sim.oracle_history import Row
from tests.differential.refusals import invalid_sort

WITHOUT = (invalid_sort,)
"""3.5.1 panics at a sort option that it does not know; 3.6 answers "invalid sort option"."""


class Etcd35(oracle.Oracle):
    """etcd 3.5.1."""

    class History(oracle_history.History):
        """A tombstone at the compact revision is lost, too; 3.6 keeps it (#19179)."""

        def survivors(self, rows: list[Row], at: int) -> list[Row]:
            return [
                row for row in super().survivors(rows, at) if row.main > at or not row.is_tombstone
            ]

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

    class WatchStream(oracle_watch.WatchStream):
        """Progress is announced at once, whatever the watches have seen; 3.6 waits (#15220)."""

        def _progress(self) -> None:
            self._respond(oracle_watch.NO_WATCH)

    class Members(oracle_members.Members):
        """The cancellation of a downgrade that was not begun is an error; 3.6 answers."""

        def cancel_downgrade(self, header: rpc_pb2.ResponseHeader) -> rpc_pb2.DowngradeResponse:
            raise oracle_errors.no_inflight_downgrade()
