"""`Node`: the facade the driver feeds. Inputs in, effects out, drained before the next input.

It admits commands, holds reads until they are linearizable, applies the log, answers, tells
watchers, and decides lease expiry. It composes the other modules and adds only the order in
which they meet. `work` does one bounded slice of what may wait: watch catch-up first, then
range streams, hashes, and the freeing after a compaction.

INV-APPLY-ONCE: an index is applied once, in order. INV-REPLY-AFTER-COMMIT: a command is
answered when it is applied, and it is applied when the log has it durably.
"""

from collections import deque
from collections.abc import Callable, Sequence

from attrs import frozen

from core.answers import (
    AlarmAnswer,
    Answer,
    Done,
    LeaseKeepAliveAnswer,
    LeaseLeasesAnswer,
    LeaseRevokeAnswer,
    LeaseTimeToLiveAnswer,
)
from core.codec import ProposalId, Proposed, encode
from core.compaction import is_scrubbed, scrub_step
from core.effects import Effect, Erase, Notify, Propose, ReadIndex, Reply
from core.errors import NO_LEADER, NO_SPACE, REQUEST_TOO_LARGE, STOPPED, TOO_MANY_REQUESTS, Failure
from core.hashing import HashJob, hash_step, open_hash
from core.inputs import (
    Abandoned,
    Asked,
    Committed,
    Deposed,
    Elected,
    Input,
    Offered,
    ReadReady,
    Refused,
    RoomChanged,
    Ticked,
    WatchAsked,
    WatchCanceled,
    WatchClosed,
    WatchOpened,
    WatchProgressAsked,
)
from core.lessor import Lessor
from core.limits import GROWTH_PER_BYTE_MAX, PROPOSALS_WAITING_MAX
from core.listing import Listing, is_long, next_slice, open_listing
from core.machine import Applied, LeaseGone, LeaseGranted, apply, grows
from core.operations import (
    AlarmKind,
    AlarmList,
    AlarmSet,
    Barrier,
    Command,
    Compact,
    HashKv,
    LeaseExpire,
    LeaseKeepAlive,
    LeaseLeases,
    LeaseTimeToLive,
    Query,
    Range,
    RangeStream,
    Txn,
    is_serializable,
)
from core.quota import cost_of
from core.ranges import PageCounts, read
from core.records import Version
from core.state import State
from core.streaming import RangeCursor, next_chunk, open_cursor
from core.txn import run
from core.watches import WatchHub
from core.watching import WatchStream
from core.writes import Writer


@frozen
class NodeConfig:
    """What a member decides about admission. Sizes in bytes, times in milliseconds."""

    member_id: int
    origin: int
    """Drawn at each start: with the sequence it makes proposal ids unique for ever."""
    quota_bytes: int
    request_bytes_max: int
    fragment_bytes: int
    progress_interval_ms: int


