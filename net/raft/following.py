"""What a member does for its leader: take entries, answer, forward what clients want.

Rule of this file: a follower promises what is durable, and nothing twice. What it asked a leader
for is lost with that leader: a proposal that may have reached it has an unknown fate.
"""

from attrs import define, field

from net.changes import change_of
from net.raft.elections import Elections
from net.raft.replica import Replica
from net.raft.wire import Ack, Append, Ask, Newcomer, Newer, Offer, Taken, Told
from net.replicator import Outcome


def _is_founding(message: Append) -> bool:
    """Whether a message begins where the log does, and with a founder of the cluster.

    Such a log says itself who the cluster is.
    """
    if message.previous:
        return False
    return not message.entries or change_of(message.entries[0].payload) is not None


@define
class Following:
    """The part of an engine that follows."""

    replica: Replica
    elections: Elections
    linked: set[int]
    _offered: dict[int, None] = field(factory=dict[int, None])
    """Own proposals that are with the leader."""
    _taken: dict[int, tuple[int, int]] = field(factory=dict[int, tuple[int, int]])
    """Own proposals in the leader's log: index -> (term, token)."""
    _reads: dict[int, None] = field(factory=dict[int, None])
    """Own reads that are with the leader."""
    refused: int = 0
    """Messages that contradict what is committed."""
    _acked: tuple[int, int, int] = (0, 0, 0)
    """What a leader was told on this link: (term, how far logs match, when)."""

    # Entries.

    def append(self, peer: int, message: Append) -> None:
        """Take a leader's message; its term is not behind this member's."""
        replica, log = self.replica, self.replica.log
        inner = replica.inner
        if message.term == replica.term and replica.leader not in (0, peer):
            return
        is_known = replica.membership.is_known or _is_founding(message)
        matches = log.matches(message.previous, message.previous_term)
        fresh = log.fresh_of(message.entries) if matches else ()
        truncates = bool(fresh) and fresh[0].index <= log.last_index
        if truncates and fresh[0].index <= max(inner.commit, replica.commit):
            # No leader can say so: what is committed is in its log. Whoever sent this lies, or has
            # lost what it knew; it is not followed, and this member is no poorer.
            self.refused += 1
            return
        self.elections.heard(replica.now_ms)
        if replica.installing or not is_known or not matches:
            self._refers_back(peer, message, is_known=is_known)
            return
        matched = max(message.previous + len(message.entries), replica.commit)
        if truncates:
            replica.membership.truncated(fresh[0].index)
        inner.append(peer, message, fresh, matched=matched)
        for entry in fresh:
            replica.membership.appended(entry)
        replica.leader = peer
        settled = min(matched, log.durable)
        if message.entries or self._is_news(message.term, matched):
            if not fresh:
                # A sign of life must not wait for a slow disk: it tells what is durable already.
                replica.send(peer, Ack(message.term, settled, False, message.stamp))
            if settled < matched:
                replica.send(peer, Ack(message.term, matched, False, message.stamp), matched)
            self._acked = message.term, matched, replica.now_ms

    def _refers_back(self, peer: int, message: Append, *, is_known: bool) -> None:
        """Follow, and say why nothing of a message can be taken: it may begin further back."""
        replica, log = self.replica, self.replica.log
        self._acked = (0, 0, 0)
        replica.inner.follow(peer, message.term)
        replica.leader = peer
        if replica.installing:
            replica.send(peer, Ack(message.term, 0, False, message.stamp))
        elif not is_known and not message.previous:
            replica.send(peer, Newcomer(message.term, message.stamp))
        else:
            hint = log.retreat(message.previous - 1, message.previous_term)
            hint = max(hint, min(replica.commit, message.previous - 1))
            its_term = log.term_at(hint)
            replica.send(peer, Ack(message.term, hint, True, message.stamp, its_term))

    def _is_news(self, term: int, matched: int) -> bool:
        """Whether a leader that only says what is committed has to be told how far logs match.

        Not if it was told the same a moment ago: of the six messages that a lone command took, two
        said nothing new. Signs of life come less often, and each is answered.
        """
        its_term, told, at_ms = self._acked
        again_ms = at_ms + self.replica.config.timing.heartbeat_ms // 2
        return (its_term, told) != (term, matched) or self.replica.now_ms >= again_ms

    # What clients want.

    def propose(self, token: int, payload: bytes) -> None:
        """Forward a proposal."""
        replica = self.replica
        if replica.leader not in self.linked:
            replica.out.resolved.append(Outcome(token, refused=True))
            return
        self._offered[token] = None
        replica.send(replica.leader, Offer(replica.term, token, payload))

    def read(self, token: int) -> None:
        """Forward the wish for a read index."""
        replica = self.replica
        if replica.leader not in self.linked:
            replica.out.read_lost.append(token)
            return
        self._reads[token] = None
        replica.send(replica.leader, Ask(replica.term, token))

    def taken(self, message: Taken) -> None:
        """The leader says what became of an offer."""
        if message.token not in self._offered:
            return
        del self._offered[message.token]
        if not message.at:
            self.replica.out.resolved.append(Outcome(message.token, refused=True))
        elif message.at > self.replica.applied:
            self._taken[message.at] = message.term, message.token

    def told(self, message: Told) -> None:
        """The leader says which index a read waits for."""
        if self._reads.pop(message.token, 1) is not None:
            return
        if message.at and message.term == self.replica.term:
            self.replica.out.read_ready.append((message.token, message.at))
        else:
            self.replica.out.read_lost.append(message.token)

    def applied(self, index: int, term: int) -> None:
        """An entry was handed out: the fate of the proposal that should be there is known."""
        if self._taken:
            its_term, token = self._taken.pop(index, (term, 0))
            if its_term != term:
                self.replica.out.resolved.append(Outcome(token, refused=False))

    def skipped(self, index: int) -> None:
        """A snapshot took the place of the entries up to an index: their fate will not show."""
        for each in [each for each in self._taken if each <= index]:
            self.replica.out.resolved.append(Outcome(self._taken.pop(each)[1], refused=False))

    def lose_leader(self) -> None:
        """Whatever was asked of it is lost."""
        self.lose_offered()
        self.replica.out.read_lost += self._reads
        self._reads.clear()

    def lose_offered(self) -> None:
        """Nobody can tell what becomes of the proposals that are with the leader."""
        out = self.replica.out
        out.resolved += [Outcome(token, refused=False) for token in self._offered]
        out.resolved += [Outcome(token, refused=False) for _, token in self._taken.values()]
        self._offered.clear()
        self._taken.clear()

    def linked_again(self, peer: int) -> None:
        """A link stands: answers and reads that may have been lost are given once more."""
        self._acked = (0, 0, 0)
        replica = self.replica
        if peer == replica.leader != replica.me:
            for token in self._reads:
                replica.send(peer, Ask(replica.term, token))

    def answer_older(self, peer: int) -> None:
        """Tell the sender of an old term's message which term it is."""
        self.replica.send(peer, Newer(self.replica.term))
