"""The Raft engine behind the replication port; what decides in it is behind `net.raft.inner`.

Rule of this file: the order within a step. Inputs one by one, each with its consequences; then
elections, commits and entries, reads, what is committed, one persist, and the messages, each with
the persist that it waits for. Without clock, chance, files, threads and sockets of its own; any
exception out of it ends the member.
"""

from collections.abc import Callable, Iterable, Sequence

from core.tuples import new
from net import replicator as raft
from net.raft.elections import Chance, Elections
from net.raft.followers import Follower
from net.raft.following import Following
from net.raft.inner import Inner
from net.raft.leading import Handover, Leading
from net.raft.log import RaftLog
from net.raft.membership import Membership
from net.raft.own import Own
from net.raft.reads import Asker
from net.raft.replica import RaftConfig, Replica
from net.raft.voting import Voting
from net.raft.wire import (
    Ack,
    Append,
    Ask,
    AskVote,
    Canvass,
    Message,
    Newcomer,
    Newer,
    Offer,
    Ping,
    Pong,
    StepUp,
    Support,
    Taken,
    Told,
    Vote,
    WireError,
    decode,
)
from net.replicator import Configuration, Entry, LogBounds, Outcome, Persist, RaftOutput, Role

Make = Callable[[Replica, Leading], Inner]
"""Makes what decides, for one life."""
TERMS_AHEAD_MAX = 1 << 32
"""A message further ahead is garbage: one changed bit must not use up all terms there are."""
OWED_MS = 500
"""How often a term that the disk had no room for is written again."""


