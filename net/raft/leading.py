"""What a leader does: replicate, count, confirm reads, change members, hand over.

Rule of this file: the library decides what is committed and what is sent; here is decided to whom
it may send at all, and what it is told of their answers. Each member has a valve: closed while it
has no link, needs a snapshot, or owes answers for a window of entries.
"""

from attrs import define, field

from net.changes import MARK, change_of, framed
from net.raft import guards
from net.raft.followers import Follower
from net.raft.library import ChangeCommand, Command, Message
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
    dirty: bool = False
    """The library has something to do."""
    _rounds: ReadRounds = field(factory=ReadRounds)
    _tokens: dict[int, int] = field(factory=dict[int, int])
    """Own proposals in this log: index -> token."""
    _orders: dict[tuple[int, int], int] = field(factory=dict[tuple[int, int], int])
    """What was offered lately: (member, token) -> index. It may come twice, and is ordered once."""
    _taught: set[int] = field(factory=set[int])
    """Whom the library replicates to as to learners."""
    _limit: int = 0
    """How far other voters may be counted."""
    _leaving: dict[int, int] = field(factory=dict[int, int])
    """Removed members that are to hear of it: member -> where the removal is in the log."""
    _asked_ms: int = 0
    """When the round under way was last asked for."""
    _beaten_ms: int = 0
    """When everybody's patience was last thought of."""
    _packed: tuple[int, int, bytes] = (0, 0, b"")
    """The entries that were encoded last: first index, count, bytes."""

    # Beginning and end.

    def begin(self) -> None:
        """The library's object has just become leader; it appends its no-op next, and sends."""
        replica = self.replica
        replica.leader = replica.me
        self.dirty = True
        self._packed = (0, 0, b"")
        self._limit = replica.log.durable
        for follower in self.book.values():
            follower.begin(replica.now_ms, replica.log.last_index + 1)
        for member in replica.membership.voters:
            if member != replica.me:
                self._valve(self.follower(member))

    def settle(self) -> None:
        """Teach the learners, as the membership has them; open and close valves."""
        replica, inner = self.replica, self.replica.inner
        wanted = {each for each, votes in replica.membership.members.items() if not votes}
        wanted |= self._leaving.keys()
        for learner in sorted(self._taught - wanted):
            self._unteach(learner)
        for learner in sorted(wanted - self._taught):
            if learner != replica.me:
                follower = self.follower(learner)
                self._taught.add(learner)
                inner.teach(learner)
                follower.begin(replica.now_ms, replica.log.last_index + 1)
                follower.is_open = True
        for follower in self.book.values():
            self._valve(follower)

    def end(self) -> None:
        """It leads no more. Its object is thrown away; what was proposed has an unknown fate."""
        replica, out = self.replica, self.replica.out
        out.resolved += [Outcome(token, refused=False) for token in self._tokens.values()]
        self._tokens.clear()
        self._taught.clear()
        self._leaving.clear()
        self._orders.clear()
        for asker in self._rounds.lose():
            self._tell(asker, 0)
        replica.must_rebuild = True

    def linked(self, member: int) -> None:
        """A member has a new link, perhaps in a new life: its tokens may begin anew."""
        for asked in [asked for asked in self._orders if asked[0] == member]:
            del self._orders[asked]

    def leaves(self, member: int) -> None:
        """A removed member has heard of it, or will not."""
        if self._leaving.pop(member, None) is not None:
            self.settle()

    def _hears(self, member: int) -> bool:
        return member in self.replica.membership.members or member in self._leaving

    def _unteach(self, learner: int) -> None:
        self._taught.discard(learner)
        self.replica.inner.unteach(learner)
        self.follower(learner).is_open = False

    def follower(self, member: int) -> Follower:
        """Return the page of a member."""
        if member not in self.book:
            self.book[member] = Follower(member)
        return self.book[member]

    def _valve(self, follower: Follower) -> None:
        """Let the library send to a member, or not."""
        replica = self.replica
        member = follower.number
        opens = (
            follower.is_linked
            and self._hears(member)
            and not follower.wants_snapshot
            and not follower.is_full
        )
        if opens and not follower.is_open:
            replica.inner.connect(member)
            self.dirty = True
        elif follower.is_open and not opens:
            replica.inner.disconnect(member)
        follower.is_open = opens

    # Entries.

    def sends(self, peer: int, said: Message) -> None:
        """The library sends an Append: stamp it, and bound what is under way."""
        replica, follower = self.replica, self.book[peer]
        assert "prevLogIdx" in said, "INV-LIBRARY-TAMED: it sends a snapshot"
        origin = replica.inner.origin
        commit = self.known_commit
        entries = said["entries"]
        if not entries and not self._must_tell(follower, commit):
            return
        previous: int = said["prevLogIdx"] + origin
        count = len(entries)
        if count:
            follower.next = previous + count + 1
        self._send_append(follower, previous, count, commit)
        if follower.is_full:
            self._valve(follower)

    def _must_tell(self, follower: Follower, commit: int) -> bool:
        return (
            follower.must_hear
            or follower.told != commit
            or self.replica.now_ms - follower.sent_ms >= self.replica.config.timing.heartbeat_ms
        )

    def _send_append(self, follower: Follower, previous: int, count: int, commit: int) -> None:
        replica, log = self.replica, self.replica.log
        packed = b""
        if count:
            first = previous + 1
            if self._packed[:2] != (first, count):
                entries = log.between(first, previous + count)
                self._packed = (first, count, encode_entries(entries))
            packed = self._packed[2]
        follower.stamp += 1
        follower.told = commit
        follower.sent_ms = replica.now_ms
        follower.must_hear = False
        if count:
            follower.flies(len(packed))
        head = (replica.term, previous, log.term_at(previous), commit, follower.stamp)
        replica.out.messages.append((follower.number, encode_append(head, count, packed), 0))

    def acknowledged(self, peer: int, ack: Ack) -> None:
        """A member answered an Append of this term (G1)."""
        replica, log = self.replica, self.replica.log
        if not self._hears(peer):
            return
        follower = self.follower(peer)
        if ack.upto > log.last_index or ack.stamp > follower.stamp:
            return
        if ack.differs and ack.upto_term:
            # Both sides pass over what cannot match: a round trip for each term, not each entry.
            ack = ack._replace(upto=log.retreat(ack.upto, ack.upto_term))
        follower.heard_ms = replica.now_ms
        inner = replica.inner
        said = guards.acknowledged(follower, ack, limit=self._limit, origin=inner.origin)
        follower.wants_snapshot = follower.next <= log.base_index
        for each in said:
            inner.deliver(peer, each)
        if not ack.differs:
            self._count()
            if follower.told >= self._leaving.get(peer, follower.told + 1):
                self.leaves(peer)
        self._valve(follower)
        self._stir()

    def newcomer(self, peer: int, message: Newcomer) -> None:
        """A member needs a snapshot whatever this log holds."""
        if not self._hears(peer):
            return
        follower = self.follower(peer)
        follower.heard_ms = self.replica.now_ms
        follower.landed(message.stamp)
        follower.wants_snapshot = True
        self._valve(follower)

    def count(self) -> None:
        """More is durable here: count what could not be counted before (G6)."""
        self._count()
        self._stir()

    def _count(self) -> None:
        replica = self.replica
        limit = self._limit = guards.countable(
            [self.follower(each).match for each in replica.membership.voters if each != replica.me],
            replica.log.durable,
            replica.membership.majority,
        )
        inner = replica.inner
        for follower in self.book.values():
            if follower.match > follower.counted and self._hears(follower.number):
                for each in guards.counted(follower, limit=limit, origin=inner.origin):
                    inner.deliver(follower.number, each)

    def _stir(self) -> None:
        """Have the library tick if there is something to commit, or to send to whom it may.

        Half of all ticks found nothing: the slower follower's answer, and this member's own disk
        once the others are a majority. What this overlooks waits for the next tick of time.
        """
        replica = self.replica
        membership, last = replica.membership, replica.log.last_index
        voters, me = membership.voters, replica.me
        counted = sorted(0 if each == me else self.follower(each).counted for each in voters)
        # The library counts this member, here with 0, as far as the log goes.
        others = membership.majority - 1
        reached = counted[-others] if others else last
        told = self.known_commit
        self.dirty |= (
            reached > replica.inner.commit
            or membership.changed_at > replica.commit
            or any(
                each.is_open and (each.must_hear or each.told != told or each.next <= last)
                for each in self.book.values()
            )
        )

    @property
    def known_commit(self) -> int:
        """Up to where a majority has the log durably; this member may be behind it."""
        return min(self.replica.inner.commit, max(self._limit, self.replica.commit))

    def cut(self) -> None:
        """The log was cut: members that need what is gone get a snapshot."""
        for follower in self.book.values():
            if follower.next <= self.replica.log.base_index:
                follower.wants_snapshot = True
                self._valve(follower)

    # Proposals.

    def propose(self, token: int, payload: bytes) -> int:
        """Append an entry; return its index."""
        replica = self.replica
        replica.inner.propose(Command(payload))
        index = replica.log.last_index
        if token:
            self._tokens[index] = token
        self.dirty = True
        return index

    def offered(self, peer: int, message: Offer) -> None:
        """Order a follower's pack."""
        replica = self.replica
        asked = peer, message.token
        index = self._orders.get(asked, 0)
        if not index and message.term == replica.term and self.handover is None:
            change = change_of(message.payload)
            if change is not None:
                index = self._change(0, message.payload, change)
            elif replica.config.is_pack(message.payload):
                index = self.propose(0, message.payload)
            self._orders[asked] = index
            if len(self._orders) > ORDERS_MAX:
                del self._orders[next(iter(self._orders))]
        replica.send(peer, Taken(replica.term, message.token, index))

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
        follower = self.follower(change.member)
        if change.member in self._taught:
            self._unteach(change.member)
        elif change.kind in (ChangeKind.REMOVE, ChangeKind.DEMOTE):
            replica.inner.disconnect(change.member)
            follower.is_open = False
        if counts and change.member != replica.me:
            replica.inner.propose(ChangeCommand(payload, change))
        else:
            replica.inner.propose(Command(payload))
        index = log.last_index
        entry = log.entry_at(index)
        assert entry is not None, "INV-LOG-DENSE"
        assert entry.payload is payload, "INV-LIBRARY-TAMED: it refuses a change"
        membership.appended(entry)
        if change.kind in (ChangeKind.ADD_VOTER, ChangeKind.PROMOTE):
            follower.begin(replica.now_ms, index)
        elif change.kind is ChangeKind.REMOVE and follower.is_linked:
            self._leaving[change.member] = index
        self._leaving.pop(change.member if change.kind is not ChangeKind.REMOVE else 0, None)
        if token:
            self._tokens[index] = token
        self.dirty = True
        self.settle()
        return index

    def applied(self, index: int) -> None:
        """An entry was handed out."""
        self._tokens.pop(index, None)

    def withdraw(self, keep: int) -> None:
        """The entries behind an index are gone from here; other members may hold them."""
        alone = len(self.replica.membership.members) == 1
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

    def begin_rounds(self) -> None:
        """Begin one round for all reads that wait, once this term has committed something."""
        replica, rounds = self.replica, self._rounds
        commit = self.known_commit
        if rounds.held and replica.log.term_at(commit) == replica.term:
            rounds.begin(commit, replica.me)
            self._ask_round()
        elif rounds.under_way and self._is_round_due():
            self._ask_round()
        membership = replica.membership
        for asker, index in rounds.confirmed(membership.voters, membership.majority):
            self._tell(asker, index)

    def _is_round_due(self) -> bool:
        return self.replica.now_ms - self._asked_ms >= self.replica.config.timing.heartbeat_ms

    def _ask_round(self) -> None:
        replica = self.replica
        self._asked_ms = replica.now_ms
        for member in replica.membership.voters:
            if member != replica.me and self.follower(member).is_linked:
                replica.send(member, Ping(replica.term, self._rounds.under_way))

    def _tell(self, asker: Asker, index: int) -> None:
        replica = self.replica
        if asker.member != replica.me:
            replica.send(asker.member, Told(replica.term, asker.token, index))
        elif index:
            replica.out.read_ready.append((asker.token, index))
        else:
            replica.out.read_lost.append(asker.token)

    # Time.

    def tick(self) -> None:
        """Let the library do what there is to do, and keep everybody's patience."""
        replica = self.replica
        due = self._heartbeat_due_ms() <= replica.now_ms
        if self.dirty or due:
            self.dirty = False
            replica.inner.tick()
        if not replica.inner.is_leader:
            return
        if due:
            self._keep_alive()
        base_index = replica.log.base_index
        for follower in self.book.values():
            if follower.is_linked and follower.asks_snapshot(replica.now_ms):
                replica.out.send_snapshot.append((follower.number, max(1, base_index)))
        if self.handover is not None:
            self._hand_over(self.handover)

    def _heartbeat_due_ms(self) -> int:
        heartbeat_ms = self.replica.config.timing.heartbeat_ms
        sent = [
            each.sent_ms
            for each in self.book.values()
            if each.is_linked and self._hears(each.number)
        ]
        return (min(sent) if sent else self._beaten_ms) + heartbeat_ms

    def _keep_alive(self) -> None:
        """Send a sign of life to whom the library may not send."""
        replica, log = self.replica, self.replica.log
        heartbeat_ms = replica.config.timing.heartbeat_ms
        self._beaten_ms = replica.now_ms
        for follower in self.book.values():
            if not follower.is_linked or not self._hears(follower.number):
                continue
            if replica.now_ms - follower.heard_ms >= 5 * heartbeat_ms and follower.is_flying:
                follower.land_all()
                self._valve(follower)
            if replica.now_ms - follower.sent_ms >= heartbeat_ms:
                previous = min(max(follower.match, log.base_index), log.last_index)
                self._send_append(follower, previous, 0, replica.commit)

    def next_deadline_ms(self) -> int:
        """Return when time alone has something to do."""
        due = self._heartbeat_due_ms()
        if self.dirty:
            due = min(due, self.replica.now_ms + 1)
        return due

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
        if follower.is_linked and follower.counted == replica.log.last_index:
            handover.asked_ms = replica.now_ms
            replica.inner.transfer(handover.target)

    def steps_up(self, peer: int) -> None:
        """The library tells a member to take over."""
        self.replica.send(peer, StepUp(self.replica.term))
