"""Votes and campaigns of one member: asked for, given, counted.

Rule of this file: the library votes and is elected; here is decided what it hears of, and the
moment in which it may campaign. Guards G7 and G13.
"""

from attrs import define, field

from net.raft import guards
from net.raft.elections import Elections
from net.raft.library import Message as Said
from net.raft.replica import Replica
from net.raft.wire import AskVote, Canvass, Newer, StepUp, Support, Vote


@define
class Voting:
    """The part of an engine that elects."""

    replica: Replica
    elections: Elections
    linked: set[int]
    _ballots: guards.Ballots = field(factory=guards.Ballots)
    _handed: bool = False
    """The campaign under way is a leader's wish."""

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
            inner.deliver(peer, guards.request_vote(message, origin=inner.origin))
            if inner.term > term:
                replica.leader = 0
        elif isinstance(message, Support):
            if replica.membership.votes(peer) and not inner.is_leader:
                elections.supported(peer, message.term)
                if elections.has_support(replica.membership.majority):
                    self.campaign(handed=False)
        elif isinstance(message, Vote):
            voters = replica.membership.voters
            if message.term == term and self._ballots.admits(peer, term, voters):
                inner.deliver(peer, guards.vote(term))
        elif message.term == term and peer == replica.leader and not inner.is_leader:
            inner.deliver(peer, guards.step_up(term))
            if self.may_campaign():
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
        """Let the library campaign in this very moment, and at no other."""
        replica = self.replica
        inner = replica.inner
        replica.leader = 0
        self._handed = handed
        others = [each for each in replica.membership.voters if each != replica.me]
        for each in others:
            inner.connect(each)
        inner.campaign()
        if not inner.is_leader:
            for each in others:
                inner.disconnect(each)
        self.elections.wait(replica.now_ms)

    def ask_vote(self, peer: int, said: Said) -> None:
        """The library asks for a vote."""
        log = self.replica.log
        self.replica.send(peer, AskVote(said["term"], log.last_index, log.last_term, self._handed))
