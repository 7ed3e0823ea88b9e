"""Random sequences of operations, aimed by an oracle that is played along.

The rule of this file: few keys, so that operations collide; operands near the truth, so that both
sides of a compare are met; each kind of refusal asked for on purpose. The same seed and size give
the same sequence on any machine: all chance comes from one `random.Random`.

Never generated, because etcd itself dies of it or answers by chance: a transaction that deletes up
to the end of the key space and puts (its duplicate check does not see it; what follows is a panic
for ignore_value, and a lost record at a compaction of that revision), unknown alarm actions, more
than 12 keys (its sort is not stable above), HashKV at a compact revision and compaction at 0
(answered from a list that a background job fills), leases that could end during the run.
"""

import random
from collections.abc import Callable, Collection, Sequence

from net.etcd.pb import rpc_pb2
from sim.oracle import Oracle
from sim.oracle_errors import corrupt, no_space
from tests.differential.operations import Call, Close, Operation, Send
from tests.differential.players import OraclePlayer
from tests.differential.refusals import REFUSALS, Refusal, bad_watch, compacted_watch
from tests.differential.requests import KEYS, Requests
from tests.differential.statistics import (
    WATCH_OF_THE_COMPACTED,
    WATCH_REFUSALS,
    Statistics,
    told,
)
from tests.differential.trace import Refused

ALARM_MEMBERS = (0, 1, 77)
TOP_UPS_MAX = 1_000
PROGRESS = rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())


