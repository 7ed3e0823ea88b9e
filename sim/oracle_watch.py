"""The oracle's watches: for each stream, every response that etcd owes it, in order.

The rule of this file: there is no delay. A watch that starts in the past is caught up, or cancelled
because its start was compacted, in the moment of its creation; an event is owed in the moment of
its change. etcd needs up to 100 ms for the former, so whoever compares lets etcd settle first. One
response is owed for each revision of a watch: how etcd groups them is not compared.

A watch that was cancelled by compaction stays registered until the client cancels it: its id stays
taken, and no progress is announced on its stream. That is etcd's behaviour, and clients see it.
Source: etcd v3.6 api/v3rpc/watch.go, storage/mvcc/{watcher,watchable_store}.go (behaviour).
"""

from itertools import groupby

import attrs

from net.etcd.pb import kv_pb2, rpc_pb2
from sim.oracle_history import History, Row, is_in

NO_WATCH = -1
COMPACTED_REASON = "etcdserver: mvcc: required revision has been compacted"
EMPTY_RANGE_REASON = "mvcc: watcher range is empty"
DUPLICATE_REASON = "mvcc: duplicate watch ID provided on the WatchStream"


@attrs.define
class Watch:
    """One registered watch. `next_revision` is the first revision that it has not seen."""

    watch_id: int
    key: bytes
    range_end: bytes
    start_revision: int
    next_revision: int
    filters: frozenset[int]
    with_prev_kv: bool
    is_compacted: bool = False

    def wants(self, row: Row) -> bool:
        """Whether the change is an event of this watch."""
        kind = (
            rpc_pb2.WatchCreateRequest.NODELETE
            if row.is_tombstone
            else rpc_pb2.WatchCreateRequest.NOPUT
        )
        return (
            row.main >= self.next_revision
            and kind not in self.filters
            and is_in(row.key, self.key, self.range_end)
        )


class WatchStream:
    """One Watch call: requests in by `request`, all responses so far in `responses`."""

    def __init__(self, history: History) -> None:
        self.responses: list[rpc_pb2.WatchResponse] = []
        self._history = history
        self._watches: dict[int, Watch] = {}
        self._next_id = 0

    def request(self, request: rpc_pb2.WatchRequest) -> None:
        """Take one request; a request with nothing set is ignored."""
        match request.WhichOneof("request_union"):
            case "create_request":
                self._create(request.create_request)
            case "cancel_request":
                self._cancel(request.cancel_request.watch_id)
            case "progress_request":
                self._progress()
            case _:
                pass

    def notify(self, rows: list[Row]) -> None:
        """Send the changes of one new revision to the watches that want them."""
        for watch in self._watches.values():
            if not watch.is_compacted:
                self._send_events(watch, rows)

    def owes_catch_up(self, request: rpc_pb2.WatchRequest) -> bool:
        """Whether etcd will serve this create request from its slow loop."""
        start = request.create_request.start_revision
        return 0 < start <= self._history.revision

    def _create(self, request: rpc_pb2.WatchCreateRequest) -> None:
        key = request.key or b"\0"
        if request.start_revision < 0:
            self._refuse(COMPACTED_REASON)
            return
        if request.range_end not in (b"", b"\0") and key >= request.range_end:
            self._refuse(EMPTY_RANGE_REASON)
            return
        if request.watch_id != 0 and request.watch_id in self._watches:
            self._refuse(DUPLICATE_REASON)
            return
        watch = Watch(
            watch_id=request.watch_id or self._free_id(),
            key=key,
            range_end=request.range_end,
            start_revision=request.start_revision,
            next_revision=request.start_revision or self._history.revision + 1,
            filters=frozenset(request.filters),
            with_prev_kv=request.prev_kv,
        )
        self._watches[watch.watch_id] = watch
        self._respond(watch.watch_id, created=True)
        self._catch_up(watch)

    def _free_id(self) -> int:
        while self._next_id in self._watches:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _refuse(self, reason: str) -> None:
        self._respond(NO_WATCH, created=True, canceled=True, cancel_reason=reason)

    def _catch_up(self, watch: Watch) -> None:
        if watch.next_revision > self._history.revision:
            return
        if watch.next_revision < self._history.compacted:
            watch.is_compacted = True
            self.responses.append(
                rpc_pb2.WatchResponse(
                    header=rpc_pb2.ResponseHeader(),
                    watch_id=watch.watch_id,
                    canceled=True,
                    compact_revision=self._history.compacted,
                )
            )
            return
        changes = self._history.changes(watch.next_revision)
        for _, rows in groupby(changes, key=lambda row: row.main):
            self._send_events(watch, list(rows))

    def _send_events(self, watch: Watch, rows: list[Row]) -> None:
        events = [self._event(watch, row) for row in rows if watch.wants(row)]
        watch.next_revision = max(watch.next_revision, rows[-1].main + 1)
        if events:
            self._respond(watch.watch_id, events=events)

    def _event(self, watch: Watch, row: Row) -> kv_pb2.Event:
        event = kv_pb2.Event(
            type=kv_pb2.Event.DELETE if row.is_tombstone else kv_pb2.Event.PUT,
            kv=row.message(),
        )
        is_create = not row.is_tombstone and row.create == row.main
        if watch.with_prev_kv and not is_create:
            previous = self.previous(row)
            if previous is not None:
                event.prev_kv.CopyFrom(previous.message())
        return event

    def previous(self, row: Row) -> Row | None:
        """Return the record before a change, None if the revision before it is compacted."""
        before = row.main - 1
        if before < self._history.compacted:
            return None
        return self._history.newest(row.key, before)

    def _cancel(self, watch_id: int) -> None:
        if self._watches.pop(watch_id, None) is not None:
            self._respond(watch_id, canceled=True)

    def _progress(self) -> None:
        watches = self._watches.values()
        is_behind = any(
            watch.is_compacted or watch.start_revision > self._history.revision for watch in watches
        )
        if watches and not is_behind:
            self._respond(NO_WATCH)

    def _respond(
        self,
        watch_id: int,
        *,
        created: bool = False,
        canceled: bool = False,
        cancel_reason: str = "",
        events: list[kv_pb2.Event] | None = None,
    ) -> None:
        self.responses.append(
            rpc_pb2.WatchResponse(
                header=rpc_pb2.ResponseHeader(revision=self._history.revision),
                watch_id=watch_id,
                created=created,
                canceled=canceled,
                cancel_reason=cancel_reason,
                events=events or [],
            )
        )
