"""What a member does about the members beside applying changes: it orders them, one at a time.

Rule of this file: a change is offered to the log only by a leader that has applied all of the
log, with no other change under way: so it meets exactly the table it was held against, and Raft
and the table change together, or neither. Others wait in a queue, in order. INV-CHANGE-FITS.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from core import errors
from core.contacts import Contacts
from core.effects import Reply
from core.errors import Failure
from core.inputs import Linked, Progressed
from core.limits import CHANGES_WAITING_MAX
from core.members import Change, MemberRole
from core.operations import Command, MemberPublish, MembersChange, RoleAssign
from core.quorums import View, quorum_refusal
from core.reconfiguring import addressed, change_of, refusal
from core.roles import next_assignment
from core.settings import NodeConfig
from core.state import State

PUBLISH_AGAIN_MS = 5_000
ROLES_LOOK_MS = 1_000


OWN = object()
"""Who waits for a change that this member itself wants: nobody."""

Order = Callable[[object, Command, Change | None], int]
"""Offers a command to the log for who waits; returns its sequence."""


class Standing(NamedTuple):
    """What a node is at a moment: its state, which term it leads, and who else leads."""

    state: State
    leading_term: int
    leader: int

    @property
    def may_order(self) -> bool:
        """Whether it leads, and has applied all that was in the log before its term."""
        return bool(self.leading_term) and self.state.applied_term == self.leading_term


class _Waiting(NamedTuple):
    token: object
    command: MembersChange
    since_ms: int


class Membership:
    """The changes of members that this member has been asked for. One owner: the node."""

    def __init__(self, config: NodeConfig, order: Order) -> None:
        self.now_ms = 0
        self.contacts = Contacts()
        self.under_way = 0
        """The sequence of the change that is offered and not decided; 0 for none."""
        self._config = config
        self._order = order
        self._queue: deque[_Waiting] = deque()
        self._publish_at_ms = 0
        self._roles_at_ms = 0

    def ask(self, token: object, command: MembersChange, standing: Standing) -> list[Reply]:
        """Take a change that the leader is asked for; return who is answered at once."""
        if len(self._queue) >= CHANGES_WAITING_MAX:
            return [Reply(token, errors.TOO_MANY_REQUESTS)]
        self._queue.append(_Waiting(token, command, self.now_ms))
        return self._go_on(standing)

    def keep(self, standing: Standing) -> list[Reply]:
        """Tell of this member, keep roles, go on with what waits; return who is answered."""
        state = standing.state
        if (standing.leading_term or standing.leader) and (news := self._news(state)):
            self._order(OWN, news, None)
        replies: list[Reply] = []
        if standing.may_order and (command := self._assignment(state)):
            replies = self.ask(OWN, command, standing)
        return [*replies, *self._go_on(standing), *self._overdue()]

    def refused(self, sequence: int) -> Failure:
        """Return the answer to what the engine did not take; for a change it is etcd's."""
        return errors.UNHEALTHY if sequence == self.under_way else errors.NO_LEADER

    def decided(self, sequence: int) -> None:
        """The fate of a proposal is known, or nobody will ever know it."""
        if sequence == self.under_way:
            self.under_way = 0

    def elected(self) -> list[Reply]:
        """This member leads another term; return who is answered by that."""
        self.contacts.elected(self.now_ms)
        self._publish_at_ms = self.now_ms
        return self._give_up()

    def deposed(self) -> list[Reply]:
        """This member leads no more, or another does now; return who is answered by that."""
        self._publish_at_ms = self.now_ms
        return self._give_up()

    def linked(self, given: Linked) -> None:
        """A connection to another member stands, or is gone."""
        self.contacts.linked(given.peer, self.now_ms, up=given.up)

    def progressed(self, given: Progressed) -> None:
        """The logs of the others have come so far."""
        self.contacts.progressed(given.matches, given.last_index)

    def heir(self, state: State) -> int:
        """Return the voter that has been connected for longest; 0 if none is, as etcd's."""
        own, since_ms = self._config.member_id, self.contacts.linked_since_ms
        found = [
            (since, member.id)
            for member in state.members.values()
            if member.votes and member.id != own and (since := since_ms(member.id)) is not None
        ]
        return min(found)[1] if found else 0

    def is_learner(self, state: State) -> bool:
        """Whether this member is kept without a vote."""
        own = state.members.get(self._config.member_id)
        return own is not None and own.is_learner

    def is_mute(self, state: State) -> bool:
        """Whether this member refuses what needs a voter, as etcd's learners do.

        Where roles are kept by themselves clients do not choose whom they talk to: all answer.
        """
        return not self._config.voters_wanted and self.is_learner(state)

    def is_removed(self, state: State) -> bool:
        """Whether this member is none any more, and never will be again."""
        return self._config.member_id in state.removed

    def farewell(self, state: State) -> RoleAssign | None:
        """Return which role this member asks for before it leaves, if another can take its vote."""
        own = state.members.get(self._config.member_id)
        if not self._config.voters_wanted or own is None or not own.votes:
            return None
        others = [each for each in state.members.values() if each.is_learner]
        if not any(self.contacts.is_linked(each.id) for each in others):
            return None
        return RoleAssign(own.id, MemberRole.SPARE)

    def next_due_ms(self, state: State, leading_term: int) -> int | None:
        """Return when time alone has something to do; `leading_term` as in `Standing`."""
        if leading_term and (self._queue or len(state.members) > 1):
            return self._roles_at_ms
        if self._is_news(state):
            return self._publish_at_ms
        return None

    def _give_up(self) -> list[Reply]:
        """Refuse all that waits, none of which was offered."""
        self.under_way = 0
        replies = [Reply(each.token, errors.NO_LEADER) for each in self._queue]
        self._queue.clear()
        return _heard(replies)

    def _go_on(self, standing: Standing) -> list[Reply]:
        """Offer the next change that the table takes, once all before it is applied here."""
        replies: list[Reply] = []
        state = standing.state
        while standing.may_order and self._queue and not self.under_way:
            token, command, _ = self._queue.popleft()
            command = addressed(state.members, command)
            failure = self._judge(state, command)
            if failure is None:
                change = change_of(state.members, command)
                self.under_way = self._order(token, command, change)
            else:
                replies.append(Reply(token, failure))
        return _heard(replies)

    def _judge(self, state: State, command: MembersChange) -> Failure | None:
        """Return why a change is not offered to the log."""
        config = self._config
        view = View(state.members, config.member_id, self.contacts, self.now_ms)
        failure = quorum_refusal(view, command, strict=config.is_strict)
        failure = failure or refusal(state, command)
        is_fixed = config.are_members_fixed
        if failure is None and is_fixed and change_of(state.members, command):
            return errors.MEMBERS_FIXED
        return failure

    def _overdue(self) -> list[Reply]:
        """Give up what has waited for too long."""
        limit_ms = self._config.request_timeout_ms
        replies: list[Reply] = []
        while limit_ms and self._queue and self.now_ms - self._queue[0].since_ms >= limit_ms:
            replies.append(Reply(self._queue.popleft().token, errors.TIMED_OUT))
        return _heard(replies)

    def _is_news(self, state: State) -> bool:
        """Whether the table does not say of this member what it tells of itself."""
        config = self._config
        known = state.members.get(config.member_id)
        if known is None or not config.name:
            return False
        told = (known.name, known.client_urls, known.failure_domain)
        return told != (config.name, config.client_urls, config.failure_domain)

    def _news(self, state: State) -> MemberPublish | None:
        """Return what is to be told of this member, now and then."""
        if self.now_ms < self._publish_at_ms or not self._is_news(state):
            return None
        self._publish_at_ms = self.now_ms + PUBLISH_AGAIN_MS
        config = self._config
        return MemberPublish(
            config.member_id, config.name, config.client_urls, config.failure_domain
        )

    def _assignment(self, state: State) -> RoleAssign | None:
        """Return which role the leader is to assign next, now and then, when nothing waits."""
        if self.under_way or self._queue or self.now_ms < self._roles_at_ms:
            return None
        self._roles_at_ms = self.now_ms + ROLES_LOOK_MS
        for _, member in sorted(state.members.items()):
            joins = member.role == MemberRole.JOINING
            if joins and self.contacts.is_in_sync(member.id):
                return RoleAssign(member.id, MemberRole.VOTER)
        config = self._config
        if not config.voters_wanted:
            return None
        view = View(state.members, config.member_id, self.contacts, self.now_ms)
        return next_assignment(view, config.voters_wanted, config.stand_bys_wanted)


def _heard(replies: list[Reply]) -> list[Reply]:
    """Return the answers that somebody waits for."""
    return [each for each in replies if each.token is not OWN]
