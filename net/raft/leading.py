"""What a leader does: replicate, count, confirm reads, change members, hand over.

Rule of this file: what is committed and which entries are sent next is decided behind the seam
(`net.raft.inner`); here is kept who hears of them at all, and what is known of each.
"""

from attrs import define, field

from net.changes import MARK, change_of, framed
from net.raft.followers import Follower
from net.raft.membership import fits
from net.raft.reads import Asker, ReadRounds
from net.raft.replica import Replica
from net.raft.wire import (
    Ack,
    Ask,
    Newcomer,
    Offer,
    Ping,
    Pong,
    StepUp,
    Taken,
    Told,
    encode_append,
    encode_entries,
)
from net.replicator import Change, ChangeKind, ChangeMember, Outcome

ORDERS_MAX = 4_096
COMMIT_MS = 2
"""So long a commit waits for entries to be told with, where some come soon after each commit."""
ROUND_MS = 5
"""So long a read round waits for those who confirm it fastest; then all are asked."""


@define
class Handover:
    """Leadership on its way to another member."""

    token: int
    target: int
    due_ms: int
    asked_ms: int = 0


@define
class Leading:
    """The part of an engine that leads."""

    replica: Replica
    book: dict[int, Follower]
    """All other members, and who else has a link."""
    handover: Handover | None = None
    _rounds: ReadRounds = field(factory=ReadRounds)
    _tokens: dict[int, int] = field(factory=dict[int, int])
    """Own proposals in this log: index -> token."""
    _orders: dict[tuple[int, int], int] = field(factory=dict[tuple[int, int], int])
    """What was ordered lately: (member, token) -> index. It may be offered twice."""
    _leaving: dict[int, int] = field(factory=dict[int, int])
    """Removed members that are to hear of it: member -> where the removal is in the log."""
    _asked_ms: int = 0
    """When the round under way was last asked for."""
    _asked_few: bool = False
    """Whether only as many were asked as have to confirm."""
    _committed_ms: int = 0
    """When something was last committed."""
    _goes_on: bool = False
    """Whether the last proposal came soon after a commit, as of a client that asks in turn."""
    soon_ms: int | None = None
    """When time alone has something to do for what waits but a moment."""
    _beaten_ms: int = 0
    """When everybody's patience was last thought of."""
    _packed: tuple[int, int, bytes] = (0, 0, b"")
    """The entries that were encoded last: first index, count, bytes."""

    # Beginning and end.

    def begin(self) -> None:
        """This member leads from now on; its term's first entry comes next."""
        replica = self.replica
        replica.leader = replica.me
        self._packed = (0, 0, b"")
        for member in replica.membership.members:
            self.follower(member)
        for follower in self.book.values():
            follower.begin(replica.now_ms, replica.log.last_index + 1)

    def end(self) -> None:
        """It leads no more; what was proposed has an unknown fate."""
        out = self.replica.out
        out.resolved += [Outcome(token, refused=False) for token in self._tokens.values()]
        self._tokens.clear()
        self._leaving.clear()
        for asker in self._rounds.lose():
            self._tell(asker, 0)

    def linked(self, member: int) -> None:
        """A member has a new link, perhaps in a new life: its tokens may begin anew."""
        for asked in [asked for asked in self._orders if asked[0] == member]:
            del self._orders[asked]

    def leaves(self, member: int) -> None:
        """A removed member has heard of it, or will not."""
        self._leaving.pop(member, None)

    def _hears(self, member: int) -> bool:
        return member in self.replica.membership.members or member in self._leaving

    def follower(self, member: int) -> Follower:
        """Return the page of a member."""
        if member not in self.book:
            self.book[member] = Follower(member)
        return self.book[member]

    def hearing(self) -> list[Follower]:
        """Return who is to be sent entries and signs of life, and has a link."""
        members, leaving = self.replica.membership.members, self._leaving
        return [
            follower
            for follower in self.book.values()
            if follower.is_linked and (follower.number in members or follower.number in leaving)
        ]

    # Entries.

    def send(self, follower: Follower, previous: int, count: int) -> None:
        """Send so many entries behind one, with the commit index: stamped, and reckoned with."""
        replica, log = self.replica, self.replica.log
        packed = b""
        commit = replica.inner.commit
        follower.stamp += 1
        if count:
            first = previous + 1
            if self._packed[:2] != (first, count):
                entries = log.between(first, previous + count)
                self._packed = (first, count, encode_entries(entries))
            packed = self._packed[2]
            follower.next = first + count
            follower.flies(len(packed))
        follower.told = commit
        follower.held_ms = 0
        follower.sent_ms = replica.now_ms
        follower.must_hear = False
        head = (replica.term, previous, log.term_at(previous), commit, follower.stamp)
        replica.out.messages.append((follower.number, encode_append(head, count, packed), 0))

    def must_tell(self, follower: Follower) -> bool:
        """Whether to say now what is committed, and not with the entries that come next.

        A message of its own wakes the follower once more for each command: 0.2 ms of its CPU. It is
        sent at once where nothing follows, or a client of the follower's waits for it.
        """
        replica = self.replica
        commit = replica.inner.commit
        if follower.told == commit:
            return False
        if not self._goes_on or follower.told < follower.offered <= commit:
            return True
        if not follower.held_ms:
            follower.held_ms = replica.now_ms
        due_ms = follower.held_ms + COMMIT_MS
        if replica.now_ms >= due_ms:
            return True
        self._expect(due_ms)
        return False

    def _expect(self, due_ms: int) -> None:
        self.soon_ms = due_ms if self.soon_ms is None else min(self.soon_ms, due_ms)

    def acknowledged(self, peer: int, ack: Ack) -> None:
        """A member answered an Append of this term."""
        log, follower = self.replica.log, self.follower(peer)
        if not self._hears(peer) or ack.upto > log.last_index or ack.stamp > follower.stamp:
            return
        follower.heard_ms = self.replica.now_ms
        follower.landed(ack.stamp)
        follower.tells_end(ack.upto)
        if ack.differs:
            # Both sides pass over what cannot match: a round trip for each term, not each entry.
            upto = log.retreat(ack.upto, ack.upto_term) if ack.upto_term else ack.upto
            follower.rewinds(upto, ack.stamp)
        else:
            follower.reaches(ack.upto)
            if follower.told >= self._leaving.get(peer, follower.told + 1):
                self.leaves(peer)
        follower.wants_snapshot = follower.next <= log.base_index

    def newcomer(self, peer: int, message: Newcomer) -> None:
        """A member needs a snapshot whatever this log holds."""
        if not self._hears(peer):
            return
        follower = self.follower(peer)
        follower.heard_ms = self.replica.now_ms
        follower.landed(message.stamp)
        follower.wants_snapshot = True

    def cut(self) -> None:
        """The log was cut: members that need what is gone get a snapshot."""
        for follower in self.book.values():
            if follower.next <= self.replica.log.base_index:
                follower.wants_snapshot = True

    # Proposals.

    def propose(self, token: int, payload: bytes) -> int:
        """Append an entry; return its index."""
        replica = self.replica
        self._goes_on = replica.now_ms - self._committed_ms <= COMMIT_MS
        replica.inner.propose(payload)
        index = replica.log.last_index
        if token:
            self._tokens[index] = token
        return index

    def offered(self, peer: int, message: Offer) -> None:
        """Order a follower's pack. One that was refused may be offered again, under its token."""
        asked = peer, message.token
        if asked not in self._orders and (index := self._order(message)):
            self._orders[asked] = index
            self.follower(peer).offered = index
            if len(self._orders) > ORDERS_MAX:
                del self._orders[next(iter(self._orders))]
        self.answer(peer, message)

    def answer(self, peer: int, message: Offer) -> None:
        """Say what became of an offer: one that comes twice is told the same, whoever leads now."""
        index = self._orders.get((peer, message.token), 0)
        self.replica.send(peer, Taken(self.replica.term, message.token, index))

    def _order(self, message: Offer) -> int:
        """Return where an offer is in the log now; 0 if it is refused."""
        replica = self.replica
        if message.term != replica.term or self.handover is not None:
            return 0
        change = change_of(message.payload)
        if change is not None:
            return self._change(0, message.payload, change)
        if replica.config.is_pack(message.payload):
            return self.propose(0, message.payload)
        return 0

    def change(self, given: ChangeMember) -> None:
        """Change the membership, or refuse to."""
        payload = given.payload
        if payload[:1] != MARK:
            payload = framed(given.change, payload)
        if not self._change(given.token, payload, given.change):
            self.replica.out.resolved.append(Outcome(given.token, refused=True))

    def _change(self, token: int, payload: bytes, change: Change) -> int:
        """One change at a time, behind a commit of this leader's own term (G11)."""
        replica, log = self.replica, self.replica.log
        membership = replica.membership
        commit = replica.commit
        if (
            self.handover is not None
            or membership.changed_at > commit
            or log.term_at(commit) != replica.term
            or not fits(membership.members, change)
            or (change.kind is ChangeKind.DEMOTE and change.member == replica.me)
        ):
            return 0
        counts = change.kind is not ChangeKind.ADD_LEARNER and (
            change.kind is not ChangeKind.REMOVE or membership.votes(change.member)
        )
        replica.inner.change(payload, change, counts=counts)
        index = log.last_index
        entry = log.entry_at(index)
        assert entry is not None, "INV-LOG-DENSE"
        assert entry.payload is payload, "INV-LIBRARY-TAMED: it refuses a change"
        membership.appended(entry)
        follower = self.follower(change.member)
        if change.kind in (ChangeKind.ADD_LEARNER, ChangeKind.ADD_VOTER):
            follower.begin(replica.now_ms, index)
            self.leaves(change.member)
        elif change.kind is ChangeKind.REMOVE and follower.is_linked:
            self._leaving[change.member] = index
        if token:
            self._tokens[index] = token
        return index

    def applied(self, index: int) -> None:
        """An entry was handed out."""
        self._tokens.pop(index, None)
        self._committed_ms = self.replica.now_ms

    def withdraw(self, keep: int) -> None:
        """The entries behind an index are gone from here; other members may hold them."""
        alone = [*self.replica.membership.members] == [self.replica.me]
        for index in [index for index in self._tokens if index > keep]:
            self.replica.out.resolved.append(Outcome(self._tokens.pop(index), refused=alone))

    # Reads.

    def read(self, asker: Asker) -> None:
        """Hold a read for the step's round."""
        self._rounds.held.append(asker)

    def asked(self, peer: int, message: Ask) -> None:
        """Hold a follower's read."""
        if message.term == self.replica.term:
            self._rounds.held.append(Asker(peer, message.token))
        else:
            self._tell(Asker(peer, message.token), 0)

    def pong(self, peer: int, message: Pong) -> None:
        """A member knows of no later term."""
        self._rounds.confirm(peer, message.round)
        self.follower(peer).confirmed = message.round

    def begin_rounds(self) -> None:
        """Begin rounds for all reads that wait, once this term has committed something."""
        replica, rounds = self.replica, self._rounds
        commit = replica.inner.commit
        if rounds.held and replica.log.term_at(commit) == replica.term:
            before = rounds.under_way
            rounds.begin_each(commit, replica.me)
            self._tell_confirmed()
            if rounds.under_way > before:
                self._ask_round(few=not before)
        elif rounds.under_way:
            self._tell_confirmed()
            if rounds.under_way and replica.now_ms >= self._round_due_ms():
                self._ask_round(few=False)
        if self._asked_few and rounds.under_way:
            self._expect(self._round_due_ms())

    def _round_due_ms(self) -> int:
        timing = self.replica.config.timing
        return self._asked_ms + (ROUND_MS if self._asked_few else timing.heartbeat_ms)

    def _ask_round(self, *, few: bool) -> None:
        """Ask all voters to confirm; or as few as must, those that confirmed last time."""
        replica, membership = self.replica, self.replica.membership
        asked = [
            follower
            for follower in map(self.follower, membership.voters)
            if follower.number != replica.me and follower.is_linked
        ]
        needed = membership.majority - membership.votes(replica.me)
        self._asked_few = few and needed < len(asked)
        if self._asked_few:
            asked = sorted(asked, key=lambda each: -each.confirmed)[:needed]
        self._asked_ms = replica.now_ms
        for follower in asked:
            replica.send(follower.number, Ping(replica.term, self._rounds.under_way))

    def _tell_confirmed(self) -> None:
        membership = self.replica.membership
        for asker, index in self._rounds.confirmed(membership.voters, membership.majority):
            self._tell(asker, index)

    def _tell(self, asker: Asker, index: int) -> None:
        replica = self.replica
        if asker.member != replica.me:
            follower = self.follower(asker.member)
            if follower.held_ms and follower.told < index:
                # Its client waits until it knows that this is committed.
                self.send(follower, follower.next - 1, 0)
            replica.send(asker.member, Told(replica.term, asker.token, index))
        elif index:
            replica.out.read_ready.append((asker.token, index))
        else:
            replica.out.read_lost.append(asker.token)

    # Time.

    def tick(self) -> None:
        """Commit and send what there is; keep everybody's patience."""
        replica = self.replica
        self.soon_ms = None
        replica.inner.advance()
        if not replica.inner.is_leader:
            return
        hearing = self.hearing()
        if self._next_beat_ms(hearing) <= replica.now_ms:
            self._beaten_ms = replica.now_ms
        for follower in hearing:
            base_index = max(1, replica.log.base_index)
            if follower.asks_snapshot(replica.now_ms, base_index):
                replica.out.send_snapshot.append((follower.number, base_index))
        if self.handover is not None:
            self._hand_over(self.handover)

    def _next_beat_ms(self, hearing: list[Follower]) -> int:
        sent_ms = [each.sent_ms for each in hearing]
        return min(sent_ms, default=self._beaten_ms) + self.replica.config.timing.heartbeat_ms

    def next_deadline_ms(self) -> int | None:
        """Return when time alone has something to do; None where there is nobody else."""
        members = self.replica.membership.members
        if len(members) == 1 and self.replica.me in members and not self._leaving:
            return None
        return self._next_beat_ms(self.hearing())

    def _hand_over(self, handover: Handover) -> None:
        """Ask the target to take over once it has everything; give up in time."""
        replica = self.replica
        if replica.now_ms >= handover.due_ms:
            self.handover = None
            replica.out.transferred.append((handover.token, False))
            return
        heartbeat_ms = replica.config.timing.heartbeat_ms
        if handover.asked_ms and replica.now_ms - handover.asked_ms < heartbeat_ms:
            return
        follower = self.follower(handover.target)
        if follower.is_linked and follower.match == replica.log.last_index:
            handover.asked_ms = replica.now_ms
            replica.send(handover.target, StepUp(replica.term))
