"""Every guard between the library and the wire, in both directions: the whole list is here.

Rule of this file: what reaches the library is what a faultless library would be safe with. Stock
pysyncobj loses acknowledged writes in eight ways that are known; each row closes some.

    G1   an answer of another term is dropped: it is stamped with the term               V2
    G2   entries that are held already are trimmed off, so that the library truncates only
         where logs differ, and never below what is committed                            V1
    G3   a member commits no further than the message itself has shown logs to be equal  V1 V3
    G4   what it acknowledges is computed here, from that same comparison                V1 V4
    G5   "logs differ" rewinds a leader only if it answers what was sent after the last
         rewind (or before, and goes deeper: `Follower.rewinds`), never below what the
         member is known to hold; a success rewinds nothing                              V7
    G6   a leader counts another no further than it is durable itself, and so itself only
         once it is; or than a majority without it is (`countable`)
    G7   one vote per member and term, and only of voters
    G8   answers of those who are no members are dropped
    G9   snapshots never travel through the library: a member that needs one is closed to it,
         and its log is cut behind its back                                              V3 V4 V8
    G10  nothing but Append, votes and StepUp goes out of it; what else it can send or be
         sent (commands, chunks, dumps) has no form on the wire
    G11  one change of membership at a time, of this term's leader, behind a commit of its
         own term; a follower's library begins anew with each configuration              V5
    G12  the commit index is volatile; entries are committed when a leader of this life
         says so (`LogView.getRaftCommitIndex`)                                          V6
    G13  no vote for a campaign while a leader is alive, unless the leader asked for it
"""

from collections.abc import Collection, Iterable, Sequence

from attrs import define, field

from net.raft.library import Command
from net.raft.library import Message as Said
from net.raft.log import RaftLog
from net.raft.wire import Append, AskVote
from net.replicator import Entry

_NO_TERM = -1


def append(
    message: Append, fresh: Sequence[Entry], log: RaftLog, *, matched: int, origin: int
) -> Said:
    """Return what the library is told of an Append: that which it lacks, or a sign of life.

    `matched` is where both logs are known to be equal once it is done (G3).
    """
    before = fresh[0].index - 1 if fresh else log.last_index
    return {
        "type": "append_entries",
        "term": message.term,
        "prevLogIdx": before - origin,
        "prevLogTerm": log.term_at(before),
        "entries": [(Command(each.payload), each.index - origin, each.term) for each in fresh],
        "commit_index": min(message.commit, matched) - origin,
    }


def sign_of_life(term: int, log: RaftLog, *, origin: int) -> Said:
    """Return what the library is told of an Append that it can do nothing with."""
    return append(Append(term, 0, 0, 0, 0, ()), (), log, matched=0, origin=origin)


def countable(matches: Iterable[int], durable: int, majority: int) -> int:
    """Return how far a leader may count the other voters, of whom these are the matches (G6)."""
    ascending = sorted(matches)
    return max(durable, ascending[-majority]) if len(ascending) >= majority else durable


def heard() -> Said:
    """Return what the library is told when a member answers."""
    return _answer(0, rewinds=False, succeeds=False)


def counts(upto: int, *, origin: int) -> Said:
    """Return what the library is told of what a member holds, as far as it may count (G6)."""
    return _answer(upto + 1 - origin, rewinds=False, succeeds=True)


def goes_on(next_index: int, *, origin: int) -> Said:
    """Return what sets the library's next index, which it moves with each success (G5)."""
    return _answer(next_index - origin, rewinds=True, succeeds=False)


def _answer(next_index: int, *, rewinds: bool, succeeds: bool) -> Said:
    return {
        "type": "next_node_idx",
        "next_node_idx": next_index,
        "reset": rewinds,
        "success": succeeds,
    }


def request_vote(message: AskVote, *, origin: int) -> Said:
    """Return what the library is told of a candidate."""
    return {
        "type": "request_vote",
        "term": message.term,
        "last_log_index": message.last_index - origin,
        "last_log_term": message.last_term,
    }


def newer_term(term: int) -> Said:
    """Return what makes the library follow in a later term: a candidate without a log."""
    return {
        "type": "request_vote",
        "term": term,
        "last_log_index": _NO_TERM,
        "last_log_term": _NO_TERM,
    }


def vote(term: int) -> Said:
    """Return what the library is told of a vote."""
    return {"type": "response_vote", "term": term}


@define
class Ballots:
    """Whose votes a candidate has counted (G7)."""

    _term: int = 0
    _voted: set[int] = field(factory=set[int])

    def admits(self, voter: int, term: int, voters: Collection[int]) -> bool:
        """Whether a vote counts: the first of a voter in this term."""
        if term != self._term:
            self._term = term
            self._voted.clear()
        if voter not in voters or voter in self._voted:
            return False
        self._voted.add(voter)
        return True
