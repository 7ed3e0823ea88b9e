"""The seam between the engine and what decides in it: five decisions, in the engine's own words.

    whom to vote for, whether votes are enough, which index a majority holds,
    when a leader without a majority steps down, and which entries to send next

Rule of this file: shapes alone. `net.raft.own` decides by itself; `net.raft.wrapped` has pysyncobj
decide. Both work on the log, term, vote and followers that the engine's other parts share.
"""

from collections.abc import Sequence
from typing import Protocol

from net.raft.wire import Append, AskVote
from net.replicator import Change, Entry


class Inner(Protocol):
    """What decides. Its term and vote are the replica's. Any exception ends the member."""

    @property
    def commit(self) -> int:
        """Up to where a majority has the log durably, as far as is known here."""
        ...

    @property
    def is_leader(self) -> bool:
        """Whether it leads."""
        ...

    # For anybody.

    def follow(self, peer: int, term: int) -> None:
        """Follow in a term that is not behind this one; a peer said so."""
        ...

    def resign(self) -> None:
        """Follow, in the same term: the log may have changed under it."""
        ...

    # For a follower.

    def append(self, peer: int, message: Append, fresh: Sequence[Entry], *, matched: int) -> None:
        """Follow a leader: put `fresh` into the log, in the place of what is there.

        Both logs are equal up to `matched` then; what the leader says beyond is not committed here.
        """
        ...

    def asked(self, peer: int, message: AskVote) -> bool:
        """Return whether it votes for a member."""
        ...

    # For a candidate.

    def campaign(self) -> None:
        """Vote for itself in the next term; lead, if that is enough."""
        ...

    def voted(self, peer: int) -> None:
        """A voter votes for it in this term; lead, if that is enough."""
        ...

    # For a leader.

    def propose(self, payload: bytes) -> None:
        """Append an entry."""
        ...

    def change(self, payload: bytes, change: Change, *, counts: bool) -> None:
        """Append an entry that changes the members; the voters too, if it counts."""
        ...

    def advance(self) -> None:
        """Step down without a majority; else count what is held, and send what there is."""
        ...
