"""The engine's own five decisions: votes, elections, commits, silence, and what is sent next.

Rule of this file: Raft's rules and nothing else; when and to whom anything is said is decided
beside it. It has no clock, no chance and no messages, and changes the log by append and truncate.
"""

from collections.abc import Sequence

from net.raft.followers import Follower
from net.raft.leading import Leading
from net.raft.replica import Replica
from net.raft.wire import Append, AskVote
from net.replicator import Change, Entry


class Own:
    """See Inner."""

    __slots__ = ("_leading", "_replica", "_votes", "commit", "is_leader")

    def __init__(self, replica: Replica, leading: Leading) -> None:
        self._replica = replica
        self._leading = leading
        self._votes: set[int] = set()
        """Who votes for this candidate; nobody where it is none."""
        self.commit = replica.commit
        self.is_leader = False

    def follow(self, peer: int, term: int) -> None:
        """See Inner."""
        if term > self._replica.term:
            self._replica.turn(term, vote=0)
        self.resign()

    def resign(self) -> None:
        """See Inner."""
        self.is_leader = False
        self._votes.clear()

    # Following.

    def append(self, peer: int, message: Append, fresh: Sequence[Entry], *, matched: int) -> None:
        """See Inner."""
        self.follow(peer, message.term)
        log = self._replica.log
        if fresh and fresh[0].index <= log.last_index:
            log.truncate_from(fresh[0].index)
        for entry in fresh:
            log.append(entry)
        self.commit = max(self.commit, min(message.commit, matched))

    def asked(self, peer: int, message: AskVote) -> bool:
        """See Inner. It votes once in a term, for a log that lacks nothing that this one has."""
        replica, log = self._replica, self._replica.log
        if message.term > replica.term:
            self.follow(peer, message.term)
        if message.term < replica.term or replica.vote not in (0, peer):
            return False
        if (message.last_term, message.last_index) < (log.last_term, log.last_index):
            return False
        if not replica.vote:
            replica.turn(message.term, vote=peer)
        return True

    # Electing.

    def campaign(self) -> None:
        """See Inner."""
        replica = self._replica
        replica.turn(replica.term + 1, vote=replica.me)
        self._votes = {replica.me}
        self._elect()

    def voted(self, peer: int) -> None:
        """See Inner."""
        if self._votes and not self.is_leader:
            self._votes.add(peer)
            self._elect()

    def _elect(self) -> None:
        membership = self._replica.membership
        if sum(map(membership.votes, self._votes)) < membership.majority:
            return
        self.is_leader = True
        self.commit = max(self.commit, self._replica.commit)
        self._leading.begin()
        # What is committed of earlier terms shows with the first entry of this one.
        self.propose(b"")

    # Leading.

    def propose(self, payload: bytes) -> None:
        """See Inner."""
        log = self._replica.log
        log.append(Entry(log.last_index + 1, self._replica.term, payload))

    def change(self, payload: bytes, change: Change, *, counts: bool) -> None:
        """See Inner."""
        self.propose(payload)

    def advance(self) -> None:
        """See Inner."""
        if not self._has_majority():
            self.resign()
            return
        self._count()
        for follower in self._leading.hearing():
            self._send(follower)

    def _has_majority(self) -> bool:
        """Whether a majority, this member among them, was heard within two election timeouts."""
        replica, leading = self._replica, self._leading
        oldest_ms = replica.now_ms - 2 * replica.config.timing.election_ms
        heard = [
            each
            for each in replica.membership.voters
            if each == replica.me or leading.follower(each).heard_ms > oldest_ms
        ]
        return len(heard) >= replica.membership.majority

    def _count(self) -> None:
        """Commit what a majority holds durably, from this leader's first entry on."""
        replica, leading, log = self._replica, self._leading, self._replica.log
        membership = replica.membership
        held = [
            log.durable if each == replica.me else leading.follower(each).match
            for each in membership.voters
        ]
        held.sort()
        index = held[-membership.majority]
        if index > self.commit and log.term_at(index) == replica.term:
            self.commit = index

    def _send(self, follower: Follower) -> None:
        """Send what a follower has not been sent; or a sign of life; or nothing."""
        replica, log = self._replica, self._replica.log
        now_ms, heartbeat_ms = replica.now_ms, replica.config.timing.heartbeat_ms
        follower.gives_up(now_ms - 5 * heartbeat_ms)
        is_due = now_ms - follower.sent_ms >= heartbeat_ms
        if follower.wants_snapshot:
            if is_due:
                self._leading.send(follower, max(follower.match, log.base_index), 0)
            return
        last, message_bytes = log.last_index, replica.config.message_bytes
        while follower.next <= last and not follower.is_full:
            count = log.count_within(follower.next, message_bytes)
            self._leading.send(follower, follower.next - 1, count)
            is_due = False
        may_tell = not follower.is_full and self._leading.must_tell(follower)
        if is_due or follower.must_hear or may_tell:
            self._leading.send(follower, follower.next - 1, 0)
