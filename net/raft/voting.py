"""Votes and campaigns of one member: asked for, given, counted.

Rule of this file: who is voted for and elected is decided behind the seam; here is decided what
it hears of, and the moment in which it campaigns. Nobody helps against a leader that is alive,
unless the leader asked for it.
"""

from attrs import define

from net.raft.elections import Elections
from net.raft.replica import Replica
from net.raft.wire import AskVote, Canvass, Newer, StepUp, Support, Vote


@define
class Voting:
    """The part of an engine that elects."""

    replica: Replica
    elections: Elections
    linked: set[int]

    def take(self, peer: int, message: Canvass | AskVote | Support | Vote | StepUp) -> None:
        """Take a message about elections."""
        replica, elections = self.replica, self.elections
        term, log, inner = replica.term, replica.log, replica.inner
        if isinstance(message, Canvass):
            last = (message.last_term, message.last_index)
            if self._would_help(message.term) and last >= (log.last_term, log.last_index):
                replica.send(peer, Support(message.term))
            elif message.term <= term:
                replica.send(peer, Newer(term))
        elif isinstance(message, AskVote):
            if message.term > term and not message.handed and not self._would_help(message.term):
                return
            if inner.asked(peer, message):
                elections.wait(replica.now_ms)
                replica.send(peer, Vote(message.term))
            if replica.term > term:
                replica.leader = 0
        elif isinstance(message, Support):
            if replica.membership.votes(peer) and not inner.is_leader:
                elections.supported(peer, message.term)
                if elections.has_support(replica.membership.majority):
                    self.campaign(handed=False)
        elif isinstance(message, Vote):
            if message.term == term and replica.membership.votes(peer):
                inner.voted(peer)
        elif message.term == term and peer == replica.leader and self.may_campaign():
            self.campaign(handed=True)

    def _would_help(self, term: int) -> bool:
        """Whether this member would vote in a term: it has no leader, or none alive (G13)."""
        replica = self.replica
        if replica.inner.is_leader or term <= replica.term:
            return False
        return not self.elections.is_content(replica.now_ms)

    def may_campaign(self) -> bool:
        replica = self.replica
        votes = replica.membership.votes(replica.me)
        return votes and not replica.installing and replica.term_is_durable

    def patience_ends(self) -> None:
        """No leader was heard: canvass, and with support campaign."""
        replica, elections = self.replica, self.elections
        if not self.may_campaign():
            elections.wait(replica.now_ms)
            return
        replica.leader = 0
        term = replica.term + 1
        elections.canvass(replica.now_ms, replica.me, term)
        if elections.has_support(replica.membership.majority):
            self.campaign(handed=False)
            return
        message = Canvass(term, replica.log.last_index, replica.log.last_term)
        for voter in replica.membership.voters:
            if voter in self.linked:
                replica.send(voter, message)

    def campaign(self, *, handed: bool) -> None:
        """Campaign in this very moment, and at no other."""
        replica = self.replica
        replica.leader = 0
        replica.inner.campaign()
        self.elections.wait(replica.now_ms)
        if replica.inner.is_leader:
            return
        last_index, last_term = replica.log.last
        for voter in replica.membership.voters:
            if voter in self.linked:
                replica.send(voter, AskVote(replica.term, last_index, last_term, handed))
