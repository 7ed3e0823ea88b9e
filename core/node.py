"""`Node`: the facade the driver feeds. Inputs in, effects out, drained before the next input.

It admits commands, holds reads until they are linearizable, applies the log, answers, tells
watchers, and decides lease expiry. It composes the other modules and adds only the order in
which they meet. `work` does one bounded slice of what may wait: watch catch-up first, then
what is read in slices, and the freeing after a compaction.

INV-APPLY-ONCE: an index is applied once, in order. INV-REPLY-AFTER-COMMIT: a command is
answered when it is applied, and it is applied when the log has it durably.
"""

from collections.abc import Callable, Sequence

from core import errors, inputs
from core.answering import answer_whole, is_local
from core.answers import Answer, LeaseKeepAliveAnswer, LeaseRevokeAnswer
from core.asking import Questions
from core.codec import Proposed, encode
from core.compaction import is_scrubbed, scrub_step
from core.effects import (
    Effect,
    EndStream,
    Erase,
    Notify,
    Propose,
    ProposeChange,
    ReadIndex,
    Reply,
)
from core.errors import Failure
from core.inputs import Asked, Committed, Input, Offered
from core.lessor import Lessor
from core.limits import GROWTH_PER_BYTE_MAX, PROPOSALS_WAITING_MAX
from core.listing import is_long
from core.machine import Applied, LeaseGone, LeaseGranted, apply, grows
from core.members import Change
from core.membership import OWN, Membership, Standing
from core.operations import (
    AlarmKind,
    AlarmSet,
    Command,
    Compact,
    HashKv,
    LeaseExpire,
    LeaseKeepAlive,
    LeaseTimeToLive,
    MembersChange,
    Range,
    RangeStream,
)
from core.patience import Overdue, Patience
from core.quota import cost_of
from core.ranges import PageCounts, read
from core.records import Version
from core.rounds import Rounds
from core.settings import NodeConfig as NodeConfig
from core.slices import Slices
from core.state import State
from core.tuples import new
from core.watches import WatchHub, WatchInput
from core.watching import WatchStream

