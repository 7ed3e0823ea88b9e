"""The oracle's Range: one read of one range, as a whole.

The rule of this file: nothing changes here. Rows are taken in order of keys, cut, filtered, sorted
and cut again in etcd's order of these steps, which a limit beside a sort target makes visible.
Source: etcd v3.6 server/etcdserver/txn/txn.go executeRange (behaviour, not code).
"""

from collections.abc import Callable

import attrs

from net.etcd.pb import rpc_pb2
from sim import oracle_errors as errors
from sim.oracle_checks import is_filtered
from sim.oracle_history import History, Row

SORT_KEYS: dict[int, Callable[[Row], int | bytes]] = {
    rpc_pb2.RangeRequest.KEY: lambda row: row.key,
    rpc_pb2.RangeRequest.VERSION: lambda row: row.version,
    rpc_pb2.RangeRequest.CREATE: lambda row: row.create,
    rpc_pb2.RangeRequest.MOD: lambda row: row.main,
    rpc_pb2.RangeRequest.VALUE: lambda row: row.value,
}


@attrs.frozen
class Release:
    """Where etcd's released versions answer differently on purpose."""

    keys_only_shows_lease: bool
    txn_checks_lease_before_key: bool


ETCD_3_6 = Release(keys_only_shows_lease=True, txn_checks_lease_before_key=False)
ETCD_3_7 = Release(keys_only_shows_lease=False, txn_checks_lease_before_key=True)


@attrs.define
class Reader:
    """Reads of one history."""

    history: History
    release: Release

    def read(self, request: rpc_pb2.RangeRequest, *, head: int) -> rpc_pb2.RangeResponse:
        """Read a checked range; `head` is the newest revision that is visible here."""
        if request.revision > head:
            raise errors.future_revision()
        revision = request.revision if request.revision > 0 else head
        if revision < self.history.compacted:
            raise errors.compacted()
        rows = self.history.live(request.key, request.range_end, revision)
        response = rpc_pb2.RangeResponse(
            header=rpc_pb2.ResponseHeader(revision=head), count=self.count(rows, request)
        )
        if request.count_only:
            return response
        if request.sort_order == request.NONE and not is_filtered(request) and request.limit > 0:
            rows = rows[: request.limit + 1]
        rows = self._sorted([row for row in rows if self._passes(row, request)], request)
        if 0 < request.limit < len(rows):
            rows = rows[: request.limit]
            response.more = True
        for row in rows:
            record = row.message()
            if request.keys_only:
                record.value = b""
                if not self.release.keys_only_shows_lease and request.sort_target != request.VALUE:
                    record.lease = 0
            response.kvs.append(record)
        return response

    def count(self, rows: list[Row], request: rpc_pb2.RangeRequest) -> int:
        """Return the number of live keys: neither limit nor filter matter."""
        return len(rows)

    def _passes(self, row: Row, request: rpc_pb2.RangeRequest) -> bool:
        """Whether a row is within the four bounds, of which 0 is none."""
        if request.max_mod_revision and row.main > request.max_mod_revision:
            return False
        if request.min_mod_revision and row.main < request.min_mod_revision:
            return False
        if request.max_create_revision and row.create > request.max_create_revision:
            return False
        return not (request.min_create_revision and row.create < request.min_create_revision)

    def _sorted(self, rows: list[Row], request: rpc_pb2.RangeRequest) -> list[Row]:
        """Sort stably: equals stay in order of keys, also when descending.

        etcd's sort is stable only up to 12 rows: compare no more than that.
        """
        return sorted(
            rows,
            key=SORT_KEYS[request.sort_target],
            reverse=request.sort_order == request.DESCEND,
        )