class Node:
    """One member's core. Owns its state, watch hub and lessor; nothing else writes them."""

    def __init__(self, state: State, config: NodeConfig) -> None:
        self.state = state
        self.config = config
        self.hub = WatchHub(
            fragment_bytes=config.fragment_bytes, progress_interval_ms=config.progress_interval_ms
        )
        self.lessor = Lessor()
        self.counts = PageCounts()
        self.leading_term = 0
        """The term this member leads; 0 while it follows."""
        self.now_ms = 0
        self.expired_count = 0
        """Leases that ended because their time was over, since this member started."""
        self._effects: list[Effect] = []
        self._sequence = 0
        self._waiting: dict[int, object] = {}
        self._expiries: dict[int, int] = {}
        self._reads: list[Asked] = []
        self._rounds: dict[int, list[Asked]] = {}
        self._round = 0
        self._ready: list[tuple[int, list[Asked]]] = []
        self._parked: dict[int, list[Asked]] = {}
        self._cursors: dict[object, RangeCursor] = {}
        self._listings: deque[Listing] = deque()
        self._hashes: list[HashJob] = []
        self._physical: list[tuple[int, object, Answer]] = []
        self._alarm_proposed = False
        self._steps: dict[type, Callable[..., None]] = {
            Asked: self._ask,
            Offered: self._offer,
            Abandoned: self._abandon,
            Committed: self._commit,
            ReadReady: self._read_ready,
            Refused: self._refuse,
            Elected: self._elect,
            Deposed: self._depose,
            Ticked: self._tick,
            WatchOpened: self._watch_open,
            WatchAsked: self._watch_ask,
            WatchCanceled: self._watch_cancel,
            WatchProgressAsked: self._watch_progress,
            WatchClosed: self._watch_close,
            RoomChanged: self._room,
        }

    def step(self, given: Input) -> Sequence[Effect]:
        """Take one input and return what is to be done about it, in order."""
        self._steps[type(given)](given)
        return self._drain()

    def begin_reads(self) -> Sequence[Effect]:
        """Send the reads gathered since the last call on one common round."""
        if not self._reads:
            return ()
        self._round += 1
        self._rounds[self._round] = self._reads
        self._reads = []
        return (ReadIndex(self._round),)

    def work(self) -> Sequence[Effect]:
        """Do one slice of what may wait; nothing is returned when nothing waits."""
        if self.hub.unsynced and self.hub.catch_up(self.state):
            return self._drain()
        self._stream_step()
        self._listing_step()
        if self._hashes:
            job = self._hashes[0]
            answer = hash_step(self.state, job)
            if answer is not None:
                self._hashes.pop(0)
                self._effects.append(Reply(job.token, answer))
        if not is_scrubbed(self.state):
            self._scrub()
        return self._drain()

    def has_work(self) -> bool:
        """Whether `work` has anything to do."""
        return (
            bool(self._hashes)
            or bool(self._listings)
            or not is_scrubbed(self.state)
            or any(not cursor.blocked for cursor in self._cursors.values())
            or self.hub.has_work()
        )

    @property
    def proposals_waiting(self) -> int:
        """How many proposals have no known fate yet."""
        return len(self._waiting) + len(self._expiries)

    def _drain(self) -> Sequence[Effect]:
        outbox = self.hub.outbox
        if outbox:
            self._effects += [Notify(stream, message) for stream, message in outbox]
            outbox.clear()
        effects = self._effects
        self._effects = []
        return effects

    # Commands on their way in.

    def _offer(self, given: Offered) -> None:
        token, command, size_bytes = given
        failure = self._admit(command, size_bytes)
        if failure is not None:
            self._effects.append(Reply(token, failure))
            return
        self._waiting[self._propose(command)] = token

    def _admit(self, command: Command, size_bytes: int) -> Failure | None:
        if type(command) is not AlarmSet and len(self._waiting) >= PROPOSALS_WAITING_MAX:
            return TOO_MANY_REQUESTS
        room = self.config.quota_bytes - self.state.resident_bytes
        # What no request of this size can exceed is not summed up (hot path).
        if room <= GROWTH_PER_BYTE_MAX * size_bytes + GROWTH_PER_BYTE_MAX and grows(command):
            state = self.state
            cost = cost_of(command)
            if state.resident_bytes + cost >= self.config.quota_bytes:
                self._raise_nospace()
                return NO_SPACE
        if size_bytes > self.config.request_bytes_max:
            return REQUEST_TOO_LARGE
        return None

    def _raise_nospace(self) -> None:
        alarm = (self.config.member_id, int(AlarmKind.NOSPACE))
        if alarm not in self.state.alarms and not self._alarm_proposed:
            self._alarm_proposed = True
            self._propose(AlarmSet(*alarm, raised=True))

    def _propose(self, command: Command) -> int:
        self._sequence += 1
        sequence = self._sequence
        payload = encode(ProposalId(self.config.origin, sequence), command)
        self._effects.append(Propose(sequence, payload, command))
        return sequence

    def _refuse(self, given: Refused) -> None:
        clients_refused = any(sequence in self._waiting for sequence in given.sequences)
        for sequence in given.sequences:
            if sequence in self._waiting:
                answer = NO_SPACE if given.disk_full else STOPPED
                self._effects.append(Reply(self._waiting.pop(sequence), answer))
            elif (lease_id := self._expiries.pop(sequence, None)) is not None:
                self._expiry_decided(lease_id)
            else:
                self._alarm_proposed = False
        if given.disk_full and (clients_refused or not given.sequences):
            self._raise_nospace()

    def _abandon(self, given: Abandoned) -> None:
        self._cursors.pop(given.token, None)
        self._hashes = [job for job in self._hashes if job.token is not given.token]

    # The log.

    def _commit(self, given: Committed) -> None:
        index, term, commands = given
        state = self.state
        assert index > state.applied_index, "INV-APPLY-ONCE"
        changes: list[Version] = []
        effects, counts = self._effects, self.counts
        for proposed in commands:
            applied = apply(state, proposed.command, index, term, counts)
            effects.append(applied)
            changes += applied.changes
            if applied.facts:
                self._note_facts(applied)
            self._resolve(proposed, applied.answer)
        state.applied_index = index
        state.applied_term = term
        if changes:
            self.hub.publish(state, changes)
        while self._ready and self._ready[0][0] <= index:
            self._answer_all(self._ready.pop(0)[1])

    def _resolve(self, proposed: Proposed, answer: Answer) -> None:
        command = proposed.command
        if type(command) is LeaseExpire:
            self._expiries.pop(proposed.id.sequence, None)
            self.expired_count += isinstance(answer, LeaseRevokeAnswer)
            self._expiry_decided(command.id)
        if type(command) is AlarmSet:
            self._alarm_proposed = False
        if proposed.id.origin != self.config.origin:
            return
        token = self._waiting.pop(proposed.id.sequence, None)
        if token is None:
            return
        if type(command) is Compact and command.physical and not isinstance(answer, Failure):
            self._physical.append((command.revision, token, answer))
            return
        self._effects.append(Reply(token, answer))

    def _note_facts(self, applied: Applied) -> None:
        for fact in applied.facts:
            if isinstance(fact, LeaseGranted):
                if self.leading_term:
                    self.lessor.renew(self.state.leases[fact.id])
            elif isinstance(fact, LeaseGone):
                self.lessor.forget(fact.id)
                self._wake_parked(fact.id)

    def _scrub(self) -> None:
        numbers = scrub_step(self.state)
        done = is_scrubbed(self.state)
        self._effects.append(Erase(numbers, self.state.scrubbed_revision, done))
        if done:
            for _, token, answer in self._physical:
                self._effects.append(Reply(token, answer))
            self._physical.clear()

    # Reads.

    def _ask(self, given: Asked) -> None:
        if _is_local(given.query):
            self._answer(given)
        else:
            self._reads.append(given)

    def _read_ready(self, given: ReadReady) -> None:
        reads = self._rounds.pop(given.round)
        if given.log_index <= self.state.applied_index:
            self._answer_all(reads)
        else:
            self._ready.append((given.log_index, reads))

    def _answer_all(self, reads: list[Asked]) -> None:
        state, counts, effects = self.state, self.counts, self._effects
        for asked in reads:
            query = asked.query
            if type(query) is Range and not is_long(state, query, counts):
                effects.append(Reply(asked.token, read(state, query, counts)))
            else:
                self._answer(asked)

    def _answer(self, asked: Asked) -> None:
        token, query = asked
        state = self.state
        answer: Answer
        match query:
            case Range():
                if is_long(state, query, self.counts):
                    self._listings.append(open_listing(state, token, query))
                    return
                answer = read(state, query, self.counts)
            case Txn():
                answer = run(state, query, Writer(state), self.counts)
            case LeaseKeepAlive():
                self._keep_alive(asked, query.id)
                return
            case LeaseTimeToLive():
                answer = self._time_to_live(query)
            case LeaseLeases():
                remaining = self.lessor.remaining_ms
                order = sorted(state.leases.values(), key=lambda each: (remaining(each), each.id))
                answer = LeaseLeasesAnswer(state.revision, [lease.id for lease in order])
            case AlarmList():
                alarms = [a for a in sorted(state.alarms) if query.kind in (AlarmKind.NONE, a[1])]
                answer = AlarmAnswer(state.revision, alarms)
            case HashKv():
                job = open_hash(state, token, query.revision)
                if isinstance(job, HashJob):
                    self._hashes.append(job)
                    return
                answer = job
            case RangeStream():
                self._open_stream(token, query.range)
                return
            case Barrier():
                answer = Done(state.revision)
        self._effects.append(Reply(token, answer))

    def _open_stream(self, token: object, query: Range) -> None:
        cursor = open_cursor(self.state, token, query)
        probe = read(self.state, query._replace(limit=1, count_only=True), self.counts)
        if isinstance(probe, Failure):
            self._effects.append(Reply(token, probe))
            return
        self._cursors[token] = cursor

    def _stream_step(self) -> None:
        for token, cursor in list(self._cursors.items()):
            if cursor.blocked:
                continue
            chunk = next_chunk(self.state, cursor, self.counts)
            self._effects.append(Reply(token, chunk))
            if isinstance(chunk, Failure) or chunk.last:
                del self._cursors[token]

    def _listing_step(self) -> None:
        """Read one slice of one long range; they take turns."""
        if not self._listings:
            return
        listing = self._listings.popleft()
        answer = next_slice(self.state, listing, self.counts)
        if answer is None:
            self._listings.append(listing)
        else:
            self._effects.append(Reply(listing.token, answer))

    # Leases.

    def _keep_alive(self, asked: Asked, lease_id: int) -> None:
        if not self.leading_term:
            # Only who keeps the deadlines can promise time.
            self._effects.append(Reply(asked.token, NO_LEADER))
            return
        lease = self.state.leases.get(lease_id)
        if lease is not None and lease_id in self.lessor.expiring:
            self._parked.setdefault(lease_id, []).append(asked)
            return
        ttl_s = 0
        if lease is not None:
            self.lessor.renew(lease)
            ttl_s = lease.ttl_s
        answer = LeaseKeepAliveAnswer(self.state.revision, lease_id, ttl_s)
        self._effects.append(Reply(asked.token, answer))

    def _time_to_live(self, query: LeaseTimeToLive) -> LeaseTimeToLiveAnswer:
        lease = self.state.leases.get(query.id)
        if lease is None:
            return LeaseTimeToLiveAnswer(self.state.revision, query.id, -1, 0, ())
        keys = sorted(lease.keys) if query.keys else ()
        remaining_s = self.lessor.remaining_ms(lease) // 1000
        return LeaseTimeToLiveAnswer(self.state.revision, query.id, remaining_s, lease.ttl_s, keys)

    def _expiry_decided(self, lease_id: int) -> None:
        self.lessor.decided(lease_id)
        self._wake_parked(lease_id)

    def _wake_parked(self, lease_id: int) -> None:
        for asked in self._parked.pop(lease_id, ()):
            self._keep_alive(asked, lease_id)

    def _elect(self, given: Elected) -> None:
        self.leading_term = given.term
        self.lessor.promote(self.state.leases)

    def _depose(self, given: Deposed) -> None:
        self.leading_term = 0
        self.lessor.demote()
        self._expiries.clear()
        for lease_id in list(self._parked):
            self._wake_parked(lease_id)

    def _tick(self, given: Ticked) -> None:
        self.now_ms = given.now_ms
        due = self.lessor.tick(given.now_ms, self.state.leases)
        for lease in due:
            command = LeaseExpire(lease.id, self.leading_term, lease.generation)
            self._expiries[self._propose(command)] = lease.id
        self.hub.tick(self.state, given.now_ms)

    # Watches.

    def _watch_open(self, given: WatchOpened) -> None:
        self.hub.open(given.stream, self.now_ms, given.jitter_ms)

    def _watch_ask(self, given: WatchAsked) -> None:
        self.hub.create(self.state, given.stream, given.want)

    def _watch_cancel(self, given: WatchCanceled) -> None:
        self.hub.cancel(self.state, given.stream, given.watch_id)

    def _watch_progress(self, given: WatchProgressAsked) -> None:
        self.hub.request_progress(self.state, given.stream)

    def _watch_close(self, given: WatchClosed) -> None:
        self.hub.close(given.stream)

    def _room(self, given: RoomChanged) -> None:
        if isinstance(given.stream, WatchStream):
            given.stream.blocked = given.blocked
            return
        cursor = self._cursors.get(given.stream)
        if cursor is not None:
            cursor.blocked = given.blocked


def _is_local(query: Query) -> bool:
    """Whether a query asks for this member's own state, agreed on or not."""
    if isinstance(query, Range):
        return query.serializable
    if isinstance(query, Txn):
        return is_serializable(query)
    if isinstance(query, RangeStream):
        return query.range.serializable
    return isinstance(query, HashKv)
