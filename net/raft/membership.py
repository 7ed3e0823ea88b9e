"""Who the cluster is, as this member's log says it: a configuration counts once it is in the log.

Rule of this file: values and indexes. A change that is truncated again takes its configuration with
it; one that is cut off or snapshotted becomes the ground that later ones stand on. A member that
joins has no ground: it gets one with its first snapshot, and before takes no entries, else it
would take the changes in its log for the whole. A founder's log has the founders in it.
"""

from collections.abc import Iterable

from net.changes import change_of
from net.replicator import Change, ChangeKind, Configuration, Entry


def fits(members: Configuration, change: Change) -> bool:
    """Whether a change makes sense here: of somebody there or new, and leaving a voter."""
    kind, member = change
    voters = sum(members.values())
    if kind in (ChangeKind.ADD_LEARNER, ChangeKind.ADD_VOTER):
        return member not in members
    if kind is ChangeKind.PROMOTE:
        return members.get(member) is False
    if kind is ChangeKind.DEMOTE:
        return members.get(member) is True and voters > 1
    return member in members and (not members[member] or voters > 1)


def changed(members: Configuration, change: Change) -> Configuration:
    """Return the configuration after a change; one that does not fit changes nothing."""
    if not fits(members, change):
        return members
    after = dict(members)
    if change.kind is ChangeKind.REMOVE:
        del after[change.member]
    else:
        after[change.member] = change.kind in (ChangeKind.ADD_VOTER, ChangeKind.PROMOTE)
    return after


class Membership:
    """The configurations of one log: at the ground, and after each change behind it."""

    def __init__(self, members: Configuration, entries: Iterable[Entry]) -> None:
        self._ground: Configuration = dict(members)
        self._changes: list[tuple[int, Configuration]] = []
        self._known_voters: tuple[Configuration, list[int]] = ({}, [])
        """The last configuration that was asked for its voters, and those."""
        for entry in entries:
            self.appended(entry)

    @property
    def members(self) -> Configuration:
        """The newest configuration, committed or not."""
        return self._changes[-1][1] if self._changes else self._ground

    @property
    def is_known(self) -> bool:
        """Whether there is a configuration; without one nothing is taken that might be a change.

        Where a log has changes without a ground they are those of its founders: a new cluster's,
        one that was restored, or one member's from before members were stored.
        """
        return bool(self.members)

    @property
    def changed_at(self) -> int:
        """Where the newest change is in the log; 0 if it is before the ground."""
        return self._changes[-1][0] if self._changes else 0

    @property
    def voters(self) -> list[int]:
        """Who votes, in order."""
        members = self.members
        if self._known_voters[0] is not members:
            self._known_voters = (members, sorted(each for each in members if members[each]))
        return self._known_voters[1]

    @property
    def majority(self) -> int:
        """How many voters decide."""
        return len(self.voters) // 2 + 1

    def votes(self, member: int) -> bool:
        """Whether a member votes."""
        return self.members.get(member, False)

    def may_vote(self, member: int, commit: int) -> bool:
        """Whether a member votes, or did until a change that may not be committed."""
        if self.votes(member) or self.changed_at <= commit:
            return self.votes(member)
        before = self._changes[-2][1] if len(self._changes) > 1 else self._ground
        return before.get(member, False)

    def appended(self, entry: Entry) -> bool:
        """An entry is in the log; whether it changes anything."""
        change = change_of(entry.payload)
        if change is None:
            return False
        self._changes.append((entry.index, changed(self.members, change)))
        return True

    def truncated(self, index: int) -> bool:
        """The entries from an index on are gone; whether that takes back a change."""
        count = len(self._changes)
        while self._changes and self._changes[-1][0] >= index:
            self._changes.pop()
        return len(self._changes) < count

    def cut(self, index: int) -> None:
        """Nothing up to an index will be truncated."""
        while self._changes and self._changes[0][0] <= index:
            self._ground = self._changes.pop(0)[1]

    def restart(self, members: Configuration | None) -> None:
        """Forget the changes; without a configuration the newest known one stays."""
        self._ground = dict(self.members if members is None else members)
        self._changes.clear()
