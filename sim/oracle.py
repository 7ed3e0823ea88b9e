"""A naive second etcd: protobuf messages in, protobuf messages or an `OracleError` out.

The rule of this file: obviously right before fast, and no code shared with the product; of `net`
only the generated messages. It is one member, without auth, and total: every decodable request is
answered. What would change membership or version is answered with UNIMPLEMENTED.
Time enters by `tick`, ids of leases by the constructor. Headers carry the revision alone.
Source: etcd v3.6 (v3.7 where `Release` says so): behaviour, not code.

    call ── sim/oracle_checks.py   what a request's own shape forbids
         ── Oracle                 alarms, leases, transactions, header revisions
         ── sim/oracle_history.py  every change
         ── sim/oracle_watch.py    what each watch stream is owed
"""

from collections.abc import Callable, Iterator
from itertools import count

import attrs
from google.protobuf.message import Message

from net.etcd.pb import rpc_pb2
from sim import oracle_checks as checks
from sim import oracle_errors as errors
from sim import oracle_watch
from sim.oracle_alarms import Alarms
from sim.oracle_history import History, Row
from sim.oracle_members import Members
from sim.oracle_range import ETCD_3_6, Reader, Release

LEASE_TTL_S_MAX = 9_000_000_000
LEASE_TTL_S_MIN = 2
CHOSEN_LEASE_ID_MIN = 1 << 40

Decision = tuple[bool, "list[Decision]"]


@attrs.define
class Lease:
    """A granted lease; its keys are found in `Oracle.lease_of`."""

    ttl_s: int
    deadline_ms: int