class Generator:
    """Draws one sequence. `player` holds the oracle that it aims by, and what that answered."""

    def __init__(
        self,
        seed: int,
        *,
        oracle: Oracle | None = None,
        range_stream: bool = False,
        without: Collection[Refusal] = (),
        negative_watch_starts: bool = True,
        waived: Collection[str] = (),
        rewrites: bool = False,
    ) -> None:
        self.chance = random.Random(seed)
        self.player = OraclePlayer(oracle or Oracle())
        self.requests = Requests(
            self.chance,
            self.player.oracle,
            negative_watch_starts=negative_watch_starts,
            rewrites=rewrites,
        )
        self.operations: list[Operation] = []
        self.statistics = Statistics()
        self._streams: list[int] = []
        self._streams_begun = 0
        self._compact_revisions: set[int] = set()
        self.waived = waived
        self._told_by: dict[str, Refusal] = {}
        self._refusals = [refusal for refusal in REFUSALS if refusal not in without]
        weights: dict[Callable[[], None], float] = {
            self._range: 22,
            self._put: 17,
            self._delete: 7,
            self._txn: 20,
            self._compact: 1.2,
            self._watch_of_the_compacted: 0.3,
            self._refusal: 17,
            self._lease: 7,
            self._watch_burst: 2.2,
            self._watch_cancel: 0.7,
            self._watch_progress: 0.9,
            self._watch_close: 0.15,
            self._maintenance: 3,
            self._alarm: 0.5,
        }
        if range_stream:
            weights[self._range_stream] = 5
        self._kinds = list(weights)
        self._weights = list(weights.values())

    def sequence(self, size: int) -> list[Operation]:
        """Return `size` operations and what is then lacking of each kind; alarms are down after."""
        while len(self.operations) < size:
            self._draw(self._kinds, self._weights)
        for _ in range(TOP_UPS_MAX):
            self.statistics.streams(self.player.trace.streams.values())
            lacking = [x for x in self.statistics.lacking() if x not in self.waived]
            if not lacking:
                break
            for text in lacking:
                self._top_up(text)
        while self.player.oracle.alarms.raised:
            self._drop_alarm()
        return self.operations

    def _top_up(self, lacking: str) -> None:
        """Ask once more for a refusal that was met too seldom, or for any compare."""
        if lacking in (no_space().text, corrupt().text):
            self._draw((self._alarm, self._txn, self._put), (1, 2, 2))
        elif lacking in self._told_by:
            self._refuse(self._told_by[lacking])
        elif lacking in (WATCH_OF_THE_COMPACTED, *WATCH_REFUSALS):
            self._refuse(self.chance.choice((compacted_watch, bad_watch)))
        else:
            self._draw((self._txn, self._refusal), (1, 1))

    def _draw(self, kinds: Sequence[Callable[[], None]], weights: Sequence[float]) -> None:
        if self.player.oracle.alarms.raised:
            self._look_at_alarms()
        self.chance.choices(kinds, weights)[0]()

    def _look_at_alarms(self) -> None:
        """Alarms come seldom: while one is up, ask for it and for what it forbids, then drop it."""
        luck = self.chance.random()
        if luck < 0.15:
            self._drop_alarm()
        elif luck < 0.25:
            self._call("Status", rpc_pb2.StatusRequest())
        elif luck < 0.7:
            self.chance.choice(
                (self._put, self._txn, self._delete, self._delete, self._lease, self._compact)
            )()

    def _do(self, operation: Operation) -> None:
        self.operations.append(operation)
        self.statistics.before(operation, self.player.oracle)
        self.statistics.after(self.player.step(operation), self.player.oracle)

    def _call(self, method: str, request: object) -> None:
        self._do(Call(method, request))  # type: ignore[arg-type]  # each message is a Message

    # -- key-value

    def _range(self) -> None:
        self._call("Range", self.requests.range())

    def _range_stream(self) -> None:
        request = self.requests.range()
        if self.chance.random() < 0.8:
            for field in ("sort_order", "sort_target", "min_mod_revision", "max_mod_revision"):
                request.ClearField(field)
            request.ClearField("min_create_revision")
            request.ClearField("max_create_revision")
        self._call("RangeStream", request)

    def _put(self) -> None:
        self._call("Put", self.requests.put())

    def _delete(self) -> None:
        self._call("DeleteRange", self.requests.delete())

    def _txn(self) -> None:
        if self.chance.random() < 0.07:
            self._call("Txn", self.requests.txn_that_looks_at_itself())
        else:
            self._call("Txn", self.requests.txn())

    def _compact(self) -> None:
        history = self.player.oracle.history
        newest = history.revision
        oldest = max(history.compacted + 1, newest - 60, 1)
        if oldest > newest:
            return
        recent = self.chance.random() < 0.3
        revision = newest if recent else self.chance.randint(oldest, newest)
        self._compact_revisions.add(revision)
        self._call(
            "Compact",
            rpc_pb2.CompactionRequest(revision=revision, physical=self.chance.random() < 0.3),
        )

    def _watch_of_the_compacted(self) -> None:
        """Compact at a deletion, or beside one, and watch from there: the tombstone decides."""
        live = self.player.oracle.history.live(b"\0", b"\0", self.player.oracle.history.revision)
        if not live or self.player.oracle.alarms.raised:
            return
        key = self.chance.choice(live).key
        self._call("DeleteRange", rpc_pb2.DeleteRangeRequest(key=key))
        revision = self.player.oracle.history.revision
        if self.chance.random() < 0.5:
            self._put()
        if self.chance.random() < 0.2:
            revision = self.player.oracle.history.revision
        self._compact_revisions.add(revision)
        self._call("Compact", rpc_pb2.CompactionRequest(revision=revision, physical=True))
        stream = self._a_stream()
        create = rpc_pb2.WatchCreateRequest(
            key=key, start_revision=revision, prev_kv=self.chance.random() < 0.5
        )
        self._do(Send(stream, rpc_pb2.WatchRequest(create_request=create)))
        self._learn(stream)

    def _refusal(self) -> None:
        self._refuse(self.chance.choice(self._refusals))

    def _refuse(self, refusal: Refusal) -> None:
        """Ask for what is refused, and remember what that was told."""
        for operation in refusal(self.requests, self._a_stream()):
            self._do(operation)
            outcome = self.player.trace.outcomes[-1]
            if isinstance(outcome, Refused):
                self._told_by[told(outcome)] = refusal

    # -- leases

    def _lease(self) -> None:
        chance, lease_id = self.chance, self.requests.lease_id()
        kind = chance.choices(range(6), (8, 3, 4, 1, 2, 1))[0]
        if kind == 0:
            ttl = chance.randint(5_000, 9_000_000)
            self._call("LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=lease_id, TTL=ttl))
        elif kind == 1:
            for key in self.chance.sample(KEYS, self.chance.choice((0, 0, 1, 2, 3))):
                put = self.requests.put()
                put.key, put.lease, put.ignore_lease = key, lease_id, False
                self._call("Put", put)
            self._call("LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease_id))
        elif kind == 2:
            keys = chance.random() < 0.7
            self._call("LeaseTimeToLive", rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=keys))
        elif kind == 3:
            self._call("LeaseLeases", rpc_pb2.LeaseLeasesRequest())
        elif kind == 4:
            self._call("LeaseKeepAlive", rpc_pb2.LeaseKeepAliveRequest(ID=lease_id))
        else:
            self._passing_lease()

    def _passing_lease(self) -> None:
        """Grant an id of the server's choice, or too short a TTL, and revoke it at once."""
        chance = self.chance
        if chance.random() < 0.5:
            ttl = chance.choice((-3, 0, 1, 2))
            lease_id = 900 + chance.randint(0, 9)
        else:
            ttl, lease_id = 9_000, 0
        before = set(self.player.oracle.leases)
        self._call("LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=lease_id, TTL=ttl))
        for granted in set(self.player.oracle.leases) - before:
            self._call("LeaseKeepAlive", rpc_pb2.LeaseKeepAliveRequest(ID=granted))
            self._call("LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=granted))

    # -- watches

    def _a_stream(self) -> int:
        if not self._streams or (len(self._streams) < 6 and self.chance.random() < 0.2):
            self._streams.append(self._streams_begun)
            self._streams_begun += 1
        return self.chance.choice(self._streams)

    def _watch_burst(self) -> None:
        stream = self._a_stream()
        for _ in range(self.chance.randint(1, 5)):
            if len(self.requests.watch_ids(stream)) < 7:
                self._do(Send(stream, self.requests.watch_create(stream)))
                self._learn(stream)
        if self.chance.random() < 0.3:
            self._do(Send(stream, PROGRESS))

    def _learn(self, stream: int) -> None:
        """Remember the ids that the server has given."""
        self.requests.learn(stream, self.player.trace.streams[stream])

    def _watch_cancel(self) -> None:
        stream = self._a_stream()
        for _ in range(self.chance.randint(1, 3)):
            watch_id = self.requests.cancelled_watch_id(stream)
            cancel = rpc_pb2.WatchCancelRequest(watch_id=watch_id)
            self._do(Send(stream, rpc_pb2.WatchRequest(cancel_request=cancel)))
            self._learn(stream)

    def _watch_progress(self) -> None:
        for stream in self._streams:
            self._do(Send(stream, PROGRESS))

    def _watch_close(self) -> None:
        if self._streams:
            stream = self.chance.choice(self._streams)
            self._streams.remove(stream)
            self._do(Close(stream))

    # -- maintenance and cluster

    def _maintenance(self) -> None:
        chance = self.chance
        kind = chance.choices(range(6), (6, 4, 6, 4, 1, 0.3))[0]
        if kind == 0:
            revision = self.requests.revision()
            if revision in self._compact_revisions:
                revision = 0
            self._call("HashKV", rpc_pb2.HashKVRequest(revision=revision))
        elif kind == 1:
            self._call("Status", rpc_pb2.StatusRequest())
        elif kind == 2:
            alarm = chance.choice((rpc_pb2.NONE, rpc_pb2.NOSPACE, rpc_pb2.CORRUPT))
            self._call("Alarm", rpc_pb2.AlarmRequest(alarm=alarm))
        elif kind == 3:
            linearizable = chance.random() < 0.5
            self._call("MemberList", rpc_pb2.MemberListRequest(linearizable=linearizable))
        elif kind == 4:
            self._alarm_request(rpc_pb2.AlarmRequest.DEACTIVATE, rpc_pb2.NOSPACE)
        else:
            self._call("Defragment", rpc_pb2.DefragmentRequest())

    def _alarm(self) -> None:
        alarm = self.chance.choice(
            (rpc_pb2.NOSPACE, rpc_pb2.NOSPACE, rpc_pb2.CORRUPT, rpc_pb2.NONE)
        )
        self._alarm_request(rpc_pb2.AlarmRequest.ACTIVATE, alarm)
        if self.chance.random() < 0.4:
            self._alarm_request(rpc_pb2.AlarmRequest.ACTIVATE, alarm)
            self._alarm_request(rpc_pb2.AlarmRequest.DEACTIVATE, alarm)
            self._call("Alarm", rpc_pb2.AlarmRequest())

    def _alarm_request(
        self, action: rpc_pb2.AlarmRequest.AlarmAction, alarm: rpc_pb2.AlarmType
    ) -> None:
        member_id = self.chance.choice(ALARM_MEMBERS)
        self._call("Alarm", rpc_pb2.AlarmRequest(action=action, memberID=member_id, alarm=alarm))

    def _drop_alarm(self) -> None:
        member_id, alarm = self.chance.choice(sorted(self.player.oracle.alarms.raised))
        deactivate = rpc_pb2.AlarmRequest(
            action=rpc_pb2.AlarmRequest.DEACTIVATE, memberID=member_id, alarm=alarm
        )
        self._call("Alarm", deactivate)