class RaftEngine:
    """One member's engine, for one life. `entries` are what its journal holds behind `base`."""

    def __init__(
        self,
        config: RaftConfig,
        bounds: LogBounds,
        *,
        base: tuple[int, int],
        entries: Iterable[Entry],
        chance: Chance,
        make: Make = Own,
    ) -> None:
        log = RaftLog(base, entries)
        applied = max(bounds.applied_index, log.base_index)
        assert applied <= log.last_index, "INV-LOG-COVERS-STATE"
        known = () if applied >= log.last_index else log.between(applied + 1, log.last_index)
        self._book: dict[int, Follower] = {}
        self._linked: set[int] = set()
        self._replica = Replica(
            config, log, Membership(bounds.members, known), bounds.hard_state, applied, applied
        )
        self._replica.heed_log()
        self._elections = Elections(config.timing, chance)
        self._leading = Leading(self._replica, self._book)
        self._following = Following(self._replica, self._elections, self._linked)
        self._voting = Voting(self._replica, self._elections, self._linked)
        self._replica.inner = make(self._replica, self._leading)
        self._started = False
        self._owed_ms = 0
        self._held: list[tuple[int, bytes]] = []
        """Proposals that wait for the end of a handover."""
        self._garbage = 0
        self._known = (self._replica.term, 0, False)
        self._role = Role(*self._known)

    # What the port shows.

    @property
    def role(self) -> Role:
        """See Replicator."""
        return self._role

    @property
    def commit_index(self) -> int:
        """See Replicator."""
        return self._replica.commit

    @property
    def members(self) -> Configuration:
        """See Replicator."""
        return self._replica.membership.members

    def match_of(self, member: int) -> int:
        """See Replicator."""
        follower = self._book.get(member)
        return follower.match if follower is not None and self._role.is_leader else 0

    @property
    def refused_frames(self) -> int:
        """See Replicator: no messages, of terms that cannot be, or against what is committed."""
        return self._garbage + self._following.refused

    def step(self, now_ms: int, inputs: Sequence[raft.RaftInput]) -> RaftOutput:
        """See Replicator."""
        replica = self._replica
        replica.enter(now_ms)
        if not self._started:
            self._started = True
            self._elections.wait(now_ms)
            if replica.membership.voters == [replica.me]:
                self._elections.due_ms = now_ms
        for given in inputs:
            self._take(given)
            self._notice()
        if replica.inner.is_leader:
            self._leading.tick()
        elif now_ms >= self._elections.due_ms:
            self._voting.patience_ends()
        self._notice()
        if self._leading.handover is not None or self._held:
            self._end_handover()
        self._commit()
        if replica.inner.is_leader:
            self._leading.begin_rounds()
        self._persist()
        return self._whole()

    # Inputs.

    def _take(self, given: raft.RaftInput) -> None:
        replica = self._replica
        match given:
            case raft.Receive(peer, data):
                self._receive(peer, data)
            case raft.Persisted(sequence):
                replica.persisted(sequence)
            case raft.Propose(token, payload):
                self._propose(token, payload)
            case raft.ReadIndex(token):
                if replica.inner.is_leader:
                    self._leading.read(Asker(replica.me, token))
                else:
                    self._following.read(token)
            case raft.LinkUp(peer) | raft.LinkDown(peer):
                self._link(peer, up=isinstance(given, raft.LinkUp))
            case raft.PersistRefused(sequence, durable):
                self._withdraw(sequence)
                self._cut(min(durable, replica.applied))
            case raft.SnapshotTaken():
                self._cut(self._spared(given.index))
            case raft.SnapshotSent(peer, well):
                self._leading.follower(peer).got_snapshot(replica.now_ms, well=well)
            case raft.SnapshotReceived():
                self._snapshot(given)
            case raft.SnapshotInstalled():
                self._installed(given)
            case raft.Transfer():
                self._transfer(given)
            case raft.ChangeMember():
                self._change(given)
            case raft.Tick():
                pass

    def _notice(self) -> None:
        """See whether term, leader or configuration changed, and do what follows from it."""
        replica = self._replica
        inner = replica.inner
        leads = inner.is_leader
        if not leads and replica.leader == replica.me:
            replica.leader = 0
        if self._known[2] and not leads:
            self._end_leading()
        known = (replica.term, replica.leader, leads)
        if known != self._known:
            self._following.lose_leader()
            self._known = known

    def _end_leading(self) -> None:
        self._leading.end()
        self._elections.forget_leader()
        self._elections.wait(self._replica.now_ms)

    def _propose(self, token: int, payload: bytes) -> None:
        if self._leading.handover is not None:
            self._held.append((token, payload))
        elif self._replica.inner.is_leader:
            self._leading.propose(token, payload)
        else:
            self._following.propose(token, payload)

    def _change(self, given: raft.ChangeMember) -> None:
        if self._replica.inner.is_leader:
            self._leading.change(given)
        else:
            self._replica.out.resolved.append(Outcome(given.token, refused=True))

    def _link(self, peer: int, *, up: bool) -> None:
        replica = self._replica
        follower = self._leading.follower(peer)
        follower.is_linked = up
        follower.has_new_link(replica.now_ms)
        (self._linked.add if up else self._linked.discard)(peer)
        if up:
            self._leading.linked(peer)
            if not replica.inner.is_leader:
                self._following.linked_again(peer)
        elif replica.inner.is_leader:
            self._leading.leaves(peer)
        elif peer == replica.leader:
            self._following.lose_offered()
            if replica.config.hurries:
                self._elections.lost_link(replica.now_ms)

    # Messages.

    def _receive(self, peer: int, data: bytes) -> None:
        try:
            message = decode(data)
        except WireError:
            self._garbage += 1
            return
        replica = self._replica
        term = replica.term
        if message.term > term + TERMS_AHEAD_MAX:
            self._garbage += 1
            return
        if isinstance(message, Append):
            if message.term < term:
                self._following.answer_older(peer)
            else:
                self._following.append(peer, message)
            return
        is_member = peer in replica.membership.members
        if message.term > term and is_member and isinstance(message, Newer | Ack | Ping | Pong):
            replica.inner.follow(peer, message.term)
            replica.leader = 0
        elif isinstance(message, Canvass | AskVote | Support | Vote | StepUp):
            self._voting.take(peer, message)
        elif isinstance(message, Ping):
            if message.term == term:
                replica.send(peer, Pong(term, message.round))
            else:
                self._following.answer_older(peer)
        elif isinstance(message, Taken):
            self._following.taken(message)
        elif isinstance(message, Told):
            self._following.told(message)
        elif replica.inner.is_leader and (is_member or isinstance(message, Ack)):
            self._led(peer, message)
        elif isinstance(message, Offer):
            self._leading.answer(peer, message)
        elif isinstance(message, Ask):
            replica.send(peer, Told(term, message.token, 0))

    def _led(self, peer: int, message: Message) -> None:
        """A leader's part of the messages."""
        leading, term = self._leading, self._replica.term
        if isinstance(message, Ack) and message.term == term:
            leading.acknowledged(peer, message)
        elif isinstance(message, Newcomer) and message.term == term:
            leading.newcomer(peer, message)
        elif isinstance(message, Pong) and message.term == term:
            leading.pong(peer, message)
        elif isinstance(message, Offer):
            leading.offered(peer, message)
        elif isinstance(message, Ask):
            leading.asked(peer, message)

    # Leadership on its way.

    def _transfer(self, given: raft.Transfer) -> None:
        replica, target = self._replica, given.target
        if (
            not replica.inner.is_leader
            or self._leading.handover is not None
            or not replica.membership.votes(target)
            or not self._leading.follower(target).is_linked
        ):
            replica.out.transferred.append((given.token, target == replica.leader != 0))
            return
        if target == replica.me:
            replica.out.transferred.append((given.token, True))
            return
        due_ms = replica.now_ms + replica.config.timing.election_ms
        self._leading.handover = Handover(given.token, target, due_ms)

    def _end_handover(self) -> None:
        """Once a handover ends, order what waited for it, or have another order it."""
        replica, handover = self._replica, self._leading.handover
        if handover is not None:
            if replica.inner.is_leader:
                return
            if not replica.leader and replica.now_ms < handover.due_ms:
                return
            self._leading.handover = None
            well = replica.leader == handover.target
            replica.out.transferred.append((handover.token, well))
        held, self._held = self._held, []
        for token, payload in held:
            self._propose(token, payload)
        if replica.inner.is_leader:
            self._leading.tick()

    # Snapshots and the disk.

    def _spared(self, index: int) -> int:
        """Return where to cut a log that the store holds up to an index: a little is kept."""
        replica, config = self._replica, self._replica.config
        upto = min(index, replica.applied)
        if replica.log.size_bytes <= config.kept_bytes:
            upto = min(upto, replica.applied - config.kept_entries)
        return upto

    def _cut(self, upto: int) -> None:
        """Let go of the log behind what the store holds durably."""
        replica, log = self._replica, self._replica.log
        if log.cut(upto):
            replica.membership.cut(upto)
            replica.out.persist.append(Persist(0, drop_to=upto))
            if replica.inner.is_leader:
                self._leading.cut()

    def _snapshot(self, given: raft.SnapshotReceived) -> None:
        replica, log = self._replica, self._replica.log
        index, term = given.index, given.term
        if index <= replica.commit or replica.inner.is_leader or replica.installing:
            return
        if log.base_index <= index and log.matches(index, term):
            return  # All of it is here; the leader will say that it is committed.
        replica.installing = index
        log.restart(index, term)
        replica.out.install = (index, term)
        replica.applied = replica.commit = index
        replica.heed_log()
        replica.inner.resign()
        self._elections.wait(replica.now_ms)

    def _installed(self, given: raft.SnapshotInstalled) -> None:
        replica = self._replica
        replica.installing = 0
        replica.membership.restart(given.members)
        self._following.skipped(given.index)
        self._elections.wait(replica.now_ms)
        if replica.leader:
            replica.send(replica.leader, Ack(replica.term, given.index, False, 0))

    def _withdraw(self, sequence: int) -> None:
        """The disk has no room from here on: step down, and take back what it refused."""
        replica = self._replica
        keep = replica.withdraw(sequence)
        replica.membership.truncated(keep + 1)
        self._leading.withdraw(keep)
        self._owed_ms = replica.now_ms + OWED_MS
        self._resign()

    def _resign(self) -> None:
        """Follow, at once, in the same term."""
        replica = self._replica
        replica.inner.resign()
        replica.leader = 0
        self._elections.wait(replica.now_ms)
        self._notice()
        if replica.membership.voters == [replica.me]:
            self._elections.due_ms = replica.now_ms + 1

    def _commit(self) -> None:
        """Hand out what is committed, and durable here."""
        replica, log = self._replica, self._replica.log
        if replica.installing:
            return
        commit = min(replica.inner.commit, log.durable)
        if commit <= replica.commit:
            return
        for entry in log.between(replica.commit + 1, commit):
            replica.out.apply.append(entry)
            self._leading.applied(entry.index)
            self._following.applied(entry.index, entry.term)
        replica.applied = replica.commit = commit
        members = replica.membership
        removed = replica.me not in members.members and members.changed_at <= commit
        if removed and replica.inner.is_leader:
            self._resign()

    def _persist(self) -> None:
        replica = self._replica
        if replica.owes_term:
            if replica.now_ms >= self._owed_ms or replica.log.has_changed:
                replica.has_voted = True
            else:
                replica.out.messages.clear()
        replica.persist()

    def _whole(self) -> RaftOutput:
        replica, out = self._replica, self._replica.out
        term, leader, leads = self._known
        role = None
        if self._role != (term, leader, leads):
            role = self._role = Role(term, leader, leads)
        values = (
            out.persist,
            replica.gated() if out.messages else [],
            out.apply,
            out.read_ready,
            out.resolved,
            role,
            self._next_deadline_ms(),
            out.read_lost,
            out.send_snapshot,
            out.install,
            out.transferred,
            self._leading.soon_ms if leads else None,
        )
        return new(RaftOutput, values)

    def _next_deadline_ms(self) -> int | None:
        replica = self._replica
        leads, handover = replica.inner.is_leader, self._leading.handover
        due_ms = self._leading.next_deadline_ms() if leads else self._elections.due_ms
        if leads and (soon_ms := self._leading.soon_ms) is not None:
            due_ms = soon_ms if due_ms is None or soon_ms < due_ms else due_ms
        if handover is None and not replica.owes_term:
            return due_ms
        times = [] if due_ms is None else [due_ms]
        if handover is not None:
            times.append(handover.due_ms)
        if replica.owes_term:
            times.append(self._owed_ms)
        return min(times)
