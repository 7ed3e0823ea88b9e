"""pysyncobj behind the seam: what the engine knows is told to the library, what it decides is done.

Rule of this file: the library knows nothing for longer than a call needs it. A follower's object
begins anew wherever log, base or voters changed behind it; a leader's is told, before each tick,
what changed since the last: who has a link, what is held, what is to be sent next.
"""

from collections.abc import Sequence

from attrs import define

from net.raft import guards
from net.raft.followers import Follower
from net.raft.leading import Leading
from net.raft.library import CLOCK, ChangeCommand, Command, LogView, Message
from net.raft.life import Life
from net.raft.replica import Replica
from net.raft.wire import Append, AskVote
from net.replicator import Change, ChangeKind, Entry

RENEW_ENTRIES = 2_000
"""A follower's object begins anew so that it lags no further than this: it goes through what is
committed only when it leads, and then at once."""


@define
class _Page:
    """What the library believes of another member."""

    counted: int = 0
    """Up to here it counts it."""
    next: int = -1
    """What it would send next; -1 where nobody knows."""
    heard_ms: int = -1
    is_open: bool = False
    """It may send to it."""


class Wrapped:
    """See Inner."""

    def __init__(self, replica: Replica, leading: Leading) -> None:
        self._replica = replica
        self._leading = leading
        self._ballots = guards.Ballots()
        self._pages: dict[int, _Page] = {}
        self._taught: set[int] = set()
        """Whom it replicates to as to learners."""
        self._limit = 0
        """How far other voters may be counted."""
        self._library_ms = 0.0
        self._ticked_ms = 0
        self._votes_for_it = False
        self._life = self._begun()

    @property
    def commit(self) -> int:
        """See Inner."""
        commit = self._life.commit
        return min(commit, max(self._limit, self._replica.commit)) if self.is_leader else commit

    @property
    def is_leader(self) -> bool:
        """See Inner."""
        return self._life.is_leader

    # Lives of the object.

    def _begun(self) -> Life:
        replica = self._replica
        self._keep_time()
        self._has_led = False
        self._voters, self._base_index = replica.membership.voters, replica.log.base_index
        origin = replica.applied - 1
        view = LogView(replica.log, origin, replica.term, replica.vote, self._turns)
        timing = replica.config.timing
        return Life(replica.me, self._voters, view, timing, self._sends, self._leads)

    def resign(self) -> None:
        """See Inner."""
        self._life.retire()
        self._life = self._begun()

    def _ready(self) -> Life:
        """Return the object, begun anew if it believes what is no more."""
        replica = self._replica
        if not self._life.is_leader and (
            self._has_led
            or self._voters != replica.membership.voters
            or self._base_index != replica.log.base_index
            or replica.applied - self._life.origin > RENEW_ENTRIES
        ):
            self.resign()
        self._keep_time()
        return self._life

    def _keep_time(self) -> None:
        """Have the library's clock go on for this member, whoever else used it."""
        CLOCK.now_ms = max(float(self._replica.now_ms), self._library_ms)

    def _turns(self, term: int, vote: int) -> None:
        self._replica.turn(term, vote=vote)

    # Following.

    def follow(self, peer: int, term: int) -> None:
        """See Inner."""
        life, replica = self._ready(), self._replica
        if term > replica.term:
            life.deliver(peer, guards.newer_term(term))
        else:
            life.deliver(peer, guards.sign_of_life(term, replica.log, origin=life.origin))

    def append(self, peer: int, message: Append, fresh: Sequence[Entry], *, matched: int) -> None:
        """See Inner."""
        life, log = self._ready(), self._replica.log
        said = guards.append(message, fresh, log, matched=matched, origin=life.origin)
        life.deliver(peer, said)

    def asked(self, peer: int, message: AskVote) -> bool:
        """See Inner."""
        life = self._ready()
        self._votes_for_it = False
        life.deliver(peer, guards.request_vote(message, origin=life.origin))
        return self._votes_for_it

    # Electing.

    def campaign(self) -> None:
        """See Inner."""
        life = self._ready()
        others = [each for each in self._replica.membership.voters if each != self._replica.me]
        for each in others:
            life.connect(each)
        life.campaign()
        self._library_ms = CLOCK.now_ms
        if not life.is_leader:
            for each in others:
                life.disconnect(each)

    def voted(self, peer: int) -> None:
        """See Inner."""
        replica = self._replica
        if self._ballots.admits(peer, replica.term, replica.membership.voters):
            self._ready().deliver(peer, guards.vote(replica.term))

    def _leads(self) -> None:
        """The object has just become leader; it appends its no-op next, and sends."""
        replica = self._replica
        self._has_led = True
        self._limit = replica.log.durable
        self._taught.clear()
        voters = replica.membership.voters
        self._pages = {each: _Page(is_open=True) for each in voters if each != replica.me}
        self._leading.begin()
        for each in self._pages:
            self._life.connect(each)
        self._open_and_close()

    # Leading.

    def propose(self, payload: bytes) -> None:
        """See Inner."""
        self._ready().propose(Command(payload))

    def change(self, payload: bytes, change: Change, *, counts: bool) -> None:
        """See Inner."""
        life, member = self._ready(), change.member
        if member in self._taught:
            self._unteach(member)
        elif change.kind in (ChangeKind.REMOVE, ChangeKind.DEMOTE):
            life.disconnect(member)
            self._pages.pop(member, None)
        if counts and member != self._replica.me:
            life.propose(ChangeCommand(payload, change))
        else:
            life.propose(Command(payload))
        if change.kind in (ChangeKind.ADD_VOTER, ChangeKind.PROMOTE):
            self._pages[member] = _Page()

    def advance(self) -> None:
        """See Inner."""
        life, replica = self._ready(), self._replica
        self._teach()
        self._open_and_close()
        self._count(life)
        now_ms, heartbeat_ms = replica.now_ms, replica.config.timing.heartbeat_ms
        if now_ms - self._ticked_ms >= heartbeat_ms // 2 or self._has_work():
            self._ticked_ms = now_ms
            life.tick()
            self._library_ms = CLOCK.now_ms
        if not life.is_leader:
            return
        base_index = replica.log.base_index
        for follower in self._leading.hearing():
            # A sign of life for whom the library may not send to.
            follower.gives_up(now_ms - 5 * heartbeat_ms)
            if now_ms - follower.sent_ms >= heartbeat_ms:
                self._leading.send(follower, max(follower.match, base_index), 0)

    def _teach(self) -> None:
        """Teach the learners, as the membership has them, and those that hear that they go."""
        membership = self._replica.membership
        hearing = (each.number for each in self._leading.hearing())
        wanted = {each for each in hearing if not membership.votes(each)}
        for learner in sorted(self._taught - wanted):
            self._unteach(learner)
        for learner in sorted(wanted - self._taught):
            self._taught.add(learner)
            self._life.teach(learner)
            self._pages[learner] = _Page(is_open=True)

    def _unteach(self, learner: int) -> None:
        self._taught.discard(learner)
        self._pages.pop(learner, None)
        self._life.unteach(learner)

    def _open_and_close(self) -> None:
        """Let the library send to who has a link, owes few answers, and needs no snapshot."""
        hearing = {each.number for each in self._leading.hearing()}
        for number, page in self._pages.items():
            follower = self._leading.follower(number)
            opens = number in hearing and not follower.wants_snapshot and not follower.is_full
            if opens and not page.is_open:
                self._life.connect(number)
            elif page.is_open and not opens:
                self._life.disconnect(number)
            page.is_open = opens

    def _count(self, life: Life) -> None:
        """Tell the library what is held, as far as it may count, and what to send next."""
        replica, leading = self._replica, self._leading
        others = [each for each in replica.membership.voters if each != replica.me]
        limit = self._limit = guards.countable(
            [leading.follower(each).match for each in others],
            replica.log.durable,
            replica.membership.majority,
        )
        for number, page in self._pages.items():
            follower = leading.follower(number)
            if follower.heard_ms != page.heard_ms:
                page.heard_ms = follower.heard_ms
                life.deliver(number, guards.heard())
            upto = min(follower.match, limit)
            if upto > page.counted:
                page.counted, page.next = upto, upto + 1
                life.deliver(number, guards.counts(upto, origin=life.origin))
            if page.next != follower.next:
                page.next = follower.next
                life.deliver(number, guards.goes_on(follower.next, origin=life.origin))

    def _has_work(self) -> bool:
        """Whether there is something to commit, or to send to whom it may.

        Half of all ticks found nothing: the slower follower's answer, and this member's own disk
        once the others are a majority. What this overlooks waits for the next tick of time.
        """
        replica, leading = self._replica, self._leading
        membership, last = replica.membership, replica.log.last_index
        pages, me = self._pages, replica.me
        counted = sorted(0 if each == me else pages[each].counted for each in membership.voters)
        # The library counts this member, here with 0, as far as the log goes.
        others = membership.majority - 1
        reached = counted[-others] if others else last
        return (
            reached > self._life.commit
            or membership.changed_at > replica.commit
            or any(
                page.is_open and (self._must_tell(each) or each.next <= last)
                for number, page in pages.items()
                for each in (leading.follower(number),)
            )
        )

    def _must_tell(self, follower: Follower) -> bool:
        replica = self._replica
        return (
            follower.must_hear
            or follower.told != self.commit
            or replica.now_ms - follower.sent_ms >= replica.config.timing.heartbeat_ms
        )

    # What the library says.

    def _sends(self, peer: int, said: Message) -> None:
        match said["type"]:
            case "append_entries":
                self._sends_entries(peer, said)
            case "response_vote":
                self._votes_for_it = True
            case "next_node_idx" | "request_vote":
                pass  # What is acknowledged, and who is asked, is not for the library to say: G4.
            case kind:
                raise AssertionError(f"INV-LIBRARY-TAMED: it sends {kind}")

    def _sends_entries(self, peer: int, said: Message) -> None:
        """Send what the library would send, if there is any need to."""
        assert "prevLogIdx" in said, "INV-LIBRARY-TAMED: it sends a snapshot"
        follower, page = self._leading.follower(peer), self._pages[peer]
        count = len(said["entries"])
        if not count and not self._must_tell(follower):
            return
        self._leading.send(follower, said["prevLogIdx"] + self._life.origin, count)
        page.next = follower.next
        if follower.is_full:
            page.is_open = False
            self._life.disconnect(peer)