_NOBODY = object()


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
        self.leader = 0
        """The member that leads while this one follows; 0 if none is known, or it leads itself."""
        self.now_ms = 0
        self.expired_count = 0
        """Leases that ended because their time was over, since this member started."""
        self._effects: list[Effect] = []
        self._sequence = 0
        self._waiting: dict[int, object] = {}
        self._expiries: dict[int, int] = {}
        first = config.origin >> 3  # Far below 2^62: the wire takes nothing above for a number.
        self._rounds = Rounds(first)
        self._parked: dict[int, list[Asked]] = {}
        self._slices = Slices()
        self._patience = Patience(
            request_ms=config.request_timeout_ms, election_ms=config.election_timeout_ms
        )
        self._questions = Questions(first)
        self.membership = Membership(config, self._order)
        self._physical: list[tuple[int, object, Answer]] = []
        self._alarm_proposed = False
        self._steps: dict[type, Callable[..., None]] = {
            Asked: self._ask,
            Offered: self._offer,
            inputs.Abandoned: self._slices.abandoned,
            Committed: self._commit,
            inputs.ReadReady: self._read_ready,
            inputs.Refused: self._refuse,
            inputs.Lost: self._lose,
            inputs.ReadLost: self._read_lost,
            inputs.PeerAsked: self._peer_ask,
            inputs.LeaderTold: self._leader_told,
            inputs.Installed: self._install,
            inputs.Elected: self._elect,
            inputs.Deposed: self._depose,
            inputs.Ticked: self._tick,
            inputs.ChangeOffered: self._offer_change,
            inputs.Linked: self.membership.linked,
            inputs.Progressed: self.membership.progressed,
            inputs.WatchOpened: self._watch_open,
            inputs.WatchAsked: self._watch,
            inputs.WatchCanceled: self._watch,
            inputs.WatchProgressAsked: self._watch,
            inputs.WatchClosed: self._watch,
            inputs.RoomChanged: self._room,
        }

    def step(self, given: Input) -> Sequence[Effect]:
        """Take one input and return what is to be done about it, in order."""
        self._steps[type(given)](given)
        return self._drain()

    def begin_reads(self) -> Sequence[Effect]:
        """Send the reads gathered since the last call on one common round."""
        number = self._rounds.begin()
        return (ReadIndex(number),) if number else ()

    def work(self) -> Sequence[Effect]:
        """Do one slice of what may wait; nothing is returned when nothing waits."""
        if self.hub.unsynced and self.hub.catch_up(self.state):
            return self._drain()
        self._effects += self._slices.step(self.state, self.counts)
        if not is_scrubbed(self.state):
            self._scrub()
        return self._drain()

    def has_work(self) -> bool:
        """Whether `work` has anything to do."""
        return not is_scrubbed(self.state) or self._slices.has_work() or self.hub.has_work()

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
        if len(self._waiting) >= PROPOSALS_WAITING_MAX and type(command) is not AlarmSet:
            return errors.TOO_MANY_REQUESTS
        room = self.config.quota_bytes - self.state.resident_bytes
        # What no request of this size can exceed is not summed up (hot path).
        if room <= GROWTH_PER_BYTE_MAX * size_bytes + GROWTH_PER_BYTE_MAX and grows(command):
            state = self.state
            cost = cost_of(command)
            if state.resident_bytes + cost >= self.config.quota_bytes:
                self._raise_nospace()
                return errors.NO_SPACE
        if size_bytes > self.config.request_bytes_max:
            return errors.REQUEST_TOO_LARGE
        return None

    def _raise_nospace(self) -> None:
        alarm = (self.config.member_id, int(AlarmKind.NOSPACE))
        if alarm not in self.state.alarms and not self._alarm_proposed:
            self._alarm_proposed = True
            self._propose(AlarmSet(*alarm, raised=True))

    def _propose(self, command: Command, change: Change | None = None) -> int:
        self._sequence += 1
        sequence = self._sequence
        payload = encode((self.config.origin, sequence), command)
        if change is None:
            self._effects.append(new(Propose, (sequence, payload, command)))
        else:
            self._effects.append(ProposeChange(sequence, payload, command, change))
        return sequence

    def _refuse(self, given: inputs.Refused) -> None:
        clients_refused = any(sequence in self._waiting for sequence in given.sequences)
        for sequence in given.sequences:
            if sequence in self._waiting:
                answer = self.membership.refused(sequence)
                if given.disk_full:
                    answer = errors.NO_SPACE
                self._effects.append(Reply(self._waiting.pop(sequence), answer))
            elif (lease_id := self._expiries.pop(sequence, None)) is not None:
                self._expiry_decided(lease_id)
            else:
                self._alarm_proposed = False
            self.membership.decided(sequence)
        if given.disk_full and (clients_refused or not given.sequences):
            self._raise_nospace()

    def _lose(self, given: inputs.Lost) -> None:
        for sequence in given.sequences:
            self._forget(sequence, errors.TIMED_OUT_LEADER)
            self.membership.decided(sequence)

    def _forget(self, sequence: int, answer: Failure) -> None:
        """Wait no longer for a proposal: if it is committed after all, nobody is told."""
        token = self._waiting.pop(sequence, _NOBODY)
        if token is not _NOBODY:
            self._effects.append(Reply(token, answer))
        elif (lease_id := self._expiries.pop(sequence, None)) is not None:
            self._expiry_decided(lease_id)
        else:
            self._alarm_proposed = False

    # The log.

    def _commit(self, given: Committed) -> None:
        index, term, commands = given
        state = self.state
        assert index > state.applied_index, "INV-APPLY-ONCE"
        changes: list[Version] = []
        effects, counts = self._effects, self.counts
        for proposed in commands:
            applied = apply(state, proposed.command, index, term, counts)
            answer, changed, facts = applied
            effects.append(applied)
            changes += changed
            if facts:
                self._note_facts(applied)
            self._resolve(proposed, answer)
        state.applied_index = index
        state.applied_term = term
        if changes:
            self.hub.publish(state, changes)
        for reads in self._rounds.applied(index):
            self._answer_all(reads)
        effects += self._questions.applied(index)

    def _resolve(self, proposed: Proposed, answer: Answer) -> None:
        (origin, sequence), command = proposed
        if type(command) is LeaseExpire:
            self._expiries.pop(sequence, None)
            self.expired_count += isinstance(answer, LeaseRevokeAnswer)
            self._expiry_decided(command.id)
        elif type(command) is AlarmSet:
            self._alarm_proposed = False
        if origin != self.config.origin:
            return
        if sequence == self.membership.under_way:
            self.membership.under_way = 0
        token = self._waiting.pop(sequence, None)
        if token is None:
            return
        if type(command) is Compact and command.physical and not isinstance(answer, Failure):
            self._physical.append((command.revision, token, answer))
            return
        self._effects.append(new(Reply, (token, answer)))

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
        if is_local(given.query):
            self._answer(given)
        elif self.leader and type(given.query) in (LeaseKeepAlive, LeaseTimeToLive):
            self._effects.append(self._questions.ask(given, self.leader))
        else:
            self._rounds.gather(given)

    def _read_lost(self, given: inputs.ReadLost) -> None:
        for asked in self._rounds.lose(given.round):
            self._effects.append(Reply(asked.token, errors.LEADER_CHANGED))

    def _read_ready(self, given: inputs.ReadReady) -> None:
        applied_index = self.state.applied_index
        self._answer_all(self._rounds.ready(given.round, given.log_index, applied_index))

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
        answer: Answer | None
        match query:
            case Range() if is_long(state, query, self.counts):
                self._slices.open_listing(state, token, query)
                return
            case LeaseKeepAlive():
                self._keep_alive(asked, query.id)
                return
            case LeaseTimeToLive() if not self.leading_term:
                self._effects.append(self._questions.ask(asked, self.leader))
                return
            case HashKv():
                answer = self._slices.open_hash(state, token, query)
            case RangeStream():
                answer = self._slices.open_stream(state, token, query.range, self.counts)
            case _:
                answer = answer_whole(state, self.lessor, query, self.counts)
        if answer is not None:
            self._effects.append(Reply(token, answer))

    # Leases.

    def _keep_alive(self, asked: Asked, lease_id: int) -> None:
        if not self.leading_term:
            # Only who keeps the deadlines can promise time.
            self._effects.append(self._questions.ask(asked, self.leader))
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

    def _expiry_decided(self, lease_id: int) -> None:
        self.lessor.decided(lease_id)
        self._wake_parked(lease_id)

    def _wake_parked(self, lease_id: int) -> None:
        for asked in self._parked.pop(lease_id, ()):
            self._keep_alive(asked, lease_id)

    # The leader: this member, another one, or none.

    def _elect(self, given: inputs.Elected) -> None:
        self.leading_term = given.term
        self.leader = 0
        self._patience.leader_known()
        self._effects += self._questions.lose()
        self.lessor.promote(self.state.leases)
        self._effects += self.membership.elected()

    def _depose(self, given: inputs.Deposed) -> None:
        self.leading_term = 0
        if given.leader:
            self._patience.leader_known()
        else:
            self._patience.leader_lost(self.now_ms)
        if given.leader != self.leader:
            self.leader = given.leader
            self._effects += self._questions.lose()
        self._effects += self.membership.deposed()
        self.lessor.demote()
        self._expiries.clear()
        for lease_id in list(self._parked):
            self._wake_parked(lease_id)

    def _peer_ask(self, given: inputs.PeerAsked) -> None:
        token, query = given
        if not self.leading_term:
            self._effects.append(Reply(token, errors.NO_LEADER))
        elif isinstance(query, MembersChange):
            self._offer_change(inputs.ChangeOffered(token, query))
        else:
            self._rounds.gather(Asked(token, query))

    def _leader_told(self, given: inputs.LeaderTold) -> None:
        self._effects += self._questions.told(*given, self.state.applied_index)

    def _offer_change(self, given: inputs.ChangeOffered) -> None:
        if self.leading_term:
            self._effects += self.membership.ask(*given, self._standing())
        else:
            self._effects.append(self._questions.ask(given, self.leader))

    def _order(self, token: object, command: Command, change: Change | None) -> int:
        sequence = self._propose(command, change)
        if token is not OWN:
            self._waiting[sequence] = token
        return sequence

    def _standing(self) -> Standing:
        return Standing(self.state, self.leading_term, self.leader)

    def _install(self, given: inputs.Installed) -> None:
        told = self.state.revision
        assert given.state.applied_index > self.state.applied_index, "INV-APPLY-ONCE"
        assert not self.leading_term, "INV-LEADER-COMPLETE"
        self.state = given.state
        self.counts = PageCounts()
        self.hub.follow(self.state, told)
        for _, token, answer in self._physical:
            self._effects.append(Reply(token, answer))
        self._physical.clear()
        for reads in self._rounds.applied(self.state.applied_index):
            self._answer_all(reads)

    # Time.

    def advance(self, now_ms: int) -> None:
        """Move the clock alone: what a turn's inputs renew is renewed from now on."""
        self.now_ms = self.membership.now_ms = now_ms
        self.lessor.advance(now_ms)

    def next_due_ms(self) -> int | None:
        """Return when the next tick has something to do; None for not before an input."""
        due = self.lessor.next_due_ms()
        if due is not None:
            due += self.now_ms
        members_ms = self.membership.next_due_ms(self.state, self.leading_term)
        for other in (self.hub.next_tick_ms, self._patience.next_due_ms(), members_ms):
            if other is not None and (due is None or other < due):
                due = other
        return due

    def _tick(self, given: inputs.Ticked) -> None:
        self.now_ms = self.membership.now_ms = given.now_ms
        if self.config.request_timeout_ms:
            self._lose_patience(given.now_ms)
        due = self.lessor.tick(given.now_ms, self.state.leases)
        for lease in due:
            command = LeaseExpire(lease.id, self.leading_term, lease.generation)
            self._expiries[self._propose(command)] = lease.id
        self.hub.tick(self.state, given.now_ms)
        self._effects += self.membership.keep(self._standing())

    def _lose_patience(self, now_ms: int) -> None:
        """Tell who has waited too long that nobody knows; end streams that miss a leader."""
        asked = Overdue(self._sequence, self._rounds.newest, self._questions.newest)
        self._patience.mark(now_ms, asked)
        overdue = self._patience.overdue(now_ms)
        if overdue is not None:
            for sequence in [each for each in self._waiting if each <= overdue.sequence]:
                self._forget(sequence, errors.TIMED_OUT)
            for late in self._rounds.lose_to(overdue.round):
                self._effects.append(Reply(late.token, errors.TIMED_OUT))
            self._effects += self._questions.overdue(overdue.question)
        if self._patience.is_leaderless(now_ms):
            for stream in [each for each in self.hub.streams if each.wants_leader]:
                self.hub.close(stream)
                self._effects.append(EndStream(stream, errors.NO_LEADER))

    # Watches.

    def _watch_open(self, given: inputs.WatchOpened) -> None:
        stream = given.stream
        stream.wants_leader = given.wants_leader
        if given.wants_leader and self._patience.wants_leader():
            self._effects.append(EndStream(stream, errors.NO_LEADER))
            return
        self.hub.open(stream, self.now_ms, given.jitter_ms)

    def _watch(self, given: WatchInput) -> None:
        self.hub.take(self.state, given)

    def _room(self, given: inputs.RoomChanged) -> None:
        if isinstance(given.stream, WatchStream):
            given.stream.blocked = given.blocked
        else:
            self._slices.block(given.stream, given.blocked)
