"""Questions that only the leader can answer, from the asking to the answer.

Rule of this file: a question is answered once, by the leader, by its loss, or by time. Whether a
change of members was made by a leader that is lost nobody can tell; a read was not answered.
"""

from collections.abc import Iterable

from core.answers import Answer, MembersAnswer
from core.effects import AskLeader, Reply
from core.errors import LEADER_CHANGED, NO_LEADER, TIMED_OUT, TIMED_OUT_LEADER
from core.inputs import Asked, ChangeOffered

_NOBODY = object()


class Questions:
    """What was passed on to the leader, by number; and answers ahead of this member's log."""

    __slots__ = ("_early", "_open", "newest")

    def __init__(self, first: int) -> None:
        """Number questions from behind `first`: drawn anew in each life, so that none comes twice.

        A leader may answer at last what a member asked before it crashed: that is no answer to what
        it asks now.
        """
        self.newest = first
        """The number of the last question."""
        self._open: dict[int, tuple[object, bool]] = {}
        self._early: list[tuple[int, Reply]] = []

    def ask(self, given: Asked | ChangeOffered, leader: int) -> AskLeader | Reply:
        """Pass a question on. Nobody renews a lease where nobody leads."""
        token, query = given
        if not leader:
            return Reply(token, NO_LEADER)
        self.newest += 1
        self._open[self.newest] = (token, type(given) is ChangeOffered)
        return AskLeader(self.newest, leader, query)

    def told(self, number: int, answer: Answer, applied_index: int) -> Iterable[Reply]:
        """Hand on the leader's answer; a new table once it is this member's too."""
        token, _ = self._open.pop(number, (_NOBODY, False))
        if token is _NOBODY:
            return ()
        reply = Reply(token, answer)
        if isinstance(answer, MembersAnswer) and answer.log_index > applied_index:
            self._early.append((answer.log_index, reply))
            return ()
        return (reply,)

    def applied(self, log_index: int) -> Iterable[Reply]:
        """Return the answers that waited for this index."""
        if not self._early:
            return ()
        due = [reply for at, reply in self._early if at <= log_index]
        self._early = [each for each in self._early if each[0] > log_index]
        return due

    def lose(self) -> list[Reply]:
        """Give up all that is open: the leader it was passed on to leads no more."""
        lost = [
            Reply(token, TIMED_OUT_LEADER if is_change else LEADER_CHANGED)
            for token, is_change in self._open.values()
        ]
        self._open.clear()
        return lost

    def overdue(self, upto: int) -> list[Reply]:
        """Give up the questions up to this number."""
        late = [number for number in self._open if number <= upto]
        return [Reply(self._open.pop(number)[0], TIMED_OUT) for number in late]