class Oracle:
    """One etcd member. `call` answers a request; watch streams come from `open_watch_stream`.

    The parts are attributes of the class, so that a subclass can be wrong on purpose, or old.
    """

    History = History
    Reader = Reader
    Members = Members
    Alarms = Alarms
    WatchStream = oracle_watch.WatchStream

    def __init__(
        self,
        release: Release = ETCD_3_6,
        lease_ids: Callable[[], int] | None = None,
    ) -> None:
        self.release = release
        self.history = self.History()
        self.reader = self.Reader(self.history, release)
        self.leases: dict[int, Lease] = {}
        self.lease_of: dict[bytes, int] = {}
        self.alarms = self.Alarms()
        self.members = self.Members()
        self.now_ms = 0
        self.compared: list[rpc_pb2.Compare] = []
        self._streams: list[oracle_watch.WatchStream] = []
        self._sub = 0
        counter = count(CHOSEN_LEASE_ID_MIN)
        self._choose_lease_id = lease_ids or (lambda: next(counter))

    # -- calls

    def call(self, method: str, request: Message) -> Message:
        """Answer one unary request, or raise `OracleError`.

        `method` is the name of the RPC. LeaseKeepAlive is one request and its one response;
        RangeStream is the merge of its chunks.
        """
        checks.check_message(request.ByteSize())
        match request:
            case rpc_pb2.RangeRequest():
                return (
                    self.range_stream(request) if method == "RangeStream" else self.range(request)
                )
            case rpc_pb2.PutRequest():
                return self.put(request)
            case rpc_pb2.DeleteRangeRequest():
                return self.delete_range(request)
            case rpc_pb2.TxnRequest():
                return self.txn(request)
            case rpc_pb2.CompactionRequest():
                return self.compact(request)
            case rpc_pb2.LeaseGrantRequest():
                return self.lease_grant(request)
            case rpc_pb2.LeaseRevokeRequest():
                return self.lease_revoke(request)
            case rpc_pb2.LeaseKeepAliveRequest():
                return self.lease_keep_alive(request)
            case rpc_pb2.LeaseTimeToLiveRequest():
                return self.lease_time_to_live(request)
            case rpc_pb2.LeaseLeasesRequest():
                return self.lease_leases()
            case rpc_pb2.AlarmRequest():
                return self.alarms.call(request, self.header())
            case rpc_pb2.StatusRequest():
                return self.status()
            case rpc_pb2.HashKVRequest():
                return self.hash_kv(request)
            case rpc_pb2.DefragmentRequest():
                return rpc_pb2.DefragmentResponse()
            case _:
                return self.members.call(request, self.header())

    def open_watch_stream(self) -> oracle_watch.WatchStream:
        """Begin a Watch call."""
        stream = self.WatchStream(self.history)
        self._streams.append(stream)
        return stream

    def close_watch_stream(self, stream: oracle_watch.WatchStream) -> None:
        """End a Watch call; its watches are gone."""
        self._streams.remove(stream)

    def tick(self, now_ms: int) -> None:
        """Move time forward; leases that have ended are revoked, one after another.

        The order is that of their deadlines, of equals that of their ids.
        """
        self.now_ms = now_ms
        ended = [(lease.deadline_ms, i) for i, lease in self.leases.items()]
        for deadline_ms, lease_id in sorted(ended):
            if deadline_ms <= now_ms:
                self._revoke(lease_id)

    def header(self) -> rpc_pb2.ResponseHeader:
        """Return a header with the current revision."""
        return rpc_pb2.ResponseHeader(revision=self.history.revision)

    # -- reading

    def range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        """Read a range; the header is of now, also for a read of the past."""
        checks.check_range(request)
        return self.reader.read(request, head=self.history.revision)

    def range_stream(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        """Read a range in chunks, merged; only plain order and no filter."""
        checks.check_range_stream(request)
        return self.reader.read(request, head=self.history.revision)

    # -- writing

    def put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        """Write one key in one revision."""
        checks.check_put(request)
        checks.check_proposal(request.ByteSize())
        self.alarms.check(writes=True)
        self._check_lease(request)
        self._check_previous(request)
        response = self._put(request)
        self._commit()
        return response

    def delete_range(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        """Delete a range in one revision; none if nothing was there."""
        checks.check_delete(request)
        checks.check_proposal(request.ByteSize())
        self.alarms.check(writes=False)
        response = self._delete_range(request)
        self._commit()
        return response

    def txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        """Decide all compares on what is there, check the taken branch, then run it."""
        checks.check_txn(request)
        if not self._is_read_only(request):
            checks.check_proposal(request.ByteSize())
            self.alarms.check(writes=self._may_put(request))
        decision = self._decide(request)
        self._check_branch(request, decision)
        response = self._run(request, decision)
        self._commit()
        response.header.CopyFrom(self.header())
        return response

    def _is_read_only(self, request: rpc_pb2.TxnRequest) -> bool:
        return all(
            op.WhichOneof("request") == "request_range"
            for op in (*request.success, *request.failure)
        )

    def _may_put(self, request: rpc_pb2.TxnRequest) -> bool:
        """Whether there is a put in any branch, taken or not."""
        return any(
            op.HasField("request_put")
            or (op.HasField("request_txn") and self._may_put(op.request_txn))
            for op in (*request.success, *request.failure)
        )

    def _decide(self, request: rpc_pb2.TxnRequest) -> Decision:
        """Return which branch is taken, here and in each transaction nested in that branch."""
        succeeded = all(self.holds(compare) for compare in request.compare)
        branch = request.success if succeeded else request.failure
        nested = [op.request_txn for op in branch if op.HasField("request_txn")]
        return succeeded, [self._decide(txn) for txn in nested]

    def holds(self, compare: rpc_pb2.Compare) -> bool:
        """Whether a compare is true of every key in its range.

        An absent key has version, revisions and lease 0; its value compares false with anything.
        """
        self.compared.append(compare)
        rows = self.history.live(compare.key, compare.range_end, self.history.revision)
        if not rows:
            if compare.target == rpc_pb2.Compare.VALUE:
                return False
            rows = [Row(main=0, sub=0, key=b"")]
        return all(self.compare_row(row, compare) for row in rows)

    def compare_row(self, row: Row, compare: rpc_pb2.Compare) -> bool:
        """Compare one record. An operand of another target's kind counts as not given: 0 or empty.

        A target or a relation that the protocol does not name: equal, true.
        """
        order = 0
        match compare.target:
            case rpc_pb2.Compare.VALUE:
                order = (row.value > compare.value) - (row.value < compare.value)
            case rpc_pb2.Compare.VERSION:
                order = row.version - compare.version
            case rpc_pb2.Compare.CREATE:
                order = row.create - compare.create_revision
            case rpc_pb2.Compare.MOD:
                order = row.main - compare.mod_revision
            case rpc_pb2.Compare.LEASE:
                order = row.lease - compare.lease
            case _:
                pass
        match compare.result:
            case rpc_pb2.Compare.EQUAL:
                return order == 0
            case rpc_pb2.Compare.NOT_EQUAL:
                return order != 0
            case rpc_pb2.Compare.GREATER:
                return order > 0
            case rpc_pb2.Compare.LESS:
                return order < 0
            case _:
                return True

    def _check_branch(self, request: rpc_pb2.TxnRequest, decision: Decision) -> None:
        """Check the taken branch against what is there, so that running it cannot fail."""
        for op in self._taken(request, decision):
            if op.HasField("request_range"):
                self._check_revision(op.request_range.revision)
            elif op.HasField("request_put"):
                self._check_txn_put(op.request_put)

    def _taken(
        self, request: rpc_pb2.TxnRequest, decision: Decision
    ) -> Iterator[rpc_pb2.RequestOp]:
        """Yield the operations that will run, those of nested transactions in their place."""
        succeeded, nested = decision
        decisions = iter(nested)
        for op in request.success if succeeded else request.failure:
            if op.HasField("request_txn"):
                yield from self._taken(op.request_txn, next(decisions))
            else:
                yield op

    def _check_revision(self, revision: int) -> None:
        """In a transaction a negative revision is not "now", but older than any."""
        if revision > self.history.revision:
            raise errors.future_revision()
        if revision != 0 and revision < self.history.compacted:
            raise errors.compacted()

    def _check_txn_put(self, request: rpc_pb2.PutRequest) -> None:
        if self.release.txn_checks_lease_before_key:
            self._check_lease(request)
            self._check_previous(request)
        else:
            self._check_previous(request)
            self._check_lease(request)

    def _run(self, request: rpc_pb2.TxnRequest, decision: Decision) -> rpc_pb2.TxnResponse:
        """Run the taken branch; a nested answer has an empty header."""
        succeeded, nested = decision
        decisions = iter(nested)
        response = rpc_pb2.TxnResponse(header=rpc_pb2.ResponseHeader(), succeeded=succeeded)
        for op in request.success if succeeded else request.failure:
            answer = response.responses.add()
            match op.WhichOneof("request"):
                case "request_range":
                    answer.response_range.CopyFrom(
                        self.reader.read(op.request_range, head=self._head())
                    )
                case "request_put":
                    answer.response_put.CopyFrom(self._put(op.request_put))
                case "request_delete_range":
                    answer.response_delete_range.CopyFrom(
                        self._delete_range(op.request_delete_range)
                    )
                case "request_txn":
                    answer.response_txn.CopyFrom(self._run(op.request_txn, next(decisions)))
                case _:
                    pass
        return response

    def _head(self) -> int:
        """Return the newest visible revision: the coming one, once something has changed."""
        return self.history.revision + (1 if self._sub else 0)

    def _check_lease(self, request: rpc_pb2.PutRequest) -> None:
        if request.lease and request.lease not in self.leases:
            raise errors.lease_not_found()

    def _check_previous(self, request: rpc_pb2.PutRequest) -> None:
        if not (request.ignore_value or request.ignore_lease):
            return
        if self.history.newest(request.key, self.history.revision) is None:
            raise errors.key_not_found()

    def _put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        previous = self.history.newest(request.key, self._head())
        main = self.history.revision + 1
        value, lease = request.value, request.lease
        if previous is not None and request.ignore_value:
            value = previous.value
        if previous is not None and request.ignore_lease:
            lease = previous.lease
        row = Row(
            main=main,
            sub=self._sub,
            key=request.key,
            value=value,
            create=main if previous is None else previous.create,
            version=1 if previous is None else previous.version + 1,
            lease=lease,
        )
        self._add(row)
        response = rpc_pb2.PutResponse(header=rpc_pb2.ResponseHeader(revision=main))
        if request.prev_kv and previous is not None:
            response.prev_kv.CopyFrom(previous.message())
        return response

    def _delete_range(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        rows = self.history.live(request.key, request.range_end, self._head())
        for row in rows:
            self._add(Row(main=self.history.revision + 1, sub=self._sub, key=row.key))
        return rpc_pb2.DeleteRangeResponse(
            header=rpc_pb2.ResponseHeader(revision=self._head()),
            deleted=len(rows),
            prev_kvs=[row.message() for row in rows] if request.prev_kv else [],
        )

    def _add(self, row: Row) -> None:
        self.history.add(row)
        self._sub += 1
        self.attach(row)

    def attach(self, row: Row) -> None:
        """Tie the key to the lease of its newest record, and to no other."""
        if row.lease:
            self.lease_of[row.key] = row.lease
        else:
            self.lease_of.pop(row.key, None)

    def _commit(self) -> None:
        """Make what was added visible as one revision; nothing added is no revision."""
        if self._sub == 0:
            return
        self._sub = 0
        self.history.revision += 1
        rows = list(self.history.changes(self.history.revision))
        for stream in self._streams:
            stream.notify(rows)

    # -- compaction

    def compact(self, request: rpc_pb2.CompactionRequest) -> rpc_pb2.CompactionResponse:
        """Forget the revisions below one."""
        self.alarms.check(writes=False)
        if request.revision <= self.history.compacted:
            raise errors.compacted()
        if request.revision > self.history.revision:
            raise errors.future_revision()
        self.history.compact(request.revision)
        return rpc_pb2.CompactionResponse(header=self.header())

    # -- leases

    def lease_grant(self, request: rpc_pb2.LeaseGrantRequest) -> rpc_pb2.LeaseGrantResponse:
        """Grant a lease of at least the smallest TTL."""
        self.alarms.check(writes=True)
        if request.TTL > LEASE_TTL_S_MAX:
            raise errors.lease_ttl_too_large()
        lease_id = request.ID or self._choose_lease_id()
        if lease_id in self.leases:
            raise errors.lease_exists()
        ttl_s = max(request.TTL, LEASE_TTL_S_MIN)
        self.leases[lease_id] = Lease(ttl_s, self.now_ms + ttl_s * 1000)
        return rpc_pb2.LeaseGrantResponse(header=self.header(), ID=lease_id, TTL=ttl_s)

    def lease_revoke(self, request: rpc_pb2.LeaseRevokeRequest) -> rpc_pb2.LeaseRevokeResponse:
        """End a lease and delete its keys, in one revision."""
        self.alarms.check(writes=False)
        if request.ID not in self.leases:
            raise errors.lease_not_found()
        self._revoke(request.ID)
        return rpc_pb2.LeaseRevokeResponse(header=self.header())

    def _revoke(self, lease_id: int) -> None:
        for key in self.attached(lease_id):
            self._add(Row(main=self.history.revision + 1, sub=self._sub, key=key))
        del self.leases[lease_id]
        self._commit()

    def attached(self, lease_id: int) -> list[bytes]:
        """Return the keys of a lease, in order."""
        return sorted(key for key, owner in self.lease_of.items() if owner == lease_id)

    def lease_keep_alive(
        self, request: rpc_pb2.LeaseKeepAliveRequest
    ) -> rpc_pb2.LeaseKeepAliveResponse:
        """Give a lease its whole TTL again; an unknown one has TTL 0, and that is no error."""
        lease = self.leases.get(request.ID)
        response = rpc_pb2.LeaseKeepAliveResponse(header=self.header(), ID=request.ID)
        if lease is not None:
            lease.deadline_ms = self.now_ms + lease.ttl_s * 1000
            response.TTL = lease.ttl_s
        return response

    def lease_time_to_live(
        self, request: rpc_pb2.LeaseTimeToLiveRequest
    ) -> rpc_pb2.LeaseTimeToLiveResponse:
        """Describe a lease; an unknown one has TTL -1, and that is no error."""
        lease = self.leases.get(request.ID)
        response = rpc_pb2.LeaseTimeToLiveResponse(header=self.header(), ID=request.ID, TTL=-1)
        if lease is not None:
            response.TTL = (lease.deadline_ms - self.now_ms) // 1000
            response.grantedTTL = lease.ttl_s
            if request.keys:
                response.keys.extend(self.attached(request.ID))
        return response

    def lease_leases(self) -> rpc_pb2.LeaseLeasesResponse:
        """List the leases, soonest to end first, equals by id."""
        by_deadline = sorted(self.leases, key=lambda i: (self.leases[i].deadline_ms, i))
        statuses = [rpc_pb2.LeaseStatus(ID=lease_id) for lease_id in by_deadline]
        return rpc_pb2.LeaseLeasesResponse(header=self.header(), leases=statuses)

    # -- maintenance

    def status(self) -> rpc_pb2.StatusResponse:
        """Describe the member, as far as that is the same everywhere."""
        return rpc_pb2.StatusResponse(header=self.header(), errors=self.alarms.described())

    def hash_kv(self, request: rpc_pb2.HashKVRequest) -> rpc_pb2.HashKVResponse:
        """Answer the two revisions that a hash is of; the hash itself is each implementation's own.

        etcd answers for its last ten compact revisions from a list: they are not modelled.
        """
        if 0 < request.revision < self.history.compacted:
            raise errors.compacted()
        if request.revision > self.history.revision:
            raise errors.future_revision()
        return rpc_pb2.HashKVResponse(
            header=self.header(),
            compact_revision=self.history.compacted,
            hash_revision=request.revision or self.history.revision,
        )
